"""How much work a population shares: genotypes with a common beginning run it once. Needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

from dualfair.evaluation.cost import expected_macs, layer_costs, neck_cost
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace

DRAWN = 512
"""About how many genotypes are drawn to see what random populations have in common."""


@dataclass(frozen=True)
class Work:
    """Multiply-accumulates an image: of scoring genotypes `one_by_one`, and with common beginnings `shared`."""

    one_by_one: int = 0
    shared: int = 0

    def __add__(self, other: Self) -> Self:
        return Work(self.one_by_one + other.one_by_one, self.shared + other.shared)

    @property
    def saving(self) -> float:
        """How many times less work sharing is, 1 or more."""
        return self.one_by_one / self.shared if self.shared else 1.0


def work(genotypes: Sequence[Genotype], skeleton: Skeleton) -> Work:
    """The work of scoring distinct genotypes on one image at the skeleton's size.

    One by one every network runs whole. Shared, every operation runs once for all genotypes that are alike up to it,
    and the neck of every genotype.
    """
    layers = [_layers(genotype, skeleton) for genotype in dict.fromkeys(genotypes)]
    shared = {name: cost for costs in layers for name, cost in costs.items()}
    return Work(sum(sum(costs.values()) for costs in layers), sum(shared.values()))


def expected_work(space: SearchSpace, skeleton: Skeleton, size: int, at_once: int) -> float:
    """MACs of one image through `size` different random genotypes, `at_once` of which are scored together.

    What they share is seen on some populations that are drawn. A search breeds relatives, which share more than that.
    """
    rng, drawn = np.random.default_rng(0), Work()
    for _ in range(-(-DRAWN // size)):
        # Those with a common beginning are scored together.
        genotypes = sorted(space.sample_distinct(size, rng))
        for start in range(0, size, at_once):
            drawn += work(genotypes[start : start + at_once], skeleton)
    return expected_macs(space, skeleton) * size / drawn.saving


def divide(genotypes: Sequence[Genotype], parts: int) -> list[list[Genotype]]:
    """Share distinct genotypes out among `parts`, as many to each as to any other but for one.

    In the order of their paths, genotypes with a common beginning are neighbours; each part takes consecutive ones.
    With fewer genotypes than parts some are empty.
    """
    ordered = sorted(dict.fromkeys(genotypes), key=lambda genotype: (genotype.blocks, genotype.head))
    ends = [len(ordered) * part // parts for part in range(parts + 1)]
    return [ordered[start:end] for start, end in pairwise(ends)]


def _layers(genotype: Genotype, skeleton: Skeleton) -> dict[object, int]:
    """Multiply-accumulates of what a genotype runs, named so that equal names are equal work."""
    costs = layer_costs(genotype, skeleton)
    layers: dict[object, int] = {
        "stem": skeleton.stem_cost()[1],
        (genotype.blocks, "tail"): skeleton.tail_cost()[1],
        genotype: neck_cost(genotype.head, skeleton)[1],
    }
    for depth, (codes, block_costs) in enumerate(zip(genotype.blocks, costs, strict=True)):
        before = genotype.blocks[:depth]
        # An operation depends on the codes up to its own, a shortcut on the blocks before alone.
        names = [(before, codes[: position + 1]) for position in range(len(codes))] + [(before, "shortcut")]
        layers |= {name: cost for name, (_, cost) in zip(names, block_costs, strict=False)}
    return layers
