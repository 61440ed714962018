"""Every evaluation is kept: one SQLite file, written as evaluations become known, readable at any moment.

`evolution.storage` says how it lies there, `evolution.opening` and `evolution.salvage` what happens to damaged files.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from urllib.parse import quote

import numpy as np

from dualfair.evolution.opening import open_file, reading
from dualfair.evolution.storage import (
    ROWS,
    Heading,
    Row,
    claim,
    headings,
    insert_rows,
    rows_of,
    transaction,
    values_of,
    values_text,
)
from dualfair.supernet.genotype import Genotype

OBJECTIVES = range(2, 5)
"""How many objectives a search can have: 2, 3 or 4."""


@dataclass(frozen=True)
class Evaluation:
    """A scored genotype. `values` are in the order of the archive's columns, objectives first.

    `seconds` is its share of the time of the score call that it was part of; it does not count in comparisons.
    `reason` says why a genotype could not be scored, its values are then NaN; None where it was.
    """

    genotype: Genotype
    values: tuple[float, ...]
    seconds: float = field(default=math.nan, compare=False)
    reason: str | None = None

    @property
    def row(self) -> Row:
        """The evaluation as it lies in a file."""
        # SQLite has no NaN: unknown seconds are stored as NULL.
        seconds = None if math.isnan(self.seconds) else self.seconds
        return Row(str(self.genotype), values_text(self.values), seconds, self.reason)


@dataclass(frozen=True)
class Measurement:
    """What a file holds of one measurement: its name, the columns, and how many evaluations."""

    name: str
    columns: tuple[str, ...]
    objectives: int
    evaluations: int


@dataclass(frozen=True)
class ArchivedScores:
    """All evaluations of one measurement, in the order in which they were made."""

    heading: Heading
    evaluations: tuple[Evaluation, ...]


class Archive:
    """The evaluations of one measurement, in the file `path`, or in memory for None.

    `measurement` says what the scores are taken with. A file may hold several measurements; they are never mixed, and
    `others` counts what was taken with another one. `columns` name the values: the first `objectives` of
    them (2 to 4) are minimised, the rest are details. In memory they may be None, then they are called "objective 1",
    .., "detail 1", .., and `name_details` says how many there are. Iterating gives every `Evaluation` in the order of
    insertion. Several processes may read and write the same file at a time; the first score of a genotype stays.

    What `add` wrote survives a kill or a power cut at any later instant. A damaged file is repaired on opening;
    evaluations that do not say what was written are deleted, never used, and `repaired` tells of both.

    Raises ValueError for a file that is no archive, when the file holds this measurement with other columns, or is
    damaged while another process has it open; OSError when it cannot be written.
    """

    def __init__(
        self, path: Path | str | None = None, *, measurement: str, columns: Sequence[str] | None, objectives: int = 2
    ) -> None:
        self.path = None if path is None else Path(path)
        self.measurement = measurement
        self._details_unknown = columns is None and path is None
        if self._details_unknown:
            columns = _numbered("objective", _checked_objectives(objectives))
        self.columns, self.objectives = checked_columns(columns, objectives)
        self._heading = Heading(measurement, self.columns, self.objectives)
        self._opened = open_file(self.path)
        self._connection = self._opened.connection
        # An archive that nobody closes, such as the one in memory, closes when it is no longer referred to.
        self._close = weakref.finalize(self, self._opened.close)
        try:
            with transaction(self._connection, self.path):
                self._measurement_id = claim(self._connection, self._heading, self.path)
            self._corrupted = 0
            for _ in self:
                pass
        except BaseException:
            self.close()
            raise

    @property
    def repaired(self) -> str:
        """What was wrong with the file and what became of it, as a sentence for the user; "" for nothing."""
        return _repair_sentence(self._opened.repaired, self.path, self._corrupted, "to be scored again")

    def add(
        self, genotypes: Sequence[Genotype], values: np.ndarray, seconds: float = math.nan, reason: str | None = None
    ) -> None:
        """Write evaluations, all of them or none; `values` (n, columns), `seconds` a genotype. Known ones stay as is.

        `reason` says why they could not be scored. Raises ValueError for another shape of values, OSError naming the
        file when it cannot be written: the disk is full, or it may not be.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (len(genotypes), len(self.columns)):
            raise ValueError(
                f"values must have shape {(len(genotypes), len(self.columns))}, one row a genotype and one column each "
                f"for {', '.join(self.columns)}; got {values.shape}"
            )
        rows = [
            Evaluation(genotype, tuple(row), seconds, reason).row
            for genotype, row in zip(genotypes, values.tolist(), strict=True)
        ]
        with transaction(self._connection, self.path):
            insert_rows(self._connection, self._measurement_id, self._heading, rows)

    def name_details(self, values: int) -> None:
        """Have columns for so many values of a genotype, where none were named; only the first call changes anything.

        To be called before anything is added.
        """
        if not self._details_unknown:
            return
        self._details_unknown = False
        self.columns = (*self.columns, *_numbered("detail", values - self.objectives))
        self._heading = Heading(self.measurement, self.columns, self.objectives)
        with transaction(self._connection, self.path):
            self._connection.execute("DELETE FROM measurements")
            self._measurement_id = claim(self._connection, self._heading, self.path)

    def get(self, genotype: Genotype) -> Evaluation | None:
        """The evaluation of a genotype, or None when it is not scored yet."""
        for row_id, _, *parts, stored_digest in self._read(f"{ROWS} AND genotype = ?", str(genotype)):
            return self._sound(row_id, Row(str(genotype), *parts), stored_digest)
        return None

    def __contains__(self, genotype: Genotype) -> bool:
        return self.get(genotype) is not None

    def __len__(self) -> int:
        return self._read("SELECT count(*) FROM evaluations WHERE measurement = ?")[0][0]

    def __iter__(self) -> Iterator[Evaluation]:
        for row_id, *row, stored_digest in self._read(f"{ROWS} ORDER BY id"):
            evaluation = self._sound(row_id, Row(*row), stored_digest)
            if evaluation is not None:
                yield evaluation

    @property
    def others(self) -> int:
        """How many evaluations of other measurements the file holds; they are kept and never used."""
        return self._read("SELECT count(*) FROM evaluations WHERE measurement != ?")[0][0]

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        self._close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read(self, query: str, *parameters: object) -> list[tuple]:
        try:
            return self._connection.execute(query, (self._measurement_id, *parameters)).fetchall()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise self._unreadable(str(error)) from error

    def _unreadable(self, reason: str) -> ValueError:
        return ValueError(f"archive {self.path} can no longer be read: {reason}; repeat the command, which repairs it")

    def _sound(self, row_id: int, row: Row, stored_digest: object) -> Evaluation | None:
        """The evaluation that a row says; None when its digest is another, then the row is deleted and counted."""
        if row.digest(self._heading) == stored_digest:
            return evaluation_of(row)
        with transaction(self._connection, self.path):
            # Another process may have found the row and scored it again in the meantime.
            for _, *reread, stored_digest in self._read(f"{ROWS} AND id = ?", row_id):
                if Row(*reread).digest(self._heading) != stored_digest:
                    self._corrupted += self._connection.execute(
                        "DELETE FROM evaluations WHERE id = ?", (row_id,)
                    ).rowcount
                elif reread[0] == row.genotype:
                    return evaluation_of(Row(*reread))
                else:
                    raise self._unreadable(f"it leads from {row.genotype} to {reread[0]}")
        return None


