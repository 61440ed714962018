"""The forecast of a run: work by formula times what was measured, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from dualfair.planning.flops import FORWARD, confirmation_macs, expected_macs, search_macs, training_flops
from dualfair.planning.measurement import Measurement
from dualfair.planning.memory import StageMemory
from dualfair.planning.spans import (
    NOTHING,
    STUDY_KG_PER_KWH,
    STUDY_WATTS,
    Span,
    data_parallel,
    kilograms,
    kilowatt_hours,
    whole_jobs,
)
from dualfair.planning.workload import Workload

MIRRORED = 2
"""Every scored image passes with its mirror image."""
RANKED_AGAIN = 2
"""A confirmed network's faces are ranked once to be judged and once for the intervals."""
CORRELATIONS = 12
"""What stage 4 correlates: two measures on two splits, with the inherited score, with parameters and with MACs."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a forecast assumes: number of devices, what each adds when training is shared out, power and carbon."""

    devices: int = 1
    efficiency: float = 0.9
    watts: float = STUDY_WATTS
    kg_per_kwh: float = STUDY_KG_PER_KWH

    def __post_init__(self) -> None:
        if self.devices < 1:
            raise ValueError(f"devices must be 1 or more, got {self.devices}")
        if not 0 < self.efficiency <= 1:
            raise ValueError(f"efficiency must be above 0 and at most 1, got {self.efficiency}")
        for name in ("watts", "kg_per_kwh"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")

    def check(self, workload: Workload) -> None:
        """Raise ValueError when the devices cannot be divided into the teams that the workload trains by."""
        if self.devices % workload.ranks_per_job:
            raise ValueError(f"ranks_per_job must divide the {self.devices} devices, got {workload.ranks_per_job}")


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
    shares = {
        "train": data_parallel(terms.devices, terms.efficiency),
        "search": whole_jobs(max(workload.calls), terms.devices),
        "retrain": whole_jobs(workload.trainings, terms.devices, workload.ranks_per_job, terms.efficiency),
        "correlate": 1.0,
    }
    together = {"train": terms.devices, "retrain": workload.ranks_per_job}
    stages = []
    for name, (work, counts, flops, seconds) in _stages(workload, measured).items():
        team = together.get(name, 1)
        at_work = seconds * (team * data_parallel(team, terms.efficiency))
        wall = seconds * shares[name]
        stages.append(StageForecast(name, work, counts, flops, seconds, wall, at_work, memory.get(name)))
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


def _stages(workload: Workload, measured: Measurement) -> dict[str, tuple[str, dict[str, int], float, Span]]:
    """Work in words and in numbers, FLOPs and seconds on one device, by stage."""
    faces, mean = workload.faces, expected_macs(workload.space, workload.skeleton)
    steps, again = workload.supernet_steps, workload.standalone_steps
    judged = MIRRORED * (faces.validation + faces.test)
    standalone = training_flops(workload, workload.retrain, again) + FORWARD * mean * (2 * workload.calibrate + judged)
    return {
        "train": (
            f"{steps:,} steps of {workload.paths} paths x {workload.train.batch} images ({workload.sampler})",
            {"steps": steps, "paths": workload.paths, "batch": workload.train.batch},
            training_flops(workload, workload.train, steps * workload.paths),
            measured.train_step * steps,
        ),
        "search": _search(workload, measured, mean),
        "retrain": (
            f"{workload.trainings} trainings ({workload.networks} networks x {workload.seeds} seeds), each {again:,} "
            f"steps x {workload.retrain.batch} images, and judged on {faces.validation + faces.test:,}",
            {
                "trainings": workload.trainings,
                "networks": workload.networks,
                "seeds": workload.seeds,
                "steps": again,
                "batch": workload.retrain.batch,
            },
            standalone * workload.trainings,
            (_training(workload, measured) + _judged_standalone(workload, measured, mean)) * workload.trainings,
        ),
        "correlate": (
            f"{CORRELATIONS} correlations over {workload.networks} networks, with bootstrap",
            {"correlations": CORRELATIONS, "networks": workload.networks},
            0.0,
            measured.correlation * CORRELATIONS,
        ),
    }


def _search(workload: Workload, measured: Measurement, mean: float) -> tuple[str, dict[str, int], float, Span]:
    """The search as of `_stages`: its evaluations and the two errors to beat, and the confirmation of its front."""
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
    seconds = _scoring(workload, measured, macs, workload.evaluations + 2)
    if not workload.confirmations:
        return words, counts, flops, seconds
    again, macs = workload.confirming, confirmation_macs(workload)
    words += (
        f"; {workload.confirmations:,} confirmed, each on {again.calibrate:,} and {again.searched:,} mirrored ones of "
        "people kept for that"
    )
    counts |= {"confirmation_calibration_images": again.calibrate, "confirmation_images": again.searched}
    flops += _scoring_flops(again, macs)
    return words, counts, flops, seconds + _scoring(again, measured, macs, RANKED_AGAIN * workload.confirmations)


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


def _judged_standalone(workload: Workload, measured: Measurement, mean: float) -> Span:
    """Seconds of calibrating, embedding and judging a standalone network on validation and on test faces."""
    spent = NOTHING
    for images in (workload.faces.validation, workload.faces.test):
        spent += measured.calibration * (mean * workload.calibrate) + measured.embedding * (mean * MIRRORED * images)
        spent += _judging(workload, measured, images)
    return spent


def _sum(spans) -> Span:
    return sum(spans, NOTHING)


def _each(span: Span, of) -> Span:
    return Span(of(span.low), of(span.middle), of(span.high))
