"""Where this process computes: on a device, alone or with other ranks, in a run directory that nobody else writes to.

What touches torch's global state puts it back."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import BATCH
from dualfair.runs.watching import Say, silent
from dualfair.supernet.training.process_group import ProcessGroup, join_ranks

_MOST_IMAGES = 4096
_BYTES_A_PIXEL = 1400
"""Activations of `paper`, the dearest built-in skeleton, for an image and its mirror image, as `plan` counts them."""

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3


@contextmanager
def deterministic_operations(deterministic: bool) -> Iterator[None]:
    """Within, torch takes only operations that repeat themselves to the bit; unless asked, it is left as it is."""
    if not deterministic:
        yield
        return
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    filling = torch.utils.deterministic.fill_uninitialized_memory
    # cuBLAS reads this when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    # Filling fresh memory with NaN only helps to find errors, and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.deterministic = before[1]
        torch.utils.deterministic.fill_uninitialized_memory = filling


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next step: giving it back and faulting it in again costs time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt:
        for parameter, value in ((_MMAP_THRESHOLD, 2**25), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**26)):
            mallopt(parameter, value)


def choose_device(name: str):
    """The torch device of that name. Raises ValueError when this machine lacks it."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"unknown device {name!r}; use auto, cpu or cuda") from None
    if device.type == "cuda" and not (torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()):
        raise ValueError(f"device {name!r} is not available: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def images_at_once(device, side: int) -> int:
    """How many images of so many pixels a side are scored at once, unless told otherwise: `BATCH`, and on CUDA that
    doubled up to 4,096 while activations take no more than an eighth of the device's memory.

    Embeddings in other batches differ by rounding, on CUDA only, as they do where memory runs out.
    """
    import torch

    images = BATCH
    if torch.device(device).type == "cuda":
        share = torch.cuda.get_device_properties(device).total_memory // 8
        while images < _MOST_IMAGES and 2 * images * side**2 * _BYTES_A_PIXEL <= share:
            images *= 2
    return images


def describe(device) -> str:
    """A device in words, for plans and records."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


@contextmanager
def kept_generators() -> Iterator[None]:
    """Whatever is drawn within, torch's generators are afterwards as they were before."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()):
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within, initial weights, and what layers draw, follow a seed; then torch's generators are as they were before."""
    import torch

    with kept_generators():
        torch.manual_seed(seed)
        yield


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
