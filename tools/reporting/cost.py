"""What a run has cost, and what training every candidate from scratch would have: hours, FLOPs, energy, emissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dualfair.planning.report import duration
from dualfair.planning.spans import STUDY_KG_PER_KWH, STUDY_WATTS, kilograms, kilowatt_hours
from dualfair.presentation.format import number
from dualfair.presentation.table import Column, Table, table
from dualfair.reporting.setting import Setting
from dualfair.runs.layout import StudyLayout, TrainingsLayout
from dualfair.runs.records.search import Front, SearchConfig
from dualfair.runs.records.study import StudyReport
from dualfair.runs.records.training import RetrainConfig, TrainingResult
from dualfair.runs.run_files import RunFiles, reason
from dualfair.supernet.families.backbone import Backbone
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


@dataclass(frozen=True)
class _Spent:
    """What a stage took: so many of what it makes, seconds of one device, FLOPs (None where they cannot be told)."""

    what: str
    count: int | None
    seconds: float
    flops: float | None


def cost_section(files: RunFiles, setting: Setting, results: Sequence[TrainingResult], factors: Factors) -> dict:
    """What was spent, stage by stage, beside what training every candidate from scratch once would cost.

    {"factors", "spent": table (stage, count, device hours, FLOPs, kWh, kg CO2eq) with a sum, "instead": table of the
    same for all networks that the search scored and for the whole space, None without a measured training,
    "seconds_each" of a training, "supernet_hours": of train and search together}. A device hour is one device at work
    for an hour; FLOPs are 2 a multiply-accumulate, backward twice forward, None where they cannot be told.
    """
    layout = files.layout
    train, search = _train(files, setting), _search(files)
    trainings = _trainings(files, setting, layout.retrain), _trainings(files, setting, layout.short)
    studies = (cost for study in layout.studies() for cost in _of_study(files, setting, study))
    stages = [stage for stage in (train, search, *trainings, *studies) if stage]
    seconds = [result.seconds for result in results if number(result.seconds) is not None]
    flops = [stage.flops for stage in stages]
    total = _Spent("together", None, sum(stage.seconds for stage in stages), None if None in flops else sum(flops))
    each = sum(seconds) / len(seconds) if seconds else None
    supernet = train.seconds + search.seconds if train and search else None
    return {
        "factors": {"watts": factors.watts, "kg_per_kwh": factors.kg_per_kwh},
        "spent": _table([*stages, total] if stages else [], factors),
        "seconds_each": each,
        "trainings": len(seconds),
        "supernet_hours": None if supernet is None else supernet / 3600,
        "instead": None if each is None else _instead(files, setting, each, factors, supernet),
    }


def _instead(files: RunFiles, setting: Setting, each: float, factors: Factors, supernet: float | None) -> Table:
    """The cost of training all candidates, `each` seconds, beside the seconds of train and search."""
    config = files.record(SearchConfig, files.layout.search.config)
    counts = {"every network that the search scored": config.evaluations if config else None}
    counts["every network of the space"] = setting.space.size if setting.space else None
    mean = _standalone_flops(files, setting)
    rows = [
        _Spent(name, n, n * each, None if mean is None else n * mean) for name, n in counts.items() if n is not None
    ]
    costs = _table(rows, factors)
    times = [None if not supernet else row.seconds / supernet for row in rows]
    columns = [*costs.columns, Column("times train and search", "compact")]
    caption = f"Instead: training from scratch, once each, {duration(each)} a training"
    return table(columns, [[*row, more] for row, more in zip(costs.rows, times, strict=True)], caption)


def _table(spent: Sequence[_Spent], factors: Factors) -> Table:
    columns = [Column("what", "text"), Column("count", "whole")]
    columns += [Column(name, "compact") for name in ("device hours", "FLOPs", "kWh", "kg CO2eq")]
    rows = []
    for row in spent:
        energy = kilowatt_hours(row.seconds, factors.watts), kilograms(row.seconds, factors.watts, factors.kg_per_kwh)
        rows.append([row.what, row.count, row.seconds / 3600, row.flops, *energy])
    return table(columns, rows, "Spent; a device hour is one device at work for an hour")


def _train(files: RunFiles, setting: Setting) -> _Spent | None:
    """Steps, device seconds and FLOPs of training the supernet."""
    from dualfair.planning.flops import TRAINING
    from dualfair.runs.architectures import open_sampler

    if (record := _newest(files, files.layout.train.folder)) is None:
        return None
    flops = None
    if (path := _path_macs(setting)) is not None:
        sizes = setting.space.sizes
        try:
            paths = open_sampler(setting.config.options.sampler, sizes)(sizes, 0).paths_per_step
            flops = TRAINING * path * setting.config.recipe.batch * record.step * paths
        except ValueError as error:
            files.add_problem(f"the FLOPs of training are not known ({reason(error)})")
    return _Spent("train: steps", record.step, record.seconds * record.ranks, flops)


def _search(files: RunFiles) -> _Spent | None:
    """Scores, seconds and FLOPs of the search and of confirming its front; FLOPs as if scored one by one."""
    from dualfair.planning.flops import FORWARD
    from dualfair.planning.forecast import MIRRORED

    layout = files.layout.search
    measured = _glance(files, layout.scores)
    if not measured:
        return None
    front, rows, flops = files.record(Front, layout.front), files.csv(layout.scores_table), None
    if front and rows and "macs" in rows[0]:
        macs = [number(row[rows[0].index("macs")]) or 0.0 for row in rows[1:]]
        flops = FORWARD * sum(macs) * (front.config.protocol.calibrate + MIRRORED * front.images)
        if confirmation := front.confirmation:
            again = confirmation.candidates + confirmation.random_subnets
            images = confirmation.calibrate + MIRRORED * confirmation.images
            flops += FORWARD * sum(macs) / max(len(macs), 1) * again * images
    count = sum(evaluations for evaluations, _ in measured.values())
    return _Spent("search: scores", count, sum(n * seconds for n, seconds in measured.values()), flops)


def _trainings(files: RunFiles, setting: Setting, stage: TrainingsLayout) -> _Spent | None:
    """Trainings with a result, their device seconds and FLOPs."""
    count, spent, flops = 0, 0.0, 0.0
    for path, result in files.results(stage).items():
        if number(result.seconds) is None:
            continue
        record, batch = _newest(files, path.parent), _batch(files, stage)
        of_training = _training_flops(setting, result, record, batch)
        count, spent = count + 1, spent + result.seconds * (record.ranks if record else 1)
        flops = None if of_training is None or flops is None else flops + of_training
    return _Spent(f"{stage.name}: trainings", count, spent, flops) if count else None


def _batch(files: RunFiles, stage: TrainingsLayout) -> int | None:
    """Images of a step of the trainings of a stage."""
    for layout in (stage, files.layout.retrain):
        if config := files.record(RetrainConfig, layout.config):
            return config.recipe.batch
    return None


def _of_study(files: RunFiles, setting: Setting, study: StudyLayout) -> list[_Spent]:
    """What a study says that it took, and the trainings in its folder."""
    report = files.record(StudyReport, study.report)
    costs = report.costs if report else ()
    costs = [_Spent(f"{study.name}: {cost.what}", cost.count, cost.seconds, None) for cost in costs]
    trainings = _trainings(files, setting, study)
    return [*costs, trainings] if trainings else costs


def _standalone_flops(files: RunFiles, setting: Setting) -> float | None:
    """FLOPs of training the space's mean network as the first network with a checkpoint was trained."""
    from dualfair.planning.flops import TRAINING

    batch = _batch(files, files.layout.retrain)
    newest = (_newest(files, folder) for folder in files.layout.retrain.folders())
    record = next((record for record in newest if record), None)
    path = _path_macs(setting)
    return None if record is None or path is None or not batch else TRAINING * path * batch * record.step


