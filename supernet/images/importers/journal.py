"""The journal of an import: how far it came, so that the same import can go on after it was killed."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dualfair.supernet.images.importers.listing import Listing

JOURNAL = "import.json.tmp"


@dataclass(frozen=True)
class Journal:
    """The state of an import after `done` rows of its listing."""

    listing: str
    """What is imported: `fingerprint_of` the listing and the options."""

    done: int = 0
    digest: str = ""
    """SHA-256 of the pixels stored so far."""

    unreadable: tuple[tuple[int, str], ...] = ()
    """Rows among the done ones that could not be read, each with the reason."""

    stamps: str = ""
    """SHA-256 over the `stamp` of every done row: the files are those that were read."""

    remarks: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """What was done to decode images: how many of the done rows, and the first path."""

    @property
    def stored(self) -> int:
        return self.done - len(self.unreadable)


def fingerprint_of(listing: Listing, *, size: int, align: bool) -> str:
    """SHA-256 of all that decides what an import stores, except the images themselves."""
    digest = hashlib.sha256(json.dumps([str(listing.source.resolve()), size, align]).encode())
    digest.update(json.dumps(dict(listing.manifest.columns)).encode())
    if align:
        digest.update(listing.landmarks.tobytes())
    return digest.hexdigest()


def write_journal(folder: Path, journal: Journal) -> None:
    """Replace the journal of a folder at once: a reader finds the old one or this one, never a part."""
    part = folder / (JOURNAL + ".part")
    with open(part, "w", encoding="utf-8") as file:
        json.dump(asdict(journal), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / JOURNAL)


def read_journal(folder: Path, listing: str) -> Journal:
    """The journal of an interrupted import of this listing, or an empty one when there is none that fits."""
    try:
        values = json.loads((folder / JOURNAL).read_text(encoding="utf-8"))
        unreadable = tuple((int(row), str(reason)) for row, reason in values["unreadable"])
        remarks = {remark: (int(count), str(first)) for remark, (count, first) in values["remarks"].items()}
        journal = Journal(values["listing"], values["done"], values["digest"], unreadable, values["stamps"], remarks)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return Journal(listing)
    return journal if journal.listing == listing else Journal(listing)
