"""Dual path networks (Chen et al., 2017) without their searched operations, as data. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dualfair.supernet.families.base import Skeleton
from dualfair.supernet.operations import OPERATIONS, Operation, Place

if TYPE_CHECKING:
    from dualfair.supernet.trunk import Trunk


@dataclass(frozen=True)
class BlockShape:
    """Channels of one dual path block: in -> bottleneck -> bottleneck -> residual + increment.

    `in_channels` counts residual and dense path together, `side` is that of the feature map before the block. The first
    block of a stage has a `shortcut` convolution to residual + 2 * increment channels, and carries the stage's stride.
    """

    in_channels: int
    bottleneck: int
    residual: int
    increment: int
    groups: int
    stride: int
    shortcut: bool
    side: int

    @property
    def out_channels(self) -> int:
        """Channels behind the block, both paths together."""
        grown = self.residual + 3 * self.increment
        return grown if self.shortcut else self.in_channels + self.increment

    @property
    def places(self) -> tuple[Place, ...]:
        """Where the three searched positions stand."""
        middle = Place(self.bottleneck, self.bottleneck, self.groups, self.stride, self.side)
        return (
            Place(self.in_channels, self.bottleneck, 1, 1, self.side),
            middle,
            Place(self.bottleneck, self.residual + self.increment, 1, 1, middle.out_side),
        )

    @property
    def shortcut_place(self) -> Place | None:
        """Where the shortcut's convolution stands; None in a block without one."""
        width = self.residual + 2 * self.increment
        return Place(self.in_channels, width, 1, self.stride, self.side) if self.shortcut else None


@dataclass(frozen=True, kw_only=True)
class DualPathSkeleton(Skeleton):
    """A dual path network without its searched operations (table 2 of the DPN paper, in its notation).

    `residual_widths` is bw, `bottlenecks` r, `increments` inc, one number a stage. The stem is a `stem_kernel`
    convolution of stride 2, then BN and ReLU, and with `stem_pool` a 3 x 3 max pool of stride 2. The first stage keeps
    the resolution, later ones halve it.
    """

    stem_kernel: int
    stem_width: int
    stem_pool: bool
    residual_widths: tuple[int, ...]
    bottlenecks: tuple[int, ...]
    increments: tuple[int, ...]
    groups: int

    def __post_init__(self) -> None:
        self.check_stages("residual_widths", "bottlenecks", "increments", "blocks")
        super().__post_init__()
        for bottleneck in self.bottlenecks:
            if bottleneck % self.groups:
                raise ValueError(f"skeleton {self.name}: {self.groups} groups do not divide bottleneck {bottleneck}")

    @property
    def reduction(self) -> int:
        """How many input pixels one pixel of the last feature map covers, along one side."""
        return 2 * (2 if self.stem_pool else 1) * 2 ** (len(self.residual_widths) - 1)

    @property
    def stem_place(self) -> Place:
        """Where the stem's convolution stands."""
        return Place(3, self.stem_width, 1, 2, self.image_size)

    def block_shapes(self) -> Iterator[BlockShape]:
        """The shapes of all blocks, first to last."""
        channels, side = self.stem_width, self.stem_place.out_side
        side = -(-side // 2) if self.stem_pool else side
        stages = zip(self.residual_widths, self.bottlenecks, self.increments, self.blocks, strict=True)
        for stage, (residual, bottleneck, increment, blocks) in enumerate(stages):
            for block in range(blocks):
                first = block == 0
                stride = 2 if first and stage > 0 else 1
                shape = BlockShape(channels, bottleneck, residual, increment, self.groups, stride, first, side)
                channels, side = shape.out_channels, shape.places[-1].out_side
                yield shape

    @property
    def features(self) -> int:
        """Channels of the last feature map, which the heads' necks read."""
        return list(self.block_shapes())[-1].out_channels

    @property
    def last_channels(self) -> int:
        """Those of both paths, which the tail keeps."""
        return self.features

    def block_places(self) -> tuple[tuple[Place, ...], ...]:
        """Three positions a block."""
        return tuple(shape.places for shape in self.block_shapes())

    def shortcut_layers(self) -> tuple[tuple[Operation, Place] | None, ...]:
        """BN, ReLU and a 1x1 convolution in the first block of every stage."""
        places = (shape.shortcut_place for shape in self.block_shapes())
        return tuple(None if place is None else (OPERATIONS["pre1"], place) for place in places)

    def stem_cost(self) -> tuple[int, int]:
        """(learnt weights, multiply-accumulates an image) of the stem."""
        weights = self.stem_kernel**2 * 3 * self.stem_width
        return weights + 2 * self.stem_width, weights * self.stem_place.out_side**2

    def tail_cost(self) -> tuple[int, int]:
        """(learnt weights, multiply-accumulates an image) of the tail: BN has no multiply-accumulates."""
        return 2 * self.features, 0

    def make_trunk(self, candidates: Sequence[Sequence[Iterable[int]]]) -> Trunk:
        """Stem, dual path blocks, and the last BN with ELU."""
        from dualfair.supernet.families.dual_path_network import DualPathBlock, Stem, tail
        from dualfair.supernet.trunk import Trunk

        stem = Stem(self.stem_width, self.stem_kernel, self.stem_pool)
        blocks = [
            DualPathBlock(shape.residual, shape.places, self.named(codes), shape.shortcut_place)
            for shape, codes in zip(self.block_shapes(), candidates, strict=True)
        ]
        return Trunk(stem, blocks, tail(self.features))
