"""Faces folders: generated, imported from a data set as it lies on the disk, checked; and what they hold in words."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dualfair.presentation.format import quoted
from dualfair.presentation.table import Column, table
from dualfair.runs.config import numbers
from dualfair.runs.watching import Progress, Say, ShowProgress, showing, silent
from dualfair.supernet.images.importers import listing as listings
from dualfair.supernet.images.importers.importing import PAIRS, ImportReport, import_listing
from dualfair.supernet.images.importers.journal import JOURNAL
from dualfair.supernet.images.importers.listing import Listing
from dualfair.supernet.images.importers.tree import skipped_lines
from dualfair.supernet.images.inspection import Inspection, inspect
from dualfair.supernet.images.labelled_inspection import LabelledInspection
from dualfair.supernet.images.labels import GROUP, is_missing, labels_of, usual_column
from dualfair.supernet.images.manifest import Manifest, attributes_of
from dualfair.supernet.images.store import IDENTIFICATION, MANIFEST, OF_SET, FaceStore, StoreWriter, open_store
from dualfair.supernet.images.synthetic.people import SyntheticFaces, synthesize

GENERATED = "synth"
"""What faces.json says that made generated faces."""
PREVIEW = "preview.png"
PEOPLE_SHOWN = 12
"""On the contact sheet, with as many images each."""
SHOWN = 20
"""Images left out that are named one by one; faces.json names all of them."""


@dataclass(frozen=True)
class CheckedFaces:
    """A faces folder and what its inspection came to."""

    store: FaceStore
    inspection: Inspection


def generate(config: SyntheticFaces, out: Path, progress: ShowProgress = silent) -> FaceStore:
    """Generate faces of people who do not exist into a folder, with a contact sheet; returns the store.

    Raises ValueError for a folder that holds faces which were not generated.
    """
    if (out / MANIFEST).exists() and open_store(out).origin.get("made by") != GENERATED:
        raise ValueError(f"{out} holds faces already that were imported; remove the folder, or choose another --out")
    writer = StoreWriter(out, config.identities * config.images, config.size)
    columns: dict[str, list[str]] = {"path": [], "identity": [], "group": []}
    sheet = []
    for number, (identity, group, images) in enumerate(synthesize(config), 1):
        writer.add(images)
        columns["path"] += [f"{identity}/{image:03d}" for image in range(len(images))]
        columns["identity"] += [identity] * len(images)
        columns["group"] += [group] * len(images)
        if len(sheet) < PEOPLE_SHOWN:
            sheet.append(np.concatenate(images[:PEOPLE_SHOWN], axis=1))
        progress(Progress("faces", number, config.identities, "person"))
    origin = {"made by": GENERATED, **dataclasses.asdict(config)}
    store = writer.close(Manifest({name: tuple(values) for name, values in columns.items()}), origin)
    picture = Image.fromarray(np.concatenate(sheet))
    scale = max(1, round(96 / (picture.height // len(sheet))))
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(out / PREVIEW)
    return store


def import_faces(
    importer: Callable[..., Listing],
    source: Path,
    out: Path,
    *,
    name: str,
    size: int = 112,
    max_unreadable: float = 0.01,
    balance: bool = False,
    within_splits: bool = False,
    group_column: str = "group",
    seed: int = 0,
    say: Say = silent,
    progress: ShowProgress = silent,
    **importer_options: object,
) -> ImportReport:
    """Import what an `importer` by this `name` lists of `source` into the faces folder `out`, at `size` px.

    With `balance` equally many people and images of every group of `group_column` are kept, drawn by `seed`, and
    `within_splits` so in each given split. Images that cannot be read are left out, up to the share `max_unreadable`.
    The same call continues an import that was interrupted, unless files have changed since. Raises ValueError where
    there is nothing to import, or too much cannot be read.
    """
    if within_splits and not balance:
        raise ValueError("--within-splits says how to --balance; give both, or neither")
    listing = importer(source, **importer_options)
    if balance:
        listing = listings.balance(listing, group_column, seed=seed, within_splits=within_splits)
    align = bool(importer_options.get("align"))
    return store_listing(listing, out, name, size, max_unreadable, align=align, say=say, progress=progress)


def store_listing(
    listing: Listing,
    out: Path,
    name: str,
    size: int,
    max_unreadable: float,
    *,
    align: bool = False,
    say: Say = silent,
    progress: ShowProgress = silent,
) -> ImportReport:
    """Import a listing, made by the importer of this `name`, into the folder `out`, and say what is done.

    Raises ValueError as `import_listing` does.
    """
    for note in (*listing.notes, *skipped_lines(listing.skipped)):
        say(f"Note: {note}")

    interrupted = (out / JOURNAL).exists()

    def rows_shown(rows: range) -> Iterator[int]:
        if rows.start:
            place = f"with image {rows.start + 1:,} of {rows.stop:,}" if rows else "where all images are read"
            say(f"Continuing {place}")
        elif interrupted:
            say("Beginning anew: files or options are not those of the import that was interrupted here")
        return showing(progress, "images", "image")(rows)

    report = import_listing(
        listing,
        out,
        size=size,
        align=align,
        max_unreadable=max_unreadable,
        made_by=f"import {name}",
        progress=rows_shown,
    )
    for note in report.notes:
        say(f"Note: {note}")
    return report


def check_faces(
    faces: Path,
    *,
    group_column: str | None = None,
    split: str = "0.6,0.2,0.2",
    seed: int = 0,
    progress: ShowProgress = silent,
) -> CheckedFaces:
    """Inspect a faces folder, every image of it, with the groups and splits that training makes of the same options.

    Raises ValueError where it cannot be opened, and for a folder of labelled images.
    """
    store = open_store(faces)
    require_task(store, IDENTIFICATION)
    fractions, watched = numbers(split, ",", float, "split"), showing(progress, "check", "chunk")
    return CheckedFaces(
        store, inspect(store, group_column=group_column, fractions=fractions, seed=seed, progress=watched)
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
    if store.unlabelled:
        return [f"{store.folder}: {len(store.manifest):,} images of unknown people at {store.size} px"]
    labels = labels_of(store.manifest, usual_column(store.manifest))
    lines, attributes = [_contents(store)], [name for name in attributes_of(store.manifest) if name != GROUP]
    if labels.column:
        counts = Counter(labels.group_of.values())
        lines.append("people by group: " + ", ".join(f"{group} {n}" for group, n in sorted(counts.items())))
    elif attributes:
        lines.append(f"No group stands in a column 'group'; use --group-column with one of: {', '.join(attributes)}")
    else:
        lines.append("There are no groups: training needs a column to compare people by")
    return [*lines, *(f"Note: {text}" for text in (*labels.unknown, *labels.alike, *labels.majorities))]


def next_steps(store: FaceStore) -> str:
    """The commands that may follow an import; training needs people, and a column to compare them by."""
    faces, usual = quoted(store.folder), usual_column(store.manifest)
    if store.unlabelled:
        return f"dualfair quantise TRAINING --faces FACES --data {faces}"
    if not store.linked or {*attributes_of(store.manifest)} <= ({GROUP} if usual is None else set()):
        return f"dualfair faces check {faces}, then dualfair evaluate --network NETWORK --faces {faces} --out result"
    by = "" if usual else " --group-column COLUMN"
    return f"dualfair faces check {faces}{by}, then dualfair train --faces {faces}{by} --out run"


def findings(checked: CheckedFaces) -> list[str]:
    """Counts and findings of an inspection as text."""
    inspection = checked.inspection
    least, median, most = inspection.images_per_identity
    titles = ("people", "images", "people with 2 images or more")
    columns = [Column("split", "text"), Column("group", "text"), *(Column(title, "whole") for title in titles)]
    rows = [(each.split, each.group, each.identities, each.images, each.evaluable) for each in inspection.counts]
    return [
        _contents(checked.store),
        f"images a person: {least:,} to {most:,}, median {median:g}",
        *table(columns, rows).lines(),
        *finding_lines(inspection),
    ]


def finding_lines(inspection: Inspection | LabelledInspection) -> list[str]:
    """What an inspection found, a line each, and how many faults that are."""
    return [
        *(f"{'FAULT' if finding.fault else 'note '} {finding.text}" for finding in inspection.findings),
        f"{inspection.faults} faults" if inspection.faults else "No faults",
    ]


def require_task(store: FaceStore, task: str) -> None:
    """Raise ValueError where a folder holds images for another task."""
    if store.task != task:
        raise ValueError(
            f"{store.folder} holds {OF_SET[store.task]}, for {store.task}; use 'dualfair {OF_SET[store.task]} check'"
        )


def _contents(store: FaceStore) -> str:
    people = sum(not is_missing(identity) for identity in set(store.manifest.columns["identity"]))
    return f"{store.folder}: {len(store.manifest):,} images of {people:,} people at {store.size} px"
