"""Verification as a report: accuracy over folds, TAR at a FAR, EER, and the measures of groups' rates at a threshold.

Shape legend: N images, D embedding, P pairs, G groups.
"""

from dataclasses import dataclass, replace

import numpy as np

from dualfair.evaluation.metrics.disparity import DISPARITIES, GroupValue
from dualfair.evaluation.metrics.pair_disparity import PAIR_DISPARITIES, rates_at
from dualfair.evaluation.metrics.pairs import Pairs, groups_of_pairs, pair_scores
from dualfair.evaluation.metrics.verification import eer, group_ten_fold, roc, tar_at_far, ten_fold
from dualfair.evaluation.options import EvaluateOptions
from dualfair.evaluation.report import (
    Accuracy,
    AtFar,
    DisparityRow,
    GroupAccuracies,
    Number,
    Verification,
    intervals,
)
from dualfair.evaluation.statistics.bootstrap import Interval, Statistic

RATES = ("fmr", "fnmr", "tpr", "accuracy")
"""The rates of a group that are reported at a threshold."""


@dataclass(frozen=True, eq=False)
class PairedFaces:
    """Pairs to verify, of faces with embeddings (N, D) and identities (N,).

    Where they are not `grouped`, the pairs' groups mean nothing and are not reported.
    """

    embeddings: np.ndarray
    identities: np.ndarray
    pairs: Pairs
    grouped: bool = True


@dataclass(frozen=True, eq=False)
class _Scored:
    """Cosines (P,) of pairs, the identities of both people (P, 2), and how intervals are made."""

    scores: np.ndarray
    pairs: Pairs
    people: np.ndarray
    options: EvaluateOptions

    def intervals(self, statistic: Statistic) -> list[Interval | None]:
        return intervals(statistic, self.people, self.options)


