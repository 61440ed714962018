"""Parameters and multiply-accumulates of a genotype, by formula: no network is built."""

from __future__ import annotations

from collections.abc import Sequence

from supernet.genotype import Genotype
from supernet.operations import OPERATION_NAMES, OPERATIONS
from supernet.skeleton import BlockShape, Skeleton, skeleton_of


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
    skeleton = skeleton_of(skeleton)
    side = _halved(skeleton.image_size)
    side = _halved(side) if skeleton.stem_pool else side
    costs = []
    for shape, codes in zip(skeleton.block_shapes(), skeleton.fit(genotype).blocks, strict=True):
        costs.append(_block_cost(shape, codes, side))
        side = _halved(side) if shape.stride == 2 else side
    return costs


def _block_cost(shape: BlockShape, codes: Sequence[int], side: int) -> tuple[int, int]:
    """(parameters, MACs) of one block whose input has `side` x `side` pixels."""
    behind = _halved(side) if shape.stride == 2 else side
    layers = [
        (OPERATIONS[OPERATION_NAMES[code]], in_channels, out_channels, groups, side if position == 0 else behind)
        for position, (code, (in_channels, out_channels, groups, _)) in enumerate(
            zip(codes, shape.positions, strict=True)
        )
    ]
    if shape.shortcut:
        layers.append((OPERATIONS["pre1"], shape.in_channels, shape.residual + 2 * shape.increment, 1, behind))
    return (
        sum(op.parameters(in_channels, out_channels, groups) for op, in_channels, out_channels, groups, _ in layers),
        sum(
            op.macs(in_channels, out_channels, groups, out**2) for op, in_channels, out_channels, groups, out in layers
        ),
    )


def _halved(side: int) -> int:
    """Output side of a stride-2 operation with symmetric padding."""
    return (side + 1) // 2
