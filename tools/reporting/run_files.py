"""The files of a run directory, read with care: what is damaged is told in a sentence and counts as missing."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dualfair.supernet.files import read_json

_ABSOLUTE = re.compile(r"(?<![\w.])/(?:[^/\s'\"]+/)+([^/\s'\"]*)")
LONGEST_REASON = 200


@dataclass(frozen=True)
class RunFiles:
    """A run directory under the `name` that it has in the report; `problems` collects what could not be read."""

    path: Path
    name: str
    problems: list[str] = field(default_factory=list)

    def json(self, file: str) -> dict | None:
        """The object in a JSON file of the run; None where there is none, or it is damaged."""
        path = self.path / file
        if not path.exists():
            return None
        try:
            found = read_json(path)
            if not isinstance(found, dict):
                raise ValueError(f"it holds a {type(found).__name__}")
        except ValueError as error:
            self.tell(f"{file} is damaged: {reason(error)}")
            return None
        return found

    def csv(self, file: str) -> list[list[str]] | None:
        """The rows of a CSV file of the run, the header first; None where there is none, or it is damaged."""
        path = self.path / file
        if not path.is_file():
            return None
        try:
            with open(path, newline="", encoding="utf-8") as lines:
                return list(csv.reader(lines))
        except (OSError, ValueError, csv.Error) as error:
            self.tell(f"{file} is damaged: {reason(error)}")
            return None

    def last_command(self, stage: str) -> dict:
        """What the last command of a stage recorded of time, device and versions; empty where that cannot be read."""
        try:
            lines = (self.path / stage / "commands.jsonl").read_text(encoding="utf-8").splitlines()
            found = json.loads(lines[-1])
        except (OSError, ValueError, IndexError):
            return {}
        return found if isinstance(found, dict) else {}

    def tell(self, problem: str) -> None:
        """Keep a sentence on what could not be read, once."""
        if problem not in self.problems:
            self.problems.append(problem)


def open_runs(paths: Sequence[Path]) -> list[RunFiles]:
    """The run directories, each under the shortest ending of its path that no other one has.

    Raises ValueError for no directory, one that is given twice, and one in which no supernet was trained.
    """
    if not paths:
        raise ValueError("a report needs at least one run directory")
    whole = [Path(path).resolve() for path in paths]
    for number, (given, path) in enumerate(zip(paths, whole, strict=True)):
        if path in whole[:number]:
            raise ValueError(f"run directory {given} is given twice; give each once")
        if not (path / "train" / "config.json").is_file():
            raise ValueError(f"{given} is no run directory: train/config.json is not in it; run 'dualfair train' first")
    return [RunFiles(path, name) for path, name in zip(whole, _names(whole), strict=True)]


def number(value: object) -> float | None:
    """A finite or infinite number that was read from a file, None for anything else, and for not-a-number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(found) else found


def plain(value: object) -> object:
    """A value as strict JSON has it: tuples become lists, not-a-number None, and infinities "inf" and "-inf"."""
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def reason(error: Exception) -> str:
    """Why something failed, on one line, without the folders of this machine."""
    text = f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
    return _ABSOLUTE.sub(r"\1", " ".join(text.split()))[:LONGEST_REASON]


def _names(paths: Iterable[Path]) -> list[str]:
    paths = list(paths)
    for length in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [path.name for path in paths]
