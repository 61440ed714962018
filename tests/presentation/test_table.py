"""One table for text, CSV and JSON."""

import json

import pytest

from dualfair.presentation.table import Column, Table, below_each_other, table
from dualfair.runs.records.codec import decode, encode

COLUMNS = (
    Column("network", "text"),
    Column("error", spread="error SE"),
    Column("error SE"),
    Column("tau", "tau", low="low", high="high"),
    Column("low", "tau"),
    Column("high", "tau"),
    Column("params", "millions"),
    Column("empty"),
)
ROWS = [("a", 0.25, 0.01, 0.5, 0.1, 0.9, 1_230_000, None), ("longer", 0.5, None, None, None, None, 45_600_000, None)]


def test_spreads_and_intervals_are_shown_with_their_numbers_and_empty_columns_not_at_all():
    assert table(COLUMNS, ROWS).lines() == [
        "network          error                tau  params",
        "a        0.250 ± 0.010  0.50 [0.10, 0.90]  1.23 M",
        "longer           0.500                  \N{EN DASH}  45.6 M",
    ]


def test_line_breaks_and_control_characters_in_names_break_no_line():
    shown = table([Column("group", "text"), Column("a\tb minus c", "whole")], [("x\ny", 1), ("z\x1b[31m\u2028", 20)])
    assert shown.lines() == [
        r"group            a\tb minus c",
        r"x\ny                        1",
        r"z\x1b[31m\u2028            20",
    ]


def test_csv_has_every_column_and_plain_values():
    content = table(COLUMNS, ROWS)
    assert content.csv() == [[column.name for column in COLUMNS], *map(list, ROWS)]
    both = below_each_other(
        [("run1", content), ("run2", table([Column("network", "text"), Column("new")], [("b", 1)]))]
    )
    assert both[0] == ["run", *(column.name for column in COLUMNS), "new"]
    assert both[-1] == ["run2", "b", *[None] * 7, 1]


def test_a_table_reads_back_from_json():
    content = table(COLUMNS, ROWS, "Networks")
    assert decode(Table, json.loads(json.dumps(encode(content)))) == content


@pytest.mark.parametrize(
    ("columns", "rows", "text"),
    [
        ((Column("a"),), ((1, 2),), "a row has 2 cells for 1 columns"),
        ((Column("a", spread="b"),), (), "a table has no column b"),
    ],
)
def test_what_does_not_fit_is_refused(columns, rows, text):
    with pytest.raises(ValueError, match=text):
        table(columns, rows)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="unknown kind of column 'float'; choose from text"):
        Column("a", "float")
