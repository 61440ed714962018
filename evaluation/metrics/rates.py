"""How pairs of every group's people fare at one threshold: counts a group first, then rates.

Shape legend: P pairs, G groups.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.metrics.disparity import GroupValue
from dualfair.evaluation.metrics.pairs import checked_pairs, groups_of_pairs
from dualfair.evaluation.metrics.verification import TenFold

MINIMUM_PAIRS = 2
"""A rate over fewer pairs has no value: it is insufficient, and a disparity over it is undefined."""

RATES = ("fmr", "fnmr", "tpr", "accepted")
"""The rates of a group that a disparity may take: see `GroupRates`."""


@dataclass(frozen=True)
class GroupRates:
    """How a group's pairs fare at a threshold: counts, and the rates in [0, 1] that follow from them.

    `false_matches` are accepted impostor pairs, `false_non_matches` rejected genuine ones. Every rate comes with the
    number of pairs it is over, and without a value where they are fewer than `MINIMUM_PAIRS`.
    """

    genuine: int
    impostors: int
    false_matches: int
    false_non_matches: int

    @property
    def fmr(self) -> GroupValue:
        """False match rate, also FAR or FPR: the share of impostor pairs accepted; lower is better."""
        return _share(self.false_matches, self.impostors)

    @property
    def fnmr(self) -> GroupValue:
        """False non-match rate: the share of genuine pairs rejected; lower is better."""
        return _share(self.false_non_matches, self.genuine)

    @property
    def tpr(self) -> GroupValue:
        """True positive rate, also TAR: the share of genuine pairs accepted; higher is better."""
        return _share(self.genuine - self.false_non_matches, self.genuine)

    @property
    def accepted(self) -> GroupValue:
        """The share of all pairs accepted. It depends on how many of them are genuine."""
        return _share(self.genuine - self.false_non_matches + self.false_matches, self.genuine + self.impostors)

    @property
    def accuracy(self) -> GroupValue:
        """The share of all pairs judged right; higher is better."""
        pairs = self.genuine + self.impostors
        return _share(pairs - self.false_matches - self.false_non_matches, pairs)


@dataclass(frozen=True)
class RatesTable:
    """The rates of all groups at one `threshold`, over pairs of people of one group, by group in sorted order."""

    threshold: float
    groups: Mapping[object, GroupRates]


def rates_at(
    scores: np.ndarray,
    same: np.ndarray,
    groups: np.ndarray,
    threshold: float,
    *,
    names: Iterable[object] = (),
) -> RatesTable:
    """The rates of every group where all scores (P,) of `threshold` or more are accepted, one threshold for all.

    `same` (P,) is true for genuine pairs. `groups` are labels of the pairs (P,), or of both people (P, 2). Impostor
    pairs across groups count for neither: impostors of another group are easier, and how many there are is chance.
    `names` are groups to list even where no pair is theirs.

    Raises ValueError for shapes that do not fit, scores that are not finite, a threshold that is nan, and a genuine
    pair across groups.
    """
    scores, same = checked_pairs(scores, same)
    if np.isnan(threshold):
        raise ValueError("threshold must be a number, got nan")
    labels, inside = groups_of_pairs(groups, same)
    accepted = scores >= threshold
    table = {name: GroupRates(0, 0, 0, 0) for name in np.asarray(list(names)).tolist()}
    table |= _counted(labels[inside], same[inside], accepted[inside])
    return RatesTable(float(threshold), dict(sorted(table.items())))


def accuracy_values(folds: Mapping[object, TenFold]) -> dict[object, GroupValue]:
    """Accuracies of groups (`verification.group_ten_fold`) as what `disparity.Disparity.reduce` takes."""
    return {group: GroupValue(ten_fold.accuracy, ten_fold.n) for group, ten_fold in folds.items()}


def _counted(labels: np.ndarray, same: np.ndarray, accepted: np.ndarray) -> dict[object, GroupRates]:
    names, codes = np.unique(labels, return_inverse=True)
    kinds = codes * 4 + same * 2 + accepted
    counts = np.bincount(kinds, minlength=4 * len(names)).reshape(-1, 4).tolist()
    return {
        name: GroupRates(
            false_non_matches + true_matches,
            true_non_matches + false_matches,
            false_matches=false_matches,
            false_non_matches=false_non_matches,
        )
        for name, (true_non_matches, false_matches, false_non_matches, true_matches) in zip(
            names.tolist(), counts, strict=True
        )
    }


def _share(part: int, whole: int) -> GroupValue:
    return GroupValue(part / whole if whole >= MINIMUM_PAIRS else None, whole)
