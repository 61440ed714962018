"""Devices: waiting for them, timing on them, and what they have at most at once."""

import time
from collections.abc import Callable

import numpy as np
import torch

from dualfair.supernet.memory import free_caches


def seconds_of(call: Callable[[], object], device: str, repeats: int, warm_up: int) -> float:
    """The median seconds of a call, the device's work included."""
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(repeats):
        wait(device)
        start = time.perf_counter()
        call()
        wait(device)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def wait(device: str) -> None:
    """Until the device has done all that it was asked for."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def forget(device: str) -> None:
    """Free what is not referred to any more, and count the peak anew; the device has to have been used."""
    free_caches()
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def exact_arithmetic() -> None:
    """Float32 without TF32, in this process."""
    torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "ieee"
