"""How a classifier decides about two groups: its performance, its bias, and both in one objective to repair it by.

Bias is signed here, the first group less the second, so that an interval that holds 0 is one of groups that may fare
alike; `metrics.classification.rate_difference` is its absolute value, the largest over classes. Definitions are those
of Savani et al. (2020); `bias_amplification` is that of Wang et al. (2020) on test sets that hold every image once in
each domain. Of faces decisions are ranks: those of probes among other people.

Shape legend: N samples, T thresholds.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.metrics.classification import RATES, positive_rates
from dualfair.evaluation.metrics.disparity import DISPARITIES, MINIMUM_PROBES

TOLERANCE = 0.05
"""Absolute bias from which on a classifier is of no use to the objective."""
STEEPNESS = 500.0
"""Of the smooth objective at the tolerance."""
CANDIDATES = 499
"""Thresholds that are tried, evenly between 0 and 1."""


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """The share of samples (N,) that are classified right."""
    return float(np.mean(predicted == labels))


def balanced_accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that there are of the share of their samples (N,) classified right; of two classes
    (TPR + TNR) / 2."""
    right = predicted == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def signed_difference(measure: str, predicted: np.ndarray, labels: np.ndarray, second: np.ndarray) -> float:
    """SPD, EOD or AOD of two classes, 0 and 1, of which 1 is taken as positive: that of the first group less that of
    the `second` (N,), in [-1, 1].

    SPD = P(1 | first) - P(1 | second), EOD = TPR - TPR, AOD = ((FPR - FPR) + (TPR - TPR)) / 2, where the two may
    cancel. NaN where a group, or its samples of a class, are too few (`MINIMUM_PROBES`), or there is one group only.
    """
    rates = RATES[measure](positive_rates(predicted, labels, second, 1))
    return float(rates[0] - rates[1]) if len(rates) == 2 else math.nan


def bias_amplification(predicted: np.ndarray, labels: np.ndarray, second: np.ndarray) -> float:
    """Mean over classes of max(p1, p2) / (p1 + p2) - 1/2, where p1 and p2 are the shares of the first group and of the
    second that are given the class: 0 where both get every class as often, 1/2 where each class is given in one only.

    It says something of groups in which classes are as frequent, as of pictures that come in colour and in grey (there
    shares are as counts, which Wang et al. have); it has no sign, and chance alone puts it above 0. NaN for one group
    only; a class that is never given is left out.
    """
    if len(np.unique(second)) != 2:
        return math.nan
    classes = np.unique(np.concatenate([labels, predicted]))
    return float(
        _amplified(np.array([[(predicted[second == of] == each).mean() for each in classes] for of in (0, 1)]))
    )


def _amplified(given: np.ndarray) -> np.ndarray:
    """Of the shares of both groups that are given each class, (2, classes, ...): (...)."""
    either = given.sum(axis=0)
    of_classes = np.where(either > 0, given.max(axis=0) / np.where(either > 0, either, 1), 0)
    classes = (either > 0).sum(axis=0)
    return np.where(classes > 0, of_classes.sum(axis=0) / np.maximum(classes, 1), np.nan) - 0.5


def identification_rate(ranks: np.ndarray, labels: np.ndarray) -> float:
    """The share of probes with rank 0, of all that have a rank (N,); NaN is none, and `labels` say nothing."""
    ranked = ranks[~np.isnan(ranks)]
    return float(np.mean(ranked == 0)) if len(ranked) else math.nan


def rank_difference(measure: str, ranks: np.ndarray, labels: np.ndarray, second: np.ndarray) -> float:
    """A disparity between two groups with its sign, of the ranks of probes (N,), NaN for those without one: the value
    of the first group less that of the `second` (N,). NaN where a group has fewer than MINIMUM_PROBES."""
    disparity, values = DISPARITIES[measure], []
    for group in (~second, second):
        of = ranks[group & ~np.isnan(ranks)]
        if len(of) < MINIMUM_PROBES:
            return math.nan
        values.append(disparity.statistic((of == 0).astype(float) if disparity.values == "correct" else of))
    return float(values[0] - values[1])


PERFORMANCES: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "identification_rate": identification_rate,
}
OF_RANKS = ("log_rank_disparity", "rank_disparity", "capped_rank_disparity", "accuracy_disparity")
"""Biases of ranks; others are of classes."""
UNSIGNED = "bias_amplification"
"""The one without a sign, which alone is of any number of classes."""
BIASES: Mapping[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    **{name: lambda *of, name=name: signed_difference(name, *of) for name in RATES},
    UNSIGNED: bias_amplification,
    **{name: lambda *of, name=name: rank_difference(name, *of) for name in OF_RANKS},
}


