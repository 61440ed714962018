"""An interval by leaving people out: for numbers that people who are drawn twice would spoil.

The bootstrap draws a person twice, who is then an impostor of himself: pairs of one image would be compared. Leaving
some people out compares real people only (Quenouille 1956; Tukey 1958; of groups: Kott 2001).
"""

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from dualfair.evaluation.statistics.bootstrap import CONFIDENCE

GROUPS = 20
"""How many groups people are dealt to."""


def group_jackknife(
    statistic: Callable[[np.ndarray], float],
    identities: np.ndarray,
    *,
    groups: int = GROUPS,
    seed: int = 0,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float]:
    """The interval of a statistic of images over people, from leaving out one of `groups` random groups of them.

    `statistic(rows)` computes from the images of these numbers; `identities` (N,) say who is on which. With T_j the
    number without group j of g, the squared standard error is (g - 1) / g times the sum of (T_j - mean T)^2; the
    interval is the number plus and minus 1.96 of these, as if it were normal, cut off at the `bounds` of what the
    number can be: a share's ends in [0, 1]. With as many groups as people or more it is the jackknife itself, whose
    standard error of a mean is s / root n exactly. NaN, undefined, for fewer than two people, and where a T_j is.
    """
    _, codes = np.unique(identities, return_inverse=True)
    people = int(codes.max(initial=-1)) + 1
    g = min(groups, people)
    if g < 2:
        return float("nan"), float("nan")
    group_of = np.random.default_rng(seed).permutation(people) % g
    left_out = np.array([statistic(np.flatnonzero(group_of[codes] != group)) for group in range(g)])
    error = np.sqrt((g - 1) / g * np.sum((left_out - left_out.mean()) ** 2))
    estimate = statistic(np.arange(len(codes)))
    spread = float(ndtri((1 + CONFIDENCE) / 2) * error)
    low, high = np.clip((estimate - spread, estimate + spread), *bounds).tolist()
    return low, high
