"""Identification as a report: error, ranks, CMC, disparities and the open set, each with its n, interval and variant.

Shape legend: N images, D embedding, P counted probes, G groups, K numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from dualfair.evaluation.metrics.disparity import (
    DISPARITIES,
    MINIMUM_PROBES,
    Disparity,
    largest_difference,
    measure,
    values_of,
)
from dualfair.evaluation.metrics.identification import COUNTS, Ranks, cmc, galleries, ranks
from dualfair.evaluation.metrics.open_set import (
    OpenSetScores,
    dir_at_fpir,
    group_rates_at,
    open_set_scores,
    open_set_split,
)
from dualfair.evaluation.statistics.bootstrap import (
    METHODS,
    Statistic,
    difference_statistic,
    disparity_statistic,
    identity_bootstrap,
)


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How bootstrap intervals are made: see `bootstrap.identity_bootstrap`. No resamples, no intervals."""

    resamples: int = 1000
    confidence: float = 0.95
    method: str = "bca"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 0 or not 0 < self.confidence < 1:
            raise ValueError(
                f"resamples must be 0 or more and confidence between 0 and 1, got {self.resamples} and "
                f"{self.confidence}"
            )
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")

    def intervals(self, statistic: Statistic, identities: np.ndarray) -> list[dict] | None:
        """The intervals of K numbers as dictionaries, or None without resamples."""
        if not self.resamples:
            return None
        intervals = identity_bootstrap(
            statistic,
            identities,
            resamples=self.resamples,
            seed=self.seed,
            confidence=self.confidence,
            method=self.method,
        )
        return [interval.to_dict() for interval in (intervals if isinstance(intervals, tuple) else (intervals,))]


@dataclass(frozen=True, kw_only=True)
class IdentificationProtocol:
    """What is measured: `measures` at all identities, and at `gallery` identities where it is given.

    The groups in `leave_out` are not compared, though they stay in the gallery. `highest_rank` ends the CMC curve.
    `fpirs` are the false positive identification rates of the open set, in which a random half of every group's
    identities is enrolled with one image each.
    """

    measures: Mapping[str, Callable] = field(default_factory=lambda: dict(DISPARITIES))
    gallery: int | None = None
    repeats: int = 8
    leave_out: tuple[str, ...] = ()
    highest_rank: int = 20
    fpirs: tuple[float, ...] = (0.01, 0.1)
    seed: int = 0


def rank_report(
    ranks_by_count: Mapping[str, Ranks], identities: np.ndarray, groups: np.ndarray, protocol, resampling: Resampling
) -> dict:
    """Error, mean ranks and CMC of everyone and of every group: {"all": {...}, "groups": {group: {...}}}.

    `ranks_by_count` has the ranks by both `COUNTS`, `identities` and `groups` (N,) are labels of all images. Every
    number is {"value", "n", "interval"}, n its probes; the value is None where they are fewer than `MINIMUM_PROBES`.
    """
    by_images, by_identities = (ranks_by_count[count] for count in COUNTS)
    probe_groups, people = groups[by_images.probes], identities[by_images.probes]
    columns = np.stack([by_images.values > 0, by_images.values, by_identities.values], axis=1).astype(np.float64)
    names = np.unique(groups).tolist()
    statistic = _means(columns, np.searchsorted(names, probe_groups), len(names))
    values = statistic(np.arange(len(probe_groups))).reshape(1 + len(names), -1)
    intervals = resampling.intervals(statistic, people)
    titles = ("error", "mean_rank_by_images", "mean_rank_by_identities")
    rows = []
    for row, name in enumerate((None, *names)):
        members = np.full(len(probe_groups), True) if name is None else probe_groups == name
        n = int(members.sum())
        numbers = {
            title: _number(values[row, column], n, intervals and intervals[row * len(titles) + column])
            for column, title in enumerate(titles)
        }
        curve = cmc(by_identities.values[members], protocol.highest_rank).tolist()
        rows.append({"identities": len(np.unique(people[members])), "probes": n, **numbers, "cmc_by_identities": curve})
    everyone, *by_group = rows
    return {"all": everyone, "groups": dict(zip(map(str, names), by_group, strict=True))}


