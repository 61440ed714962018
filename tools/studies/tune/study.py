"""Networks and hyper-parameters searched together: trials climb rungs of more and more epochs."""

import fcntl
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dualfair.evolution.halving import SCHEDULES, Rungs, Turn, ranking
from dualfair.evolution.parego import Results, propose
from dualfair.evolution.pareto import non_dominated
from dualfair.presentation.format import decimals, quoted, spoken
from dualfair.runs.config import code_of
from dualfair.runs.devices import in_words
from dualfair.runs.layout import Inside, StudyLayout
from dualfair.runs.options import CHECKPOINT_MINUTES, ProtocolOptions
from dualfair.runs.records.codec import FLAT, Record, keyed
from dualfair.runs.records.study import StudyReport
from dualfair.runs.records.training import SPLITS, Failure, Origin, TrainingResult
from dualfair.runs.run_files import read_result
from dualfair.runs.trained_run import TrainedRun
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.stages.inherited import recorded_search, scored_networks
from dualfair.stages.retrain import prior_of_stage, recipe_of_stage
from dualfair.stages.standalone_training import HowTrained, TrainingStage, train_standalone
from dualfair.studies.tune import TuneOptions
from dualfair.studies.tune.choices import NETWORK, OPTIMIZER, Choices, varied
from dualfair.studies.tune.trials import RungResult, Trial, TuneResult
from dualfair.supernet.files import write_csv
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.training.optimisation import check_optimizer
from dualfair.supernet.training.process_group import divide
from dualfair.supernet.training.recipe import AUTO, Recipe
from dualfair.supernet.training.trainer import NonFinite

TUNE_STREAM = 5
"""Beside the seed, so that trials share no draws with searches and random networks of the same seed."""
_DRAWS = 1000
"""After so many draws without a new configuration all are taken to have been tried."""
_PATIENCE = 1.0
"""Seconds between two looks for a turn while other teams are at work."""


class TuneLayout(StudyLayout):
    """The folder RUN/studies/tune: a standalone training for every turn, and what they came to."""

    turns = Inside("turns.json")
    """The turns that were taken, as a record."""
    turns_lock = Inside("turns.lock")
    """What teams of ranks lock while they take a turn."""
    numbers = Inside("tune.json")
    """All trials, as a record."""
    table = Inside("trials.csv")
    """All trials, a row for every rung that they reached."""


@dataclass(frozen=True, kw_only=True)
class TuneConfig(Record):
    """What decides about the trials and their results; not how many there are.

    Trials train by the run's `recipe` but for epochs and what they `vary`. They draw from the `pool`, which is empty
    for any network of the space; it has up to `networks` of those searched. `rungs` are epochs. They begin with
    `weights_from` and a `teacher` as retraining does.
    """

    recipe: Recipe = field(metadata=FLAT)
    protocol: ProtocolOptions = field(metadata=FLAT)
    weights: str
    networks: int = keyed("networks asked for")
    pool: tuple[Genotype, ...]
    rungs: tuple[float, ...]
    eta: int
    seed: int = keyed("trials' seed")
    proposer: str = keyed("proposer", omitted=True, default="random")
    schedule: str = keyed("schedule", omitted=True, default="asha")
    vary: str = keyed("vary", omitted=True, default="")
    code: Mapping[str, str] | None = keyed("code", omitted=True, default=None)
    weights_from: Origin | None = field(metadata={"omitted": True}, default=None)
    teacher: Origin | None = field(metadata={"omitted": True}, default=None)


@dataclass(frozen=True)
class TakenTurns(Record):
    """The turns that were taken, in order, and the trials as they were chosen."""

    turns: tuple[Turn, ...] = ()
    trials: tuple[Trial, ...] = keyed("trials", omitted=True, default=())


