"""What a whole evaluation comes to: every number with its n, its interval over people and its variant.

The fields are the keys of report.json, which other programs read. Those that are OMITTED stand there only where they
hold something.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dualfair.evaluation.metrics.disparity import DisparityResult
from dualfair.evaluation.metrics.pair_disparity import bpc
from dualfair.evaluation.metrics.verification import TarAtFar, TenFold
from dualfair.evaluation.options import EvaluateOptions
from dualfair.evaluation.statistics.bootstrap import Interval, Statistic, identity_bootstrap
from dualfair.supernet.images import PEOPLE

OMITTED: dict[str, Any] = {"default": None, "metadata": {"omitted": True}}


@dataclass(frozen=True)
class Number:
    """A number over `n` probes or pairs, with its interval over people; None where they are too few for it."""

    value: float | None
    n: int
    interval: Interval | None

    @classmethod
    def of(cls, value: float | None, n: int, interval: Interval | None) -> Number:
        """The number, undefined where the value is None or nan."""
        defined = value is not None and not np.isnan(value)
        return cls(float(value) if defined else None, n, interval if defined else None)

    def __format__(self, form: str) -> str:
        """The value and its interval as `form` says; "insufficient" with n where there is none."""
        if self.value is None:
            return f"insufficient (n={self.n})"
        low, high = bounds(self.interval)
        return f"{self.value:{form}}" + ("" if low is None else f" [{low:{form}}, {high:{form}}]")


def bounds(interval: Interval | None) -> tuple[float | None, float | None]:
    """Both ends of an interval, None where there is none."""
    return (interval.low, interval.high) if interval else (None, None)


@dataclass(frozen=True)
class GroupRanks:
    """How a group's probes are found: error, mean ranks, and the CMC curves, nan without probes: among how many people,
    and among how many images, the first mate is."""

    identities: int
    probes: int
    error: Number
    mean_rank_by_images: Number
    mean_rank_by_identities: Number
    cmc_by_identities: tuple[float, ...]
    cmc_by_images: tuple[float, ...] = ()


@dataclass(frozen=True)
class Identification:
    """The ranks of everyone, and of every group where there are several."""

    all: GroupRanks
    groups: Mapping[str, GroupRanks]

    @property
    def rows(self) -> dict[str, GroupRanks]:
        """Everyone as "all", then the groups."""
        return {"all": self.all, **self.groups}


@dataclass(frozen=True)
class ClassRates:
    """How images are classified: error, balanced accuracy (the mean over classes), and top-5 error where there are more
    than five classes."""

    error: Number
    balanced_accuracy: Number
    top5_error: Number | None = field(**OMITTED)


@dataclass(frozen=True)
class Classification:
    """How all images are classified, and those of every group where there are several; and the accuracy by class."""

    all: ClassRates
    groups: Mapping[str, ClassRates]
    accuracy_by_class: Mapping[str, Number]

    @property
    def rows(self) -> dict[str, ClassRates]:
        """All images as "all", then the groups."""
        return {"all": self.all, **self.groups}


@dataclass(frozen=True)
class SignedDifference(Number):
    """One group's value minus another's, `of` says which; its interval may hold 0, unlike an absolute difference's."""

    of: str


@dataclass(frozen=True, kw_only=True)
class DisparityRow:
    """A disparity by its variant, `fair` where groups fare alike. The value is None where `undefined` says why.

    `spread`, at a stated gallery size, is the standard deviation of the values of single galleries, which tells what
    other people in the gallery would change.
    """

    name: str
    variant: str
    value: float | None
    fair: float | None
    interval: Interval | None
    undefined: str
    groups: Mapping[str, Number] | None = field(**OMITTED)
    signed: SignedDifference | None = field(**OMITTED)
    spread: float | None = field(**OMITTED)

    @classmethod
    def of(
        cls, name: str, disparity: object, variant: str, result: DisparityResult, interval: Interval | None, **more: Any
    ) -> DisparityRow:
        """The row of what a disparity came to; `more` are its further fields."""
        undefined = bool(result.undefined)
        return cls(
            name=name,
            variant=variant,
            value=None if undefined else float(result.value),
            fair=getattr(disparity, "fair", 0.0),
            interval=None if undefined else interval,
            undefined=result.undefined,
            **more,
        )


@dataclass(frozen=True)
class OpenSetRates:
    """Detection and identification rate, and false positive identification rate, at a threshold."""

    dir: Number
    fpir: Number


@dataclass(frozen=True)
class OpenSetPoint:
    """The rates of everyone and of every group at the threshold that an FPIR of everyone takes."""

    fpir_asked: float
    threshold: float
    warning: str
    all: OpenSetRates
    groups: Mapping[str, OpenSetRates]


@dataclass(frozen=True)
class OpenSetReport:
    """The open set: a random half of every group's people is enrolled with one image each."""

    enrolled_identities: int
    gallery_images: int
    excluded: int
    rates: tuple[OpenSetPoint, ...]


