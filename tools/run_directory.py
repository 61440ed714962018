"""A run directory explains itself: configuration, commands with versions and device, log, TensorBoard, results."""

from __future__ import annotations

import json
import math
import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from supernet.atomic import write_atomically

_LIBRARIES = ("dualfair", "torch", "timm", "numpy", "pymoo")


class RunDirectory:
    """The folder of one run, with one folder a stage: train, search, retrain, correlate.

    Of several ranks only one `leads`: for the others, claiming, recording and saying do nothing.
    """

    def __init__(self, path: Path | str, leads: bool = True) -> None:
        self.path = Path(path)
        self.leads = leads

    def stage(self, name: str) -> Path:
        """The folder of a stage, made if need be."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def claim(self, stage: str, config: Mapping[str, object]) -> None:
        """Record the configuration of a stage. Raises ValueError with the difference when another is recorded."""
        if not self.leads:
            return
        path = self.stage(stage) / "config.json"
        wanted = json.loads(json.dumps(config))
        if path.is_file():
            recorded = json.loads(path.read_text())
            different = [name for name in {**recorded, **wanted} if recorded.get(name) != wanted.get(name)]
            if different:
                shown = "; ".join(
                    f"{name} = {recorded.get(name)!r} there, {wanted.get(name)!r} here" for name in different
                )
                raise ValueError(f"{path.parent} was made with another configuration: {shown}. Use another directory")
            return
        write_json(path, wanted)

    def config(self, stage: str) -> dict:
        """The recorded configuration of a stage. Raises ValueError when the stage has not begun."""
        path = self.path / stage / "config.json"
        if not path.is_file():
            raise ValueError(f"{self.path} has no stage {stage!r} yet; run 'dualfair {stage}' first")
        return json.loads(path.read_text())

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
        with open(self.stage(stage) / "commands.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def say(self, text: str = "") -> None:
        """Print a line and keep it in the run's log."""
        if not self.leads:
            return
        click.echo(text)
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "log.txt", "a", encoding="utf-8") as file:
            file.write(text + "\n")


def write_json(path: Path, value: object) -> None:
    """Write a value as strict JSON, all of it or nothing.

    Numbers that JSON lacks become "inf", "-inf" or "nan", which float() reads back.
    """
    text = json.dumps(_named(value), indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def _named(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _named(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_named(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
