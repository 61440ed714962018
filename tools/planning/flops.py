"""Floating-point operations of a run, by formula: two a multiply-accumulate, and backward costs twice forward.

A MAC counts as in `evaluation.cost`. A random genotype stands for all that a stage passes through: strict
fairness takes every operation equally often, and a position's cost depends on its own operation only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.scoring.sharing import work
from dualfair.planning.workload import Workload
from dualfair.stages.search import GENOTYPES_A_CALL
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.recipe import Recipe

FORWARD = 2
"""FLOPs a MAC of a forward pass."""
TRAINING = 6
"""FLOPs a MAC of a forward and a backward pass."""


@dataclass(frozen=True)
class _Position:
    """A searched position: MACs of every operation, by code, and of the shortcut of its block where it is the first."""

    operations: tuple[int, ...]
    shortcut: int


def expected_macs(space: SearchSpace, skeleton: Skeleton) -> float:
    """Mean of `evaluation.cost.macs` over the whole space, for one image; nothing is enumerated."""
    stem, tail, neck = _ends(skeleton)
    positions = _positions(skeleton).items()
    return stem + sum(_mean(space, place, position) + position.shortcut for place, position in positions) + tail + neck


def expected_distinct_macs(space: SearchSpace, skeleton: Skeleton, genotypes: int) -> float:
    """Mean of `sharing.work(...).shared` over sets of `genotypes` different genotypes, uniformly at random.

    Of the m genotypes of the S that share a beginning, none is drawn with probability prod (1 - m / (S - i)), i below
    `genotypes`. A search breeds relatives, which share more than that.
    """
    stem, tail, neck = _ends(skeleton)
    total, before = stem + neck * genotypes, 1
    for place, position in _positions(skeleton).items():
        total += position.shortcut * _expected_distinct(before, space.size, genotypes)
        before = _beginnings(space, place)
        total += _mean(space, place, position) * _expected_distinct(before, space.size, genotypes)
    return total + tail * _expected_distinct(before, space.size, genotypes)


def training_flops(workload: Workload, recipe: Recipe, passes: int) -> float:
    """FLOPs of so many passes of a batch along a path, each whole, with the class weights of the identities."""
    path = expected_macs(workload.space, workload.skeleton) + workload.faces.identities * workload.skeleton.embedding
    return TRAINING * path * recipe.batch * passes


def search_macs(workload: Workload) -> float:
    """MACs of one image through everything that the search scores; within a score call equal beginnings run once."""
    if workload.exhaustive:
        everything = list(workload.space.enumerate())
        calls = (everything[i : i + GENOTYPES_A_CALL] for i in range(0, len(everything), GENOTYPES_A_CALL))
        return float(sum(work(call, workload.skeleton).shared for call in calls))
    cost = {size: expected_distinct_macs(workload.space, workload.skeleton, size) for size in set(workload.calls)}
    return float(sum(cost[size] for size in workload.calls))


def confirmation_macs(workload: Workload) -> float:
    """MACs of one image through all networks that are confirmed, priced as in a generation of random ones."""
    size = min(max(workload.calls), workload.confirmations)
    return expected_distinct_macs(workload.space, workload.skeleton, size) * workload.confirmations / size


def _positions(skeleton: Skeleton) -> dict[tuple[int, int], _Position]:
    """All searched positions in order, by (block, position)."""
    positions = {}
    for number, (places, shortcut) in enumerate(zip(skeleton.block_places(), skeleton.shortcut_layers(), strict=True)):
        beside = 0 if shortcut is None else shortcut[0].macs(shortcut[1])
        for position, place in enumerate(places):
            costs = tuple(operation.macs(place) for operation in skeleton.operations)
            positions[number, position] = _Position(costs, beside if position == 0 else 0)
    return positions


def _ends(skeleton: Skeleton) -> tuple[int, int, int]:
    """MACs of stem, tail and neck."""
    return skeleton.stem_cost()[1], skeleton.tail_cost()[1], skeleton.features * skeleton.embedding


def _mean(space: SearchSpace, place: tuple[int, int], position: _Position) -> float:
    """Mean MACs of a position over the operations that the space has there."""
    deciding = zip(space.choice_blocks, space.genes, strict=True)
    codes = next(choice_block.codes for choice_block, genes in deciding if place in genes)
    return float(np.mean([position.operations[code] for code in codes]))


def _beginnings(space: SearchSpace, place: tuple[int, int]) -> int:
    """How many different beginnings up to and with a position the space has."""
    return math.prod(
        size for size, genes in zip(space.sizes, space.genes, strict=True) if genes and min(genes) <= place
    )


def _expected_distinct(beginnings: int, size: int, drawn: int) -> float:
    """Expected number of the `beginnings`, each of size / beginnings genotypes, among `drawn` different genotypes."""
    sharers = size // beginnings
    if drawn > size - sharers:
        return float(beginnings)
    return beginnings * -math.expm1(sum(math.log1p(-sharers / (size - i)) for i in range(drawn)))
