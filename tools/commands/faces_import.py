"""`dualfair faces import`: a command for every importer, made from the table of importers."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import click

SHOWN = 20
"""Images left out that are named on the screen; faces.json names all of them."""

WITHOUT_GROUPS = ("bin",)
"""Data sets that can have no groups, so there is nothing to balance."""

OPTION_HELP = {
    "align": "Turn and scale faces so that eyes, nose and mouth fall on the usual template, by the set's landmarks.",
    "group": "Attribute that becomes the column 'group'.",
    "groups": "CSV with the columns identity,group[,more attributes].",
    "official_split": "Keep the data set's own partition as the column 'split'.",
    "pairs": "List of verification pairs.  [default: SRC/pairs.txt, where there is one]",
}


class ImportGroup(click.Group):
    """A command for every row of the table of importers, made from the importer's parameters and docstring."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_importers())

    def get_command(self, context: click.Context, name: str) -> click.Command:
        from dualfair.runs.plug_in import look_up

        return _import_command(name, look_up(name, _importers(), "importer"))


def _importers() -> dict[str, Callable]:
    from dualfair.supernet.images.importers.datasets import IMPORTERS

    return IMPORTERS


@click.group("import", cls=ImportGroup)
def command() -> None:
    """Import faces from data as it lies on the disk: a data set by name, your own folder or table, or module:object.

    Grey images become RGB; a non-square image is cropped to its central square, then resized. The same command
    continues an import that was interrupted.
    """


def _import_command(name: str, importer: Callable) -> click.Command:
    own = [_option(parameter, importer) for parameter in _keywords(importer)]
    shared = [
        click.Option(
            ["--out"], type=click.Path(path_type=Path), required=True, help="The faces folder to make or to continue."
        ),
        click.Option(["--size"], type=int, default=112, show_default=True, help="Side of the stored images in pixels."),
        click.Option(
            ["--max-unreadable"],
            type=float,
            default=0.01,
            show_default=True,
            help="Largest share of images that may be unreadable; they are left out and listed.",
        ),
    ]
    balancing = [
        click.Option(
            ["--balance"],
            is_flag=True,
            help="Keep equally many people and images of every group, people with at least 3 images only; the column "
            "'split' is dropped.",
        ),
        click.Option(
            ["--group-column"], default="group", show_default=True, help="Column that --balance takes groups from."
        ),
        click.Option(["--seed"], type=int, default=0, show_default=True, help="Seed of the draw that --balance makes."),
    ]
    text = _help(importer)
    return click.Command(
        name,
        params=[
            click.Argument(["source"], type=click.Path(path_type=Path), metavar="SRC"),
            *own,
            *shared,
            *([] if name in WITHOUT_GROUPS else balancing),
        ],
        callback=lambda source, out, size, max_unreadable, **rest: _import(
            name, importer, source, out, size=size, max_unreadable=max_unreadable, **rest
        ),
        help=text,
        short_help=text.partition("\n")[0],
    )


def _keywords(importer: Callable) -> list[inspect.Parameter]:
    parameters = inspect.signature(importer).parameters.values()
    return [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def _option(parameter: inspect.Parameter, importer: Callable) -> click.Option:
    hint = get_type_hints(importer).get(parameter.name, str)
    kind = next((part for part in get_args(hint) if part is not type(None)), hint)
    flag = "--" + parameter.name.replace("_", "-")
    text = OPTION_HELP.get(parameter.name, "")
    if kind is bool:
        names = f"{flag}/--no-{flag[2:]}" if parameter.default else flag
        return click.Option(
            [names, parameter.name], is_flag=True, default=parameter.default, show_default=True, help=text
        )
    return click.Option(
        [flag, parameter.name],
        type=click.Path(path_type=Path) if kind is Path else kind,
        default=None if parameter.default is parameter.empty else parameter.default,
        required=parameter.default is parameter.empty,
        show_default=parameter.default not in (None, ""),
        help=text,
    )


def _help(importer: Callable) -> str:
    """An importer's docstring, with its parameters as options, without what is for programmers."""
    paragraphs = (inspect.getdoc(importer) or importer.__name__).split("\n\n")
    text = "\n\n".join(paragraph for paragraph in paragraphs if not paragraph.startswith("Raises"))
    for parameter in _keywords(importer):
        text = text.replace(f"`{parameter.name}`", "--" + parameter.name.replace("_", "-"))
    return re.sub(r"\s*Raises ValueError[^.]*\.", "", text).replace("`", "'")


def _import(
    name: str,
    importer: Callable,
    source: Path,
    out: Path,
    *,
    size: int,
    max_unreadable: float,
    balance: bool = False,
    group_column: str = "group",
    seed: int = 0,
    **own: object,
) -> None:
    from dualfair.supernet.images.importers import listing as listings
    from dualfair.supernet.images.importers.importing import import_listing

    listing = importer(source, **own)
    if balance:
        listing = listings.balance(listing, group_column, seed=seed)
    for note in listing.notes:
        click.echo(f"Note: {note}")
    report = import_listing(
        listing,
        out,
        size=size,
        align=bool(own.get("align")),
        max_unreadable=max_unreadable,
        made_by=f"import {name}",
        progress=_progress,
    )
    for left_out, reason in report.unreadable[:SHOWN]:
        click.echo(f"Left out: {left_out} ({reason})", err=True)
    if len(report.unreadable) > SHOWN:
        click.echo(f"Left out: {len(report.unreadable) - SHOWN:,} more; faces.json names all of them", err=True)
    describe(report.store)
    if report.pairs is not None:
        dropped = len(report.pairs.dropped)
        missing = f"; {dropped:,} are left out, as an image of theirs is" if dropped else ""
        click.echo(f"{len(report.pairs):,} verification pairs in {out / 'pairs.csv'}{missing}")
    click.echo(f"Next: dualfair faces check {out}, then dualfair train --faces {out} --out run")


def _progress(rows: range) -> Iterator[int]:
    from tqdm import tqdm

    if rows.start:
        click.echo(f"Continuing with image {rows.start + 1:,} of {rows.stop:,}")
    return iter(tqdm(rows, desc="images", unit="image", initial=rows.start, total=rows.stop, disable=None))


def describe(store) -> None:
    """Print what a faces folder holds, with the counts of its first attribute."""
    from dualfair.supernet.images.manifest import attributes_of, identity_groups

    manifest = store.manifest
    people = len(set(manifest.columns["identity"]))
    click.echo(f"{store.folder}: {len(manifest):,} images of {people:,} people at {store.size} px")
    attributes = attributes_of(manifest)
    if "group" in attributes:
        counts = Counter(identity_groups(manifest, "group").values())
        click.echo("people by group: " + ", ".join(f"{group} {n}" for group, n in sorted(counts.items())))
    elif attributes:
        click.echo(f"There is no column 'group'; use --group-column with one of: {', '.join(attributes)}")
    else:
        click.echo("There are no groups: training needs a column to compare people by")
