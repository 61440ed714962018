"""Scoring on a device: precision, a generation's time and what of it goes into ranks, and ranks alone."""

import importlib
import importlib.util
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from dualfair.benchmarks.contests import random_embeddings
from dualfair.evaluation.metrics.identification import ranks as numpy_ranks
from dualfair.evaluation.options import PRECISIONS
from dualfair.evaluation.protocol import EvaluationProtocol
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import InheritedScorer, population_answers
from dualfair.runs.devices import images_at_once, seeded
from dualfair.stages.confirm import GENOTYPES_A_CALL
from dualfair.supernet.images.noise import random_faces
from dualfair.supernet.network import Supernet
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.space import dpn_space
from tests.cuda.devices import seconds_of
from tests.cuda.running import Row, at_least, at_most

GENERATION = 64
DEVICE_RANKS = "dualfair.evaluation.scoring.device_ranks"


def scored(device: str) -> Iterator[Row]:
    """Random subnets on images with their mirror images, by the device's precisions, and how far embeddings turn."""
    name, subnets, images, sample = ("nano", 2, 8, 8) if device == "cpu" else ("paper", 6, 512, 256)
    supernet, genotypes = _supernet(name, device, subnets)
    faces, others = (random_faces(images, images, supernet.skeleton.image_size, seed) for seed in (0, 1))
    calibration = network_input(others, np.arange(min(sample, images)), device)
    exact = None
    for precision in PRECISIONS:
        results = []

        def score(precision=precision, results=results) -> None:
            results.append(population_answers(supernet, genotypes, faces, calibration, batch=128, precision=precision))

        seconds = seconds_of(score, device, repeats=1, warm_up=1)
        yield Row(f"{precision}, {subnets} {name} subnets x {images} images", 1000 * seconds, "ms")
        embeddings = np.concatenate([results[-1][genotype] for genotype in genotypes]).astype(np.float64)
        exact = embeddings if exact is None else exact
        cosines = (embeddings * exact).sum(axis=1) / np.linalg.norm(embeddings, axis=1) / np.linalg.norm(exact, axis=1)
        yield Row(f"{precision}, mean cosine to float32", float(cosines.mean()))
        yield Row(f"{precision}, least cosine to float32", float(cosines.min()))


def generation(device: str) -> Iterator[Row]:
    """A generation of nano subnets on noise, by calls of as many as a search makes: its time, and which share of that
    is not embedding but ranks and what is made of them."""
    genotypes, images, sample = (2, 40, 8) if device == "cpu" else (GENOTYPES_A_CALL, 16_667, 512)
    supernet, chosen = _supernet("nano", device, genotypes)
    faces = random_faces(images, images // 5, supernet.skeleton.image_size)
    calibration = network_input(faces, np.arange(sample), device)
    batch = images_at_once(device, faces.size)
    scorer = InheritedScorer(supernet, faces, calibration, EvaluationProtocol(), batch=batch)
    embedding = seconds_of(
        lambda: population_answers(supernet, chosen, faces, calibration, batch=batch),
        device,
        repeats=1,
        warm_up=1,
    )
    whole = seconds_of(lambda: scorer(chosen), device, repeats=1, warm_up=1)
    yield Row(f"{GENERATION} nano subnets x {images:,} images, {batch} at once", whole * GENERATION / genotypes, "s")
    share = 1 - embedding / whole
    yield Row("share of ranks", share) if device == "cpu" else at_most("share of ranks", share, 0.2)


def ranks(device: str) -> Iterator[Row]:
    """Ranks of all against all, by numpy on all cores and on the device, and whether they are the same."""
    embeddings, identities = random_embeddings(400 if device == "cpu" else 20_000)
    expected = numpy_ranks(embeddings, identities).values
    cores = seconds_of(lambda: numpy_ranks(embeddings, identities), device, repeats=1, warm_up=0)
    yield Row(f"numpy, {len(embeddings):,} x {embeddings.shape[1]}", 1000 * cores, "ms")
    if importlib.util.find_spec(DEVICE_RANKS) is None:
        yield Row("on the device: not built", None)
        return
    counter = importlib.import_module(DEVICE_RANKS).counter_on(device)
    on_device = partial(numpy_ranks, embeddings, identities, nearer=counter)
    yield at_most("ranks that differ", int((on_device().values != expected).sum()), 0)
    seconds = seconds_of(on_device, device, repeats=5, warm_up=1)
    yield Row("on the device", 1000 * seconds, "ms")
    ratio = cores / seconds
    yield Row("ratio", ratio, "times") if device == "cpu" else at_least("ratio", ratio, 50, "times")


def _supernet(name: str, device: str, genotypes: int):
    """An untrained supernet in evaluation mode, and random genotypes of its space."""
    shape = skeleton_of(name)
    space = dpn_space("dpn81", sum(shape.blocks))
    with seeded(0):
        supernet = Supernet(shape, 0, space.heads)
    supernet = supernet.to(device, memory_format=torch.channels_last).eval()
    return supernet, space.sample_distinct(genotypes, np.random.default_rng(0))
