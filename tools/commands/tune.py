"""`dualfair tune`: networks and hyper-parameters searched together, by asynchronous successive halving."""

from pathlib import Path

import click

from dualfair.commands.console import say_once, watching
from dualfair.commands.options import PATH, config_options, deterministic_option, device_option
from dualfair.runs.options import CHECKPOINT_MINUTES
from dualfair.studies.tune import TuneOptions


@click.command()
@click.option("--run", type=PATH, required=True, help="Run directory of the search.")
@click.option(
    "--checkpoint-every", type=float, default=CHECKPOINT_MINUTES, show_default=True, help="Minutes between checkpoints."
)
@config_options(TuneOptions)
@device_option
@deterministic_option
def command(
    run: Path, checkpoint_every: float, preset: str | None, device: str, deterministic: bool, **given: object
) -> None:
    """Search networks and hyper-parameters together: every trial a few epochs, the best ones more and more.

    A trial is a network from the front of the search, any head, SGD, Adam or AdamW, and a learning rate, in the ranges
    of the DPN study. All are trained from scratch for the epochs of the first rung; one in --eta goes on to the next,
    by error and disparity on the validation people. Every rung is a whole training with a schedule of its own.
    """
    from dualfair.runs.config import build_configs
    from dualfair.runs.context import working
    from dualfair.runs.trained_run import open_trained
    from dualfair.studies.tune.study import tune

    with watching(finishing=True) as watched:
        say, progress, should_stop = watched["say"], watched["progress"], watched["should_stop"]
        with working(run, device=device, deterministic=deterministic, say=say) as place:
            trained = open_trained(place.directory, place.processes)
            (options,) = build_configs(given, preset, TuneOptions, stage="tune")
            tune(trained, options, checkpoint_minutes=checkpoint_every, progress=progress, should_stop=should_stop)
    say_once(f"Everything is in {run / 'studies/tune'}")
