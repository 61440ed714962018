"""Times one call again and again."""

from __future__ import annotations

import time
from collections.abc import Callable


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
