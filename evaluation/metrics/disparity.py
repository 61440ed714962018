"""How differently a network treats groups of people: one value a group first, then a reducer over the groups.

A disparity is any function `f(values, groups) -> float`, smaller is better. `DISPARITIES` lists the built-in ones, and
`measure` takes either kind. A function of your own is given ranks, unless its attribute `values` is "correct".

Shape legend: P counted probes, N images of a gallery, G groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dualfair.evaluation.metrics.identification import Ranks

VALUES = ("ranks", "correct")
"""What a disparity may be given of every probe: its rank, or 1 where the rank is 0 (right) and 0 elsewhere (wrong)."""

MINIMUM_PROBES = 2
"""A group with fewer probes has no value: it is insufficient, and a disparity over it is undefined."""

HIGHEST_RANK = 20
"""Where ranks are capped (`mean_capped_rank`)."""

Statistic = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class GroupValue:
    """What a statistic is for the `n` probes of a group; `value` is None where they are fewer than MINIMUM_PROBES."""

    value: float | None
    n: int

    def __str__(self) -> str:
        return f"insufficient (n={self.n})" if self.value is None else f"{self.value:.4g} (n={self.n})"


@dataclass(frozen=True)
class DisparityResult:
    """A disparity with the values, or rates, of groups that it was reduced from; nan where `undefined` says why."""

    name: str
    value: float
    groups: Mapping[object, object]
    undefined: str = ""


def per_group(
    values: np.ndarray, groups: np.ndarray, statistic: Statistic = np.mean, names: Iterable[object] = ()
) -> dict[object, GroupValue]:
    """The statistic of every group's values, by group in the order of their labels.

    `values` and `groups` (P,) belong together. `names` are groups to list even where none of the values is theirs.
    Raises ValueError for shapes that do not fit or values that are not finite.
    """
    values, groups = np.asarray(values, dtype=np.float64), np.asarray(groups)
    if values.ndim != 1 or values.shape != groups.shape:
        raise ValueError(f"values and groups must be one a probe, got shapes {values.shape} and {groups.shape}")
    broken = np.count_nonzero(~np.isfinite(values))
    if broken:
        raise ValueError(f"values must be finite: {broken} of {len(values)} are nan or inf; leave those probes out")
    table = {name: GroupValue(None, 0) for name in np.asarray(list(names)).tolist()}
    for label in np.unique(groups).tolist():
        members = values[groups == label]
        table[label] = GroupValue(float(statistic(members)) if len(members) >= MINIMUM_PROBES else None, len(members))
    return dict(sorted(table.items()))


@dataclass(frozen=True)
class Disparity:
    """A disparity between any number of groups, called as `disparity(values, groups)`; smaller is better.

    `values` says which values it takes (one of `VALUES`), `statistic` makes one number of a group's values, `reducer`
    makes one of those of all groups, and `fair` is the result where all groups fare alike, None where that says
    nothing. A ratio may have a
    `reference` group that all others are divided by.
    """

    name: str
    values: str
    statistic: Statistic
    reducer: Callable[..., float]
    fair: float | None = 0.0
    reference: object = None

    def __call__(self, values: np.ndarray, groups: np.ndarray, names: Iterable[object] = ()) -> float:
        """The disparity of the probes' values, or nan where it is undefined: see `evaluate`."""
        return self.evaluate(values, groups, names).value

    def evaluate(self, values: np.ndarray, groups: np.ndarray, names: Iterable[object] = ()) -> DisparityResult:
        """The disparity of the values (P,) of probes of the groups (P,), with the value of every group.

        It is undefined where a group has fewer than MINIMUM_PROBES probes. A group without any probe is not among
        `groups`: give `names`, all groups there should be. Raises ValueError for fewer than two groups or values
        of the wrong kind.
        """
        return self.reduce(self.group_values(values, groups, names))

    def average(
        self, galleries: Iterable[tuple[np.ndarray, np.ndarray]], names: Iterable[object] = ()
    ) -> DisparityResult:
        """The disparity of the (values, groups) of several galleries, with the average value of every group.

        The value of a group is averaged over the galleries, each counting the same, and then reduced. For a difference
        between two groups that is the absolute value of the average signed difference. Undefined where a group is
        insufficient in any gallery; raises as `evaluate` does.
        """
        galleries = list(galleries)
        names = set(names).union(*(np.unique(groups).tolist() for _, groups in galleries))
        return self.reduce(_averaged([self.group_values(values, groups, names) for values, groups in galleries]))

    def group_values(self, values: np.ndarray, groups: np.ndarray, names: Iterable[object] = ()) -> dict:
        """The value of every group, before any reduction: see `per_group`."""
        values = np.asarray(values, dtype=np.float64)
        if len(values) and (values.min() < 0 or (self.values == "correct" and not np.isin(values, (0, 1)).all())):
            takes = "correctness, 1 or 0," if self.values == "correct" else "ranks, 0 or more,"
            raise ValueError(f"{self.name} takes {takes} got values from {values.min():g} to {values.max():g}")
        return per_group(values, groups, self.statistic, names)

    def reduce(self, table: Mapping[object, GroupValue]) -> DisparityResult:
        """The disparity of known values of the groups."""
        undefined = _undefined(table, self.name)
        if self.reference is not None and self.reference not in table:
            raise ValueError(f"{self.name}: no group {self.reference!r}; there are {', '.join(map(repr, table))}")
        if undefined:
            return DisparityResult(self.name, float("nan"), table, undefined)
        values = np.array([group.value for group in table.values()])
        reference = () if self.reference is None else (list(table).index(self.reference),)
        return DisparityResult(self.name, float(self.reducer(values, *reference)), table)

    def relative_to(self, reference: object) -> Disparity:
        """This ratio with every group divided by the `reference` group only; its name says so."""
        if self.reducer is not largest_ratio_gap:
            ratios = ", ".join(name for name, row in DISPARITIES.items() if row.reducer is largest_ratio_gap)
            raise ValueError(f"{self.name} has no reference group; only ratios have: {ratios}")
        return replace(self, name=f"{self.name}_to_{reference}", reference=reference)


