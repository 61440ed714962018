"""The forecast of a run: work by formula times what was measured, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from dualfair.evaluation.scoring.embedding import MIRRORED
from dualfair.planning.flops import FORWARD, confirmation_macs, expected_macs, search_macs, training_flops
from dualfair.planning.measurement import Measurement
from dualfair.planning.memory import StageMemory
from dualfair.planning.options import Terms
from dualfair.planning.spans import (
    NOTHING,
    Span,
    data_parallel,
    kilograms,
    kilowatt_hours,
    whole_jobs,
)
from dualfair.planning.workload import Workload
from dualfair.runs.records.training import MEASURES, SPLITS
from dualfair.stages.correlate import BASELINES
from dualfair.stages.search_announcement import FREE

RANKED_AGAIN = 2
"""A confirmed network's faces are ranked once to be judged and once for the intervals."""
CORRELATIONS = len(MEASURES) * len(SPLITS) * (1 + len(BASELINES))
"""What stage 4 correlates: every measure on every split, with the inherited score and with its baselines."""


@dataclass(frozen=True)
class StageForecast:
    """One stage: what it does in words and in numbers, FLOPs, seconds on one device, wall-clock seconds on all of them.

    `device_seconds` are those that all devices together are at work. `memory` is None where it does not matter.
    """

    name: str
    work: str
    counts: Mapping[str, int]
    flops: float
    seconds: Span
    wall_seconds: Span
    device_seconds: Span
    memory: StageMemory | None


@dataclass(frozen=True)
class Forecast:
    """All stages of a run, and what they come to. `scratch_seconds` is the time, on one device, of training every
    network that the search scores from scratch instead, once each."""

    stages: tuple[StageForecast, ...]
    terms: Terms
    seconds: Span
    wall_seconds: Span
    device_seconds: Span
    kwh: Span
    kg_co2eq: Span
    scratch_networks: int
    scratch_seconds: Span
    repetitions: Mapping[str, int]

    def to_dict(self) -> dict:
        """All numbers, for JSON; seconds, bytes, kWh and kg CO2eq."""
        return asdict(self)


def forecast(
    workload: Workload,
    measured: Measurement,
    memory: Mapping[str, StageMemory] | None = None,
    terms: Terms | None = None,
) -> Forecast:
    """What the stages of `workload` cost on the device that was `measured`, and on as many as `terms` says.

    Training is data parallel. A generation of the search is shared out by genotypes, and standalone trainings are
    whole jobs: both go by rounds. The search is priced for random populations, which share fewest prefixes, and
    retrained networks for the space's mean cost.
    """
    terms, memory = terms or Terms(), memory or {}
    terms.check(workload)
    # An exhaustive search scores a call's genotypes on every device at once.
    scored_together = max(workload.calls) * (terms.devices if workload.exhaustive else 1)
    shares = {
        "train": data_parallel(terms.devices, terms.efficiency),
        "search": whole_jobs(scored_together, terms.devices),
        "retrain": whole_jobs(workload.trainings, terms.devices, workload.ranks_per_job, terms.efficiency),
        "correlate": 1.0,
    }
    teams = {"train": terms.devices, "retrain": workload.ranks_per_job}
    stages = []
    for name, work in _stages(workload, measured).items():
        team = teams.get(name, 1)
        stages.append(
            StageForecast(
                name,
                work.words,
                work.counts,
                work.flops,
                work.seconds,
                wall_seconds=work.seconds * shares[name],
                device_seconds=work.seconds * (team * data_parallel(team, terms.efficiency)),
                memory=memory.get(name),
            )
        )
    device_seconds = _sum(stage.device_seconds for stage in stages)
    return Forecast(
        tuple(stages),
        terms,
        _sum(stage.seconds for stage in stages),
        _sum(stage.wall_seconds for stage in stages),
        device_seconds,
        _each(device_seconds, lambda seconds: kilowatt_hours(seconds, terms.watts)),
        _each(device_seconds, lambda seconds: kilograms(seconds, terms.watts, terms.kg_per_kwh)),
        workload.evaluations,
        _training(workload, measured) * workload.evaluations,
        measured.repetitions,
    )


@dataclass(frozen=True)
class _Work:
    """What a stage does in words and in numbers, its FLOPs, and seconds on one device."""

    words: str
    counts: Mapping[str, int]
    flops: float
    seconds: Span


