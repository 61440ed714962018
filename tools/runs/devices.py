"""Which device a command runs on, how, and global seeding: the only place that touches torch's global state."""

from __future__ import annotations

import ctypes
import os

import click

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3


def device_option(command):
    """Add --device to a command."""
    text = "cpu, cuda, cuda:1, ...; auto takes CUDA where there is one.  [default: auto]"
    return click.option("--device", default="auto", help=text)(command)


def deterministic_option(command):
    """Add --deterministic to a command."""
    text = "Only operations that give the same result in every run, or an error; for CUDA, a CPU has no others."
    return click.option("--deterministic", is_flag=True, help=text)(command)


def bind(deterministic: bool) -> None:
    """Have torch take only operations that repeat themselves to the bit, or leave it free to take the fastest."""
    import torch

    if deterministic:
        # cuBLAS reads this when it starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    # Filling fresh memory with NaN only helps to find errors, and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False


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


def describe(device) -> str:
    """A device in words, for plans and records."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


def seed_everything(seed: int) -> None:
    """Seed the generators that initial weights are drawn from."""
    import torch

    torch.manual_seed(seed)
