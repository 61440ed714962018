"""What a run has cost, and what training every candidate by itself would have: device hours, energy, emissions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dualfair.evolution.storage import glance
from dualfair.planning.options import STUDY_KG_PER_KWH, STUDY_WATTS, duration, kilograms, kilowatt_hours
from dualfair.presentation.format import number
from dualfair.presentation.table import Column, Table, table
from dualfair.reporting.setting import Setting
from dualfair.runs.layout import TrainingsLayout
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.records.study import StudyCost, StudyReport
from dualfair.runs.records.training import TrainingResult
from dualfair.runs.run_files import RunFiles, reason
from dualfair.supernet.training.checkpoint import Record, checkpoints, read_record


@dataclass(frozen=True)
class Factors:
    """Power of a device in W and carbon intensity in kg CO2eq a kWh; by default those of the DPN study."""

    watts: float = STUDY_WATTS
    kg_per_kwh: float = STUDY_KG_PER_KWH

    def __post_init__(self) -> None:
        for name, value in (("watts", self.watts), ("grams-per-kwh", self.kg_per_kwh * 1000)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be a finite number of 0 or more, got {value:g}")


def cost_tables(
    files: RunFiles, setting: Setting, results: Sequence[TrainingResult], factors: Factors
) -> dict[str, Table]:
    """What was spent by every stage and together, "cost", and "cost-instead", what training from scratch all networks
    that the search scored and the whole space would have cost, by the mean of the run's own trainings.

    A device hour is one device at work for an hour. What was not measured is not there.
    """
    layout, train, search = files.layout, _train(files), _search(files)
    stages = [*train, *search, *_trainings(files, layout.retrain), *_trainings(files, layout.short)]
    stages += _trainings(files, layout.long)
    for study in layout.studies():
        report = files.record(StudyReport, study.report)
        named = (StudyCost(f"{study.name}: {of.what}", of.count, of.seconds) for of in (report.costs if report else ()))
        stages += [*named, *_trainings(files, study)]
    if not stages:
        return {}
    rows = [(stage.what, stage.count, stage.seconds) for stage in stages]
    rows.append(("together", None, sum(stage.seconds for stage in stages)))
    tables = {"cost": _table(rows, factors, "Spent; a device hour is one device at work for an hour")}
    seconds = [result.seconds for result in results if number(result.seconds) is not None]
    if seconds:
        each, supernet = sum(seconds) / len(seconds), sum(stage.seconds for stage in (*train, *search))
        config = files.record(SearchConfig, layout.search.config)
        counts = {"every network that the search scored": config and config.evaluations}
        counts["every network of the space"] = setting.space and setting.space.size
        rows = [(name, n, n * each) for name, n in counts.items() if n is not None]
        instead = _table(rows, factors, f"Instead: every network trained by itself, once, {duration(each)} a training")
        times = [row[2] * 3600 / supernet if train and search and supernet else None for row in instead.rows]
        columns = [*instead.columns, Column("times train and search", "compact")]
        rows = [[*row, more] for row, more in zip(instead.rows, times, strict=True)]
        tables["cost-instead"] = table(columns, rows, instead.caption)
    return tables


def _table(rows: Iterable[tuple[str, int | None, float]], factors: Factors, caption: str) -> Table:
    """Rows of what was done, how often, and the seconds of one device that it took."""
    columns = [Column("what", "text"), Column("count", "whole")]
    columns += [Column(name, "compact") for name in ("device hours", "kWh", "kg CO2eq")]
    watts, carbon = factors.watts, factors.kg_per_kwh
    priced = (
        [what, count, seconds / 3600, kilowatt_hours(seconds, watts), kilograms(seconds, watts, carbon)]
        for what, count, seconds in rows
    )
    return table(columns, priced, caption)


def _train(files: RunFiles) -> list[StudyCost]:
    """Steps and device seconds of training the supernet, and those of its folds; nothing without a checkpoint."""
    newest = [record for stage in files.layout.supernets() if (record := _newest(files, stage.folder))]
    seconds = sum(record.seconds * record.ranks for record in newest)
    return [StudyCost("train: steps", sum(record.step for record in newest), seconds)] if newest else []


def _search(files: RunFiles) -> list[StudyCost]:
    """Scores and seconds of the search and of confirming its front; nothing without an archive."""
    path = files.layout.search.scores
    try:
        measured = [(n, seconds or 0.0) for _, n, seconds in glance(path) if n] if path.is_file() else []
    except ValueError as error:
        files.add_problem(f"{files.shown(path)} cannot be read: {reason(error)}")
        return []
    scores = StudyCost("search: scores", sum(n for n, _ in measured), sum(n * seconds for n, seconds in measured))
    return [scores] if measured else []


def _trainings(files: RunFiles, stage: TrainingsLayout) -> list[StudyCost]:
    """Trainings with a result, and their device seconds; nothing without one."""
    spent = []
    for path, result in files.results(stage).items():
        if number(result.seconds) is not None:
            record = _newest(files, path.parent)
            spent.append(result.seconds * (record.ranks if record else 1))
    return [StudyCost(f"{stage.name}: trainings", len(spent), sum(spent))] if spent else []


def _newest(files: RunFiles, folder: Path) -> Record | None:
    """The record of a folder's newest checkpoint, None where there is none."""
    paths = checkpoints(folder)
    try:
        return read_record(paths[-1]) if paths else None
    except ValueError as error:
        files.add_problem(f"{files.shown(paths[-1])}: {reason(error)}")
        return None
