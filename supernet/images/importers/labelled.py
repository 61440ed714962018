"""The sets of labelled images that can be imported: one function each, in one table, as in `datasets`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from dualfair.supernet.images.class_labels import class_labels_of, strata
from dualfair.supernet.images.importers.derived import attribute, skewed
from dualfair.supernet.images.importers.folders import list_classes
from dualfair.supernet.images.importers.listing import Listing
from dualfair.supernet.images.importers.packed_sets import cifar, idx, npz
from dualfair.supernet.images.importers.table import list_table
from dualfair.supernet.images.manifest import LABEL, SPLIT, Manifest, draw_share


def folder(source: Path) -> Listing:
    """Your own images: SRC holds one folder a class; what lies deeper belongs to it.

    Folders of classes may lie in folders called train, validation and test, which become the column 'split'.
    """
    return list_classes(source)


def csv(source: Path) -> Listing:
    """Your own table: SRC is a CSV path,label[,group][,identity][,split][,more attributes].

    Paths are relative to the CSV. A column 'split' (train, validation, test) is kept; where there is a column identity,
    images of one person come into one split.
    """
    return list_table(source, LABEL)


LABELLED_IMPORTERS: dict[str, Callable[..., Listing]] = {
    "folder": folder,
    "csv": csv,
    "npz": npz,
    "idx": idx,
    "cifar": cifar,
    "attribute": attribute,
    "skewed": skewed,
}


def with_validation(listing: Listing, share: float, seed: int) -> Listing:
    """A listing of train and test only, with a share of the training images as validation, drawn by `seed`.

    Every class in every group gives its share; images of one person stay together. Others are returned as they are.
    Raises ValueError for a share outside (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"the share of training images for validation must be above 0 and below 1, got {share}")
    columns = listing.manifest.columns
    if set(columns.get(SPLIT, ())) != {"train", "test"}:
        return listing
    splits = np.array(columns[SPLIT], dtype=object)
    labels = class_labels_of(listing.manifest, None, np.flatnonzero(splits == "train"))
    drawn = draw_share(strata(labels.identities, labels.classes, labels.groups), share, seed)
    taken = labels.rows[np.isin(labels.identities, drawn)]
    splits[taken] = "validation"
    note = (
        f"the set has train and test only: {len(taken):,} of {len(taken) + np.count_nonzero(splits == 'train'):,} "
        f"training images are validation, drawn by class with seed {seed}"
    )
    manifest = Manifest({**columns, SPLIT: tuple(splits.tolist())})
    return replace(listing, manifest=manifest, notes=(*listing.notes, note))
