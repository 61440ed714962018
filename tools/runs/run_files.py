"""The files of a run directory, read with care: what is damaged is told in a sentence and counts as missing."""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dualfair.runs.directory import RecordedCommand
from dualfair.runs.layout import RunLayout, StageLayout, TrainingsLayout
from dualfair.runs.records.codec import Record, read_intact
from dualfair.runs.records.training import TrainingResult

Kind = TypeVar("Kind", bound=Record)

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
        return read_intact(path, kind.from_json, lambda error: self.add_damage(path, error))

    def results(self, stage: TrainingsLayout) -> dict[Path, TrainingResult]:
        """The results of all trainings of a stage by their files, in order."""
        results = {path: self.record(TrainingResult, path) for path in stage.results()}
        return {path: result for path, result in results.items() if result is not None}

    def csv(self, path: Path) -> list[list[str]] | None:
        """The rows of a CSV file, the header first; None where there is none, or it is damaged."""
        if not path.is_file():
            return None
        try:
            with open(path, newline="", encoding="utf-8") as lines:
                return list(csv.reader(lines))
        except (OSError, ValueError, csv.Error) as error:
            self.add_damage(path, error)
            return None

    def last_command(self, stage: StageLayout) -> RecordedCommand | None:
        """The last command of a stage; None where there is none, or that cannot be read."""
        if not stage.commands.exists():
            return None
        try:
            lines = stage.commands.read_text(encoding="utf-8").splitlines()
            return RecordedCommand.from_json(json.loads(lines[-1] if lines else ""))
        except (OSError, ValueError) as error:
            self.add_damage(stage.commands, error)
            return None

    def shown(self, path: Path) -> str:
        """A file's name as sentences have it: its way from the run directory."""
        return path.relative_to(self.path).as_posix()

    def add_damage(self, path: Path, error: Exception) -> None:
        """Keep a sentence on a file that is damaged, once."""
        self.add_problem(f"{self.shown(path)} is damaged: {reason(error)}")

    def add_problem(self, problem: str) -> None:
        """Keep a sentence on what could not be read, once."""
        if problem not in self.problems:
            self.problems.append(problem)


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
