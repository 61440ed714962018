"""Spearman's correlation of two measures of the same networks, with its bootstrap interval over networks."""

from collections.abc import Sequence

import numpy as np

from dualfair.evaluation.statistics.kendall import interval_of
from dualfair.evaluation.statistics.ranking import Estimate, undefined


def spearman(
    first: Sequence[float],
    second: Sequence[float],
    *,
    names: tuple[str, str] = ("first", "second"),
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Spearman's rho in [-1, 1] of two measures (n,), ties sharing their mean rank, with an interval over networks.

    Undefined, with the reason, for fewer than three networks, a value that is not finite, or equal values throughout.
    Raises ValueError for lists that do not fit or `resamples` below 1.
    """
    values = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    n = len(values[0])
    if values[0].shape != (n,) or values[1].shape != (n,) or resamples < 1:
        raise ValueError(f"spearman needs two lists of equal length and resamples of 1 or more, got {resamples}")
    reason = undefined(dict(zip(names, values, strict=True)))
    if reason is not None:
        return Estimate(n, None, None, None, reason)

    def statistic(counts: np.ndarray) -> np.ndarray:
        return _rhos(*values, counts)

    value = float(statistic(np.ones((1, n)))[0])
    interval, method = interval_of(statistic, n, resamples=resamples, seed=seed, confidence=confidence)
    reason = None if interval else f"interval undefined: the same in every resample of these {n} networks"
    return Estimate(n, value, interval, method, reason)


def _rhos(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pearson's correlation of mean ranks where network i is there `counts` (R, n) times; NaN where one is constant."""
    totals = counts.sum(axis=1, keepdims=True)
    centred = [_mean_ranks(values, counts) for values in (first, second)]
    centred = [ranks - (counts * ranks).sum(axis=1, keepdims=True) / totals for ranks in centred]
    covariance = (counts * centred[0] * centred[1]).sum(axis=1)
    spread = np.sqrt((counts * centred[0] ** 2).sum(axis=1) * (counts * centred[1] ** 2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 1e-9, covariance / spread, np.nan)


def _mean_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean rank (R, n) of every value among all that are there."""
    below = (values[None] < values[:, None]).astype(np.float64)
    alike = (values[None] == values[:, None]).astype(np.float64)
    return counts @ below.T + (counts @ alike.T + 1) / 2
