"""Networks of inverted residuals (MobileNetV2, section 3.3) searched layer by layer, as data. Needs no torch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dualfair.supernet.families.base import Skeleton
from dualfair.supernet.operations import NormalisedLayer, Place

if TYPE_CHECKING:
    from torch import nn

    from dualfair.supernet.trunk import Trunk


def total_cost(layers: Iterable[NormalisedLayer]) -> tuple[int, int]:
    """(learnt weights, multiply-accumulates an image) of layers together."""
    costs = [layer.cost for layer in layers]
    return sum(weights for weights, _ in costs), sum(macs for _, macs in costs)


class LayeredOperation(ABC):
    """An operation of layers one behind the other, with or without a shortcut past them."""

    @abstractmethod
    def layers(self, place: Place) -> tuple[NormalisedLayer, ...]:
        """The layers at a place, first to last."""

    def shortcut(self, place: Place) -> bool:
        """Whether the input is added to what the layers make of it: not unless overridden."""
        return False

    def parameters(self, place: Place) -> int:
        """Learnt weights of the layers."""
        return total_cost(self.layers(place))[0]

    def macs(self, place: Place) -> int:
        """Multiply-accumulates of the layers for one image."""
        return total_cost(self.layers(place))[1]

    def build(self, place: Place) -> nn.Module:
        """(B, in, side, side) -> (B, out, out_side, out_side)."""
        from dualfair.supernet.families.inverted_residual_network import Layers

        return Layers(self.layers(place), self.shortcut(place))


@dataclass(frozen=True)
class Identity(LayeredOperation):
    """Nothing; where the stride or the channels change, a 1x1 convolution with that stride and BN."""

    name: str = "identity"

    def layers(self, place: Place) -> tuple[NormalisedLayer, ...]:
        """None, or the one convolution."""
        return () if _keeps_shape(place) else (NormalisedLayer(place, 1),)


@dataclass(frozen=True)
class InvertedResidual(LayeredOperation):
    """Widen the channels `expansion` times, convolve each by itself, and narrow them without an activation.

    The input is added where the shape stays: the shortcut is the operation's, as an identity beside it has none.
    """

    kernel: int
    expansion: int
    activation: str = "relu"

    @property
    def name(self) -> str:
        """Kernel and expansion, such as k3e6."""
        return f"k{self.kernel}e{self.expansion}"

    def layers(self, place: Place) -> tuple[NormalisedLayer, ...]:
        """1x1, depthwise k x k with the stride, 1x1; the first is left out where there is nothing to widen."""
        wide = place.in_channels * self.expansion
        widen = NormalisedLayer(Place(place.in_channels, wide, 1, 1, place.side), 1, self.activation)
        each = NormalisedLayer(Place(wide, wide, wide, place.stride, place.side), self.kernel, self.activation)
        narrow = NormalisedLayer(Place(wide, place.out_channels, 1, 1, place.out_side), 1)
        return (widen, each, narrow) if self.expansion > 1 else (each, narrow)

    def shortcut(self, place: Place) -> bool:
        """Where stride is 1 and channels are equal."""
        return _keeps_shape(place)


def _keeps_shape(place: Place) -> bool:
    return place.stride == 1 and place.in_channels == place.out_channels


MACRO_OPERATIONS = (Identity(), InvertedResidual(3, 3), InvertedResidual(5, 6))
"""Those of NAS-Bench-Macro: the codes of its table are places in this tuple."""
FAIRNAS_OPERATIONS = tuple(InvertedResidual(kernel, expansion, "relu6") for expansion in (3, 6) for kernel in (3, 5, 7))
"""Those of FairNAS, in its order."""


@dataclass(frozen=True, kw_only=True)
class InvertedResidualSkeleton(Skeleton):
    """A network of inverted residuals without its searched operations: every layer is a block of one position.

    The stem is a 3x3 convolution of `stem_stride` to `stem_width` channels and, with `stem_out`, a separable 3x3
    convolution to so many. The first layer of a stage has its stride and goes to its width; the tail is a 1x1
    convolution to `features` channels. All have BN, and the `activation` where they are not narrowed. FairNAS's
    squeeze-and-excitation and its dropout of 0.2 in front of the classifier are left out.
    """

    stem_width: int = 32
    stem_stride: int = 2
    stem_out: int = 0
    widths: tuple[int, ...]
    strides: tuple[int, ...]
    features: int = 1280
    embedding: int = 1280
    activation: str = "relu"

    def __post_init__(self) -> None:
        self.check_stages("widths", "strides", "blocks")
        super().__post_init__()

    @property
    def reduction(self) -> int:
        """How many input pixels one pixel of the last feature map covers, along one side."""
        return self.stem_stride * math.prod(self.strides)

    def stem_layers(self) -> tuple[NormalisedLayer, ...]:
        """The layers that all paths share."""
        first = Place(3, self.stem_width, 1, self.stem_stride, self.image_size)
        separable = Place(self.stem_width, self.stem_out, 1, 1, first.out_side)
        behind = InvertedResidual(3, 1, self.activation).layers(separable) if self.stem_out else ()
        return (NormalisedLayer(first, 3, self.activation), *behind)

    def tail_layers(self) -> tuple[NormalisedLayer, ...]:
        """The 1x1 convolution behind the last searched layer."""
        (last,) = self.block_places()[-1]
        place = Place(last.out_channels, self.features, 1, 1, last.out_side)
        return (NormalisedLayer(place, 1, self.activation),)

    def block_places(self) -> tuple[tuple[Place, ...], ...]:
        """One position a layer."""
        places, before = [], self.stem_layers()[-1].place
        for width, stride, layers in zip(self.widths, self.strides, self.blocks, strict=True):
            for layer in range(layers):
                before = Place(before.out_channels, width, 1, 1 if layer else stride, before.out_side)
                places.append((before,))
        return tuple(places)

    def stem_cost(self) -> tuple[int, int]:
        """(learnt weights, multiply-accumulates an image) of the stem."""
        return total_cost(self.stem_layers())

    def tail_cost(self) -> tuple[int, int]:
        """(learnt weights, multiply-accumulates an image) of the 1x1 convolution to the features."""
        return total_cost(self.tail_layers())

    def make_trunk(self, candidates: Sequence[Sequence[Iterable[int]]]) -> Trunk:
        """Stem, one block a searched layer, and the 1x1 convolution to the features."""
        from dualfair.supernet.families.inverted_residual_network import Layers, SearchedLayer
        from dualfair.supernet.trunk import Trunk

        rows = zip(self.block_places(), candidates, strict=True)
        blocks = [SearchedLayer(places, self.named(codes)) for places, codes in rows]
        return Trunk(Layers(self.stem_layers()), blocks, Layers(self.tail_layers()))
