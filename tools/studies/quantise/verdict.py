"""What a network comes to on people of groups, and how far it is from another network on the very same people.

Shape legend: N images, D embedding, P rows: probes, pairs or images, G groups, K numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.metrics.disparity import MINIMUM_PROBES, skewed_error_ratio, spread_in_percent
from dualfair.evaluation.metrics.identification import CountNearer, ranks
from dualfair.evaluation.metrics.pairs import Pairs, pair_scores
from dualfair.evaluation.metrics.verification import group_ten_fold
from dualfair.evaluation.statistics.bootstrap import Statistic, identity_bootstrap
from dualfair.runs.records.codec import Record, keyed
from dualfair.studies.quantise import QuantiseOptions

IDENTIFICATION, OWN, SHARED, COSINE = "identification", "verification, own threshold", "verification", "embedding"
"""What measures are of: ranks of all images against all, pairs at a threshold of each group's own or at one for all,
and the embeddings themselves."""
ACCURACY_OF = "accuracy of "
"""What the measure of a group's accuracy begins with."""
LEAD_OF = "lead of "
"""What the measure of a group's accuracy less the mean of all groups' begins with."""
SPREADS = ("mean accuracy", "std", "ser")
"""What is made of the accuracies of all groups: their mean, their sample standard deviation in percent, and (100 - min)
/ (100 - max) of them in percent, which falls where every group loses as much."""
UNSIGNED = ("rank_disparity", "std", "ser")
"""Measures that chance makes larger wherever more goes wrong, in all groups alike: no interval shows that they change.
Whether a group loses more than others, its lead says."""


@dataclass(frozen=True, eq=False)
class Judged:
    """People that networks are judged on: identities and groups (N,) of images, the groups that are compared, in
    alphabetical order, and pairs within these, None where people are too few."""

    identities: np.ndarray
    groups: np.ndarray
    names: tuple[str, ...]
    pairs: Pairs | None
    nearer: CountNearer | None = None


@dataclass(frozen=True, kw_only=True)
class Number(Record):
    """A measure of a network in `bits` (32: as it was trained), tuned on `data` from a `seed`, with its 95 % interval
    over `people`; and what it is more than the network's in 32 bits on the same people, with the interval of that.

    In `integers` onnxruntime computed it; else they are simulated. None is undefined, and for 32 bits there is nothing
    to compare with. `n` are probes, pairs or images, of the group
    where a measure is of one, as are the people.
    """

    network: str
    bits: int
    integers: bool
    data: str
    seed: int | None
    part: str = keyed("measured in")
    measure: str
    n: int
    people: int
    value: float | None
    low: float | None
    high: float | None
    difference: float | None = None
    difference_low: float | None = keyed("difference low", default=None)
    difference_high: float | None = keyed("difference high", default=None)

    @property
    def form(self) -> str:
        """In what the network computes."""
        return f"{self.bits} bits{', integers' if self.integers else ''}"

    @property
    def changed(self) -> bool:
        """Whether it is a measure whose interval can show a change, and leaves out 0."""
        ends = self.difference_low, self.difference_high
        return self.measure not in UNSIGNED and None not in ends and (ends[0] > 0 or ends[1] < 0)


def accuracies_part(numbers: Sequence[Number]) -> str:
    """What groups' accuracies are told of: pairs at one threshold, or identification where there are no pairs."""
    return SHARED if any(number.part == SHARED for number in numbers) else IDENTIFICATION


@dataclass(frozen=True, eq=False)
class Part:
    """Measures that are made of the same rows: their names (K,), a statistic that gives them, whose rows these are, as
    the bootstrap takes it, and the groups of the rows."""

    names: tuple[str, ...]
    statistic: Statistic
    people: np.ndarray
    groups: np.ndarray

    def rows_of(self, measure: str) -> np.ndarray:
        """Which rows a measure is of, bool (P,): a group's, or all."""
        name = measure.removeprefix(ACCURACY_OF)
        return self.groups == name if name != measure else np.full(len(self.groups), True)


def measured(embeddings: np.ndarray, float32: np.ndarray, judged: Judged) -> dict[str, Part]:
    """What embeddings (N, D) of a network come to, by part. `float32` are the network's in 32 bits."""
    parts = {IDENTIFICATION: _identification(embeddings, judged)}
    if judged.pairs is not None:
        pairs = judged.pairs
        scores = pair_scores(embeddings, pairs.left, pairs.right)
        people = np.stack([judged.identities[pairs.left], judged.identities[pairs.right]], axis=1)
        for part, shared in ((OWN, False), (SHARED, True)):
            right = _right(scores, pairs, judged.groups[pairs.left], shared)
            parts[part] = _accuracies(right, judged.groups[pairs.left], judged.names, people)
    cosines, name = (embeddings * float32).sum(axis=1), ("cosine to float32",)
    parts[COSINE] = Part(name, lambda rows: np.array([cosines[rows].mean()]), judged.identities, judged.groups)
    return parts


