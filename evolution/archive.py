"""Every evaluation is kept: one SQLite file, written as evaluations become known, readable at any moment.

Table `measurements` has one row for everything that scores were taken with (weights, faces, calibration: the caller
words it), table `evaluations` one row for every genotype scored under it. Values are JSON text; NaN and infinities,
which JSON lacks, are the strings "nan", "inf" and "-inf".
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path

import numpy as np

from supernet.genotype import Genotype

OBJECTIVES = range(2, 5)
"""How many objectives a search can have: 2, 3 or 4."""

_APPLICATION = 0x44464152
_FORMAT = 1
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS measurements (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, columns TEXT NOT NULL, objectives INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS evaluations (
        id INTEGER PRIMARY KEY, measurement INTEGER NOT NULL REFERENCES measurements, genotype TEXT NOT NULL,
        "values" TEXT NOT NULL, seconds REAL, UNIQUE (measurement, genotype))""",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_FORMAT}",
)


@dataclass(frozen=True)
class Evaluation:
    """A scored genotype. `values` are in the order of the archive's columns, objectives first.

    `seconds` is its share of the time of the score call that it was part of; it does not count in comparisons.
    """

    genotype: Genotype
    values: tuple[float, ...]
    seconds: float = field(default=math.nan, compare=False)


@dataclass(frozen=True)
class Measurement:
    """What a file holds of one measurement: its name, the columns, and how many evaluations."""

    name: str
    columns: tuple[str, ...]
    objectives: int
    evaluations: int


