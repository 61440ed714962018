"""The report as one HTML page, made of its data alone: nothing is read but the style sheet beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files

from dualfair.reporting import sections
from dualfair.reporting.html import heading, table

SECTIONS = (
    ("question", "The question", sections.question),
    ("answer", "The answer", sections.the_answer),
    ("not-believe", "What not to believe", sections.not_believe),
    ("front", "The search's front, on fresh people, and from scratch", sections.front),
    ("hypervolume", "How the search got there", sections.hypervolume),
    ("usage", "Which operations the reported front uses", sections.usage),
    ("updates", "Strict fairness: equal updates", sections.updates),
    ("ranking", "Cheap scores against the truth", sections.ranking),
    ("studies", "Studies of this run", sections.studies),
    ("groups", "Group by group", sections.groups),
    ("networks", "The chosen networks", sections.architectures),
    ("cost", "What it cost", sections.cost),
    ("limits", "Limits and ethics", sections.limits),
)
"""Anchor, title and content of every section of a run, in order."""


def page(data: Mapping) -> str:
    """The whole page of a report's data, as JSON holds them."""
    runs = data["runs"]
    alone = len(runs) == 1
    title = f"DualFair: {runs[0]['name']}" if alone else f"DualFair: {len(runs)} runs"
    body = f"<h1>{escape(title)}</h1>"
    if alone:
        body += _sections(runs[0], "", 2)
    else:
        body += _contents([(f"run{number}", run["name"]) for number, run in enumerate(runs, 1)])
        body += heading(2, "The runs side by side", "runs")
        body += table(
            data["comparison"],
            "Each run's first choice, by its test people; runs on different faces do not compare",
            every_row=True,
        )
        for number, run in enumerate(runs, 1):
            anchor = f"run{number}"
            inside = heading(2, run["name"], anchor) + _sections(run, f"{anchor}-", 3)
            body += f'<section class="run" aria-labelledby="{anchor}">{inside}</section>'
    style = files("dualfair.reporting").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _sections(run: Mapping, prefix: str, level: int) -> str:
    """A run's sections; the table of contents stands behind what has to be read first."""
    parts = []
    for anchor, title, content in SECTIONS:
        if anchor == "front":
            parts.append(_contents([(prefix + name, words) for name, words, _ in SECTIONS[3:]]))
        parts.append(heading(level, title, prefix + anchor) + content(run))
    return "\n".join(parts)


def _contents(entries: list[tuple[str, str]]) -> str:
    links = "".join(
        f'<li><a href="#{escape(anchor, quote=True)}">{escape(title)}</a></li>' for anchor, title in entries
    )
    return f'<nav aria-label="Contents"><ol>{links}</ol></nav>'
