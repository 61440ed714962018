"""Which measures can be searched on: do networks differ in them by more than the choice of people does?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil

import numpy as np

from dualfair.evaluation.scoring.scorer import HALVES, half_column
from dualfair.evaluation.statistics.reliability import Reliability, normal_scores, reliability

ENOUGH = 0.8
"""A measure of this reliability or more can be searched on."""
LEAST_NETWORKS = 8
"""Fewer networks say nothing."""
_RESAMPLES = 200


@dataclass(frozen=True)
class Searchability:
    """How far a measure on the search's people is expected to rank networks alike, whoever the people are.

    `reliability` in [0, 1], higher is better, is that of the mean of the two halves of the people: what of the variance
    of its normal scores over `networks` is the networks' own. It stands for the measure on all people, which is one
    gallery of twice the size: reliability grows with the gallery about as much as by averaging two galleries.
    `low` and `high` are percentiles (2.5, 97.5) over resampled networks. `people` are needed for a reliability of
    ENOUGH. None where fewer than LEAST_NETWORKS have finite values, where the measure does not vary, and for `people`
    also where no number of them is enough.
    """

    measure: str
    networks: int
    reliability: float | None
    low: float | None
    high: float | None
    people: int | None


def searchability(
    values: Mapping[str, np.ndarray], measures: Sequence[str], people: int, seed: int = 0
) -> list[Searchability]:
    """The reliability of measures over the columns of an archive, in the order given.

    `values` holds arrays (n,) by column; the columns of either half of the `people` are used (`half_column`). Networks
    are independent draws from the space: the random ones, not those that a search has bred.
    """
    found = []
    for measure in measures:
        halves = np.stack([values[half_column(measure, half)] for half in HALVES], axis=1)
        halves = halves[np.isfinite(halves).all(axis=1)]
        n = len(halves)
        if n < LEAST_NETWORKS:
            found.append(Searchability(measure, n, None, None, None, None))
            continue
        estimate = _of(halves)
        whole = estimate.of_mean(galleries=len(HALVES))
        needed = estimate.galleries_needed(ENOUGH)
        rng = np.random.default_rng(seed)
        drawn = [_of(halves[rng.integers(n, size=n)]).of_mean(galleries=len(HALVES)) for _ in range(_RESAMPLES)]
        drawn = [value for value in drawn if value is not None]
        low, high = np.quantile(drawn, (0.025, 0.975)).tolist() if drawn else (None, None)
        needed = None if needed is None else ceil(needed * people / len(HALVES))
        found.append(Searchability(measure, n, whole, low, high, needed))
    return found


def sentences(found: Sequence[Searchability], chosen: str, people_of_groups: Mapping[str, int]) -> list[str]:
    """A small table, and a warning where the `chosen` disparity cannot be searched on, with what can be done.

    `people_of_groups` are the search's people by group.
    """
    of_groups = ", ".join(f"{group} {people:,}" for group, people in people_of_groups.items())
    n = max(one.networks for one in found)
    about = f"{n} random networks, {sum(people_of_groups.values()):,} people ({of_groups})"
    if n < LEAST_NETWORKS:
        return [f"Reliability of the measures: not estimated, {n} networks are too few ({LEAST_NETWORKS} are needed)"]
    lines = [f"Reliability of the measures, 1 = people do not matter; roughly estimated from {about}:"]
    width = max(len(one.measure) for one in found)
    for one in found:
        lines.append(f"  {one.measure.ljust(width)}  {_in_words(one)}")
    return lines + warning(found, chosen)


def warning(found: Sequence[Searchability], chosen: str) -> list[str]:
    """One line where the chosen disparity's reliability is below ENOUGH or unknown to be above; else none."""
    by_name = {one.measure: one for one in found}
    own = by_name[chosen].reliability
    if own is None or own >= ENOUGH:
        return []
    rivals = [one for name, one in by_name.items() if name not in ("error", chosen) and one.reliability is not None]
    best = max(rivals, key=lambda one: one.reliability, default=None)
    said = f"warning: {chosen} {own:.2f} is too noisy on these people to be searched on ({ENOUGH} is needed)"
    if best is not None and best.reliability >= ENOUGH:
        # Beside a variant of the ranks, which its name states, the others are taken plainly.
        plain = " --count images --gallery all" if " " in chosen else ""
        return [f"{said}; {best.measure} {best.reliability:.2f} can be: --disparity {best.measure}{plain}"]
    known = [one for one in by_name.values() if one.measure != "error" and one.people is not None]
    nearest = min(known, key=lambda one: one.people, default=None)
    if nearest is None:
        return [f"{said}; no other disparity can be, and networks do not differ enough to say with how many people"]
    return [f"{said}; no other disparity can be: {nearest.measure} would take about {nearest.people:,} people"]


def to_dict(found: Sequence[Searchability], people_of_groups: Mapping[str, int]) -> dict:
    """The numbers as JSON."""
    return {
        "people": dict(people_of_groups),
        "enough": ENOUGH,
        "measures": {one.measure: {k: v for k, v in asdict(one).items() if k != "measure"} for one in found},
    }


def _in_words(one: Searchability) -> str:
    if one.networks < LEAST_NETWORKS:
        return f"not estimated: finite for {one.networks} networks, {LEAST_NETWORKS} are needed"
    if one.reliability is None:
        return "networks do not differ"
    needed = "no number of people is enough" if one.people is None else f"{ENOUGH} takes about {one.people:,} people"
    interval = "" if one.low is None else f" [{one.low:.2f}, {one.high:.2f}]"
    return f"{one.reliability:.2f}{interval}  {needed}"


def _of(halves: np.ndarray) -> Reliability:
    return reliability(normal_scores(halves)[:, None, :])
