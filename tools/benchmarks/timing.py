"""Times two contestants in turn, so that what disturbs one disturbs the other too; their memory in fresh processes.

A contestant is made before it is timed: a Make builds what is needed and returns the call. Peak memory is what a
contestant needs on top of the imported libraries, data, weights and optimizer state included: on a CPU the growth of
the resident memory, on CUDA what torch allocated on the device.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from statistics import median

import numpy as np
import torch

Call = Callable[[], object]
Make = Callable[[], Call]


@dataclass(frozen=True)
class Spread:
    """The median of `n` values with their quartiles, `low` and `high`."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        low, middle, high = np.percentile(values, [25, 50, 75]).tolist()
        return cls(middle, low, high, len(values))


@dataclass(frozen=True)
class Comparison:
    """Seconds of a call of either contestant, pair by pair."""

    plain_seconds: tuple[float, ...]
    our_seconds: tuple[float, ...]

    @property
    def plain(self) -> Spread:
        return Spread.of(self.plain_seconds)

    @property
    def ours(self) -> Spread:
        return Spread.of(self.our_seconds)

    @property
    def ratio(self) -> Spread:
        """Plain seconds over ours, of every pair by itself: above 1, ours is faster."""
        return Spread.of([plain / ours for plain, ours in zip(self.plain_seconds, self.our_seconds, strict=True)])


@dataclass(frozen=True)
class Peak:
    """Bytes at the peak, and the median seconds of a call, the first one left out unless it is the only one."""

    bytes: int
    seconds: float


def in_turn(plain: Callable[[], float], ours: Callable[[], float], repeats: int) -> Comparison:
    """Ask either way for its seconds `repeats` times, alternately, the pair's order turned round every time."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for pair in range(repeats):
        for place in (0, 1) if pair % 2 == 0 else (1, 0):
            seconds[place].append((plain, ours)[place]())
    return Comparison(tuple(seconds[0]), tuple(seconds[1]))


def compare(
    plain: Call,
    ours: Call,
    *,
    repeats: int,
    device: str = "cpu",
    least_seconds: float = 0.2,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Time both contestants in this process.

    Each is called once to warm up and once to choose how many calls make a timing: as many as take `least_seconds`.
    """

    def timer(contestant: Call) -> Callable[[], float]:
        def seconds(calls: int) -> float:
            synchronise(device)
            start = clock()
            for _ in range(calls):
                contestant()
            synchronise(device)
            return (clock() - start) / calls

        contestant()
        calls = calls_in(least_seconds, seconds(1))
        return lambda: seconds(calls)

    return in_turn(timer(plain), timer(ours), repeats)


def calls_in(least_seconds: float, seconds: float) -> int:
    """How many calls of `seconds` each take `least_seconds`, one or more and a thousand at most."""
    return min(1000, max(1, math.ceil(least_seconds / max(seconds, 1e-9))))


def compare_apart(
    plain: Make, ours: Make, *, repeats: int, calls: int, device: str = "cpu"
) -> tuple[Comparison, tuple[Peak, Peak]]:
    """Time both, every timing in a process of its own: what a contestant sets for its whole process, such as the
    allocator, does not reach the other. The peaks are the highest of all timings."""
    peaks: tuple[list[Peak], list[Peak]] = ([], [])

    def timer(make: Make, taken: list[Peak]) -> Callable[[], float]:
        def seconds() -> float:
            taken.append(peak(make, calls, device))
            return taken[-1].seconds

        return seconds

    comparison = in_turn(timer(plain, peaks[0]), timer(ours, peaks[1]), repeats)
    plain_peak, our_peak = (max(taken, key=attrgetter("bytes")) for taken in peaks)
    return comparison, (plain_peak, our_peak)


def peak(make: Make, calls: int, device: str = "cpu") -> Peak:
    """The peak of a contestant over some calls, in a process of its own, to which `make` has to be sent.

    Raises ValueError in one line when that process fails, for example for want of memory.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(measure, make, calls, device).result()
        except (MemoryError, RuntimeError) as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise ValueError(f"in a process of its own: {reason}; measure something smaller") from error


def measure(make: Make, calls: int, device: str) -> Peak:
    """The peak of a contestant over some calls, in this process."""
    before = resident("VmRSS")
    contestant = make()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        contestant()
        synchronise(device)
        times.append(time.perf_counter() - start)
    on_device = torch.device(device).type == "cuda"
    used = torch.cuda.max_memory_allocated(device) if on_device else max(0, resident("VmHWM") - before)
    return Peak(used, median(times[1:] or times))


def synchronise(device: str) -> None:
    """Wait until a device has done what it was told."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def resident(field: str) -> int:
    """Bytes of resident memory of this process, VmRSS as it is or VmHWM at its highest.

    Read from /proc because the system's `ru_maxrss` starts, in a fresh process, at the parent's.
    Elsewhere than on Linux both are `ru_maxrss`.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(field))
        return 1024 * int(line.split()[1])
    import resource

    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else 1024 * highest
