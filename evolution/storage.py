"""How evaluations lie in a SQLite file: tables, digests, transactions; and how such a file is checked on opening.

Table `measurements` has one row for everything that scores were taken with (weights, faces, calibration: the caller
words it), table `evaluations` one row for every genotype scored under it. Values are JSON text; NaN and infinities,
which JSON lacks, are the strings "nan", "inf" and "-inf". Every row carries a digest of what it says, so that a row
that rotted is told from one that was written.

Why SQLite: the standard library has it, a write is whole or not there after a kill at any instant, and with a
write-ahead log readers never wait for the writer.

A file that SQLite finds damaged is set aside as `<name>.damaged`, and a fresh one begun with what can still be read of
it: whoever has the run has the file to itself, so nobody else is asked.
"""

import contextlib
import hashlib
import json
import os
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

_NO_ARCHIVE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN)
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)
_LEAST_ROW = 32
"""Bytes; every row has a digest of 16, and values or a name besides."""
_FOREIGN = "it is another program's database, or its first bytes are damaged"

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


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[sqlite3.Connection, str]]:
    """The archive `path`, set up where it is missing or empty, and what was repaired in it: a sentence, or "".

    Raises ValueError for a file that is no archive; OSError when it has to be written and cannot be.
    """
    if not path.parent.is_dir():
        raise _refusal(path, "its folder is missing")
    if not os.access(path.parent, os.W_OK):
        raise OSError(
            f"archive {path} cannot be opened for writing: Permission denied; make its folder writable, or use another"
        )
    if (rebuilt := _beside(path, ".rebuilt")).exists() and not path.exists():
        # A repair was killed before its last step.
        os.rename(rebuilt, path)
    repaired = _check_and_repair(path)
    with contextlib.closing(connect(path)) as connection:
        yield connection, repaired


def counted(evaluations: int) -> str:
    """A number of evaluations: "1 evaluation", "2,000 evaluations"."""
    return "1 evaluation" if evaluations == 1 else f"{evaluations:,} evaluations"


def _check_and_repair(path: Path) -> str:
    """Check an archive, and set it up or repair it where that is needed. Returns what was repaired, as a sentence."""
    try:
        with contextlib.closing(connect(path)) as connection:
            if _is_whole(connection, path):
                return ""
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in _NO_ARCHIVE:
            raise _refusal(path, str(error)) from error
        if code not in _DAMAGE:
            raise OSError(
                f"archive {path} cannot be opened: {error}; see that there is space and that its folder can be "
                "written, then repeat the command"
            ) from error
    except UnicodeDecodeError:
        # SQLite quotes rotten text in its errors, and that need not be UTF-8: damage, which is repaired below.
        pass
    # Bytes 68 to 71 of a SQLite file are its application id.
    if path.read_bytes()[68:72] != APPLICATION.to_bytes(4, "big"):
        raise _refusal(path, _FOREIGN)
    try:
        return _repair(path)
    except (OSError, sqlite3.Error) as error:
        reason = error.__cause__ or error
        raise OSError(
            f"archive {path} is damaged and could not be repaired: {reason}; nothing of it is lost"
        ) from error


def _is_whole(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether an archive is as it was written, by SQLite's own check of it; an empty file is set up to be one.

    Raises ValueError for a file that is no archive, sqlite3.Error when it cannot be read.
    """
    application, version, pages = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version", "page_count")
    )
    tables = {statement for (statement,) in connection.execute("SELECT sql FROM sqlite_master")}
    if application == 0 and not tables and pages <= 1:
        with transaction(connection, path):
            set_up(connection)
    elif application != APPLICATION:
        raise _refusal(path, _FOREIGN)
    elif version != FORMAT:
        raise _refusal(path, f"it is archive format {version}, and only format {FORMAT} is known")
    elif not tables >= set(TABLES):
        return False
    connection.execute("PRAGMA journal_mode = WAL")
    if any(heading_of(*row) is None for _, *row in connection.execute("SELECT * FROM measurements")):
        return False
    # Unlike quick_check this finds an index that leads elsewhere, on which later writes would fail again and again.
    return connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"


def _repair(path: Path) -> str:
    """Set a damaged archive aside and put what can be read of it in its place; a sentence that says so."""
    rebuilt = _beside(path, ".rebuilt")
    for ending in ("", "-journal"):
        _beside(rebuilt, ending).unlink(missing_ok=True)
    with contextlib.closing(connect(path, tolerant=True)) as damaged:
        measurements = _readable(damaged, "measurements", "id, name, columns, objectives, digest")
        evaluations = _readable(
            damaged, "evaluations", 'id, measurement, genotype, evaluations."values", seconds, reason, digest'
        )
    headings = {number: heading for number, *row in measurements if (heading := heading_of(*row)) is not None}

    def is_sound(evaluation: tuple) -> bool:
        _, number, genotype, values, _, reason, digest = evaluation
        return number in headings and headings[number].digest(genotype, values, reason) == digest

    whole = [row for row in evaluations if is_sound(row)]
    with contextlib.closing(connect(rebuilt)) as fresh:
        with transaction(fresh, rebuilt):
            set_up(fresh)
            known = [row for row in measurements if row[0] in headings]
            fresh.executemany("INSERT OR IGNORE INTO measurements VALUES (?, ?, ?, ?, ?)", known)
            fresh.executemany("INSERT OR IGNORE INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?)", whole)
        kept = fresh.execute("SELECT count(*) FROM evaluations").fetchone()[0]
    aside, number = _beside(path, ".damaged"), 1
    while aside.exists():
        number += 1
        aside = _beside(path, f".damaged-{number}")
    # The log goes first: beside another file SQLite would take it for the log of that one.
    for ending in ("-wal", ""):
        if _beside(path, ending).exists():
            os.rename(_beside(path, ending), _beside(aside, ending))
    os.rename(rebuilt, path)
    return (
        f"{path.name} was damaged: {counted(kept)} could be read and kept, the rest will be scored again; the damaged "
        f"file lies in {aside}"
    )


def _readable(damaged: sqlite3.Connection, table: str, columns: str) -> list[tuple]:
    """The rows of a table, in the order of their ids, but for those that SQLite cannot read."""
    rows: list[tuple] = []
    pages, size = (damaged.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    # Ids are given out one after another, so none is higher than there is room for rows.
    for number in range(1, pages * size // _LEAST_ROW):
        with contextlib.suppress(sqlite3.DatabaseError, UnicodeDecodeError):
            rows += damaged.execute(f"SELECT {columns} FROM {table} WHERE id = ?", (number,)).fetchall()
    return rows


def _refusal(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{path} cannot be used as an archive of evaluations: {reason}; give another file in an existing folder, or "
        "move this one away"
    )


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
