"""Floating-point operations of a run, by formula: two a multiply-accumulate, and backward costs twice forward.

A MAC counts as in `evaluation.cost`. A random genotype stands for all that a stage passes through: strict
fairness takes every operation equally often, and a position's cost depends on its own operation only.
"""

from collections.abc import Sequence

import numpy as np

from dualfair.evaluation.scoring.sharing import Work, work
from dualfair.planning.workload import Workload
from dualfair.stages.confirm import GENOTYPES_A_CALL
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.recipe import Recipe

FORWARD = 2
"""FLOPs a MAC of a forward pass."""
TRAINING = 6
"""FLOPs a MAC of a forward and a backward pass."""
DRAWN = 512
"""About how many genotypes are drawn to see what random populations have in common."""


def expected_macs(space: SearchSpace, skeleton: Skeleton) -> float:
    """Mean of `evaluation.cost.macs` over the whole space, for one image; nothing is enumerated."""
    total = skeleton.stem_cost()[1] + skeleton.tail_cost()[1] + skeleton.features * skeleton.embedding
    total += sum(operation.macs(place) for operation, place in filter(None, skeleton.shortcut_layers()))
    for number, places in enumerate(skeleton.block_places()):
        for position, place in enumerate(places):
            deciding = zip(space.choice_blocks, space.genes, strict=True)
            codes = next(choice_block.codes for choice_block, genes in deciding if (number, position) in genes)
            total += float(np.mean([skeleton.operations[code].macs(place) for code in codes]))
    return total


def training_flops(workload: Workload, recipe: Recipe, passes: int) -> float:
    """FLOPs of so many passes of a batch along a path, each whole, with the class weights of the identities."""
    path = expected_macs(workload.space, workload.skeleton) + workload.faces.identities * workload.skeleton.embedding
    return TRAINING * path * recipe.batch * passes


def search_macs(workload: Workload) -> float:
    """MACs of one image through all that the search scores."""
    if workload.exhaustive:
        return float(_in_calls(list(workload.space.enumerate()), workload.skeleton).shared)
    cost = {size: population_macs(workload, size) for size in set(workload.generations)}
    return sum(cost[size] for size in workload.generations)


def population_macs(workload: Workload, size: int) -> float:
    """MACs of one image through `size` different random genotypes that the search scores together.

    What they share is seen on some that are drawn. A search breeds relatives, which share more than that.
    """
    space, skeleton, rng = workload.space, workload.skeleton, np.random.default_rng(0)
    drawn = Work()
    for _ in range(-(-DRAWN // size)):
        # Those with a common beginning come into one call.
        drawn += _in_calls(sorted(space.sample_distinct(size, rng)), skeleton)
    return expected_macs(space, skeleton) * size / drawn.saving


def _in_calls(genotypes: Sequence[Genotype], skeleton: Skeleton) -> Work:
    """The work of genotypes, so many a score call; within a call equal beginnings run once."""
    starts = range(0, len(genotypes), GENOTYPES_A_CALL)
    return sum((work(genotypes[start : start + GENOTYPES_A_CALL], skeleton) for start in starts), Work())
