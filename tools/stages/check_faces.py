"""What a faces folder holds and what is wrong with it: every image is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dualfair.runs.config import numbers
from dualfair.runs.watching import ShowProgress, showing, silent
from dualfair.supernet.images.inspection import Inspection, inspect
from dualfair.supernet.images.store import FaceStore, open_store


@dataclass(frozen=True)
class CheckedFaces:
    """A faces folder and what its inspection came to."""

    store: FaceStore
    inspection: Inspection


def check_faces(
    faces: Path,
    *,
    group_column: str | None = None,
    split: str = "0.6,0.2,0.2",
    seed: int = 0,
    progress: ShowProgress = silent,
) -> CheckedFaces:
    """Inspect a faces folder, with the groups and splits that training makes of the same options.

    Raises ValueError where it cannot be opened.
    """
    store = open_store(faces)
    inspection = inspect(
        store,
        group_column=group_column,
        fractions=numbers(split, ",", float, "split"),
        seed=seed,
        progress=showing(progress, "check", "chunk"),
    )
    return CheckedFaces(store, inspection)


def lines(checked: CheckedFaces) -> list[str]:
    """Counts and findings as text."""
    store, inspection = checked.store, checked.inspection
    least, median, most = inspection.images_per_identity
    people = len(set(store.manifest.columns["identity"]))
    header = ("split", "group", "people", "images", "people with 2 images or more")
    rows = [
        (count.split, count.group, f"{count.identities:,}", f"{count.images:,}", f"{count.evaluable:,}")
        for count in inspection.counts
    ]
    return [
        f"{store.folder}: {len(store.manifest):,} images of {people:,} people at {store.size} px",
        f"images a person: {least:,} to {most:,}, median {median:g}",
        *_columns([header, *rows]),
        *(f"{'FAULT' if finding.fault else 'note '} {finding.text}" for finding in inspection.findings),
        f"{inspection.faults} faults" if inspection.faults else "No faults",
    ]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines: split and group to the left, counts to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
