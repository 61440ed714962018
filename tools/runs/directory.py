"""A run directory explains itself: configuration, commands with versions and device, log, TensorBoard, results.

One command at a time writes there: a lock file names its process. The library filelock does not do instead: its native
lock takes over one that another host holds, its soft one says of a process that was killed neither that its lock is
taken over nor, before version 4, that it is gone, and neither names the command, by which `dualfair status` knows what
runs. Needs no torch.
"""

import fcntl
import hashlib
import json
import os
import platform
import shlex
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, TypeVar

from dualfair.runs.layout import RunLayout, StageLayout
from dualfair.runs.records.codec import Record
from dualfair.runs.watching import Say, silent
from dualfair.supernet.files import append_line, remove_temporaries, write_json

_LIBRARIES = ("dualfair", "torch", "timm", "numpy", "pymoo")

Config = TypeVar("Config", bound=Record)


@dataclass(frozen=True, kw_only=True)
class RecordedCommand(Record):
    """When a command was typed, on which device it ran, and the versions of Python and of the libraries."""

    time: str = ""
    command: str
    device: str = ""
    python: str = ""
    dualfair: str = ""
    torch: str = ""
    timm: str = ""
    numpy: str = ""
    pymoo: str = ""


class RunDirectory:
    """The folder of one run; `layout` knows its files.

    Of several ranks only one `leads`: for the others, claiming, recording and saying do nothing. What is said goes to
    the run's log, and to `show`.
    """

    def __init__(self, path: Path | str, leads: bool = True, show: Say = silent) -> None:
        self.path = Path(path)
        self.layout = RunLayout(self.path)
        self.leads = leads
        self.show = show

    @contextmanager
    def locked(self, make: bool = False) -> Iterator["RunDirectory"]:
        """Be the only command that writes here. Raises ValueError naming the one that does.

        A directory that is not there is an error too, unless it is to be made.
        """
        if not self.leads:
            yield self
            return
        if not make and not self.path.is_dir():
            raise ValueError(f"there is no run directory {self.path}; run 'dualfair train' first")
        with locked(self.layout.lock, self.say):
            for folder in (self.path, *(stage.folder for stage in self.layout.stages())):
                remove_temporaries(folder)
            yield self

    def make(self, stage: StageLayout) -> Path:
        """The folder of a stage, made if need be."""
        stage.folder.mkdir(parents=True, exist_ok=True)
        return stage.folder

    def claim(self, stage: StageLayout, config: Record) -> str:
        """Record the configuration of a stage; returns its SHA-256.

        Raises ValueError with the difference when another is recorded.
        """
        values = config.to_json()
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
        if not self.leads:
            return digest
        if not stage.config.is_file():
            self.make(stage)
            write_json(stage.config, values)
            return digest
        recorded = type(config).read(stage.config).to_json()
        different = [name for name in {**recorded, **values} if recorded.get(name) != values.get(name)]
        if different:
            shown = "; ".join(
                f"{name} = {_given(name, recorded)} there, {_given(name, values)} here" for name in different
            )
            raise ValueError(f"{stage.folder} was made with another configuration: {shown}. Use another directory")
        return digest

    def config(self, stage: StageLayout, kind: type[Config]) -> Config:
        """The recorded configuration of a stage. Raises ValueError when the stage has not begun, or it is damaged."""
        if not stage.config.is_file():
            raise ValueError(f"{self.path} has no stage {stage.name!r} yet; run 'dualfair {stage.name}' first")
        return kind.read(stage.config)

    def record_command(self, stage: StageLayout, device: str) -> None:
        """Append when and on which device a command was typed, and the libraries' versions, to its stage's commands."""
        if not self.leads:
            return
        record = RecordedCommand(
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            command=typed_command(),
            device=device,
            python=platform.python_version(),
            **{library: version(library) for library in _LIBRARIES},
        )
        self.make(stage)
        append_line(stage.commands, json.dumps(record.to_json()))

    def say(self, text: str = "") -> None:
        """Show a line and keep it in the run's log."""
        if not self.leads:
            return
        self.show(text)
        self.path.mkdir(parents=True, exist_ok=True)
        append_line(self.layout.log, text)


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


def _given(name: str, values: Mapping[str, object]) -> str:
    """An option of a configuration for a sentence."""
    return "not given" if values.get(name) is None else repr(values[name])


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
