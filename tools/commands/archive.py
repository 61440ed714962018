"""`dualfair archive`: what an archive of scores holds, its way to CSV or JSON and back, and archives joined."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dualfair.runs.layout import RunLayout

SUFFIXES = (".csv", ".json")


@click.group()
def command() -> None:
    """Show, export, import and merge archives of scores, so that searches of several machines can be joined.

    An archive is named by its file, or by the run directory that it lies in. Scores of different measurements (other
    weights, faces or settings) are never mixed.
    """


@command.command("show")
@click.argument("source", type=click.Path(path_type=Path), metavar="RUN_OR_FILE")
def show(source: Path) -> None:
    """Say what an archive holds: its measurements with their numbers."""
    held = _held(source)
    click.echo(f"{archive_file(source)}: {_count(len(held), 'measurement')}")
    for number, measured in enumerate(held, 1):
        failed = sum(evaluation.reason is not None for evaluation in measured.evaluations)
        aside = f", {failed:,} of them could not be scored" if failed else ""
        click.echo(f"{number}: {_count(len(measured.evaluations), 'evaluation')}{aside}")
        click.echo(f"   {in_words(measured.heading.name)}")
        click.echo(
            f"   columns {', '.join(measured.heading.columns)}; the first {measured.heading.objectives} minimised"
        )


@command.command("export")
@click.argument("source", type=click.Path(path_type=Path), metavar="RUN_OR_FILE")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="A .csv or .json file.")
@click.option("--measurement", type=int, help="Only the measurement of this number; 'dualfair archive show' has them.")
def export(source: Path, target: Path, measurement: int | None) -> None:
    """Write the scores of an archive to a table (.csv) or, with nothing left out, to .json."""
    from dualfair.evolution.exchange import to_csv, to_json
    from dualfair.supernet.files import write_bytes

    kind = _kind(target)
    held = _held(source)
    if measurement is not None and not 1 <= measurement <= len(held):
        raise ValueError(
            f"--measurement is a number from 1 to {len(held)}, got {measurement}; 'dualfair archive show' lists them"
        )
    chosen = held if measurement is None else [held[measurement - 1]]
    write_bytes(target, (to_csv if kind == ".csv" else to_json)(chosen).encode())
    scores = sum(len(measured.evaluations) for measured in chosen)
    click.echo(f"{target}: {_count(scores, 'evaluation')} of {_count(len(chosen), 'measurement')}")


@command.command("import")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="A run directory or an archive.")
def import_(source: Path, target: Path) -> None:
    """Add what an exported file knows to an archive; genotypes that the archive knows stay as they are."""
    from dualfair.evolution.exchange import from_csv, from_json

    kind = _kind(source)
    try:
        # Spreadsheets put a byte order mark in front.
        text = source.read_bytes().decode("utf-8-sig")
        scores = (from_csv if kind == ".csv" else from_json)(text)
    except OSError as error:
        raise ValueError(f"{source} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{source} is no export of scores: {error}; nothing was written") from None
    _join(target, scores)


@command.command("merge")
@click.argument("into", type=click.Path(path_type=Path))
@click.argument("others", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="OTHER...")
def merge(into: Path, others: tuple[Path, ...]) -> None:
    """Add what other archives know to the archive INTO, which is made if need be; the others stay as they are."""
    _join(into, [measured for other in others for measured in _held(other)])


def archive_file(path: Path) -> Path:
    """The archive of a run directory, or the file itself."""
    return RunLayout(path).search.scores if path.is_dir() else path


def in_words(name: str) -> str:
    """What a measurement was taken with, as words: its settings where the name is a JSON object."""
    try:
        settings = json.loads(name)
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        return " ".join(name.split())
    shown = {key: ", ".join(map(str, value)) if isinstance(value, list) else value for key, value in settings.items()}
    return "; ".join(f"{key} {value}" for key, value in shown.items())


def _held(path: Path) -> list:
    from dualfair.evolution.archive import scores_in

    held, repaired = scores_in(archive_file(path))
    if repaired:
        click.echo(f"Note: {repaired}", err=True)
    return held


def _join(path: Path, scores: list) -> None:
    from dualfair.evolution.exchange import join

    file = archive_file(path)
    if path.is_dir():
        file.parent.mkdir(exist_ok=True)
    joined, repaired = join(file, scores)
    if repaired:
        click.echo(f"Note: {repaired}", err=True)
    for one in joined:
        other = f", {one.differing:,} known with other values (first {one.first_differing}), which were left out"
        click.echo(
            f"{one.added:,} added, {one.equal:,} known{other if one.differing else ''}: {in_words(one.heading.name)}"
        )
    click.echo(f"{file}: {_count(sum(one.added for one in joined), 'evaluation')} added")


def _kind(path: Path) -> str:
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path} must end in {' or '.join(SUFFIXES)}, so that its format is known")
    return path.suffix.lower()


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
