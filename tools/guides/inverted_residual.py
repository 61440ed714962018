"""A family of networks of your own: inverted residual blocks (MobileNetV2, section 3.3) of six kinds, one a block.

    dualfair check --skeleton inverted_residual:skeleton --space inverted_residual:space
    dualfair train --faces faces --out run --skeleton inverted_residual:skeleton --space inverted_residual:space
    dualfair search --run run

Copy this file into the folder where you type that, and change what you like. A genotype such as `0-3-5-2:cosface` has
one code a block: the place of the operation in `OPERATIONS`.
"""

from dataclasses import dataclass

from timm.layers import BatchNormAct2d, create_conv2d
from torch import nn

from dualfair.supernet.operations import Place
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import ChoiceBlock, SearchSpace
from dualfair.supernet.trunk import SearchedBlock, Trunk


def convolution(place: Place, kernel: int, act: bool = True) -> nn.Sequential:
    """A convolution and BN, with ReLU6 unless told otherwise."""
    conv = create_conv2d(
        place.in_channels, place.out_channels, kernel, stride=place.stride, groups=place.groups, padding=kernel // 2
    )
    return nn.Sequential(conv, BatchNormAct2d(place.out_channels, apply_act=act, act_layer=nn.ReLU6))


@dataclass(frozen=True)
class InvertedResidual:
    """Widen the channels `expansion` times, convolve each by itself, and narrow them without an activation."""

    kernel: int
    expansion: int

    @property
    def name(self) -> str:
        return f"k{self.kernel}e{self.expansion}"

    def layers(self, place: Place) -> tuple[tuple[Place, int], ...]:
        """The three convolutions as (place, kernel)."""
        wide = place.in_channels * self.expansion
        return (
            (Place(place.in_channels, wide, 1, 1, place.side), 1),
            (Place(wide, wide, wide, place.stride, place.side), self.kernel),
            (Place(wide, place.out_channels, 1, 1, place.out_side), 1),
        )

    def parameters(self, place: Place) -> int:
        return sum(
            kernel**2 * layer.in_channels * layer.out_channels // layer.groups + 2 * layer.out_channels
            for layer, kernel in self.layers(place)
        )

    def macs(self, place: Place) -> int:
        return sum(
            kernel**2 * layer.in_channels * layer.out_channels // layer.groups * layer.out_side**2
            for layer, kernel in self.layers(place)
        )

    def build(self, place: Place) -> nn.Module:
        (widen, pointwise), (each, kernel), (narrow, _) = self.layers(place)
        return nn.Sequential(
            convolution(widen, pointwise), convolution(each, kernel), convolution(narrow, pointwise, act=False)
        )


OPERATIONS = tuple(InvertedResidual(kernel, expansion) for expansion in (3, 6) for kernel in (3, 5, 7))


class ResidualBlock(SearchedBlock):
    """One searched position, with its input added where the shape stays."""

    def join(self, carried, x):
        return carried + x if carried.shape == x.shape else x


@dataclass(frozen=True, kw_only=True)
class MobileSkeleton(Skeleton):
    """Stem, stages of inverted residual blocks, and a 1x1 convolution to `features` channels.

    A stage of `widths` channels begins with a stride of 2, but for the first.
    """

    widths: tuple[int, ...] = (16, 24, 40, 80)
    features: int = 160

    @property
    def stem(self) -> Place:
        return Place(3, self.widths[0], 1, 2, self.image_size)

    def block_places(self) -> tuple[tuple[Place, ...], ...]:
        places, before = [], self.stem
        for stage, (width, blocks) in enumerate(zip(self.widths, self.blocks, strict=True)):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                before = Place(before.out_channels, width, 1, stride, before.out_side)
                places.append((before,))
        return tuple(places)

    @property
    def tail(self) -> Place:
        (last,) = self.block_places()[-1]
        return Place(last.out_channels, self.features, 1, 1, last.out_side)

    def stem_cost(self) -> tuple[int, int]:
        return self._cost(self.stem, 3)

    def tail_cost(self) -> tuple[int, int]:
        return self._cost(self.tail, 1)

    def _cost(self, place: Place, kernel: int) -> tuple[int, int]:
        weights = kernel**2 * place.in_channels * place.out_channels
        return weights + 2 * place.out_channels, weights * place.out_side**2

    def make_trunk(self, candidates) -> Trunk:
        stem = convolution(self.stem, 3)
        rows = zip(self.block_places(), candidates, strict=True)
        blocks = [ResidualBlock(places, self.named(codes)) for places, codes in rows]
        return Trunk(stem, blocks, convolution(self.tail, 1))


skeleton = MobileSkeleton(name="mobile", image_size=48, embedding=64, operations=OPERATIONS)
names = tuple(operation.name for operation in OPERATIONS)
space = SearchSpace(
    [*(ChoiceBlock(f"block{block}", names) for block in range(1, 5)), ChoiceBlock("head", ("arcface", "cosface"))],
    name="inverted residual",
)
