"""Dominance, hypervolume and knee of a set of points. Every objective is minimised; all values are finite."""

from collections.abc import Sequence

import moocore
import numpy as np

REFERENCE_MARGIN = 0.1
"""How far behind the worst value the reference point lies, as a share of the objective's range."""


def non_dominated(values: np.ndarray) -> np.ndarray:
    """Which points no other point dominates: bool (n,) for `values` (n, objectives).

    A point dominates another when it is nowhere worse and somewhere better. Equal points do not dominate each other:
    all duplicates of a front point are in the front. Raises ValueError for values that are not finite.

    >>> non_dominated(np.array([[1, 3], [2, 2], [2, 2], [3, 3]])).tolist()
    [True, True, True, False]
    """
    return moocore.is_nondominated(_points(values), keep_weakly=True)


def hypervolume(values: np.ndarray, reference: Sequence[float]) -> float:
    """Volume that the points (n, objectives) dominate up to the reference point (objectives,). Higher is better.

    Points that do not lie below the reference point in every objective add nothing; no points give 0. Raises
    ValueError for values that are not finite, or a reference point of another length.

    >>> hypervolume(np.array([[0, 1], [1, 0], [3, 3]]), (2, 2))
    3.0
    """
    values = _points(values)
    reference = np.asarray(reference, dtype=np.float64)
    if reference.shape != values.shape[1:] or not np.isfinite(reference).all():
        raise ValueError(f"reference must be {values.shape[1]} finite numbers, one an objective, got {reference}")
    return float(moocore.hypervolume(values, ref=reference)) if len(values) else 0.0


def reference_point(values: np.ndarray) -> tuple[float, ...]:
    """A reference point just behind all the points (n, objectives): in every objective worst + 0.1 (worst - best).

    Where all the values of an objective are equal it is worst + 1. The margin (`REFERENCE_MARGIN`) lets the ends of a
    front count. Raises ValueError for no points.
    """
    values = _points(values)
    if not len(values):
        raise ValueError("a reference point needs at least one point, got none; give `reference` yourself")
    worst, best = values.max(axis=0), values.min(axis=0)
    return tuple((worst + np.where(worst > best, REFERENCE_MARGIN * (worst - best), 1.0)).tolist())


def front_agreement(cheap: np.ndarray, truth: np.ndarray) -> float:
    """How good a front the cheap scores (n, objectives) choose, by the truth (n, objectives) of the same networks.

    Hypervolume of the truths of the networks that are non-dominated by the cheap scores, over that of the true front,
    both up to the reference point of all truths: in (0, 1], higher is better. Choosing more networks never lowers it,
    so compare with a random choice of as many. Raises ValueError for values that are not finite, shapes that differ,
    or no points.

    >>> front_agreement(np.array([[0, 1], [1, 0], [2, 2]]), np.array([[0, 1], [1, 0], [2, 2]]))
    1.0
    """
    cheap, truth = _points(cheap), _points(truth)
    if len(cheap) != len(truth):
        raise ValueError(f"cheap and truth must be of the same networks, got {len(cheap)} and {len(truth)}")
    reference = reference_point(truth)
    return hypervolume(truth[non_dominated(cheap)], reference) / hypervolume(truth, reference)


def knee(values: np.ndarray) -> int:
    """Index of the knee of a front (n, objectives): the best compromise when nothing is known about preferences.

    Every objective is scaled to 0..1 over the front (0 where it is constant). The knee is the point farthest, on the
    side of the ideal point, from the plane through the ends (1, 0, ..), (0, 1, ..): the smallest sum of scaled
    objectives. With two objectives that plane is the line between the two extremes, and this the usual maximum
    distance from it (Das 1999). Of equal sums the most balanced point wins (smallest largest scaled objective), then
    the first. Scaling or shifting an objective does not move the knee. Raises ValueError for no points.

    >>> knee(np.array([[0, 10], [1, 4], [8, 0]]))
    1
    """
    values = _points(values)
    if not len(values):
        raise ValueError("a knee needs at least one point, got an empty front")
    spread = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    # Rounded, so that sums which are equal on paper tie in floating point too.
    return int(np.lexsort((scaled.max(axis=1).round(12), scaled.sum(axis=1).round(12)))[0])


def _points(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(f"values must be an array (points, objectives), got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite; leave out the points with NaN or infinity first")
    return values
