"""Times two contestants in turn, each in its process, so that what disturbs one disturbs the other too.

A contestant is made before it is timed: a Make builds what is needed and returns the call. Peak memory is what a
contestant needs on top of the imported libraries, data, weights and optimizer state included: on a CPU the growth of
the resident memory, on CUDA what torch allocated on the device.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

Call = Callable[[], object]
Make = Callable[[], Call]


@dataclass(frozen=True)
class Timings:
    """Seconds of a call of either contestant, pair by pair, and bytes at their peaks."""

    plain: tuple[float, ...]
    ours: tuple[float, ...]
    peaks: tuple[int, int]

    @property
    def ratio(self) -> tuple[float, float | None, float | None]:
        """Quartiles of plain seconds over ours, of every pair by itself: above 1, ours is faster."""
        return quartiles([plain / ours for plain, ours in zip(self.plain, self.ours, strict=True)])


def quartiles(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The median, and below and above it the quartiles; a single value has none."""
    low, median, high = np.percentile(values, [25, 50, 75]).tolist()
    return (median, low, high) if len(values) > 1 else (median, None, None)


def compare(plain: Make, ours: Make, *, repeats: int, calls: int, warm_up: int = 0, device: str = "cpu") -> Timings:
    """Time some calls of both `repeats` times alternately, the pair's order turned round every time.

    Each has a process of its own, to which its `make` has to be sent: what a contestant sets for its whole process,
    such as the allocator, does not reach the other. Raises ValueError in one line when a process fails, for example for
    want of memory.
    """
    spawn = multiprocessing.get_context("spawn")
    results: tuple[list[tuple[float, int]], list[tuple[float, int]]] = ([], [])
    with ProcessPoolExecutor(1, spawn) as plain_process, ProcessPoolExecutor(1, spawn) as our_process:
        ways = (plain_process, plain), (our_process, ours)
        for pair in range(repeats):
            for way in (0, 1) if pair % 2 == 0 else (1, 0):
                process, make = ways[way]
                try:
                    results[way].append(process.submit(measure, make, calls, warm_up, device).result())
                except (MemoryError, RuntimeError) as error:
                    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                    raise ValueError(f"in a process of its own: {reason}; measure something smaller") from error
    (plain_seconds, plain_peaks), (our_seconds, our_peaks) = (zip(*measured, strict=True) for measured in results)
    return Timings(plain_seconds, our_seconds, (plain_peaks[-1], our_peaks[-1]))


_contestant: list = []
"""In the process of a contestant, bytes that were resident before it was made, and its call."""


def measure(make: Make, calls: int, warm_up: int, device: str) -> tuple[float, int]:
    """Seconds of a call and bytes at the peak so far, of this process's contestant. When this is asked for first, it is
    made, and called to warm up."""
    if not _contestant:
        _contestant.extend((resident("VmRSS"), make()))
        for _ in range(warm_up):
            _contestant[1]()
    before, call = _contestant
    seconds = seconds_of(call, calls, device)
    on_device = torch.device(device).type == "cuda"
    return seconds, torch.cuda.max_memory_allocated(device) if on_device else max(0, resident("VmHWM") - before)


def seconds_of(call: Call, calls: int, device: str) -> float:
    """Mean seconds of some calls, until the device has done what it was told."""

    def wait() -> None:
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)

    wait()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    wait()
    return (time.perf_counter() - start) / calls


def resident(field: str) -> int:
    """Bytes of resident memory of this process, VmRSS as it is or VmHWM at its highest.

    Read from /proc because the system's `ru_maxrss` starts, in a fresh process, at the parent's.
    Elsewhere than on Linux both are `ru_maxrss`.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])
