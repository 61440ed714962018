"""`dualfair correlate`: stage 4, does the inherited score rank networks as training from scratch does?"""

import sys
from pathlib import Path

import click

from dualfair.commands.console import say_once, watching
from dualfair.commands.options import PATH, machine_options, resamples_option

PARTIAL = 3
"""Exit status of a study in which a correlation is undefined, or a training that was asked for is missing."""


@click.command()
@click.option("--run", type=PATH, help="Run directory of retraining.")
@click.option(
    "--table",
    nargs=2,
    type=PATH,
    help="Instead of a run: CSV of cheap scores (network,...) and CSV of the truth (network[,seed],...).",
)
@click.option("--out", type=PATH, help="Folder for the study of tables.")
@click.option("--maximise", multiple=True, help="A column of the tables of which more is better; may be repeated.")
@resamples_option
@machine_options
def command(run: Path | None, **given: object) -> None:
    """Stage 4: rank correlation of inherited and standalone scores, for error and for disparity."""
    from dualfair.door import correlate

    with watching() as watched:
        ranking = correlate(run, say=watched["say"], **given)
    if run is not None:
        say_once(f"Next: dualfair report {run}")
    if ranking.partial:
        sys.exit(PARTIAL)
