"""`dualfair faces import`: a command for every importer, made from the table of importers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args, get_type_hints

import click

from dualfair.commands.console import bars, say
from dualfair.commands.options import PATH

WITHOUT_GROUPS = ("bin",)
"""Data sets that can have no groups, so there is nothing to balance."""

OPTION_HELP = {
    "align": "Turn and scale faces so that eyes, nose and mouth fall on the usual template, by the set's landmarks.",
    "balance": "Keep equally many people and images of every group, people with at least 3 images only; the column "
    "'split' is dropped.",
    "group": "Attribute that becomes the column 'group'.",
    "group_column": "Column that --balance takes groups from.",
    "groups": "CSV with the columns identity,group[,more attributes].",
    "max_unreadable": "Largest share of images that may be unreadable; they are left out and listed.",
    "official_split": "Keep the data set's own partition as the column 'split'.",
    "pairs": "List of verification pairs.  [default: SRC/pairs.txt, where there is one]",
    "seed": "Seed of the draw that --balance makes.",
    "size": "Side of the stored images in pixels.",
}
BALANCING = ("balance", "group_column", "seed")


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
    from dualfair.stages.faces import import_faces

    shared = ("size", "max_unreadable", *(() if name in WITHOUT_GROUPS else BALANCING))
    text = _help(importer)
    return click.Command(
        name,
        params=[
            click.Argument(["source"], type=PATH, metavar="SRC"),
            *(_option(parameter, importer) for parameter in _keywords(importer)),
            click.Option(["--out"], type=PATH, required=True, help="The faces folder to make or to continue."),
            *(_option(parameter, import_faces) for parameter in _keywords(import_faces) if parameter.name in shared),
        ],
        callback=partial(_import, name, importer),
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
        type=PATH if kind is Path else kind,
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


def _import(name: str, importer: Callable, source: Path, out: Path, **options: object) -> None:
    from dualfair.stages.faces import description, import_faces, left_out_lines, pairs_line

    with bars() as progress:
        report = import_faces(importer, source, out, name=name, say=say, progress=progress, **options)
    for line in left_out_lines(report):
        click.echo(line, err=True)
    for line in filter(None, (*description(report.store), pairs_line(report))):
        say(line)
    say(f"Next: dualfair faces check {out}, then dualfair train --faces {out} --out run")