def disparity_report(
    ranks_by_count: Mapping[str, Ranks],
    embeddings: np.ndarray,
    identities: np.ndarray,
    groups: np.ndarray,
    protocol: IdentificationProtocol,
    resampling: Resampling,
) -> list[dict]:
    """Every measure as a dictionary: all against all by both counts, and at the stated gallery size.

    The interval is over people as probes, in the gallery of all. At a gallery size, `spread` is the standard deviation
    of the values of single galleries, which tells what other people in the gallery would change.
    """
    rows = []
    for count, ranked in ranks_by_count.items():
        rows += [
            _at_all(name, disparity, count, ranked, identities, groups, protocol.leave_out, resampling)
            for name, disparity in protocol.measures.items()
            if count == COUNTS[0] or values_of(disparity) == "ranks"
        ]
    if protocol.gallery:
        drawn = galleries(identities, groups, protocol.gallery, protocol.repeats, np.random.default_rng(protocol.seed))
        ranked = [(ranks(embeddings[images], identities[images]), groups[images]) for images in drawn]
        rows += [_at_gallery(name, disparity, protocol, ranked) for name, disparity in protocol.measures.items()]
    return rows


def open_set_report(
    embeddings: np.ndarray,
    identities: np.ndarray,
    groups: np.ndarray,
    protocol: IdentificationProtocol,
    resampling: Resampling,
) -> dict:
    """Detection and identification rate at every `protocol.fpirs`, of everyone and of every group at one threshold.

    The interval is over people, with gallery and threshold fixed.
    """
    gallery, probes = open_set_split(identities, groups, seed=protocol.seed)
    scores = open_set_scores(embeddings, identities, gallery, probes)
    names = np.unique(groups).tolist()
    report = {
        "enrolled_identities": scores.gallery_identities,
        "gallery_images": scores.gallery_images,
        "excluded": scores.excluded,
        "rates": [],
    }
    for fpir in protocol.fpirs:
        overall = dir_at_fpir(scores, fpir)
        by_group = group_rates_at(scores, groups, overall.threshold)
        statistic, people = _open_set_statistic(scores, identities, np.searchsorted(names, groups), len(names), overall)
        intervals = resampling.intervals(statistic, people)
        rows = [
            {
                "dir": _number(rates.dir, rates.enrolled, intervals and intervals[2 * row]),
                "fpir": _number(rates.fpir, rates.unknown, intervals and intervals[2 * row + 1]),
            }
            for row, rates in enumerate((overall, *by_group.values()))
        ]
        report["rates"].append(
            {
                "fpir_asked": fpir,
                "threshold": overall.threshold,
                "warning": overall.warning,
                "all": rows[0],
                "groups": dict(zip(map(str, by_group), rows[1:], strict=True)),
            }
        )
    return report


def _means(columns: np.ndarray, codes: np.ndarray, groups: int) -> Statistic:
    """The means of columns (P, C), over all rows and over every group's: (1 + G) * C numbers; nan without enough rows.

    A value that is nan belongs to no mean.
    """
    defined = np.isfinite(columns)
    filled = np.where(defined, columns, 0.0)

    def statistic(rows: np.ndarray) -> np.ndarray:
        means = []
        for column in range(columns.shape[1]):
            n = np.bincount(codes[rows], weights=defined[rows, column], minlength=groups)
            total = np.bincount(codes[rows], weights=filled[rows, column], minlength=groups)
            n, total = np.append(n.sum(), n), np.append(total.sum(), total)
            means.append(np.where(n >= MINIMUM_PROBES, total / np.maximum(n, 1), np.nan))
        return np.stack(means, axis=1).ravel()

    return statistic


