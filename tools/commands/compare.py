"""`dualfair compare`: is NSGA-II worth it? Against random search at equal evaluations, and the exhaustive truth."""

from pathlib import Path

import click

from dualfair.commands.console import watching
from dualfair.commands.options import PATH, machine_options


@click.command()
@click.option("--run", type=PATH, required=True, help="Run directory of a search.")
@click.option("--seeds", type=click.IntRange(2, 1000), default=10, show_default=True, help="Runs of each method.")
@click.option("--population", type=click.IntRange(2), help="Genotypes a generation.  [default: the search's]")
@click.option("--generations", type=click.IntRange(1), help="Generations of NSGA-II.  [default: the search's]")
@machine_options
def command(run: Path, seeds: int, population: int | None, generations: int | None, **machine: object) -> None:
    """Compare NSGA-II with random search at equal evaluations, over seeds; small spaces are scored as a whole."""
    from dualfair.runs.trained_run import working_on
    from dualfair.studies.compare import compare

    with watching() as watched, working_on(run, say=watched["say"], **machine) as trained:
        compare(trained, seeds, population=population, generations=generations, progress=watched["progress"])
