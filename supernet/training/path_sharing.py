"""Which rank takes which of a step's paths, so that all are done at about the same time."""

from collections.abc import Sequence

from torch import nn

from dualfair.supernet.genotype import Genotype


def path_groups(ranks: int, paths: int) -> int:
    """Into how many groups the ranks divide, each with some of the paths; the ranks of a group share the images.

    The most groups that divide the ranks evenly and leave less than a tenth of them idle, by the number of paths: two
    ranks take 5 and 4 of 9 paths, three take 3 each, and eight are two groups of four.
    """
    fit = (groups for groups in range(min(ranks, paths), 0, -1) if ranks % groups == 0)
    return next(groups for groups in fit if 9 * -(-paths // groups) * groups <= 10 * paths)


def share_paths(network: nn.Module, paths: Sequence[Genotype], groups: int) -> list[list[int]]:
    """Numbers of the paths that each group takes: the dearest first, each to the group with least to do so far."""
    if groups == 1:
        return [list(range(len(paths)))]
    costs = [path_cost(network, path) for path in paths]
    parts: list[list[int]] = [[] for _ in range(groups)]
    loads = [0.0] * groups
    for number in sorted(range(len(paths)), key=lambda number: -costs[number]):
        least = loads.index(min(loads))
        parts[least].append(number)
        loads[least] += costs[number]
    return [sorted(part) for part in parts]


def path_cost(network: nn.Module, path: Genotype) -> int:
    """Multiply-accumulates of a path's searched operations, for one image."""
    operations = network.skeleton.operations
    return sum(
        operations[code].macs(place)
        for block, codes in zip(network.trunk.blocks, path.blocks, strict=True)
        for code, place in zip(codes, block.places, strict=True)
    )
