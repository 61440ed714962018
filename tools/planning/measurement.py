"""How fast this device is at what a run does: real steps, real scoring and real judging, for some seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from dualfair.evaluation.cost import macs
from dualfair.evaluation.objectives import Objective
from dualfair.evaluation.protocol import EvaluationProtocol, evaluate
from dualfair.evaluation.scoring.embedding import MIRRORED, network_input
from dualfair.evaluation.scoring.scorer import population_embeddings
from dualfair.evaluation.scoring.sharing import work
from dualfair.planning.flops import FORWARD, expected_macs, training_flops
from dualfair.planning.spans import Span
from dualfair.planning.workload import Workload
from dualfair.runs.architectures import open_sampler
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.noise import RandomFaces
from dualfair.supernet.network import Network, Supernet, build
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.recipe import Recipe
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


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Seconds, each with the quartiles of its repetitions.

    A step of the supernet and of a standalone network; scoring, an image that passes through a MAC of distinct
    prefixes, be it for BN statistics, to be embedded, or mirrored; a judging of one network, the images squared.
    `repetitions` by what was timed.
    """

    train_step: Span
    retrain_step: Span
    scoring: Span
    judging: Span
    repetitions: dict[str, int]


def measure(workload: Workload, device: torch.device, seconds: float) -> Measurement:
    """Time everything that a run consists of, in about `seconds` in all, on random pixels at the run's own sizes.

    What does not fit into its share of the time once is done once all the same; scoring then takes fewer images.
    """
    space, skeleton, identities = workload.space, workload.skeleton, workload.faces.identities
    share = {name: part * seconds for name, part in SHARES.items()}
    supernet = Supernet(skeleton, identities, space.heads)
    train = _step_times(supernet, workload, workload.train, device, share["train"], space)
    retrain = []
    for genotype in average_genotypes(workload, GENOTYPES):
        network = build(genotype, skeleton, identities)
        retrain += _step_times(network, workload, workload.retrain, device, share["retrain"] / GENOTYPES)
    step = training_flops(workload, workload.train, workload.paths) / FORWARD
    scoring = _scoring_rates(supernet.eval(), workload, device, share["scoring"], step / float(np.median(train)))
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
    """Random genotypes whose cost is nearest to the space's mean, among a hundred, so that few stand for all."""
    space, skeleton = workload.space, workload.skeleton
    mean = expected_macs(space, skeleton)
    drawn = space.sample_distinct(min(100, space.size), np.random.default_rng(0))
    return sorted(drawn, key=lambda genotype: abs(macs(genotype, skeleton) - mean))[:count]


def _step_times(
    network: Network | Supernet,
    workload: Workload,
    recipe: Recipe,
    device: torch.device,
    seconds: float,
    space: SearchSpace | None = None,
) -> list[float]:
    """Seconds of training steps of a network; of a supernet over its space."""
    faces = RandomFaces(2 * recipe.batch, workload.faces.identities, workload.skeleton.image_size)
    # So many steps that measuring does not use them up.
    endless = replace(recipe, epochs=1e6)
    over_space = {"space": space, "sampler": open_sampler(workload.sampler, space.sizes)} if space else {}
    trainer = Trainer(network, faces, endless, seed=0, device=device, **over_space)
    steps = trainer.run()
    return repeated(_waiting(lambda: next(steps), device), seconds)


def _scoring_rates(
    supernet: Supernet, workload: Workload, device: torch.device, seconds: float, macs_per_second: float
) -> list[float]:
    """Seconds of scoring an image a MAC; of as many images as a device of that speed can do four times in `seconds`."""
    genotypes, side = average_genotypes(workload, GENOTYPES), workload.skeleton.image_size
    shared = work(genotypes, workload.skeleton).shared
    affordable = max(FEW, int(seconds * macs_per_second / (4 * (1 + MIRRORED) * shared)))
    images = min(affordable, workload.searched, workload.batch)
    calibrate = min(affordable, workload.protocol.calibrate)
    faces, sample = RandomFaces(images, images, side), RandomFaces(calibrate, 1, side)
    calibration = network_input(sample, np.arange(calibrate), device) if calibrate else None
    run = partial(population_embeddings, supernet, genotypes, faces, calibration, batch=images)
    return [took / (shared * (calibrate + MIRRORED * images)) for took in repeated(_waiting(run, device), seconds)]


def _judging_rates(workload: Workload, seconds: float) -> list[float]:
    """Seconds of ranking and judging one network, all against all and in galleries, over the square of its images."""
    faces, protocol = workload.faces, workload.protocol.protocol()
    images = max(2, min(JUDGED, max(workload.searched, faces.confirmation, *workload.evaluated)))
    people = np.arange(images) // max(2, faces.training // faces.identities)
    # Two groups share a gallery, as far as there are people.
    most = max(2, (int(people[-1]) + 1) // 2 * 2)
    protocol = EvaluationProtocol(objectives=tuple(_in_galleries_of(most, each) for each in protocol.on_images))
    embeddings = np.random.default_rng(0).standard_normal((images, workload.skeleton.embedding), dtype=np.float32)
    run = partial(evaluate, embeddings, people, people % 2, protocol)
    return [took / images**2 for took in repeated(run, seconds)]


def _in_galleries_of(most: int, objective: Objective) -> Objective:
    """An objective with galleries of an even number of people, `most` at most."""
    people = objective.arguments.get("gallery", "all")
    if people == "all":
        return objective
    gallery = str(max(2, min(int(people), most) // 2 * 2))
    return replace(objective, arguments={**objective.arguments, "gallery": gallery})


def repeated(run: Callable[[], object], seconds: float, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Seconds that `run` takes, again and again until another one would not fit into `seconds`; never of the first.

    The first run loads libraries and chooses kernels. One at least is timed, and REPETITIONS at most.
    """
    run()
    begun = before = clock()
    times: list[float] = []
    while True:
        run()
        after = clock()
        times.append(after - before)
        before = after
        if len(times) >= REPETITIONS or after - begun + times[-1] > seconds:
            return times


def _waiting(run: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """`run` until the device is done with it."""

    def done() -> None:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return done
