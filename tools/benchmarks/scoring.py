"""Embedding a population by inherited weights, and ranking all images: the plain way, and ours."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from dualfair.benchmarks.contest import SPACE, Call, Contest, Setting, compare
from dualfair.evaluation.metrics.identification import ranks as counted_ranks
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import population_embeddings
from dualfair.evaluation.scoring.sharing import work
from dualfair.runs.devices import seeded
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.noise import RandomFaces
from dualfair.supernet.memory import available_ram
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import SearchSpace

POPULATION = 64
"""Genotypes that are scored."""
EMBEDDINGS, DIMENSIONS, PER_PERSON = 20_000, 512, 5
"""Images that are ranked, at most, numbers of an embedding, and images of a person."""
SORT_BYTES = 25
"""Bytes of the full sort for every pair of images at its peak: cosine 4, order 8, identity 8, found or not 1, and a
fifth to spare."""


def populations(space: SearchSpace, size: int) -> dict[str, list[Genotype]]:
    """Genotypes that have nothing but chance in common, and random backbones with every head."""
    random = space.sample_distinct(size, np.random.default_rng(0))
    backbones = [genotype.blocks for genotype in random[: size // len(space.heads)]]
    all_heads = [Genotype(blocks, head) for blocks in backbones for head in space.heads]
    return {"a random population": random, "all heads of random backbones": all_heads}


def embedding(setting: Setting, parts: list[list[Genotype]]) -> Call:
    """Embeds genotypes by one supernet, untrained, as weights cost no time: those of each part in one trie."""
    with seeded(0):
        supernet = Supernet(setting.shape, 0, setting.space.heads)
    supernet = supernet.to(setting.device, memory_format=torch.channels_last).eval()
    batch, size = setting.batch, setting.shape.image_size
    faces, others = (RandomFaces(batch, max(1, batch // 4), size, seed) for seed in (0, 1))
    calibration = network_input(others, np.arange(batch), setting.device)
    return lambda: [population_embeddings(supernet, part, faces, calibration, batch=batch) for part in parts]


def scoring(setting: Setting) -> list[Contest]:
    """Populations scored one by one and in one trie, beside what sharing could give at best, by MACs; time is not quite
    proportional to these, so it may be more than all."""
    contests = []
    for name, genotypes in populations(setting.space, POPULATION).items():
        ways = {"one by one": [[genotype] for genotype in genotypes], "one trie": [genotypes]}
        ways = {way: partial(embedding, setting, parts) for way, parts in ways.items()}
        contest = Contest(
            title=f"scoring: {name}, {len(genotypes)} genotypes of {SPACE}, {setting.batch} images (random pixels) "
            "with their mirror images, as many to calibrate",
            work=len(genotypes) * setting.batch,
            unit="images x genotypes",
            ways=compare(ways, repeats=setting.repeats, calls=1, warm_up=1, device=setting.device),
            ideal=work(genotypes, setting.shape).saving,
        )
        contests.append(contest)
    return contests


def ranks(setting: Setting) -> list[Contest]:
    """Ranks of many embeddings, or as many as the full sort has memory for; timed once, as it takes long."""
    images = min(EMBEDDINGS, math.isqrt(available_ram() // SORT_BYTES))
    ways = {"sort all similarities": full_sort_ranks, "identification.ranks": counted_ranks}
    contest = Contest(
        title=f"ranks: {images:,} random embeddings of {DIMENSIONS} dimensions (numpy, on the CPU)",
        work=images,
        unit="probes",
        ways=compare({name: partial(ranking, images, way) for name, way in ways.items()}, repeats=1, calls=1),
    )
    return [contest]


def ranking(images: int, ranks_of: Callable[[np.ndarray, np.ndarray], object]) -> Call:
    """The ranks of random embeddings by a way of finding them."""
    return partial(ranks_of, *random_embeddings(images))


def random_embeddings(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random float32 embeddings (N, 512) and their identities (N,), five images each."""
    embeddings = np.random.default_rng(seed).standard_normal((images, DIMENSIONS), dtype=np.float32)
    return embeddings, np.arange(images) // PER_PERSON


def full_sort_ranks(embeddings: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """Every probe's rank as the place of its first mate among all images sorted by cosine, int64 (N,).

    Ties fall as the sort has them, where `identification.ranks` counts them against the probe.
    """
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1)
    return (identities[order] == identities[:, None]).argmax(axis=1)
