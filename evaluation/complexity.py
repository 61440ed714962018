"""Parameters and multiply-accumulates of a genotype, by formula: no network is built."""

from __future__ import annotations

from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import Skeleton, skeleton_of


def parameters(genotype: Genotype | str, skeleton: Skeleton | str) -> int:
    """Learnt weights of the standalone network: trunk and neck, without the class weights of the training identities.

    The sum of what every operation says of its place; the nine built-in ones have k^2 * Cin * Cout / groups, plus 2 * C
    where they normalise C channels. The neck's fixed BN scale is not learnt and does not count. Raises ValueError for a
    genotype that does not fit.
    """
    skeleton = skeleton_of(skeleton)
    neck = skeleton.features * skeleton.embedding + skeleton.embedding
    ends = skeleton.stem_cost()[0] + skeleton.tail_cost()[0]
    return ends + sum(block for block, _ in block_costs(genotype, skeleton)) + neck


def macs(genotype: Genotype | str, skeleton: Skeleton | str, size: int | None = None) -> int:
    """Multiply-accumulates of convolutions and the neck's linear layer, for one image of `size` x `size` pixels.

    `size` is the skeleton's own image size unless given. Raises ValueError for a genotype that does not fit.
    """
    skeleton = skeleton_of(skeleton)
    skeleton = skeleton if size is None else skeleton.resized(size)
    neck = skeleton.features * skeleton.embedding
    ends = skeleton.stem_cost()[1] + skeleton.tail_cost()[1]
    return ends + sum(block for _, block in block_costs(genotype, skeleton)) + neck


def block_costs(genotype: Genotype | str, skeleton: Skeleton | str) -> list[tuple[int, int]]:
    """(parameters, MACs) of every block, shortcut included, at the skeleton's image size."""
    return [tuple(map(sum, zip(*layers, strict=True))) for layers in layer_costs(genotype, skeleton)]


def layer_costs(genotype: Genotype | str, skeleton: Skeleton | str) -> list[list[tuple[int, int]]]:
    """(parameters, MACs) of the searched operations of every block, and of its shortcut where there is one."""
    skeleton = skeleton_of(skeleton)
    blocks = zip(skeleton.fit(genotype).blocks, skeleton.block_places(), skeleton.shortcut_layers(), strict=True)
    costs = []
    for codes, places, shortcut in blocks:
        layers = [(skeleton.operations[code], place) for code, place in zip(codes, places, strict=True)]
        layers += [] if shortcut is None else [shortcut]
        costs.append([(operation.parameters(place), operation.macs(place)) for operation, place in layers])
    return costs
