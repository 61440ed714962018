"""Identification as a report: error, ranks, CMC, disparities and the open set, each with its n, interval and variant.

Shape legend: N images, D embedding, P counted probes, G groups, K numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

import numpy as np

from dualfair.evaluation.metrics.disparity import (
    MINIMUM_PROBES,
    Disparity,
    DisparityResult,
    PersonAccuracies,
    largest_difference,
    measure,
    reduce_spreads,
    values_of,
)
from dualfair.evaluation.metrics.identification import COUNTS, Ranks, cmc, galleries, ranks
from dualfair.evaluation.metrics.open_set import dir_at_fpir, open_set_scores, open_set_split
from dualfair.evaluation.options import EvaluateOptions
from dualfair.evaluation.report import (
    DisparityRow,
    GroupRanks,
    Identification,
    Number,
    OpenSetPoint,
    OpenSetRates,
    OpenSetReport,
    SignedDifference,
    intervals,
)
from dualfair.evaluation.statistics.bootstrap import Interval, difference_statistic, disparity_statistic

HIGHEST_RANK = 20
"""The end of the CMC curve."""
FPIRS = (0.01, 0.1)
"""False positive identification rates that the open set is taken at."""


def rank_report(
    ranks_by_count: Mapping[str, Ranks], identities: np.ndarray, groups: np.ndarray, options: EvaluateOptions
) -> Identification:
    """Error, mean ranks and CMC of everyone and of every group.

    `ranks_by_count` has the ranks by both `COUNTS`, `identities` and `groups` (N,) are labels of all images. The n of a
    number are its probes; it is undefined where they are fewer than `MINIMUM_PROBES`.
    """
    by_images, by_identities = (ranks_by_count[count] for count in COUNTS)
    probe_groups, people = groups[by_images.probes], identities[by_images.probes]
    columns = np.stack([by_images.values > 0, by_images.values, by_identities.values], axis=1).astype(np.float64)
    names = np.unique(groups).tolist()
    rows = []
    for name, means in zip((None, *names), _means(columns, probe_groups, names, people, options), strict=True):
        members = np.full(len(probe_groups), True) if name is None else probe_groups == name
        curves = (tuple(cmc(of.values[members], HIGHEST_RANK).tolist()) for of in (by_identities, by_images))
        rows.append(GroupRanks(len(np.unique(people[members])), int(members.sum()), *means, *curves))
    everyone, *by_group = rows
    return Identification(everyone, dict(zip(map(str, names), by_group, strict=True)))


def disparity_report(
    ranks_by_count: Mapping[str, Ranks],
    embeddings: np.ndarray,
    identities: np.ndarray,
    groups: np.ndarray,
    measures: Mapping[str, Callable],
    leave_out: Sequence[str],
    options: EvaluateOptions,
) -> tuple[DisparityRow, ...]:
    """Every one of the `measures`: all against all by both counts, and at the stated gallery size.

    The groups in `leave_out` are not compared, though they stay in the gallery. The interval is over people as probes,
    in the gallery of all.
    """
    rows = [
        _at_all(name, disparity, count, ranked, identities, groups, leave_out, options)
        for count, ranked in ranks_by_count.items()
        for name, disparity in measures.items()
        if count == COUNTS[0] or values_of(disparity) == "ranks"
    ]
    if options.gallery != "all" and int(options.gallery):
        rng = np.random.default_rng(options.seed)
        drawn = galleries(identities, groups, int(options.gallery), options.galleries, rng)
        ranked = [(ranks(embeddings[images], identities[images]), groups[images]) for images in drawn]
        rows += [_at_gallery(name, disparity, ranked, leave_out, options) for name, disparity in measures.items()]
    return tuple(rows)


def open_set_report(
    embeddings: np.ndarray, identities: np.ndarray, groups: np.ndarray, options: EvaluateOptions
) -> OpenSetReport:
    """Detection and identification rate at all FPIRS, of everyone and of every group at one threshold.

    The interval is over people, with gallery and threshold fixed.
    """
    gallery, probes = open_set_split(identities, groups, seed=options.seed)
    scores = open_set_scores(embeddings, identities, gallery, probes)
    names = np.unique(groups).tolist()
    probes = np.concatenate([scores.enrolled, scores.unknown])
    points = []
    for fpir in FPIRS:
        overall = dir_at_fpir(scores, fpir)
        columns = np.full((len(probes), 2), np.nan)
        columns[: len(scores.enrolled), 0] = scores.first & (scores.mates >= overall.threshold)
        columns[len(scores.enrolled) :, 1] = scores.scores + scores.tolerance >= overall.threshold
        means = _means(columns, groups[probes], names, identities[probes], options)
        everyone, *by_group = (OpenSetRates(*rates) for rates in means)
        by_name = dict(zip(map(str, names), by_group, strict=True))
        points.append(OpenSetPoint(fpir, overall.threshold, overall.warning, everyone, by_name))
    return OpenSetReport(scores.gallery_identities, scores.gallery_images, scores.excluded, tuple(points))


def _means(
    columns: np.ndarray, groups: np.ndarray, names: Sequence[object], people: np.ndarray, options: EvaluateOptions
) -> list[list[Number]]:
    """The means of columns (P, C) over all probes, then over those of every group in `names`: C numbers each.

    A value that is nan belongs to no mean and is not among its n; fewer than MINIMUM_PROBES have no mean.
    """
    codes, defined = np.searchsorted(names, groups), np.isfinite(columns)
    filled = np.where(defined, columns, 0.0)

    def over_groups(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Sums (1 + G, C) of rows of a table, over all of them and over every group's."""
        sums = [np.bincount(codes[rows], weights=each[rows], minlength=len(names)) for each in table.T]
        return np.stack([np.append(each.sum(), each) for each in sums], axis=1)

    def statistic(rows: np.ndarray) -> np.ndarray:
        n, total = over_groups(defined, rows), over_groups(filled, rows)
        return np.where(n >= MINIMUM_PROBES, total / np.maximum(n, 1), np.nan).ravel()

    everything = np.arange(len(columns))
    n = over_groups(defined, everything).astype(int).ravel().tolist()
    numbers = map(Number.of, statistic(everything).tolist(), n, intervals(statistic, people, options))
    return [list(row) for row in zip(*[numbers] * columns.shape[1], strict=True)]


