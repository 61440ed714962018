"""Faces of a data set as it lies on the disk, imported into a faces folder, and what came of that in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from dualfair.runs.watching import Say, ShowProgress, showing, silent
from dualfair.supernet.images.importers import listing as listings
from dualfair.supernet.images.importers.importing import PAIRS, ImportReport, import_listing
from dualfair.supernet.images.importers.listing import Listing
from dualfair.supernet.images.manifest import attributes_of, identity_groups
from dualfair.supernet.images.store import FaceStore

SHOWN = 20
"""Images left out that are named one by one; faces.json names all of them."""


def import_faces(
    importer: Callable[..., Listing],
    source: Path,
    out: Path,
    *,
    name: str,
    size: int = 112,
    max_unreadable: float = 0.01,
    balance: bool = False,
    group_column: str = "group",
    seed: int = 0,
    say: Say = silent,
    progress: ShowProgress = silent,
    **importer_options: object,
) -> ImportReport:
    """Import what an `importer` by this `name` lists of `source` into the faces folder `out`, at `size` px.

    With `balance` equally many people and images of every group of `group_column` are kept, drawn by `seed`. Images
    that cannot be read are left out, up to the share `max_unreadable`. The same call continues an import that was
    interrupted. Raises ValueError where there is nothing to import, or too much cannot be read.
    """
    listing = importer(source, **importer_options)
    if balance:
        listing = listings.balance(listing, group_column, seed=seed)
    for note in listing.notes:
        say(f"Note: {note}")

    def rows_shown(rows: range) -> Iterator[int]:
        if rows.start:
            say(f"Continuing with image {rows.start + 1:,} of {rows.stop:,}")
        return showing(progress, "images", "image")(rows)

    return import_listing(
        listing,
        out,
        size=size,
        align=bool(importer_options.get("align")),
        max_unreadable=max_unreadable,
        made_by=f"import {name}",
        progress=rows_shown,
    )


def left_out_lines(report: ImportReport) -> list[str]:
    """The images that could not be read, with the reasons."""
    lines = [f"Left out: {image} ({reason})" for image, reason in report.unreadable[:SHOWN]]
    if len(report.unreadable) > SHOWN:
        lines.append(f"Left out: {len(report.unreadable) - SHOWN:,} more; faces.json names all of them")
    return lines


def pairs_line(report: ImportReport) -> str:
    """How many verification pairs came with the images; "" where the data set has none."""
    if report.pairs is None:
        return ""
    dropped = len(report.pairs.dropped)
    missing = f"; {dropped:,} are left out, as an image of theirs is" if dropped else ""
    return f"{len(report.pairs):,} verification pairs in {report.store.folder / PAIRS}{missing}"


def description(store: FaceStore) -> list[str]:
    """What a faces folder holds, with the counts of its groups."""
    manifest = store.manifest
    people = len(set(manifest.columns["identity"]))
    lines = [f"{store.folder}: {len(manifest):,} images of {people:,} people at {store.size} px"]
    attributes = attributes_of(manifest)
    if "group" in attributes:
        counts = Counter(identity_groups(manifest, "group").values())
        return [*lines, "people by group: " + ", ".join(f"{group} {n}" for group, n in sorted(counts.items()))]
    if attributes:
        return [*lines, f"There is no column 'group'; use --group-column with one of: {', '.join(attributes)}"]
    return [*lines, "There are no groups: training needs a column to compare people by"]