def values_of(disparity: Callable) -> str:
    """Which values a disparity takes, one of `VALUES`: its attribute `values`, or "ranks" where it has none."""
    values = getattr(disparity, "values", "ranks")
    if values not in VALUES:
        raise ValueError(f"{_name(disparity)}.values must be one of {', '.join(VALUES)}, got {values!r}")
    return values


def measure(
    disparity: Callable[[np.ndarray, np.ndarray], float],
    galleries: Iterable[tuple[Ranks, np.ndarray]],
    *,
    leave_out: Iterable[object] = (),
) -> DisparityResult:
    """A disparity, built-in or a function of your own, of the ranks in one or more galleries.

    Each gallery is its ranks and the groups (N,) of all its images. Over several galleries a built-in disparity
    averages the value of every group (`Disparity.average`); a function has no group values to average, so its
    results are. The groups' values beside a function's result are their means. Undefined, with value nan, where a group
    has fewer than MINIMUM_PROBES probes. Groups in `leave_out` are not compared, though their images stay in the
    gallery. Raises ValueError for fewer than two groups or a result that is no number.
    """
    left_out = list(leave_out)
    galleries = [(ranks, np.asarray(groups)) for ranks, groups in galleries]
    for ranks, groups in galleries:
        if groups.shape != (ranks.images,):
            raise ValueError(f"groups must be one for each of {ranks.images} images, got shape {groups.shape}")
    correct = values_of(disparity) == "correct"
    probes = []
    for ranks, groups in galleries:
        probe_groups = groups[ranks.probes]
        compared = ~np.isin(probe_groups, left_out) if left_out else slice(None)
        probes.append(((ranks.correct if correct else ranks.values)[compared], probe_groups[compared]))
    names = set().union(*(np.unique(groups).tolist() for _, groups in galleries)) - set(left_out)
    if isinstance(disparity, Disparity):
        return disparity.average(probes, names)
    name, table = _name(disparity), _averaged([per_group(*gallery, names=names) for gallery in probes])
    undefined = _undefined(table, name)
    if undefined:
        return DisparityResult(name, float("nan"), table, undefined)
    value = float(np.mean([_number(disparity(*gallery), name) for gallery in probes]))
    return DisparityResult(name, value, table, f"undefined ({name} gives nan)" if np.isnan(value) else "")


