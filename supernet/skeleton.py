"""Skeletons: everything about a dual path network that is not searched, as data. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from supernet.genotype import Genotype
from supernet.operations import OPERATION_NAMES


@dataclass(frozen=True)
class BlockShape:
    """Channels of one dual path block: in -> bottleneck -> bottleneck -> residual + increment.

    `in_channels` counts residual and dense path together. The first block of a stage has a `shortcut` convolution
    to residual + 2 * increment channels, and carries the stage's stride.
    """

    in_channels: int
    bottleneck: int
    residual: int
    increment: int
    groups: int
    stride: int
    shortcut: bool

    @property
    def out_channels(self) -> int:
        """Channels behind the block, both paths together."""
        grown = self.residual + 3 * self.increment
        return grown if self.shortcut else self.in_channels + self.increment

    @property
    def positions(self) -> tuple[tuple[int, int, int, int], ...]:
        """(in channels, out channels, groups, stride) of the three searched positions."""
        return (
            (self.in_channels, self.bottleneck, 1, 1),
            (self.bottleneck, self.bottleneck, self.groups, self.stride),
            (self.bottleneck, self.residual + self.increment, 1, 1),
        )


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A dual path network without its searched operations (table 2 of the DPN paper, in its notation).

    `residual_widths` is bw, `bottlenecks` r, `increments` inc, one number a stage; `blocks` counts the blocks of
    each stage. The stem is a `stem_kernel` convolution of stride 2, then BN and ReLU, and with `stem_pool` a 3 x 3
    max pool of stride 2. The first stage keeps the resolution, later ones halve it. `embedding` is the length of
    the embedding and `image_size` the side of the square RGB input in pixels.
    """

    name: str
    image_size: int
    stem_kernel: int
    stem_width: int
    stem_pool: bool
    residual_widths: tuple[int, ...]
    bottlenecks: tuple[int, ...]
    increments: tuple[int, ...]
    groups: int
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    embedding: int = 512

    def __post_init__(self) -> None:
        stages = len(self.residual_widths)
        for field in ("bottlenecks", "increments", "blocks"):
            if len(getattr(self, field)) != stages:
                raise ValueError(
                    f"skeleton {self.name}: {field} has {len(getattr(self, field))} entries; expected {stages}, "
                    "one a stage"
                )
        if min(self.blocks) < 1:
            raise ValueError(f"skeleton {self.name}: every stage needs at least one block, got {self.blocks}")
        for bottleneck in self.bottlenecks:
            if bottleneck % self.groups:
                raise ValueError(f"skeleton {self.name}: {self.groups} groups do not divide bottleneck {bottleneck}")
        if self.image_size < self.reduction:
            raise ValueError(
                f"skeleton {self.name}: images of {self.image_size} px are too small; it needs {self.reduction} px"
            )

    @property
    def reduction(self) -> int:
        """How many input pixels one pixel of the last feature map covers, along one side."""
        return 2 * (2 if self.stem_pool else 1) * 2 ** (len(self.residual_widths) - 1)

    def block_shapes(self) -> Iterator[BlockShape]:
        """The shapes of all blocks, first to last."""
        channels = self.stem_width
        stages = zip(self.residual_widths, self.bottlenecks, self.increments, self.blocks, strict=True)
        for stage, (residual, bottleneck, increment, blocks) in enumerate(stages):
            for block in range(blocks):
                first = block == 0
                stride = 2 if first and stage > 0 else 1
                shape = BlockShape(channels, bottleneck, residual, increment, self.groups, stride, shortcut=first)
                channels = shape.out_channels
                yield shape

    @property
    def features(self) -> int:
        """Channels of the last feature map, which the heads' necks read."""
        return list(self.block_shapes())[-1].out_channels

    def fit(self, genotype: Genotype | str) -> Genotype:
        """The genotype for this skeleton's blocks; one block stands for all. ValueError naming the place otherwise."""
        genotype = Genotype.parse(genotype) if isinstance(genotype, str) else genotype
        genotype = genotype.repeat(sum(self.blocks))
        for number, codes in enumerate(genotype.blocks, 1):
            if len(codes) != 3:
                raise ValueError(f"genotype '{genotype}': block {number} has {len(codes)} codes; expected 3")
            for position, code in enumerate(codes, 1):
                if code >= len(OPERATION_NAMES):
                    raise ValueError(
                        f"genotype '{genotype}': block {number}, position {position} has code {code}; "
                        f"allowed: 0 to {len(OPERATION_NAMES) - 1}"
                    )
        return genotype

    def resized(self, image_size: int | None = None, blocks: Sequence[int] | None = None) -> Skeleton:
        """The same widths for another image size or another depth; None keeps what is there."""
        return replace(self, image_size=image_size or self.image_size, blocks=tuple(blocks or self.blocks))


SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        Skeleton(
            name="nano",
            image_size=48,
            stem_kernel=3,
            stem_width=16,
            stem_pool=True,
            residual_widths=(16, 32, 64, 128),
            bottlenecks=(16, 32, 64, 96),
            increments=(4, 8, 8, 16),
            groups=8,
            embedding=64,
        ),
        Skeleton(
            name="small",
            image_size=112,
            stem_kernel=3,
            stem_width=10,
            stem_pool=True,
            residual_widths=(64, 128, 256, 512),
            bottlenecks=(128, 256, 512, 1024),
            increments=(16, 32, 32, 64),
            groups=32,
        ),
        Skeleton(
            name="paper",
            image_size=112,
            stem_kernel=7,
            stem_width=128,
            stem_pool=True,
            residual_widths=(256, 512, 1024, 2048),
            bottlenecks=(200, 400, 800, 1600),
            increments=(20, 64, 64, 128),
            groups=50,
        ),
    )
}


def skeleton_of(skeleton: str | Skeleton) -> Skeleton:
    """The skeleton itself, or the built-in one of that name. Raises ValueError for an unknown name."""
    if isinstance(skeleton, Skeleton):
        return skeleton
    if skeleton not in SKELETONS:
        raise ValueError(f"unknown skeleton {skeleton!r}; choose from {', '.join(SKELETONS)}")
    return SKELETONS[skeleton]
