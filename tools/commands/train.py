"""`dualfair train`: stage 1, a supernet in which every candidate operation gets the same number of updates."""

from pathlib import Path

import click

from dualfair.commands.console import say_once, watching
from dualfair.commands.options import PATH, checkpoint_option, config_options, machine_options
from dualfair.runs.options import TrainOptions
from dualfair.supernet.training.recipe import Recipe


@click.command()
@click.option("--faces", type=PATH, required=True, help="Faces folder.")
@click.option("--out", type=PATH, required=True, help="Run directory to make or to continue.")
@checkpoint_option
@config_options(TrainOptions, Recipe)
@machine_options
def command(faces: Path, out: Path, **given: object) -> None:
    """Stage 1: train a supernet over the space; continues from the newest checkpoint by itself."""
    from dualfair.door import train

    with watching(finishing=True) as watched:
        train(faces, out, **watched, **given)
    say_once(f"Next: dualfair search --run {out}")
