"""Candidate operations: what may stand at a searched position, and what it costs there. Needs no torch to say so.

The nine of the dual path spaces are one table, one row each: a bias-free convolution with "same" padding and, before
it, behind it or nowhere, a batch normalisation followed by ReLU (search space of the DPN study, seed table; digits as
in the authors' program). An operation of your own is any object with the members of `Operation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Place:
    """Where an operation stands: channels in and out, groups of a convolution, stride, and the side of the square
    feature map that it reads, in pixels."""

    in_channels: int
    out_channels: int
    groups: int
    stride: int
    side: int

    @property
    def out_side(self) -> int:
        """Side of the feature map behind the operation, with "same" padding."""
        return -(-self.side // self.stride)


class Operation(Protocol):
    """A candidate operation. `name` is a name of Python: weights are filed under it."""

    name: str

    def parameters(self, place: Place) -> int:
        """Learnt weights of the operation at a place."""
        ...

    def macs(self, place: Place) -> int:
        """Multiply-accumulates of its convolutions and linear layers for one image."""
        ...

    def build(self, place: Place) -> nn.Module:
        """A module, freshly initialised: (B, in_channels, side, side) -> (B, out_channels, out_side, out_side)."""
        ...


@dataclass(frozen=True)
class Convolution:
    """A convolution of `kernel` x `kernel` with its normalisation `norm`: "pre", "post" or "" for none (raw)."""

    name: str
    kernel: int
    norm: str

    def parameters(self, place: Place) -> int:
        """k^2 * Cin * Cout / groups, plus scale and shift of the normalised channels."""
        normalised = {"pre": place.in_channels, "post": place.out_channels, "": 0}[self.norm]
        return self.kernel**2 * place.in_channels * place.out_channels // place.groups + 2 * normalised

    def macs(self, place: Place) -> int:
        """k^2 * Cin * Cout / groups for every pixel behind it."""
        return self.kernel**2 * place.in_channels * place.out_channels // place.groups * place.out_side**2

    def build(self, place: Place) -> nn.Module:
        """(B, in, side, side) -> (B, out, out_side, out_side)."""
        from dualfair.supernet.convolution import NormalisedConv

        return NormalisedConv(self.norm, place.in_channels, place.out_channels, self.kernel, place.stride, place.groups)


@dataclass(frozen=True)
class NormalisedLayer:
    """A bias-free convolution and, where it is `normalised`, BN, then the `activation` ("relu", "relu6" or "")."""

    place: Place
    kernel: int
    activation: str = ""
    normalised: bool = True

    @property
    def cost(self) -> tuple[int, int]:
        """(learnt weights, multiply-accumulates an image): k^2 * Cin * Cout / groups, and 2 * Cout of BN."""
        place = self.place
        weights = self.kernel**2 * place.in_channels * place.out_channels // place.groups
        return weights + 2 * place.out_channels * self.normalised, weights * place.out_side**2


OPERATIONS: dict[str, Convolution] = {
    operation.name: operation
    for operation in (
        Convolution("pre3", 3, "pre"),
        Convolution("pre1", 1, "pre"),
        Convolution("pre5", 5, "pre"),
        Convolution("raw3", 3, ""),
        Convolution("raw1", 1, ""),
        Convolution("raw5", 5, ""),
        Convolution("post3", 3, "post"),
        Convolution("post1", 1, "post"),
        Convolution("post5", 5, "post"),
    )
}

OPERATION_NAMES: tuple[str, ...] = tuple(OPERATIONS)
"""Names in the order of their codes: the digit in a genotype is the place in this tuple."""