def verification_report(
    faces: PairedFaces, options: EvaluateOptions
) -> tuple[Verification, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """The numbers, and the DET curves (FMR, FNMR) by name: "all pairs", and every group's.

    Intervals are over people (`bootstrap.identity_bootstrap` of pairs); those of rates leave the threshold fixed.
    """
    pairs = faces.pairs
    scores = pair_scores(faces.embeddings, pairs.left, pairs.right)
    people = np.stack([faces.identities[pairs.left], faces.identities[pairs.right]], axis=1)
    scored = _Scored(scores, pairs, people, options)
    curves = {"all pairs": _det(scores, pairs.same)}
    if faces.grouped:
        labels, within = groups_of_pairs(pairs.groups, pairs.same)
        for name in np.unique(labels[within]).tolist():
            members = within & (labels == name)
            if pairs.same[members].any() and not pairs.same[members].all():
                curves[str(name)] = _det(scores[members], pairs.same[members])
    report = Verification(
        pairs=len(scores),
        genuine=int(pairs.same.sum()),
        impostors=int(np.count_nonzero(~pairs.same)),
        folds=len(np.unique(pairs.fold)),
        accuracy=_accuracy(scored),
        eer=_eer(scored),
        at_far=tuple(_at_far(scored, faces.grouped, far) for far in options.fars),
        accuracy_by_group=_group_accuracies(scored) if faces.grouped else None,
    )
    return report, curves


def _accuracy(scored: _Scored) -> Accuracy:
    scores, same, folds = scored.scores, scored.pairs.same, scored.pairs.fold

    def statistic(rows: np.ndarray) -> float:
        try:
            return ten_fold(scores[rows], same[rows], folds[rows]).accuracy
        except ValueError:
            # A resample may leave a fold, or all others, without a kind of pairs.
            return float("nan")

    (interval,) = scored.intervals(statistic)
    return Accuracy(**vars(ten_fold(scores, same, folds)), interval=interval)


def _eer(scored: _Scored) -> Number:
    scores, same = scored.scores, scored.pairs.same

    def statistic(rows: np.ndarray) -> float:
        kinds = same[rows]
        return eer(scores[rows], kinds) if kinds.any() and not kinds.all() else float("nan")

    (interval,) = scored.intervals(statistic)
    return Number(eer(scores, same), len(scores), interval)


def _group_accuracies(scored: _Scored) -> dict[str, GroupAccuracies]:
    """Accuracy of every group at its own and at one shared threshold, with the spread between groups."""
    scores, pairs, report = scored.scores, scored.pairs, {}
    labels, within = groups_of_pairs(pairs.groups, pairs.same)
    for rule, shared in (("own_threshold", False), ("shared_threshold", True)):
        try:
            folds = group_ten_fold(scores, pairs.same, pairs.fold, pairs.groups, shared=shared)
        except ValueError as error:
            report[rule] = GroupAccuracies(undefined=str(error))
            continue
        accuracies = {}
        for group, result in folds.items():
            members = within & (labels == group)
            statistic = _accuracy_at(result.thresholds, scores[members], pairs.same[members], pairs.fold[members])
            (interval,) = intervals(statistic, scored.people[members], scored.options)
            accuracies[str(group)] = Accuracy(**vars(result), interval=interval)
        names = ("std", "ser", "accuracy_disparity") if len(folds) > 1 else ()
        values = {group: GroupValue(result.accuracy, result.n) for group, result in folds.items()}
        spread = {name: DISPARITIES[name].reduce(values).value for name in names}
        report[rule] = GroupAccuracies(groups=accuracies, **spread)
    return report


def _accuracy_at(thresholds: tuple[float, ...], scores: np.ndarray, same: np.ndarray, folds: np.ndarray) -> Statistic:
    """The share of pairs judged right, each at its fold's threshold: the accuracy where folds are equally large.

    Over all pairs and not fold by fold, because a resample often leaves a small fold empty.
    """
    _, codes = np.unique(folds, return_inverse=True)
    right = ((scores >= np.array(thresholds)[codes]) == same).astype(np.float64)
    return lambda rows: float(np.mean(right[rows]))


def _at_far(scored: _Scored, grouped: bool, far: float) -> AtFar:
    """TAR at a FAR, and what groups' rates at that threshold are and how they differ."""
    scores, same, labels = scored.scores, scored.pairs.same, scored.pairs.groups
    point = tar_at_far(scores, same, far)
    accepted = scores >= point.threshold

    def tar_and_far(rows: np.ndarray) -> np.ndarray:
        kinds, decisions = same[rows], accepted[rows]
        return np.array([decisions[kind].mean() if kind.any() else np.nan for kind in (kinds, ~kinds)])

    of_tar, of_far = scored.intervals(tar_and_far)
    at_far = AtFar(**vars(point), far_asked=far, tar_interval=of_tar, far_interval=of_far)
    if not grouped:
        return at_far
    table = rates_at(scores, same, labels, point.threshold)
    compared = PAIR_DISPARITIES if len(table.groups) > 1 else {}

    def statistic(rows: np.ndarray) -> np.ndarray:
        drawn = rates_at(scores[rows], same[rows], labels[rows], point.threshold, names=table.groups)
        rates = [getattr(group, rate).value for group in drawn.groups.values() for rate in RATES]
        # A rate that is insufficient is None, as a float NaN.
        return np.array([*rates, *(row.reduce(drawn).value for row in compared.values())], dtype=np.float64)

    of_numbers = iter(scored.intervals(statistic))
    groups = {
        str(group): {name: Number.of(*vars(getattr(rates, name)).values(), next(of_numbers)) for name in RATES}
        for group, rates in table.groups.items()
    }
    variant = f"threshold of FAR {far:g} over all pairs"
    rows = [
        DisparityRow.of(name, row, variant, row.reduce(table), interval)
        for (name, row), interval in zip(compared.items(), of_numbers, strict=True)
    ]
    return replace(at_far, groups=groups, disparities=tuple(rows))


def _det(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    curve = roc(scores, same)
    return curve.fmr, curve.fnmr
