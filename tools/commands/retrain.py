"""`dualfair retrain`: stage 3, chosen networks from scratch, judged by the very same scorer."""

from pathlib import Path

import click

from dualfair.commands.console import say_once, watching
from dualfair.commands.options import PATH, checkpoint_option, config_options, machine_options
from dualfair.runs.options import RetrainOptions
from dualfair.stages.selection import surveys
from dualfair.supernet.training.recipe import Recipe


@click.command()
@click.option("--run", type=PATH, required=True, help="Run directory of the search.")
@click.option("--genotype", multiple=True, help="Train these networks only; may be repeated.")
@click.option("--backbone", multiple=True, help="Train this backbone of timm's; may be repeated.")
@click.option(
    "--head", multiple=True, help="Heads of the backbones, module:object for your own; may be repeated.  [default: all]"
)
@click.option("--survey", help="TOML file of backbones, heads and recipes, or one of: " + ", ".join(surveys()) + ".")
@click.option("--short", is_flag=True, help="Train all planned networks once more, together as long as the supernet.")
@checkpoint_option
@config_options(RetrainOptions, Recipe)
@machine_options
def command(run: Path, backbone: tuple[str, ...], survey: str | None, **given: object) -> None:
    """Stage 3: train networks from scratch, by the supernet's recipe unless told otherwise.

    Networks named by hand, and backbones of timm's, are trained by the recipe that this stage recorded; whatever of it
    is changed becomes part of their names.
    """
    from dualfair.door import retrain

    with watching(finishing=True) as watched:
        retrain(run, backbone=backbone, survey=survey, **watched, **given)
    say_once(f"Next: dualfair {'shelf' if backbone or survey else 'correlate'} --run {run}")
