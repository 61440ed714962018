"""Parameters and multiply-accumulates of a genotype, by formula: no network is built."""

from __future__ import annotations

from supernet.genotype import Genotype
from supernet.operations import OPERATION_NAMES, OPERATIONS
from supernet.skeleton import Skeleton, skeleton_of


def parameters(genotype: Genotype | str, skeleton: Skeleton | str) -> int:
    """Learnt weights of the standalone network: trunk and neck, without the class weights of the training identities.

    Per operation k^2 * Cin * Cout / groups, plus 2 * C where it normalises C channels. The neck's fixed BN scale is
    not learnt and does not count. Raises ValueError for a genotype that does not fit.
    """
    skeleton = skeleton_of(skeleton)
    stem = skeleton.stem_kernel**2 * 3 * skeleton.stem_width + 2 * skeleton.stem_width
    tail = 2 * skeleton.features
    neck = skeleton.features * skeleton.embedding + skeleton.embedding
    return stem + sum(block for block, _ in block_costs(genotype, skeleton)) + tail + neck


def macs(genotype: Genotype | str, skeleton: Skeleton | str, size: int | None = None) -> int:
    """Multiply-accumulates of convolutions and the neck's linear layer, for one image of `size` x `size` pixels.

    `size` is the skeleton's own image size unless given. Raises ValueError for a genotype that does not fit.
    """
    skeleton = skeleton_of(skeleton).resized(size)
    stem = skeleton.stem_kernel**2 * 3 * skeleton.stem_width * _halved(skeleton.image_size) ** 2
    neck = skeleton.features * skeleton.embedding
    return stem + sum(block for _, block in block_costs(genotype, skeleton)) + neck


def block_costs(genotype: Genotype | str, skeleton: Skeleton | str) -> list[tuple[int, int]]:
    """(parameters, MACs) of every block, shortcut included, at the skeleton's image size."""
    return [tuple(map(sum, zip(*layers, strict=True))) for layers in layer_costs(genotype, skeleton)]


def layer_costs(genotype: Genotype | str, skeleton: Skeleton | str) -> list[list[tuple[int, int]]]:
    """(parameters, MACs) of the three operations of every block, and of its shortcut where there is one."""
    skeleton = skeleton_of(skeleton)
    side = _halved(skeleton.image_size)
    side = _halved(side) if skeleton.stem_pool else side
    costs = []
    for shape, codes in zip(skeleton.block_shapes(), skeleton.fit(genotype).blocks, strict=True):
        behind = _halved(side) if shape.stride == 2 else side
        layers = [
            (OPERATIONS[OPERATION_NAMES[code]], *channels, side if position == 0 else behind)
            for position, (code, (*channels, _)) in enumerate(zip(codes, shape.positions, strict=True))
        ]
        if shape.shortcut:
            layers.append((OPERATIONS["pre1"], shape.in_channels, shape.residual + 2 * shape.increment, 1, behind))
        costs.append(
            [
                (operation.parameters(wide, out, groups), operation.macs(wide, out, groups, pixels**2))
                for operation, wide, out, groups, pixels in layers
            ]
        )
        side = behind
    return costs


def _halved(side: int) -> int:
    """Output side of a stride-2 operation with symmetric padding."""
    return (side + 1) // 2
