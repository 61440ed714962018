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
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from dualfair.presentation.format import counted, decimals, with_interval
from dualfair.presentation.table import Column, Table, table
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

    @property
    def training_dtype(self) -> torch.dtype:
        """What training computes in: `Recipe.amp` by default, where there is CUDA. Scoring is in float32."""
        return torch.bfloat16 if torch.device(self.device).type == "cuda" else torch.float32


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


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Two ways of doing a thing, side by side: names, timings, and `facts`, further numbers by what they are.

    A call of either does `work` units of what `unit` names.
    """

    title: str
    plain: str
    ours: str
    work: float
    unit: str
    timings: Timings
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def table(self) -> Table:
        """A row for either way: milliseconds of a call with their quartiles, units a second, and MiB at the peak."""
        times = Column("milliseconds", low="low", high="high"), Column("low"), Column("high")
        columns = Column("way", "text"), *times, Column(f"{self.unit}/s", "whole"), Column("peak MiB", "whole")
        rows = []
        for name, seconds, peak in zip(
            (self.plain, self.ours), (self.timings.plain, self.timings.ours), self.timings.peaks, strict=True
        ):
            milliseconds = quartiles([1000 * value for value in seconds])
            speed = 1000 * self.work / milliseconds[0]
            rows.append((name, *milliseconds, speed, peak / 2**20))
        return table(columns, rows)

    def lines(self) -> list[str]:
        """The table, the ratio, and the facts."""
        ratio = f"ratio {with_interval(*self.timings.ratio)} over {counted(len(self.timings.plain), 'pair')}"
        facts = [f"{name}: {decimals(value)}" for name, value in self.facts.items()]
        return [self.title, *(f"  {line}" for line in (*self.table.lines(), ratio, *facts))]

    def to_dict(self) -> dict[str, object]:
        """Every number, as JSON takes it."""
        ratio = dict(zip(("median", "low", "high"), self.timings.ratio, strict=True))
        return {**asdict(self), "table": self.table.records(), "ratio": ratio}


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
