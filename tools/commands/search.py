"""`dualfair search`: stage 2, NSGA-II over genotypes scored by the weights that they inherit."""

from pathlib import Path

import click

from dualfair.commands.console import say_once, watching
from dualfair.commands.options import PATH, config_options, machine_options
from dualfair.runs.options import BATCH, ConstraintOptions, ProtocolOptions, SearchOptions


@click.command()
@click.option("--run", type=PATH, required=True, help="Run directory of training.")
@click.option("--exhaustive", is_flag=True, help="Score the whole space instead; for -shared spaces.")
@click.option("--batch", type=int, default=BATCH, show_default=True, help="Images scored at once.")
@click.option("--start", multiple=True, help="A genotype to begin with, or 'paper' for the published ones; repeatable.")
@config_options(SearchOptions, ProtocolOptions, ConstraintOptions)
@machine_options
def command(run: Path, **given: object) -> None:
    """Stage 2: evolve subnets; every score is kept and never computed again."""
    from dualfair.door import search

    with watching() as watched:
        search(run, **watched, **given)
    say_once(f"Next: dualfair retrain --run {run}")
