"""Skeletons: everything about a network that is not searched, as data. Needs no torch to say it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dualfair.supernet.genotype import Genotype
from dualfair.supernet.operations import OPERATIONS, Operation, Place

if TYPE_CHECKING:
    from dualfair.supernet.trunk import Trunk


@dataclass(frozen=True)
class OwnHead:
    """A head that is not built in: its name in genotypes, its margin function (see `supernet.heads.MarginHead`), and
    the "module:object" by which the function is found again."""

    name: str
    margin: Callable
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Skeleton(ABC):
    """A family of networks without its searched operations; `DualPathSkeleton` is the one that is built in.

    `image_size` is the side of the square RGB input in pixels, `embedding` the length of the embedding, and `blocks`
    counts the blocks of each stage. `operations` are the candidates: the code in a genotype is the place in this tuple.
    `own_heads` are those that genotypes may name besides the built-in ones.
    """

    name: str
    image_size: int
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    embedding: int = 512
    operations: tuple[Operation, ...] = tuple(OPERATIONS.values())
    own_heads: tuple[OwnHead, ...] = ()

    def __post_init__(self) -> None:
        if not self.blocks or min(self.blocks) < 1:
            raise ValueError(f"skeleton {self.name}: every stage needs at least one block, got {self.blocks}")
        names = [operation.name for operation in self.operations]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"skeleton {self.name}: two operations are named {twice!r}; give each a name of its own")

    @property
    @abstractmethod
    def features(self) -> int:
        """Channels of the last feature map, which the heads' necks read."""

    @abstractmethod
    def block_places(self) -> tuple[tuple[Place, ...], ...]:
        """Where the searched positions of every block stand, first block to last."""

    def shortcut_layers(self) -> tuple[tuple[Operation, Place] | None, ...]:
        """The fixed layer beside the positions of every block, None where there is none: nowhere, unless overridden."""
        return (None,) * sum(self.blocks)

    @abstractmethod
    def stem_cost(self) -> tuple[int, int]:
        """(learnt weights, multiply-accumulates an image) of the stem, which all paths share."""

    @abstractmethod
    def tail_cost(self) -> tuple[int, int]:
        """(learnt weights, multiply-accumulates an image) of the tail, which runs behind every path of its own."""

    @abstractmethod
    def make_trunk(self, candidates: Sequence[Sequence[Iterable[int]]]) -> Trunk:
        """Stem, blocks and tail, freshly initialised; `candidates` are codes of operations at every position."""

    def named(self, codes: Iterable[Iterable[int]]) -> list[list[tuple[int, Operation]]]:
        """The operations of codes, with their codes, as `trunk.SearchedBlock` takes them: a row a position."""
        return [[(code, self.operations[code]) for code in row] for row in codes]

    def fit(self, genotype: Genotype | str) -> Genotype:
        """The genotype for this skeleton's blocks; one block stands for all. ValueError naming the place otherwise."""
        genotype = Genotype.parse(genotype) if isinstance(genotype, str) else genotype
        genotype = genotype.repeat(sum(self.blocks))
        for number, (codes, places) in enumerate(zip(genotype.blocks, self.block_places(), strict=True), 1):
            if len(codes) != len(places):
                raise ValueError(
                    f"genotype '{genotype}': block {number} has {len(codes)} codes; expected {len(places)}"
                )
            for position, code in enumerate(codes, 1):
                if code >= len(self.operations):
                    raise ValueError(
                        f"genotype '{genotype}': block {number}, position {position} has code {code}; "
                        f"allowed: 0 to {len(self.operations) - 1}"
                    )
        return genotype

    def resized(self, image_size: int | None = None, blocks: Sequence[int] | None = None) -> Skeleton:
        """The same widths for another image size or another depth; None keeps what is there."""
        return replace(self, image_size=image_size or self.image_size, blocks=tuple(blocks or self.blocks))


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
        stages = len(self.residual_widths)
        for field in ("bottlenecks", "increments", "blocks"):
            if len(getattr(self, field)) != stages:
                raise ValueError(
                    f"skeleton {self.name}: {field} has {len(getattr(self, field))} entries; expected {stages}, "
                    "one a stage"
                )
        super().__post_init__()
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
        from dualfair.supernet.families.dual_path import DualPathBlock, Stem, tail
        from dualfair.supernet.trunk import Trunk

        stem = Stem(self.stem_width, self.stem_kernel, self.stem_pool)
        blocks = [
            DualPathBlock(shape.residual, shape.places, self.named(codes), shape.shortcut_place)
            for shape, codes in zip(self.block_shapes(), candidates, strict=True)
        ]
        return Trunk(stem, blocks, tail(self.features))


SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        DualPathSkeleton(
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
        DualPathSkeleton(
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
        DualPathSkeleton(
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
