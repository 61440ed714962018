"""Class labels: of which class, group and person the images of a labelled set are, and what of that is missing.

The rules are those of `labels`, image by image: an image's group is what its own row says.

Shape legend: M images whose labels are known.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.supernet.images.labels import (
    EVERYONE,
    GROUP,
    called_as_everyone,
    in_numbers,
    missing_of,
    refuse_labels,
    spelled_alike,
    usual_column,
)
from dualfair.supernet.images.manifest import IDENTITY, LABEL, Manifest


@dataclass(frozen=True, eq=False)
class ClassLabels:
    """What the labels of a manifest come to: arrays (M,) of the images whose label, group and person are known."""

    column: str | None
    """The column of groups; without one all images are one group, EVERYONE."""

    rows: np.ndarray
    classes: np.ndarray
    groups: np.ndarray
    identities: np.ndarray
    """The people, where the manifest knows them; else every image is by itself, as the number of its row."""

    unknown: tuple[str, ...]
    """Sentences on the images that --drop-unknown leaves out."""

    alike: tuple[str, ...]
    """Sentences on what is spelled in several ways."""

    reserved: tuple[str, ...]
    """A sentence on a group that has the name of everybody together."""

    @property
    def decided(self) -> list[str]:
        """Sentences on what was decided where the unknown are left out."""
        return [f"left out: {sentence}" for sentence in self.unknown]


def class_labels_of(manifest: Manifest, group_column: str | None, rows: Sequence[int] | None = None) -> ClassLabels:
    """The labels of a labelled manifest, or of some rows of it, by a column of groups.

    The column `group` may be absent. Raises ValueError for another one that is unknown.
    """
    column = usual_column(manifest) if group_column in (None, GROUP) else group_column
    if column is not None:
        manifest.require(column)
    names = {LABEL: "no label", **({column: "no group"} if column else {})}
    names |= {IDENTITY: "no identity"} if IDENTITY in manifest.columns else {}
    chosen = np.arange(len(manifest)) if rows is None else np.asarray(rows, dtype=np.int64)
    known, unknown, alike = np.full(len(chosen), True), [], []
    for name, lacking in names.items():
        values = manifest.column(name)[chosen].tolist()
        counts = Counter(values)
        missing = missing_of(counts)
        if missing:
            where = "" if name in (LABEL, IDENTITY) else f" in column {name!r}"
            unknown.append(f"{missing.total()} images have {lacking}{where} ({in_numbers(missing)})")
        known &= np.array([value not in missing for value in values], dtype=bool)
        # Letters are classes of their own, small or large.
        named = (value for value in counts if value not in missing and not (name == LABEL and len(value) == 1))
        alike += spelled_alike(named, f"column {name!r} has values")
    chosen = chosen[known]
    everyone = np.full(len(chosen), EVERYONE)
    groups = everyone if column is None else manifest.column(column)[chosen]
    people = manifest.column(IDENTITY)[chosen] if IDENTITY in manifest.columns else chosen.astype(str)
    reserved = called_as_everyone(groups.tolist(), f"column {column!r} has") if column else []
    classes = manifest.column(LABEL)[chosen]
    return ClassLabels(column, chosen, classes, groups, people, tuple(unknown), tuple(alike), tuple(reserved))


def known_class_labels(
    manifest: Manifest, group_column: str | None, rows: Sequence[int] | None = None, *, drop_unknown: bool = False
) -> ClassLabels:
    """As `class_labels_of`. Raises ValueError as `known_labels` does."""
    labels = class_labels_of(manifest, group_column, rows)
    refuse_labels(labels, bool(len(labels.rows)), drop_unknown)
    return labels


def strata(identities: np.ndarray, classes: np.ndarray, groups: np.ndarray) -> Mapping[str, tuple[str, str]]:
    """By identity, the class and group of most of its images; of equally many the first in alphabetical order."""
    votes: dict[str, Counter[tuple[str, str]]] = {}
    for identity, stratum in zip(identities.tolist(), zip(classes.tolist(), groups.tolist(), strict=True), strict=True):
        votes.setdefault(identity, Counter())[stratum] += 1
    return {
        identity: min(counts, key=lambda stratum: (-counts[stratum], stratum)) for identity, counts in votes.items()
    }
