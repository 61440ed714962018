"""How evaluations lie in a SQLite file: tables, digests, transactions.

Table `measurements` has one row for everything that scores were taken with (weights, faces, calibration: the caller
words it), table `evaluations` one row for every genotype scored under it. Values are JSON text; NaN and infinities,
which JSON lacks, are the strings "nan", "inf" and "-inf". Every row carries a digest of what it says, so that a row
that rotted is told from one that was written.

Why SQLite: the standard library has it, a write is whole or not there after a kill at any instant, and with a
write-ahead log readers never wait for the writer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

APPLICATION = 0x44464152
"""What marks a SQLite file as an archive: its application id, "DFAR"."""

FORMAT = 2
"""The one format that is read and written: the `user_version` of the file."""

_TABLES = (
    """CREATE TABLE measurements (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, columns TEXT NOT NULL, objectives INTEGER NOT NULL,
        digest TEXT NOT NULL)""",
    """CREATE TABLE evaluations (
        id INTEGER PRIMARY KEY, measurement INTEGER NOT NULL REFERENCES measurements, genotype TEXT NOT NULL,
        "values" TEXT NOT NULL, seconds REAL, reason TEXT, digest TEXT NOT NULL, UNIQUE (measurement, genotype))""",
)

_ADVICE = {
    "full": "free some space, then repeat the command",
    "readonly": "make the file and its folder writable, then repeat the command",
    "locked": "another process is writing to it; wait for that one, then repeat the command",
}


ROWS = 'SELECT id, genotype, "values", seconds, reason, digest FROM evaluations WHERE measurement = ?'
"""Asks for the evaluations of a measurement: row id, the parts of a `Row`, stored digest."""


class Heading(NamedTuple):
    """What evaluations were measured with, the names of their values, and how many of those are objectives."""

    name: str
    columns: tuple[str, ...]
    objectives: int


class Row(NamedTuple):
    """An evaluation as it lies in a file: `genotype` and `values` are text, unknown `seconds` None."""

    genotype: str
    values: str
    seconds: float | None
    reason: str | None

    def digest(self, heading: Heading) -> str:
        """What the row carries as its digest when it belongs to `heading`. The seconds do not count."""
        return _digest(*heading, self.genotype, self.values, self.reason)


def values_text(values: Sequence[float]) -> str:
    """Values as they are stored: strict JSON from which every float64 comes back bit for bit."""
    return json.dumps([value if math.isfinite(value) else str(value) for value in values])


def values_of(text: str) -> tuple[float, ...]:
    """The values that `values_text` wrote."""
    return tuple(float(value) for value in json.loads(text))


def connect(path: Path | None, *, tolerant: bool = False) -> sqlite3.Connection:
    """An open connection to a file, or to memory for None, whose commits survive a power cut.

    A `tolerant` one is for reading: it opens files whose schema is broken or whose end is missing.
    """
    # isolation_level None leaves transactions to `transaction`; a writer waits up to a minute for another. An archive
    # that nobody closed is closed by the garbage collector, in whichever thread that happens to run.
    connection = sqlite3.connect(
        ":memory:" if path is None else path, timeout=60, isolation_level=None, check_same_thread=False
    )
    # Rotten text need not be UTF-8; its digest tells that it is rotten.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.execute("PRAGMA writable_schema = ON" if tolerant else "PRAGMA synchronous = FULL")
    return connection


def set_up(connection: sqlite3.Connection, path: Path | None) -> None:
    """Make the tables of an empty file, all of them or nothing."""
    with transaction(connection, path):
        for statement in (
            *_TABLES,
            f"PRAGMA application_id = {APPLICATION}",
            f"PRAGMA user_version = {FORMAT}",
        ):
            connection.execute(statement)


def application_and_format(connection: sqlite3.Connection) -> tuple[int, int]:
    """What the file says that it is: application id and format."""
    return tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))


def schema(connection: sqlite3.Connection) -> list[tuple]:
    """The rows in which SQLite keeps what tables there are, and on which pages they begin."""
    return connection.execute("SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master").fetchall()


def fresh_schema() -> list[tuple]:
    """The rows of `schema` in an archive, equal in every one: `set_up` makes the same tables in the same order."""
    with contextlib.closing(connect(None)) as connection:
        set_up(connection, None)
        return schema(connection)


def heading_of(name: object, columns: object, objectives: object, stored_digest: object) -> Heading | None:
    """What the row of a measurement says, None when that is not what was written."""
    try:
        heading = Heading(name, tuple(json.loads(columns)), objectives)
    except (TypeError, ValueError, RecursionError):
        return None
    return heading if _digest(*heading) == stored_digest else None


def headings(connection: sqlite3.Connection) -> list[tuple[int, Heading]]:
    """Number and heading of every measurement, in order. Raises sqlite3.DatabaseError when one has rotted."""
    numbered = []
    for number, *row in connection.execute("SELECT * FROM measurements ORDER BY id").fetchall():
        heading = heading_of(*row)
        if heading is None:
            raise sqlite3.DatabaseError(f"measurement {number} does not say what was written")
        numbered.append((number, heading))
    return numbered


def rows_of(connection: sqlite3.Connection, measurement: int) -> Iterator[tuple[int, Row, str]]:
    """Row id, row and stored digest of every evaluation of a measurement, in order of insertion."""
    for row_id, *row, stored_digest in connection.execute(f"{ROWS} ORDER BY id", (measurement,)).fetchall():
        yield row_id, Row(*row), stored_digest


def claim(connection: sqlite3.Connection, heading: Heading, path: Path | None) -> int:
    """The number of a measurement, made when it is missing; within a transaction.

    Raises ValueError when the file holds it with other columns.
    """
    insert_heading(connection, heading)
    number, stored = next(numbered for numbered in headings(connection) if numbered[1].name == heading.name)
    if stored != heading:
        raise ValueError(
            f"archive {path} holds measurement {heading.name!r} with columns {', '.join(stored.columns)} "
            f"({stored.objectives} objectives), got {', '.join(heading.columns)} ({heading.objectives} objectives); "
            "use the same columns, or name another measurement"
        )
    return number


def insert_heading(connection: sqlite3.Connection, heading: Heading, number: int | None = None) -> None:
    """Add a measurement where its name is not there yet; numbers are given out in order unless stated."""
    connection.execute(
        "INSERT INTO measurements (id, name, columns, objectives, digest) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (number, heading.name, json.dumps(heading.columns), heading.objectives, _digest(*heading)),
    )


def insert_rows(connection: sqlite3.Connection, measurement: int, heading: Heading, rows: Iterable[Row]) -> None:
    """Add evaluations to a measurement; those of known genotypes are left out."""
    connection.executemany(
        'INSERT INTO evaluations (measurement, genotype, "values", seconds, reason, digest) '
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(measurement, *row, row.digest(heading)) for row in rows],
    )


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, path: Path | None) -> Iterator[None]:
    """All that is written inside, or nothing. Raises OSError naming the file when it cannot be written."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        # SQLite has ended the transaction itself after some errors.
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            advice = next((text for word, text in _ADVICE.items() if word in str(error)), "repeat the command")
            raise OSError(
                f"archive {path} could not be written: {error}; what it held before is whole; {advice}"
            ) from error
        raise


def _digest(*parts: object) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of `parts`."""
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()[:16]
