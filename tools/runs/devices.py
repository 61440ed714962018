"""Which device this process computes on, and how: what touches torch's global state, and puts it back."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

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
