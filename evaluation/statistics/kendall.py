"""Kendall's tau-b and Spearman's rho over thousands of resamples or permutations of the same networks.

A resample is how often every network was drawn, counts c (n,). With S_x the signs of x_i - x_j over all pairs, its
tau-b is c'(S_x * S_y)c / sqrt(c'|S_x|c c'|S_y|c), so all resamples together cost a few matrix products.

Shape legend: n networks, R resamples.
"""

import warnings
from collections.abc import Callable
from itertools import permutations as orders_of
from math import factorial

import numpy as np
from scipy.stats import bootstrap

from dualfair.evaluation.statistics.bootstrap import CONFIDENCE


def taus(first: np.ndarray, second: np.ndarray, counts: np.ndarray, strata: np.ndarray | None = None) -> np.ndarray:
    """Tau-b (R,) of two scores (n,) in every resample `counts` (R, n); NaN where a resample holds equal scores only.

    With `strata` (n,), sums run over pairs within a stratum alone.
    """
    a, b = _signs(first), _signs(second)
    if strata is not None:
        within = strata[:, None] == strata
        a, b = a * within, b * within
    counts = np.asarray(counts, dtype=np.float64)

    def over_pairs(table: np.ndarray) -> np.ndarray:
        return np.einsum("ri,ri->r", counts @ table, counts)

    with np.errstate(invalid="ignore", divide="ignore"):
        return over_pairs(a * b) / np.sqrt(over_pairs(np.abs(a)) * over_pairs(np.abs(b)))


def partial_taus(first: np.ndarray, second: np.ndarray, given: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Kendall's partial tau (R,) of two scores (n,) given a third, in every resample `counts` (R, n).

    (t12 - t1g t2g) / sqrt((1 - t1g^2)(1 - t2g^2)); NaN where a score is constant, or has the very order of `given`.
    """
    return _partial(taus(first, second, counts), taus(first, given, counts), taus(second, given, counts))


def corrected_partial_taus(first: np.ndarray, second: np.ndarray, given: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The same of scores as if normal together: every tau becomes a correlation, sin(pi/2 tau), and their partial
    correlation r a tau, 2/pi asin(r).

    It is 0 where two scores are independent given the third and all are normal, which Kendall's partial tau is not.
    """
    pairs = ((first, second), (first, given), (second, given))
    r = _partial(*(np.sin(np.pi / 2 * taus(x, y, counts)) for x, y in pairs))
    # Taus of a small sample need not be those of any normal scores: -1 and 1 are the widest that they can mean.
    return 2 / np.pi * np.arcsin(np.clip(r, -1, 1))


def _partial(t12: np.ndarray, t1g: np.ndarray, t2g: np.ndarray) -> np.ndarray:
    # A tau of 1 may be rounded, and 1 minus its square then is a little more than nothing.
    defined = np.maximum(np.abs(t1g), np.abs(t2g)) < 1 - 1e-12
    return (t12 - t1g * t2g) / np.sqrt(np.where(defined, (1 - t1g**2) * (1 - t2g**2), np.nan))


def rhos(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Spearman's rho (R,) of two scores (n,), ties sharing their mean rank, in every resample `counts` (R, n).

    NaN where a resample holds equal scores only.
    """
    return _moments(*(_mean_ranks(values, counts) for values in (first, second)), counts)


def pearsons(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pearson's r (R,) of two scores (n,) in every resample `counts` (R, n); NaN as `rhos`."""
    return _moments(first[None], second[None], counts)


def _moments(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The correlation (R,) of values (R, n) that count so often."""
    totals = counts.sum(axis=1, keepdims=True)
    # What is below the rounding of a score is no spread of it.
    least = [totals[:, 0] * (1e-9 * np.abs(values).max()) ** 2 for values in (first, second)]
    centred = [ranks - (counts * ranks).sum(axis=1, keepdims=True) / totals for ranks in (first, second)]
    covariance = (counts * centred[0] * centred[1]).sum(axis=1)
    squares = [(counts * each**2).sum(axis=1) for each in centred]
    defined = (squares[0] > least[0]) & (squares[1] > least[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(defined, covariance / np.sqrt(squares[0] * squares[1]), np.nan)


def interval_of(
    statistic: Callable[[np.ndarray], np.ndarray], n: int, resamples: int, seed: int
) -> tuple[tuple[float, float] | None, str | None]:
    """The 95 % bootstrap interval over `n` networks of a statistic of counts (R, n) -> (R,), and its method.

    "BCa", or "percentile" of the finite resamples where BCa is undefined. (None, None) where all resamples agree,
    which bounds nothing.
    """
    with warnings.catch_warnings():
        # An undefined BCa interval warns and is NaN: that is handled below.
        warnings.simplefilter("ignore", RuntimeWarning)
        result = bootstrap(
            (np.arange(n),),
            lambda drawn, axis: statistic(_counts(drawn, n)).reshape(drawn.shape[:-1]),
            vectorized=True,
            n_resamples=resamples,
            confidence_level=CONFIDENCE,
            method="BCa",
            random_state=np.random.default_rng(seed),
        )
    values = result.bootstrap_distribution[np.isfinite(result.bootstrap_distribution)]
    if not len(values) or np.ptp(values) < 1e-9:
        return None, None
    interval = result.confidence_interval
    if np.isfinite(interval).all():
        return (float(interval.low), float(interval.high)), "BCa"
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return (float(low), float(high)), "percentile"


def permutation_p(first: np.ndarray, second: np.ndarray, *, permutations: int = 9999, seed: int = 0) -> float:
    """Chance that scores without a relation have a tau as high as that of these two (n,), one-sided, in (0, 1].

    Exact over all n! orders where these are no more than `permutations`; else (1 + count) / (1 + permutations) over
    seeded random orders.
    """
    n, signs = len(first), _signs(first).astype(np.float32)
    places = np.unique(second, return_inverse=True)[1].astype(np.float32)
    # n! of more than twenty networks is above any number of permutations.
    exact = n <= 20 and factorial(n) <= permutations
    if exact:
        orders = np.array(list(orders_of(range(n))))
    else:
        orders = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (permutations, 1)), axis=1)
    observed = _concordance(signs, places[None])
    count = int(np.count_nonzero(_concordance(signs, places[orders]) >= observed))
    return count / factorial(n) if exact else (1 + count) / (1 + permutations)


def _concordance(signs: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Concordant minus discordant pairs (R,) of scores with `signs` (n, n) and others (R, n): exact in float32 up to
    2^24 pairs. No n x n table a row is made."""
    concordance = np.zeros(len(places), np.float32)
    for i in range(len(signs) - 1):
        concordance += np.sign(places[:, i + 1 :] - places[:, i : i + 1]) @ signs[i + 1 :, i]
    return concordance


def _mean_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean rank (R, n) of every value among all that are there."""
    below = (values[None] < values[:, None]).astype(np.float64)
    alike = (values[None] == values[:, None]).astype(np.float64)
    return counts @ below.T + (counts @ alike.T + 1) / 2


def _signs(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return np.sign(values[:, None] - values)


def _counts(drawn: np.ndarray, n: int) -> np.ndarray:
    """How often each of n networks is in every resample of indices (..., k), shape (R, n)."""
    drawn = drawn.reshape(-1, drawn.shape[-1])
    places = np.arange(len(drawn))[:, None] * n + drawn
    return np.bincount(places.ravel(), minlength=len(drawn) * n).reshape(len(drawn), n)
