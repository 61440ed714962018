"""The nine candidate operations of a searched position: one table, one row each, with what an operation costs.

An operation is a bias-free convolution with "same" padding and, before it, behind it or nowhere, a batch
normalisation followed by ReLU (search space of the DPN study, seed table; digits as in the authors' program).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Operation:
    """A convolution of `kernel` x `kernel` with its normalisation `norm`: "pre", "post" or "" for none (raw)."""

    name: str
    kernel: int
    norm: str

    def parameters(self, in_channels: int, out_channels: int, groups: int = 1) -> int:
        """Learnt weights: k^2 * Cin * Cout / groups, plus scale and shift of the normalised channels."""
        normalised = {"pre": in_channels, "post": out_channels, "": 0}[self.norm]
        return self.kernel**2 * in_channels * out_channels // groups + 2 * normalised

    def macs(self, in_channels: int, out_channels: int, groups: int, out_pixels: int) -> int:
        """Multiply-accumulates of the convolution for one image with `out_pixels` output positions."""
        return self.kernel**2 * in_channels * out_channels // groups * out_pixels


OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("pre3", 3, "pre"),
        Operation("pre1", 1, "pre"),
        Operation("pre5", 5, "pre"),
        Operation("raw3", 3, ""),
        Operation("raw1", 1, ""),
        Operation("raw5", 5, ""),
        Operation("post3", 3, "post"),
        Operation("post1", 1, "post"),
        Operation("post5", 5, "post"),
    )
}

OPERATION_NAMES: tuple[str, ...] = tuple(OPERATIONS)
"""Names in the order of their codes: the digit in a genotype is the place in this tuple."""
