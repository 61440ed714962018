"""A candidate operation of your own: a separable 7x7 convolution beside the nine.

    dualfair check --skeleton own_operation:skeleton
    dualfair train --faces faces --out run --skeleton own_operation:skeleton
    dualfair show 919:cosface --skeleton own_operation:skeleton

It gets the next code, 9, and the built-in spaces choose among all operations of the skeleton.
"""

from dataclasses import dataclass, replace

from timm.layers import BatchNormAct2d, create_conv2d
from torch import nn

from dualfair.supernet.operations import Place
from dualfair.supernet.skeleton import SKELETONS


@dataclass(frozen=True)
class Separable:
    """Each channel by itself (k x k), then all of them (1x1), BN and ReLU."""

    name: str
    kernel: int

    def parameters(self, place: Place) -> int:
        return (self.kernel**2 + place.out_channels) * place.in_channels + 2 * place.out_channels

    def macs(self, place: Place) -> int:
        return (self.kernel**2 + place.out_channels) * place.in_channels * place.out_side**2

    def build(self, place: Place) -> nn.Module:
        channels = place.in_channels
        return nn.Sequential(
            create_conv2d(
                channels, channels, self.kernel, stride=place.stride, groups=channels, padding=self.kernel // 2
            ),
            create_conv2d(channels, place.out_channels, 1),
            BatchNormAct2d(place.out_channels),
        )


nano = SKELETONS["nano"]
skeleton = replace(nano, operations=(*nano.operations, Separable("separable7", 7)))
