"""The parts of a dual path network: its block, and what comes before and behind the blocks.

Shape legend: B batch, C channels, H height, W width.
"""

from collections.abc import Iterable, Sequence

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from dualfair.supernet.convolution import EPSILON, NormalisedConv
from dualfair.supernet.operations import OPERATIONS, Operation, Place
from dualfair.supernet.trunk import SearchedBlock


class DualPathBlock(SearchedBlock):
    """A dual path block (DPN, figure 2): 1x1, grouped 3x3, 1x1 in the paper, three searched positions here.

    Residual path (the first `residual` channels) and dense path travel as one concatenated tensor, as in timm. With a
    place for a `shortcut`, BN, ReLU and a 1x1 convolution stand on what is carried.
    """

    def __init__(
        self,
        residual: int,
        places: Sequence[Place],
        candidates: Sequence[Iterable[tuple[int, Operation]]],
        shortcut: Place | None,
    ) -> None:
        super().__init__(places, candidates, None if shortcut is None else OPERATIONS["pre1"].build(shortcut))
        self.residual = residual

    def join(self, carried: Tensor, x: Tensor) -> Tensor:
        """Add the residual channels of what was carried and what was computed, and put the dense ones side by side.

        Channels are split, not sliced: backward, gradients of slices are padded with zeros and added up. In `paper` on
        an H200 a strict step takes 291 ms so, 313 by slices.
        """
        (residual, dense), (added, new) = (
            tensor.split([self.residual, tensor.shape[1] - self.residual], dim=1) for tensor in (carried, x)
        )
        return torch.cat([residual + added, dense, new], dim=1)


class Stem(nn.Module):
    """A first convolution of stride 2 with BN and ReLU, and with `pool` a 3 x 3 max pool of stride 2."""

    def __init__(self, width: int, kernel: int, pool: bool) -> None:
        super().__init__()
        self.conv = NormalisedConv("post", 3, width, kernel, stride=2, groups=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if pool else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, width, H / 2 or H / 4, W / 2 or W / 4)."""
        return self.pool(self.conv(images))


def tail(features: int) -> nn.Module:
    """What stands behind the blocks: BN with ELU, (B, features, h, w) -> the same."""
    return BatchNormAct2d(features, eps=EPSILON, act_layer=nn.ELU, inplace=False)
