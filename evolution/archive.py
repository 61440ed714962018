"""Every evaluation is kept: one SQLite file, written as evaluations become known, readable at any moment.

`evolution.storage` says how it lies there, and what happens to damaged files.
"""

import contextlib
import json
import math
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Self

import numpy as np

from dualfair.evolution.storage import Heading, counted, heading_of, opened, transaction
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


class Archive:
    """The evaluations of one measurement, in the file `path`, or in memory for None.

    `measurement` says what the scores are taken with. A file may hold several measurements; they are never mixed, and
    `others` counts what was taken with another one. `columns` name the values: the first `objectives` of
    them (2 to 4) are minimised, the rest are details; None is for objectives alone, called "objective 1", .. Iterating
    gives every `Evaluation` in the order of insertion. Several processes may read and write the same file at a time;
    the first score of a genotype stays.

    What `add` wrote survives a kill or a power cut at any later instant. Evaluations that do not say what was written
    are deleted on opening, never used, and what can be read of a damaged file is kept; `repaired` tells of both in a
    sentence for the user, "" for nothing.

    Raises ValueError for a file that is no archive, or when it holds this measurement with other columns; OSError when
    it cannot be written.
    """

    def __init__(
        self, path: Path | str | None = None, *, measurement: str, columns: Sequence[str] | None, objectives: int = 2
    ) -> None:
        self.path = None if path is None else Path(path)
        self.measurement = measurement
        self.columns, self.objectives = _checked_columns(columns, objectives)
        self.repaired = ""
        self._evaluations: dict[Genotype, Evaluation] = {}
        self._last_read = 0
        self._connection: sqlite3.Connection | None = None
        stack = contextlib.ExitStack()
        # An archive that nobody closes is closed when nobody refers to it any more.
        self._close = weakref.finalize(self, stack.close)
        if self.path is not None:
            try:
                self._connection, self.repaired = stack.enter_context(opened(self.path))
                self._claim()
            except BaseException:
                self.close()
                raise

    def add(
        self,
        genotypes: Sequence[Genotype],
        values: np.ndarray | None,
        seconds: float = math.nan,
        reason: str | None = None,
    ) -> None:
        """Write evaluations, all of them or none; `values` (n, columns), `seconds` a genotype. Known ones stay as is.

        Genotypes that could not be scored have None for values, kept as NaN, and the `reason`. Raises ValueError for
        another shape of values, OSError naming the file when it cannot be written: the disk is full, or it may not be.
        """
        shape = (len(genotypes), len(self.columns))
        values = np.full(shape, math.nan) if values is None else np.asarray(values, dtype=np.float64)
        if values.shape != shape:
            raise ValueError(
                f"values must have shape {shape}, one row a genotype and one column each for "
                f"{', '.join(self.columns)}; got {values.shape}"
            )
        rows = zip(genotypes, map(tuple, values.tolist()), strict=True)
        self.keep(Evaluation(genotype, row, seconds, reason) for genotype, row in rows)

    def keep(self, evaluations: Iterable[Evaluation]) -> None:
        """`add` for evaluations, such as those of another archive of the same columns."""
        evaluations = tuple(evaluations)
        if self._connection is not None:
            with transaction(self._connection, self.path):
                self._connection.executemany(
                    'INSERT INTO evaluations (measurement, genotype, "values", seconds, reason, digest) '
                    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    map(self._row, evaluations),
                )
        known = self._known()
        for evaluation in evaluations:
            known.setdefault(evaluation.genotype, evaluation)

    def get(self, genotypes: Iterable[Genotype]) -> dict[Genotype, Evaluation]:
        """The evaluations of those of the genotypes that are scored, in their order."""
        known = self._known()
        return {genotype: known[genotype] for genotype in genotypes if genotype in known}

    def __len__(self) -> int:
        return len(self._known())

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(tuple(self._known().values()))

    @property
    def others(self) -> int:
        """How many evaluations of other measurements the file holds; they are kept and never used."""
        if self._connection is None:
            return 0
        return self._fetch("SELECT count(*) FROM evaluations WHERE measurement != ?", self._number)[0][0]

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _claim(self) -> None:
        """Find the measurement in the file, made when it is missing, and delete what does not say what was written.

        Raises ValueError when the file holds it with other columns.
        """
        heading = Heading(self.measurement, self.columns, self.objectives)
        with transaction(self._connection, self.path):
            self._connection.execute(
                "INSERT INTO measurements (name, columns, objectives, digest) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (heading.name, json.dumps(heading.columns), heading.objectives, heading.digest()),
            )
            self._number, *row = self._fetch("SELECT * FROM measurements WHERE name = ?", self.measurement)[0]
            stored = heading_of(*row)
            if stored != heading:
                raise ValueError(
                    f"archive {self.path} holds measurement {heading.name!r} with columns {', '.join(stored.columns)} "
                    f"({stored.objectives} objectives), got {', '.join(heading.columns)} ({heading.objectives} "
                    "objectives); use the same columns, or name another measurement"
                )
            self._heading = heading
            rotten = self._read()
            self._connection.executemany("DELETE FROM evaluations WHERE id = ?", rotten)
        if rotten:
            lost = f"{self.path.name}: {counted(len(rotten))} did not say what was written; to be scored again"
            self.repaired = f"{self.repaired}; {lost}" if self.repaired else lost

    def _known(self) -> dict[Genotype, Evaluation]:
        """All evaluations, with those that were written since the last look."""
        if self._connection is not None:
            self._read()
        return self._evaluations

    def _read(self) -> list[tuple[int]]:
        """Take in what was written since the last look, whoever wrote it; the ids of rows that have rotted."""
        rows = self._fetch(
            'SELECT id, genotype, "values", seconds, reason, digest FROM evaluations '
            "WHERE measurement = ? AND id > ? ORDER BY id",
            *(self._number, self._last_read),
        )
        rotten = []
        for row_id, genotype, values, seconds, reason, digest in rows:
            if self._heading.digest(genotype, values, reason) != digest:
                rotten.append((row_id,))
                continue
            # The seconds are the one part that no digest covers, since nothing depends on them.
            seconds = float(seconds) if isinstance(seconds, (int, float)) else math.nan
            evaluation = Evaluation(Genotype.parse(genotype), tuple(map(float, json.loads(values))), seconds, reason)
            self._evaluations.setdefault(evaluation.genotype, evaluation)
            self._last_read = row_id
        return rotten

    def _row(self, evaluation: Evaluation) -> tuple[object, ...]:
        """An evaluation as it lies in the file."""
        genotype, reason = str(evaluation.genotype), evaluation.reason
        # JSON has no NaN and no infinities, and SQLite has no NaN: unknown seconds are NULL.
        values = json.dumps([value if math.isfinite(value) else str(value) for value in evaluation.values])
        seconds = None if math.isnan(evaluation.seconds) else evaluation.seconds
        return self._number, genotype, values, seconds, reason, self._heading.digest(genotype, values, reason)

    def _fetch(self, query: str, *parameters: object) -> list[tuple]:
        try:
            return self._connection.execute(query, parameters).fetchall()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise ValueError(
                f"archive {self.path} can no longer be read: {error}; repeat the command, which repairs it"
            ) from error


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


def _checked_columns(columns: Sequence[str] | None, objectives: int) -> tuple[tuple[str, ...], int]:
    """Columns and number of objectives. Raises ValueError unless they are different names, and 2 to 4 of them."""
    if not isinstance(objectives, Integral) or objectives not in OBJECTIVES:
        raise ValueError(f"objectives must be {OBJECTIVES[0]} to {OBJECTIVES[-1]}, got {objectives!r}")
    if columns is None:
        columns = [f"objective {number}" for number in range(1, objectives + 1)]
    if isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
        raise ValueError(f"columns must be a list of names, got {columns!r}")
    columns = tuple(columns)
    if len(columns) < objectives or len(set(columns)) < len(columns):
        raise ValueError(
            f"columns must be different names, {objectives} objectives first, got {', '.join(columns) or 'none'}"
        )
    return columns, int(objectives)
