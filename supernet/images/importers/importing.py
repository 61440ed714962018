"""From images as they lie on a disk to a faces folder: the import of any listing."""

import hashlib
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dualfair.supernet.images.decoding import TURNED
from dualfair.supernet.images.importers.journal import JOURNAL, Journal, fingerprint_of, read_journal, write_journal
from dualfair.supernet.images.importers.listing import Listing
from dualfair.supernet.images.importers.reading import read_image, stamp_of
from dualfair.supernet.images.importers.tree import skipped_lines, tidy
from dualfair.supernet.images.labels import spelled_alike
from dualfair.supernet.images.manifest import Manifest, read_table, shorten
from dualfair.supernet.images.pairs import Pairs, write_pairs
from dualfair.supernet.images.store import (
    COLUMN_OF_TASK,
    IDENTIFICATION,
    MANIFEST,
    OF_SET,
    OF_TASK,
    TASK,
    FaceStore,
    StoreWriter,
)

PAIRS = "pairs.csv"

JOURNAL_SECONDS = 30.0
"""A slow disk loses at most this much work to an interruption."""


@dataclass(frozen=True)
class ImportReport:
    """The store that came of an import, and the images that could not be read with the reason."""

    store: FaceStore
    unreadable: tuple[tuple[str, str], ...]
    pairs: Pairs | None = None
    """The pairs written beside the manifest, if the data set has any."""

    continued_from: int = 0
    """Images that an interrupted import had done before."""

    notes: tuple[str, ...] = ()
    """How images were decoded, where that took a decision, and the people of whom no image could be read."""


def with_attributes(manifest: Manifest, groups: Path, source: Path) -> Manifest:
    """The manifest with the columns of a CSV that has one row a person.

    Raises ValueError for persons of `source` that the CSV does not list (named), and for a CSV that contradicts itself.
    """
    attributes = _attributes_by_identity(groups)
    unknown = sorted(set(manifest.columns["identity"]) - set(attributes))
    if unknown:
        alike = spelled_alike({*attributes, *unknown}, "; both have persons")
        raise ValueError(
            f"{groups} has no row for {len(unknown)} of the persons in {source}: {shorten(unknown)}{''.join(alike)}"
        )
    columns = dict(manifest.columns)
    for name in next(iter(attributes.values())):
        columns[name] = tuple(attributes[identity][name] for identity in columns["identity"])
    return Manifest(columns)


