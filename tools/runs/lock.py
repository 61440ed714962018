"""One writer a folder: a lock file names the process that works there. Needs no torch.

The library filelock does not do instead: its native lock takes over one that another host holds, its soft one says of a
process that was killed neither that its lock is taken over nor, before version 4, that it is gone, and neither names
the command, by which `dualfair status` knows what runs.
"""

import fcntl
import json
import os
import shlex
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dualfair.runs.records.codec import Record


@dataclass(frozen=True)
class Holder(Record):
    """A process: its host, its number there, when it was started (boot and clock tick), and its command."""

    host: str
    pid: int
    started: str
    command: str

    @property
    def here(self) -> bool:
        """Whether it belongs to this host."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it still runs; one of another host counts as running."""
        return not self.here or (bool(self.started) and started(self.pid) == self.started)


@contextmanager
def locked(path: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Hold the lock of a folder, which is made if need be; `path` is its lock file.

    A lock whose process is gone is taken over, and `say` says so. Raises ValueError, naming host and process, when
    another process holds it; one of another host counts as running.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open(path) as file:
        text = file.read()
        before = _holder_in(text)
        if before and before.alive:
            raise _refusal(path, before)
        if text:
            gone = f"process {before.pid} is gone" if before else "it names no process"
            say(f"A stale lock was taken over: {path}, {gone}")
        file.seek(0)
        file.truncate()
        this_process = Holder(socket.gethostname(), os.getpid(), started(os.getpid()), typed_command())
        file.write(json.dumps(this_process.to_json(), indent=2) + "\n")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def holder(path: Path) -> Holder | None:
    """The process that holds a lock file, None where none does. One of another host counts as running."""
    try:
        named = _holder_in(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return named if named and named.alive else None


def typed_command() -> str:
    """The command that this process was started by."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def started(pid: int) -> str:
    """When a process of this machine was started, as `boot/ticks`; "" when it is gone, or the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The name in brackets may hold blanks and brackets of its own.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else f"{boot}/{fields[19]}"


@contextmanager
def _open(path: Path) -> Iterator[IO[str]]:
    """The lock's file, held by flock: the system lets go of it when the process dies, however it dies."""
    while True:
        with open(path, "a+", encoding="utf-8", errors="replace") as file:
            file.seek(0)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _refusal(path, _holder_in(file.read())) from None
            except OSError:
                # A file system without flock: what the file says has to do.
                pass
            if _is_still_at(file, path):
                yield file
                return


def _is_still_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is the one at a path: whoever held the lock may have deleted it before we locked it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _holder_in(text: str) -> Holder | None:
    try:
        return Holder.from_json(json.loads(text))
    except ValueError:
        return None


def _refusal(path: Path, named: Holder | None) -> ValueError:
    who = f"process {named.pid} on host {named.host} ({named.command})" if named else "another process"
    elsewhere = f"; if it no longer runs, delete {path}" if named and not named.here else ""
    return ValueError(f"{path.parent} is in use by {who}; wait for it or choose another directory{elsewhere}")
