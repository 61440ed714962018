"""Small pieces of HTML; whatever text comes in is escaped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from html import escape

from dualfair.presentation.format import (
    NOTHING,
    compact,
    counted,
    decimals,
    general,
    millions,
    percent,
    two,
    whole,
    with_interval,
)

LONG = 40
"""Letters from which on a cell of text may break over lines."""
_PRINTED: dict[str, Callable[[object], str]] = {
    "text": lambda value: NOTHING if value is None else str(value),
    "whole": whole,
    "number": decimals,
    "compact": compact,
    "tau": two,
    "general": general,
    "percent": percent,
    "millions": millions,
    "mark": lambda value: NOTHING if value is None else "yes" if value else "no",
}


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text, of a class where one is given; nothing for an empty text."""
    return "" if not text else f"<p{_class(kind)}>{escape(text)}</p>"


def stated(headline: str, sentences: Sequence[str]) -> str:
    """A paragraph that begins with what matters; of several sentences one a line."""
    if len(sentences) < 2:
        return f"<p><strong>{escape(headline)}</strong> {escape(' '.join(sentences))}</p>"
    return f"<p><strong>{escape(headline)}</strong></p>{bullets(sentences)}"


def folded(summary: str, inside: str) -> str:
    """Content that is shown when its summary is opened."""
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>"


def bullets(texts: Sequence[str]) -> str:
    """A list of plain sentences."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"


def lacks(text: str, command: str = "") -> str:
    """What is missing, with the command that would make it."""
    make = f" To make it: <code>{escape(command)}</code>" if command else ""
    return f'<p class="lacks">{escape(text)}{make}</p>'


def heading(level: int, text: str, anchor: str) -> str:
    """A heading with an anchor."""
    return f'<h{level} id="{escape(anchor, quote=True)}">{escape(text)}</h{level}>'


def figure(picture: str, caption: str) -> str:
    """A picture, which may be wider than a small screen, above its caption."""
    return (
        f'<figure><div class="box" tabindex="0" role="group" aria-label="figure">{picture}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def image(png: str, alt: str) -> str:
    """A PNG, given in base64, with its description for those who do not see it."""
    return f'<img src="data:image/png;base64,{escape(png, quote=True)}" alt="{escape(alt, quote=True)}">'


def table(content: dict, caption: str, chosen: Collection[str] = (), every_row: bool = False) -> str:
    """A table in a box of its own that scrolls; rows whose first cell is among the `chosen` are marked.

    Columns that belong to another one as its error or interval are printed there. A column without any value is left
    out, and so is a row whose measured values, of which its table has some, are all missing, unless
    `every_row` is to be shown; the caption counts them.
    """
    columns, rows = content["columns"], content["rows"]
    names = [column["name"] for column in columns]
    within = {column[part] for column in columns for part in ("spread", "low", "high")}
    shown = [
        (place, column)
        for place, column in enumerate(columns)
        if column["name"] not in within and any(row[place] is not None for row in rows)
    ]
    head = "".join(f'<th scope="col"{_aligned(column)}>{escape(column["name"])}</th>' for _, column in shown)
    measured = [place for place, column in enumerate(columns) if column["kind"] in ("number", "compact", "tau")]
    full = [row for row in rows if every_row or not measured or any(row[place] is not None for place in measured)]
    if len(full) < len(rows):
        caption = f"{caption}; {counted(len(rows) - len(full), 'row')} without a value left out"
    body = ""
    for row in full:
        values = dict(zip(names, row, strict=True))
        cells = "".join(_cell(values, column, first=place == 0) for place, column in shown)
        body += f"<tr{_class('chosen' if str(row[0]) in chosen else '')}>{cells}</tr>"
    label = escape(caption, quote=True)
    return (
        f'<div class="wide"><p class="caption">{escape(caption)}</p>'
        f'<div class="box" tabindex="0" role="group" aria-label="{label}"><table aria-label="{label}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></div>"
    )


def _cell(values: dict, column: dict, first: bool) -> str:
    value = values[column["name"]]
    if column["kind"] == "text":
        text = _PRINTED["text"](value)
        kind = "long" if len(text) > LONG else "name" if first else "short"
        return f"<td{_class(kind)}>{escape(text)}</td>"
    if column["spread"]:
        text = _PRINTED[column["kind"]](value)
        text += "" if values[column["spread"]] is None else f" ± {_PRINTED[column['kind']](values[column['spread']])}"
    elif column["low"]:
        text = with_interval(value, values[column["low"]], values[column["high"]], _PRINTED[column["kind"]])
    else:
        text = _PRINTED[column["kind"]](value)
    return f'<td class="n">{escape(text)}</td>'


def _aligned(column: dict) -> str:
    return "" if column["kind"] == "text" else ' class="n"'


def _class(kind: str) -> str:
    return f' class="{escape(kind, quote=True)}"' if kind else ""
