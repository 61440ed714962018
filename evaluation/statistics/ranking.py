"""Does a cheap score rank networks as the costly truth does? Correlation with its interval, what it adds, regret.

Scores are those of the same networks in the same order, and smaller is better in all of them.

Shape legend: n networks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import kendalltau, spearmanr, weightedtau

from dualfair.evaluation.statistics.bootstrap import CONFIDENCE
from dualfair.evaluation.statistics.kendall import (
    corrected_partial_taus,
    interval_of,
    partial_taus,
    pearsons,
    rhos,
    taus,
)

LEAST_NETWORKS = 3
"""Fewer networks have no ranking worth a number: two agree or disagree by a toss of a coin."""


@dataclass(frozen=True)
class RankingCorrelation:
    """How alike two scores of `n` networks rank them: Kendall's tau-b and Spearman's rho, 1 alike, -1 reversed.

    `interval` holds tau at the `confidence`, from a bootstrap over networks: `method` is "BCa", or "percentile"
    where BCa is undefined. `ties_cheap` and `ties_truth` count the pairs of networks with equal scores. What is
    undefined is None, never 0, and `reason` says why.
    """

    n: int
    tau: float | None
    spearman: float | None
    interval: tuple[float, float] | None
    confidence: float
    method: str | None
    resamples: int
    ties_cheap: int
    ties_truth: int
    reason: str | None = None


@dataclass(frozen=True)
class Estimate:
    """A number from `n` networks with its bootstrap interval over them; `method` and `reason` as in
    `RankingCorrelation`."""

    n: int
    value: float | None
    interval: tuple[float, float] | None
    method: str | None
    reason: str | None = None


def correlation(
    cheap: Sequence[float], truth: Sequence[float], *, resamples: int = 2000, seed: int = 0
) -> RankingCorrelation:
    """The rank correlation of two scores (n,) of the same networks.

    Undefined for fewer than three networks, a score that is nan or infinite, or equal scores throughout. Raises
    ValueError for lists that do not fit, or `resamples` below 1.
    """
    cheap, truth = _paired(cheap, truth)
    _check(resamples)
    tau = rho = interval = method = None
    reason = undefined({"cheap": cheap, "truth": truth})
    if reason is None:
        tau, rho = tau_b(cheap, truth), float(spearmanr(cheap, truth).statistic)
        interval, method = interval_of(lambda counts: taus(cheap, truth, counts), len(cheap), resamples, seed)
        if interval is None:
            reason = f"interval undefined: tau is the same in every resample of these {len(cheap)} networks"
    ties = _tied_pairs(cheap), _tied_pairs(truth)
    return RankingCorrelation(len(cheap), tau, rho, interval, CONFIDENCE, method, resamples, *ties, reason)


def measure_correlation(
    first: Sequence[float],
    second: Sequence[float],
    *,
    linear: bool = False,
    names: tuple[str, str] = ("first", "second"),
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Spearman's rho, or Pearson's r where `linear`, in [-1, 1] of two measures (n,), with an interval over networks.

    Ties share their mean rank. Undefined and raising as `correlation`; the reason has the `names`.
    """
    first, second = _paired(first, second)
    statistic, scores = pearsons if linear else rhos, dict(zip(names, (first, second), strict=True))
    return _estimate(lambda counts: statistic(first, second, counts), scores, resamples, seed)


