"""Where stages work: on a device, alone or with other ranks, in a run directory that nobody else writes to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dualfair.runs.directory import RunDirectory
from dualfair.runs.distributed import joined
from dualfair.runs.watching import Say, silent
from dualfair.supernet.training.process_group import ProcessGroup


@dataclass(frozen=True)
class Workplace:
    """A run directory that this process holds the lock of, or whose leading rank does, and the ranks at work on it."""

    directory: RunDirectory
    processes: ProcessGroup


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
