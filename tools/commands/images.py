"""`dualfair images`: import labelled images into a folder, and check what is in it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dualfair.commands.console import bars, say
from dualfair.commands.faces import OPTION_HELP, ImportGroup
from dualfair.commands.options import PATH

if TYPE_CHECKING:
    from dualfair.supernet.images.importers.importing import ImportReport


class LabelledImportGroup(ImportGroup):
    """A command for every row of the table of labelled importers."""

    help_of = OPTION_HELP | {
        "out": "The folder to make or to continue.",
        "label": "Column that becomes the label.",
        "classes": "Classes that are mostly in colour, with commas.",
        "share": "Share of their training images that are.",
        "seed": "Seed of the draw that --validation makes.",
        "size": "Side of the stored images in pixels.  [default: that of the images of npz (arrays), idx and cifar, "
        "else 112]",
        "validation": "Share of the training images that becomes validation, where a set has train and test only.",
    }

    def importers(self) -> dict[str, Callable]:
        """The table."""
        from dualfair.supernet.images.importers.labelled import LABELLED_IMPORTERS

        return LABELLED_IMPORTERS

    def stage(self) -> Callable:
        """What imports; its parameters in `shared` are options of every command."""
        from dualfair.stages.images import import_images

        return import_images

    def shared(self, name: str) -> tuple[str, ...]:
        return ("size", "max_unreadable", "validation", "seed")

    def summary(self, report: "ImportReport") -> list[str]:
        """What an import came to, and the next command."""
        from dualfair.stages.images import description, next_steps

        return [*description(report.store), f"Next: {next_steps(report.store)}"]


@click.group()
def command() -> None:
    """Make a folder of labelled images (manifest.csv, pixels.npy and faces.json), and check it."""


@command.group("import", cls=LabelledImportGroup)
def import_group() -> None:
    """Import images with class labels as they lie on the disk: folders, a table, arrays, or module:object.

    Images of any format that Pillow reads become 8-bit RGB, upright; a non-square one is cropped to its central square,
    then resized. Whatever is skipped is told with the reason, and all of it stands in faces.json. The same command
    continues an import that was interrupted.
    """


@command.command("check")
@click.argument("images", type=PATH)
@click.option("--group-column", help="Column of the groups.  [default: group, where there is one]")
@click.option("--split", default="0.6,0.2,0.2", show_default=True, help="Shares of the images, as for training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the splits, as for training.")
def check(images: Path, **splitting: object) -> None:
    """Count what is in the folder IMAGES by class and group and look for faults; every image is read.

    Groups and splits are those that training makes of the same options. The exit status is 0 when there is no fault, 1
    when there is one, and 2 when the folder cannot be opened.
    """
    from dualfair.stages.images import check_images, findings

    with bars() as progress:
        checked = check_images(images, progress=progress, **splitting)
    for line in findings(checked):
        say(line)
    if checked.inspection.faults:
        raise SystemExit(1)
