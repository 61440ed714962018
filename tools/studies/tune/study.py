"""`dualfair tune`: networks and hyper-parameters searched together, by asynchronous successive halving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from dualfair.runs.config import build_configs, config_options, option
from dualfair.runs.devices import deterministic_option, device_option
from dualfair.runs.directory import RunDirectory
from dualfair.runs.distributed import divide, in_words, join, say
from dualfair.runs.protocol import ProtocolOptions, searched_with
from dualfair.runs.trainings import TUNE
from dualfair.supernet.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """Which networks and hyper-parameters are tried, and how much is spent on the best."""

    trials: int = option(16, "Networks with an optimizer and a learning rate each; more may be added later.")
    pool: int = option(8, "Networks that trials draw from: the best by the search's scores; 0 = any of the space.")
    epochs: float = option(0.0, "Epochs of the last rung; 0 = as many as retrain's recipe has.")
    first_rung: float = option(0.0, "Epochs that every trial gets; 0 = a quarter of the last rung's.")
    eta: int = option(2, "One in so many trials of a rung goes on to the next, which has so many times the epochs.")
    seed: int = option(0, "Seed of the trials.")
    ranks_per_job: int = option(1, "With torchrun: ranks that train one network together; has to divide their number.")

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("pool", 0), ("epochs", 0), ("first_rung", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")


@click.command()
@click.option("--run", "run_path", type=click.Path(path_type=Path), required=True, help="Run directory of the search.")
@click.option("--checkpoint-every", type=float, default=5.0, show_default=True, help="Minutes between checkpoints.")
@config_options(TuneOptions)
@device_option
@deterministic_option
def command(
    run_path: Path, checkpoint_every: float, preset: str | None, device: str, deterministic: bool, **given: object
) -> None:
    """Search networks and hyper-parameters together: every trial a few epochs, the best ones more and more.

    A trial is a network from the front of the search, any head, SGD, Adam or AdamW, and a learning rate, in the ranges
    of the DPN study. All are trained from scratch for the epochs of the first rung; one in --eta goes on to the next,
    by error and disparity on the validation people. Every rung is a whole training with a schedule of its own.
    """
    from dualfair.runs.trained_run import open_trained

    processes = join(device, deterministic)
    with RunDirectory(run_path, processes.leads).locked():
        run = open_trained(run_path, processes)
        (options,) = build_configs(given, preset, TuneOptions, stage=TUNE)
        tune(run, options, checkpoint_minutes=checkpoint_every)
    say(processes, f"Everything is in {run_path / TUNE}")


def tune(run, options: TuneOptions, *, checkpoint_minutes: float = 5.0) -> dict:
    """Train the trials rung by rung, skipping what is done; returns what tune.json holds.

    Raises ValueError where nothing was searched, or the stage was begun with other options (but for `trials`).
    """
    from dualfair.evolution.halving import Rungs
    from dualfair.stages.retrain import recipe_of_stage
    from dualfair.studies.tune.ladder import Ladder, pool_of
    from dualfair.studies.tune.output import write_and_say

    protocol_options, _ = searched_with(run.directory)
    recipe = recipe_of_stage(run)
    last = options.epochs or recipe.epochs
    rungs = Rungs(first=options.first_rung or last / 4, last=last, eta=options.eta)
    directory = run.directory
    pool = pool_of(run, options.pool, TUNE)
    configuration = directory.claim(TUNE, _configuration(run, recipe, protocol_options, options, rungs, pool))
    directory.record_command(TUNE, in_words(run.processes))
    budgets = ", ".join(f"{epochs:g}" for epochs in rungs.budgets)
    where = f"{len(pool)} networks of the search" if pool else f"space {run.setting.space.name}"
    directory.say(
        f"Tune: {options.trials} trials out of {where}, rungs of {budgets} epochs, one in {options.eta} goes on; "
        f"{in_words(run.processes)}"
    )
    ladder = Ladder(directory.stage(TUNE), run.setting.space, pool, rungs, options)
    if directory.leads:
        ladder.forget_unfinished()
    run.processes.wait()
    climb(run, ladder, recipe, protocol_options, configuration=configuration, checkpoint_minutes=checkpoint_minutes)
    run.processes.wait()
    return write_and_say(run, ladder, recipe, protocol_options) if directory.leads else {}


def _configuration(
    run, recipe: Recipe, protocol_options: ProtocolOptions, options: TuneOptions, rungs, pool: Sequence
) -> dict:
    """What decides about the trials and their results; not how many there are."""
    kept = {name: value for name, value in asdict(recipe).items() if name not in ("optimizer", "lr", "epochs")}
    return {
        **kept,
        **asdict(protocol_options),
        "weights": run.digest,
        "networks asked for": options.pool,
        "pool": [str(genotype) for genotype in pool],
        "rungs": list(rungs.budgets),
        "eta": options.eta,
        "trials' seed": options.seed,
    }


def climb(
    run, ladder, recipe: Recipe, protocol_options: ProtocolOptions, *, configuration: str, checkpoint_minutes: float
) -> None:
    """Take turns until there are none left; every team of ranks by itself."""
    from dualfair.stages.standalone_training import train_standalone

    team = divide(run.processes, ladder.options.ranks_per_job)
    for turn in turns(team, ladder.take):
        training = ladder.training(turn)
        try:
            train_standalone(
                run,
                training,
                recipe,
                protocol_options,
                team,
                folder=ladder.folder / training.folder,
                configuration=configuration,
                checkpoint_minutes=checkpoint_minutes,
            )
        except click.ClickException as error:
            # A training that leaves the finite numbers is an answer here: that learning rate does not do.
            if team.leads:
                ladder.failed(turn, error.message)
        if team.leads:
            run.directory.say(ladder.sentence(turn))


def turns(team, take: Callable[[], object]):
    """The turns that fall to this rank's team."""
    from dualfair.evolution.halving import Turn

    while True:
        turn = take() if team.leads else None
        text = team.broadcast(f"{turn.trial} {turn.rung}" if turn else "")
        if not text:
            return
        yield Turn(*map(int, text.split()))
