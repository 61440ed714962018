"""What tuning came to, as a record, as tables and as lines of text."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dualfair.evolution.halving import Turn
from dualfair.evolution.pareto import non_dominated
from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.records.study import StudyReport
from dualfair.runs.records.training import SPLITS
from dualfair.studies.tune.ladder import Ladder
from dualfair.studies.tune.records import Failure, RungResult, TrialResult, TuneResult


def result_of(ladder: Ladder) -> TuneResult:
    """All trials with the numbers of every rung that they reached, and the front of the last rung."""
    reached: dict[int, list[Turn]] = defaultdict(list)
    for turn in sorted(ladder.taken()):
        reached[turn.trial].append(turn)
    last = len(ladder.rungs.budgets) - 1
    finished = [number for number, turns in reached.items() if turns[-1].rung == last]
    values = np.array([ladder.objectives(Turn(number, last)) for number in finished], dtype=float).reshape(
        -1, len(ladder.measures)
    )
    finite = np.flatnonzero(np.isfinite(values).all(axis=1))
    front = {finished[place] for place in finite[non_dominated(values[finite])].tolist()} if len(finite) else set()
    trials = []
    for number, turns in sorted(reached.items()):
        trial = ladder.trial(number)
        rungs = tuple(_rung(ladder, turn) for turn in turns)
        trials.append(TrialResult(number, trial.genotype, trial.optimizer, trial.lr, rungs, number in front))
    return TuneResult(
        measures=ladder.measures,
        rungs=ladder.rungs.budgets,
        epochs_spent=sum(rung.epochs for trial in trials for rung in trial.rungs),
        trials=tuple(trials),
    )


def _rung(ladder: Ladder, turn: Turn) -> RungResult:
    values = [dict(zip(ladder.measures, ladder.objectives(turn, split), strict=True)) for split in SPLITS]
    result = ladder.result(turn)
    failed = result.reason if isinstance(result, Failure) else ""
    return RungResult(ladder.rungs.budgets[turn.rung], *values, failed)


def trials_table(result: TuneResult) -> Table:
    """Every trial with every rung that it reached."""
    columns = [
        Column("trial", "whole"),
        Column("genotype", "text"),
        Column("optimizer", "text"),
        Column("lr", "general"),
    ]
    columns += [Column("epochs", "general"), *_measured(result, SPLITS), Column("failed", "text")]
    rows = [
        [trial.number, str(trial.genotype), trial.optimizer, trial.lr, rung.epochs, *rung.values, rung.failed]
        for trial in result.trials
        for rung in trial.rungs
    ]
    return table(columns, rows, "Trials by rung")


def top_table(result: TuneResult) -> Table:
    """The trials that reached the last rung, by the first measure on validation people."""
    columns = [Column("genotype", "text"), Column("optimizer", "text"), Column("lr", "general")]
    columns += _measured(result, ("val", "test"))
    rows = [
        [str(trial.genotype), trial.optimizer, trial.lr, *trial.rungs[-1].values, trial.on_front or None]
        for trial in _top(result)
    ]
    caption = "Trials that reached the last rung, one training each; the front is that of the validation people"
    return table([*columns, Column("front", "mark")], rows, caption)


def _measured(result: TuneResult, splits: Sequence[str]) -> list[Column]:
    return [Column(f"{split} {spoken(name)}") for split in splits for name in result.measures]


def _top(result: TuneResult) -> list[TrialResult]:
    last = result.rungs[-1]
    top = [trial for trial in result.trials if trial.rungs[-1].epochs == last]
    return sorted(top, key=lambda trial: trial.rungs[-1].values[0])


def _spent(result: TuneResult) -> str:
    reached = [sum(len(trial.rungs) > rung for trial in result.trials) for rung in range(len(result.rungs))]
    counts = ", ".join(f"{n} of {epochs:g}" for n, epochs in zip(reached, result.rungs, strict=True))
    return (
        f"Trainings by epochs: {counts}; together {result.epochs_spent:g} epochs, as many as "
        f"{result.epochs_spent / result.rungs[-1]:.3g} full trainings"
    )


def report_of(result: TuneResult) -> StudyReport:
    """What the trials came to, for readers."""
    chosen = ", ".join(str(trial.genotype) for trial in result.trials if trial.on_front) or "none"
    return StudyReport(
        question="Which networks with which hyper-parameters?",
        sentences=(f"On the front of the validation people: {chosen}.", f"{_spent(result)}."),
        tables=(top_table(result),),
    )


def lines_of(result: TuneResult, run: Path) -> list[str]:
    """The trials that reached the last rung, what all of them cost, and what to do next."""
    lines = [*top_table(result).lines(), f"front by the validation people; one training each. {_spent(result)}"]
    if chosen := next((trial for trial in _top(result) if trial.on_front), None):
        lines.append(
            f"Next: dualfair retrain --run {run} --genotype {chosen.genotype} --optimizer {chosen.optimizer} "
            f"--lr {chosen.lr:g} --epochs {result.rungs[-1]:g} --seeds 4"
        )
    return lines
