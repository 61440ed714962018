"""Inspection of a labelled set: what it holds, and what is wrong with it.

Shape legend: N images.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from dualfair.supernet.images.class_labels import class_labels_of
from dualfair.supernet.images.inspection import Finding, check_images, check_origin, read_pixels
from dualfair.supernet.images.labelled_set import split_labelled
from dualfair.supernet.images.labels import doubts
from dualfair.supernet.images.manifest import LABEL, SPLIT, SPLITS
from dualfair.supernet.images.store import FaceStore


@dataclass(frozen=True)
class ClassCount:
    """How many images there are of one class and one group in every split, in the order of SPLITS."""

    label: str
    group: str
    images: tuple[int, ...]


@dataclass(frozen=True)
class LabelledInspection:
    """The counts by class and group, and what was found."""

    counts: tuple[ClassCount, ...]
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> int:
        return sum(finding.fault for finding in self.findings)


def inspect_labelled(
    store: FaceStore,
    *,
    group_column: str | None = None,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> LabelledInspection:
    """Inspect a labelled set, with groups and splits as training would make them from the same arguments.

    Images whose labels are unknown are not among the counts. Raises ValueError for an unknown column and for fractions
    that do not add up to 1. `progress` wraps the iteration over chunks of images.
    """
    labels = class_labels_of(store.manifest, group_column)
    row_splits, findings = np.full(len(store.manifest), "", dtype=object), []
    try:
        for split, rows in split_labelled(store.manifest, labels, fractions, seed).items():
            row_splits[rows] = split
    except ValueError as error:
        if SPLIT not in store.manifest.columns:
            raise
        findings.append(Finding(True, str(error)))
    strata = zip(labels.classes.tolist(), labels.groups.tolist(), row_splits[labels.rows].tolist(), strict=True)
    images, groups = Counter(strata), sorted(set(labels.groups.tolist()))
    counts = tuple(
        ClassCount(label, group, tuple(images[label, group, split] for split in SPLITS))
        for label in sorted(set(labels.classes.tolist()))
        for group in groups
    )
    findings += [Finding(True, text) for text in (*labels.unknown, *labels.alike, *labels.reserved)]
    if not findings:
        findings += _check_counts(counts, labels.column)
    findings += [Finding(False, text) for text in doubts(store.manifest, LABEL, labels.column)]
    pixels = read_pixels(store, progress)
    findings += [*check_origin(store, pixels), *check_images(store, pixels, row_splits)]
    return LabelledInspection(counts, tuple(sorted(findings, key=lambda finding: not finding.fault)))


def _check_counts(counts: tuple[ClassCount, ...], column: str | None) -> Iterator[Finding]:
    by_class: dict[str, np.ndarray] = {}
    for count in counts:
        by_class[count.label] = by_class.get(count.label, 0) + np.array(count.images)
    if len(by_class) < 2:
        yield Finding(True, f"all images have the label {counts[0].label!r}; classification needs two classes or more")
    for label, images in by_class.items():
        for split, number in zip(SPLITS, images.tolist(), strict=True):
            if not number:
                yield Finding(True, f"class {label!r} has no image in the {split} split; every split needs every class")
    if column is None:
        yield Finding(False, "there are no groups: all images are one group, and disparities are not defined")
        return
    for count in counts:
        for split, number in zip(SPLITS[1:], count.images[1:], strict=True):
            if not number:
                yield Finding(
                    False, f"class {count.label!r} has no image of group {count.group!r} in the {split} split"
                )
