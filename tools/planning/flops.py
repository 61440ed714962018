"""Floating-point operations of a run, by formula: two a multiply-accumulate, and backward costs twice forward.

A MAC counts as in `evaluation.complexity`. A random genotype stands for all that a stage passes through: strict
fairness takes every operation equally often, and a position's cost depends on its own operation only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evaluation.complexity import block_costs, macs
from evaluation.sharing import work
from supernet.genotype import Genotype
from supernet.operations import OPERATION_NAMES, OPERATIONS
from supernet.recipe import Recipe
from supernet.skeleton import Skeleton
from supernet.space import HEAD, SearchSpace
from tools.planning.workload import EXHAUSTIVE_BATCH, Workload

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
    """Mean of `evaluation.complexity.macs` over the whole space, for one image; nothing is enumerated."""
    stem, neck = _ends(skeleton)
    positions = _positions(skeleton).items()
    return stem + sum(_mean(space, place, position) + position.shortcut for place, position in positions) + neck


def expected_distinct_macs(space: SearchSpace, skeleton: Skeleton, genotypes: int) -> float:
    """Mean of `evaluation.sharing.work(...).shared` over sets of `genotypes` different genotypes, uniformly at random.

    Of the m genotypes of the S that share a beginning, none is drawn with probability prod (1 - m / (S - i)), i below
    `genotypes`. A search breeds relatives, which share more than that.
    """
    stem, neck = _ends(skeleton)
    total, before = stem + neck * genotypes, 1
    for place, position in _positions(skeleton).items():
        total += position.shortcut * _expected_distinct(before, space.size, genotypes)
        before = _beginnings(space, place)
        total += _mean(space, place, position) * _expected_distinct(before, space.size, genotypes)
    return total


def training_flops(workload: Workload, recipe: Recipe, passes: int) -> float:
    """FLOPs of so many passes of a batch along a path, each whole, with the class weights of the identities."""
    path = expected_macs(workload.space, workload.skeleton) + workload.faces.identities * workload.skeleton.embedding
    return TRAINING * path * recipe.batch * passes


def search_macs(workload: Workload) -> float:
    """MACs of one image through everything that the search scores; within a score call equal beginnings run once."""
    if workload.exhaustive:
        everything = list(workload.space.enumerate())
        calls = (everything[i : i + EXHAUSTIVE_BATCH] for i in range(0, len(everything), EXHAUSTIVE_BATCH))
        return float(sum(work(call, workload.skeleton).shared for call in calls))
    cost = {size: expected_distinct_macs(workload.space, workload.skeleton, size) for size in set(workload.calls)}
    return float(sum(cost[size] for size in workload.calls))


def confirmation_macs(workload: Workload) -> float:
    """MACs of one image through all networks that are confirmed, priced as in a generation of random ones."""
    size = min(max(workload.calls), workload.confirmations)
    return expected_distinct_macs(workload.space, workload.skeleton, size) * workload.confirmations / size


def _positions(skeleton: Skeleton) -> dict[tuple[int, int], _Position]:
    """All searched positions in order, by (block, position)."""
    places = {}
    shortcuts = _shortcuts(skeleton)
    pixels = _pixels(skeleton)
    for number, shape in enumerate(skeleton.block_shapes()):
        for position, (in_channels, out_channels, groups, _) in enumerate(shape.positions):
            out_pixels = pixels[number][position > 0]
            costs = tuple(op.macs(in_channels, out_channels, groups, out_pixels) for op in OPERATIONS.values())
            places[number, position] = _Position(costs, shortcuts[number] if position == 0 else 0)
    return places


def _pixels(skeleton: Skeleton) -> list[tuple[int, int]]:
    """Pixels of the feature maps before and behind the stride of every block."""
    side = skeleton.image_size
    for _ in range(2 if skeleton.stem_pool else 1):
        side = (side + 1) // 2
    pixels = []
    for shape in skeleton.block_shapes():
        behind = (side + 1) // 2 if shape.stride == 2 else side
        pixels.append((side**2, behind**2))
        side = behind
    return pixels


def _shortcuts(skeleton: Skeleton) -> list[int]:
    """MACs of the shortcut of every block, 0 where it has none."""
    return [
        shape.in_channels * (shape.residual + 2 * shape.increment) * behind if shape.shortcut else 0
        for shape, (_, behind) in zip(skeleton.block_shapes(), _pixels(skeleton), strict=True)
    ]


def _ends(skeleton: Skeleton) -> tuple[int, int]:
    """MACs before the blocks, and of the neck behind them."""
    some = Genotype(((OPERATION_NAMES.index("pre1"),) * 3,) * sum(skeleton.blocks))
    neck = skeleton.features * skeleton.embedding
    return macs(some, skeleton) - sum(cost for _, cost in block_costs(some, skeleton)) - neck, neck


def _mean(space: SearchSpace, place: tuple[int, int], position: _Position) -> float:
    """Mean MACs of a position over the operations that the space has there."""
    codes = next(choice_block.codes for choice_block in space.choice_blocks if place in choice_block.genes)
    return float(np.mean([position.operations[code] for code in codes]))


def _beginnings(space: SearchSpace, place: tuple[int, int]) -> int:
    """How many different beginnings up to and with a position the space has."""
    deciding = (choice_block for choice_block in space.choice_blocks if choice_block.name != HEAD)
    return math.prod(len(choice_block.choices) for choice_block in deciding if min(choice_block.genes) <= place)


def _expected_distinct(beginnings: int, size: int, drawn: int) -> float:
    """Expected number of the `beginnings`, each of size / beginnings genotypes, among `drawn` different genotypes."""
    sharers = size // beginnings
    if drawn > size - sharers:
        return float(beginnings)
    return beginnings * -math.expm1(sum(math.log1p(-sharers / (size - i)) for i in range(drawn)))
