"""How fast this device is at what a run does: real steps, real scoring and real judging, for some seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from dualfair.evaluation.cost import macs
from dualfair.evaluation.protocol import EvaluationProtocol, evaluate
from dualfair.evaluation.scoring.embedding import MIRRORED, network_input
from dualfair.evaluation.scoring.scorer import population_embeddings
from dualfair.evaluation.scoring.sharing import work
from dualfair.evaluation.statistics.ranking import correlation
from dualfair.planning.flops import expected_macs
from dualfair.planning.spans import Span
from dualfair.planning.stopwatch import repeated
from dualfair.planning.workload import Workload
from dualfair.runs.architectures import open_sampler
from dualfair.runs.options import RESAMPLES
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.noise import RandomFaces
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer

SHARES = {"train": 0.4, "retrain": 0.25, "search": 0.25, "judging": 0.1}
"""How the measuring time is divided."""
STANDALONE = 3
"""Standalone networks that are timed."""
SCORED = 4
"""Genotypes of the population that is timed."""
JUDGED = 4000
"""Images that are judged at most; more are extrapolated."""
FEW = 8
"""Images with which measuring begins; a calibration sample of at least that many."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Seconds, each with the quartiles of its repetitions.

    A step of the supernet and of a standalone network; a judging of one network's embeddings, the parts of it that
    grow with the images (`judging_linear`, seconds an image) and with their square (`judging_square`); calibration and
    embedding, seconds an image and MAC of distinct prefixes; one correlation. `repetitions` by what was timed.
    """

    train_step: Span
    retrain_step: Span
    calibration: Span
    embedding: Span
    judging_linear: Span
    judging_square: Span
    correlation: Span
    repetitions: dict[str, int]

    def judging(self, images: int) -> Span:
        """Seconds of ranking and judging one network on `images` faces, all against all."""
        return self.judging_linear * images + self.judging_square * images**2


def measure(workload: Workload, device: torch.device, seconds: float) -> Measurement:
    """Time everything that a run consists of, in about `seconds` in all, on random pixels at the run's own sizes.

    What does not fit into its share of the time once is done once all the same; scoring then takes fewer images.
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be above 0, got {seconds}")
    share = {name: part * seconds for name, part in SHARES.items()}
    train = step_times(workload, device, share["train"])
    standalone = standalone_times(workload, device, share["retrain"])
    calibration, embedding = scoring_rates(workload, device, share["search"])
    linear, square = judging_rates(workload, share["judging"])
    studies = repeated(lambda: _correlate(workload.networks), share["judging"] / 2, most=5)
    return Measurement(
        train_step=Span.of(train),
        retrain_step=Span.of(standalone),
        calibration=Span.of(calibration),
        embedding=Span.of(embedding),
        judging_linear=Span.of(linear),
        judging_square=Span.of(square),
        correlation=Span.of(studies) * (RESAMPLES / _FEW_RESAMPLES),
        repetitions={
            "steps of the supernet": len(train),
            "steps of standalone networks": len(standalone),
            "scored populations": len(embedding),
            "judgings": len(square),
        },
    )


def step_times(workload: Workload, device: torch.device, seconds: float) -> list[float]:
    """Seconds of steps of the supernet."""
    network = Supernet(workload.skeleton, workload.faces.identities, workload.space.heads)
    faces, recipe = _training_faces(workload, workload.train), endless(workload.train)
    sampler = open_sampler(workload.sampler, workload.space.sizes)
    trainer = Trainer(network, faces, recipe, seed=0, space=workload.space, sampler=sampler, device=device)
    return repeated(_step(trainer, device), seconds)


def standalone_times(workload: Workload, device: torch.device, seconds: float) -> list[float]:
    """Seconds of steps of standalone networks of about average cost, each timed for its part of the time."""
    faces, recipe = _training_faces(workload, workload.retrain), endless(workload.retrain)
    times = []
    for genotype in average_genotypes(workload, STANDALONE):
        network = build(genotype, workload.skeleton, workload.faces.identities)
        trainer = Trainer(network, faces, recipe, seed=0, device=device)
        times += repeated(_step(trainer, device), seconds / STANDALONE)
    return times


