"""The macros of a page: tables with their errors, marks and folds, and text that stays text."""

import pytest
from jinja2 import UndefinedError

from dualfair.presentation.table import Column, spread_columns, table
from dualfair.reporting.page import FOLDED, environment

EVIL = '<script>"&'


def render(source, **values):
    made = environment()
    return made.from_string('{% import "page.html" as page %}' + source).render(**values)


def test_a_table_prints_errors_beside_their_means_and_leaves_empty_columns_out():
    columns = [Column("network", "text"), *spread_columns("error"), Column("nobody")]
    content = table(columns, [[EVIL, 0.5, 0.25, None], ["b", 0.00001, None, None]], EVIL)
    html = render("{{ page.table(content, ['b']) }}", content=content)
    assert "0.500 ± 0.250" in html and "1.0e-05" in html and "nobody" not in html
    assert "<script" not in html and html.count("&lt;script&gt;&#34;&amp;") == 4, "caption, two labels and a cell"
    assert '<tr class="chosen"><td class="name">b' in html.replace("\n", "")


def test_a_long_table_is_folded_and_its_rows_are_numbered_where_asked_for():
    def html(rows):
        content = table([Column("name", "text")], [[f"row {row}"] for row in range(rows)], "Rows")
        return render("{{ page.table(content, numbered=true) }}", content=content)

    assert "<details>" not in html(FOLDED) and f"<summary>Rows ({FOLDED + 1} rows)</summary>" in html(FOLDED + 1)
    assert '<td class="n">2</td><td class="name">row 1</td>' in html(2).replace("\n", "")


def test_what_is_missing_is_told_with_the_command_that_makes_it():
    html = render("{{ page.lacks(text, 'dualfair search --run a') }}", text=EVIL)
    assert "&lt;script&gt;" in html and "<span>dualfair</span> <span>search</span> <span>--run</span>" in html
    assert "To make it" not in render("{{ page.lacks('Nothing.') }}")


def test_a_name_that_there_is_not_is_an_error_and_no_gap():
    with pytest.raises(UndefinedError):
        render("{{ nothing }}")
