"""Folders of labelled images: imported, checked; and what they hold in words."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dualfair.presentation.format import quoted
from dualfair.presentation.table import Column, table
from dualfair.runs.config import numbers
from dualfair.runs.watching import Say, ShowProgress, showing, silent
from dualfair.stages.faces import finding_lines, require_task, store_listing
from dualfair.supernet.images.class_labels import class_labels_of
from dualfair.supernet.images.importers.importing import ImportReport
from dualfair.supernet.images.importers.labelled import with_validation
from dualfair.supernet.images.importers.listing import Listing
from dualfair.supernet.images.labelled_inspection import LabelledInspection, inspect_labelled
from dualfair.supernet.images.manifest import LABEL, SPLITS, shorten
from dualfair.supernet.images.store import CLASSIFICATION, FaceStore, open_store

SIZE = 112
"""Of stored images in pixels, where the format does not give them one size."""
MIRRORING = "Training mirrors images at random; digits, letters and all that a mirror changes need --no-flip"


@dataclass(frozen=True)
class CheckedImages:
    """A folder of labelled images and what its inspection came to."""

    store: FaceStore
    inspection: LabelledInspection


def import_images(
    importer: Callable[..., Listing],
    source: Path,
    out: Path,
    *,
    name: str,
    size: int | None = None,
    max_unreadable: float = 0.01,
    validation: float = 0.1,
    seed: int = 0,
    say: Say = silent,
    progress: ShowProgress = silent,
    **importer_options: object,
) -> ImportReport:
    """Import what an `importer` by this `name` lists of `source` as labelled images into the folder `out`.

    `size` in pixels is by default that of the images where their format gives them one, otherwise SIZE. Of a set with
    train and test only, the share `validation` of the training images becomes validation, drawn by `seed`. Images that
    cannot be read are left out, up to the share `max_unreadable`. The same call continues an import that was
    interrupted. Raises ValueError where there is nothing to import, or too much cannot be read.
    """
    listing = with_validation(importer(source, **importer_options), validation, seed)
    if LABEL not in listing.manifest.columns:
        raise ValueError(f"importer {name!r} lists no column 'label'; it has: {', '.join(listing.manifest.columns)}")
    stored = size or listing.size or SIZE
    return store_listing(
        replace(listing, task=CLASSIFICATION), out, name, stored, max_unreadable, say=say, progress=progress
    )


def check_images(
    images: Path,
    *,
    group_column: str | None = None,
    split: str = "0.6,0.2,0.2",
    seed: int = 0,
    progress: ShowProgress = silent,
) -> CheckedImages:
    """Inspect a folder of labelled images, every one, with the splits that training makes of the same options.

    Raises ValueError where it cannot be opened, and for a folder of faces.
    """
    store = open_store(images)
    require_task(store, CLASSIFICATION)
    fractions, watched = numbers(split, ",", float, "split"), showing(progress, "check", "chunk")
    inspection = inspect_labelled(store, group_column=group_column, fractions=fractions, seed=seed, progress=watched)
    return CheckedImages(store, inspection)


def description(store: FaceStore) -> list[str]:
    """What a folder of labelled images holds, with the counts of its classes and groups."""
    labels = class_labels_of(store.manifest, None)
    lines = [_contents(store), f"images by class: {_in_numbers(labels.classes.tolist())}"]
    groups = f"images by group: {_in_numbers(labels.groups.tolist())}"
    lines.append(groups if labels.column else "There are no groups: all images are one group")
    return [*lines, *(f"Note: {text}" for text in (*labels.unknown, *labels.alike)), f"Note: {MIRRORING}"]


def next_steps(store: FaceStore) -> str:
    """The commands that may follow an import."""
    images = quoted(store.folder)
    return f"dualfair images check {images}, then dualfair train --images {images} --out run"


def findings(checked: CheckedImages) -> list[str]:
    """Counts and findings of an inspection as text."""
    columns = [Column("class", "text"), Column("group", "text"), *(Column(split, "whole") for split in SPLITS)]
    rows = [(count.label, count.group, *count.images) for count in checked.inspection.counts]
    return [_contents(checked.store), *table(columns, rows).lines(), *finding_lines(checked.inspection)]


def _contents(store: FaceStore) -> str:
    classes = len(set(class_labels_of(store.manifest, None).classes.tolist()))
    return f"{store.folder}: {len(store.manifest):,} images of {classes:,} classes at {store.size} px"


def _in_numbers(names: list[str]) -> str:
    return shorten([f"{name} {images:,}" for name, images in sorted(Counter(names).items())], 20)
