"""How well the measured truth itself ranks networks: no score can be seen to rank them better than that.

Shape legend: n networks, S training seeds; 2 disjoint halves of the people.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from dualfair.evaluation.statistics.ranking import LEAST_NETWORKS, tau_b, undefined
from dualfair.evaluation.statistics.reliability import normal_scores, reliability

RESAMPLES = 200
"""Resamples of networks for the interval of a ceiling, which is read in tenths: no more are taken where more are asked
for."""


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


@dataclass(frozen=True)
class TruthCeiling:
    """What the exact truth would reach against the measured one, the mean over all seeds and people.

    `reliability` in [0, 1] is that of the mean; `tau` = 2/pi asin(sqrt(reliability)), in [0, 1], is the tau-b of exact
    and measured truth where both are normal together: so values are taken as normal scores, which keeps a network far
    off from the others from raising it. `interval` is its 95 % percentile interval over networks. `between_halves` is
    tau-b of the two halves of the people, seeds averaged.

    `from_halves` tells whether the choice of people counts as noise; without halves only seeds do, and the ceiling is
    too high. It is too high too where `at_most`: of one seed a network, its luck cannot be told from the network. What
    is undefined is None, and `reason` says why.
    """

    n: int
    seeds: int
    reliability: float | None
    tau: float | None
    interval: tuple[float, float] | None
    between_halves: float | None
    from_halves: bool
    at_most: bool
    reason: str | None = None


def noise_ceiling(truth: np.ndarray) -> NoiseCeiling:
    """The noise ceiling of scores (n, S), one column a training seed. Raises ValueError for another shape."""
    truth = _table(truth)
    n, seeds = truth.shape
    taus, reasons = [], []
    for first, second in combinations(range(seeds), 2):
        reason = undefined({f"seed column {first}": truth[:, first], f"seed column {second}": truth[:, second]})
        if reason is None:
            taus.append(tau_b(truth[:, first], truth[:, second]))
        else:
            reasons.append(reason)
    reason = f"{len(reasons)} of {seeds * (seeds - 1) // 2} pairs of seeds {reasons[0]}" if reasons else None
    if seeds < 2:
        reason = f"undefined for {seeds} seed(s); at least 2 are needed"
    summary = (float(np.mean(taus)), min(taus), max(taus)) if taus else (None, None, None)
    return NoiseCeiling(n, seeds, len(taus), *summary, reason)


def truth_ceiling(
    truth: np.ndarray, halves: np.ndarray | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> TruthCeiling:
    """The ceiling of a truth (n, S), measured again on two `halves` (n, S, 2) of the people where there are such.

    With halves the reliability is that of the mean over S seeds and both halves, from components of variance
    (`reliability`); without, or where a half has a value that is not finite, that of the mean over S seeds, by Spearman
    and Brown from the intraclass correlation. `resamples` and `seed` are the bootstrap's. Raises ValueError for other
    shapes.
    """
    truth = _table(truth)
    n, seeds = truth.shape
    if halves is not None:
        halves = np.asarray(halves, dtype=np.float64)
        if halves.shape != (n, seeds, 2):
            raise ValueError(f"halves must have the shape {(n, seeds, 2)}, got {halves.shape}")
    usable = halves is not None and halves.size > 0 and bool(np.isfinite(halves).all())

    def ceiling(value=None, tau=None, interval=None, reason=None) -> TruthCeiling:
        of_halves = _between(halves) if usable else None
        return TruthCeiling(n, seeds, value, tau, interval, of_halves, usable, usable and seeds == 1, reason)

    reason = _undefined(truth, usable)
    if reason:
        return ceiling(reason=reason)
    reliability_of = _of_halves if usable else _of_seeds
    values = halves if usable else truth
    value = reliability_of(values)
    if value is None:
        where = " on either half" if usable else ""
        return ceiling(reason=f"undefined: the truth is the same for all {n} networks{where}")
    return ceiling(value, _as_tau(value), _interval(reliability_of, values, resamples, seed))


def _undefined(truth: np.ndarray, halves: bool) -> str | None:
    n, seeds = truth.shape
    if n < LEAST_NETWORKS:
        return f"undefined for {n} networks; at least {LEAST_NETWORKS} are needed"
    if not np.isfinite(truth).all():
        return "undefined: the truth has values that are not finite"
    if not halves and seeds < 2:
        return f"undefined for {seeds} seed(s) and no halves: train 2 seeds or more"
    return None


def _of_halves(values: np.ndarray) -> float | None:
    return reliability(normal_scores(values)).of_mean(values.shape[1], 2)


def _of_seeds(truth: np.ndarray) -> float | None:
    """Reliability of the mean over S seeds, (n, S): S r / (1 + (S - 1) r) with the intraclass correlation r."""
    n, seeds = truth.shape
    truth = normal_scores(truth)
    means = truth.mean(axis=1)
    between = seeds * np.sum((means - means.mean()) ** 2) / (n - 1)
    within = np.sum((truth - means[:, None]) ** 2) / (n * (seeds - 1))
    # With r = (between - within) / (between + (S - 1) within) that is what follows.
    return float(max(0.0, between - within) / between) if between > 0 else None


def _as_tau(value: float) -> float:
    return float(2 / np.pi * np.arcsin(np.sqrt(value)))


def _interval(reliability_of, values: np.ndarray, resamples: int, seed: int) -> tuple[float, float] | None:
    rng = np.random.default_rng(seed)
    resampled = [reliability_of(values[rng.integers(0, len(values), len(values))]) for _ in range(resamples)]
    taus = [_as_tau(value) for value in resampled if value is not None]
    return tuple(map(float, np.quantile(taus, (0.025, 0.975)))) if taus else None


def _between(halves: np.ndarray) -> float | None:
    first, second = halves.mean(axis=1).T
    return tau_b(first, second) if undefined({"first half": first, "second half": second}) is None else None


def _table(truth: np.ndarray) -> np.ndarray:
    truth = np.asarray(truth, dtype=np.float64)
    if truth.ndim != 2:
        raise ValueError(f"truth must have the shape (networks, seeds), got {truth.shape}")
    return truth
