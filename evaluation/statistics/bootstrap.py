"""Bootstrap intervals by identity: how much would a number change if other people had been evaluated?

Images of one person, and pairs that share a person, are not independent. So people are drawn, with replacement, and
everything of a person comes along as often as the person was drawn.

Shape legend: P rows (probes or pairs), M rows of a resample, I identities, R resamples, K numbers of a statistic.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from dualfair.evaluation.metrics.disparity import MINIMUM_PROBES, Disparity

CONFIDENCE = 0.95
"""Of all intervals over people."""

METHODS = ("percentile", "bca")
"""Quantiles of the resamples as they are, or corrected for bias and acceleration (Efron 1987)."""

Statistic = Callable[[np.ndarray], "float | np.ndarray"]
"""A number, or K numbers, of the rows (M,) of a resample: numbers from 0 to P - 1, ascending, repeated as drawn."""


@dataclass(frozen=True)
class Interval:
    """A number with its bootstrap interval [`low`, `high`] at the `confidence`.

    `resamples` of `identities` people were drawn. In `undefined` of them the number was nan, mostly because a group
    was not drawn; the interval is over the others. `method` is the one used. What is undefined is None, never 0, and
    `reason` says why, or why the percentile method took the place of BCa.
    """

    estimate: float | None
    low: float | None
    high: float | None
    method: str
    confidence: float
    resamples: int
    undefined: int
    identities: int
    reason: str | None = None


def identity_bootstrap(
    statistic: Statistic,
    identities: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int,
    method: str = "percentile",
) -> Interval | tuple[Interval, ...]:
    """The interval of a statistic over identities; of K numbers a tuple of intervals, from the same resamples.

    `statistic(rows)` computes from its own arrays at the given rows: `lambda rows: ranks[rows].mean()`. A resample
    draws as many identities as there are, with replacement. `identities` are labels of either of two kinds of rows:

    Probes (P,). A probe comes as often as its identity was drawn. Its rank stays the one it has in the gallery of all
    people: identities are resampled as probes only, the gallery is fixed. So nothing is ranked again, and the interval
    answers for who was looked for, not for who was in the gallery. Ranks depend on both: their mean over other people
    in another gallery varies more than the interval says, and disjoint galleries show by how much.

    Pairs (P, 2), the identities of both people. A genuine pair comes as often as its person was drawn, m times, and an
    impostor pair as often as both people were, m times n times: as if the pairs of the drawn people had been formed
    anew, save that two copies of one person are no impostors of each other. Drawing pairs instead would take a
    person's pairs for independent and give too narrow an interval. This one errs on the other side (Owen, The
    pigeonhole bootstrap, 2007): it is right where people are in many pairs, and up to sqrt(3) times too wide for the
    rates of impostors that share nobody.

    "percentile" takes quantiles, with linear interpolation. "bca" moves them by the bias of the resamples and by the
    acceleration from leaving out each identity in turn, which takes I more evaluations. An absolute difference near 0
    is larger in most resamples, for want of a sign: its percentile interval lies above 0 where there is no difference,
    and BCa's correction goes astray. Whether groups differ, ask of a signed difference (`difference_statistic`).

    The same `seed` gives the same resamples. Undefined, with a reason, for a single identity, an estimate or resamples
    that are nan, and a number that is the same in every resample. Raises ValueError for a statistic that returns
    neither a number nor a list of numbers, and for arguments out of range.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, got {resamples}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    codes, n = _coded(identities)
    rng = np.random.default_rng(seed)
    estimate = _numbers(statistic(np.arange(len(codes))))
    drawn = np.empty((resamples, estimate.size))
    for resample in range(resamples):
        counts = np.bincount(rng.integers(n, size=n), minlength=n)
        drawn[resample] = _evaluated(statistic, _multiplicities(codes, counts), estimate)
    left_out = np.empty((0, estimate.size))
    if method == "bca" and n > 1:
        left_out = np.array([_evaluated(statistic, _without(codes, identity), estimate) for identity in range(n)])
    intervals = tuple(
        _interval(float(value), drawn[:, k], left_out[:, k], method, n)
        for k, value in enumerate(np.atleast_1d(estimate))
    )
    return intervals if estimate.ndim else intervals[0]


def disparity_statistic(disparity: Disparity, values: np.ndarray, groups: np.ndarray) -> Statistic:
    """A statistic of K = 1 + G numbers: the disparity of probes' values (P,), then the value of every group (P,).

    Groups in sorted order. nan where a group is insufficient in the resample, and the disparity with it.
    """
    values = np.asarray(values)
    names, codes = np.unique(groups, return_inverse=True)
    everyone = range(len(names))
    if disparity.reference is not None:
        if disparity.reference not in names.tolist():
            raise ValueError(f"{disparity.name}: no group {disparity.reference!r} among {names.tolist()}")
        disparity = replace(disparity, reference=names.tolist().index(disparity.reference))

    def statistic(rows: np.ndarray) -> np.ndarray:
        result = disparity.evaluate(values[rows], codes[rows], names=everyone)
        group_values = [np.nan if group.value is None else group.value for group in result.groups.values()]
        return np.array([result.value, *group_values])

    return statistic