def evaluation_of(row: Row) -> Evaluation:
    """The evaluation that a sound row says."""
    # The seconds are the one part that no digest covers, since nothing depends on them.
    seconds = float(row.seconds) if isinstance(row.seconds, (int, float)) else math.nan
    return Evaluation(Genotype.parse(row.genotype), values_of(row.values), seconds, row.reason)


def scores_in(path: Path | str) -> tuple[list[ArchivedScores], str]:
    """Every measurement in the archive at `path` with its evaluations; and a sentence on what was repaired, or "".

    Evaluations that do not say what was written are left out. Raises ValueError when there is no such file or it is no
    archive.
    """
    with reading(Path(path)) as opened:
        scores, left_out = [], 0
        for number, heading in headings(opened.connection):
            rows = list(rows_of(opened.connection, number))
            sound = [evaluation_of(row) for _, row, stored_digest in rows if row.digest(heading) == stored_digest]
            scores.append(ArchivedScores(heading, tuple(sound)))
            left_out += len(rows) - len(sound)
    return scores, _repair_sentence(opened.repaired, Path(path), left_out, "left out")


def _repair_sentence(repaired: str, path: Path | None, corrupted: int, fate: str) -> str:
    """What was repaired on opening, and what became of rows whose digests were wrong."""
    if not corrupted:
        return repaired
    counted = "1 evaluation" if corrupted == 1 else f"{corrupted:,} evaluations"
    sentence = f"{path.name if path else 'memory'}: {counted} did not say what was written; {fate}"
    return f"{repaired}; {sentence}" if repaired else sentence


