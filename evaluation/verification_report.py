"""Verification as a report: accuracy over folds, TAR at a FAR, EER, and the measures of groups' rates at a threshold.

Shape legend: N images, D embedding, P pairs, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.identification_report import Resampling
from dualfair.evaluation.metrics.disparity import DISPARITIES
from dualfair.evaluation.metrics.pair_disparity import PAIR_DISPARITIES
from dualfair.evaluation.metrics.pairs import Pairs, groups_of_pairs, pair_scores
from dualfair.evaluation.metrics.rates import GroupRates, RatesTable, accuracy_values, rates_at, signed_differences
from dualfair.evaluation.metrics.verification import eer, group_ten_fold, roc, tar_at_far, ten_fold
from dualfair.evaluation.statistics.bootstrap import Statistic

RATES = ("fmr", "fnmr", "tpr", "accuracy")
"""The rates of a group that are reported at a threshold."""


@dataclass(frozen=True, kw_only=True)
class VerificationProtocol:
    """What is measured of pairs: TAR at every one of `fars`, and groups at the threshold of each.

    Without a list of pairs, `pairs` of them are drawn in `folds` by `seed`; with `within_group` impostors are of one
    group, as in RFW.
    """

    fars: tuple[float, ...] = (0.001, 0.01, 0.1)
    pairs: int = 6000
    folds: int = 10
    within_group: bool = False
    seed: int = 0


def verification_report(
    embeddings: np.ndarray,
    identities: np.ndarray,
    pairs: Pairs,
    grouped: bool,
    protocol: VerificationProtocol,
    resampling: Resampling,
) -> tuple[dict, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """The numbers, and the DET curves (FMR, FNMR) by name: "all pairs", and every group's.

    Intervals are over people (`bootstrap.identity_bootstrap` of pairs); those of rates leave the threshold fixed. With
    `grouped` false the pairs' groups mean nothing and are not reported.
    """
    scores = pair_scores(embeddings, pairs.left, pairs.right)
    people = np.stack([identities[pairs.left], identities[pairs.right]], axis=1)
    report = {
        "pairs": len(scores),
        "genuine": int(pairs.same.sum()),
        "impostors": int(np.count_nonzero(~pairs.same)),
        "folds": len(np.unique(pairs.fold)),
        "accuracy": _accuracies(scores, pairs, people, resampling),
        "eer": _eer(scores, pairs.same, people, resampling),
        "at_far": [],
    }
    curves = {"all pairs": _det(scores, pairs.same)}
    if grouped:
        report["accuracy_by_group"] = _group_accuracies(scores, pairs, people, resampling)
        labels, within = groups_of_pairs(pairs.groups, pairs.same)
        for name in np.unique(labels[within]).tolist():
            members = within & (labels == name)
            if pairs.same[members].any() and not pairs.same[members].all():
                curves[str(name)] = _det(scores[members], pairs.same[members])
    for far in protocol.fars:
        report["at_far"].append(_at_far(scores, pairs, people, grouped, far, resampling))
    return report, curves


def _accuracies(scores: np.ndarray, pairs: Pairs, people: np.ndarray, resampling: Resampling) -> dict:
    """Accuracy with exact thresholds and, as printed figures have it, on the literature's grid."""

    def statistic(rows: np.ndarray) -> float:
        try:
            return ten_fold(scores[rows], pairs.same[rows], pairs.fold[rows]).accuracy
        except ValueError:
            # A resample may leave a fold, or all others, without a kind of pairs.
            return float("nan")

    exact = ten_fold(scores, pairs.same, pairs.fold)
    intervals = resampling.intervals(statistic, people)
    grid = ten_fold(scores, pairs.same, pairs.fold, thresholds="grid")
    return {"exact": exact.to_dict() | {"interval": intervals and intervals[0]}, "grid": grid.to_dict()}


def _eer(scores: np.ndarray, same: np.ndarray, people: np.ndarray, resampling: Resampling) -> dict:
    def statistic(rows: np.ndarray) -> float:
        kinds = same[rows]
        return eer(scores[rows], kinds) if kinds.any() and not kinds.all() else float("nan")

    intervals = resampling.intervals(statistic, people)
    return {"value": eer(scores, same), "n": len(scores), "interval": intervals and intervals[0]}