def compared(
    parts: Mapping[str, Part], before: Mapping[str, Part] | None, options: QuantiseOptions, **about: object
) -> list[Number]:
    """The numbers of a network, each with what it is more than `before` on the same people; `about` says which network
    it is."""
    numbers = []
    for part, rows in parts.items():
        paired = before is not None and part != COSINE
        statistic = _paired(rows.statistic, before[part].statistic) if paired else rows.statistic
        intervals = identity_bootstrap(statistic, rows.people, resamples=options.resamples, seed=options.seed)
        values, differences = intervals[: len(rows.names)], intervals[len(rows.names) :]
        for place, (name, value) in enumerate(zip(rows.names, values, strict=True)):
            ends = {}
            if paired:
                more = differences[place]
                ends = {"difference": more.estimate, "difference_low": more.low, "difference_high": more.high}
            of_rows = rows.people[rows.rows_of(name)]
            who = {"n": len(of_rows), "people": len(np.unique(of_rows))}
            of = {"part": part, "measure": name, "value": value.estimate, "low": value.low, "high": value.high}
            numbers.append(Number(**about, **of, **who, **ends))
    return numbers


def _paired(after: Statistic, before: Statistic) -> Callable[[np.ndarray], np.ndarray]:
    def statistic(rows: np.ndarray) -> np.ndarray:
        values = after(rows)
        # The ser of groups without an error is infinite, and its difference undefined.
        with np.errstate(invalid="ignore"):
            return np.concatenate([values, values - before(rows)])

    return statistic


def _identification(embeddings: np.ndarray, judged: Judged) -> Part:
    """Error, accuracies of groups with their spread, and the largest difference between groups' mean ranks."""
    ranked = ranks(embeddings, judged.identities, nearer=judged.nearer)
    groups, people = judged.groups[ranked.probes], judged.identities[ranked.probes]
    accuracies = _accuracies(ranked.correct, groups, judged.names, people)
    mean_ranks = _group_means(ranked.values.astype(np.float64), groups, judged.names)

    def statistic(rows: np.ndarray) -> np.ndarray:
        in_groups = mean_ranks(rows)
        of_all = 1 - ranked.correct[rows].mean(), in_groups.max() - in_groups.min()
        return np.concatenate([of_all, accuracies.statistic(rows)])

    return Part(("error", "rank_disparity", *accuracies.names), statistic, people, groups)


def _accuracies(right: np.ndarray, groups: np.ndarray, names: Sequence[str], people: np.ndarray) -> Part:
    """The share of right rows (P,) in every group, its lead, and the SPREADS of all."""
    means = _group_means(right, groups, names)

    def statistic(rows: np.ndarray) -> np.ndarray:
        of_groups = means(rows)
        mean = of_groups.mean()
        spread = [mean, spread_in_percent(of_groups), skewed_error_ratio(of_groups)]
        spread = spread if np.isfinite(mean) else [np.nan] * len(SPREADS)
        return np.concatenate([of_groups, of_groups - mean, spread])

    titles = (f"{begin}{name}" for begin in (ACCURACY_OF, LEAD_OF) for name in names)
    return Part((*titles, *SPREADS), statistic, people, groups)


def _group_means(values: np.ndarray, groups: np.ndarray, names: Sequence[str]) -> Statistic:
    """The mean of values (P,) in every group that is named, (G,); nan for one with fewer rows than MINIMUM_PROBES."""
    number_of = {name: number for number, name in enumerate(names)}
    # Rows of other groups come behind all others.
    codes = np.array([number_of.get(group, len(names)) for group in groups.tolist()])

    def statistic(rows: np.ndarray) -> np.ndarray:
        n = np.bincount(codes[rows], minlength=len(names) + 1)[:-1]
        sums = np.bincount(codes[rows], weights=values[rows], minlength=len(names) + 1)[:-1]
        return np.where(n >= MINIMUM_PROBES, sums / np.maximum(n, 1), np.nan)

    return statistic


def _right(scores: np.ndarray, pairs: Pairs, groups: np.ndarray, shared: bool) -> np.ndarray:
    """1.0 for every pair that is told right at the threshold of its fold, chosen on the others, float64 (P,)."""
    folds, right = np.unique(pairs.fold, return_inverse=True)[1], np.empty(len(scores))
    for group, result in group_ten_fold(scores, pairs.same, pairs.fold, groups, shared=shared).items():
        members = groups == group
        right[members] = (scores[members] >= np.array(result.thresholds)[folds[members]]) == pairs.same[members]
    return right
