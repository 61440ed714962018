"""A listing: what an importer finds on the disk, before any pixel is read.

Shape legend: N images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dualfair.supernet.images.importers.balance import balanced_rows
from dualfair.supernet.images.importers.tree import Skipped
from dualfair.supernet.images.labels import known_labels
from dualfair.supernet.images.manifest import SPLIT, Manifest
from dualfair.supernet.images.pairs import Pairs
from dualfair.supernet.images.store import IDENTIFICATION


@dataclass(frozen=True, kw_only=True, eq=False)
class Listing:
    """The images of a data set, in the manifest's order, and how to open them."""

    manifest: Manifest

    source: Path
    """Where the images lie: it is named in messages, and an interrupted import continues for the same source only."""

    open_image: Callable[[int], Path | BinaryIO]
    """A row's image as anything that Pillow opens. ValueError and OSError mean that this image cannot be read."""

    landmarks: np.ndarray | None = None
    """(N, 5, 2) pixels (x, y) of the eye at smaller x, the other eye, nose and mouth corners; NaN where unknown."""

    pairs: Pairs | None = None
    """The verification pairs that are published with the images."""

    linked: bool = True
    """Whether a person has one identity throughout. False for pairs alone, where a person may have several."""

    task: str = IDENTIFICATION
    """For which task the images are: of faces, or of labelled images."""

    size: int | None = None
    """Side of the images in pixels, where all have the same by their format."""

    notes: tuple[str, ...] = ()
    """Lines to be read by whoever imports the set."""

    skipped: Skipped = field(default_factory=dict)
    """Files that were seen and are not among the images, and people of whom there is no image, by the reason."""


def list_files(manifest: Manifest, root: Path, **further: object) -> Listing:
    """The listing of images that are files: the manifest's paths are relative to `root`."""
    root, paths = Path(root), manifest.columns["path"]
    return Listing(manifest=manifest, source=root, open_image=lambda row: root / paths[row], **further)


def take(listing: Listing, rows: np.ndarray) -> Listing:
    """The listing of some rows (ascending)."""
    return replace(
        listing,
        manifest=listing.manifest.take(rows),
        open_image=lambda row: listing.open_image(int(rows[row])),
        landmarks=None if listing.landmarks is None else listing.landmarks[rows],
        pairs=None if listing.pairs is None else listing.pairs.take(rows, listing.manifest),
    )


def balance(listing: Listing, group_column: str, *, seed: int, within_splits: bool = False) -> Listing:
    """As many people and as many images of every group, at least 3 a person, drawn by `seed` (`balanced_rows`).

    A person's group becomes that of all images, which are no longer all there to decide it. A column `split` is left
    out: groups balanced as a whole are not so within given splits, whereas splits dealt by group are as even as can be.
    With `within_splits` each split of that column is balanced by itself, as the DPN study did with CelebA's, and the
    column stays. Raises ValueError as `balanced_rows` does, and where that column is wanted and missing.
    """
    splits = listing.manifest.columns.get(SPLIT)
    if within_splits and splits is None:
        raise ValueError(
            f"there is no column {SPLIT!r} to balance within; import the official split, or leave this out"
        )
    names = [*dict.fromkeys(splits)] if within_splits else []
    split_of: dict[str, str] = {}
    for identity, split in zip(listing.manifest.columns["identity"], splits, strict=True) if within_splits else ():
        if split_of.setdefault(identity, split) != split:
            raise ValueError(
                f"identity {identity!r} is in the splits {split_of[identity]} and {split}; it has to be in one"
            )
    every = np.arange(len(listing.manifest))
    parts = [np.flatnonzero(np.asarray(splits) == name) for name in names] or [every]
    drawn = [part[balanced_rows(listing.manifest.take(part), group_column, seed=seed)] for part in parts]
    rows = np.sort(np.concatenate(drawn))
    labels = known_labels(listing.manifest, group_column, drop_unknown=True)
    balanced = take(listing, rows)
    people = len(set(balanced.manifest.columns["identity"]))
    note = f"balanced by {group_column}: {len(rows):,} of {len(listing.manifest):,} images, of {people:,} people"
    columns = dict(balanced.manifest.columns)
    columns[group_column] = tuple(labels.group_of[identity] for identity in columns["identity"])
    if within_splits:
        note += f"; {', '.join(f'{name} {len(part):,}' for name, part in zip(names, drawn, strict=True))}"
    elif columns.pop(SPLIT, None) is not None:
        note += "; the given splits are dropped, people are dealt anew by --split and --seed"
    return replace(balanced, manifest=Manifest(columns), notes=(*listing.notes, *labels.decided, note))


def locate(source: Path, name: str, places: Sequence[str], whose: str) -> Path:
    """The file or folder `name` in the first of some places below `source` ("" is `source` itself).

    Raises ValueError saying where it is expected, and with `whose` where it comes from and what to do.
    """
    if not source.is_dir():
        raise ValueError(f"there is no folder {source}")
    candidates = [source / place / name for place in places]
    for path in candidates:
        if path.exists():
            return path
    others = "".join(f" or {path}" for path in candidates[1:])
    raise ValueError(f"{name} is missing: expected {candidates[0]}{others} ({whose}); move or link it there")
