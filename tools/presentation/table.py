"""Tables: columns that know how they are shown, and rows of plain values. One type for text, CSV, JSON and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dualfair.presentation.format import NOTHING, decimals, millions, shown, two, whole
from dualfair.supernet.files import on_one_line

SHOWN: dict[str, Callable[[object], str]] = {
    "text": lambda value: NOTHING if value is None else str(value),
    "mark": lambda value: NOTHING if value is None else "yes" if value else "no",
    "whole": whole,
    "number": decimals,
    "compact": lambda value: shown(value, ".2g"),
    "general": lambda value: shown(value, "g"),
    "tau": two,
    "percent": lambda value: shown(value, ".1%"),
    "millions": millions,
}
"""How the values of a column are shown, by its kind: as they are, yes or no, 1,234, 0.123, 1.2e+03, 0.00123, 0.12,
12.3%, 1.23 M."""


@dataclass(frozen=True)
class Column:
    """A column of a table. `spread` names the column of its standard errors, `low` and `high` those of its intervals;
    these are shown with it and not by themselves. Raises ValueError for an unknown kind."""

    name: str
    kind: str = "number"
    spread: str = ""
    low: str = ""
    high: str = ""

    def __post_init__(self) -> None:
        if self.kind not in SHOWN:
            raise ValueError(f"unknown kind of column {self.kind!r}; choose from {', '.join(SHOWN)}")

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the columns that are shown with this one."""
        return tuple(name for name in (self.spread, self.low, self.high) if name)

    def text(self, record: dict[str, object]) -> str:
        """The cell of a row, given by column names, with its standard error or interval where it has one."""
        show, value = SHOWN[self.kind], record[self.name]
        if self.spread and record[self.spread] is not None:
            return f"{show(value)} ± {show(record[self.spread])}"
        if self.low and None not in (record[self.low], record[self.high]):
            return f"{show(value)} [{show(record[self.low])}, {show(record[self.high])}]"
        return show(value)


@dataclass(frozen=True)
class Table:
    """Rows of plain values, as many in each as there are columns, and what the table shows.

    Raises ValueError for a row of another length, and for a column that names a part that there is not.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[object, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row has {len(row)} cells for {len(self.columns)} columns")
        names = {column.name for column in self.columns}
        if missing := {part for column in self.columns for part in column.parts} - names:
            raise ValueError(f"a table has no column {', '.join(sorted(missing))}")

    def records(self) -> list[dict[str, object]]:
        """The rows by column name."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def shown_columns(self) -> list[Column]:
        """The columns that are shown by themselves and have a value in some row."""
        parts = {part for column in self.columns for part in column.parts}
        values = zip(*self.rows, strict=True) if self.rows else [()] * len(self.columns)
        return [
            column
            for column, of_column in zip(self.columns, values, strict=True)
            if column.name not in parts and any(value is not None for value in of_column)
        ]

    def lines(self) -> list[str]:
        """The table as lines of text, without its caption."""
        shown = self.shown_columns()
        return aligned([[column.name for column in shown], *([c.text(row) for c in shown] for row in self.records())])

    def csv(self) -> list[list[object]]:
        """The names of all columns, and below them the rows."""
        return [[column.name for column in self.columns], *(list(row) for row in self.rows)]


def table(columns: Iterable[Column], rows: Iterable[Sequence[object]], caption: str = "") -> Table:
    """A table of any sequences."""
    return Table(tuple(columns), tuple(tuple(row) for row in rows), caption)


def spread_columns(name: str, kind: str = "number") -> tuple[Column, Column]:
    """A column of means, and one of their standard errors that is shown with it."""
    return Column(name, kind, spread=f"{name} SE"), Column(f"{name} SE", kind)


def interval_columns(name: str, kind: str = "number") -> tuple[Column, Column, Column]:
    """A column, and those of the ends of its intervals, which are shown with it."""
    low, high = f"{name} low", f"{name} high"
    return Column(name, kind, low=low, high=high), Column(low, kind), Column(high, kind)


def below_each_other(tables: Sequence[tuple[str, Table]]) -> list[list[object]]:
    """Equal tables of several runs, (run, table), as rows of one CSV file with the run in the first column.

    Columns that a table lacks are empty.
    """
    names = list(dict.fromkeys(column.name for _, content in tables for column in content.columns))
    rows = [[run, *(record.get(name) for name in names)] for run, content in tables for record in content.records()]
    return [["run", *names], *rows]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text cells as lines: the first column to the left, numbers to the right; line breaks are escaped."""
    rows = [[on_one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