def _stages(workload: Workload, measured: Measurement) -> dict[str, _Work]:
    """The work of every stage by its name."""
    mean = expected_macs(workload.space, workload.skeleton)
    steps, standalone_steps = workload.supernet_steps, workload.standalone_steps
    splits = _split_sizes(workload)
    evaluated = len(splits) * workload.calibrate + MIRRORED * sum(splits)
    flops_of_training = training_flops(workload, workload.retrain, standalone_steps) + FORWARD * mean * evaluated
    return {
        "train": _Work(
            f"{steps:,} steps of {workload.paths} paths x {workload.train.batch} images ({workload.sampler})",
            {"steps": steps, "paths": workload.paths, "batch": workload.train.batch},
            training_flops(workload, workload.train, steps * workload.paths),
            measured.train_step * steps,
        ),
        "search": _search(workload, measured, mean),
        "retrain": _Work(
            f"{workload.trainings} trainings ({workload.networks} networks x {workload.seeds} seeds), each "
            f"{standalone_steps:,} steps x {workload.retrain.batch} images, and judged on {sum(splits):,}",
            {
                "trainings": workload.trainings,
                "networks": workload.networks,
                "seeds": workload.seeds,
                "steps": standalone_steps,
                "batch": workload.retrain.batch,
            },
            flops_of_training * workload.trainings,
            (_training(workload, measured) + _evaluating(workload, measured, mean)) * workload.trainings,
        ),
        "correlate": _Work(
            f"{CORRELATIONS} correlations over {workload.networks} networks, with bootstrap",
            {"correlations": CORRELATIONS, "networks": workload.networks},
            0.0,
            measured.correlation * CORRELATIONS,
        ),
    }


def _search(workload: Workload, measured: Measurement, mean: float) -> _Work:
    """The search: its evaluations and the errors to beat, and the confirmation of its front."""
    # Of the errors to beat only that of an untrained network takes a pass.
    macs = search_macs(workload) + mean
    words = (
        f"{workload.evaluations:,} evaluations, each on {workload.calibrate:,} images for BN statistics and "
        f"{workload.searched:,} mirrored ones"
    )
    counts = {
        "evaluations": workload.evaluations,
        "calibration_images": workload.calibrate,
        "validation_images": workload.searched,
        "confirmations": workload.confirmations,
    }
    flops = _scoring_flops(workload, macs)
    seconds = _scoring(workload, measured, macs, workload.evaluations + len(FREE))
    if not workload.confirmations:
        return _Work(words, counts, flops, seconds)
    confirming, macs = workload.confirming, confirmation_macs(workload)
    words += (
        f"; {workload.confirmations:,} confirmed, each on {confirming.calibrate:,} and {confirming.searched:,} "
        "mirrored ones of people kept for that"
    )
    counts |= {"confirmation_calibration_images": confirming.calibrate, "confirmation_images": confirming.searched}
    flops += _scoring_flops(confirming, macs)
    seconds += _scoring(confirming, measured, macs, RANKED_AGAIN * workload.confirmations)
    return _Work(words, counts, flops, seconds)


def _scoring_flops(workload: Workload, macs: float) -> float:
    """FLOPs of scoring that takes `macs` MACs an image."""
    return FORWARD * macs * (workload.calibrate + MIRRORED * workload.searched)


def _scoring(workload: Workload, measured: Measurement, macs: float, judgings: int) -> Span:
    """Seconds of scoring that takes `macs` MACs an image, and of so many judgings."""
    images = MIRRORED * workload.searched
    scoring = measured.calibration * (macs * workload.calibrate) + measured.embedding * (macs * images)
    return scoring + _judging(workload, measured, workload.searched) * judgings


def _judging(workload: Workload, measured: Measurement, images: int) -> Span:
    """Seconds of one judging: all against all, and the galleries that the disparity is averaged over."""
    galleries = workload.gallery_images
    return measured.judging(images) + (measured.judging(galleries) * workload.galleries if galleries else NOTHING)


def _training(workload: Workload, measured: Measurement) -> Span:
    """Seconds of training one standalone network."""
    return measured.retrain_step * workload.standalone_steps


def _split_sizes(workload: Workload) -> list[int]:
    """How many images a standalone network is evaluated on, split by split."""
    return [getattr(workload.faces, split) for split in SPLITS]


def _evaluating(workload: Workload, measured: Measurement, mean: float) -> Span:
    """Seconds of calibrating, embedding and judging a standalone network on every split."""
    spent = NOTHING
    for images in _split_sizes(workload):
        spent += measured.calibration * (mean * workload.calibrate) + measured.embedding * (mean * MIRRORED * images)
        spent += _judging(workload, measured, images)
    return spent


def _sum(spans) -> Span:
    return sum(spans, NOTHING)


def _each(span: Span, of) -> Span:
    return Span(of(span.low), of(span.middle), of(span.high))
