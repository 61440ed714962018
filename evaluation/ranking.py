"""Does a cheap score rank networks as the costly truth does? Correlation with its interval, noise ceiling, regret.

Scores are those of the same networks in the same order, and smaller is better in all of them.

Shape legend: n networks, S training seeds.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import bootstrap, kendalltau, spearmanr

LEAST_NETWORKS = 3
"""Fewer networks have no ranking worth a number: two agree or disagree by a toss of a coin."""


@dataclass(frozen=True)
class RankingCorrelation:
    """How alike two scores of `n` networks rank them: Kendall's tau-b and Spearman's rho, 1 alike, -1 reversed.

    `interval` holds tau at the given `confidence`, from a bootstrap over networks: `method` is "BCa", or "percentile"
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

    def to_dict(self) -> dict:
        """As a dictionary of what JSON holds, without NaN."""
        return asdict(self)


@dataclass(frozen=True)
class NoiseCeiling:
    """Tau-b between the training seeds of the truth: about the most that a perfect score reaches against one seed.

    `mean`, `lowest` and `highest` are over the `pairs` of seeds whose tau is defined. They are None where there is no
    such pair; `reason` says why any pair is missing. `n` networks, `seeds` seeds.
    """

    n: int
    seeds: int
    pairs: int
    mean: float | None
    lowest: float | None
    highest: float | None
    reason: str | None = None

    def to_dict(self) -> dict:
        """As a dictionary of what JSON holds, without NaN."""
        return asdict(self)


def correlation(
    cheap: Sequence[float],
    truth: Sequence[float],
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> RankingCorrelation:
    """The rank correlation of two scores (n,) of the same networks.

    Undefined for fewer than three networks, a score that is nan or infinite, or equal scores throughout. Raises
    ValueError for lists that do not fit, `resamples` below 1, or a `confidence` outside (0, 1).
    """
    cheap, truth = _paired(cheap, truth)
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError(
            f"resamples must be 1 or more and confidence between 0 and 1, got {resamples} and {confidence}"
        )
    tau = spearman = interval = method = None
    reason = _undefined({"cheap": cheap, "truth": truth})
    if reason is None:
        tau, spearman = _tau(cheap, truth), float(spearmanr(cheap, truth).statistic)
        interval, method = _bootstrap_interval(cheap, truth, resamples, seed, confidence)
        if interval is None:
            reason = f"interval undefined: tau is the same in every resample of these {len(cheap)} networks"
    ties = _tied_pairs(cheap), _tied_pairs(truth)
    return RankingCorrelation(len(cheap), tau, spearman, interval, confidence, method, resamples, *ties, reason)


def noise_ceiling(truth: np.ndarray) -> NoiseCeiling:
    """The noise ceiling of scores (n, S), one column a training seed. Raises ValueError for another shape."""
    truth = np.asarray(truth, dtype=np.float64)
    if truth.ndim != 2:
        raise ValueError(f"truth must have the shape (networks, seeds), got {truth.shape}")
    n, seeds = truth.shape
    if seeds < 2:
        return NoiseCeiling(n, seeds, 0, None, None, None, f"undefined for {seeds} seed(s); at least 2 are needed")
    taus, reasons = [], []
    for first, second in combinations(range(seeds), 2):
        reason = _undefined({f"seed column {first}": truth[:, first], f"seed column {second}": truth[:, second]})
        if reason is None:
            taus.append(_tau(truth[:, first], truth[:, second]))
        else:
            reasons.append(reason)
    reason = f"{len(reasons)} of {seeds * (seeds - 1) // 2} pairs of seeds {reasons[0]}" if reasons else None
    if not taus:
        return NoiseCeiling(n, seeds, 0, None, None, None, reason)
    return NoiseCeiling(n, seeds, len(taus), float(np.mean(taus)), min(taus), max(taus), reason)


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


def _undefined(scores: dict[str, np.ndarray]) -> str | None:
    """Why scores of the same networks cannot be correlated, or None."""
    for name, values in scores.items():
        if len(values) < LEAST_NETWORKS:
            return f"undefined for {len(values)} networks; at least {LEAST_NETWORKS} are needed"
        broken = int(np.count_nonzero(~np.isfinite(values)))
        if broken:
            return f"undefined: {name} has {broken} of {len(values)} networks without a finite score"
        if (values == values[0]).all():
            return f"undefined: {name} is {values[0]:g} for all {len(values)} networks"
    return None


def _tau(first: np.ndarray, second: np.ndarray) -> float:
    return float(kendalltau(first, second).statistic)


def _bootstrap_interval(
    cheap: np.ndarray, truth: np.ndarray, resamples: int, seed: int, confidence: float
) -> tuple[tuple[float, float] | None, str | None]:
    """Interval of tau and its method. A resample that drew equal scores only has no tau and is left out."""
    with warnings.catch_warnings():
        # An undefined BCa interval warns and is nan: that is handled below.
        warnings.simplefilter("ignore", RuntimeWarning)
        result = bootstrap(
            (cheap, truth),
            _tau,
            paired=True,
            vectorized=False,
            n_resamples=resamples,
            confidence_level=confidence,
            method="BCa",
            random_state=np.random.default_rng(seed),
        )
    taus = result.bootstrap_distribution[np.isfinite(result.bootstrap_distribution)]
    # Networks that both scores rank alike give tau 1 in every resample, however few they are: that bounds nothing.
    if not len(taus) or np.ptp(taus) < 1e-9:
        return None, None
    interval = result.confidence_interval
    if np.isfinite(interval).all():
        return (float(interval.low), float(interval.high)), "BCa"
    low, high = np.quantile(taus, [(1 - confidence) / 2, (1 + confidence) / 2])
    return (float(low), float(high)), "percentile"


def _tied_pairs(values: np.ndarray) -> int:
    _, times = np.unique(values, return_counts=True)
    return int(np.sum(times * (times - 1) // 2))


def _chances(values: np.ndarray, k: int) -> np.ndarray:
    """Chance of every network to be among the k best when equal scores are ordered by lot, (n,); they sum to k."""
    last = np.sort(values)[k - 1]
    certain = values < last
    tied = values == last
    return certain + tied * ((k - certain.sum()) / tied.sum())
