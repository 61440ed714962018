"""`dualfair shelf`: networks of the search against backbones from the shelf, all trained and judged alike."""

from pathlib import Path

import click

from dualfair.commands.console import watching
from dualfair.commands.options import PATH, resamples_option


@click.command()
@click.option("--run", type=PATH, required=True, help="Run directory of retraining.")
@click.option("--baseline", default="", help="Network, by its name in the table, that bpc is measured against.")
@resamples_option
def command(run: Path, baseline: str, resamples: int) -> None:
    """Networks of the search against backbones of timm's: error, disparity, fronts, and whether ours dominate."""
    from dualfair.runs.directory import RunDirectory
    from dualfair.studies.baselines import study_baselines

    with watching() as watched, RunDirectory(run, show=watched["say"]).locked() as directory:
        study_baselines(directory, baseline=baseline, resamples=resamples)