def _group_accuracies(scores: np.ndarray, pairs: Pairs, people: np.ndarray, resampling: Resampling) -> dict:
    """Accuracy of every group at its own and at one shared threshold, with the spread between groups."""
    report = {}
    labels, within = groups_of_pairs(pairs.groups, pairs.same)
    for rule, shared in (("own_threshold", False), ("shared_threshold", True)):
        try:
            folds = group_ten_fold(scores, pairs.same, pairs.fold, pairs.groups, shared=shared)
        except ValueError as error:
            report[rule] = {"undefined": str(error)}
            continue
        values = accuracy_values(folds)
        report[rule] = {"groups": {}}
        for group, result in folds.items():
            members = within & (labels == group)
            statistic = _accuracy_at(result.thresholds, scores[members], pairs.same[members], pairs.fold[members])
            intervals = resampling.intervals(statistic, people[members])
            report[rule]["groups"][str(group)] = result.to_dict() | {"interval": intervals and intervals[0]}
        if len(values) > 1:
            for name in ("std", "ser", "accuracy_disparity"):
                report[rule][name] = DISPARITIES[name].reduce(values).value
    return report


def _accuracy_at(thresholds: tuple[float, ...], scores: np.ndarray, same: np.ndarray, folds: np.ndarray) -> Statistic:
    """The share of pairs judged right, each at its fold's threshold: the accuracy where folds are equally large.

    Over all pairs and not fold by fold, because a resample often leaves a small fold empty.
    """
    _, codes = np.unique(folds, return_inverse=True)
    right = ((scores >= np.array(thresholds)[codes]) == same).astype(np.float64)
    return lambda rows: float(np.mean(right[rows]))


def _at_far(
    scores: np.ndarray, pairs: Pairs, people: np.ndarray, grouped: bool, far: float, resampling: Resampling
) -> dict:
    """TAR at a FAR, and what groups' rates at that threshold are and how they differ."""
    point = tar_at_far(scores, pairs.same, far)
    intervals = resampling.intervals(_tar_and_far(scores, pairs.same, point.threshold), people)
    report = {
        "far_asked": far,
        **point.to_dict(),
        "tar_interval": intervals and intervals[0],
        "far_interval": intervals and intervals[1],
        "groups": {},
        "across": {},
        "disparities": [],
    }
    if not grouped:
        return report
    labels = pairs.groups
    of_pair, within = groups_of_pairs(labels, pairs.same)
    names = np.unique(of_pair[within]).tolist()
    table = rates_at(scores, pairs.same, labels, point.threshold, within=False)

    def statistic(rows: np.ndarray) -> np.ndarray:
        drawn = rates_at(scores[rows], pairs.same[rows], labels[rows], point.threshold, names=names)
        return np.concatenate([_rate_values(drawn), _disparities(drawn)])

    intervals = resampling.intervals(statistic, people) or [None] * (len(RATES) * len(names) + len(PAIR_DISPARITIES))
    for place, (group, rates) in enumerate(table.groups.items()):
        group_intervals = intervals[len(RATES) * place : len(RATES) * (place + 1)]
        report["groups"][str(group)] = _rates(rates, group_intervals)
    report["across"] = {group: _rates(rates, [None] * len(RATES)) for group, rates in table.across.items()}
    if len(table.groups) < 2:
        return report
    of_disparities = intervals[len(RATES) * len(names) :]
    for (name, row), value, interval in zip(PAIR_DISPARITIES.items(), _disparities(table), of_disparities, strict=True):
        undefined = row.reduce(table).undefined
        report["disparities"].append(
            {
                "name": name,
                "variant": f"threshold of FAR {far:g} over all pairs",
                "value": None if undefined else float(value),
                "fair": row.fair,
                "interval": None if undefined else interval,
                "undefined": undefined,
            }
        )
    if len(table.groups) == 2:
        first, second = table.groups
        report["signed"] = {"first": str(first), "second": str(second), **signed_differences(table, first, second)}
    return report


def _tar_and_far(scores: np.ndarray, same: np.ndarray, threshold: float) -> Statistic:
    accepted = scores >= threshold

    def statistic(rows: np.ndarray) -> np.ndarray:
        kinds, decisions = same[rows], accepted[rows]
        return np.array([decisions[kind].mean() if kind.any() else np.nan for kind in (kinds, ~kinds)])

    return statistic


def _disparities(table: RatesTable) -> np.ndarray:
    if len(table.groups) < 2:
        return np.full(len(PAIR_DISPARITIES), np.nan)
    return np.array([row.reduce(table).value for row in PAIR_DISPARITIES.values()])


def _rate_values(table: RatesTable) -> np.ndarray:
    """The rates of all groups, group after group, nan where insufficient."""
    values = [getattr(rates, name).value for rates in table.groups.values() for name in RATES]
    return np.array([np.nan if value is None else value for value in values])


def _rates(rates: GroupRates, intervals: list[dict | None]) -> dict:
    report = {}
    for name, interval in zip(RATES, intervals, strict=True):
        rate = getattr(rates, name)
        report[name] = {"value": rate.value, "n": rate.n, "interval": interval if rate.value is not None else None}
    return report


def _det(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    curve = roc(scores, same)
    return curve.fmr, curve.fnmr
