"""All data of a report, from the files of its runs: nothing but what strict JSON holds."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from dualfair.reporting.answer import answer, reliability_of
from dualfair.reporting.architecture import architecture
from dualfair.reporting.comparison import compared
from dualfair.reporting.cost import Factors, cost_section
from dualfair.reporting.front import front_genotypes, front_section, hypervolume_section, objectives_of
from dualfair.reporting.instead import shelf_section, tune_section
from dualfair.reporting.networks import (
    choose,
    group_table,
    network_of,
    network_table,
    networks_of,
    read_results,
    read_samples,
    tell_unfinished,
)
from dualfair.reporting.ranking import ranking_section
from dualfair.reporting.run_files import RunFiles, plain, reason
from dualfair.reporting.setting import Setting, describe, open_setting
from dualfair.reporting.standing import standing
from dualfair.reporting.table import csv_rows
from dualfair.reporting.usage import updates_section, usage_section

_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError)
TABLES = {
    "people": ("question", "people"),
    "scored": ("front", "scored"),
    "front": ("front", "front"),
    "networks": ("network_table",),
    "groups": ("group_table",),
    "hypervolume": ("hypervolume", "trace"),
    "comparison": ("hypervolume", "comparison", "curves"),
    "operations": ("usage", "operations"),
    "heads": ("usage", "heads"),
    "updates": ("updates", "operations"),
    "head-updates": ("updates", "heads"),
    "ranking": ("ranking", "table"),
    "ranking-baselines": ("ranking", "baselines"),
    "shelf": ("shelf", "each"),
    "tune": ("tune", "top"),
    "cost": ("cost", "spent"),
    "cost-instead": ("cost", "instead"),
}
"""The CSV files of a report, and where in a run's data their tables are."""


def collect(runs: Sequence[RunFiles], factors: Factors) -> dict:
    """The data of a report: {"runs": one dictionary a run, "comparison": a table, None for one run}."""
    found = [collect_run(run, factors) for run in runs]
    return plain({"runs": found, "comparison": compared(found) if len(found) > 1 else None})


def collect_run(run: RunFiles, factors: Factors) -> dict:
    """The data of a run. What is missing is None; what is damaged too, and told in "problems"."""
    setting = open_setting(run)
    results = read_results(run)
    tell_unfinished(run, results)
    _, disparity = objectives_of(run)
    networks = _guarded(run, "retrain", lambda: networks_of(results, read_samples(run), setting)) or []
    nothing = {"chosen": [], "front": []}
    choice = _guarded(run, "retrain", lambda: choose(networks)) or nothing
    data = {
        "name": run.name,
        "disparity": disparity,
        "question": describe(run, setting),
        "people": setting.people,
        "commands": _commands(run),
        "networks": networks,
        "choice": choice,
        "standing": standing(networks, choice["chosen"][0]["genotype"]) if choice["chosen"] else None,
        "network_table": network_table(networks, disparity),
        "group_table": group_table(networks, setting.people.get("test", {})),
        "front": _guarded(run, "search", lambda: front_section(run)),
        "reliability": _guarded(run, "search", lambda: reliability_of(run)),
        "hypervolume": _guarded(run, "search", lambda: hypervolume_section(run)),
        "usage": _guarded(run, "search", lambda: usage_section(front_genotypes(run), setting)),
        "updates": _guarded(run, "train", lambda: updates_section(run, setting)),
        "ranking": _guarded(run, "correlate", lambda: ranking_section(run)),
        "shelf": _guarded(run, "shelf", lambda: shelf_section(run, disparity)),
        "tune": _guarded(run, "tune", lambda: tune_section(run)),
        "architectures": _drawn(choice, setting),
        "cost": _guarded(run, "retrain", lambda: cost_section(run, setting, results, factors)),
    }
    return {**data, "answer": answer(data), "problems": list(run.problems)}


def csv_files(data: dict) -> dict[str, list[list[object]]]:
    """The rows of every CSV file of a report by its name, runs below each other; files without a row are left out."""
    files = {}
    for name, way in TABLES.items():
        tables = [(run["name"], found) for run in data["runs"] if (found := _at(run, way)) and found["rows"]]
        if tables:
            files[name] = csv_rows(tables)
    if data["comparison"]:
        files["runs"] = csv_rows([("", data["comparison"])])
    return files


def _at(value: dict | None, way: Sequence[str]) -> dict | None:
    for step in way:
        value = None if value is None else value[step]
    return value


def _drawn(choice: dict, setting: Setting) -> list[dict]:
    """The architectures of the chosen networks that are networks of the skeleton."""
    drawn = []
    for one in choice["chosen"]:
        try:
            drawn += (
                [{**architecture(network_of(one["genotype"]), setting.skeleton), "genotype": one["genotype"]}]
                if setting.skeleton
                else []
            )
        except ValueError:
            # A network from a shelf has blocks of its own.
            continue
    return drawn


_MADE_BY = ("search", "retrain", "correlate", "compare", "tune", "shelf")


def _commands(run: RunFiles) -> dict[str, str]:
    """The commands that make what is missing, by stage."""
    name = shlex.quote(run.name)
    return {stage: f"dualfair {stage} --run {name}" for stage in _MADE_BY}


def _guarded(run: RunFiles, stage: str, section: Callable[[], object]):
    """A section's data; None where a file of its stage is damaged, which is told."""
    try:
        return section()
    except _DAMAGE as error:
        run.tell(f"files of {stage} are damaged or of another version ({reason(error)}); run 'dualfair {stage}' again")
        return None
