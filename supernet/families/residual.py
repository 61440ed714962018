"""Residual networks of faces of any depth and width, as data. Needs no torch.

The family "IR" of ArcFace (Deng et al., CVPR 2019) as AdaFace's public program builds it, without its dropout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from dualfair.supernet.families.base import Skeleton
from dualfair.supernet.families.inverted_residual import LayeredOperation, total_cost
from dualfair.supernet.families.mix import MixedLayer
from dualfair.supernet.operations import NormalisedLayer, Place

if TYPE_CHECKING:
    from torch import nn

    from dualfair.supernet.trunk import Trunk

STAGES = 4


@dataclass(frozen=True)
class ResidualLayers(LayeredOperation):
    """BN, two convolutions of `kernel` x `kernel` with BN, and PReLU between them; the second has the stride. Where
    they are `separable` each is as that of `mix.MixedLayer`."""

    separable: bool
    kernel: int

    @property
    def name(self) -> str:
        """Such as sep3 and conv5."""
        return MixedLayer(self.separable, self.kernel).name

    def halves(self, place: Place) -> tuple[tuple[NormalisedLayer, ...], tuple[NormalisedLayer, ...]]:
        """The layers in front of PReLU, and behind it."""
        one = MixedLayer(self.separable, self.kernel)
        first = Place(place.in_channels, place.out_channels, 1, 1, place.side)
        second = Place(place.out_channels, place.out_channels, 1, place.stride, place.side)
        return one.layers(first), one.layers(second)

    def layers(self, place: Place) -> tuple[NormalisedLayer, ...]:
        """The convolutions, first to last."""
        first, second = self.halves(place)
        return first + second

    def parameters(self, place: Place) -> int:
        """Those of the convolutions, of BN in front and of PReLU."""
        return super().parameters(place) + 2 * place.in_channels + place.out_channels

    def build(self, place: Place) -> nn.Module:
        """(B, in, side, side) -> (B, out, out_side, out_side)."""
        from dualfair.supernet.families.residual_network import residual_layers

        return residual_layers(place, *self.halves(place))


RESIDUAL_OPERATIONS = tuple(ResidualLayers(separable, kernel) for kernel in (3, 5) for separable in (True, False))
"""sep3, conv3 (the published one), sep5, conv5."""


@dataclass(frozen=True)
class Shortcut(LayeredOperation):
    """A 1x1 convolution with the stride and BN where the channels change, else every pixel that the stride meets."""

    name: str = "shortcut"

    def layers(self, place: Place) -> tuple[NormalisedLayer, ...]:
        """The one convolution, or none."""
        return () if place.in_channels == place.out_channels else (NormalisedLayer(place, 1),)

    def build(self, place: Place) -> nn.Module:
        """(B, in, side, side) -> (B, out, out_side, out_side)."""
        from torch import nn

        return super().build(place) if self.layers(place) else nn.MaxPool2d(1, place.stride)


@dataclass(frozen=True, kw_only=True)
class ResidualSkeleton(Skeleton):
    """Residual blocks of one position in four stages, whose first blocks halve the side; channels are the `width`, then
    twice as many with every stage.

    The stem is a 3x3 convolution to the width, BN and PReLU; there is no tail, and the neck flattens unless told
    otherwise. Stages of skeletons that are named by depth and width, such as ir-d8-w64, begin at every quarter of the
    blocks, rounded down; a depth of d blocks is 2 d + 2 layers as such networks are called (IR-18).
    """

    width: int
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    neck: str = "flatten"
    operations: tuple[ResidualLayers, ...] = RESIDUAL_OPERATIONS

    def __post_init__(self) -> None:
        if len(self.blocks) != STAGES:
            raise ValueError(f"skeleton {self.name}: expected blocks of {STAGES} stages, got {self.blocks}")
        self.check_size_in_name(self.width)
        super().__post_init__()

    @property
    def reduction(self) -> int:
        """How many input pixels one pixel of the last feature map covers, along one side."""
        return 2**STAGES

    @property
    def features(self) -> int:
        """Channels of the last feature map."""
        return 2 ** (STAGES - 1) * self.width

    def stem_layers(self) -> tuple[NormalisedLayer, ...]:
        """The convolution that all paths share."""
        return (NormalisedLayer(Place(3, self.width, 1, 1, self.image_size), 3),)

    def block_places(self) -> tuple[tuple[Place, ...], ...]:
        """One position a block."""
        places, before = [], self.stem_layers()[-1].place
        for stage, blocks in enumerate(self.blocks):
            for block in range(blocks):
                stride = 1 if block else 2
                before = Place(before.out_channels, self.width * 2**stage, 1, stride, before.out_side)
                places.append((before,))
        return tuple(places)

    def shortcut_layers(self) -> tuple[tuple[Shortcut, Place], ...]:
        """Beside every block."""
        return tuple((Shortcut(), place) for (place,) in self.block_places())

    def stem_cost(self) -> tuple[int, int]:
        """(learnt weights, multiply-accumulates an image) of the stem, with those of PReLU."""
        weights, multiplied = total_cost(self.stem_layers())
        return weights + self.width, multiplied

    def tail_cost(self) -> tuple[int, int]:
        """Nothing: there is no tail."""
        return 0, 0

    def make_trunk(self, candidates: Sequence[Sequence[Iterable[int]]]) -> Trunk:
        """Stem, and one block a searched position."""
        from torch import nn

        from dualfair.supernet.families.inverted_residual_network import Layers
        from dualfair.supernet.families.residual_network import ResidualBlock
        from dualfair.supernet.trunk import Trunk

        rows = zip(self.block_places(), candidates, self.shortcut_layers(), strict=True)
        blocks = [
            ResidualBlock(places, self.named(codes), shortcut.build(place)) for places, codes, (shortcut, place) in rows
        ]
        return Trunk(nn.Sequential(Layers(self.stem_layers()), nn.PReLU(self.width)), blocks, nn.Identity())


def quarters(depth: int) -> tuple[int, int, int, int]:
    """How many blocks each stage has. Raises ValueError for fewer than four."""
    if depth < STAGES:
        raise ValueError(f"a network of this family has {STAGES} blocks or more, got {depth}")
    ends = [depth * stage // STAGES for stage in range(STAGES + 1)]
    return tuple(end - begin for begin, end in pairwise(ends))


def residual_skeleton(depth: int, width: int, image_size: int = 112) -> ResidualSkeleton:
    """The skeleton of so many blocks and a width, whose name says both: ir-d8-w64."""
    return ResidualSkeleton(name=f"ir-d{depth}-w{width}", image_size=image_size, blocks=quarters(depth), width=width)