def objective(performance: float, bias: float, tolerance: float = TOLERANCE) -> float:
    """phi: the performance where the absolute bias is below the tolerance, and else 0; NaN where either is."""
    if math.isnan(performance) or math.isnan(bias):
        return math.nan
    return performance if abs(bias) < tolerance else 0.0


def smooth_objective(performance: float, bias: float, tolerance: float = TOLERANCE) -> float:
    """phi without its step: performance / (1 + exp(500 (|bias| - tolerance))), to choose by where all are too biased.

    >>> round(smooth_objective(0.9, 0.05), 3)
    0.45
    """
    # Beyond some 700 the exponential overflows; the value is 0 long before.
    return performance / (1 + math.exp(min(STEEPNESS * (abs(bias) - tolerance), 700.0)))


@dataclass(frozen=True)
class Judge:
    """What decisions are judged by: names out of PERFORMANCES and BIASES, and the tolerance of the bias."""

    performance: str
    bias: str
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        for what, name, table in (("performance", self.performance, PERFORMANCES), ("bias", self.bias, BIASES)):
            if name not in table:
                raise ValueError(f"unknown {what} {name!r}; choose from {', '.join(table)}")
        if not 0 < self.tolerance <= 1:
            raise ValueError(f"tolerance must be above 0 and at most 1, got {self.tolerance:g}")

    def measured(self, predicted: np.ndarray, labels: np.ndarray, second: np.ndarray) -> tuple[float, float]:
        """Performance and bias of decisions (N,), or ranks, with the numbers of the true classes (N,); `second` (N,) is
        true for the second group."""
        return PERFORMANCES[self.performance](predicted, labels), BIASES[self.bias](predicted, labels, second)

    def value(self, predicted: np.ndarray, labels: np.ndarray, second: np.ndarray) -> float:
        """What is chosen by: the smooth objective of decisions (N,), below all others where it is undefined."""
        value = smooth_objective(*self.measured(predicted, labels, second), self.tolerance)
        return -1.0 if math.isnan(value) else value

    def choose_threshold(self, scores: np.ndarray, labels: np.ndarray, second: np.ndarray) -> float:
        """The threshold in (0, 1) at which scores (N,) of class 1 do best by the smooth objective, decided as 1 from it
        on; of equal ones that nearest to 1/2. Choose on validation samples, never on those that are reported.

        Raises ValueError where the bias is undefined at all of them.
        """
        candidates = np.arange(1, CANDIDATES + 1) / (CANDIDATES + 1)
        candidates = candidates[np.argsort(np.abs(candidates - 0.5), kind="stable")]
        performances, biases = self.measured_at(candidates, scores, labels, second)
        values = [
            smooth_objective(*of, self.tolerance) for of in zip(performances.tolist(), biases.tolist(), strict=True)
        ]
        if np.isnan(biases).all():
            raise ValueError(f"{self.bias} is undefined of these samples: too few of a class in a group")
        return float(candidates[np.nanargmax(values)])

    def measured_at(
        self, thresholds: np.ndarray, scores: np.ndarray, labels: np.ndarray, second: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Performance and bias (T,) of two classes, as of `measured`, where scores (N,) of class 1 are decided as 1
        from a threshold (T,) on: all at once."""

        def accepted(part: np.ndarray) -> np.ndarray:
            ordered = np.sort(scores[part])
            share = 1 - np.searchsorted(ordered, thresholds) / max(1, len(ordered))
            return share if len(ordered) else np.full(len(thresholds), np.nan)

        true = labels == 1
        right = np.stack([accepted(true), 1 - accepted(~true)])
        if self.performance == "accuracy":
            performance = np.nansum(right.T * (true.mean(), 1 - true.mean()), axis=1)
        else:
            performance = np.nanmean(right, axis=0)
        of_groups = [(group, group & true, group & ~true) for group in (~second, second)]
        if self.bias == UNSIGNED:
            given = np.stack([accepted(group) for group, _, _ in of_groups])
            return performance, _amplified(np.stack([1 - given, given], axis=1))
        rates = np.stack([[accepted(part) for part in parts] for parts in of_groups])
        enough = np.array([[part.sum() >= MINIMUM_PROBES for part in parts] for parts in of_groups])
        first, other = RATES[self.bias](np.where(enough[:, :, None], rates, np.nan))
        return performance, first - other
