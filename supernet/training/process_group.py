"""The processes that work together: one of them alone, or the ranks that torchrun started. Alone it needs no torch.

Shape legend: W ranks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Item = TypeVar("Item")

# A dead rank is noticed by torchrun at once; a long wait is ranks that have nothing left to do.
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class ProcessGroup:
    """This process is number `rank` of `size`; `device` is where it computes, and where tensors travel from.

    Every method that sends is called by all ranks, in the same order. Alone (size 1) nothing is sent. `handle` is
    torch's group, None for all processes; `store` is torch's store of numbers that all of them see.
    """

    rank: int = 0
    size: int = 1
    device: torch.device | str = "cpu"
    handle: torch.distributed.ProcessGroup | None = None
    store: torch.distributed.Store | None = None

    @property
    def leads(self) -> bool:
        """Whether this rank is the one that prints and writes files."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This rank's part of a sequence: consecutive items; the ranks' parts differ by one item at most."""
        first, last = (len(items) * rank // self.size for rank in (self.rank, self.rank + 1))
        return items[first:last]

    def add(self, values: Tensor) -> Tensor:
        """The sum over all ranks, equal to the bit on each of them; `values` are overwritten by it."""
        if self.size > 1:
            import torch

            torch.distributed.all_reduce(values, group=self.handle)
        return values

    def collect(self, values: Tensor) -> Tensor:
        """The values of all ranks, (W, *values.shape); the shape has to be the same on all of them."""
        import torch

        if self.size == 1:
            return values[None]
        parts = values.new_empty(self.size * values.numel())
        torch.distributed.all_gather_into_tensor(parts, values.flatten(), group=self.handle)
        return parts.view(self.size, *values.shape)

    def broadcast(self, text: str = "") -> str:
        """The leader's text, on every rank."""
        if self.size == 1:
            return text
        import torch

        letters = torch.frombuffer(bytearray(text.encode() or b"\0"), dtype=torch.uint8).to(self.device)
        length = torch.tensor([len(text.encode())], device=self.device)
        torch.distributed.broadcast(length, group_src=0, group=self.handle)
        if not self.leads:
            letters = torch.empty(max(int(length), 1), dtype=torch.uint8, device=self.device)
        torch.distributed.broadcast(letters, group_src=0, group=self.handle)
        return bytes(letters.tolist()[: int(length)]).decode()

    def wait(self) -> None:
        """Return when every rank has come this far."""
        self.agree("having come this far", True)

    def agree(self, what: str, value: object) -> None:
        """Raises RuntimeError unless `value` reads the same on all ranks; `what` names it."""
        if self.size == 1:
            return
        import torch

        mark = int.from_bytes(hashlib.sha256(repr(value).encode()).digest()[:7])
        marks = self.collect(torch.tensor([mark], device=self.device)).flatten().tolist()
        if len(set(marks)) > 1:
            raise RuntimeError(f"the ranks do not agree on {what}; one of them sees other files or runs other code")

    def tickets(self, name: str, until: int) -> Iterator[int]:
        """Numbers from 0 to `until` - 1, each to one rank only, whichever asks first: a queue of jobs."""
        if self.size == 1:
            yield from range(until)
            return
        while (ticket := self.store.add(name, 1) - 1) < until:
            yield ticket


ALONE = ProcessGroup()
"""A single process."""


def join_ranks(device: torch.device) -> ProcessGroup:
    """All ranks that torchrun started; of CUDA devices, each rank has that of its number.

    Raises ValueError when this machine has fewer CUDA devices than ranks.
    """
    import torch
    from torch import distributed

    if device.type == "cuda":
        local, devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= devices:
            raise ValueError(f"rank {local} of this machine has no device of its own: there are {devices}; start fewer")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    store, rank, size = next(distributed.rendezvous("env://", timeout=_PATIENCE))
    # torchrun's store outlives a restart, and a group: without a prefix, ranks would look for those that are gone.
    start = f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    store = distributed.PrefixStore(f"{start}, group {store.add(f'{start}, groups of rank {rank}', 1)}", store)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    return ProcessGroup(rank, size, device, None, store)


def divide(processes: ProcessGroup, ranks: int) -> ProcessGroup:
    """The team of `ranks` consecutive ranks that this one belongs to. Raises ValueError unless they divide the size."""
    from torch import distributed

    if ranks < 1 or processes.size % ranks:
        raise ValueError(f"ranks_per_job must divide the {processes.size} ranks, got {ranks}")
    if ranks == processes.size:
        return processes
    team = processes.rank // ranks
    # Every process has to take part in making every group.
    handles = [
        distributed.new_group(range(first, first + ranks), timeout=_PATIENCE) if ranks > 1 else None
        for first in range(0, processes.size, ranks)
    ]
    return ProcessGroup(processes.rank % ranks, ranks, processes.device, handles[team], processes.store)