def tune(
    run: TrainedRun,
    options: TuneOptions,
    *,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    step: str = AUTO,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
) -> TuneResult | None:
    """Train the trials rung by rung, skipping what is done, and write what they came to; None on ranks that do not
    lead.

    A training that `should_stop` ends is saved before `runs.watching.Stopped` is raised. Raises ValueError where
    nothing was searched, or the stage was begun with other options (but for `trials`).
    """
    directory, space = run.directory, run.setting.space
    search, recipe, prior = recorded_search(directory), recipe_of_stage(run), prior_of_stage(run)
    last = options.epochs or recipe.epochs
    rungs = Rungs(first=options.first_rung or last / 4, last=last, eta=options.eta)
    layout = TuneLayout(directory.layout.study("tune").folder)
    pool = pool_of(run, options, layout)
    choices = Choices(space, recipe, pool, options.vary)
    for name in varied(options.vary)[OPTIMIZER]:
        check_optimizer(str(name))
    config = TuneConfig(
        recipe=replace(recipe, epochs=last),
        protocol=search.protocol,
        weights=run.digest,
        networks=options.pool,
        pool=tuple(pool),
        rungs=rungs.budgets,
        eta=options.eta,
        seed=options.seed,
        proposer=options.proposer,
        schedule=options.schedule,
        vary=options.vary,
        code=search.protocol.code | code_of(head.source for head in run.setting.skeleton.own_heads) or None,
        **prior.record,
    )
    how = HowTrained(
        recipe=recipe,
        prior=prior,
        protocol=search.protocol,
        checkpoint_minutes=checkpoint_minutes,
        step=step,
        progress=progress,
        should_stop=should_stop,
    )
    stage = TrainingStage(layout, how, directory.claim(layout, config))
    directory.record_command(layout, in_words(run.processes))
    budgets = ", ".join(f"{epochs:g}" for epochs in rungs.budgets)
    of_search = "" if NETWORK in varied(options.vary) else " of the search"
    where = f"{len(pool)} networks{of_search}" if pool else f"space {space.name}"
    directory.say(
        f"Tune: {options.trials} trials out of {where}, proposed by {options.proposer}, rungs of {budgets} epochs by "
        f"{options.schedule}, one in {options.eta} goes on; {in_words(run.processes)}"
    )
    ladder = Ladder(layout, choices, rungs, options, search.names.measured)
    if directory.leads:
        ladder.forget_unfinished()
    run.processes.wait()
    _climb(run, ladder, stage)
    run.processes.wait()
    if not directory.leads:
        return None
    result = replace(ladder.summary(), units=run.config.units)
    result.write(layout.numbers)
    write_csv(layout.table, result.table().csv())
    shown, sentences = result.top_table(), result.sentences()
    question = "Which networks with which hyper-parameters?"
    StudyReport(question=question, sentences=sentences, tables=(shown,)).write(layout.report)
    for line in (*shown.lines(), *sentences):
        directory.say(line)
    if chosen := next((trial for trial in result.top if trial.on_front), None):
        changes = chosen.of(result.rungs[-1]).changes
        directory.say(
            f"Next: dualfair retrain --run {quoted(directory.path)} --genotype {quoted(chosen.training.network)} "
            f"{' '.join(as_option(name, value) for name, value in changes)} --seeds 4"
        )
    return result


