"""Closed-set classification: the rank of the true class, and how differently groups are classified.

Shape legend: N images, K classes.
"""

from collections.abc import Callable, Sequence

import numpy as np

from dualfair.evaluation.metrics.disparity import MINIMUM_PROBES
from dualfair.evaluation.metrics.identification import Ranks


def class_ranks(scores: np.ndarray, labels: np.ndarray, count: str = "images") -> Ranks:
    """How many other classes have the score of the true one or more; 0 is right.

    `scores` (N, K) are finite, larger is more likely; `labels` (N,) are numbers of classes. As in identification a tie
    counts against the image: a network that scores all classes alike is always wrong. `count` is kept in the result.

    >>> class_ranks(np.array([[0.9, 0.1, 0.0], [0.5, 0.2, 0.2]]), np.array([0, 1])).values
    array([0, 2])
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(
            f"class scores must be (images, classes) and labels (images,), got {scores.shape} and {labels.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("class scores must be finite")
    of_true = np.take_along_axis(scores, labels[:, None], axis=1)
    values = np.count_nonzero(scores >= of_true, axis=1) - 1
    images, classes = scores.shape
    return Ranks(values.astype(np.int64), np.arange(images), 0, count, images, classes)


def balanced_error(ranked: Ranks, labels: np.ndarray) -> float:
    """Mean over the classes of the share of their images that are not classified right, in [0, 1]: 1 - balanced
    accuracy."""
    wrong = ranked.values > 0
    return float(np.mean([wrong[labels == label].mean() for label in np.unique(labels)]))


def positive_rates(predicted: np.ndarray, labels: np.ndarray, groups: np.ndarray, positive: int) -> np.ndarray:
    """(groups, 3): the shares of a group's images that are classified as `positive`: of all, of those that are, of
    those that are not. NaN where there are fewer than MINIMUM_PROBES of them."""
    accepted, true = predicted == positive, labels == positive
    rates = []
    for group in np.unique(groups):
        members = groups == group
        parts = (members, members & true, members & ~true)
        rates.append([accepted[part].mean() if part.sum() >= MINIMUM_PROBES else np.nan for part in parts])
    return np.array(rates)


RATES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "spd": lambda rates: rates[:, 0],
    "eod": lambda rates: rates[:, 1],
    "aod": lambda rates: (rates[:, 1] + rates[:, 2]) / 2,
}
"""What groups are compared by: statistical parity, the shares classified as positive; equal opportunity, true positive
rates; average odds, the mean of true and false positive rates."""


def rate_difference(
    measure: str, predicted: np.ndarray, labels: np.ndarray, groups: np.ndarray, positives: Sequence[int]
) -> float:
    """SPD, EOD or AOD: the largest absolute difference over pairs of groups, and over classes taken as positive.

    `predicted` and `labels` (N,) are numbers of classes. NaN for one group, or where a rate is undefined.
    """
    if len(np.unique(groups)) < 2:
        return float("nan")
    values = [RATES[measure](positive_rates(predicted, labels, groups, positive)) for positive in positives]
    return float(np.max([np.ptp(of_groups) for of_groups in values]))
