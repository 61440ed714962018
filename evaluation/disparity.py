"""Disparity: how differently groups are treated. A value for every group first, then one number over the groups.

The names and formulas are those of the DPN study's table of metrics; `std` and `ser` those of the quantisation study.
Shape legend: P probes, G groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

MINIMUM_PROBES = 2
"""A group with fewer probes has no value, and a disparity over it is undefined (NaN)."""


@dataclass(frozen=True)
class Disparity:
    """A measure of disparity: call it with values (P,) and groups (P,), get one number.

    `values` says what is measured: "ranks" of 0 or more, or "correct" with 1.0 for right and 0.0 for wrong.
    `statistic` makes a group's values one number; `reducer` makes one number of those of all groups. `fair` is the
    value of equal treatment.
    """

    name: str
    values: str
    statistic: Callable[[np.ndarray], float]
    reducer: Callable[[Sequence[float]], float]
    fair: float

    def __call__(self, values: Sequence[float], groups: Sequence) -> float:
        """The disparity between the groups; NaN when a group has fewer than two probes. ValueError for one group."""
        return self.reduce(per_group(values, groups, self.statistic))

    def reduce(self, by_group: Mapping[str, float]) -> float:
        """The disparity of values that are known for every group already, NaN where one of them is."""
        numbers = list(by_group.values())
        if len(numbers) < 2:
            raise ValueError(f"{self.name} compares groups; got {len(numbers)} group(s): {', '.join(by_group) or 'none'}")
        return float("nan") if np.isnan(numbers).any() else float(self.reducer(numbers))


def per_group(
    values: Sequence[float], groups: Sequence, statistic: Callable[[np.ndarray], float] = np.mean
) -> dict[str, float]:
    """The statistic of every group's values, groups in alphabetical order; NaN for fewer than two values."""
    values, groups = np.asarray(values, dtype=float), np.asarray(groups)
    if values.ndim != 1 or values.shape != groups.shape:
        raise ValueError(f"values and groups must be two lists of equal length, got {values.shape} and {groups.shape}")
    members = {str(name): values[groups == name] for name in np.unique(groups)}
    return {
        name: float(statistic(own)) if len(own) >= MINIMUM_PROBES else float("nan") for name, own in members.items()
    }


def largest_difference(values: Sequence[float]) -> float:
    """abs(a - b), the largest over pairs of groups; 0 is fair."""
    return max(values) - min(values)


def largest_ratio(values: Sequence[float]) -> float:
    """abs(1 - a / b), the largest over pairs of groups and both orders; 0 is fair. 0 / 0 counts as equal."""
    return max(ratio_to(a, b) for a, b in permutations(values, 2))


def ratio_to(value: float, reference: float) -> float:
    """abs(1 - value / reference): 0 for equal values (0 / 0 too), infinity for a reference of 0."""
    if value == reference:
        return 0.0
    return abs(1 - value / reference) if reference else float("inf")


def _std_percent(accuracies: Sequence[float]) -> float:
    return float(np.std(np.asarray(accuracies) * 100, ddof=1))


def _skewed_error_ratio(accuracies: Sequence[float]) -> float:
    worst, best = 1 - min(accuracies), 1 - max(accuracies)
    if worst == best:
        return 1.0
    return worst / best if best else float("inf")


def _error(correct: np.ndarray) -> float:
    return 1 - float(np.mean(correct))


def _mean_log_rank(ranks: np.ndarray) -> float:
    return float(np.mean(np.log1p(ranks)))


DISPARITIES: dict[str, Disparity] = {
    disparity.name: disparity
    for disparity in (
        Disparity("rank_disparity", "ranks", np.mean, largest_difference, 0),
        Disparity("log_rank_disparity", "ranks", _mean_log_rank, largest_difference, 0),
        Disparity("rank_ratio", "ranks", np.mean, largest_ratio, 0),
        Disparity("accuracy_disparity", "correct", np.mean, largest_difference, 0),
        Disparity("accuracy_ratio", "correct", np.mean, largest_ratio, 0),
        Disparity("error_ratio", "correct", _error, largest_ratio, 0),
        Disparity("std", "correct", np.mean, _std_percent, 0),
        Disparity("ser", "correct", np.mean, _skewed_error_ratio, 1),
    )
}
"""All built-in disparities by name; smaller is fairer in every row."""