def tau_difference(
    cheap: Sequence[float],
    other: Sequence[float],
    truth: Sequence[float],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Tau-b of `cheap` with the truth minus that of the `other` score (all (n,)), in [-2, 2]; above 0, cheap is better.

    The bootstrap is paired: both taus are of the same resampled networks. Undefined where `correlation` is, of either.
    Raises ValueError as `correlation` does.
    """
    cheap, truth = _paired(cheap, truth)
    other, _ = _paired(other, truth)
    return _estimate(
        lambda counts: taus(cheap, truth, counts) - taus(other, truth, counts),
        {"cheap": cheap, "the other score": other, "truth": truth},
        resamples,
        seed,
    )


def stratified_tau(
    cheap: Sequence[float], truth: Sequence[float], strata: Sequence, *, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Tau-b of two scores (n,) over the pairs of networks within the same of the `strata` (n,), in [-1, 1].

    Whatever differs between strata alone, such as the level of a head's scores, does not enter. Undefined where
    `correlation` is, and where no stratum has two networks that either score tells apart. Raises ValueError as that
    does.
    """
    cheap, truth = _paired(cheap, truth)
    strata = np.asarray(strata)
    scores = {"cheap": cheap, "truth": truth}
    if undefined(scores) is None and not np.isfinite(taus(cheap, truth, np.ones((1, len(cheap))), strata)[0]):
        return Estimate(len(cheap), None, None, None, "undefined: scores do not differ within any of them")
    return _estimate(lambda counts: taus(cheap, truth, counts, strata), scores, resamples, seed)


def partial_tau(
    cheap: Sequence[float],
    truth: Sequence[float],
    given: Sequence[float],
    *,
    corrected: bool = False,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Kendall's partial tau of cheap and true scores (n,), `given` a third (n,), in [-1, 1].

    With disparities, given the cheap error: whether the cheap disparity tells more than that disparity follows error.
    Scores that are independent given the third still have a partial tau above 0 where both follow it closely (0.18
    where they correlate with it by 0.95 and 0.85). The `corrected` one (`kendall.corrected_partial_taus`) does not, up
    to how far scores are from normal, and is what conclusions can rest on. Undefined also where a score has the very
    order of the third, and the corrected one where few networks have three taus that no normal scores have. Raises
    ValueError as `correlation` does.
    """
    cheap, truth = _paired(cheap, truth)
    given, _ = _paired(given, truth)
    function = corrected_partial_taus if corrected else partial_taus
    estimate = _estimate(
        lambda counts: function(cheap, truth, given, counts),
        {"cheap": cheap, "truth": truth, "the third score": given},
        resamples,
        seed,
    )
    if corrected and estimate.value is not None and abs(estimate.value) > 1 - 1e-9:
        return Estimate(
            estimate.n, None, None, None, f"undefined: these {estimate.n} networks have taus of no normal scores"
        )
    return estimate


def weighted_tau(cheap: Sequence[float], truth: Sequence[float]) -> float:
    """Kendall's tau in which the truly best networks weigh most, in [-1, 1]: what a search needs to get right.

    An exchange of the networks at true places r and s (0 = best) weighs 1/(1 + r) + 1/(1 + s) (Vigna 2015, additive
    hyperbolic). Of equal truths the one listed first has the better place. NaN where a score is constant. Raises
    ValueError for scores that are not finite.
    """
    cheap, truth = _paired(cheap, truth, finite=True)
    places = np.argsort(np.argsort(truth, kind="stable"), kind="stable")
    return float(weightedtau(cheap, truth, rank=places).statistic)


def top_k_overlap(cheap: Sequence[float], truth: Sequence[float], k: int) -> float:
    """Share of the k truly best networks that are among the k best by the cheap score, in [0, 1]; higher is better.

    Where equal scores straddle place k, it is the expected share if their order is drawn by lot: a constant score
    gives k/n, as a random one does. Raises ValueError for k outside 1 to n or scores that are not finite.
    """
    cheap, truth = _paired(cheap, truth, finite=True)
    if not 1 <= k <= len(cheap):
        raise ValueError(f"k must be 1 to {len(cheap)}, the number of networks, got {k}")
    return float(_chances(cheap, k) @ _chances(truth, k) / k)


def regret(cheap: Sequence[float], truth: Sequence[float]) -> float:
    """Truth of the network that the cheap score picks minus the best truth, in units of the truth; 0 is best.

    Where the cheap score has several best networks, one is drawn by lot: the mean of their truths. Raises ValueError
    for scores that are not finite.
    """
    cheap, truth = _paired(cheap, truth, finite=True)
    if not len(cheap):
        raise ValueError("regret needs at least one network, got none")
    return float(np.mean(truth[cheap == cheap.min()] - truth.min()))


def evenly_spaced(values: Sequence[float], n: int) -> np.ndarray:
    """Numbers of `n` different networks whose scores are about evenly spaced, int64 (n,) by ascending score.

    The rule by which FairNAS (supplement, section 3.3) picked 13 networks: n targets run evenly from the smallest to
    the largest score, both of which are taken, and the others lie as near to theirs as distinct networks can. A single
    network is the one nearest to the middle. Such a sample flatters a correlation: report that of random networks
    beside it. Raises ValueError when there are fewer than `n` networks or a score is not finite.

    >>> evenly_spaced([0.9, 0.1, 0.48, 0.12, 0.3], 3)
    array([1, 2, 0])
    """
    values, _ = _paired(values, values, finite=True)
    if not 0 <= n <= len(values):
        raise ValueError(f"n must be 0 to {len(values)}, the number of networks, got {n}")
    if n == 0:
        return np.empty(0, dtype=np.int64)
    low, high = values.min(), values.max()
    targets = np.linspace(low, high, n) if n > 1 else np.array([(low + high) / 2])
    _, chosen = linear_sum_assignment(np.abs(targets[:, None] - values))
    return chosen[np.argsort(values[chosen], kind="stable")]


def _paired(cheap: Sequence[float], truth: Sequence[float], finite: bool = False) -> tuple[np.ndarray, np.ndarray]:
    cheap, truth = np.asarray(cheap, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if cheap.ndim != 1 or cheap.shape != truth.shape:
        raise ValueError(f"scores must be two lists of the same networks, got shapes {cheap.shape} and {truth.shape}")
    broken = int(np.count_nonzero(~(np.isfinite(cheap) & np.isfinite(truth))))
    if finite and broken:
        raise ValueError(
            f"scores must be finite: {broken} of {len(cheap)} networks have nan or inf; leave out and list them"
        )
    return cheap, truth


def undefined(scores: dict[str, np.ndarray]) -> str | None:
    """Why named scores (n,) of the same networks cannot be correlated, or None where they can."""
    for name, values in scores.items():
        if len(values) < LEAST_NETWORKS:
            return f"undefined for {len(values)} networks; at least {LEAST_NETWORKS} are needed"
        broken = int(np.count_nonzero(~np.isfinite(values)))
        if broken:
            return f"undefined: {name} has {broken} of {len(values)} networks without a finite score"
        if (values == values[0]).all():
            return f"undefined: {name} is {values[0]:g} for all {len(values)} networks"
    return None


def tau_b(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b of two scores (n,), in [-1, 1]; NaN where one of them is constant."""
    return float(kendalltau(first, second).statistic)


def _estimate(
    statistic: Callable[[np.ndarray], np.ndarray], scores: dict[str, np.ndarray], resamples: int, seed: int
) -> Estimate:
    """A statistic of counts (R, n) at the networks themselves, with its interval."""
    n = len(next(iter(scores.values())))
    _check(resamples)
    reason = undefined(scores)
    if reason is not None:
        return Estimate(n, None, None, None, reason)
    value = float(statistic(np.ones((1, n)))[0])
    if not np.isfinite(value):
        return Estimate(n, None, None, None, "undefined: two of the scores order these networks just alike")
    interval, method = interval_of(statistic, n, resamples, seed)
    reason = None if interval else f"interval undefined: the same in every resample of these {n} networks"
    return Estimate(n, value, interval, method, reason)


def _check(resamples: int) -> None:
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, got {resamples}")


def _tied_pairs(values: np.ndarray) -> int:
    _, times = np.unique(values, return_counts=True)
    return int(np.sum(times * (times - 1) // 2))


def _chances(values: np.ndarray, k: int) -> np.ndarray:
    """Chance of every network to be among the k best when equal scores are ordered by lot, (n,); they sum to k."""
    last = np.sort(values)[k - 1]
    certain = values < last
    tied = values == last
    return certain + tied * ((k - certain.sum()) / tied.sum())