def _open_set_statistic(
    scores: OpenSetScores, identities: np.ndarray, codes: np.ndarray, groups: int, overall
) -> tuple[Statistic, np.ndarray]:
    """The rates at a fixed threshold as a statistic over the probes, and the identities of the probes."""
    probes = np.concatenate([scores.enrolled, scores.unknown])
    columns = np.full((len(probes), 2), np.nan)
    columns[: len(scores.enrolled), 0] = scores.first & (scores.mates >= overall.threshold)
    columns[len(scores.enrolled) :, 1] = scores.scores + scores.tolerance >= overall.threshold
    return _means(columns, codes[probes], groups), identities[probes]


def _at_all(
    name: str,
    disparity: Callable,
    count: str,
    ranked: Ranks,
    identities: np.ndarray,
    groups: np.ndarray,
    leave_out: tuple[str, ...],
    resampling: Resampling,
) -> dict:
    result = measure(disparity, [(ranked, groups)], leave_out=leave_out)
    compared = ~np.isin(groups[ranked.probes], leave_out)
    values = (ranked.correct if values_of(disparity) == "correct" else ranked.values)[compared]
    probe_groups, people = groups[ranked.probes][compared], identities[ranked.probes][compared]
    if isinstance(disparity, Disparity):
        statistic = disparity_statistic(disparity, values, probe_groups)
    else:

        def statistic(rows: np.ndarray) -> float:
            return float(disparity(values[rows], probe_groups[rows]))

    intervals = None if result.undefined else resampling.intervals(statistic, people)
    against = (
        "all against all" if ranked.gallery_images == ranked.images else f"gallery of {ranked.gallery_images} images"
    )
    variant = f"correct or not, {against}" if values_of(disparity) == "correct" else f"ranks by {count}, {against}"
    row = _row(name, disparity, variant, result, intervals)
    if len(result.groups) == 2 and not result.undefined and getattr(disparity, "reducer", None) is largest_difference:
        row["signed"] = _signed(disparity, values, probe_groups, list(result.groups), people, resampling)
    return row


def _signed(disparity: Disparity, values, groups, names: list, identities: np.ndarray, resampling: Resampling) -> dict:
    """The first group's value minus the second's; unlike an absolute difference's, its interval may hold 0."""
    statistic = difference_statistic(disparity, values, groups, *names)
    difference = _number(float(statistic(np.arange(len(values)))), len(values), None)
    intervals = resampling.intervals(statistic, identities)
    return {"of": f"{names[0]} minus {names[1]}", **difference, "interval": intervals and intervals[0]}


def _at_gallery(name: str, disparity: Callable, protocol: IdentificationProtocol, ranked: list) -> dict:
    result = measure(disparity, ranked, leave_out=protocol.leave_out)
    single = [measure(disparity, [gallery], leave_out=protocol.leave_out).value for gallery in ranked]
    spread = float(np.std(single, ddof=1)) if len(single) > 1 and np.isfinite(single).all() else None
    variant = f"gallery of {protocol.gallery} identities, mean of {len(ranked)} (seed {protocol.seed})"
    return _row(name, disparity, variant, result, None) | {"spread": spread}


def _row(name: str, disparity: Callable, variant: str, result, intervals: list[dict] | None) -> dict:
    group_numbers = {
        str(group): _number(value.value, value.n, intervals[place] if intervals and len(intervals) > 1 else None)
        for place, (group, value) in enumerate(result.groups.items(), 1)
    }
    return {
        "name": name,
        "variant": variant,
        "value": result.value if not result.undefined else None,
        "fair": getattr(disparity, "fair", 0.0),
        "interval": intervals[0] if intervals else None,
        "undefined": result.undefined,
        "groups": group_numbers,
    }


def _number(value: float | None, n: int, interval: dict | None) -> dict:
    defined = value is not None and not np.isnan(value)
    return {"value": float(value) if defined else None, "n": n, "interval": interval if defined else None}
