"""Evaluations as JSON or CSV, and archives joined: searches of several machines become one.

JSON holds everything that an archive knows. CSV has a row an evaluation, so measurements share one table only where
their columns are the same, and one without evaluations leaves no trace. NaN and infinities are "nan", "inf", "-inf".
"""

from __future__ import annotations

import csv
import io
import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dualfair.evolution.archive import ArchivedScores, Evaluation, checked_columns
from dualfair.evolution.opening import open_file
from dualfair.evolution.storage import Heading, Row, claim, insert_rows, rows_of, transaction
from dualfair.supernet.genotype import Genotype

JSON_FORMAT = "dualfair scores 1"
"""What the entry "format" of an exported JSON file says."""

_BEFORE, _BEHIND = ("measurement", "objectives", "genotype"), ("seconds", "reason")


@dataclass(frozen=True)
class Joined:
    """What joining did to one measurement: evaluations added, known before with equal values, and with differing ones.

    Of the latter the archive's own stay; `first_differing` is the first such genotype.
    """

    heading: Heading
    added: int
    equal: int
    differing: int
    first_differing: Genotype | None


def to_json(scores: Sequence[ArchivedScores]) -> str:
    """Scores as strict JSON text, from which `from_json` makes equal ones."""
    measurements = [
        {
            "name": measured.heading.name,
            "columns": list(measured.heading.columns),
            "objectives": measured.heading.objectives,
            "evaluations": [_to_dict(evaluation) for evaluation in measured.evaluations],
        }
        for measured in scores
    ]
    return json.dumps({"format": JSON_FORMAT, "measurements": measurements}, indent=1, allow_nan=False) + "\n"


def from_json(text: str) -> list[ArchivedScores]:
    """The scores that `to_json` wrote. Raises ValueError naming the place of anything else."""
    try:
        document = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply to be exported scores") from None
    if not isinstance(document, dict) or document.get("format") != JSON_FORMAT:
        raise ValueError(f'it does not say "format": "{JSON_FORMAT}", as exported scores do')
    scores = []
    for number, measured in enumerate(_list(document, "measurements"), 1):
        where = f"measurement {number}"
        heading = _heading(
            _entry(measured, "name", where), _list(measured, "columns"), measured.get("objectives"), where
        )
        evaluations = [
            _from_dict(entry, heading, f"{where}, evaluation {place}")
            for place, entry in enumerate(_list(measured, "evaluations"), 1)
        ]
        scores.append(ArchivedScores(heading, tuple(evaluations)))
    return scores


def to_csv(scores: Sequence[ArchivedScores]) -> str:
    """Scores as a CSV table: measurement, objectives, genotype, a column each for the values, seconds, reason.

    Raises ValueError when there is nothing to write, or the columns differ between measurements.
    """
    column_sets = list(dict.fromkeys(measured.heading.columns for measured in scores))
    if not column_sets:
        raise ValueError("the archive holds no measurement, and a CSV file has to have columns; use a .json file")
    if len(column_sets) > 1:
        listed = "; ".join(
            f"{number}: {', '.join(measured.heading.columns)}" for number, measured in enumerate(scores, 1)
        )
        raise ValueError(
            f"a CSV file has one set of columns, and the measurements have several ({listed}); use a .json file, or "
            "--measurement with one of these numbers"
        )
    lines = [_csv_line([*_BEFORE, *column_sets[0], *_BEHIND])]
    for measured in scores:
        name, _, objectives = measured.heading
        for evaluation in measured.evaluations:
            seconds = "" if math.isnan(evaluation.seconds) else repr(evaluation.seconds)
            values = map(repr, evaluation.values)
            fields = [name, objectives, evaluation.genotype, *values, seconds, evaluation.reason or ""]
            lines.append(_csv_line(fields))
    return "".join(lines)


