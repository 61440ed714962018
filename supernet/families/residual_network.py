"""The modules of a residual network of faces.

Shape legend: B batch, H height, W width.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from dualfair.supernet.families.inverted_residual_network import EPSILON, Layers
from dualfair.supernet.operations import NormalisedLayer, Place
from dualfair.supernet.trunk import SearchedBlock


def residual_layers(place: Place, first: Iterable[NormalisedLayer], second: Iterable[NormalisedLayer]) -> nn.Sequential:
    """BN, the first layers, PReLU and the second: (B, in, H, W) -> (B, out, H / stride, W / stride)."""
    begun = nn.BatchNorm2d(place.in_channels, eps=EPSILON)
    return nn.Sequential(begun, Layers(first), nn.PReLU(place.out_channels), Layers(second))


class ResidualBlock(SearchedBlock):
    """One searched position; its output is added to what the shortcut makes of the input."""

    def join(self, carried: Tensor, x: Tensor) -> Tensor:
        """The sum."""
        return carried + x