@dataclass(eq=False)
class Ladder:
    """The turns of a stage's folder, shared by all teams of ranks through its files, and what they came to."""

    layout: TuneLayout
    choices: Choices
    rungs: Rungs
    options: TuneOptions
    measures: tuple[str, ...] = ("error", "rank_disparity")
    _results: dict[Turn, TrainingResult | Failure] = field(default_factory=dict)

    def trial(self, number: int) -> Trial:
        """Trial `number`, as it was chosen. Raises KeyError for one that has not begun."""
        return {trial.number: trial for trial in self.begun()}[number]

    def training(self, turn: Turn) -> TrainingSpec:
        """The training of a turn."""
        return self.trial(turn.trial).of(self.rungs.budgets[turn.rung])

    def take(self) -> Turn | None:
        """The next turn for this team, which is noted as taken; waits for other teams where it has to."""
        next_turn = SCHEDULES[self.options.schedule]
        while True:
            with _alone(self.layout.turns_lock):
                taken, trials = self.taken(), self.begun()
                done = {turn: [*self.reached(turn).validation.values()] for turn in taken if self.result(turn)}
                running = [turn for turn in taken if turn not in done]
                budgets, eta = len(self.rungs.budgets), self.rungs.eta
                turn = next_turn(done, running, self.options.trials, budgets, eta)
                if turn is not None and turn.trial not in {trial.number for trial in trials}:
                    chosen = self._chosen(turn.trial, done, running)
                    trials = (*trials, *([chosen] if chosen else []))
                    # Where all configurations were tried, only those go on.
                    turn = turn if chosen else next_turn(done, running, len(trials), budgets, eta)
                if turn is not None:
                    TakenTurns((*taken, turn), trials).write(self.layout.turns)
                    return turn
            if not running:
                return None
            time.sleep(_PATIENCE)

    def _chosen(self, number: int, done: Mapping[Turn, Sequence[float]], running: Sequence[Turn]) -> Trial | None:
        """Trial `number`, unlike all before; it depends on the seed, these and, with a model, on what was seen. None
        where nothing new is to be had."""
        space, rng = self.choices.space, np.random.default_rng([TUNE_STREAM, self.options.seed, number])
        begun = {trial.training for trial in self.begun()}
        if self.options.proposer == "parego":
            trial = self._proposed(number, done, running, rng)
            if trial.training not in begun:
                return trial
        for _ in range(_DRAWS):
            training = self.choices.training(space.values(space.draw(rng, 1)[0]))
            if training not in begun:
                return Trial(number, training, seen=len(done) if self.options.proposer == "parego" else 0)
        return None

    def _proposed(
        self, number: int, done: Mapping[Turn, Sequence[float]], running: Sequence[Turn], rng: np.random.Generator
    ) -> Trial:
        space = self.choices.space
        logs = np.log(self.rungs.budgets)
        turns = sorted(done)
        results = Results(
            self._rows(turns),
            np.array([(logs[turn.rung] - logs[0]) / (logs[-1] - logs[0] or 1) for turn in turns]),
            np.array([done[turn] for turn in turns], dtype=float).reshape(-1, len(self.measures)),
        )
        row, by_model = propose(space, results, self._rows(running), number, rng)
        return Trial(number, self.choices.training(space.values(row)), seen=len(done), model=by_model)

    def _rows(self, turns: Sequence[Turn]) -> np.ndarray:
        begun = {trial.number: trial.training for trial in self.begun()}
        rows = [self.choices.space.row(self.choices.values(begun[turn.trial])) for turn in turns]
        return np.array(rows).reshape(-1, len(self.choices.space.dimensions))

    def taken(self) -> tuple[Turn, ...]:
        """The turns that were ever taken, in order. Raises ValueError when the list is damaged."""
        return self._noted().turns

    def begun(self) -> tuple[Trial, ...]:
        """The trials that were chosen so far, in order. Raises ValueError when the list is damaged."""
        return self._noted().trials

    def _noted(self) -> TakenTurns:
        path = self.layout.turns
        if not path.is_file():
            return TakenTurns()
        remedy = "delete it, the same command takes the turns again"
        noted = TakenTurns.read(path, remedy)
        if unknown := {turn.trial for turn in noted.turns} - {trial.number for trial in noted.trials}:
            raise ValueError(
                f"{path} does not say what trial {min(unknown)} is, as an earlier version left it; delete the folder "
                f"{self.layout.folder} and run the same command again"
            )
        return noted

    def forget_unfinished(self) -> None:
        """Let turns without a result be taken again: whoever took them is gone. Their trials stay as they are."""
        finished = tuple(turn for turn in self.taken() if self.result(turn))
        TakenTurns(finished, self.begun()).write(self.layout.turns)

    def result(self, turn: Turn) -> TrainingResult | Failure | None:
        """What the training of a turn came to, None for nothing yet. Raises ValueError where that is damaged."""
        if turn not in self._results:
            place = self.layout.training(self.training(turn))
            if place.failure.is_file():
                self._results[turn] = Failure.read(place.failure, "delete it and run the same command again")
            elif place.result.is_file():
                self._results[turn] = read_result(place.result, self.choices.search_space)
        return self._results.get(turn)

    def reached(self, turn: Turn) -> RungResult:
        """What a finished turn came to, in numbers."""
        result, epochs = self.result(turn), self.rungs.budgets[turn.rung]
        if isinstance(result, Failure):
            infinite = dict.fromkeys(self.measures, float("inf"))
            return RungResult(epochs, infinite, infinite, result.reason)
        return RungResult(
            epochs, *({name: result.on(split).measures[name] for name in self.measures} for split in SPLITS)
        )

    def fail(self, turn: Turn, reason: str) -> None:
        """Note that the training of a turn cannot be finished."""
        place = self.layout.training(self.training(turn))
        place.folder.mkdir(parents=True, exist_ok=True)
        Failure.of(reason).write(place.failure)

    def sentence(self, turn: Turn) -> str:
        """A finished turn in words."""
        rung = self.reached(turn)
        values = ", ".join(f"{spoken(name)} {decimals(value)}" for name, value in rung.validation.items())
        outcome = f"failed, {rung.failed}" if rung.failed else f"validation {values}"
        return f"       {self.trial(turn.trial)}, {rung.epochs:g} epochs: {outcome}"

    def summary(self) -> TuneResult:
        """All trials with the numbers of every rung that they reached, and the front of the last rung."""
        reached: dict[int, list[RungResult]] = defaultdict(list)
        for turn in sorted(self.taken()):
            reached[turn.trial].append(self.reached(turn))
        budgets = self.rungs.budgets
        ends = {
            number: [*rungs[-1].validation.values()]
            for number, rungs in reached.items()
            if rungs[-1].epochs == budgets[-1]
        }
        finite = {number: values for number, values in ends.items() if np.isfinite(values).all()}
        on_front = (
            dict(zip(finite, non_dominated(np.array([*finite.values()])).tolist(), strict=True)) if finite else {}
        )
        return TuneResult(
            measures=self.measures,
            rungs=budgets,
            epochs_spent=sum(rung.epochs for rungs in reached.values() for rung in rungs),
            trials=tuple(
                replace(self.trial(number), rungs=tuple(rungs), on_front=on_front.get(number, False))
                for number, rungs in reached.items()
            ),
        )


