"""The forecast of a run: work by formula times what was measured, stage by stage."""

from collections.abc import Mapping
from dataclasses import dataclass

from dualfair.evaluation.scoring.embedding import MIRRORED
from dualfair.planning.flops import FORWARD, expected_macs, population_macs, search_macs, training_flops
from dualfair.planning.measurement import Measurement
from dualfair.planning.memory import StageMemory
from dualfair.planning.options import PlanOptions
from dualfair.planning.spans import NOTHING, Span, data_parallel, kilograms, kilowatt_hours, rounds
from dualfair.planning.workload import Workload
from dualfair.stages.search import FREE

RANKED_AGAIN = 2
"""A confirmed network's faces are ranked once to be judged and once for the intervals."""


@dataclass(frozen=True)
class StageForecast:
    """One stage: what it does in words and in numbers, FLOPs, seconds on one device, wall-clock seconds on all of them.

    `memory` is None where it was not counted.
    """

    name: str
    work: str
    counts: Mapping[str, int]
    flops: float
    seconds: Span
    wall_seconds: Span
    memory: StageMemory | None


@dataclass(frozen=True)
class Forecast:
    """All stages of a run on `device`, and what they come to.

    Energy and emissions are those of all devices until the last one is done. `scratch_seconds` is the time, on one
    device, of training every network that the search scores from scratch instead, once each.
    """

    device: str
    stages: tuple[StageForecast, ...]
    options: PlanOptions
    seconds: Span
    wall_seconds: Span
    kwh: Span
    kg_co2eq: Span
    scratch_networks: int
    scratch_seconds: Span
    repetitions: Mapping[str, int]


def forecast(
    workload: Workload,
    measured: Measurement,
    memory: Mapping[str, StageMemory] | None = None,
    options: PlanOptions | None = None,
    device: str = "",
) -> Forecast:
    """What the stages of `workload` cost on the device that was `measured`, and on as many as `options` says.

    Training is data parallel. A generation of the search is shared out by genotypes, and standalone trainings are
    whole jobs: both go by rounds. The search is priced for random populations, which share fewest prefixes, and
    retrained networks for the space's mean cost.
    """
    options = options or PlanOptions()
    devices, efficiency, team = options.devices, options.efficiency, workload.retraining.ranks_per_job
    generations = workload.generations
    shares = {
        "train": data_parallel(devices, efficiency),
        "search": sum(size * rounds(size, devices) for size in generations) / sum(generations),
        "retrain": rounds(workload.trainings, devices // team) * data_parallel(team, efficiency),
    }
    stages = []
    for name, of_stage in {"train": _train, "search": _search, "retrain": _retrain}.items():
        work, counts, flops, seconds = of_stage(workload, measured)
        stage_memory = memory[name] if memory else None
        stages.append(StageForecast(name, work, counts, flops, seconds, seconds * shares[name], stage_memory))
    wall_seconds = sum((stage.wall_seconds for stage in stages), NOTHING)
    device_seconds = wall_seconds * devices
    return Forecast(
        device,
        tuple(stages),
        options,
        sum((stage.seconds for stage in stages), NOTHING),
        wall_seconds,
        kwh=device_seconds * kilowatt_hours(1, options.watts),
        kg_co2eq=device_seconds * kilograms(1, options.watts, options.grams_per_kwh / 1000),
        scratch_networks=workload.evaluations,
        scratch_seconds=measured.retrain_step * (workload.standalone_steps * workload.evaluations),
        repetitions=measured.repetitions,
    )


Work = tuple[str, dict[str, int], float, Span]
"""What a stage does in words and in numbers, its FLOPs, and seconds on one device."""


def _train(workload: Workload, measured: Measurement) -> Work:
    """All steps of the supernet."""
    steps, paths, batch = workload.supernet_steps, workload.paths, workload.train.batch
    words = f"{steps:,} steps of {paths} paths x {batch} images ({workload.sampler})"
    flops = training_flops(workload, workload.train, steps * paths)
    return words, {"steps": steps, "paths": paths, "batch": batch}, flops, measured.train_step * steps


def _search(workload: Workload, measured: Measurement) -> Work:
    """The search: its evaluations and the errors to beat, and the confirmation of its front."""
    evaluations, calibrate, images = workload.evaluations, workload.protocol.calibrate, workload.searched
    words = f"{evaluations:,} evaluations, each on {calibrate:,} images for BN statistics and {images:,} mirrored ones"
    counts = {"evaluations": evaluations, "calibration_images": calibrate, "validation_images": images}
    # Of the errors to beat only that of an untrained network takes a pass.
    macs = search_macs(workload) + expected_macs(workload.space, workload.skeleton)
    flops, seconds = _scoring(measured, macs, calibrate, images, evaluations + len(FREE))
    counts["confirmations"] = confirmations = workload.confirmations
    if confirmations:
        calibrate, images = workload.confirmation_calibrate, workload.faces.confirmation
        words += f"; {confirmations:,} confirmed, each on {calibrate:,} and {images:,} mirrored ones"
        words += " of people kept for that"
        counts |= {"confirmation_calibration_images": calibrate, "confirmation_images": images}
        macs = population_macs(workload, confirmations)
        more, longer = _scoring(measured, macs, calibrate, images, RANKED_AGAIN * confirmations)
        flops, seconds = flops + more, seconds + longer
    return words, counts, flops, seconds


def _retrain(workload: Workload, measured: Measurement) -> Work:
    """Every training of a standalone network, and what it takes to judge it on every split."""
    steps, batch, trainings = workload.standalone_steps, workload.retrain.batch, workload.trainings
    networks, seeds = workload.networks, workload.retraining.seeds
    flops, seconds = training_flops(workload, workload.retrain, steps), measured.retrain_step * steps
    mean = expected_macs(workload.space, workload.skeleton)
    for images in workload.evaluated:
        more, longer = _scoring(measured, mean, workload.protocol.calibrate, images, 1)
        flops, seconds = flops + more, seconds + longer
    words = (
        f"{trainings} trainings ({networks} networks x {seeds} seeds), each {steps:,} steps x {batch} images, and "
        f"judged on {sum(workload.evaluated):,}"
    )
    counts = {"trainings": trainings, "networks": networks, "seeds": seeds, "steps": steps, "batch": batch}
    return words, counts, flops * trainings, seconds * trainings


def _scoring(measured: Measurement, macs: float, calibrate: int, images: int, judgings: int) -> tuple[float, Span]:
    """FLOPs and seconds of scoring on so many images, that takes `macs` MACs an image, and of so many judgings."""
    passed = macs * (calibrate + MIRRORED * images)
    return FORWARD * passed, measured.scoring * passed + measured.judging * (images**2 * judgings)
