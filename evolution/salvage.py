"""Damaged archives: kept aside, and built anew from everything that SQLite still reads in them and that is sound.

A repair can be killed at any instant. The sound rows are first written to a file of their own, which takes the name
`<name>.rebuilt` when it is whole; from then on every opening finishes what is left to do: the damaged file moves aside
as `<name>.damaged`, its write-ahead log with it, and the rebuilt one takes its place.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from dualfair.evolution.storage import (
    Row,
    connect,
    fresh_schema,
    heading_of,
    insert_heading,
    insert_rows,
    set_up,
    transaction,
)

_LEAST_ROW = 32
"""Bytes; every row has a digest of 16, and values or a name besides."""


def repair(path: Path) -> str:
    """Build a damaged archive anew; nobody else may have it open. Returns a sentence that says what was done.

    Raises OSError when the repair cannot be written.
    """
    try:
        _build(path)
    except (OSError, sqlite3.Error) as error:
        reason = error.__cause__ or error
        raise OSError(f"archive {path} is damaged and could not be repaired: {reason}; it is as it was") from error
    return finish(path)


def finish(path: Path) -> str:
    """Go on with a repair that was begun and killed; "" where there is none.

    The damaged file and its log move aside, whichever are still in place, and the rebuilt one takes their place.
    """
    rebuilt = _beside(path, ".rebuilt")
    if not rebuilt.exists():
        return ""
    aside = _aside(path)
    # The log moves first: after a kill in between, the file that is still there leads to the same name.
    for ending in ("-wal", ""):
        part = _beside(path, ending)
        if part.exists() and part.stat().st_size:
            os.rename(part, _beside(aside, ending))
            _fsync_folder(path.parent)
    os.rename(rebuilt, path)
    _fsync_folder(path.parent)
    with contextlib.closing(connect(path)) as connection:
        count = connection.execute("SELECT count(*) FROM evaluations").fetchone()[0]
    return (
        f"{path.name} was damaged: {count:,} evaluation{'s were' if count != 1 else ' was'} read back; the rest will "
        f"be scored again; the damaged file is kept as {aside.name}"
    )


def _aside(path: Path) -> Path:
    """The first free name for the damaged file; the last taken one where it has moved there already."""
    names = [_beside(path, ".damaged")]
    while names[-1].exists():
        names.append(_beside(path, f".damaged-{len(names) + 1}"))
    return names[-1] if path.exists() or len(names) == 1 else names[-2]


def _build(path: Path) -> None:
    """Write the sound rows to a file of their own, and name it `<name>.rebuilt` when it is whole and on the disk."""
    temporary = _beside(path, ".rebuilding")
    for ending in ("", "-journal"):
        _beside(temporary, ending).unlink(missing_ok=True)
    with contextlib.closing(connect(temporary)) as connection:
        set_up(connection, temporary)
        with transaction(connection, temporary), _copy(path) as damaged:
            rows = _readable(damaged, "measurements")
            headings = {number: heading for number, *row in rows if (heading := heading_of(*row)) is not None}
            for number, heading in headings.items():
                insert_heading(connection, heading, number)
            for _, number, *row, stored_digest in _readable(damaged, "evaluations"):
                if number in headings and Row(*row).digest(headings[number]) == stored_digest:
                    insert_rows(connection, number, headings[number], [Row(*row)])
    os.replace(temporary, _beside(path, ".rebuilt"))
    _fsync_folder(path.parent)


@contextlib.contextmanager
def _copy(path: Path) -> Iterator[sqlite3.Connection]:
    """A damaged archive in memory, with tables as they were made; an empty one when SQLite gives up on it."""
    with (
        contextlib.closing(connect(path, tolerant=True)) as damaged,
        contextlib.closing(connect(None, tolerant=True)) as copy,
    ):
        try:
            damaged.backup(copy)
            copy.execute("DELETE FROM sqlite_master")
            copy.executemany("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", fresh_schema())
            # What is read next finds these tables, or goes without one that began behind the end of the file.
            copy.execute("PRAGMA writable_schema = RESET")
            copy.execute("PRAGMA writable_schema = ON")
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            with contextlib.closing(connect(None)) as fresh:
                set_up(fresh, None)
                yield fresh
            return
        yield copy


def _readable(damaged: sqlite3.Connection, table: str) -> Iterator[tuple]:
    """The rows of a table in the order of their numbers, but for those that SQLite cannot read."""
    size = [damaged.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")]
    # Numbers are given out one after another, so none is higher than there is room for rows.
    for number in range(1, size[0] * size[1] // _LEAST_ROW):
        with contextlib.suppress(sqlite3.DatabaseError, UnicodeDecodeError):
            yield from damaged.execute(f"SELECT * FROM {table} WHERE id = ?", (number,)).fetchall()


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
