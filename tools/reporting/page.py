"""The report as one HTML page, made of its data alone, as JSON holds them: nothing else is read but the templates."""

import operator
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Template

from dualfair.planning.options import STUDY_WATTS
from dualfair.presentation.figures import svg
from dualfair.presentation.format import FRONT, SUPERNET
from dualfair.presentation.page import embedded, environment
from dualfair.presentation.table import Table
from dualfair.reporting import pictures
from dualfair.reporting.choice import why
from dualfair.reporting.ranking import concluded
from dualfair.runs.records.codec import decode

LEAST_COUNTED = 3
"""Networks of a front without which a heat map of their operations says nothing."""


def page(data: Mapping) -> str:
    """The whole page of a report's data, as JSON holds them."""
    return _template().render(_with_tables(data))


@cache
def _template() -> Template:
    made = environment("dualfair.reporting")
    made.globals |= {"concluded": concluded, "pictures": pictures, "why": why}
    made.globals |= {"FRONT": FRONT, "LEAST_COUNTED": LEAST_COUNTED, "STUDY_WATTS": STUDY_WATTS, "SUPERNET": SUPERNET}
    made.filters["drawn"] = _drawn
    made.tests["contains"] = operator.contains
    return made.get_template("report.html")


def _drawn(picture: pictures.Picture) -> dict[str, str]:
    """A figure of the page: {"address", "alt"}."""
    figure, alt = picture
    return {"address": embedded(svg(figure, alt).encode(), "svg+xml"), "alt": alt}


def _with_tables(value: Any) -> Any:
    """The data in which tables are `Table`s again."""
    if isinstance(value, Mapping):
        if value.keys() == {"columns", "rows", "caption"}:
            return decode(Table, value)
        return {name: _with_tables(inner) for name, inner in value.items()}
    return [_with_tables(inner) for inner in value] if isinstance(value, list) else value
