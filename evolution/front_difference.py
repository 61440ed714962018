"""The difference of two fronts' hypervolumes, when all that is known of each network is a few trainings.

Shape legend: S training seeds of a network, N networks, R resamples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.evolution.pareto import hypervolume, reference_point


@dataclass(frozen=True)
class FrontDifference:
    """Hypervolumes of two fronts by the means over seeds, up to a common `reference` point, and the first less the
    second with its 95 % percentile `interval` over seeds, None where a network was trained but once. `ahead` is the
    share of resamples in which it is above 0, in [0, 1]."""

    hypervolume: tuple[float, float]
    difference: float
    interval: tuple[float, float] | None
    ahead: float
    reference: tuple[float, float]


def front_difference(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], rng: np.random.Generator, resamples: int = 2000
) -> FrontDifference:
    """Compare two fronts; a network is an array (S, 2) of finite objectives, both minimised, a row a training seed.

    Both fronts have to be chosen by other numbers than these, or their luck is counted as merit. Seeds of different
    networks are drawn independently. Raises ValueError for `resamples` below 1.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, got {resamples}")
    both = [*first, *second]
    reference = reference_point(np.array([values.mean(axis=0) for values in both]))

    def volumes(means: np.ndarray) -> tuple[float, float]:
        return hypervolume(means[: len(first)], reference), hypervolume(means[len(first) :], reference)

    measured = volumes(np.array([values.mean(axis=0) for values in both]))
    drawn = np.array([ours - theirs for ours, theirs in map(volumes, resampled_means(both, resamples, rng))])
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    trained_once = any(len(values) == 1 for values in both)
    return FrontDifference(
        measured,
        measured[0] - measured[1],
        None if trained_once else (low, high),
        float((drawn > 0).mean()),
        tuple(reference),
    )


def resampled_means(trainings: Sequence[np.ndarray], resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Means over seeds of networks with trainings (S, 2) each, seeds drawn anew with replacement: (R, N, 2).

    Means of S draws from S values vary less than the mean itself does, by (S - 1) / S in variance: their distances from
    the mean are stretched by the root of S / (S - 1). One training alone says nothing of other seeds and stays.
    """
    means = np.empty((resamples, len(trainings), 2))
    for place, values in enumerate(trainings):
        seeds = len(values)
        drawn = rng.integers(0, seeds, (resamples, seeds))
        centre = values.mean(axis=0)
        stretch = math.sqrt(seeds / (seeds - 1)) if seeds > 1 else 1.0
        means[:, place] = centre + stretch * (values[drawn].mean(axis=1) - centre)
    return means
