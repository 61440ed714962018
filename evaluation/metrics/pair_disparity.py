"""How differently pairs of groups' people are matched at one threshold: rates a group first, then a reducer.

`PAIR_DISPARITIES` lists the measures of the biometrics literature that reduce the rates of any number of groups to one
number. All of them depend on the threshold: state how it was chosen (`verification.tar_at_far` gives that of a FAR over
all pairs). Standard deviation and skewed error ratio of verification accuracies, as RFW is reported, are
`disparity.DISPARITIES["std"]` and `["ser"]`.

Shape legend: P pairs, G groups.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.metrics.disparity import DisparityResult, GroupValue, largest_difference
from dualfair.evaluation.metrics.pairs import checked_pairs, groups_of_pairs

MINIMUM_PAIRS = 2
"""A rate over fewer pairs has no value: it is insufficient, and a disparity over it is undefined."""


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


@dataclass(frozen=True)
class PairDisparity:
    """A disparity between any number of groups, called as `disparity(scores, same, groups, threshold)`.

    The `reducer` makes one number of the `rates` it names, arrays (G,) each; `fair` is the result where all groups
    fare alike, and no result is better. All others are above it, but those of fdr.
    """

    name: str
    rates: tuple[str, ...]
    reducer: Callable[..., float]
    fair: float = 0.0

    def __call__(self, scores: np.ndarray, same: np.ndarray, groups: np.ndarray, threshold: float) -> float:
        """The disparity of the pairs, or nan where it is undefined: see `reduce` and `rates_at`."""
        return self.reduce(rates_at(scores, same, groups, threshold)).value

    def reduce(self, table: RatesTable) -> DisparityResult:
        """The disparity of known rates of the groups.

        It is undefined where a group has fewer than `MINIMUM_PAIRS` pairs for a rate it takes: genuine ones for FNMR
        and TPR, impostors for FMR. Raises ValueError for fewer than two groups.
        """
        if len(table.groups) < 2:
            groups = ", ".join(map(repr, table.groups)) or "none"
            raise ValueError(f"{self.name} compares groups and needs at least two, got {groups}")
        values = {rate: [getattr(group, rate) for group in table.groups.values()] for rate in self.rates}
        lacking = [
            f"n={value.n} for the {rate} of group {label!r}"
            for rate in self.rates
            for label, value in zip(table.groups, values[rate], strict=True)
            if value.value is None
        ]
        if lacking:
            reason = f"undefined ({', '.join(lacking)}; a rate needs {MINIMUM_PAIRS} pairs)"
            return DisparityResult(self.name, float("nan"), table.groups, reason)
        arrays = [np.array([value.value for value in values[rate]]) for rate in self.rates]
        return DisparityResult(self.name, float(self.reducer(*arrays)), table.groups)


def fdr(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """Fairness discrepancy rate: 1 - (max |FMR_i - FMR_j| + max |FNMR_i - FNMR_j|) / 2, alpha = 0.5.

    Of rates (G,), the maxima over all pairs of groups. In [0, 1], higher is better, 1 is fair.
    """
    return 1 - (0.5 * largest_difference(fmr) + 0.5 * largest_difference(fnmr))


def inequity_rate(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """(max FMR / min FMR)^0.5 * (max FNMR / min FNMR)^0.5, extremes over the groups (G,), alpha = 0.5.

    At least 1, lower is better, 1 is fair. 0/0 is 1, all groups being equal; any other division by 0 is infinite.
    """
    return _extreme_ratio(fmr) ** 0.5 * _extreme_ratio(fnmr) ** 0.5


def garbe(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """Gini aggregation rate: (G(FMR) + G(FNMR)) / 2 over the groups (G,), alpha = 0.5; see `gini`.

    In [0, 1], lower is better, 0 is fair; 1 where one group makes all the errors of both kinds.
    """
    return 0.5 * gini(fmr) + 0.5 * gini(fnmr)


def average_odds_difference(fmr: np.ndarray, tpr: np.ndarray) -> float:
    """max |(FPR_i - FPR_j) + (TPR_i - TPR_j)| / 2 over all pairs of groups (G,), the FMR being the FPR.

    In [0, 1], lower is better, 0 is fair. The signs matter: where a group is worse off twice, with more false matches
    and fewer true ones, the two cancel. Look at eod beside it.
    """
    return largest_difference(fmr + tpr) / 2


def gini(values: np.ndarray) -> float:
    """The Gini coefficient of n values of 0 or more: n / (n - 1) * sum_ij |x_i - x_j| / (2 * n^2 * mean).

    In [0, 1]: 0 where all are equal, all zeros included, and 1 where all but one are zero.

    >>> gini(np.array([0.0, 0.0, 0.3]))
    1.0
    """
    values = np.asarray(values, dtype=np.float64)
    n, total = len(values), float(np.sum(values))
    if total == 0:
        return 0.0
    return float(np.abs(values[:, None] - values).sum() / (2 * (n - 1) * total))


def bpc(bias: float, bias_debiased: float, tpr: float, tpr_debiased: float) -> float:
    """Bias performance coefficient: (bias - bias_debiased) / bias - (tpr - tpr_debiased) / tpr; higher is better.

    A network against a named baseline, whose bias and TPR come first: 0 for the baseline itself, and above 0 where the
    share of the bias that went exceeds the share of the TPR that went. Bias is any disparity with 0 as fair, TPR is in
    [0, 1], both networks' at the same FAR. A share of 0 is 0 where nothing changed and -infinity where it rose from 0;
    where both rose from 0 the coefficient is nan, undefined. Raises ValueError for values below 0 or nan.
    """
    arguments = {"bias": bias, "bias_debiased": bias_debiased, "tpr": tpr, "tpr_debiased": tpr_debiased}
    for name, value in arguments.items():
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} must be a finite number of 0 or more, got {value}")
    return _lost_share(bias, bias_debiased) - _lost_share(tpr, tpr_debiased)


PAIR_DISPARITIES: dict[str, PairDisparity] = {
    row.name: row
    for row in (
        PairDisparity("fdr", ("fmr", "fnmr"), fdr, fair=1.0),
        PairDisparity("inequity_rate", ("fmr", "fnmr"), inequity_rate, fair=1.0),
        PairDisparity("garbe", ("fmr", "fnmr"), garbe),
        PairDisparity("spd", ("accepted",), largest_difference),
        PairDisparity("eod", ("tpr",), largest_difference),
        PairDisparity("aod", ("fmr", "tpr"), average_odds_difference),
    )
}
"""The built-in measures; spd, eod and aod are the largest absolute differences over all pairs of groups."""


def _extreme_ratio(values: np.ndarray) -> float:
    low, high = float(np.min(values)), float(np.max(values))
    if low == high:
        return 1.0
    return high / low if low else float("inf")


def _lost_share(before: float, after: float) -> float:
    if before == after:
        return 0.0
    return (before - after) / before if before else -float("inf")


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
