"""Does one set of networks dominate another, when all that is known of each is a few trainings?

Every network has two objectives, both minimised, measured once a training seed. What its mean would be with other seeds
is told by a bootstrap over its seeds.

Shape legend: S seeds of a network, K networks of a front, M networks of the other set, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.evolution.pareto import hypervolume, reference_point

SURE = 0.95
"""A probability from which on something is said to be so; below 1 - SURE it is said not to be."""

DOMINATES, DOES_NOT, CANNOT_BE_TOLD = "dominates", "does not dominate", "cannot be told with so few seeds"


@dataclass(frozen=True)
class Dominance:
    """Whether some network of a front dominates one other network.

    `probability` in [0, 1] is the share of resamples in which some network of the front does, whichever it is; `by` is
    the number of the one that does most often, in the share `probability_by`. `seeds` are those of that one and of the
    other network. The `verdict` is that of `verdict_of`.
    """

    probability: float
    by: int
    probability_by: float
    seeds: tuple[int, int]
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """A front against another set of networks: `each` of these, `probability` that all are dominated, and hypervolumes.

    The `verdict` on all: the front dominates them where it does each, and does not where the probability that it
    dominates all is at most 1 - SURE.

    `hypervolume` holds ours and theirs by the means of all seeds, `difference` is ours less theirs with its 95 %
    percentile `interval` over resamples, None where a network was trained but once; `ahead` is the share of resamples
    in which it is above 0. `reference` is the point up to which volumes are taken. `fewest_seeds` of a network of
    either set decide what can be told.
    """

    each: tuple[Dominance, ...]
    probability: float
    verdict: str
    hypervolume: tuple[float, float]
    difference: float
    interval: tuple[float, float] | None
    ahead: float
    reference: tuple[float, float]
    fewest_seeds: tuple[int, int]
    resamples: int


def dominates(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether points (..., 2) are nowhere worse and somewhere better than others (..., 2): bool (...)."""
    return (first <= second).all(axis=-1) & (first < second).any(axis=-1)


def resampled_means(trainings: Sequence[np.ndarray], resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Means over seeds of networks with trainings (S, 2) each, seeds drawn anew with replacement: (R, networks, 2).

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


def verdict_of(any_probability: float, best_probability: float, seeds: tuple[int, int], candidates: int = 1) -> str:
    """What probabilities of dominance come to in words: that any of so many candidates dominates, that the best does.

    Among K candidates that are no better than the other network the luckiest looks better, so one of them has to be
    sure to 1 - (1 - SURE) / K (Bonferroni). Two networks that are alike fall apart completely, all trainings of one
    before all of the other, by chance once in (a + b over a) times, a and b their `seeds`: where that, times K, is
    above 1 - SURE, so few seeds prove nothing. With five seeds or more, alike networks are said to be dominated in at
    most about one case of ten where both objectives are one and the same, and less often otherwise.
    """
    lowest = 1 / math.comb(sum(seeds), seeds[0])
    if best_probability >= 1 - (1 - SURE) / candidates and candidates * lowest <= 1 - SURE + 1e-9:
        return DOMINATES
    return DOES_NOT if any_probability <= 1 - SURE and lowest <= 1 - SURE + 1e-9 else CANNOT_BE_TOLD


def compare(
    front: Sequence[np.ndarray],
    others: Sequence[np.ndarray],
    rng: np.random.Generator,
    *,
    other_front: Sequence[int] | None = None,
    resamples: int = 2000,
) -> Comparison:
    """Compare networks of a front with others; each is an array (S, 2) of objectives, one row a training seed.

    The front has to be chosen by other numbers than these, or its luck is counted as merit; `other_front` are the
    places of the others' front, chosen likewise, for their hypervolume (all of them by default). Seeds of different
    networks are drawn independently. Raises ValueError for no networks, one without trainings, values that are not
    finite, or `resamples` below 1.
    """
    front, others = _checked("front", front), _checked("others", others)
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, got {resamples}")
    front_means, other_means = resampled_means(front, resamples, rng), resampled_means(others, resamples, rng)
    # (R, K, M): which network of the front dominates which of the others.
    wins = dominates(front_means[:, :, None], other_means[:, None])
    any_wins = wins.any(axis=1)
    shares = wins.mean(axis=0)
    dominances = []
    for place, other in enumerate(others):
        by = int(shares[:, place].argmax())
        seeds = (len(front[by]), len(other))
        probability, best_probability = float(any_wins[:, place].mean()), float(shares[by, place])
        verdict = verdict_of(probability, best_probability, seeds, len(front))
        dominances.append(Dominance(probability, by, best_probability, seeds, verdict))
    fewest = (min(map(len, front)), min(map(len, others)))
    probability = float(any_wins.all(axis=1).mean())
    dominates_all = all(dominance.verdict == DOMINATES for dominance in dominances)
    places = range(len(others)) if other_front is None else [*other_front]
    return Comparison(
        tuple(dominances),
        probability,
        DOMINATES if dominates_all else verdict_of(probability, 0.0, fewest),
        *_hypervolumes(front, others, places, front_means, other_means),
        fewest,
        resamples,
    )


def _hypervolumes(
    front: Sequence[np.ndarray],
    others: Sequence[np.ndarray],
    places: Sequence[int],
    front_means: np.ndarray,
    other_means: np.ndarray,
) -> tuple[tuple[float, float], float, tuple[float, float] | None, float, tuple[float, float]]:
    """Both volumes, their difference with its interval and share above 0, and the reference point behind all means."""
    means = np.array([values.mean(axis=0) for values in (*front, *others)])
    reference = reference_point(means)
    places = list(places)
    front_volume = hypervolume(means[: len(front)], reference)
    other_volume = hypervolume(means[len(front) :][places], reference)
    differences = np.array(
        [
            hypervolume(front_points, reference) - hypervolume(other_points[places], reference)
            for front_points, other_points in zip(front_means, other_means, strict=True)
        ]
    )
    low, high = np.quantile(differences, (0.025, 0.975)).tolist()
    trained_once = any(len(values) == 1 for values in (*front, *others))
    interval = None if trained_once else (low, high)
    ahead = float((differences > 0).mean())
    return (front_volume, other_volume), front_volume - other_volume, interval, ahead, reference


def _checked(name: str, trainings: Sequence[np.ndarray]) -> list[np.ndarray]:
    arrays = [np.asarray(values, dtype=np.float64) for values in trainings]
    if not arrays:
        raise ValueError(f"{name} must hold at least one network")
    for values in arrays:
        if values.ndim != 2 or values.shape[1] != 2 or not len(values) or not np.isfinite(values).all():
            raise ValueError(f"{name}: a network is an array (seeds, 2) of finite numbers, got shape {values.shape}")
    return arrays
