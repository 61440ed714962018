"""`dualfair faces`: generate faces, import a data set or your own into a faces folder, and check what is in it."""

from __future__ import annotations

from pathlib import Path

import click

from dualfair.commands import faces_check, faces_import
from dualfair.commands.console import bars, say
from dualfair.commands.options import PATH


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
    say(f"Look at {out / PREVIEW}. Next: dualfair train --faces {out} --out run")


command.add_command(faces_import.command)
command.add_command(faces_check.command)
