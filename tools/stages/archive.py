"""Archives of scores outside a search: what they hold, their way to CSV or JSON and back, and several joined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dualfair.evolution.archive import ArchivedScores, scores_in
from dualfair.evolution.exchange import Joined, from_csv, from_json, join, to_csv, to_json
from dualfair.runs.layout import RunLayout
from dualfair.runs.watching import Say, silent
from dualfair.supernet.files import write_bytes

WRITERS = {".csv": to_csv, ".json": to_json}
READERS = {".csv": from_csv, ".json": from_json}
"""How scores are written and read, by the ending of a file's name."""


def archive_file(path: Path) -> Path:
    """The archive of a run directory, or the file itself."""
    return RunLayout(path).search.scores if path.is_dir() else path


def read_archive(path: Path, warn: Say = silent) -> list[ArchivedScores]:
    """All measurements of an archive, of a run directory or a file; `warn` hears what was repaired in it."""
    scores, repaired = scores_in(archive_file(path))
    if repaired:
        warn(f"Note: {repaired}")
    return scores


def export_scores(
    source: Path, target: Path, measurement: int | None = None, warn: Say = silent
) -> list[ArchivedScores]:
    """Write the measurements of an archive, or the one of this number, to a .csv or .json file; what was written.

    Numbers begin at 1. Raises ValueError for another ending, and where there is no such measurement.
    """
    kind = _kind(target)
    scores = read_archive(source, warn)
    if measurement is not None and not 1 <= measurement <= len(scores):
        raise ValueError(
            f"--measurement is a number from 1 to {len(scores)}, got {measurement}; 'dualfair archive show' lists them"
        )
    chosen = scores if measurement is None else [scores[measurement - 1]]
    write_bytes(target, WRITERS[kind](chosen).encode())
    return chosen


def import_scores(source: Path, target: Path, warn: Say = silent) -> list[Joined]:
    """Add the scores of an exported file to the archive of a run directory or a file, which is made if need be.

    Genotypes that the archive knows stay as they are. Raises ValueError where the file holds no scores; then nothing is
    written.
    """
    kind = _kind(source)
    try:
        # Spreadsheets put a byte order mark in front.
        scores = READERS[kind](source.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{source} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{source} is no export of scores: {error}; nothing was written") from None
    return _join(target, scores, warn)


def merge_archives(into: Path, others: Sequence[Path], warn: Say = silent) -> list[Joined]:
    """Add what other archives know to the archive `into`, which is made if need be; the others stay as they are."""
    return _join(into, [measured for other in others for measured in read_archive(other, warn)], warn)


def _join(path: Path, scores: Sequence[ArchivedScores], warn: Say) -> list[Joined]:
    file = archive_file(path)
    if path.is_dir():
        file.parent.mkdir(exist_ok=True)
    joined, repaired = join(file, scores)
    if repaired:
        warn(f"Note: {repaired}")
    return joined


def content_lines(source: Path, scores: Sequence[ArchivedScores]) -> list[str]:
    """What an archive holds: its measurements with their numbers."""
    lines = [f"{archive_file(source)}: {counted(len(scores), 'measurement')}"]
    for number, measured in enumerate(scores, 1):
        heading = measured.heading
        failed = sum(evaluation.reason is not None for evaluation in measured.evaluations)
        infeasible = f", {failed:,} of them could not be scored" if failed else ""
        lines += [
            f"{number}: {counted(len(measured.evaluations), 'evaluation')}{infeasible}",
            f"   {in_words(heading.name)}",
            f"   columns {', '.join(heading.columns)}; the first {heading.objectives} minimised",
        ]
    return lines


def exported_line(target: Path, scores: Sequence[ArchivedScores]) -> str:
    """How much was written to a file."""
    evaluations = sum(len(measured.evaluations) for measured in scores)
    return f"{target}: {counted(evaluations, 'evaluation')} of {counted(len(scores), 'measurement')}"


def joined_lines(target: Path, joined: Sequence[Joined]) -> list[str]:
    """What joining did to every measurement, and in all."""
    lines = []
    for change in joined:
        other = f", {change.differing:,} known with other values (first {change.first_differing}), which were left out"
        lines.append(
            f"{change.added:,} added, {change.equal:,} known{other if change.differing else ''}: "
            f"{in_words(change.heading.name)}"
        )
    added = sum(change.added for change in joined)
    return [*lines, f"{archive_file(target)}: {counted(added, 'evaluation')} added"]


def in_words(name: str) -> str:
    """What a measurement was taken with, as words: its settings where the name is a JSON object."""
    try:
        settings = json.loads(name)
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        return " ".join(name.split())
    shown = {key: ", ".join(map(str, value)) if isinstance(value, list) else value for key, value in settings.items()}
    return "; ".join(f"{key} {value}" for key, value in shown.items())


def counted(number: int, noun: str) -> str:
    """A number of things: "1 evaluation", "2,000 evaluations"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _kind(path: Path) -> str:
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"{path} must end in {' or '.join(WRITERS)}, so that its format is known")
    return path.suffix.lower()
