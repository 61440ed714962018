"""Does a cheap score rank networks as the costly truth does? Correlations with intervals, ceilings and baselines.

All scores are of the kind that smaller is better. Shape legend: n networks, S seeds.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
from scipy.stats import bootstrap, kendalltau, spearmanr

LEAST_NETWORKS = 3


@dataclass(frozen=True)
class RankingCorrelation:
    """Kendall's tau-b and Spearman's rho in [-1, 1] between two scores of the same n networks (1 = same ranking).

    `interval` bounds tau at the given confidence by a bootstrap over networks (`method`: BCa, or percentile where BCa
    is undefined). Where a value is undefined it is None and `reason` says why; it is never 0.
    """

    n: int
    tau: float | None
    spearman: float | None
    interval: tuple[float, float] | None
    confidence: float
    method: str | None
    reason: str | None = None

    def to_dict(self) -> dict:
        """JSON-able, without NaN."""
        return asdict(self)


def correlation(
    cheap: Sequence[float],
    truth: Sequence[float],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> RankingCorrelation:
    """Rank correlation of two scores (n,) of the same networks. Raises ValueError when the lengths differ."""
    cheap, truth = np.asarray(cheap, dtype=float), np.asarray(truth, dtype=float)
    if cheap.shape != truth.shape or cheap.ndim != 1:
        raise ValueError(f"two lists of equal length are compared, got shapes {cheap.shape} and {truth.shape}")
    reason = _undefined(cheap, truth)
    if reason:
        return RankingCorrelation(len(cheap), None, None, None, confidence, None, reason)
    interval, method = _bootstrap_interval(cheap, truth, resamples, confidence, seed)
    return RankingCorrelation(
        len(cheap),
        float(kendalltau(cheap, truth).statistic),
        float(spearmanr(cheap, truth).statistic),
        interval,
        confidence,
        method,
    )


def _undefined(cheap: np.ndarray, truth: np.ndarray) -> str | None:
    if len(cheap) < LEAST_NETWORKS:
        return f"undefined for {len(cheap)} networks; at least {LEAST_NETWORKS} are needed"
    if not (np.isfinite(cheap).all() and np.isfinite(truth).all()):
        return "undefined: a score is not finite"
    if np.ptp(cheap) == 0 or np.ptp(truth) == 0:
        return "undefined: all networks have the same score"
    return None


def _bootstrap_interval(
    cheap: np.ndarray, truth: np.ndarray, resamples: int, confidence: float, seed: int
) -> tuple[tuple[float, float] | None, str | None]:
    """Interval of tau over resampled networks; resamples in which a score is constant carry no ranking."""

    def tau(first: np.ndarray, second: np.ndarray) -> float:
        value = kendalltau(first, second).statistic
        return 0.0 if np.isnan(value) else float(value)

    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = bootstrap(
                (cheap, truth),
                tau,
                n_resamples=resamples,
                paired=True,
                vectorized=False,
                confidence_level=confidence,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite([found.low, found.high]).all():
            return (float(found.low), float(found.high)), method
    return None, None


@dataclass(frozen=True)
class NoiseCeiling:
    """Tau-b between independent seeds of the truth: what a perfect score could reach against one seed.

    `mean`, `lowest` and `highest` over all pairs of seeds; None with a `reason` where no pair is defined.
    """

    n: int
    seeds: int
    mean: float | None
    lowest: float | None
    highest: float | None
    reason: str | None = None

    def to_dict(self) -> dict:
        """JSON-able, without NaN."""
        return asdict(self)


def noise_ceiling(truth: np.ndarray) -> NoiseCeiling:
    """The noise ceiling of scores (n, S), one column a training seed."""
    truth = np.asarray(truth, dtype=float)
    if truth.ndim != 2:
        raise ValueError(f"truth must have the shape (networks, seeds), got {truth.shape}")
    networks, seeds = truth.shape
    if seeds < 2:
        return NoiseCeiling(networks, seeds, None, None, None, "undefined for one seed; at least 2 are needed")
    reasons = [_undefined(truth[:, i], truth[:, j]) for i, j in combinations(range(seeds), 2)]
    if any(reasons):
        return NoiseCeiling(networks, seeds, None, None, None, next(filter(None, reasons)))
    taus = [float(kendalltau(truth[:, i], truth[:, j]).statistic) for i, j in combinations(range(seeds), 2)]
    return NoiseCeiling(networks, seeds, float(np.mean(taus)), min(taus), max(taus))


def top_k_overlap(cheap: Sequence[float], truth: Sequence[float], k: int) -> float:
    """Share of the k truly best networks that are among the k best by the cheap score; 1 is best."""
    if not 1 <= k <= len(cheap):
        raise ValueError(f"k must be 1 to {len(cheap)}, got {k}")
    best = [set(np.argsort(scores, kind="stable")[:k].tolist()) for scores in (cheap, truth)]
    return len(best[0] & best[1]) / k


def regret(cheap: Sequence[float], truth: Sequence[float]) -> float:
    """How much worse than the best network the one that the cheap score picks truly is; 0 is best."""
    truth = np.asarray(truth, dtype=float)
    return float(truth[int(np.argmin(cheap))] - truth.min())


def evenly_spaced(values: Sequence[float], n: int) -> list[int]:
    """Numbers of n different networks whose scores are about evenly spaced (FairNAS, supplement 3.3), ascending.

    Targets run evenly from the smallest to the largest score; each takes the nearest network not taken yet.
    Raises ValueError when there are fewer than n.
    """
    values = np.asarray(values, dtype=float)
    if n > len(values):
        raise ValueError(f"cannot choose {n} networks of {len(values)}")
    chosen: list[int] = []
    for target in np.linspace(values.min(), values.max(), n) if n else ():
        distance = np.abs(values - target)
        distance[chosen] = np.inf
        chosen.append(int(np.argmin(distance)))
    return sorted(chosen, key=lambda number: values[number])
