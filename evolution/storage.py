"""How evaluations lie in a SQLite file: tables, digests, transactions.

Table `measurements` has one row for everything that scores were taken with (weights, faces, calibration: the caller
words it), table `evaluations` one row for every genotype scored under it. Values are JSON text; NaN and infinities,
which JSON lacks, are the strings "nan", "inf" and "-inf". Every row carries a digest of what it says, so that a row
that rotted is told from one that was written.

Why SQLite: the standard library has it, a write is whole or not there after a kill at any instant, and with a
write-ahead log readers never wait for the writer.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

APPLICATION = 0x44464152
"""What marks a SQLite file as an archive: its application id, "DFAR"."""

FORMAT = 2
"""The one format that is read and written: the `user_version` of the file."""

TABLES = (
    """CREATE TABLE measurements (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, columns TEXT NOT NULL, objectives INTEGER NOT NULL,
        digest TEXT NOT NULL)""",
    """CREATE TABLE evaluations (
        id INTEGER PRIMARY KEY, measurement INTEGER NOT NULL REFERENCES measurements, genotype TEXT NOT NULL,
        "values" TEXT NOT NULL, seconds REAL, reason TEXT, digest TEXT NOT NULL, UNIQUE (measurement, genotype))""",
)
"""The statements that make the tables. SQLite keeps them letter by letter: a file that has others is damaged."""

_ADVICE = {
    "full": "free some space, then repeat the command",
    "readonly": "make the file and its folder writable, then repeat the command",
    "locked": "another process is writing to it; wait for that one, then repeat the command",
}


class Heading(NamedTuple):
    """What evaluations were measured with, the names of their values, and how many of those are objectives."""

    name: str
    columns: tuple[str, ...]
    objectives: int

    def digest(self, *evaluation: str | None) -> str:
        """The digest of the heading's own row, or of the row of an evaluation: its genotype, values and reason.

        It is the first 16 hexadecimal digits of the SHA-256 of all that.
        """
        return hashlib.sha256(json.dumps((*self, *evaluation), default=repr).encode()).hexdigest()[:16]


def connect(path: Path, *, tolerant: bool = False) -> sqlite3.Connection:
    """An open connection to a file, whose commits survive a power cut.

    A `tolerant` one is for reading: it opens files whose schema is broken or whose end is missing.
    """
    # isolation_level None leaves transactions to `transaction`; a writer waits up to a minute for another. An archive
    # that nobody closed is closed by the garbage collector, in whichever thread that happens to run.
    connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    # Rotten text need not be UTF-8; its digest tells that it is rotten.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.execute("PRAGMA writable_schema = ON" if tolerant else "PRAGMA synchronous = FULL")
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
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


def set_up(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty file; within a transaction."""
    for statement in (*TABLES, f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {FORMAT}"):
        connection.execute(statement)


def heading_of(name: object, columns: object, objectives: object, stored_digest: object) -> Heading | None:
    """What the row of a measurement says, None when that is not what was written."""
    try:
        heading = Heading(name, tuple(json.loads(columns)), objectives)
    except (TypeError, ValueError, RecursionError):
        return None
    return heading if heading.digest() == stored_digest else None


def glance(path: Path) -> list[tuple[str, int, float | None]]:
    """Name, number of evaluations and their mean seconds of every measurement in an archive, the latest one first.

    Reads only: nothing is locked, repaired or made, and a search may be at work. Raises ValueError when SQLite cannot
    read the file.
    """
    # Reading in WAL mode makes files beside the archive, unless none of its writers left any.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=10)) as connection:
            return connection.execute(
                "SELECT name, count(evaluations.id), avg(seconds) FROM measurements LEFT JOIN evaluations "
                "ON measurement = measurements.id GROUP BY measurements.id ORDER BY measurements.id DESC"
            ).fetchall()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
