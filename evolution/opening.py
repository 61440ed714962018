"""Opens archives: one after another through the door, checked and repaired first, then many at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dualfair.evolution.salvage import finish, repair
from dualfair.evolution.storage import (
    APPLICATION,
    FORMAT,
    application_and_format,
    connect,
    fresh_schema,
    headings,
    schema,
    set_up,
)

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)
_NO_ARCHIVE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN)
_FOREIGN = "it is another program's database, or its first bytes are damaged"


@dataclass(frozen=True)
class Opened:
    """An open archive file: its connection, and what was repaired on opening ("" for nothing)."""

    connection: sqlite3.Connection
    repaired: str
    closing: contextlib.ExitStack

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        self.closing.close()


def open_file(path: Path | None, *, writing: bool = True) -> Opened:
    """Open the archive `path`, or one in memory for None; a missing or empty file is set up where it is for `writing`.

    While it is open a lock on `<name>-lock` is shared. Whoever opens a file that nobody else has open repairs it.
    Raises ValueError for a file that is no archive, or is damaged while another process has it open; OSError when it
    has to be written and cannot be.
    """
    with contextlib.ExitStack() as stack:
        repaired = ""
        if path is not None:
            lock, exclusive = _lock(path)
            if lock is not None:
                stack.callback(os.close, lock)
            repaired = _check_and_repair(path, exclusive, writing)
            if lock is not None:
                fcntl.flock(lock, fcntl.LOCK_SH)
        connection = stack.enter_context(contextlib.closing(connect(path)))
        if path is None:
            set_up(connection, None)
        return Opened(connection, repaired, stack.pop_all())


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Opened]:
    """The archive `path` as it is, opened to be read; one in a folder that cannot be written is copied elsewhere first.

    Raises ValueError when there is no such file or it is no archive.
    """
    if not path.is_file() and not path.with_name(path.name + ".rebuilt").is_file():
        raise ValueError(f"there is no archive {path}; run a search first")
    with contextlib.ExitStack() as stack:
        if not os.access(path.parent, os.W_OK):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for part in (path.with_name(path.name + ending) for ending in ("", "-wal", ".rebuilt")):
                if part.is_file():
                    shutil.copyfile(part, folder / part.name)
            path = folder / path.name
        yield stack.enter_context(contextlib.closing(open_file(path, writing=False)))


def _lock(path: Path) -> tuple[int | None, bool]:
    """A lock on the file's neighbour, and whether nobody else holds it; a lock held alone is still to be shared."""
    if not path.parent.is_dir() or path.is_dir():
        return None, True
    try:
        lock = os.open(path.with_name(path.name + "-lock"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OSError(
            f"archive {path} cannot be opened for writing: {error.strerror}; make its folder writable, or use another"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock, True
    except BlockingIOError:
        fcntl.flock(lock, fcntl.LOCK_SH)
        return lock, False
    except OSError:
        # A file system without flock: nobody can be asked.
        os.close(lock)
        return None, True


def _check_and_repair(path: Path, exclusive: bool, writing: bool) -> str:
    """Check an archive, and repair it or set it up where that is needed. Returns what was repaired, as a sentence."""
    try:
        repaired = finish(path) if exclusive else ""
        with contextlib.closing(connect(path)) as connection:
            if _admit(connection, path, writing):
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
    if not exclusive:
        raise ValueError(f"archive {path} is damaged, and open elsewhere; end that process, then repeat the command")
    if not _is_marked(path):
        raise _refusal(path, _FOREIGN)
    return repair(path)


def _is_marked(path: Path) -> bool:
    """Whether a damaged file says that it is an archive, or no longer says anything."""
    with contextlib.closing(connect(path, tolerant=True)) as connection:
        try:
            return application_and_format(connection)[0] == APPLICATION
        except sqlite3.DatabaseError:
            return True


def _admit(connection: sqlite3.Connection, path: Path, writing: bool) -> bool:
    """Let in an archive that is whole, with an empty file set up to be one; False for one that is damaged.

    Raises ValueError for a file that is no archive, sqlite3.Error when it cannot be read.
    """
    application, version = application_and_format(connection)
    tables = schema(connection)
    if application == 0 and not tables and connection.execute("PRAGMA page_count").fetchone()[0] <= 1:
        if not writing:
            raise _refusal(path, "it is empty")
        set_up(connection, path)
    elif application != APPLICATION:
        raise _refusal(path, _FOREIGN)
    elif version != FORMAT:
        raise _refusal(path, f"it is archive format {version}, and only format {FORMAT} is known")
    elif not set(tables) >= set(fresh_schema()):
        return False
    headings(connection)
    if writing:
        connection.execute("PRAGMA journal_mode = WAL")
    return connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"


def _refusal(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{path} cannot be used as an archive of evaluations: {reason}; give another file in an existing folder, or "
        "move this one away"
    )
