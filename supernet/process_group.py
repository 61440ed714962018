"""The processes that work together: one of them alone, or the ranks that torchrun started.

Shape legend: W ranks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
import torch.distributed
from torch import Tensor

Item = TypeVar("Item")


@dataclass(frozen=True)
class ProcessGroup:
    """This process is number `rank` of `size`; `device` is where tensors travel from (nccl: CUDA, gloo: the CPU).

    Every method that sends is called by all ranks, in the same order. Alone (size 1) nothing is sent.
    `handle` is torch's group; None means all processes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    handle: torch.distributed.ProcessGroup | None = None

    @property
    def leads(self) -> bool:
        """Whether this rank is the one that prints and writes files."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This rank's part of a sequence: consecutive items; the ranks' parts differ by one item at most."""
        first, last = (len(items) * rank // self.size for rank in (self.rank, self.rank + 1))
        return items[first:last]

    def add(self, values: Tensor) -> Tensor:
        """The sum over all ranks, equal to the bit on each of them. `values` may be overwritten."""
        if self.size == 1:
            return values
        torch.distributed.all_reduce(values, group=self.handle)
        return values

    def collect(self, values: Tensor) -> Tensor:
        """The values of all ranks, shape (W, *values.shape), which has to be the same everywhere."""
        if self.size == 1:
            return values[None]
        parts = [torch.empty_like(values) for _ in range(self.size)]
        torch.distributed.all_gather(parts, values.contiguous(), group=self.handle)
        return torch.stack(parts)

    def broadcast(self, values: Tensor) -> Tensor:
        """The leader's values, overwriting those of the other ranks."""
        if self.size > 1:
            torch.distributed.broadcast(values, group_src=0, group=self.handle)
        return values

    def wait(self) -> None:
        """Return when every rank has come this far."""
        self.add(torch.zeros(1, device=self.device))

    def agree(self, what: str, value: object) -> None:
        """Raises RuntimeError unless `value` reads the same on all ranks; `what` names it."""
        mark = int.from_bytes(hashlib.sha256(repr(value).encode()).digest()[:7])
        marks = self.collect(torch.tensor([mark], device=self.device)).flatten().tolist()
        if len(set(marks)) > 1:
            raise RuntimeError(f"the ranks do not agree on {what}; this is a fault of the program or of one machine")


ALONE = ProcessGroup()
"""A single process."""
