"""`dualfair tune`: networks and hyper-parameters searched together, by successive halving."""

from pathlib import Path

import click

from dualfair.commands.console import say_once, watching
from dualfair.commands.options import PATH, config_options, machine, machine_options, training_options
from dualfair.studies.tune import TuneOptions


@click.command()
@click.option("--run", type=PATH, required=True, help="Run directory of the search.")
@training_options
@config_options(TuneOptions)
@machine_options
def command(run: Path, checkpoint_every: float, step: str, preset: str | None, **given: object) -> None:
    """Search networks and hyper-parameters together: every trial a few epochs, the best ones more and more.

    A trial is any network of the space with any head, SGD, Adam or AdamW, and a learning rate, in the ranges of the DPN
    study; --vary sets others. After ten random ones a model of what was seen proposes most trials. One in --eta goes
    from a rung to the next, by error and disparity on the validation people. Every rung is a whole training with a
    schedule of its own.
    """
    from dualfair.runs.config import build_configs
    from dualfair.runs.trained_run import working_on
    from dualfair.studies.tune.study import tune

    with watching(finishing=True) as watched, working_on(run, say=watched.pop("say"), **machine(given)) as trained:
        (options,) = build_configs(given, preset, TuneOptions, stage="tune")
        tune(trained, options, checkpoint_minutes=checkpoint_every, step=step, **watched)
    say_once(f"Everything is in {run / 'studies/tune'}")
