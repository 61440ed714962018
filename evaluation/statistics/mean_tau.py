"""Kendall's tau of several scores of the same networks with one truth: their mean, and differences of such means.

Scores that are few, such as those by some supernets, tell by their single taus how much they differ. Intervals are over
networks: percentiles over the same resamples everywhere, so that differences are paired.

Shape legend: n networks, K scores, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.statistics.kendall import taus

_ENDS = (0.025, 0.975)


@dataclass(frozen=True)
class MeanTau:
    """Every one of K `taus`, and their `mean` with its 95 % `interval`; the `difference` to other scores' mean with its
    own. None where undefined."""

    taus: tuple[float | None, ...]
    mean: float | None
    interval: tuple[float, float] | None
    difference: float | None
    difference_interval: tuple[float, float] | None


def resampled_networks(n: int, resamples: int, seed: int) -> np.ndarray:
    """How often each network is there: once in the first row, then as often as it was drawn, (1 + R, n)."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    return np.concatenate([np.ones((1, n)), drawn])


def all_taus(
    scores: Sequence[np.ndarray], truth: np.ndarray, counts: np.ndarray, strata: np.ndarray | None = None
) -> np.ndarray:
    """Tau of each of K scores (n,) with the truth (n,), for `counts` as of `resampled_networks`: (K, 1 + R); over pairs
    within the same of the `strata` (n,) where these are given."""
    return np.array([taus(values, truth, counts, strata) for values in scores])


def mean_tau(of_scores: np.ndarray, of_others: np.ndarray | None = None) -> MeanTau:
    """What the taus (K, 1 + R) of some scores come to, beside those of others of the same resamples where given."""
    mean = of_scores.mean(axis=0)
    difference = None if of_others is None else mean - of_others.mean(axis=0)
    return MeanTau(
        taus=tuple(map(_number, of_scores[:, 0])),
        mean=_number(mean[0]),
        interval=_interval(mean[1:]),
        difference=None if difference is None else _number(difference[0]),
        difference_interval=None if difference is None else _interval(difference[1:]),
    )


def _interval(resampled: np.ndarray) -> tuple[float, float] | None:
    known = resampled[np.isfinite(resampled)]
    return tuple(np.quantile(known, _ENDS).tolist()) if len(known) else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