def _climb(run: TrainedRun, ladder: Ladder, stage: TrainingStage) -> None:
    """Take turns until there are none left; every team of ranks by itself."""
    team = divide(run.processes, ladder.options.ranks_per_job)
    while True:
        turn = ladder.take() if team.leads else None
        # The training itself, not where it stands: a file that was just written may be seen late on other machines.
        label = team.broadcast(ladder.training(turn).label if turn else "")
        if not label:
            return
        try:
            train_standalone(run, stage, TrainingSpec.of_label(label), team)
        except NonFinite as error:
            # A training that leaves the finite numbers is an answer here: that learning rate does not do.
            if team.leads:
                ladder.fail(turn, str(error))
        if team.leads:
            run.directory.say(ladder.sentence(turn))


def as_option(name: str, value: object) -> str:
    """A recipe's field as it is typed.

    >>> as_option("weight_decay", 0.001), as_option("flip", False)
    ('--weight-decay 0.001', '--no-flip')
    """
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {quoted(value) if isinstance(value, str) else f'{value:g}'}"


def pool_of(run: TrainedRun, options: TuneOptions, layout: TuneLayout) -> list[Genotype]:
    """The networks that trials draw from: those named, or the best of the search by inherited scores, without regard
    to their heads; none for any of the space.

    They are the same on every rank, and those that the stage recorded where it has begun: a search that went on since
    does not change them. Raises ValueError when nothing was scored, or a named network is not of the space.
    """
    space, named = run.setting.space, varied(options.vary).get(NETWORK, ())
    if named and options.pool:
        raise ValueError("networks are named by --vary; leave out --pool")
    if named:
        head = f":{space.heads[0]}" if space.heads else ""
        return [space.parse(name if ":" in name else f"{name}{head}") for name in map(str, named)]
    pool: Sequence[Genotype] = ()
    if run.processes.leads and layout.config.is_file():
        pool = TuneConfig.read(layout.config, f"delete the folder {layout.folder}").pool
    elif run.processes.leads and options.pool:
        pool = _best(run, options.pool)
    return [space.parse(text) for text in run.processes.broadcast(" ".join(map(str, pool))).split()]


def _best(run: TrainedRun, networks: int) -> list[Genotype]:
    """The best scored networks with different blocks, front by front."""
    scored, values = scored_networks(run)
    if not scored:
        raise ValueError(f"the search in {run.directory.path} has no scores; run 'dualfair search' first, or --pool 0")
    different: dict[tuple, Genotype] = {}
    for place in ranking(values).tolist():
        different.setdefault(scored[place].genotype.blocks, scored[place].genotype)
    return [*different.values()][:networks]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep the other teams out, on this machine or on others that share the folder."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
