"""Tables as data: columns that know how they are printed, and rows of plain values; one for JSON, CSV and page."""

from __future__ import annotations

from collections.abc import Sequence

KINDS = ("text", "whole", "number", "compact", "general", "tau", "percent", "millions", "mark")
"""How a column is printed: as it is, 1,234, 0.123, 1.2e+03, 0.00123, 0.12, 12.3%, 1.23 M, yes or no."""


def column(name: str, kind: str = "number", spread: str = "", low: str = "", high: str = "") -> dict:
    """A column of a table. `spread` names the column of its standard errors, `low` and `high` those of its interval;
    these are printed with it and not by themselves. Raises ValueError for an unknown kind."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind of column {kind!r}; choose from {', '.join(KINDS)}")
    return {"name": name, "kind": kind, "spread": spread, "low": low, "high": high}


def table(columns: Sequence[dict], rows: Sequence[Sequence[object]]) -> dict:
    """Columns and rows, as many cells in each row as columns. Raises ValueError for a row of another length."""
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row has {len(row)} cells for {len(columns)} columns")
    return {"columns": list(columns), "rows": [list(row) for row in rows]}


def records(content: dict) -> list[dict]:
    """The rows of a table as dictionaries by column name."""
    names = [each["name"] for each in content["columns"]]
    return [dict(zip(names, row, strict=True)) for row in content["rows"]]


def csv_rows(tables: Sequence[tuple[str, dict]]) -> list[list[object]]:
    """Equal tables of several runs, (run, table), as rows of one CSV file with the run in the first column.

    Columns that a table lacks are empty.
    """
    names = list(dict.fromkeys(each["name"] for _, content in tables for each in content["columns"]))
    rows = [[run, *(record.get(name) for name in names)] for run, content in tables for record in records(content)]
    return [["run", *names], *rows]
