"""`dualfair faces check`: what a faces folder holds, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import click

from dualfair.commands.console import bars, say
from dualfair.commands.options import PATH


@click.command("check")
@click.argument("faces", type=PATH)
@click.option("--group-column", help="Column of the groups.  [default: group, where there is one]")
@click.option("--split", default="0.6,0.2,0.2", show_default=True, help="Shares of the people, as for training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the splits, as for training.")
def command(faces: Path, **splitting: object) -> None:
    """Count what is in the folder FACES and look for faults; every image is read.

    Groups and splits are those that training makes of the same options. The exit status is 0 when there is no fault, 1
    when there is one, and 2 when the folder cannot be opened.
    """
    from dualfair.stages.faces import check_faces, findings

    with bars() as progress:
        checked = check_faces(faces, progress=progress, **splitting)
    for line in findings(checked):
        say(line)
    if checked.inspection.faults:
        raise SystemExit(1)