def measurements_in(path: Path | str) -> list[Measurement]:
    """What the archive at `path` holds. Raises ValueError when there is no such file or it is no archive."""
    return [Measurement(*measured.heading, len(measured.evaluations)) for measured in scores_in(path)[0]]


def glance(path: Path) -> list[tuple[str, int, float | None]]:
    """Name, number of evaluations and their mean seconds of every measurement in an archive, the latest one first.

    Reads only: nothing is locked, repaired or made, and a search may be at work. Raises ValueError when SQLite cannot
    read the file.
    """
    # Reading in WAL mode makes files beside the archive, unless none of its writers left any.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=10)) as connection:
            return connection.execute(
                "SELECT name, count(evaluations.id), avg(seconds) FROM measurements LEFT JOIN evaluations "
                "ON measurement = measurements.id GROUP BY measurements.id ORDER BY measurements.id DESC"
            ).fetchall()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def archive_or_memory(archive: Archive | None, columns: Sequence[str] | None, objectives: int) -> Archive:
    """`archive`, checked to have these columns and objectives, or one in memory for None.

    Raises ValueError when the archive was opened with others.
    """
    if archive is None:
        return Archive(measurement="in memory", columns=columns, objectives=objectives)
    if archive.objectives != objectives:
        raise ValueError(
            f"the archive was opened with objectives={archive.objectives}, the search got objectives={objectives}; "
            "give both the same number"
        )
    if columns is not None and tuple(columns) != archive.columns:
        raise ValueError(
            f"the archive was opened with columns {', '.join(archive.columns)}, the search got {', '.join(columns)}; "
            "leave out columns where an archive is given"
        )
    return archive


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name} {number}" for number in range(1, count + 1)]


def _checked_objectives(objectives: int) -> int:
    if not isinstance(objectives, Integral) or objectives not in OBJECTIVES:
        raise ValueError(f"objectives must be {OBJECTIVES[0]} to {OBJECTIVES[-1]}, got {objectives!r}")
    return int(objectives)


def checked_columns(columns: Sequence[str], objectives: int) -> tuple[tuple[str, ...], int]:
    """Columns and number of objectives. Raises ValueError unless they are different names, and 2 to 4 of them."""
    objectives = _checked_objectives(objectives)
    if columns is None or isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
        raise ValueError(f"columns must be a list of names, got {columns!r}")
    columns = tuple(columns)
    if len(columns) < objectives or len(set(columns)) < len(columns):
        raise ValueError(
            f"columns must be different names, {objectives} objectives first, got {', '.join(columns) or 'none'}"
        )
    return columns, objectives
