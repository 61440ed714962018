"""Joins the processes that torchrun started, one a device; without torchrun this process works alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from dualfair.runs.devices import choose_device, describe, deterministic_operations, kept_generators
from dualfair.supernet.training.process_group import ProcessGroup

# A dead rank is noticed by torchrun at once; a long wait is ranks that have nothing left to do.
_PATIENCE = timedelta(days=7)


@contextmanager
def joined(device: str = "auto", deterministic: bool = False) -> Iterator[ProcessGroup]:
    """The process group of this program and the device of this rank; within, operations are as
    `deterministic` asks, and what is drawn from torch's generators does not show afterwards.

    Raises ValueError when this machine lacks the device, or has fewer CUDA devices than ranks.
    """
    with deterministic_operations(deterministic), kept_generators():
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            yield ProcessGroup(device=choose_device(device))
            return
        from torch import distributed

        processes = _join_ranks(device)
        try:
            yield processes
        finally:
            distributed.destroy_process_group()


def _join_ranks(device: str) -> ProcessGroup:
    """The ranks that torchrun started; of the CUDA devices, each rank has that of its number."""
    import torch
    from torch import distributed

    chosen = choose_device(device)
    if chosen.type == "cuda":
        local, devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= devices:
            raise ValueError(f"rank {local} of this machine has no device of its own: there are {devices}; start fewer")
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    store, rank, size = next(distributed.rendezvous("env://", timeout=_PATIENCE))
    # torchrun's store outlives a restart, and a group: without a prefix, ranks would look for those that are gone.
    start = f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    store = distributed.PrefixStore(f"{start}, group {store.add(f'{start}, groups of rank {rank}', 1)}", store)
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    return ProcessGroup(rank, size, chosen, None, store)


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


def in_words(processes: ProcessGroup) -> str:
    """The device of a rank and how many ranks there are, for plans and records."""
    return describe(processes.device) + (f", {processes.size} ranks" if processes.size > 1 else "")