def _training_flops(setting: Setting, result: TrainingResult, record: Record | None, batch: int | None) -> float | None:
    """FLOPs of a training up to its newest checkpoint, None where something of it is not known."""
    from dualfair.evaluation.cost import macs
    from dualfair.planning.flops import TRAINING

    people, network = setting.count("train"), result.training.network
    if record is None or setting.skeleton is None or not batch or not people or isinstance(network, Backbone):
        return None
    try:
        path = macs(network, setting.skeleton) + people * setting.skeleton.embedding
    except ValueError:
        return None
    return TRAINING * path * batch * record.step


def _path_macs(setting: Setting) -> float | None:
    """MACs of an image along the mean path of the space, with the class weights of the people."""
    from dualfair.planning.flops import expected_macs

    people = setting.count("train")
    if setting.space is None or setting.skeleton is None or not people:
        return None
    return expected_macs(setting.space, setting.skeleton) + people * setting.skeleton.embedding


def _newest(files: RunFiles, folder: Path) -> Record | None:
    """The record of a folder's newest checkpoint, None where there is none."""
    paths = checkpoints(folder)
    try:
        return read_record(paths[-1]) if paths else None
    except ValueError as error:
        files.add_problem(f"{files.shown(paths[-1])}: {reason(error)}")
        return None


def _glance(files: RunFiles, path: Path) -> Mapping[str, tuple[int, float]]:
    """Evaluations and mean seconds by measurement, empty where there is no archive."""
    from dualfair.evolution.storage import glance

    if not path.is_file():
        return {}
    try:
        return {name: (n, seconds or 0.0) for name, n, seconds in glance(path) if n}
    except ValueError as error:
        files.add_problem(f"{files.shown(path)} cannot be read: {reason(error)}")
        return {}
