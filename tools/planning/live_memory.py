"""How many bytes of tensors are alive at once while something runs: counted, not measured, and without the tensors.

Under `FakeTensorMode` tensors have shapes and no data, so that a batch of any size runs in no memory and no time. What
is counted is exact and the same on every device, but for the workspace of a device's kernels.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


@dataclass(frozen=True)
class LiveBytes:
    """Bytes of tensors that were made while something ran: most at once, and those left when it was over."""

    peak: int
    left: int


class _Counter(TorchDispatchMode):
    """Counts the storages that operations make until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        made = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known[storage] = True
        self.alive += storage.nbytes()
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._free, storage.nbytes())

    def _free(self, size: int) -> None:
        self.alive -= size


def live_bytes(run: Callable[[], object]) -> LiveBytes:
    """What `run` makes, and keeps until it returns; what it returns is kept too while it is counted."""
    with _Counter() as counter:
        kept = run()
        left = counter.alive
        del kept
    return LiveBytes(counter.peak, left)
