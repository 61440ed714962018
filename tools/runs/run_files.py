"""The files of a run directory, read with care: what is damaged is told in a sentence and counts as missing."""

import csv
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dualfair.runs.directory import RecordedCommand
from dualfair.runs.layout import RunLayout, StageLayout, TrainingsLayout
from dualfair.runs.records.codec import Record
from dualfair.runs.records.training import TrainingResult
from dualfair.supernet.files import read_json

Kind = TypeVar("Kind", bound=Record)
Value = TypeVar("Value")

_ABSOLUTE = re.compile(r"(?<![\w.])/(?:[^/\s'\"]+/)+([^/\s'\"]*)")
LONGEST_REASON = 200


@dataclass(frozen=True)
class RunFiles:
    """A run directory under a `name` for readers; `problems` collects sentences on what could not be read."""

    layout: RunLayout
    name: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.layout.path

    def record(self, kind: type[Kind], path: Path) -> Kind | None:
        """The record in a file; None where there is none, or it is damaged."""
        return self._read(path, lambda: kind.from_json(read_json(path)))

    def results(self, stage: TrainingsLayout) -> dict[Path, TrainingResult]:
        """The results of all trainings of a stage by their files, in order."""
        results = {path: self.record(TrainingResult, path) for path in stage.results()}
        return {path: result for path, result in results.items() if result is not None}

    def csv(self, path: Path) -> list[list[str]] | None:
        """The rows of a CSV file, the header first; None where there is none, or it is damaged."""
        return self._read(path, lambda: list(csv.reader(path.read_text(encoding="utf-8").splitlines())))

    def last_command(self, stage: StageLayout) -> RecordedCommand | None:
        """The last command of a stage; None where there is none, or that cannot be read."""
        path = stage.commands
        lines = self._read(path, lambda: path.read_text(encoding="utf-8").splitlines())
        return lines and self._read(path, lambda: RecordedCommand.from_json(json.loads(lines[-1])))

    def shown(self, path: Path) -> str:
        """A file's name as sentences have it: its way from the run directory."""
        return path.relative_to(self.path).as_posix()

    def add_problem(self, problem: str) -> None:
        """Keep a sentence on what could not be read, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def _read(self, path: Path, read: Callable[[], Value]) -> Value | None:
        if not path.exists():
            return None
        try:
            return read()
        except (OSError, ValueError, csv.Error) as error:
            self.add_problem(f"{self.shown(path)} is damaged: {reason(error)}")
            return None


def open_runs(paths: Sequence[Path]) -> list[RunFiles]:
    """The run directories, each under the shortest ending of its path that no other one has.

    Raises ValueError for no directory, one that is given twice, and one in which no supernet was trained.
    """
    if not paths:
        raise ValueError("a report needs at least one run directory")
    layouts = [RunLayout(Path(path).resolve()) for path in paths]
    for number, (given, layout) in enumerate(zip(paths, layouts, strict=True)):
        if layout in layouts[:number]:
            raise ValueError(f"run directory {given} is given twice; give each once")
        config = layout.train.config
        if not config.is_file():
            file = config.relative_to(layout.path)
            raise ValueError(f"{given} is no run directory: {file} is not in it; run 'dualfair train' first")
    parts, length = [layout.path.parts for layout in layouts], 1
    while len({path[-length:] for path in parts}) < len(parts):
        length += 1
    return [RunFiles(layout, "/".join(layout.path.parts[-length:])) for layout in layouts]


def reason(error: Exception) -> str:
    """Why something failed, on one line, without the folders of this machine."""
    text = f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
    return _ABSOLUTE.sub(r"\1", " ".join(text.split()))[:LONGEST_REASON]