def difference_statistic(
    disparity: Disparity, values: np.ndarray, groups: np.ndarray, first: object, second: object
) -> Statistic:
    """A statistic: the first group's value minus the second's, as the disparity takes it of probes' values (P,).

    The sign is kept, so an interval that holds 0 is one of groups that may be alike. nan where one of them is
    insufficient in the resample. Raises ValueError for a group that is not among `groups` (P,).
    """
    values, groups = np.asarray(values, dtype=np.float64), np.asarray(groups)
    members = [groups == name for name in (first, second)]
    for name, mask in zip((first, second), members, strict=True):
        if not mask.any():
            raise ValueError(f"no group {name!r}; there are {', '.join(map(repr, np.unique(groups).tolist()))}")

    def statistic(rows: np.ndarray) -> float:
        drawn = values[rows]
        a, b = (drawn[mask[rows]] for mask in members)
        if min(len(a), len(b)) < MINIMUM_PROBES:
            return float("nan")
        return float(disparity.statistic(a) - disparity.statistic(b))

    return statistic


def _coded(identities: np.ndarray) -> tuple[np.ndarray, int]:
    """Identities as numbers from 0, in the shape they have, and how many there are."""
    identities = np.asarray(identities)
    if not identities.size or identities.ndim > 2 or (identities.ndim == 2 and identities.shape[1] != 2):
        raise ValueError(
            f"identities must be one label a probe (P,) or two a pair (P, 2), for 1 row or more, got {identities.shape}"
        )
    names, codes = np.unique(identities, return_inverse=True)
    return codes.reshape(identities.shape), len(names)


def _multiplicities(codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The rows of a resample in which the identities were drawn as often as `counts` (I,) say."""
    if codes.ndim == 1:
        times = counts[codes]
    else:
        first, second = codes.T
        times = counts[first] * np.where(first == second, 1, counts[second])
    return np.repeat(np.arange(len(codes)), times)


def _without(codes: np.ndarray, identity: int) -> np.ndarray:
    """The rows without one identity."""
    others = codes != identity
    return np.flatnonzero(others if codes.ndim == 1 else others.all(axis=1))


def _numbers(result: object) -> np.ndarray:
    numbers = np.asarray(result)
    if numbers.ndim > 1 or not numbers.size or numbers.dtype.kind not in "fiub":
        raise ValueError(f"the statistic must return a number or a list of numbers, got {result!r}")
    return numbers.astype(np.float64)


def _evaluated(statistic: Statistic, rows: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The statistic of the rows; nan, undefined, without any row."""
    if not len(rows):
        return np.full(like.size, np.nan)
    numbers = _numbers(statistic(rows))
    if numbers.shape != like.shape:
        raise ValueError(
            f"the statistic must return as many numbers for every resample, got shapes {like.shape} and {numbers.shape}"
        )
    return np.atleast_1d(numbers)


def _interval(estimate: float, drawn: np.ndarray, left_out: np.ndarray, method: str, identities: int) -> Interval:
    defined = np.sort(drawn[~np.isnan(drawn)])
    low = high = reason = None
    if np.isnan(estimate):
        estimate, reason = None, "undefined: the number itself is"
    elif identities < 2:
        reason = "interval undefined for one identity; at least 2 are needed"
    elif not len(defined):
        reason = f"interval undefined: so is the number in all {len(drawn)} resamples"
    elif defined[0] == defined[-1] or np.isclose(defined[0], defined[-1], rtol=1e-12, atol=0):
        reason = f"interval undefined: the number is the same in every resample of these {identities} identities"
    else:
        shares = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
        if method == "bca":
            corrected = _corrected(estimate, defined, left_out, shares)
            shares = corrected or shares
            if corrected is None:
                method, reason = "percentile", "BCa is undefined: too few resamples on one side, or without an identity"
        low, high = (_quantile(defined, share) for share in shares)
    undefined = len(drawn) - len(defined)
    return Interval(estimate, low, high, method, CONFIDENCE, len(drawn), undefined, identities, reason)


def _corrected(
    estimate: float, defined: np.ndarray, left_out: np.ndarray, shares: tuple[float, float]
) -> tuple[float, float] | None:
    """The shares of the resamples that BCa takes in place of `shares`, or None where it is undefined."""
    below = (np.count_nonzero(defined < estimate) + np.count_nonzero(defined <= estimate)) / (2 * len(defined))
    if not 0 < below < 1 or not np.isfinite(left_out).all():
        return None
    deviations = left_out.mean() - left_out
    scale = float(np.sum(deviations**2))
    if scale == 0:
        return None
    acceleration = float(np.sum(deviations**3)) / (6 * scale**1.5)
    bias = ndtri(below)
    moved = bias + ndtri(np.array(shares))
    divisors = 1 - acceleration * moved
    if (divisors <= 0).any():
        return None
    low, high = ndtr(bias + moved / divisors).tolist()
    return low, high


def _quantile(values: np.ndarray, share: float) -> float:
    """The linearly interpolated quantile of sorted values, as numpy's but for infinite ones."""
    place = share * (len(values) - 1)
    below = int(place)
    low, high = float(values[below]), float(values[min(below + 1, len(values) - 1)])
    if low == high or place == below or low == -np.inf:
        return low
    return low + (high - low) * (place - below)
