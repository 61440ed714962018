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

# Ranks that have nothing left to do wait for text; one that died is noticed at once, as its connections close.
_PATIENCE = timedelta(days=7)
# GPUs meet within a step, and never learn that another is gone.
_DEVICE_PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class ProcessGroup:
    """This process is number `rank` of `size`; `device` is where it computes.

    Every method that sends is called by all ranks, in the same order. Alone (size 1) nothing is sent. `handle` is
    torch's group, None for all processes: text and tensors on the CPU travel by it, for which no rank waits for its
    device, and waits may be long. Tensors on GPUs travel by `device_handle`, and have to within minutes. `store` is
    torch's store of numbers that all ranks see.
    """

    rank: int = 0
    size: int = 1
    device: torch.device | str = "cpu"
    handle: torch.distributed.ProcessGroup | None = None
    store: torch.distributed.Store | None = None
    device_handle: torch.distributed.ProcessGroup | None = None

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

            torch.distributed.all_reduce(values, group=self._handle_for(values))
        return values

    def collect(self, values: Tensor) -> Tensor:
        """The values of all ranks, (W, *values.shape); the shape has to be the same on all of them."""
        import torch

        if self.size == 1:
            return values[None]
        parts = values.new_empty(self.size * values.numel())
        torch.distributed.all_gather_into_tensor(parts, values.flatten(), group=self._handle_for(values))
        return parts.view(self.size, *values.shape)

    def broadcast(self, text: str = "") -> str:
        """The leader's text, on every rank."""
        if self.size == 1:
            return text
        import torch

        letters = torch.frombuffer(bytearray(text.encode() or b"\0"), dtype=torch.uint8)
        length = torch.tensor([len(text.encode())])
        torch.distributed.broadcast(length, group_src=0, group=self.handle)
        if not self.leads:
            letters = torch.empty(max(int(length), 1), dtype=torch.uint8)
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
        marks = self.collect(torch.tensor([mark])).flatten().tolist()
        if len(set(marks)) > 1:
            raise RuntimeError(f"the ranks do not agree on {what}; one of them sees other files or runs other code")

    def tickets(self, name: str, until: int) -> Iterator[int]:
        """Numbers from 0 to `until` - 1, each to one rank only, whichever asks first: a queue of jobs."""
        if self.size == 1:
            yield from range(until)
            return
        while (ticket := self.store.add(name, 1) - 1) < until:
            yield ticket

    def _handle_for(self, values: Tensor) -> torch.distributed.ProcessGroup | None:
        return self.device_handle if values.is_cuda else self.handle


ALONE = ProcessGroup()
"""A single process."""


def join_ranks(device: torch.device) -> ProcessGroup:
    """All ranks that torchrun started; of CUDA devices, each rank has that of its number, or the only one it sees.

    Raises ValueError when this machine has fewer CUDA devices than ranks.
    """
    import torch
    from torch import distributed

    on_cuda = device.type == "cuda"
    if on_cuda:
        local, devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        # A batch system may show every rank one GPU, its own.
        if local >= devices > 1:
            raise ValueError(f"rank {local} of this machine has no device of its own: there are {devices}; start fewer")
        device = torch.device("cuda", min(local, devices - 1))
        torch.cuda.set_device(device)
    store, rank, size = next(distributed.rendezvous("env://", timeout=_PATIENCE))
    # torchrun's store outlives a restart, and a group: without a prefix, ranks would look for those that are gone.
    start = f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    store = distributed.PrefixStore(f"{start}, group {store.add(f'{start}, groups of rank {rank}', 1)}", store)
    if on_cuda:
        _refuse_sharing(str(torch.cuda.get_device_properties(device).uuid), store, rank, size)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    return ProcessGroup(rank, size, device, None, store, _device_group(range(size)) if on_cuda else None)


def _refuse_sharing(device: str, store: torch.distributed.Store, rank: int, size: int) -> None:
    """Raises ValueError on every rank where two of them have the same GPU; `device` is this rank's, by its UUID."""
    store.set(f"GPU of rank {rank}", device)
    ranks: dict[bytes, int] = {}
    for other in range(size):
        first = ranks.setdefault(store.get(f"GPU of rank {other}"), other)
        if first != other:
            raise ValueError(
                f"ranks {first} and {other} have no device of their own: both see one GPU, the same; start one rank a "
                "GPU, or have the batch system give every task its own"
            )


def _device_group(ranks: Sequence[int]) -> torch.distributed.ProcessGroup:
    from torch import distributed

    return distributed.new_group(ranks, timeout=_DEVICE_PATIENCE, backend="nccl")


def divide(processes: ProcessGroup, ranks: int) -> ProcessGroup:
    """The team of `ranks` consecutive ranks that this one belongs to. Raises ValueError unless they divide the size."""
    from torch import distributed

    if ranks < 1 or processes.size % ranks:
        raise ValueError(f"ranks_per_job must divide the {processes.size} ranks, got {ranks}")
    if ranks == processes.size:
        return processes
    team, rank = divmod(processes.rank, ranks)
    teams = [range(first, first + ranks) for first in range(0, processes.size, ranks) if ranks > 1]
    # Every process has to take part in making every group.
    handles = [distributed.new_group(each, timeout=_PATIENCE) for each in teams]
    on_devices = [_device_group(each) for each in teams if processes.device_handle]
    return ProcessGroup(
        rank,
        ranks,
        processes.device,
        handles[team] if handles else None,
        processes.store,
        on_devices[team] if on_devices else None,
    )
