"""Opens archives: checked by SQLite's own means, and rebuilt where they are damaged.

While a file is open a lock on `<name>-lock` is shared, and only who has it alone repairs. The evaluations that can
still be read in a damaged file go to a file of their own, which is called `<name>.rebuilt` when it is whole. From then
on every opening finishes what is left to do, since a repair can be killed at any instant too: the damaged file moves
aside as `<name>.damaged`, its write-ahead log with it, and the rebuilt one takes its place.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from dualfair.evolution.storage import APPLICATION, FORMAT, TABLES, connect, heading_of, set_up, transaction

_NO_ARCHIVE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN)
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)
_LEAST_ROW = 32
"""Bytes; every row has a digest of 16, and values or a name besides."""
_FOREIGN = "it is another program's database, or its first bytes are damaged"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[sqlite3.Connection, str]]:
    """The archive `path`, set up where it is missing or empty, and what was repaired in it: a sentence, or "".

    Raises ValueError for a file that is no archive, or is damaged while another process has it open; OSError when it
    has to be written and cannot be.
    """
    with contextlib.ExitStack() as stack:
        lock, alone = _lock(path)
        stack.callback(os.close, lock)
        repaired = _check_and_repair(path, alone)
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield stack.enter_context(contextlib.closing(connect(path))), repaired


def counted(evaluations: int) -> str:
    """A number of evaluations: "1 evaluation", "2,000 evaluations"."""
    return "1 evaluation" if evaluations == 1 else f"{evaluations:,} evaluations"


def _lock(path: Path) -> tuple[int, bool]:
    """A lock on the file's neighbour, and whether nobody else holds it; a lock held alone is still to be shared."""
    try:
        lock = os.open(_beside(path, "-lock"), os.O_RDWR | os.O_CREAT, 0o666)
    except (FileNotFoundError, NotADirectoryError):
        raise _refusal(path, "its folder is missing") from None
    except OSError as error:
        raise OSError(
            f"archive {path} cannot be opened for writing: {error.strerror}; make its folder writable, or use another"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(lock, fcntl.LOCK_SH)
        return lock, False
    except OSError:
        # A file system without flock: nobody can be asked.
        pass
    return lock, True


def _check_and_repair(path: Path, alone: bool) -> str:
    """Check an archive, and set it up or repair it where that is needed. Returns what was repaired, as a sentence."""
    try:
        repaired = _finish_repair(path) if alone else ""
        with contextlib.closing(connect(path)) as connection:
            if _is_whole(connection, path):
                return repaired
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
        # SQLite quotes rotten text in its errors, and that need not be UTF-8.
        pass
    # Bytes 68 to 71 of a SQLite file are its application id.
    if path.read_bytes()[68:72] != APPLICATION.to_bytes(4, "big"):
        raise _refusal(path, _FOREIGN)
    if not alone:
        raise ValueError(f"archive {path} is damaged, and open elsewhere; end that process, then repeat the command")
    try:
        _rebuild(path)
    except (OSError, sqlite3.Error) as error:
        reason = error.__cause__ or error
        raise OSError(f"archive {path} is damaged and could not be repaired: {reason}; it is as it was") from error
    return _finish_repair(path)


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


def _rebuild(path: Path) -> None:
    """Write what can be read in a damaged archive to a file of its own, named `<name>.rebuilt` when it is whole."""
    temporary = _beside(path, ".rebuilding")
    for ending in ("", "-journal"):
        _beside(temporary, ending).unlink(missing_ok=True)
    with contextlib.closing(connect(path, tolerant=True)) as damaged:
        measurements = _readable(damaged, "measurements", "id, name, columns, objectives, digest")
        evaluations = _readable(
            damaged, "evaluations", 'id, measurement, genotype, evaluations."values", seconds, reason, digest'
        )
    headings = {number: heading for number, *row in measurements if (heading := heading_of(*row)) is not None}

    def is_sound(evaluation: tuple) -> bool:
        _, number, genotype, values, _, reason, digest = evaluation
        return number in headings and headings[number].digest(genotype, values, reason) == digest

    with contextlib.closing(connect(temporary)) as fresh, transaction(fresh, temporary):
        set_up(fresh)
        whole = [row for row in measurements if row[0] in headings]
        fresh.executemany("INSERT OR IGNORE INTO measurements VALUES (?, ?, ?, ?, ?)", whole)
        whole = filter(is_sound, evaluations)
        fresh.executemany("INSERT OR IGNORE INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?)", whole)
    os.replace(temporary, _beside(path, ".rebuilt"))
    _fsync_folder(path.parent)


def _readable(damaged: sqlite3.Connection, table: str, columns: str) -> list[tuple]:
    """The rows of a table, in the order of their ids, but for those that SQLite cannot read."""
    rows: list[tuple] = []
    pages, size = (damaged.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    # Ids are given out one after another, so none is higher than there is room for rows.
    for number in range(1, pages * size // _LEAST_ROW):
        with contextlib.suppress(sqlite3.DatabaseError, UnicodeDecodeError):
            rows += damaged.execute(f"SELECT {columns} FROM {table} WHERE id = ?", (number,)).fetchall()
    return rows


def _finish_repair(path: Path) -> str:
    """Go on with a repair that was begun and killed; a sentence that says what was done, "" where there is none."""
    rebuilt = _beside(path, ".rebuilt")
    if not rebuilt.exists():
        return ""
    names = [_beside(path, ".damaged")]
    while names[-1].exists():
        names.append(_beside(path, f".damaged-{len(names) + 1}"))
    # The last one taken is it where the file has moved there already.
    aside = names[-1] if path.exists() or len(names) == 1 else names[-2]
    for ending in ("-wal", ""):
        part = _beside(path, ending)
        if part.exists() and part.stat().st_size:
            os.rename(part, _beside(aside, ending))
            _fsync_folder(path.parent)
    os.rename(rebuilt, path)
    _fsync_folder(path.parent)
    with contextlib.closing(connect(path)) as connection:
        kept = connection.execute("SELECT count(*) FROM evaluations").fetchone()[0]
    return (
        f"{path.name} was damaged: {counted(kept)} could be read and kept, the rest will be scored again; the damaged "
        f"file lies in {aside}"
    )


def _refusal(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{path} cannot be used as an archive of evaluations: {reason}; give another file in an existing folder, or "
        "move this one away"
    )


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