@dataclass(frozen=True, kw_only=True)
class Accuracy(TenFold):
    """Accuracy over folds with its interval."""

    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class GroupAccuracies:
    """Accuracy of every group, and what they differ by where there are several; or why it is `undefined`."""

    undefined: str | None = field(**OMITTED)
    groups: Mapping[str, Accuracy] | None = field(**OMITTED)
    std: float | None = field(**OMITTED)
    ser: float | None = field(**OMITTED)
    accuracy_disparity: float | None = field(**OMITTED)


@dataclass(frozen=True, kw_only=True)
class AtFar(TarAtFar):
    """TAR at a FAR, and the rates of every group's pairs at that threshold."""

    far_asked: float
    tar_interval: Interval | None
    far_interval: Interval | None
    groups: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)
    disparities: tuple[DisparityRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How pairs are told apart. `accuracy_by_group` is by the rule that chooses thresholds."""

    pairs: int
    genuine: int
    impostors: int
    folds: int
    accuracy: Accuracy
    eer: Number
    at_far: tuple[AtFar, ...]
    accuracy_by_group: Mapping[str, GroupAccuracies] | None = field(**OMITTED)


@dataclass(frozen=True)
class BpcRow:
    """The bias performance coefficient of a disparity, at a FAR, against a baseline; None where one is infinite."""

    disparity: str
    variant: str
    far: float
    value: float | None
    baseline: str


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """Every measure of one network, or of one system's embeddings, section by section.

    `faces` says which images were taken, `options` how, `intervals` by which bootstrap, `gallery` who is enrolled;
    `identities` are counted in `units`; `notes` are sentences on what could not be measured. A section is None where it
    was not asked for, or could not be measured.
    """

    name: str
    training_seed: int
    faces: str
    images: int
    identities: int
    group_column: str | None
    options: Mapping[str, object]
    intervals: str
    notes: tuple[str, ...]
    units: str = field(default=PEOPLE, metadata={"omitted": True})
    gallery: Mapping[str, object] | None = field(**OMITTED)
    classification: Classification | None = field(**OMITTED)
    identification: Identification | None = field(**OMITTED)
    disparities: tuple[DisparityRow, ...] | None = field(**OMITTED)
    open_set: OpenSetReport | None = field(**OMITTED)
    verification: Verification | None = field(**OMITTED)
    bpc: tuple[BpcRow, ...] | None = field(**OMITTED)


def intervals(statistic: Statistic, identities: np.ndarray, options: EvaluateOptions) -> list[Interval | None]:
    """The intervals of the K numbers of a statistic over people (`bootstrap.identity_bootstrap`); None each without
    resamples."""
    if not options.resamples:
        return [None] * np.size(statistic(np.arange(len(identities))))
    of_numbers = identity_bootstrap(
        statistic,
        identities,
        resamples=options.resamples,
        seed=options.seed,
        method=options.interval,
    )
    return list(of_numbers) if isinstance(of_numbers, tuple) else [of_numbers]


def against_baseline(report: EvaluationReport, baseline: EvaluationReport) -> tuple[BpcRow, ...]:
    """bpc of every disparity that is fair at 0, against the report of a baseline, with TAR at the same FAR.

    Raises ValueError where one of both has no disparities or no verification, or they are of other people.
    """
    for name in ("images", "identities", "group_column"):
        values = [getattr(each, name) for each in (baseline, report)]
        if values[0] != values[1]:
            raise ValueError(
                f"bpc compares systems on the same faces: the baseline has {name} {values[0]!r}, {report.name} has "
                f"{values[1]!r}; evaluate both on the same"
            )
    for name in ("disparities", "verification"):
        if None in (getattr(report, name), getattr(baseline, name)):
            raise ValueError(f"bpc needs {name} in both results; evaluate both with --metrics all")
    if not {point.far_asked for point in report.verification.at_far} & {
        point.far_asked for point in baseline.verification.at_far
    }:
        asked = ", ".join(f"{point.far_asked:g}" for point in baseline.verification.at_far)
        raise ValueError(f"bpc compares at the same FAR, and the baseline has {asked}; name one of these by --far too")
    values_before = {(row.name, row.variant): row.value for row in baseline.disparities}
    rates_before = {point.far_asked: point.tar for point in baseline.verification.at_far}
    rows = []
    for point in report.verification.at_far:
        for row in report.disparities if point.far_asked in rates_before else ():
            before, after = values_before.get((row.name, row.variant)), row.value
            if row.fair != 0 or before is None or after is None:
                continue
            finite = math.isfinite(before) and math.isfinite(after)
            value = bpc(before, after, rates_before[point.far_asked], point.tar) if finite else None
            rows.append(BpcRow(row.name, row.variant, point.far_asked, value, baseline.name))
    return tuple(rows)