def largest_difference(values: np.ndarray) -> float:
    """The largest absolute difference between two of the values (G,): that of the two extremes."""
    return float(np.max(values) - np.min(values))


def largest_ratio_gap(values: np.ndarray, reference: int | None = None) -> float:
    """The largest |1 - a/b| over all ordered pairs of the values (G,), or over those with b the reference's.

    Equal values are 0 apart, 0/0 included; any other division by 0 gives infinity.
    """
    divisors = values if reference is None else values[[reference]]
    return max(abs(1 - _ratio(a, b)) for a in values for b in divisors)


def spread_in_percent(values: np.ndarray) -> float:
    """Sample standard deviation (divided by G - 1) of shares (G,), in percent."""
    return float(np.std(100 * np.asarray(values), ddof=1))


def skewed_error_ratio(values: np.ndarray) -> float:
    """(100 - min acc) / (100 - max acc) of accuracies (G,); at least 1, and 1 where all are right (0/0).

    It falls whenever every group gets worse by as much: never report it alone.
    """
    return _ratio(1 - np.min(values), 1 - np.max(values))


def _ratio(a: float, b: float) -> float:
    if a == b:
        return 1.0
    return float(a / b) if b else float("inf")


def _averaged(tables: Sequence[Mapping[object, GroupValue]]) -> dict[object, GroupValue]:
    """The value of every group averaged over tables of the same groups, with the sum of its probes."""
    if not tables:
        raise ValueError("galleries must be one or more, got none")
    averaged = {}
    for name in tables[0]:
        values = [table[name].value for table in tables]
        mean = None if None in values else float(np.mean(values))
        averaged[name] = GroupValue(mean, sum(table[name].n for table in tables))
    return averaged


def _undefined(table: Mapping[object, GroupValue], name: str) -> str:
    """Why there is no disparity between these groups, or "". Raises ValueError where there is nothing to compare."""
    if len(table) < 2:
        groups = ", ".join(map(repr, table)) or "none"
        raise ValueError(f"{name} compares groups and needs at least two, got {groups}")
    lacking = [f"n={group.n} in group {label!r}" for label, group in table.items() if group.value is None]
    return f"undefined ({', '.join(lacking)}; a group needs {MINIMUM_PROBES} probes)" if lacking else ""


def _name(disparity: Callable) -> str:
    return getattr(disparity, "name", getattr(disparity, "__name__", type(disparity).__name__))


def _number(result: object, name: str) -> float:
    if np.ndim(result) or not isinstance(result, (int, float, np.number, np.ndarray)):
        raise ValueError(f"disparity {name} must return one number, got {result!r}")
    return float(result)


def mean_log_rank(values: np.ndarray) -> float:
    """Mean of log(1 + rank): as fair where ranks are alike, and much less noisy than the mean rank."""
    return float(np.mean(np.log1p(values)))


def mean_capped_rank(values: np.ndarray) -> float:
    """Mean of min(rank, HIGHEST_RANK): how far beyond it a rank lies makes no difference, so a few very bad probes do
    not decide, and the mean is less noisy."""
    return float(np.mean(np.minimum(values, HIGHEST_RANK)))


def error_share(values: np.ndarray) -> float:
    """Share of wrong probes, from correctness."""
    return float(np.mean(1 - values))


