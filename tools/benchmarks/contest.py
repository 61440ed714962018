"""What all benchmarks share: the setting, two ways timed in turn, each in its process, and a contest of them in words.

A way is made before it is timed: a Make builds what is needed and returns the call. Peak memory is what it needs on top
of the imported libraries, data, weights and optimizer state included: on a CPU the growth of the resident memory, on
CUDA what torch allocated on the device.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dualfair.presentation.format import counted, with_interval
from dualfair.presentation.table import Column, table
from dualfair.supernet.skeleton import Skeleton, skeleton_of
from dualfair.supernet.space import SearchSpace, dpn_space

Call = Callable[[], object]
Make = Callable[[], Call]
SPACE = "dpn81"
"""The space whose networks are trained and scored."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all benchmarks of a run share; plain values, so that a fresh process can be told.

    `batch` counts images at once, `repeats` pairs of timings. Raises ValueError for too few of them, or a skeleton that
    there is not.
    """

    device: str = "cpu"
    skeleton: str = "nano"
    batch: int = 32
    repeats: int = 5

    def __post_init__(self) -> None:
        for name, least in (("batch", 2), ("repeats", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        skeleton_of(self.skeleton)

    @property
    def shape(self) -> Skeleton:
        """The skeleton by its name."""
        return skeleton_of(self.skeleton)

    @property
    def space(self) -> SearchSpace:
        """The space over the skeleton's blocks."""
        return dpn_space(SPACE, sum(self.shape.blocks))


@dataclass(frozen=True)
class Way:
    """A way of doing a thing: the seconds of a call, pair by pair, and bytes at the peak."""

    name: str
    seconds: tuple[float, ...]
    peak: int


@dataclass(frozen=True, kw_only=True)
class Contest:
    """The plain way of doing a thing, and ours beside it. A call of either does `work` units of what `unit` names.

    `ideal` is the ratio that could be reached, where that is known.
    """

    title: str
    work: float
    unit: str
    ways: tuple[Way, Way]
    ideal: float | None = None

    @property
    def ratio(self) -> tuple[float, float | None, float | None]:
        """Quartiles of plain seconds over ours, of every pair by itself: above 1, ours is faster."""
        plain, ours = self.ways
        return quartiles([slow / fast for slow, fast in zip(plain.seconds, ours.seconds, strict=True)])

    def lines(self) -> list[str]:
        """A row for either way (milliseconds of a call with their quartiles, units a second, MiB at the peak), and the
        ratio."""
        times = Column("milliseconds", low="low", high="high"), Column("low"), Column("high")
        columns = Column("way", "text"), *times, Column(f"{self.unit}/s", "whole"), Column("peak MiB", "whole")
        rows = []
        for way in self.ways:
            median, *quartile = quartiles([1000 * value for value in way.seconds])
            rows.append((way.name, median, *quartile, 1000 * self.work / median, way.peak / 2**20))
        ratio = f"ratio {with_interval(*self.ratio)} over {counted(len(self.ways[0].seconds), 'pair')}"
        ideal = f"; ideal, by MACs, {self.ideal:.3f}" if self.ideal else ""
        return [self.title, *(f"  {line}" for line in (*table(columns, rows).lines(), ratio + ideal))]


def quartiles(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The median, and below and above it the quartiles; a single value has none."""
    low, median, high = np.percentile(values, [25, 50, 75]).tolist()
    return (median, low, high) if len(values) > 1 else (median, None, None)


def compare(
    ways: Mapping[str, Make], *, repeats: int, calls: int, warm_up: int = 0, device: str = "cpu"
) -> tuple[Way, Way]:
    """Time some calls of the plain way and of ours `repeats` times alternately, the pair's order turned round every
    time.

    Each has a process of its own, to which its `make` has to be sent: what a contestant sets for its whole process,
    such as the allocator, does not reach the other. Raises ValueError in one line when a process fails, for example for
    want of memory.
    """
    spawn = multiprocessing.get_context("spawn")
    measured: dict[str, list[tuple[float, int]]] = {name: [] for name in ways}
    with ProcessPoolExecutor(1, spawn) as plain_process, ProcessPoolExecutor(1, spawn) as our_process:
        processes = dict(zip(ways, (plain_process, our_process), strict=True))
        for pair in range(repeats):
            for name in ways if pair % 2 == 0 else reversed(ways):
                try:
                    timed = processes[name].submit(measure, ways[name], calls, warm_up, device).result()
                except (MemoryError, RuntimeError) as error:
                    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                    raise ValueError(f"in a process of its own: {reason}; measure something smaller") from error
                measured[name].append(timed)
    plain, ours = (Way(name, tuple(seconds for seconds, _ in of), of[-1][1]) for name, of in measured.items())
    return plain, ours


_contestant: list = []
"""In the process of a contestant, bytes that were resident before it was made, and its call."""


def measure(make: Make, calls: int, warm_up: int, device: str) -> tuple[float, int]:
    """Mean seconds of some calls, and bytes at the peak so far, of this process's contestant. When this is asked for
    first, it is made, and called to warm up."""
    if not _contestant:
        _contestant.extend((resident("VmRSS"), make()))
        for _ in range(warm_up):
            _contestant[1]()
    before, call = _contestant
    on_device = torch.device(device).type == "cuda"
    wait = torch.cuda.synchronize if on_device else lambda device: None
    wait(device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    wait(device)
    seconds = (time.perf_counter() - start) / calls
    return seconds, torch.cuda.max_memory_allocated(device) if on_device else max(0, resident("VmHWM") - before)


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