def from_csv(text: str) -> list[ArchivedScores]:
    """The scores that `to_csv` wrote. Raises ValueError naming the line of anything else."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        columns = header[len(_BEFORE) : -len(_BEHIND)]
        if header != [*_BEFORE, *columns, *_BEHIND]:
            raise ValueError(f"line 1 must be {', '.join(_BEFORE)}, the columns, {', '.join(_BEHIND)}")
        evaluations_by_heading: dict[Heading, list[Evaluation]] = {}
        for fields in reader:
            where = f"line {reader.line_num}"
            if len(fields) != len(header):
                raise ValueError(f"{where} has {len(fields)} fields, expected {len(header)}")
            name, objectives, genotype, *values, seconds, reason = fields
            if not (objectives.isascii() and objectives.isdecimal() and len(objectives) == 1):
                raise ValueError(f"{where}: objectives must be 2 to 4, got {objectives!r}")
            heading = _heading(name, columns, int(objectives), where)
            numbers = [_number(value, where) for value in values]
            time = None if seconds == "" else _number(seconds, where)
            evaluations_by_heading.setdefault(heading, []).append(
                _evaluation(genotype, numbers, time, reason or None, where)
            )
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    return [ArchivedScores(heading, tuple(evaluations)) for heading, evaluations in evaluations_by_heading.items()]


def join(path: Path, scores: Sequence[ArchivedScores]) -> tuple[list[Joined], str]:
    """Add to the archive `path`, made if need be, what it lacks of `scores`; all of it or nothing.

    Returns what became of every measurement, and what was repaired in the file on opening. Genotypes that it knows
    stay as they are. Raises ValueError when it holds a measurement with other columns, before anything is written.
    """
    evaluations_by_heading: dict[Heading, list[Evaluation]] = {}
    for measured in scores:
        evaluations_by_heading.setdefault(measured.heading, []).extend(measured.evaluations)
    opened = open_file(path)
    try:
        with transaction(opened.connection, path):
            joined = [
                _join_one(opened.connection, ArchivedScores(heading, tuple(evaluations)), path)
                for heading, evaluations in evaluations_by_heading.items()
            ]
        return joined, opened.repaired
    finally:
        opened.close()


def _join_one(connection: sqlite3.Connection, measured: ArchivedScores, path: Path) -> Joined:
    number = claim(connection, measured.heading, path)
    stored = {row.genotype: row for _, row, _ in rows_of(connection, number)}
    added: list[Row] = []
    differing: list[str] = []
    for row in (evaluation.row for evaluation in measured.evaluations):
        if row.genotype not in stored:
            added.append(row)
            stored[row.genotype] = row
        elif (row.values, row.reason) != (stored[row.genotype].values, stored[row.genotype].reason):
            differing.append(row.genotype)
    insert_rows(connection, number, measured.heading, added)
    equal = len(measured.evaluations) - len(added) - len(differing)
    first_differing = Genotype.parse(differing[0]) if differing else None
    return Joined(measured.heading, len(added), equal, len(differing), first_differing)


def _csv_line(fields: Sequence[object]) -> str:
    text = io.StringIO()
    # The writer puts quotes around the characters of its own line end only, and a reader ends lines at either.
    csv.writer(text, lineterminator="\r\n").writerow(fields)
    return text.getvalue()[:-2] + "\n"


def _to_dict(evaluation: Evaluation) -> dict:
    return {
        "genotype": str(evaluation.genotype),
        "values": [value if math.isfinite(value) else str(value) for value in evaluation.values],
        "seconds": None if math.isnan(evaluation.seconds) else evaluation.seconds,
        "reason": evaluation.reason,
    }


def _from_dict(entry: object, heading: Heading, where: str) -> Evaluation:
    genotype, reason = _entry(entry, "genotype", where), entry.get("reason")
    values = [_number(value, where) for value in _list(entry, "values", where)]
    if len(values) != len(heading.columns):
        raise ValueError(f"{where} has {len(values)} values, expected {len(heading.columns)}")
    if reason is not None and not isinstance(reason, str):
        raise ValueError(f"{where}: reason must be text or null, got {reason!r}")
    seconds = None if entry.get("seconds") is None else _number(entry["seconds"], where)
    return _evaluation(genotype, values, seconds, reason or None, where)


def _evaluation(
    genotype: str, values: Sequence[float], seconds: float | None, reason: str | None, where: str
) -> Evaluation:
    try:
        parsed = Genotype.parse(genotype)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if reason is not None:
        _text(reason, where)
    return Evaluation(parsed, tuple(values), math.nan if seconds is None else seconds, reason)


def _heading(name: object, columns: Sequence[object], objectives: object, where: str) -> Heading:
    try:
        checked = checked_columns(columns, objectives)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return Heading(_text(name, where), tuple(_text(column, where) for column in checked[0]), checked[1])


def _text(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where}: {text!r} holds half a character, which cannot be stored") from None
    return text


def _number(value: object, where: str) -> float:
    """A number, or its text. Raises ValueError for anything else."""
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        if isinstance(value, str) and (value != value.strip() or "_" in value):
            raise ValueError
        return float(value)
    except (OverflowError, ValueError):
        raise ValueError(f"{where}: {value!r:.60} is no number") from None


def _entry(entry: object, key: str, where: str) -> str:
    if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
        raise ValueError(f'{where} must have an entry "{key}" that is text')
    return entry[key]


def _list(entry: object, key: str, where: str = "it") -> list:
    if not isinstance(entry, dict) or not isinstance(entry.get(key), list):
        raise ValueError(f'{where} must have an entry "{key}" that is a list')
    return entry[key]


def _no_constant(name: str) -> float:
    raise ValueError(f'{name} is no JSON; write it as text: "nan", "inf" or "-inf"')
