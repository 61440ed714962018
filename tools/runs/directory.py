"""A run directory explains itself: configuration, commands with versions and device, log, TensorBoard, results."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from dualfair.runs.lock import locked
from dualfair.supernet.files import append_line, read_json, remove_temporaries, write_json

STAGES = ("train", "search", "retrain", "short", "inherit", "tune", "correlate", "compare", "shelf")
"""The folders that commands make: the four stages, and beside them short trainings, a comparison of searches, and one
with backbones from the shelf."""

_LIBRARIES = ("dualfair", "torch", "timm", "numpy", "pymoo")


class RunDirectory:
    """The folder of one run, with one folder a stage (STAGES).

    Of several ranks only one `leads`: for the others, claiming, recording and saying do nothing.
    """

    def __init__(self, path: Path | str, leads: bool = True) -> None:
        self.path = Path(path)
        self.leads = leads

    @contextmanager
    def locked(self, make: bool = False) -> Iterator[RunDirectory]:
        """Be the only command that writes here. Raises ValueError naming the one that does.

        A directory that is not there is an error too, unless it is to be made.
        """
        if not self.leads:
            yield self
            return
        if not make and not self.path.is_dir():
            raise ValueError(f"there is no run directory {self.path}; run 'dualfair train' first")
        with locked(self.path, self.say):
            for folder in (self.path, *(self.path / stage for stage in STAGES)):
                remove_temporaries(folder)
            yield self

    def stage(self, name: str) -> Path:
        """The folder of a stage, made if need be."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def claim(self, stage: str, config: Mapping[str, object]) -> str:
        """Record the configuration of a stage; returns its SHA-256.

        Raises ValueError with the difference when another is recorded.
        """
        wanted = json.loads(json.dumps(config))
        digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
        if not self.leads:
            return digest
        path = self.stage(stage) / "config.json"
        if path.is_file():
            recorded = self.config(stage)
            different = [name for name in {**recorded, **wanted} if recorded.get(name) != wanted.get(name)]
            if different:
                shown = "; ".join(
                    f"{name} = {recorded.get(name)!r} there, {wanted.get(name)!r} here" for name in different
                )
                raise ValueError(f"{path.parent} was made with another configuration: {shown}. Use another directory")
        else:
            write_json(path, wanted)
        return digest

    def config(self, stage: str) -> dict:
        """The recorded configuration of a stage. Raises ValueError when the stage has not begun, or it is damaged."""
        path = self.path / stage / "config.json"
        if not path.is_file():
            raise ValueError(f"{self.path} has no stage {stage!r} yet; run 'dualfair {stage}' first")
        try:
            found = read_json(path)
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error}); restore it, or use another directory") from None
        if not isinstance(found, dict):
            raise ValueError(f"{path} is damaged (it holds no names and values); restore it, or use another directory")
        return found

    def record_command(self, stage: str, device: str) -> None:
        """Append the command as typed, the libraries' versions and the device to the stage's commands.jsonl."""
        if not self.leads:
            return
        record = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "device": device,
            "python": platform.python_version(),
            **{library: version(library) for library in _LIBRARIES},
        }
        append_line(self.stage(stage) / "commands.jsonl", json.dumps(record))

    def say(self, text: str = "") -> None:
        """Print a line and keep it in the run's log."""
        if not self.leads:
            return
        click.echo(text)
        self.path.mkdir(parents=True, exist_ok=True)
        append_line(self.path / "log.txt", text)
