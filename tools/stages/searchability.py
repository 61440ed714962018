"""Which measures can be searched on: do networks differ in them by more than the choice of people does?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np

from dualfair.evaluation.scoring.scorer import HALVES, half_column
from dualfair.evaluation.statistics.reliability import Reliability, normal_scores
from dualfair.evaluation.statistics.reliability import reliability as reliability_of
from dualfair.runs.records.search import MeasureReliability, SearchReliability

ENOUGH = 0.8
"""A measure of this reliability or more can be searched on."""
LEAST_NETWORKS = 8
"""Fewer networks say nothing."""
_RESAMPLES = 200


def searchability(
    values: Mapping[str, np.ndarray], measures: Sequence[str], people: int, seed: int = 0
) -> dict[str, MeasureReliability]:
    """The reliability of measures over the columns of an archive, by name in the order given.

    `reliability` in [0, 1], higher is better, is that of the mean of the two halves of the people: what of the variance
    of its normal scores over `networks` is the networks' own. It stands for the measure on all people, which is one
    gallery of twice the size: reliability grows with the gallery about as much as by averaging two galleries. `low` and
    `high` are percentiles (2.5, 97.5) over resampled networks. `people` are needed for a reliability of ENOUGH. None
    where fewer than LEAST_NETWORKS have finite values, where the measure does not vary, and for `people` also where no
    number of them is enough.

    `values` holds arrays (n,) by column; the columns of either half of the `people` are used (`half_column`). Networks
    are independent draws from the space: the random ones, not those that a search has bred.
    """
    reliabilities = {}
    for measure in measures:
        halves = np.stack([values[half_column(measure, half)] for half in HALVES], axis=1)
        halves = halves[np.isfinite(halves).all(axis=1)]
        n = len(halves)
        if n < LEAST_NETWORKS:
            reliabilities[measure] = MeasureReliability(n, None, None, None, None)
            continue
        estimate = _of(halves)
        whole = estimate.of_mean(galleries=len(HALVES))
        needed = estimate.galleries_needed(ENOUGH)
        rng = np.random.default_rng(seed)
        drawn = [_of(halves[rng.integers(n, size=n)]).of_mean(galleries=len(HALVES)) for _ in range(_RESAMPLES)]
        drawn = [value for value in drawn if value is not None]
        low, high = np.quantile(drawn, (0.025, 0.975)).tolist() if drawn else (None, None)
        needed = None if needed is None else ceil(needed * people / len(HALVES))
        reliabilities[measure] = MeasureReliability(n, whole, low, high, needed)
    return reliabilities


def sentences(reliability: SearchReliability, chosen: str) -> list[str]:
    """A small table, and a warning where the `chosen` disparity cannot be searched on, with what can be done."""
    of_groups = ", ".join(f"{group} {people:,}" for group, people in reliability.people.items())
    n = max(measure.networks for measure in reliability.measures.values())
    about = f"{n} random networks, {sum(reliability.people.values()):,} people ({of_groups})"
    if n < LEAST_NETWORKS:
        return [f"Reliability of the measures: not estimated, {n} networks are too few ({LEAST_NETWORKS} are needed)"]
    lines = [f"Reliability of the measures, 1 = people do not matter; roughly estimated from {about}:"]
    width = max(map(len, reliability.measures))
    lines += [f"  {name.ljust(width)}  {_in_words(measure)}" for name, measure in reliability.measures.items()]
    return lines + warning(reliability.measures, chosen)


def warning(measures: Mapping[str, MeasureReliability], chosen: str) -> list[str]:
    """One line where the chosen disparity's reliability is below ENOUGH or unknown to be above; else none."""
    reached = measures[chosen].reliability
    if reached is None or reached >= ENOUGH:
        return []
    text = f"warning: {chosen} {reached:.2f} is too noisy on these people to be searched on ({ENOUGH} is needed)"
    rivals = {name: measure for name, measure in measures.items() if name not in ("error", chosen)}
    best = max(
        (name for name, measure in rivals.items() if measure.reliability is not None),
        key=lambda name: rivals[name].reliability,
        default=None,
    )
    if best is not None and rivals[best].reliability >= ENOUGH:
        # Beside a variant of the ranks, which its name states, the others are taken plainly.
        plain = " --count images --gallery all" if " " in chosen else ""
        return [f"{text}; {best} {rivals[best].reliability:.2f} can be: --disparity {best}{plain}"]
    reachable = {name: measure.people for name, measure in measures.items() if name != "error" and measure.people}
    nearest = min(reachable, key=reachable.__getitem__, default=None)
    if nearest is None:
        return [f"{text}; no other disparity can be, and networks do not differ enough to say with how many people"]
    return [f"{text}; no other disparity can be: {nearest} would take about {reachable[nearest]:,} people"]


def _in_words(measure: MeasureReliability) -> str:
    if measure.networks < LEAST_NETWORKS:
        return f"not estimated: finite for {measure.networks} networks, {LEAST_NETWORKS} are needed"
    if measure.reliability is None:
        return "networks do not differ"
    people = measure.people
    needed = "no number of people is enough" if people is None else f"{ENOUGH} takes about {people:,} people"
    interval = "" if measure.low is None else f" [{measure.low:.2f}, {measure.high:.2f}]"
    return f"{measure.reliability:.2f}{interval}  {needed}"


def _of(halves: np.ndarray) -> Reliability:
    return reliability_of(normal_scores(halves)[:, None, :])
