"""Files that are whole or not there: temporary file, fsync, rename, fsync of the folder; JSON read with care; and
names on one line.

Needs no torch.
"""

import csv
import errno
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, TextIO

TEMPORARY = ".tmp"
"""The ending of a file that is being written; one that lies about was left by a process that was killed."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of system errors that say so: disk full, quota used up, file larger than allowed."""


class NoRoom(OSError):
    """A file could not be written because the disk, a quota or a limit is full; what was there before is whole."""


class Output:
    """A binary file to write to, front to back, that hashes what it is given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.written = 0
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of `data`. A failure is kept in `error`, for callers whose own error hides it."""
        try:
            self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        self._digest.update(data)
        self.written += memoryview(data).nbytes
        return self.written

    def flush(self) -> None:
        """Do nothing: libraries call it often. `sync` brings everything to the disk."""

    def sync(self) -> None:
        """Bring what was written to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    @property
    def sha256(self) -> str:
        """SHA-256 of all that was written, in hexadecimal."""
        return self._digest.hexdigest()


@contextmanager
def replacing(path: Path, expected: int = 0) -> Iterator[Output]:
    """Give a temporary file beside `path` to write to, and move it there in one step when the block ends well.

    After a kill at any instant `path` holds either its old content or all of the new. Raises NoRoom, with the bytes
    that are free and those that are needed (`expected`, or what was written so far), when there is no room for it.
    """
    if path.exists() and not path.is_file():
        # A device or a pipe has no content to keep.
        with open(path, "wb") as file:
            yield Output(file)
        return
    temporary = path.with_name(path.name + TEMPORARY)
    output = None
    try:
        with open(temporary, "wb") as file:
            output = Output(file)
            yield output
            output.sync()
        os.replace(temporary, path)
    except Exception as error:
        cause = output.error if output and output.error else error
        if isinstance(cause, OSError) and cause.errno in NO_ROOM:
            temporary.unlink(missing_ok=True)
            raise _no_room(path, cause, max(expected, output.written if output else 0)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, all of it or nothing; see `replacing`."""
    with replacing(path, len(data)) as file:
        file.write(data)


def write_json(path: Path, value: object) -> None:
    """Write a value as strict JSON, all of it or nothing.

    Numbers that JSON lacks become "inf", "-inf" or "nan", which float() reads back.
    """
    write_bytes(path, (json.dumps(_named(value), indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> object:
    """What a JSON file holds. Raises ValueError with the reason alone, without the path, when it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except OSError as error:
        raise ValueError(error.strerror) from None


def csv_writer(file: TextIO) -> "csv._writer":
    r"""What writes rows as lines that end in \n.

    Up to Python 3.12 csv leaves a lone \r in a field without quotes, which tears its row, unless lines end in one.
    """
    return csv.writer(SimpleNamespace(write=lambda line: file.write(line.removesuffix("\r\n") + "\n")))


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV, the header being the first row, all of it or nothing."""
    text = io.StringIO(newline="")
    csv_writer(text).writerows(rows)
    write_bytes(path, text.getvalue().encode())


def on_one_line(text: str) -> str:
    r"""A name or a sentence that breaks no line: line breaks and characters that cannot be printed escaped, as \n."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def append_line(path: Path, line: str) -> None:
    """Append a line to a text file; one that a kill or a full disk cut short before is left as a line of its own."""
    try:
        with open(path, "a+b") as file:
            last = b"\n"
            if file.tell():
                file.seek(-1, os.SEEK_END)
                last = file.read(1)
            file.write((b"" if last == b"\n" else b"\n") + line.encode() + b"\n")
    except OSError as error:
        if error.errno in NO_ROOM:
            raise _no_room(path, error, len(line) + 1) from error
        raise


def remove_temporaries(folder: Path) -> None:
    """Delete what killed writers left in a folder. Only for the one process that writes there."""
    for path in folder.glob("*" + TEMPORARY):
        with suppress(FileNotFoundError):
            path.unlink()


def _no_room(path: Path, error: OSError, needed: int) -> NoRoom:
    free = shutil.disk_usage(path.parent).free
    return NoRoom(
        f"{path} cannot be written ({os.strerror(error.errno)}): about {needed:,} bytes are needed, {free:,} are free "
        f"in {path.parent}; make room and run the same command again"
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _named(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _named(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_named(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
