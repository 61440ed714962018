"""A run directory explains itself: configuration, commands with versions and device, log, TensorBoard, results."""

import hashlib
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from dualfair.runs.layout import RunLayout, StageLayout
from dualfair.runs.lock import locked, typed_command
from dualfair.runs.records.codec import Record
from dualfair.runs.watching import Say, silent
from dualfair.supernet.files import append_line, remove_temporaries, write_json

_LIBRARIES = ("dualfair", "torch", "timm", "numpy", "pymoo")

Config = TypeVar("Config", bound=Record)


@dataclass(frozen=True)
class RecordedCommand(Record):
    """What readers want to know of a command that was recorded: what was typed, and on which device it ran."""

    command: str
    device: str = ""


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
            shown = "; ".join(f"{name} = {recorded.get(name)!r} there, {values.get(name)!r} here" for name in different)
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
        record = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": typed_command(),
            "device": device,
            "python": platform.python_version(),
            **{library: version(library) for library in _LIBRARIES},
        }
        self.make(stage)
        append_line(stage.commands, json.dumps(record))

    def say(self, text: str = "") -> None:
        """Show a line and keep it in the run's log."""
        if not self.leads:
            return
        self.show(text)
        self.path.mkdir(parents=True, exist_ok=True)
        append_line(self.layout.log, text)
