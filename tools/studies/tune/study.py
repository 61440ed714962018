"""Networks and hyper-parameters searched together, by asynchronous successive halving."""

from collections.abc import Callable, Iterator

from dualfair.evolution.halving import Rungs, Turn
from dualfair.runs.devices import in_words
from dualfair.runs.options import CHECKPOINT_MINUTES
from dualfair.runs.trained_run import TrainedRun
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.stages.inherited import recorded_search
from dualfair.stages.retrain import recipe_of_stage
from dualfair.stages.standalone_training import TrainingStage, train_standalone
from dualfair.studies.tune.ladder import Ladder, pool_of
from dualfair.studies.tune.options import TuneOptions
from dualfair.studies.tune.output import lines_of, report_of, result_of, trials_table
from dualfair.studies.tune.records import SharedRecipe, TuneConfig, TuneLayout, TuneResult
from dualfair.supernet.files import write_csv
from dualfair.supernet.training.process_group import ProcessGroup, divide
from dualfair.supernet.training.trainer import NonFinite


def tune(
    run: TrainedRun,
    options: TuneOptions,
    *,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
) -> TuneResult | None:
    """Train the trials rung by rung, skipping what is done, and write what they came to; None on ranks that do not
    lead.

    A training that `should_stop` ends is saved before `runs.watching.Stopped` is raised. Raises ValueError where
    nothing was searched, or the stage was begun with other options (but for `trials`).
    """
    directory, space = run.directory, run.setting.space
    search = recorded_search(directory)
    recipe = recipe_of_stage(run)
    last = options.epochs or recipe.epochs
    rungs = Rungs(first=options.first_rung or last / 4, last=last, eta=options.eta)
    layout = TuneLayout(directory.layout.study("tune").folder)
    pool = pool_of(run, options.pool, layout)
    config = TuneConfig(
        recipe=SharedRecipe(recipe),
        protocol=search.protocol,
        weights=run.digest,
        networks=options.pool,
        pool=tuple(pool),
        rungs=rungs.budgets,
        eta=options.eta,
        seed=options.seed,
    )
    configuration = directory.claim(layout, config)
    directory.record_command(layout, in_words(run.processes))
    budgets = ", ".join(f"{epochs:g}" for epochs in rungs.budgets)
    where = f"{len(pool)} networks of the search" if pool else f"space {space.name}"
    directory.say(
        f"Tune: {options.trials} trials out of {where}, rungs of {budgets} epochs, one in {options.eta} goes on; "
        f"{in_words(run.processes)}"
    )
    ladder = Ladder(layout, space, pool, rungs, options, search.names.measured)
    if directory.leads:
        ladder.forget_unfinished()
    run.processes.wait()
    stage = TrainingStage(
        layout=layout,
        recipe=recipe,
        protocol=search.protocol,
        configuration=configuration,
        checkpoint_minutes=checkpoint_minutes,
        progress=progress,
        should_stop=should_stop,
    )
    climb(run, ladder, stage)
    run.processes.wait()
    if not directory.leads:
        return None
    result = result_of(ladder)
    result.write(layout.numbers)
    write_csv(layout.table, trials_table(result).csv())
    report_of(result).write(layout.report)
    for line in lines_of(result, directory.path):
        directory.say(line)
    return result


def climb(run: TrainedRun, ladder: Ladder, stage: TrainingStage) -> None:
    """Take turns until there are none left; every team of ranks by itself."""
    team = divide(run.processes, ladder.options.ranks_per_job)
    for turn in turns(team, ladder.take):
        try:
            train_standalone(run, stage, ladder.training(turn), team)
        except NonFinite as error:
            # A training that leaves the finite numbers is an answer here: that learning rate does not do.
            if team.leads:
                ladder.fail(turn, str(error))
        if team.leads:
            run.directory.say(ladder.sentence(turn))


def turns(team: ProcessGroup, take: Callable[[], Turn | None]) -> Iterator[Turn]:
    """The turns that fall to this rank's team."""
    while True:
        turn = take() if team.leads else None
        text = team.broadcast(f"{turn.trial} {turn.rung}" if turn else "")
        if not text:
            return
        yield Turn(*map(int, text.split()))
