"""Where stages work: on a device, alone or with other ranks, in a run directory that nobody else writes to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dualfair.runs.devices import choose_device, describe, deterministic_operations, kept_generators
from dualfair.runs.directory import RunDirectory
from dualfair.runs.watching import Say, silent
from dualfair.supernet.training.process_group import ProcessGroup, join_ranks


@dataclass(frozen=True)
class Workplace:
    """A run directory that this process holds the lock of, or whose leading rank does, and the ranks at work on it."""

    directory: RunDirectory
    processes: ProcessGroup


@contextmanager
def joined(device: str = "auto", deterministic: bool = False) -> Iterator[ProcessGroup]:
    """The processes that torchrun started, one a device, or this one alone; within, operations are as `deterministic`
    asks, and what is drawn from torch's generators does not show afterwards.

    Raises ValueError when this machine lacks the device, or has fewer CUDA devices than ranks.
    """
    with deterministic_operations(deterministic), kept_generators():
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            yield ProcessGroup(device=choose_device(device))
            return
        from torch import distributed

        processes = join_ranks(choose_device(device))
        try:
            yield processes
        finally:
            distributed.destroy_process_group()


def in_words(processes: ProcessGroup) -> str:
    """The device of a rank and how many ranks there are, for plans and records."""
    return describe(processes.device) + (f", {processes.size} ranks" if processes.size > 1 else "")


@contextmanager
def working(
    run: Path | str,
    *,
    make: bool = False,
    device: str = "auto",
    deterministic: bool = False,
    say: Say = silent,
) -> Iterator[Workplace]:
    """Hold a run directory, which is made if `make` says so, and compute on a device.

    What is said goes to the run's log and, on the leading rank, to `say`. Raises ValueError where the directory is not
    there or in use, and where this machine lacks the device.
    """
    with joined(device, deterministic) as processes:
        directory = RunDirectory(run, processes.leads, say)
        with directory.locked(make=make):
            yield Workplace(directory, processes)


@contextmanager
def working_beside(place: Workplace, run: Path, *, make: bool = False) -> Iterator[Workplace]:
    """Hold another run directory too, by the same ranks, and say to the same people; ValueError as in `working`."""
    directory = RunDirectory(run, place.directory.leads, place.directory.show)
    with directory.locked(make=make):
        yield Workplace(directory, place.processes)
