"""All data of a report, from the files of its runs: nothing but what strict JSON holds."""

import shlex
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence

from dualfair.presentation.table import Table, below_each_other
from dualfair.reporting.answer import answer, reliability_of
from dualfair.reporting.architecture import architecture
from dualfair.reporting.comparison import compared
from dualfair.reporting.cost import Factors, cost_section
from dualfair.reporting.front import front_section, hypervolume_section, reported_genotypes
from dualfair.reporting.networks import choice_data, group_table, network_data, network_table
from dualfair.reporting.ranking import ranking_section
from dualfair.reporting.setting import Setting, describe, open_setting
from dualfair.reporting.usage import updates_section, usage_section
from dualfair.runs.records.search import Front
from dualfair.runs.records.study import StudyReport
from dualfair.runs.run_files import RunFiles, reason
from dualfair.runs.training_spec import TrainingSpec
from dualfair.stages.recommendation import finished_trainings, objective_names, trained_networks
from dualfair.supernet.genotype import Genotype

_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError)
TABLES = {
    "people": ("question", "people"),
    "scored": ("front", "scored"),
    "front": ("front", "front"),
    "networks": ("network_table",),
    "groups": ("group_table",),
    "hypervolume": ("hypervolume", "trace"),
    "operations": ("usage", "operations"),
    "heads": ("usage", "heads"),
    "updates": ("updates", "operations"),
    "head-updates": ("updates", "heads"),
    "ranking": ("ranking", "table"),
    "ranking-baselines": ("ranking", "baselines"),
    "cost": ("cost", "spent"),
    "cost-instead": ("cost", "instead"),
}
"""The CSV files of a report, and where in a run's data their tables are."""


def collect(runs: Sequence[RunFiles], factors: Factors) -> dict:
    """The data of a report: {"runs": one dictionary a run, "comparison": a table, None for one run}."""
    collected = [collect_run(run, factors) for run in runs]
    return {"runs": collected, "comparison": compared(collected) if len(collected) > 1 else None}


def collect_run(files: RunFiles, factors: Factors) -> dict:
    """The data of a run. What is missing is None; what is damaged too, and told in "problems"."""
    setting, names = open_setting(files), objective_names(files)
    results = finished_trainings(files)
    trained = _guarded(files, "retrain", lambda: trained_networks(files, results, setting.skeleton)) or ()
    networks = [network_data(network, names) for network in trained]
    choice = _guarded(files, "retrain", lambda: choice_data(trained, names)) or choice_data((), names)
    front = files.record(Front, files.layout.search.front)
    data = {
        "name": files.name,
        "objectives": list(names.measured),
        "disparity": names.disparity,
        "question": describe(files, setting),
        "people": setting.people,
        "commands": _commands(files),
        "networks": networks,
        **choice,
        "network_table": network_table(networks, names.measured),
        "group_table": group_table(networks, setting.people.get("test", {})),
        "front": _guarded(files, "search", lambda: front_section(files, front)),
        "reliability": _guarded(files, "search", lambda: reliability_of(files)),
        "hypervolume": _guarded(files, "search", lambda: hypervolume_section(files)),
        "usage": _guarded(files, "search", lambda: usage_section(reported_genotypes(front), setting)),
        "updates": _guarded(files, "train", lambda: updates_section(files, setting)),
        "ranking": _guarded(files, "correlate", lambda: ranking_section(files)),
        "studies": _studies(files),
        "architectures": _drawn(choice["choice"]["chosen"], setting),
        "cost": _guarded(files, "retrain", lambda: cost_section(files, setting, results, factors)),
    }
    return {**data, "answer": answer(data), "problems": list(files.problems)}


def csv_files(data: dict) -> dict[str, list[list[object]]]:
    """The rows of every CSV file of a report by its name, runs below each other; files without a row are left out."""
    files = {}
    for name, way in TABLES.items():
        tables = [(run["name"], table) for run in data["runs"] if (table := _at(run, way)) and table.rows]
        if tables:
            files[name] = below_each_other(tables)
    if data["comparison"]:
        files["runs"] = below_each_other([("", data["comparison"])])
    return files


def _studies(files: RunFiles) -> list[dict]:
    """What every study of a run tells, in order of their names: {"name", "question", "sentences", "tables", "figures":
    {"caption", "png" in base64}}. Studies that are not finished, or damaged, are left out."""
    sections = []
    for study in files.layout.studies():
        report = files.record(StudyReport, study.report)
        if report is None:
            continue
        figures = []
        for figure in report.figures:
            path = study.folder / figure.file
            try:
                figures.append({"caption": figure.caption, "png": b64encode(path.read_bytes()).decode()})
            except OSError as error:
                files.add_problem(f"{files.shown(path)} cannot be read: {reason(error)}")
        shown = {"question": report.question, "sentences": list(report.sentences), "tables": list(report.tables)}
        sections.append({"name": study.name, **shown, "figures": figures})
    return sections


def _at(value: dict | None, way: Sequence[str]) -> Table | None:
    for step in way:
        value = None if value is None else value[step]
    return value


def _drawn(chosen: Sequence[Mapping], setting: Setting) -> list[dict]:
    """The architectures of the chosen networks that are networks of the skeleton."""
    drawn = []
    for label in (choice["genotype"] for choice in chosen):
        network = TrainingSpec.of_label(label).network
        if setting.skeleton is None or not isinstance(network, Genotype):
            continue
        try:
            drawn.append({**architecture(network, setting.skeleton), "genotype": label})
        except ValueError:
            # A genotype of another skeleton.
            continue
    return drawn


_MADE_BY = ("search", "retrain", "correlate")


def _commands(files: RunFiles) -> dict[str, str]:
    """The commands that make what is missing, by stage."""
    name = shlex.quote(files.name)
    return {stage: f"dualfair {stage} --run {name}" for stage in _MADE_BY}


def _guarded(files: RunFiles, stage: str, section: Callable[[], object]):
    """A section's data; None where a file of its stage is damaged, which is told."""
    try:
        return section()
    except _DAMAGE as error:
        files.add_problem(
            f"files of {stage} are damaged or of another version ({reason(error)}); run 'dualfair {stage}' again"
        )
        return None
