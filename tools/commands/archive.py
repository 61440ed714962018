"""`dualfair archive`: what an archive of scores holds, its way to CSV or JSON and back, and archives joined."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from dualfair.commands.console import say
from dualfair.commands.options import PATH

warn = partial(click.echo, err=True)


@click.group()
def command() -> None:
    """Show, export, import and merge archives of scores, so that searches of several machines can be joined.

    An archive is named by its file, or by the run directory that it lies in. Scores of different measurements (other
    weights, faces or settings) are never mixed.
    """


@command.command("show")
@click.argument("source", type=PATH, metavar="RUN_OR_FILE")
def show(source: Path) -> None:
    """Say what an archive holds: its measurements with their numbers."""
    from dualfair.stages.archive import content_lines, read_archive

    for line in content_lines(source, read_archive(source, warn)):
        say(line)


@command.command("export")
@click.argument("source", type=PATH, metavar="RUN_OR_FILE")
@click.option("--to", "target", type=PATH, required=True, help="A .csv or .json file.")
@click.option("--measurement", type=int, help="Only the measurement of this number; 'dualfair archive show' has them.")
def export(source: Path, target: Path, measurement: int | None) -> None:
    """Write the scores of an archive to a table (.csv) or, with nothing left out, to .json."""
    from dualfair.stages.archive import export_scores, exported_line

    say(exported_line(target, export_scores(source, target, measurement, warn)))


@command.command("import")
@click.argument("source", type=PATH, metavar="FILE")
@click.option("--to", "target", type=PATH, required=True, help="A run directory or an archive.")
def import_(source: Path, target: Path) -> None:
    """Add what an exported file knows to an archive; genotypes that the archive knows stay as they are."""
    from dualfair.stages.archive import import_scores, joined_lines

    for line in joined_lines(target, import_scores(source, target, warn)):
        say(line)


@command.command("merge")
@click.argument("into", type=PATH)
@click.argument("others", type=PATH, nargs=-1, required=True, metavar="OTHER...")
def merge(into: Path, others: tuple[Path, ...]) -> None:
    """Add what other archives know to the archive INTO, which is made if need be; the others stay as they are."""
    from dualfair.stages.archive import joined_lines, merge_archives

    for line in joined_lines(into, merge_archives(into, others, warn)):
        say(line)