def _at_all(
    name: str,
    disparity: Callable,
    count: str,
    ranked: Ranks,
    identities: np.ndarray,
    groups: np.ndarray,
    leave_out: Sequence[str],
    options: EvaluateOptions,
) -> DisparityRow:
    result = measure(disparity, [(ranked, groups)], leave_out=leave_out)
    takes_correct = values_of(disparity) == "correct"
    compared = ~np.isin(groups[ranked.probes], leave_out)
    values = (ranked.correct if takes_correct else ranked.values)[compared]
    probe_groups, people = groups[ranked.probes][compared], identities[ranked.probes][compared]
    if isinstance(disparity, Disparity):
        statistic = disparity_statistic(disparity, values, probe_groups)
    else:

        def statistic(rows: np.ndarray) -> float:
            return float(disparity(values[rows], probe_groups[rows]))

    of_values = [] if result.undefined else intervals(statistic, people, options)
    signed = None
    if len(result.groups) == 2 and not result.undefined and getattr(disparity, "reducer", None) is largest_difference:
        first, second = result.groups
        difference = difference_statistic(disparity, values, probe_groups, first, second)
        value = float(difference(np.arange(len(values))))
        (interval,) = intervals(difference, people, options)
        signed = SignedDifference(value, len(values), interval, f"{first} minus {second}")
    everyone = ranked.gallery_images == ranked.images
    against = "all against all" if everyone else f"gallery of {ranked.gallery_images} images"
    variant = f"{'correct or not' if takes_correct else f'ranks by {count}'}, {against}"
    whole, *of_groups = of_values or [None]
    return DisparityRow.of(
        name, disparity, variant, result, whole, groups=_group_numbers(result, of_groups), signed=signed
    )


def std_acc_report(
    ranked: Ranks, identities: np.ndarray, groups: np.ndarray, leave_out: Sequence[str], options: EvaluateOptions
) -> DisparityRow:
    """StdAcc, which needs to know whose the probes are; the n of a group are its people."""
    compared = ~np.isin(groups[ranked.probes], leave_out)
    probe_groups, people = groups[ranked.probes][compared], identities[ranked.probes][compared]
    by_person = PersonAccuracies.of(ranked.correct[compared], probe_groups, people)

    def statistic(rows: np.ndarray) -> np.ndarray:
        table = by_person.spreads(rows)
        spreads = [np.nan if group.value is None else group.value for group in table.values()]
        return np.array([reduce_spreads(table).value, *spreads])

    names = set(groups.tolist()) - set(leave_out)
    result = reduce_spreads(by_person.spreads(np.arange(len(people)), names))
    whole, *of_groups = ([] if result.undefined else intervals(statistic, people, options)) or [None]
    variant = "spread over the people of a group"
    return DisparityRow.of("std_acc", None, variant, result, whole, groups=_group_numbers(result, of_groups))


def _at_gallery(
    name: str, disparity: Callable, ranked: list, leave_out: Sequence[str], options: EvaluateOptions
) -> DisparityRow:
    result = measure(disparity, ranked, leave_out=leave_out)
    single = [measure(disparity, [gallery], leave_out=leave_out).value for gallery in ranked]
    spread = float(np.std(single, ddof=1)) if len(single) > 1 and np.isfinite(single).all() else None
    variant = f"gallery of {int(options.gallery)} identities, mean of {len(ranked)} (seed {options.seed})"
    return DisparityRow.of(name, disparity, variant, result, None, groups=_group_numbers(result, []), spread=spread)


def _group_numbers(result: DisparityResult, intervals_of_groups: Sequence[Interval | None]) -> dict[str, Number]:
    """The values of the groups, with the intervals of the first ones."""
    pairs = zip_longest(result.groups.items(), intervals_of_groups)
    return {str(group): Number.of(value.value, value.n, interval) for (group, value), interval in pairs}
