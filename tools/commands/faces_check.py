"""`dualfair faces check`: what a faces folder holds, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("check")
@click.argument("faces", type=click.Path(path_type=Path))
@click.option("--group-column", help="Column of the groups.  [default: group, where there is one]")
@click.option("--split", default="0.6,0.2,0.2", show_default=True, help="Shares of the people, as for training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the splits, as for training.")
def command(faces: Path, group_column: str | None, split: str, seed: int) -> None:
    """Count what is in the folder FACES and look for faults; every image is read.

    Groups and splits are those that training makes of the same options. The exit status is 0 when there is no fault, 1
    when there is one, and 2 when the folder cannot be opened.
    """
    from tqdm import tqdm

    from dualfair.runs.config import numbers
    from dualfair.supernet.images.inspection import inspect
    from dualfair.supernet.images.store import open_store

    store = open_store(faces)
    found = inspect(
        store,
        group_column=group_column,
        fractions=numbers(split, ",", float, "split"),
        seed=seed,
        progress=lambda chunks: tqdm(chunks, desc="check", unit="chunk", leave=False, disable=None),
    )
    least, median, most = found.images_per_identity
    people = len(set(store.manifest.columns["identity"]))
    click.echo(f"{faces}: {len(store.manifest):,} images of {people:,} people at {store.size} px")
    click.echo(f"images a person: {least:,} to {most:,}, median {median:g}")
    header = ("split", "group", "people", "images", "people with 2 images or more")
    rows = [(count.split, count.group, count.identities, count.images, count.evaluable) for count in found.counts]
    _echo_table([header, *rows])
    for finding in found.findings:
        click.echo(f"{'FAULT' if finding.fault else 'note '} {finding.text}")
    click.echo(f"{found.faults} faults" if found.faults else "No faults")
    if found.faults:
        raise SystemExit(1)


def _echo_table(rows: list[tuple]) -> None:
    """Print rows in columns: words to the left, counts to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(padded).rstrip())
