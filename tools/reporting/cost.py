"""What a run has cost, and what training every candidate from scratch would have: hours, FLOPs, energy, emissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dualfair.planning.spans import STUDY_KG_PER_KWH, STUDY_WATTS, kilograms, kilowatt_hours
from dualfair.reporting.networks import network_of
from dualfair.reporting.run_files import RunFiles, number, reason
from dualfair.reporting.setting import Setting
from dualfair.reporting.table import column, table
from dualfair.supernet.training.checkpoint import checkpoints, read_record


@dataclass(frozen=True)
class Factors:
    """Power of a device in W and carbon intensity in kg CO2eq a kWh; by default those of the DPN study."""

    watts: float = STUDY_WATTS
    kg_per_kwh: float = STUDY_KG_PER_KWH

    def __post_init__(self) -> None:
        for name, value in (("watts", self.watts), ("grams-per-kwh", self.kg_per_kwh * 1000)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be a finite number of 0 or more, got {value:g}")


def cost_section(run: RunFiles, setting: Setting, results: Sequence[Mapping], factors: Factors) -> dict:
    """What was spent, stage by stage, beside what training every candidate from scratch once would cost.

    {"factors", "spent": table (stage, count, device hours, FLOPs, kWh, kg CO2eq) with a sum, "instead": table of the
    same for all networks that the search scored and for the whole space, None without a measured training,
    "seconds_each" of a training, "supernet_hours": of train and search together}. A device hour is one device at work
    for an hour; FLOPs are 2 a multiply-accumulate, backward twice forward, None where they cannot be told.
    """
    train = _train(run, setting)
    search = _search(run)
    stages = [train, search, *_trainings(run, setting, "retrain"), *_trainings(run, setting, "short"), *_compare(run)]
    stages = [stage for stage in stages if stage]
    seconds = [found for result in results if (found := number(result.get("seconds"))) is not None]
    flops = [stage[3] for stage in stages]
    total = ["together", None, sum(stage[2] for stage in stages), None if None in flops else sum(flops)]
    each = sum(seconds) / len(seconds) if seconds else None
    cheap = [stage[2] for stage in (train, search) if stage]
    return {
        "factors": {"watts": factors.watts, "kg_per_kwh": factors.kg_per_kwh},
        "spent": _table([*stages, total] if stages else [], factors),
        "seconds_each": each,
        "trainings": len(seconds),
        "supernet_hours": sum(cheap) / 3600 if len(cheap) == 2 else None,
        "instead": None
        if each is None
        else _instead(run, setting, each, factors, sum(cheap) if len(cheap) == 2 else None),
    }


def _instead(run: RunFiles, setting: Setting, each: float, factors: Factors, cheap: float | None) -> dict:
    """The cost of training all candidates, `each` seconds, beside the `cheap` seconds of train and search."""
    counts = {"every network that the search scored": (run.json("search/config.json") or {}).get("evaluations")}
    counts["every network of the space"] = setting.space.size if setting.space else None
    mean = _standalone_flops(run, setting)
    rows = [[name, n, n * each, None if mean is None else n * mean] for name, n in counts.items() if isinstance(n, int)]
    found = _table(rows, factors)
    times = [None if not cheap else row[2] / cheap for row in rows]
    columns = [*found["columns"], column("times train and search", "compact")]
    return table(columns, [[*row, more] for row, more in zip(found["rows"], times, strict=True)])


def _table(rows: Sequence[Sequence], factors: Factors) -> dict:
    columns = [column("what", "text"), column("count", "whole"), column("device hours", "compact")]
    columns += [column("FLOPs", "compact"), column("kWh", "compact"), column("kg CO2eq", "compact")]
    return table(
        columns,
        [
            [
                *(name, count, seconds / 3600, flops),
                kilowatt_hours(seconds, factors.watts),
                kilograms(seconds, factors.watts, factors.kg_per_kwh),
            ]
            for name, count, seconds, flops in rows
        ],
    )


def _train(run: RunFiles, setting: Setting) -> list | None:
    """Steps, device seconds and FLOPs of training the supernet."""
    from dualfair.planning.flops import TRAINING
    from dualfair.supernet.training.sampling import paths_per_step

    if (record := _newest(run, run.path / "train")) is None:
        return None
    flops = None
    if (path := _path_macs(setting)) is not None:
        paths = paths_per_step(setting.config["sampler"], setting.space.sizes)
        flops = TRAINING * path * setting.config["batch"] * record.step * paths
    return ["train: steps", record.step, record.seconds * record.ranks, flops]


def _search(run: RunFiles) -> list | None:
    """Scores, seconds and FLOPs of the search and of confirming its front; FLOPs as if scored one by one."""
    from dualfair.planning.flops import FORWARD
    from dualfair.planning.forecast import MIRRORED

    measured = _glance(run, "search/scores.sqlite")
    if not measured:
        return None
    said, rows, flops = run.json("search/front.json"), run.csv("search/scores.csv"), None
    if said and rows and "macs" in rows[0]:
        macs = [number(row[rows[0].index("macs")]) or 0.0 for row in rows[1:]]
        flops = FORWARD * sum(macs) * (said["config"]["calibrate"] + MIRRORED * said["images"])
        if fresh := said["confirmation"]:
            again = fresh["candidates"] + fresh["random subnets"]
            images = fresh["calibrate"] + MIRRORED * fresh["images"]
            flops += FORWARD * sum(macs) / max(len(macs), 1) * again * images
    count = sum(evaluations for evaluations, _ in measured.values())
    return ["search: scores", count, sum(n * seconds for n, seconds in measured.values()), flops]


def _trainings(run: RunFiles, setting: Setting, folder: str) -> list[list]:
    """Trainings with a result, their device seconds and FLOPs."""
    count, spent, flops = 0, 0.0, 0.0
    for path in sorted((run.path / folder).glob("*/seed-*/result.json")):
        result = run.json(path.relative_to(run.path).as_posix()) or {}
        if (seconds := number(result.get("seconds"))) is None:
            continue
        record = _newest(run, path.parent)
        batch = (run.json(f"{folder}/config.json") or run.json("retrain/config.json") or {}).get("batch")
        own = _training_flops(setting, str(result.get("genotype")), record, batch)
        count, spent = count + 1, spent + seconds * (record.ranks if record else 1)
        flops = None if own is None or flops is None else flops + own
    return [[f"{folder}: trainings", count, spent, flops]] if count else []


def _compare(run: RunFiles) -> list[list]:
    """Scores that only the comparison with random search took, which begins with those of the search."""
    searched, compared = _glance(run, "search/scores.sqlite"), _glance(run, "compare/scores.sqlite")
    count, spent = 0, 0.0
    for name, (n, seconds) in compared.items():
        known, mean = searched.get(name, (0, 0.0))
        count, spent = count + max(n - known, 0), spent + max(n * seconds - known * mean, 0.0)
    return [["compare: further scores", count, spent, None]] if count else []


def _standalone_flops(run: RunFiles, setting: Setting) -> float | None:
    """FLOPs of training the space's mean network as the first network with a checkpoint was trained."""
    from dualfair.planning.flops import TRAINING

    batch = (run.json("retrain/config.json") or {}).get("batch")
    folders = sorted((run.path / "retrain").glob("*/seed-*"))
    record = next((found for folder in folders if (found := _newest(run, folder))), None)
    path = _path_macs(setting)
    return None if record is None or path is None or not batch else TRAINING * path * batch * record.step


def _training_flops(setting: Setting, genotype: str, record, batch: int | None) -> float | None:
    """FLOPs of a training up to its newest checkpoint, None where something of it is not known."""
    from dualfair.evaluation.cost import macs
    from dualfair.planning.flops import TRAINING

    people = setting.count("train")
    if record is None or setting.skeleton is None or not batch or not people:
        return None
    try:
        path = macs(network_of(genotype), setting.skeleton) + people * setting.skeleton.embedding
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


def _newest(run: RunFiles, folder: Path):
    """The record of a folder's newest checkpoint, None where there is none."""
    found = checkpoints(folder)
    try:
        return read_record(found[-1]) if found else None
    except ValueError as error:
        run.tell(f"{found[-1].relative_to(run.path).as_posix()}: {reason(error)}")
        return None


def _glance(run: RunFiles, file: str) -> dict[str, tuple[int, float]]:
    """Evaluations and mean seconds by measurement, empty where there is no archive."""
    from dualfair.evolution.archive import glance

    if not (run.path / file).is_file():
        return {}
    try:
        return {name: (n, seconds or 0.0) for name, n, seconds in glance(run.path / file) if n}
    except ValueError as error:
        run.tell(f"{file} cannot be read: {reason(error)}")
        return {}
