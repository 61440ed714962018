"""A run as its report tells it, from the files of its stages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dualfair.evaluation.over_seeds import Standing, TrainedNetwork, standing
from dualfair.presentation.format import quoted
from dualfair.presentation.table import Table
from dualfair.reporting.beginnings import beginnings
from dualfair.reporting.cost import Factors, cost_tables
from dualfair.reporting.setting import Setting, open_setting, people_table
from dualfair.reporting.tables import (
    RankedSample,
    Updates,
    count_updates,
    front_table,
    group_table,
    network_table,
    ranked_sample,
    ranking_table,
)
from dualfair.runs.records.codec import encode
from dualfair.runs.records.ranking import RankingStudy
from dualfair.runs.records.search import Front, SearchReliability
from dualfair.runs.records.study import StudyReport
from dualfair.runs.run_files import RunFiles, reason
from dualfair.stages.recommendation import (
    Recommendation,
    finished_trainings,
    objective_names,
    recommend,
    trained_networks,
)
from dualfair.supernet.images import PEOPLE

DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError)


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """A run under its `name`. What is missing is None or empty, and what is damaged is told in `problems`.

    `objectives` are those on images. `standing` is that of the first choice on test people. `tables` are by name, and
    `pictures` PNG files by the name of their stage, or of study and file. `beginnings` say what trainings began with
    where that is not nothing.
    """

    name: str
    objectives: tuple[str, ...]
    setting: Setting = field(default_factory=Setting)
    networks: tuple[TrainedNetwork, ...] = ()
    choice: Recommendation = field(default_factory=Recommendation)
    standing: Standing | None = None
    front: Front | None = None
    reliability: SearchReliability | None = None
    ranking: RankedSample | None = None
    updates: Updates | None = None
    factors: Factors = field(default_factory=Factors)
    studies: Mapping[str, StudyReport] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    problems: Sequence[str] = ()
    beginnings: tuple[str, ...] = ()

    @property
    def units(self) -> str:
        """What the images are counted in: people, or images."""
        return self.setting.units

    @property
    def test_people(self) -> Mapping[str, int]:
        """How many people of every group the test images show; empty where the faces are not at hand."""
        return self.setting.people.get("test", {})

    def command(self, stage: str, options: str = "") -> str:
        """The command that makes what is missing of a stage."""
        return f"dualfair {stage} --run {quoted(self.name)} {options}".rstrip()

    def network(self, label: str) -> TrainedNetwork:
        """The trained network of a label."""
        return next(network for network in self.networks if network.label == label)

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures, as JSON has it."""
        kept = [each.name for each in fields(self) if each.name not in ("setting", "pictures")]
        about = {"question": self.setting.question, "people": encode(self.setting.people)}
        about |= {} if self.units == PEOPLE else {"units": self.units}
        return {**about, **{name: encode(getattr(self, name)) for name in kept}}


def read_run(files: RunFiles, factors: Factors) -> RunReport:
    """What the files of a run hold; energy and emissions are told by `factors`."""
    setting, names, layout = open_setting(files), objective_names(files), files.layout
    results = finished_trainings(files)
    networks = _guarded(files, "retrain", lambda: trained_networks(files, results, setting.skeleton)) or ()
    choice = _guarded(files, "retrain", lambda: recommend(networks, names)) if networks else None
    choice = choice or Recommendation()
    front = files.record(Front, layout.search.front)
    study = files.record(RankingStudy, layout.correlate.ranking)
    counted = _guarded(files, "train", lambda: count_updates(files, setting))
    studies = {of.name: report for of in layout.studies() if (report := files.record(StudyReport, of.report))}
    pictures = {"search": layout.search.figure}
    for of in layout.studies():
        figures = studies[of.name].figures if of.name in studies else ()
        pictures |= {f"{of.name}/{figure.file}": of.folder / figure.file for figure in figures}
    tables = {
        "people": people_table(setting),
        "networks": network_table(networks, names.measured, setting.units),
        "groups": group_table(networks, setting.people.get("test", {}), setting.units),
        "front": front and _guarded(files, "search", lambda: front_table(front, setting.units)),
        "updates": counted and counted[1],
        "ranking": study and _guarded(files, "correlate", lambda: ranking_table(study, setting.units)),
        **(_guarded(files, "retrain", lambda: cost_tables(files, setting, results, factors)) or {}),
    }
    return RunReport(
        name=files.name,
        objectives=names.measured,
        setting=setting,
        networks=networks,
        choice=choice,
        standing=standing(networks, choice.chosen[0].label) if choice.chosen else None,
        front=front if tables["front"] else None,
        reliability=files.record(SearchReliability, layout.search.reliability),
        ranking=study and _guarded(files, "correlate", lambda: ranked_sample(study)),
        updates=counted and counted[0],
        factors=factors,
        studies=studies,
        tables={name: content for name, content in tables.items() if content and content.rows},
        pictures=_read_pictures(files, pictures),
        problems=files.problems,
        beginnings=beginnings(files),
    )


def _read_pictures(files: RunFiles, paths: Mapping[str, Path]) -> dict[str, bytes]:
    pictures = {}
    for name, path in paths.items():
        try:
            pictures[name] = path.read_bytes()
        except OSError as error:
            if "/" in name or path.exists():
                files.add_problem(f"{files.shown(path)} cannot be read: {reason(error)}")
    return pictures


def _guarded(files: RunFiles, stage: str, section: Callable[[], Any]) -> Any:
    """What a section makes of the files of its stage; None where these are damaged, which is told."""
    try:
        return section()
    except DAMAGE as error:
        text = f"files of {stage} are damaged or of another version ({reason(error)}); run 'dualfair {stage}' again"
        files.add_problem(text)
        return None