@dataclass(frozen=True, eq=False)
class PersonAccuracies:
    """The accuracies of people, as StdAcc takes them, from the correctness of probes (P,).

    `accuracies`, `groups` and `probes` (I,) are of the people: share of probes that are right, group, and how many
    probes; `codes` (P,) say whose a probe is.
    """

    accuracies: np.ndarray
    groups: np.ndarray
    probes: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, correct: np.ndarray, groups: np.ndarray, identities: np.ndarray) -> PersonAccuracies:
        """Those of probes: all arrays (P,). A person who is in two groups counts in each."""
        pairs = np.stack([np.unique(labels, return_inverse=True)[1] for labels in (groups, identities)], axis=1)
        _, first, codes, probes = np.unique(pairs, axis=0, return_index=True, return_inverse=True, return_counts=True)
        accuracies = np.bincount(codes, weights=correct, minlength=len(probes)) / probes
        return cls(accuracies, np.asarray(groups)[first], probes, codes)

    def spreads(self, rows: np.ndarray, names: Iterable[object] = ()) -> dict[object, GroupValue]:
        """By group, the sample standard deviation (divided by I - 1) over its people of a resample, and their number.

        `rows` are probes, of a person as often as it was drawn; None for fewer than two people. `names` are groups to
        list even where nobody is of them.
        """
        times = np.bincount(self.codes[rows], minlength=len(self.probes)) / self.probes
        table = {}
        for name in sorted({*self.groups.tolist(), *names}):
            weights, accuracies = times[self.groups == name], self.accuracies[self.groups == name]
            n = weights.sum()
            mean = (weights * accuracies).sum() / n if n else 0.0
            squares = (weights * (accuracies - mean) ** 2).sum()
            table[name] = GroupValue(float(np.sqrt(squares / (n - 1))) if n > 1 else None, round(float(n)))
        return table


def std_acc(
    correct: np.ndarray, groups: np.ndarray, identities: np.ndarray, names: Iterable[object] = ()
) -> DisparityResult:
    """StdAcc, the largest difference between groups of the spread of their people's accuracies; arrays of probes (P,).

    The DPN study's |Std(Acc a) - Std(Acc b)|. What the deviation is taken over is not said there, and its program takes
    saved epochs; here it is people. The n of a group are its people; undefined where they are fewer than two, also in
    a group of `names` without probes. Raises ValueError for fewer than two groups.
    """
    return reduce_spreads(PersonAccuracies.of(correct, groups, identities).spreads(np.arange(len(correct)), names))


def reduce_spreads(table: Mapping[object, GroupValue]) -> DisparityResult:
    """StdAcc of the spreads of groups, undefined where one has fewer than two people."""
    result = Disparity("std_acc", "correct", np.std, largest_difference).reduce(table)
    lacking = [f"{group.n} people in group {label!r}" for label, group in table.items() if group.value is None]
    return replace(result, undefined=f"undefined ({', '.join(lacking)}; a group needs 2)" if lacking else "")


WORST_GROUP = Disparity("worst_group_error", "correct", error_share, np.max, fair=None)
"""The error of the group that fares worst: no difference, but what a minimax treatment of groups minimises."""


def worst_group(weight: float) -> Disparity:
    """A weighted minimax error: `weight` times the error of the worst group, and the rest times the mean over groups.

    With weight 1 it is WORST_GROUP, with 0 every group counts alike, however many probes it has.
    """
    return replace(WORST_GROUP, reducer=lambda values: float(weight * np.max(values) + (1 - weight) * np.mean(values)))


DISPARITIES: dict[str, Disparity] = {
    row.name: row
    for row in (
        Disparity("rank_disparity", "ranks", np.mean, largest_difference),
        Disparity("log_rank_disparity", "ranks", mean_log_rank, largest_difference),
        Disparity("capped_rank_disparity", "ranks", mean_capped_rank, largest_difference),
        Disparity("rank_ratio", "ranks", np.mean, largest_ratio_gap),
        Disparity("accuracy_disparity", "correct", np.mean, largest_difference),
        Disparity("accuracy_ratio", "correct", np.mean, largest_ratio_gap),
        Disparity("error_ratio", "correct", error_share, largest_ratio_gap),
        Disparity("std", "correct", np.mean, spread_in_percent),
        Disparity("ser", "correct", np.mean, skewed_error_ratio, fair=1.0),
    )
}
"""The built-in disparities. Errors differ between groups by as much as accuracies do, so `accuracy_disparity` is the
difference of errors too; the ratios of the two are not alike."""
