"""Joins the processes that torchrun started, one a device; without torchrun this process works alone."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta

import click

from dualfair.runs.devices import bind, choose_device, describe, keep_freed_memory
from dualfair.supernet.training.process_group import ProcessGroup

# A dead rank is noticed by torchrun at once; a long wait is ranks that have nothing left to do.
_PATIENCE = timedelta(days=7)


def join(device: str, deterministic: bool = False) -> ProcessGroup:
    """The process group of this command and the device of this rank: of the CUDA devices, that of its local rank.

    `deterministic` is for the whole process: see `runs.devices.bind`.

    Raises ValueError when a machine has fewer CUDA devices than ranks.
    """
    import torch
    from torch import distributed

    bind(deterministic)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ProcessGroup(device=_prepared(choose_device(device)))
    chosen = choose_device(device)
    if chosen.type == "cuda":
        local, devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= devices:
            raise ValueError(f"rank {local} of this machine has no device of its own: there are {devices}; start fewer")
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    store, rank, size = next(distributed.rendezvous("env://", timeout=_PATIENCE))
    # torchrun's store outlives a restart: without a prefix, ranks would look for those that died.
    store = distributed.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    atexit.register(distributed.destroy_process_group)
    return ProcessGroup(rank, size, _prepared(chosen), None, store)


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


def say(processes: ProcessGroup, text: str) -> None:
    """Print a line once, not once a rank."""
    if processes.leads:
        click.echo(text)


def _prepared(device):
    if device.type == "cpu":
        keep_freed_memory()
    return device
