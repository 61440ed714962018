"""A family of networks of your own: inverted residual layers (MobileNetV2, section 3.3) of the built-in kind, few and
small, with another tail.

    dualfair check --skeleton inverted_residual:skeleton --space inverted_residual:space
    dualfair train --faces faces --out run --skeleton inverted_residual:skeleton --space inverted_residual:space
    dualfair search --run run

Copy this file into the folder where you type that, and change what you like. A genotype such as `0-3-5-2:cosface` has
one code a layer: the place of the operation in `OPERATIONS`. Without `--space` every layer chooses likewise, among all
heads. What no built-in layer does is a module of your own, which `make_trunk` of your skeleton puts into a
`supernet.trunk.Trunk`; `supernet.families.inverted_residual` shows how.
"""

from dataclasses import dataclass

from dualfair.supernet.families.inverted_residual import InvertedResidual, InvertedResidualSkeleton
from dualfair.supernet.operations import NormalisedLayer, Place
from dualfair.supernet.space import ChoiceBlock, SearchSpace

OPERATIONS = tuple(InvertedResidual(kernel, expansion, "relu6") for expansion in (3, 6) for kernel in (3, 5, 7))


@dataclass(frozen=True, kw_only=True)
class MobileSkeleton(InvertedResidualSkeleton):
    """Its tail is a separable 3x3 convolution to the features."""

    def tail_layers(self) -> tuple[NormalisedLayer, ...]:
        (last,) = self.block_places()[-1]
        behind = Place(last.out_channels, self.features, 1, 1, last.out_side)
        return InvertedResidual(3, 1, self.activation).layers(behind)


skeleton = MobileSkeleton(
    name="mobile",
    image_size=48,
    stem_width=16,
    widths=(16, 24, 40, 80),
    strides=(1, 2, 2, 2),
    features=160,
    embedding=64,
    activation="relu6",
    operations=OPERATIONS,
)
names = tuple(operation.name for operation in OPERATIONS)
space = SearchSpace(
    [*(ChoiceBlock(f"layer{layer}", names) for layer in range(1, 5)), ChoiceBlock("head", ("arcface", "cosface"))],
    name="inverted residual",
)
