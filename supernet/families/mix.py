"""Networks of separable and plain convolutions of two kernels, of any depth and width, as data. Needs no torch.

The family that macro-micro search grows networks in: layers without shortcuts or pooling between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dualfair.supernet.families.base import Skeleton
from dualfair.supernet.families.inverted_residual import LayeredOperation, total_cost
from dualfair.supernet.operations import NormalisedLayer, Place

if TYPE_CHECKING:
    from torch import nn

    from dualfair.supernet.trunk import Trunk


@dataclass(frozen=True)
class MixedLayer(LayeredOperation):
    """ReLU, a convolution of `kernel` x `kernel`, BN; where it is `separable` each channel is convolved by itself, and
    a 1x1 convolution follows, without BN between them."""

    separable: bool
    kernel: int

    @property
    def name(self) -> str:
        """Such as sep3 and conv5."""
        return f"{'sep' if self.separable else 'conv'}{self.kernel}"

    def layers(self, place: Place) -> tuple[NormalisedLayer, ...]:
        """One layer, or two."""
        a, b = place.in_channels, place.out_channels
        if not self.separable:
            return (NormalisedLayer(Place(a, b, 1, place.stride, place.side), self.kernel),)
        each = NormalisedLayer(Place(a, a, a, place.stride, place.side), self.kernel, normalised=False)
        return each, NormalisedLayer(Place(a, b, 1, 1, place.out_side), 1)

    def build(self, place: Place) -> nn.Module:
        """(B, in, side, side) -> (B, out, out_side, out_side)."""
        from torch import nn

        return nn.Sequential(nn.ReLU(), super().build(place))


MIX_OPERATIONS = tuple(MixedLayer(separable, kernel) for kernel in (3, 5) for separable in (True, False))
"""sep3, conv3, sep5, conv5."""


@dataclass(frozen=True, kw_only=True)
class MixSkeleton(Skeleton):
    """Layers one behind the other, each a block of one position.

    The stem is a 3x3 convolution to twice the `width` with BN. Layers go to the width, and with a stride of 2 to twice
    the channels at a third of the depth and again at two thirds, counted from 0 and rounded down; there is no tail.
    """

    width: int
    operations: tuple[MixedLayer, ...] = MIX_OPERATIONS
    heads: tuple[str, ...] = ("softmax",)

    def __post_init__(self) -> None:
        depth = sum(self.blocks)
        if self.blocks != sections(depth):
            raise ValueError(
                f"skeleton {self.name}: {depth} layers are {'-'.join(map(str, sections(depth)))} blocks, got "
                f"{'-'.join(map(str, self.blocks))}; depth and width are part of the name, such as mix-d21-w56"
            )
        self.check_size_in_name(self.width)
        super().__post_init__()

    @property
    def reduction(self) -> int:
        """How many input pixels one pixel of the last feature map covers, along one side."""
        return 4

    @property
    def features(self) -> int:
        """Channels of the last feature map."""
        return 4 * self.width

    def stem_layers(self) -> tuple[NormalisedLayer, ...]:
        """The layer that all paths share."""
        return (NormalisedLayer(Place(3, 2 * self.width, 1, 1, self.image_size), 3),)

    def block_places(self) -> tuple[tuple[Place, ...], ...]:
        """One position a layer."""
        places, before = [], self.stem_layers()[-1].place
        for section, layers in enumerate(self.blocks):
            for layer in range(layers):
                stride = 2 if section and not layer else 1
                before = Place(before.out_channels, self.width * 2**section, 1, stride, before.out_side)
                places.append((before,))
        return tuple(places)

    def stem_cost(self) -> tuple[int, int]:
        """(learnt weights, multiply-accumulates an image) of the stem."""
        return total_cost(self.stem_layers())

    def tail_cost(self) -> tuple[int, int]:
        """Nothing: there is no tail."""
        return 0, 0

    def make_trunk(self, candidates: Sequence[Sequence[Iterable[int]]]) -> Trunk:
        """Stem, and one block a searched layer."""
        from torch import nn

        from dualfair.supernet.families.inverted_residual_network import Layers, SearchedLayer
        from dualfair.supernet.trunk import Trunk

        rows = zip(self.block_places(), candidates, strict=True)
        blocks = [SearchedLayer(places, self.named(codes)) for places, codes in rows]
        return Trunk(Layers(self.stem_layers()), blocks, nn.Identity())


def sections(depth: int) -> tuple[int, int, int]:
    """How many layers have the width, twice and four times the channels. Raises ValueError for fewer than three."""
    if depth < 3:
        raise ValueError(f"a network of this family has 3 layers or more, got {depth}")
    first, second = depth // 3, 2 * depth // 3
    return first, second - first, depth - second


def mix_skeleton(depth: int, width: int, image_size: int = 32) -> MixSkeleton:
    """The skeleton of a depth and a width, whose name says both: mix-d21-w56."""
    return MixSkeleton(name=f"mix-d{depth}-w{width}", image_size=image_size, blocks=sections(depth), width=width)
