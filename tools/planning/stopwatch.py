"""Times calls: two in turn, so that what disturbs one disturbs the other too, or one again and again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """The median of `n` values with their quartiles, `low` and `high`."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        low, median, high = np.percentile(values, [25, 50, 75]).tolist()
        return cls(median, low, high, len(values))


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


def compare(
    plain: Callable[[], object],
    ours: Callable[[], object],
    *,
    repeats: int,
    least_seconds: float = 0.2,
    synchronise: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Time both contestants `repeats` times, alternately, the pair's order turned round every time.

    Each is called once to warm up and once to choose how many calls make a timing: as many as take `least_seconds`.
    `synchronise` waits for the device, before a timing starts and before it ends.
    """

    def seconds(contestant: Callable[[], object], calls: int) -> float:
        synchronise()
        start = clock()
        for _ in range(calls):
            contestant()
        synchronise()
        return (clock() - start) / calls

    contestants = (plain, ours)
    for contestant in contestants:
        contestant()
    calls = [calls_in(least_seconds, seconds(contestant, 1)) for contestant in contestants]
    taken: tuple[list[float], list[float]] = ([], [])
    for pair in range(repeats):
        for place in (0, 1) if pair % 2 == 0 else (1, 0):
            taken[place].append(seconds(contestants[place], calls[place]))
    return Comparison(tuple(taken[0]), tuple(taken[1]))


def calls_in(least_seconds: float, seconds: float) -> int:
    """How many calls of `seconds` each take `least_seconds`, one or more and a thousand at most."""
    return min(1000, max(1, math.ceil(least_seconds / max(seconds, 1e-9))))


def repeated(
    run: Callable[[], object], seconds: float, *, most: int = 1000, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Seconds that `run` takes, again and again until `seconds` are over or `most` values are there.

    The first run warms up and does not count, unless it took so long that a second one would not fit.
    """
    begun = before = clock()
    times: list[float] = []
    warm = False
    while True:
        run()
        after = clock()
        took, before = after - before, after
        left = seconds - (after - begun)
        if warm or took > left:
            times.append(took)
        warm = True
        if took > left or len(times) >= most:
            return times