def scoring_rates(workload: Workload, device: torch.device, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds an image and MAC of distinct prefixes: of calibration, and of embedding (a mirror image counts too)."""
    supernet = Supernet(workload.skeleton, 0, workload.space.heads).to(device, memory_format=torch.channels_last).eval()
    genotypes = average_genotypes(workload, SCORED)
    shared = work(genotypes, workload.skeleton).shared

    def scoring(calibrate: int, images: int) -> Callable[[], object]:
        faces = RandomFaces(images, images, workload.skeleton.image_size)
        sample = RandomFaces(calibrate, calibrate, workload.skeleton.image_size)
        calibration = network_input(sample, np.arange(calibrate), device) if calibrate else None
        return lambda: population_embeddings(supernet, genotypes, faces, calibration, batch=workload.batch)

    def fitting(run: Callable[[int], Callable[[], object]], most: int) -> int:
        """So many images that a run of them, with warming up, fits into half of the time at least four times."""
        return grown(lambda n: repeated(run(n), 0.0)[0], min(FEW, most), most, seconds / 8)

    scoring(0, FEW)()
    images = fitting(lambda n: scoring(0, n), min(workload.faces.validation, 8 * workload.batch))
    embedding = [took / (shared * MIRRORED * images) for took in repeated(scoring(0, images), seconds / 2, most=20)]
    if not workload.calibrate:
        return [0.0], embedding
    calibrate = fitting(lambda n: scoring(n, FEW), workload.calibrate)
    alone = float(np.median(repeated(scoring(0, FEW), seconds / 8, most=5)))
    both = repeated(scoring(calibrate, FEW), seconds / 2, most=20)
    return [max(0.0, took - alone) / (shared * calibrate) for took in both], embedding


def grown(seconds_of: Callable[[int], float], least: int, most: int, seconds: float) -> int:
    """The largest of `least`, 4 `least`, ..., `most` that is expected to take at most `seconds`; `least` in any case.

    Four times as many are expected to take at most four times as long.
    """
    number = least
    while number < most:
        following = min(4 * number, most)
        if seconds_of(number) * following / number > seconds:
            break
        number = following
    return number


def judging_rates(workload: Workload, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds of judging as linear * images + square * images^2: solved for two numbers of images, again and again."""
    protocol = EvaluationProtocol(count=workload.count)
    larger = max(4, min(workload.faces.validation, JUDGED))
    smaller = max(2, larger // 2)
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((larger, workload.skeleton.embedding), dtype=np.float32)

    def judging(images: int) -> Callable[[], object]:
        people = np.arange(images) // 2
        return lambda: evaluate(embeddings[:images], people, people % 2, protocol)

    few = repeated(judging(smaller), seconds / 4, most=20)
    many = repeated(judging(larger), seconds / 2, most=20)
    base = float(np.median(few))
    fits = [quadratic((smaller, base), (larger, took)) for took in many]
    return [linear for linear, _ in fits], [square for _, square in fits]


def quadratic(few: tuple[int, float], many: tuple[int, float]) -> tuple[float, float]:
    """(a, b), neither negative, of a * n + b * n^2 through two points (n, seconds); through the second in any case."""
    (n, t), (m, u) = few, many
    square = max(0.0, (u / m - t / n) / (m - n))
    square = min(square, u / m**2)
    return u / m - square * m, square


def average_genotypes(workload: Workload, count: int) -> list[Genotype]:
    """Random genotypes whose cost is nearest to the space's mean, among a hundred, so that few stand for all."""
    space, skeleton = workload.space, workload.skeleton
    mean = expected_macs(space, skeleton)
    drawn = space.sample_distinct(min(100, space.size), np.random.default_rng(0))
    return sorted(drawn, key=lambda genotype: abs(macs(genotype, skeleton) - mean))[:count]


def endless(recipe: Recipe) -> Recipe:
    """The same recipe for so many steps that measuring does not use them up."""
    return replace(recipe, epochs=1e6)


_FEW_RESAMPLES = 500


def _correlate(networks: int) -> object:
    rng = np.random.default_rng(0)
    return correlation(rng.random(networks), rng.random(networks), resamples=_FEW_RESAMPLES)


def _training_faces(workload: Workload, recipe: Recipe) -> RandomFaces:
    return RandomFaces(2 * recipe.batch, workload.faces.identities, workload.skeleton.image_size)


def _step(trainer: Trainer, device: torch.device) -> Callable[[], object]:
    steps: Iterator = trainer.run()

    def step() -> None:
        next(steps)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return step
