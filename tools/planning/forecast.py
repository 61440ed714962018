"""The forecast of a run: work by formula times what was measured, stage by stage.

Work is floating-point operations, two a multiply-accumulate (`evaluation.cost`); backward costs twice forward. A random
genotype stands for all that a stage passes through: strict fairness takes every operation equally often.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from dualfair.evaluation.cost import expected_macs
from dualfair.evaluation.scoring.sharing import expected_work
from dualfair.planning.measurement import Measurement, Span
from dualfair.planning.memory import StageMemory
from dualfair.planning.options import PlanOptions, kilograms, kilowatt_hours
from dualfair.planning.workload import Workload
from dualfair.stages.confirm import GENOTYPES_A_CALL
from dualfair.stages.search import FREE
from dualfair.supernet.training.recipe import Recipe

FORWARD = 2
"""FLOPs a MAC of a forward pass."""
TRAINING = 6
"""FLOPs a MAC of a forward and a backward pass."""
RANKED_AGAIN = 2
"""A confirmed network's faces are ranked once to be judged and once for the intervals."""
NOTHING = Span(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class StageForecast:
    """One stage: what it does in words, FLOPs, seconds on one device, wall-clock seconds on all of them.

    `memory` is None where it was not counted.
    """

    name: str
    work: str
    flops: float
    seconds: Span
    wall_seconds: Span
    memory: StageMemory | None


@dataclass(frozen=True)
class Forecast:
    """All stages of a run on `device`, and what they come to. Energy and emissions are those of all devices until the
    last one is done."""

    device: str
    stages: tuple[StageForecast, ...]
    options: PlanOptions
    seconds: Span
    wall_seconds: Span
    kwh: Span
    kg_co2eq: Span
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
    options, team, generations = options or PlanOptions(), workload.retraining.ranks_per_job, workload.generations
    devices = options.devices

    def data_parallel(of_devices: int) -> float:
        return 1.0 if of_devices == 1 else 1 / (of_devices * options.efficiency)

    rounds_of_search = sum(math.ceil(size / devices) for size in generations)
    rounds_of_trainings = math.ceil(workload.trainings / (devices // team))
    shares = {
        "train": data_parallel(devices),
        "search": rounds_of_search / sum(generations),
        "retrain": rounds_of_trainings / workload.trainings * data_parallel(team),
    }
    stages = []
    for name, of_stage in {"train": _train, "search": _search, "retrain": _retrain}.items():
        words, flops, seconds = of_stage(workload, measured)
        stage_memory = memory[name] if memory else None
        stages.append(StageForecast(name, words, flops, seconds, seconds * shares[name], stage_memory))
    wall_seconds = sum((stage.wall_seconds for stage in stages), NOTHING)
    return Forecast(
        device,
        tuple(stages),
        options,
        sum((stage.seconds for stage in stages), NOTHING),
        wall_seconds,
        kwh=wall_seconds * kilowatt_hours(devices, options.watts),
        kg_co2eq=wall_seconds * kilograms(devices, options.watts, options.grams_per_kwh / 1000),
        repetitions=measured.repetitions,
    )


Costs = tuple[str, float, Span]
"""What a stage does in words, its FLOPs, and seconds on one device."""


def _train(workload: Workload, measured: Measurement) -> Costs:
    """All steps of the supernet, or of several."""
    steps, paths, supernets = workload.supernet_steps, workload.paths, workload.supernets
    several = f"{supernets} supernets, each " if supernets > 1 else ""
    words = f"{several}{steps:,} steps of {paths} paths x {workload.train.batch} images ({workload.sampler})"
    steps *= supernets
    return words, training_flops(workload, workload.train, steps * paths), measured.train_step * steps


def _search(workload: Workload, measured: Measurement) -> Costs:
    """The search: its evaluations and the errors to beat, and the confirmation of its front."""
    evaluations, calibrate, images = workload.evaluations, workload.protocol.calibrate, workload.searched
    words = (
        f"{evaluations:,} evaluations, each on {calibrate:,} images for BN statistics and {images:,} "
        f"{workload.faces.scored}"
    )
    scoring = partial(_scoring, workload, measured)
    expected = partial(expected_work, workload.space, workload.skeleton, at_once=GENOTYPES_A_CALL)
    macs = sum(expected(size) * times for size, times in Counter(workload.generations).items())
    # Of the errors to beat only that of an untrained network takes a pass.
    macs += expected_macs(workload.space, workload.skeleton)
    flops, seconds = scoring(macs, calibrate, images, evaluations + len(FREE))
    flops, seconds = flops * workload.supernets, seconds * workload.supernets
    if confirmations := workload.confirmations:
        calibrate, images = workload.confirmation_calibrate(calibrate), workload.faces.confirmation
        words += f"; {confirmations:,} confirmed, each on {calibrate:,} and {images:,} {workload.faces.kept}"
        more, longer = scoring(expected(confirmations), calibrate, images, RANKED_AGAIN * confirmations)
        flops, seconds = flops + more, seconds + longer
    return words, flops, seconds


def _retrain(workload: Workload, measured: Measurement) -> Costs:
    """Every training of a standalone network, and what it takes to judge it on every split."""
    steps, trainings = workload.standalone_steps, workload.trainings
    flops, seconds = training_flops(workload, workload.retrain, steps), measured.retrain_step * steps
    mean = expected_macs(workload.space, workload.skeleton)
    for images in workload.evaluated:
        more, longer = _scoring(workload, measured, mean, workload.protocol.calibrate, images, 1)
        flops, seconds = flops + more, seconds + longer
    words = (
        f"{trainings} trainings ({workload.networks} networks x {workload.retraining.seeds} seeds), each {steps:,} "
        f"steps x {workload.retrain.batch} images, and judged on {sum(workload.evaluated):,}"
    )
    return words, flops * trainings, seconds * trainings


def _scoring(
    workload: Workload, measured: Measurement, macs: float, calibrate: int, images: int, judgings: int
) -> tuple[float, Span]:
    """FLOPs and seconds of scoring on so many images, that takes `macs` MACs an image, and of so many judgings."""
    passed = macs * (calibrate + workload.faces.passes * images)
    judging = measured.judging * (workload.faces.comparisons(images) * judgings)
    return FORWARD * passed, measured.scoring * passed + judging


def training_flops(workload: Workload, recipe: Recipe, passes: int) -> float:
    """FLOPs of so many passes of a batch along a path, each whole, with the class weights."""
    lengths = workload.embedding_lengths
    path = expected_macs(workload.space, workload.skeleton) + workload.faces.classes * sum(lengths) / len(lengths)
    return TRAINING * path * recipe.batch * passes
