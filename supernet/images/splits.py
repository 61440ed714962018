"""Splits of a store, of faces or of labelled images, and parts of a split."""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from dualfair.supernet.images.class_labels import class_labels_of
from dualfair.supernet.images.face_set import open_faces
from dualfair.supernet.images.image_set import ImageSet
from dualfair.supernet.images.labelled_set import open_labelled
from dualfair.supernet.images.labels import labels_of
from dualfair.supernet.images.manifest import Fold, draw_share
from dualfair.supernet.images.store import CLASSIFICATION, IDENTIFICATION, FaceStore

OPENED_BY = {IDENTIFICATION: (open_faces, labels_of), CLASSIFICATION: (open_labelled, class_labels_of)}
"""By the task of a store: how its splits are opened, and how its labels are looked at."""

Images = TypeVar("Images", bound=ImageSet)


def open_splits(
    store: FaceStore,
    *,
    group_column: str,
    fractions: tuple[float, float, float],
    seed: int,
    size: int,
    crop_from: int = 0,
    drop_unknown: bool = False,
    fold: Fold | None = None,
) -> dict[str, ImageSet]:
    """The train, validation and test images of a store, read at `size` px: `open_faces` or `open_labelled`.

    With `crop_from` they are the centres of images that are resized to so many pixels. With a `fold` it is that part of
    the people who are not of test who validate; images that are divided one by one have none. Raises ValueError when
    the stored images are smaller than that, or than `size`, and as those do.
    """
    opened, _ = OPENED_BY[store.task]
    store.require_people()
    otherwise = "" if crop_from else f", or train with --size {store.size}"
    store.require_size(crop_from or size, "--crop-from" if crop_from else "the network", otherwise)
    if fold is None:
        splits = opened(store, group_column, fractions, seed, size, drop_unknown)
    elif store.task == IDENTIFICATION:
        splits = open_faces(store, group_column, fractions, seed, size, drop_unknown, fold)
    else:
        raise ValueError("folds are of people, and labelled images are not divided by people; leave --folds out")
    return {split: replace(images, crop_from=crop_from) for split, images in splits.items()}


def decided(store: FaceStore, group_column: str) -> list[str]:
    """Sentences on labels that are unknown, or not the same on all images of a person, and what was decided."""
    _, labelled = OPENED_BY[store.task]
    return labelled(store.manifest, group_column).decided


def divide_people(images: Images, share: float, seed: int) -> tuple[Images, Images]:
    """Validation images in two, disjoint by identity: what remains, and `share` of every stratum, drawn by `seed`.

    Strata are groups of people, or classes in groups of images. The number of identities is rounded. Images stay in
    their order. Raises TooFewPeople, a ValueError, where a part lacks what is needed (`ImageSet.refuse_parts`);
    ValueError for a share outside (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"the share of {images.units} to set apart must be above 0 and below 1, got {share}")
    apart = np.isin(images.identities, draw_share(images.stratum_of, share, seed))
    parts = images.take(np.flatnonzero(~apart)), images.take(np.flatnonzero(apart))
    images.refuse_parts(parts, share)
    return parts


def some_people(images: Images, number: int, seed: int) -> Images:
    """The images of so many identities, every stratum keeping its share. Raises ValueError where there are not so many.

    Identities are people, or images where people are not known.
    """
    everyone, units = images.identity_count, images.units
    if not 0 < number <= everyone:
        whose = "these faces" if units == "people" else "this set"
        raise ValueError(f"people must be 0 (all) to {everyone}, the {units} of {whose}; got {number}")
    return images if number == everyone else divide_people(images, 1 - number / everyone, seed)[0]