class Archive:
    """The evaluations of one measurement, in the file `path`, or in memory for None.

    `measurement` says what the scores are taken with. A file may hold several measurements; they are never mixed, and
    `others` counts what was taken with another one. `columns` name the values: the first `objectives` of
    them (2 to 4) are minimised, the rest are details. Iterating gives every `Evaluation` in the order of insertion.
    Several processes may read and write the same file at a time; the first score of a genotype stays.

    Raises ValueError for a file that is no archive, and when the file holds this measurement with other columns.
    """

    def __init__(
        self, path: Path | str | None = None, *, measurement: str, columns: Sequence[str], objectives: int = 2
    ) -> None:
        self.path = None if path is None else Path(path)
        self.measurement = measurement
        self.columns, self.objectives = _checked_columns(columns, objectives)
        self._connection = _connect(self.path)
        # An archive that nobody closes, such as the one in memory, closes when it is no longer referred to.
        self._close = weakref.finalize(self, self._connection.close)
        self._measurement_id = self._claim()

    def add(self, genotypes: Sequence[Genotype], values: np.ndarray, seconds: float = math.nan) -> None:
        """Write evaluations, all of them or none; `values` (n, columns), `seconds` a genotype. Known ones stay as is.

        Raises ValueError for another shape of values.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (len(genotypes), len(self.columns)):
            raise ValueError(
                f"values must have shape {(len(genotypes), len(self.columns))}, one row a genotype and one column each "
                f"for {', '.join(self.columns)}; got {values.shape}"
            )
        rows = [
            (self._measurement_id, str(genotype), _to_json(row), seconds)
            for genotype, row in zip(genotypes, values.tolist(), strict=True)
        ]
        with _transaction(self._connection):
            self._connection.executemany(
                'INSERT INTO evaluations (measurement, genotype, "values", seconds) VALUES (?, ?, ?, ?) '
                "ON CONFLICT DO NOTHING",
                rows,
            )

    def get(self, genotype: Genotype) -> Evaluation | None:
        """The evaluation of a genotype, or None when it is not scored yet."""
        row = self._connection.execute(
            'SELECT "values", seconds FROM evaluations WHERE measurement = ? AND genotype = ?',
            (self._measurement_id, str(genotype)),
        ).fetchone()
        return None if row is None else Evaluation(genotype, _from_json(row[0]), _seconds(row[1]))

    def __contains__(self, genotype: Genotype) -> bool:
        return self.get(genotype) is not None

    def __len__(self) -> int:
        return self._count("measurement = ?")

    def __iter__(self) -> Iterator[Evaluation]:
        rows = self._connection.execute(
            'SELECT genotype, "values", seconds FROM evaluations WHERE measurement = ? ORDER BY id',
            (self._measurement_id,),
        ).fetchall()
        for genotype, values, seconds in rows:
            yield Evaluation(Genotype.parse(genotype), _from_json(values), _seconds(seconds))

    @property
    def others(self) -> int:
        """How many evaluations of other measurements the file holds; they are kept and never used."""
        return self._count("measurement != ?")

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        self._close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _count(self, condition: str) -> int:
        query = f"SELECT count(*) FROM evaluations WHERE {condition}"
        return self._connection.execute(query, (self._measurement_id,)).fetchone()[0]

    def _claim(self) -> int:
        """The row of this measurement, made when it is missing."""
        query = "SELECT id, columns, objectives FROM measurements WHERE name = ?"
        row = self._connection.execute(query, (self.measurement,)).fetchone()
        if row is None:
            with _transaction(self._connection):
                self._connection.execute(
                    "INSERT INTO measurements (name, columns, objectives) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                    (self.measurement, json.dumps(self.columns), self.objectives),
                )
            row = self._connection.execute(query, (self.measurement,)).fetchone()
        columns, objectives = tuple(json.loads(row[1])), row[2]
        if (columns, objectives) != (self.columns, self.objectives):
            self.close()
            raise ValueError(
                f"archive {self.path} holds measurement {self.measurement!r} with columns {', '.join(columns)} "
                f"({objectives} objectives), got {', '.join(self.columns)} ({self.objectives} objectives); "
                "use the same columns, or name another measurement"
            )
        return row[0]


def measurements_in(path: Path | str) -> list[Measurement]:
    """What the archive at `path` holds. Raises ValueError when there is no such file or it is no archive."""
    if not Path(path).is_file():
        raise ValueError(f"there is no archive {path}; run a search first")
    with contextlib.closing(_connect(Path(path))) as connection:
        rows = connection.execute(
            "SELECT name, columns, objectives, (SELECT count(*) FROM evaluations WHERE measurement = measurements.id) "
            "FROM measurements ORDER BY id"
        )
        return [Measurement(name, tuple(json.loads(columns)), *counts) for name, columns, *counts in rows]


def archive_or_memory(archive: Archive | None, columns: Sequence[str] | None, objectives: int) -> Archive:
    """`archive`, checked to have these columns and objectives, or one in memory for None.

    Columns that are not named are called "objective 1" and so on: then there are no details. Raises ValueError when
    the archive was opened with others.
    """
    if archive is None:
        names = [f"objective {number}" for number in range(1, _checked_objectives(objectives) + 1)]
        return Archive(measurement="in memory", columns=names if columns is None else columns, objectives=objectives)
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


def _checked_objectives(objectives: int) -> int:
    if not isinstance(objectives, Integral) or objectives not in OBJECTIVES:
        raise ValueError(f"objectives must be {OBJECTIVES[0]} to {OBJECTIVES[-1]}, got {objectives!r}")
    return int(objectives)


def _checked_columns(columns: Sequence[str], objectives: int) -> tuple[tuple[str, ...], int]:
    objectives = _checked_objectives(objectives)
    if isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
        raise ValueError(f"columns must be a list of names, got {columns!r}")
    columns = tuple(columns)
    if len(columns) < objectives or len(set(columns)) < len(columns):
        raise ValueError(
            f"columns must be different names, {objectives} objectives first, got {', '.join(columns) or 'none'}"
        )
    return columns, objectives


def _connect(path: Path | None) -> sqlite3.Connection:
    """An open archive, set up when the file is fresh. Files that hold anything else are left untouched."""
    connection = None
    try:
        # isolation_level None leaves transactions to `_transaction`; a writer waits up to a minute for another.
        connection = sqlite3.connect(":memory:" if path is None else path, timeout=60, isolation_level=None)
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application == _APPLICATION and version == _FORMAT:
            return connection
        if application or tables:
            found = f"archive format {version}" if application == _APPLICATION else "another program's database"
            raise sqlite3.DatabaseError(f"it is {found}")
        connection.execute("PRAGMA journal_mode = WAL")
        with _transaction(connection):
            for statement in _SCHEMA:
                connection.execute(statement)
        return connection
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise ValueError(
            f"{path} cannot be used as an archive of evaluations: {error}; give another file in an existing folder"
        ) from error


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _to_json(values: Sequence[float]) -> str:
    return json.dumps([value if math.isfinite(value) else str(value) for value in values])


def _from_json(text: str) -> tuple[float, ...]:
    return tuple(float(value) for value in json.loads(text))


def _seconds(stored: float | None) -> float:
    """SQLite has no NaN: unknown seconds are stored as NULL."""
    return math.nan if stored is None else stored
