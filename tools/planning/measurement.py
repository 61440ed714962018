"""How fast this device is at what a run does: real steps, real scoring and real judging, for some seconds."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
import torch

from dualfair.evaluation.answers import answered
from dualfair.evaluation.cost import macs
from dualfair.evaluation.protocol import EvaluationProtocol, evaluate_faces
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import population_answers
from dualfair.evaluation.scoring.sharing import work
from dualfair.planning.workload import Workload
from dualfair.runs.architectures import open_sampler
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.noise import random_faces
from dualfair.supernet.network import Network, Supernet, build
from dualfair.supernet.training.recipe import AUTO, PATHS, Recipe
from dualfair.supernet.training.trainer import Trainer

SHARES = {"train": 0.4, "retrain": 0.25, "scoring": 0.25, "judging": 0.1}
"""How the measuring time is divided."""
REPETITIONS = 20
"""Of anything, at most."""
GENOTYPES = 4
"""Standalone networks that are timed, and genotypes of the population."""
FEW = 8
"""Images that are scored at least."""
JUDGED = 4000
"""Images that are judged at most."""


@dataclass(frozen=True)
class Span:
    """A number and its range; seconds unless said otherwise. Measured: median and quartiles."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Lower quartile, median and upper quartile of measured values; one value has no spread."""
        return cls(*(float(value) for value in np.quantile(np.asarray(values, dtype=np.float64), (0.25, 0.5, 0.75))))

    def __add__(self, other: Self) -> Self:
        """The sum; ranges add up too, as if all were high together, which is wider than independent errors."""
        return Span(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def __mul__(self, factor: float) -> Self:
        return Span(self.low * factor, self.middle * factor, self.high * factor)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Seconds, each with the quartiles of its repetitions.

    A step of the supernet and of a standalone network; scoring, an image that passes through a MAC of distinct
    prefixes, be it for BN statistics, to be embedded, or mirrored; a judging of one network, a comparison.
    `repetitions` by what was timed.
    """

    train_step: Span
    retrain_step: Span
    scoring: Span
    judging: Span
    repetitions: dict[str, int]


def measure(workload: Workload, device: torch.device, seconds: float, step: str = AUTO) -> Measurement:
    """Time everything that a run consists of, in about `seconds` in all, on random pixels at the run's own sizes; steps
    of the supernet go by `step`.

    What does not fit into its share of the time once is done once all the same; scoring then takes fewer images.
    """
    space, skeleton, identities = workload.space, workload.skeleton, workload.faces.classes
    share = {name: part * seconds for name, part in SHARES.items()}
    genotypes = average_genotypes(workload, GENOTYPES)
    supernet = Supernet(skeleton, identities, space.heads)
    of_space = {"space": space, "sampler": open_sampler(workload.sampler, space.sizes)}
    train = _step_times(supernet, workload.train, identities, device, share["train"], step, **of_space)
    # Ranks that share a job go path by path.
    retrain, of_network = [], AUTO if workload.retraining.ranks_per_job == 1 else PATHS
    for genotype in genotypes:
        network = build(genotype, skeleton, identities)
        retrain += _step_times(network, workload.retrain, identities, device, share["retrain"] / GENOTYPES, of_network)
    # Multiply-accumulates of a forward pass, of which backward takes two more, in a second of training.
    speed = 3 * macs(genotypes[0], skeleton) * workload.train.batch * workload.paths / float(np.median(train))
    scoring = _scoring_rates(supernet.eval(), genotypes, workload, device, share["scoring"], speed)
    judging = _judging_rates(workload, share["judging"])
    return Measurement(
        train_step=Span.of(train),
        retrain_step=Span.of(retrain),
        scoring=Span.of(scoring),
        judging=Span.of(judging),
        repetitions={
            "steps of the supernet": len(train),
            "steps of standalone networks": len(retrain),
            "scored populations": len(scoring),
            "judgings": len(judging),
        },
    )


def average_genotypes(workload: Workload, count: int) -> list[Genotype]:
    """Random genotypes whose cost is nearest to the mean of a hundred, so that few stand for all."""
    drawn = workload.space.sample_distinct(min(100, workload.space.size), np.random.default_rng(0))
    cost = {genotype: macs(genotype, workload.skeleton) for genotype in drawn}
    mean = sum(cost.values()) / len(cost)
    return sorted(drawn, key=lambda genotype: abs(cost[genotype] - mean))[:count]


def _step_times(
    network: Network | Supernet,
    recipe: Recipe,
    identities: int,
    device: torch.device,
    seconds: float,
    step: str,
    **of_space,
) -> list[float]:
    """Seconds of training steps of a network; of a supernet over its space, by its sampler."""
    faces = random_faces(2 * recipe.batch, identities, network.skeleton.image_size)
    # So many steps that measuring does not use them up.
    endless = replace(recipe, epochs=1e6)
    steps = Trainer(network, faces, endless, seed=0, device=device, step=step, **of_space).run()
    return repeated(lambda: next(steps), seconds, device)


def _scoring_rates(
    supernet: Supernet,
    genotypes: list[Genotype],
    workload: Workload,
    device: torch.device,
    seconds: float,
    speed: float,
) -> list[float]:
    """Seconds of scoring an image a MAC, on as many images as a device of that `speed` in MACs a second can do four
    times."""
    side, shared = workload.skeleton.image_size, work(genotypes, workload.skeleton).shared
    affordable = max(FEW, int(seconds * speed / (4 * (1 + workload.faces.passes) * shared)))
    images = min(affordable, workload.searched, workload.batch)
    calibrate = min(affordable, workload.protocol.calibrate)
    faces, sample = workload.faces.random(images, side), random_faces(calibrate, 1, side)
    calibration = network_input(sample, np.arange(calibrate), device) if calibrate else None
    run = partial(population_answers, supernet, genotypes, faces, calibration, batch=images)
    return [took / (shared * (calibrate + workload.faces.passes * images)) for took in repeated(run, seconds, device)]


def _judging_rates(workload: Workload, seconds: float) -> list[float]:
    """Seconds of ranking and judging one network, over what is compared for that."""
    faces, objectives = workload.faces, workload.protocol.protocol().on_images
    images = max(2, min(JUDGED, max(workload.searched, faces.confirmation, *workload.evaluated)))
    # Galleries may ask for more people than these.
    protocol = EvaluationProtocol(objectives=tuple(replace(objective, arguments={}) for objective in objectives))
    answers = np.random.default_rng(0).standard_normal((images, workload.answer_length), dtype=np.float32)

    def judge() -> None:
        evaluate_faces(answered(faces.random(images, 1), answers), protocol)

    return [took / faces.comparisons(images) for took in repeated(judge, seconds)]


def repeated(
    run: Callable[[], object],
    seconds: float,
    device: torch.device | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Seconds until a device is done with `run`, again and again until another one would not fit into `seconds`.

    The first run, which loads libraries and chooses kernels, does not count. One at least is timed, and REPETITIONS at
    most.
    """

    def timed() -> float:
        run()
        if device is not None and device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock()

    begun = before = timed()
    times: list[float] = []
    while True:
        after = timed()
        times.append(after - before)
        before = after
        if len(times) >= REPETITIONS or after - begun + times[-1] > seconds:
            return times