def _attributes_by_identity(path: Path) -> dict[str, dict[str, str]]:
    try:
        columns = read_table(path)
        if "identity" not in columns:
            raise ValueError(f"no column 'identity'; it has: {', '.join(columns)}")
        if "path" in columns:
            raise ValueError("a column 'path' has no place here, one row is one person; for a table of images use csv")
        names = [name for name in columns if name != "identity"]
        attributes: dict[str, dict[str, str]] = {}
        for identity, *values in zip(map(tidy, columns["identity"]), *(columns[name] for name in names), strict=True):
            row = dict(zip(names, values, strict=True))
            if attributes.setdefault(identity, row) != row:
                raise ValueError(f"two different rows for identity {identity}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return attributes


def import_listing(
    listing: Listing,
    out: Path,
    *,
    size: int,
    align: bool = False,
    max_unreadable: float = 0.01,
    made_by: str = "import",
    progress: Callable[[Iterable], Iterable] = iter,
    journal_images: int = 2000,
) -> ImportReport:
    """Read the images of a listing into a faces folder of `size` px, in constant memory beside the manifest.

    With `align` each face is turned and scaled so that its landmarks fall on the usual template, otherwise the largest
    central square is taken. Images that cannot be read are left out and reported, with the pairs they are in; above
    the share `max_unreadable` ValueError is raised naming the first of them.

    A journal is kept every `journal_images` images. The same import of the same listing continues from it, and ends in
    the same bytes as an undisturbed one; it starts anew when a file has changed since, or an image that could not be
    read has become readable.
    `progress` wraps the iteration, tqdm for example. Raises ValueError for a folder that holds faces already.
    """
    out = Path(out)
    _check(listing, out, size, align)
    manifest, root = listing.manifest, listing.source
    journal, writer, stamps = _begin(listing, out, size, align)
    continued_from, unreadable, remarks = journal.done, dict(journal.unreadable), dict(journal.remarks)
    written_at = time.monotonic()
    for row in progress(range(journal.done, len(manifest))):
        reading = read_image(listing, row, size, align)
        stamps.update(reading.stamp)
        for remark in reading.remarks:
            count, first = remarks.get(remark, (0, manifest.columns["path"][row]))
            remarks[remark] = (count + 1, first)
        if reading.pixels is None:
            unreadable[row] = reading.reason
        else:
            writer.add([reading.pixels])
        done = row + 1
        if not done % journal_images or time.monotonic() - written_at > JOURNAL_SECONDS or done == len(manifest):
            writer.flush()
            journal = replace(journal, done=done, digest=writer.digest, stamps=stamps.hexdigest(), remarks=remarks)
            journal = replace(journal, unreadable=tuple(unreadable.items()))
            write_journal(out, journal)
            written_at = time.monotonic()
    named = tuple((manifest.columns["path"][row], reason) for row, reason in unreadable.items())
    if len(unreadable) > max_unreadable * len(manifest) or not writer.stored:
        listed = shorten([f"{root / name} ({reason})" for name, reason in named])
        raise ValueError(
            f"{len(unreadable)} of {len(manifest)} images cannot be read, more than the allowed share "
            f"{max_unreadable:g}: {listed}. Repair them, or raise --max-unreadable"
        )
    kept = np.array([row for row in range(len(manifest)) if row not in unreadable])
    manifest, pairs = _write_pairs(listing, kept, out)
    column, whose = COLUMN_OF_TASK[listing.task], OF_TASK[listing.task]
    lost = sorted(set(listing.manifest.columns[column]) - set(manifest.columns[column]))
    notes = (
        *(f"{count:,} images {remark}; the first is {first}" for remark, (count, first) in remarks.items()),
        *(
            ["landmarks of images that were turned are taken to be of the upright ones"]
            if align and TURNED in remarks
            else []
        ),
        *([f"of {len(lost):,} {whose} no image could be read: {shorten(lost)}"] if lost else []),
    )
    origin = {
        "made by": made_by,
        "aligned": align,
        "linked": listing.linked,
        "notes": [*listing.notes, *skipped_lines(listing.skipped), *notes],
        "skipped": listing.skipped,
        "unreadable": [f"{name} ({reason})" for name, reason in named],
        f"{whose} lost": lost,
        **({} if listing.task == IDENTIFICATION else {TASK: listing.task}),
    }
    store = writer.close(manifest, origin)
    (out / JOURNAL).unlink()
    return ImportReport(store, named, pairs, continued_from, notes)


def _check(listing: Listing, out: Path, size: int, align: bool) -> None:
    if size < 8:
        raise ValueError(f"images must be stored at 8 px or more, got {size}")
    if align and listing.landmarks is None:
        raise ValueError(f"--align needs landmarks, and none are known for {listing.source}; import without it")
    if (out / MANIFEST).exists():
        raise ValueError(
            f"{out} holds {OF_SET[listing.task]} already ({MANIFEST} is there); remove the folder, or choose another "
            "--out"
        )


def _begin(listing: Listing, out: Path, size: int, align: bool) -> tuple[Journal, StoreWriter, "hashlib._Hash"]:
    """Where an interrupted import of this listing stopped, or the beginning of one; and the digest of its stamps."""
    fresh = Journal(fingerprint_of(listing, size=size, align=align))
    journal = read_journal(out, fresh.listing)
    stamps = hashlib.sha256()
    for row in range(journal.done):
        stamps.update(stamp_of(listing, row))
    if (
        journal.stored
        and stamps.hexdigest() == journal.stamps
        and all(read_image(listing, row, size, align).pixels is None for row, _ in journal.unreadable)
    ):
        # Pixels that are gone, or not those of the journal, cannot be continued.
        with suppress(ValueError, FileNotFoundError):
            writer = StoreWriter(out, len(listing.manifest), size, keep=journal.stored, digest=journal.digest)
            return journal, writer, stamps
    return fresh, StoreWriter(out, len(listing.manifest), size), hashlib.sha256()


def _write_pairs(listing: Listing, kept: np.ndarray, out: Path) -> tuple[Manifest, Pairs | None]:
    """The manifest and pairs of the images that were kept; the pairs are written where there are any."""
    (out / PAIRS).unlink(missing_ok=True)
    manifest = listing.manifest.take(kept)
    if listing.pairs is None:
        return manifest, None
    pairs = listing.pairs.take(kept, listing.manifest)
    if len(pairs):
        write_pairs(out / PAIRS, pairs, manifest)
    return manifest, pairs
