"""A labelled set: images of some classes, of one split.

Shape legend: N images, B batch, D embedding, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch

from dualfair.supernet.images.class_labels import ClassLabels, known_class_labels, strata
from dualfair.supernet.images.image_set import ImageSet, TooFewPeople
from dualfair.supernet.images.manifest import IDENTITY, SPLIT, SPLITS, Manifest, require_splits, split_identities
from dualfair.supernet.images.store import CLASSIFICATION, FaceStore


@dataclass(frozen=True)
class LabelledSet(ImageSet):
    """Labelled images: `classes` are strings (N,), `class_names` those of the whole store, so that all splits number
    them alike. Networks are judged by class scores."""

    task = CLASSIFICATION
    mirrored = False

    classes: np.ndarray
    class_names: tuple[str, ...]

    @cached_property
    def labels(self) -> np.ndarray:
        """The number of every image's class in `class_names`, int64 (N,)."""
        return np.searchsorted(self.class_names, self.classes).astype(np.int64)

    @property
    def scored_classes(self) -> tuple[str, ...]:
        """All classes."""
        return self.class_names

    @property
    def units(self) -> str:
        return "images" if self.identity_count == len(self) else "people"

    @property
    def of_classes(self) -> str:
        return f"{' of' if self.units == 'images' else ','} {self.class_count:,} classes"

    @property
    def stratum_of(self) -> Mapping[str, tuple[str, str]]:
        """The class and group of every image, or of most images of a person."""
        return strata(self.identities, self.classes, self.groups)

    def answer(self, head: torch.nn.Module, embedding: torch.Tensor) -> torch.Tensor:
        """The class scores (B, K)."""
        return head.class_scores(embedding)

    def take(self, images: np.ndarray) -> Self:
        """The set of some of its images, in the order given; it has the same classes."""
        return replace(super().take(images), classes=self.classes[images])

    def refuse_parts(self, parts: Sequence[ImageSet], share: float) -> None:
        """Raise TooFewPeople where a class or a group of this set is not in every part."""
        for what, of in (("class", "classes"), ("group", "groups")):
            values = getattr(self, of)
            for name in np.unique(values).tolist():
                if not all((getattr(part, of) == name).any() for part in parts):
                    images = np.count_nonzero(values == name)
                    raise TooFewPeople(f"{what} {name!r} has {images} validation images, too few for a share {share:g}")


def open_labelled(
    store: FaceStore,
    group_column: str,
    fractions: tuple[float, float, float],
    seed: int,
    size: int,
    drop_unknown: bool,
) -> dict[str, LabelledSet]:
    """The splits of a labelled store, as of `open_splits`: by image, or by person where people are known.

    Every split has its share of every class in every group; a column `split` is kept. Without a column of groups all
    images are one group. Raises ValueError for a class that is not in every split, for fewer than two classes, and for
    unknown or doubtful labels (`known_class_labels`).
    """
    everything, labels = all_labelled(store, group_column, size, drop_unknown)
    splits = {
        split: everything.take(np.flatnonzero(np.isin(labels.rows, rows)))
        for split, rows in split_labelled(store.manifest, labels, fractions, seed).items()
    }
    for split, images in splits.items():
        absent = sorted(set(images.class_names) - set(images.classes.tolist()))
        if absent:
            raise ValueError(
                f"class {absent[0]!r} has no image in the {split} split; every split needs every class. Use more "
                "images, another --split, or leave the class out"
            )
    return splits


def all_labelled(
    store: FaceStore, group_column: str | None, size: int, drop_unknown: bool
) -> tuple[LabelledSet, ClassLabels]:
    """All images of a labelled store, with their labels. Raises ValueError as `open_labelled`, but for splits."""
    labels = known_class_labels(store.manifest, group_column, drop_unknown=drop_unknown)
    names = np.unique(labels.classes).tolist()
    if len(names) < 2:
        raise ValueError(f"all images have the label {names[0]!r}; classification needs two classes or more")
    everything = LabelledSet(
        store.pixels, labels.rows, labels.identities, labels.groups, size, labels.classes, tuple(names)
    )
    return everything, labels


def split_labelled(
    manifest: Manifest, labels: ClassLabels, fractions: tuple[float, float, float], seed: int
) -> dict[str, np.ndarray]:
    """Row numbers of every split, of the images whose labels are known, as `split_identities` deals people.

    The identities of every class in every group are dealt apart. Raises ValueError as that does.
    """
    known = manifest.take(labels.rows.tolist())
    if SPLIT in manifest.columns:
        require_splits(known.columns[SPLIT])
    known = Manifest({**known.columns, IDENTITY: tuple(labels.identities.tolist())})
    stratum_of = strata(labels.identities, labels.classes, labels.groups)
    places = split_identities(known, stratum_of, fractions, seed)
    return {split: labels.rows[places[split]] for split in SPLITS}
