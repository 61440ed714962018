"""`dualfair faces`: generate faces, import a data set or your own into a faces folder, and check what is in it."""

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from dualfair.commands.console import bars, say
from dualfair.commands.options import PATH
from dualfair.presentation.format import quoted

if TYPE_CHECKING:
    from dualfair.supernet.images.importers.importing import ImportReport

WITHOUT_GROUPS = ("bin", "unlabelled")
"""Data sets that can have no groups, so there is nothing to balance."""
OPTION_HELP = {
    "align": "Turn and scale faces so that eyes, nose and mouth fall on the usual template, by the set's landmarks, "
    "which are taken to be of the upright image.",
    "balance": "Keep equally many people and images of every group, people with at least 3 images only; the column "
    "'split' is dropped.",
    "group": "Attribute that becomes the column 'group'.",
    "group_column": "Column that --balance takes groups from.",
    "groups": "CSV with the columns identity,group[,more attributes].",
    "out": "The faces folder to make or to continue.",
    "max_unreadable": "Largest share of images that may be unreadable; they are left out and listed.",
    "official_split": "Keep the data set's own partition as the column 'split'.",
    "pairs": "List of verification pairs.  [default: SRC/pairs.txt, where there is one]",
    "seed": "Seed of the draw that --balance makes.",
    "within_splits": "With --balance: balance every given split by itself, and keep the column 'split'.",
    "size": "Side of the stored images in pixels.",
}
BALANCING = ("balance", "within_splits", "group_column", "seed")


class ImportGroup(click.Group):
    """A command for every row of a table of importers, made from the importer's parameters and docstring."""

    help_of = OPTION_HELP
    """The help of options, by the parameters that they set."""

    def importers(self) -> dict[str, Callable]:
        """The table."""
        from dualfair.supernet.images.importers.datasets import IMPORTERS

        return IMPORTERS

    def stage(self) -> Callable:
        """What imports; its parameters in `shared` are options of every command."""
        from dualfair.stages.faces import import_faces

        return import_faces

    def shared(self, name: str) -> tuple[str, ...]:
        return ("size", "max_unreadable", *(() if name in WITHOUT_GROUPS else BALANCING))

    def summary(self, report: "ImportReport") -> list[str]:
        """What an import came to, and the next command."""
        from dualfair.stages.faces import description, next_steps, pairs_line

        lines = [*description(report.store), pairs_line(report), f"Next: {next_steps(report.store)}"]
        return list(filter(None, lines))

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.importers())

    def get_command(self, context: click.Context, name: str) -> click.Command:
        from dualfair.runs.config import look_up

        importer = look_up(name, self.importers(), "importer")
        keywords = [parameter for parameter in _keywords(self.stage()) if parameter.name in self.shared(name)]
        text = _help(importer)
        return click.Command(
            name,
            params=[
                click.Argument(["source"], type=PATH, metavar="SRC"),
                *(_option(parameter, self.help_of) for parameter in _keywords(importer)),
                click.Option(["--out"], type=PATH, required=True, help=self.help_of["out"]),
                *(_option(parameter, self.help_of) for parameter in keywords),
            ],
            callback=partial(self._import, name, importer),
            help=text,
            short_help=text.partition("\n")[0],
        )

    def _import(self, name: str, importer: Callable, source: Path, out: Path, **options: object) -> None:
        from dualfair.stages.faces import left_out_lines

        with bars() as progress:
            report = self.stage()(importer, source, out, name=name, say=say, progress=progress, **options)
        for line in left_out_lines(report):
            say(line, err=True)
        for line in self.summary(report):
            say(line)


@click.group()
def command() -> None:
    """Make a faces folder (manifest.csv, pixels.npy and faces.json), and check it."""


@command.command("synth")
@click.option("--out", type=PATH, required=True, help="The faces folder to make.")
@click.option("--identities", type=int, default=200, show_default=True, help="People, dealt to the groups in turn.")
@click.option("--images", type=int, default=16, show_default=True, help="Images of every person.")
@click.option("--size", type=int, default=48, show_default=True, help="Side of the images in pixels.")
@click.option("--groups", type=int, default=2, show_default=True, help="Number of groups, named a, b, ...")
@click.option(
    "--bias", type=float, default=0.5, show_default=True, help="0: groups are exchangeable; 1: most different."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same faces.")
def synth(out: Path, **options: object) -> None:
    """Generate faces of people who do not exist."""
    from dualfair.door import generate_faces
    from dualfair.stages.faces import PREVIEW, description

    with bars() as progress:
        store = generate_faces(out, progress=progress, **options)
    for line in description(store):
        say(line)
    say(f"Look at {out / PREVIEW}. Next: dualfair train --faces {quoted(out)} --out run")


@command.group("import", cls=ImportGroup)
def import_group() -> None:
    """Import faces from data as it lies on the disk: a data set by name, your own folder or table, or module:object.

    Images of any format that Pillow reads become 8-bit RGB, upright; a non-square one is cropped to its central square,
    then resized. Whatever is skipped is told with the reason, and all of it stands in faces.json. The same command
    continues an import that was interrupted.
    """


@command.command("check")
@click.argument("faces", type=PATH)
@click.option("--group-column", help="Column of the groups.  [default: group, where there is one]")
@click.option("--split", default="0.6,0.2,0.2", show_default=True, help="Shares of the people, as for training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the splits, as for training.")
def check(faces: Path, **splitting: object) -> None:
    """Count what is in the folder FACES and look for faults; every image is read.

    Groups and splits are those that training makes of the same options. The exit status is 0 when there is no fault, 1
    when there is one, and 2 when the folder cannot be opened.
    """
    from dualfair.planning.outlook import outlook_of
    from dualfair.stages.faces import check_faces, findings

    with bars() as progress:
        checked = check_faces(faces, progress=progress, **splitting)
    for line in (*findings(checked), *outlook_of(checked.inspection.counts)):
        say(line)
    if checked.inspection.faults:
        raise SystemExit(1)


def _keywords(importer: Callable) -> list[inspect.Parameter]:
    parameters = inspect.signature(importer, eval_str=True).parameters.values()
    return [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def _option(parameter: inspect.Parameter, help_of: Mapping[str, str]) -> click.Option:
    """The option that sets a parameter of an importer, which has its name, type and default."""
    hint, default = (None if value is parameter.empty else value for value in (parameter.annotation, parameter.default))
    kind = next((part for part in get_args(hint) if part is not type(None)), hint)
    flag = "--" + parameter.name.replace("_", "-")
    return click.Option(
        [f"{flag}/--no-{flag[2:]}" if default is True else flag, parameter.name],
        type=PATH if kind is Path else kind,
        is_flag=kind is bool,
        default=default,
        required=parameter.default is parameter.empty,
        show_default=default not in (None, ""),
        help=help_of.get(parameter.name, ""),
    )


def _help(importer: Callable) -> str:
    """An importer's docstring, with its parameters as options, without what is for programmers."""
    paragraphs = (inspect.getdoc(importer) or importer.__name__).split("\n\n")
    text = "\n\n".join(paragraph for paragraph in paragraphs if not paragraph.startswith("Raises"))
    for parameter in _keywords(importer):
        text = text.replace(f"`{parameter.name}`", "--" + parameter.name.replace("_", "-"))
    return re.sub(r"\s*Raises ValueError[^.]*\.", "", text).replace("`", "'")
