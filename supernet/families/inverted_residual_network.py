"""The modules of a network of inverted residuals.

Shape legend: B batch, C channels, H height, W width.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from dualfair.supernet.convolution import NormalisedConv
from dualfair.supernet.operations import NormalisedLayer
from dualfair.supernet.trunk import SearchedBlock

ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "": None}
EPSILON = 1e-5
"""Of every batch normalisation, as torch has it unless told otherwise, and both studies with it."""


class Layers(nn.Sequential):
    """Layers one behind the other, with the input added to their output where there is a `shortcut`.

    Convolutions begin with normal weights by their inputs (He et al., 2015), BN with scale 1 and shift 0.
    """

    def __init__(self, layers: Iterable[NormalisedLayer], shortcut: bool = False) -> None:
        super().__init__(*map(_module, layers))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride); no layers give back x."""
        output = super().forward(x)
        return x + output if self.shortcut else output


def _module(layer: NormalisedLayer) -> NormalisedConv:
    place = layer.place
    shape = place.in_channels, place.out_channels, layer.kernel, place.stride, place.groups
    norm = "post" if layer.normalised else ""
    return NormalisedConv(norm, *shape, activation=ACTIVATIONS[layer.activation], epsilon=EPSILON)


class SearchedLayer(SearchedBlock):
    """One searched position. Operations have their shortcuts themselves, so nothing is added to what they compute."""

    def join(self, carried: Tensor, x: Tensor) -> Tensor:
        """What was computed."""
        return x
