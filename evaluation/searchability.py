"""Which measures can be searched on: do networks differ in them by more than the choice of people does?

What it records is read without torch and scipy.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from dualfair.evaluation.objectives import Objective
from dualfair.supernet.images import PEOPLE

if TYPE_CHECKING:
    from dualfair.evaluation.statistics.reliability import Reliability

ENOUGH = 0.8
"""A measure of this reliability or more can be searched on."""
LEAST_NETWORKS = 8
"""Fewer networks say nothing."""
_RESAMPLES = 200


@dataclass(frozen=True)
class MeasureReliability:
    """How far a measure, finite for so many `networks`, is expected to rank networks alike, whoever the people are.

    `reliability` in [0, 1], higher is better, is that of the mean of the two halves of the people: what of the variance
    of its normal scores over networks is the networks' own. It stands for the measure on all people, which is one
    gallery of twice the size: reliability grows with the gallery about as much as by averaging two galleries. `low` and
    `high` are percentiles (2.5, 97.5) over resampled networks. `people` are needed for a reliability of ENOUGH. None
    where fewer than LEAST_NETWORKS have finite values, where the measure does not vary, and for `people` also where no
    number of them is enough.
    """

    networks: int
    reliability: float | None = None
    low: float | None = None
    high: float | None = None
    people: int | None = None


def searchability(
    values: Mapping[str, np.ndarray], measures: Sequence[str], people: int, seed: int = 0
) -> dict[str, MeasureReliability]:
    """The reliability of measures over the columns of an archive, by name in the order given.

    `values` holds arrays (n,) by column; the columns of either half of the `people` are used (`half_column`). Networks
    are independent draws from the space: the random ones, not those that a search has bred.
    """
    from dualfair.evaluation.scoring.scorer import HALVES, half_column

    reliabilities = {}
    for measure in measures:
        halves = np.stack([values[half_column(measure, half)] for half in HALVES], axis=1)
        halves = halves[np.isfinite(halves).all(axis=1)]
        n = len(halves)
        if n < LEAST_NETWORKS:
            reliabilities[measure] = MeasureReliability(n)
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


def warning(
    measures: Mapping[str, MeasureReliability], chosen: Objective, objectives: Sequence[Objective], units: str = PEOPLE
) -> str:
    """A sentence where an objective's reliability is known to be below ENOUGH; "" elsewhere, and for the error, which
    is what it is. In place of a disparity another one is named, where one is reliable."""
    reached = measures[chosen.column].reliability if chosen.on_images and chosen.name != "error" else None
    if reached is None or reached >= ENOUGH:
        return ""
    text = (
        f"warning: {chosen.column} {reached:.2f} is too noisy on these {units} to be searched on ({ENOUGH} is needed)"
    )
    if not chosen.compares_groups:
        return text
    others = {objective.column for objective in objectives} | {"error"}
    rivals = {name: measure.reliability or 0.0 for name, measure in measures.items() if name not in others}
    best = max(rivals, key=rivals.__getitem__, default="")
    if not best or rivals[best] < ENOUGH:
        return f"{text}; no other disparity can be"
    instead = ",".join(best if objective is chosen else objective.name for objective in objectives)
    return f"{text}; {best} {rivals[best]:.2f} can be: --objectives {shlex.quote(instead)}"


def _of(halves: np.ndarray) -> "Reliability":
    from dualfair.evaluation.statistics.reliability import normal_scores, reliability

    return reliability(normal_scores(halves)[:, None, :])
