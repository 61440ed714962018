"""Verification as a report: accuracy over folds, TAR at a FAR, EER, and the measures of groups' rates at a threshold.

Shape legend: N images, D embedding, P pairs, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.disparity import DISPARITIES
from evaluation.identification_report import Resampling
from evaluation.pair_disparity import PAIR_DISPARITIES, RatesTable, accuracy_values, rates_at, signed_differences
from evaluation.pairs import Pairs, groups_of_pairs, pair_scores
from evaluation.verification import eer, group_ten_fold, roc, tar_at_far, ten_fold


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
        report["accuracy_by_group"] = _group_accuracies(scores, pairs)
        labels, within = groups_of_pairs(pairs.groups, pairs.same)
        for name in np.unique(labels[within]).tolist():
            own = within & (labels == name)
            if pairs.same[own].any() and not pairs.same[own].all():
                curves[str(name)] = _det(scores[own], pairs.same[own])
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


def _group_accuracies(scores: np.ndarray, pairs: Pairs) -> dict:
    """Accuracy of every group at its own and at one shared threshold, with the spread between groups."""
    report = {}
    for rule, shared in (("own_threshold", False), ("shared_threshold", True)):
        try:
            folds = group_ten_fold(scores, pairs.same, pairs.fold, pairs.groups, shared=shared)
        except ValueError as error:
            report[rule] = {"undefined": str(error)}
            continue
        values = accuracy_values(folds)
        report[rule] = {"groups": {str(group): found.to_dict() for group, found in folds.items()}}
        if len(values) > 1:
            for name in ("std", "ser", "accuracy_disparity"):
                report[rule][name] = DISPARITIES[name].reduce(values).value
    return report


def _at_far(
    scores: np.ndarray, pairs: Pairs, people: np.ndarray, grouped: bool, far: float, resampling: Resampling
) -> dict:
    """TAR at a FAR, and what groups' rates at that threshold are and how they differ."""
    found = tar_at_far(scores, pairs.same, far)
    report = {"far_asked": far, **found.to_dict(), "groups": {}, "across": {}, "disparities": []}
    if not grouped:
        return report
    labels = pairs.groups
    of_pair, within = groups_of_pairs(labels, pairs.same)
    names = np.unique(of_pair[within]).tolist()
    table = rates_at(scores, pairs.same, labels, found.threshold, within=False)
    report["groups"] = {str(group): _rates(rates) for group, rates in table.groups.items()}
    report["across"] = {group: _rates(rates) for group, rates in table.across.items()}
    if len(table.groups) < 2:
        return report

    def statistic(rows: np.ndarray) -> np.ndarray:
        drawn = rates_at(scores[rows], pairs.same[rows], labels[rows], found.threshold, names=names)
        return _disparities(drawn)

    values, intervals = _disparities(table), resampling.intervals(statistic, people)
    for place, (name, row) in enumerate(PAIR_DISPARITIES.items()):
        result = row.reduce(table)
        report["disparities"].append(
            {
                "name": name,
                "variant": f"threshold of FAR {far:g} over all pairs",
                "value": None if result.undefined else float(values[place]),
                "fair": row.fair,
                "interval": intervals[place] if intervals and not result.undefined else None,
                "undefined": result.undefined,
            }
        )
    if len(table.groups) == 2:
        first, second = table.groups
        report["signed"] = {"first": str(first), "second": str(second), **signed_differences(table, first, second)}
    return report


def _disparities(table: RatesTable) -> np.ndarray:
    return np.array([row.reduce(table).value for row in PAIR_DISPARITIES.values()])


def _rates(rates) -> dict:
    own = {name: getattr(rates, name) for name in ("fmr", "fnmr", "tpr", "accuracy")}
    return {name: {"value": rate.value, "n": rate.n} for name, rate in own.items()}


def _det(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    curve = roc(scores, same)
    return curve.fmr, curve.fnmr
