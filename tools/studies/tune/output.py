"""What tuning came to, as a record, as rows of a table and as lines of text."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from dualfair.evolution.halving import Turn
from dualfair.evolution.pareto import non_dominated
from dualfair.presentation.table import aligned
from dualfair.runs.records.training import SPLITS
from dualfair.studies.tune.ladder import Ladder
from dualfair.studies.tune.records import Failure, RungResult, TrialResult, TuneResult

_MEASURED = [f"{split} {objective}" for split in SPLITS for objective in ("error", "disparity")]


def result_of(ladder: Ladder, disparity: str) -> TuneResult:
    """All trials with the numbers of every rung that they reached, and the front of the last rung."""
    reached: dict[int, list[Turn]] = defaultdict(list)
    for turn in sorted(ladder.taken()):
        reached[turn.trial].append(turn)
    last = len(ladder.rungs.budgets) - 1
    finished = [number for number, turns in reached.items() if turns[-1].rung == last]
    values = np.array([ladder.objectives(Turn(number, last)) for number in finished], dtype=float).reshape(-1, 2)
    finite = np.flatnonzero(np.isfinite(values).all(axis=1))
    front = {finished[place] for place in finite[non_dominated(values[finite])].tolist()} if len(finite) else set()
    trials = []
    for number, turns in sorted(reached.items()):
        trial = ladder.trial(number)
        rungs = tuple(_rung(ladder, turn) for turn in turns)
        trials.append(TrialResult(number, trial.genotype, trial.optimizer, trial.lr, rungs, number in front))
    return TuneResult(
        disparity=disparity,
        rungs=ladder.rungs.budgets,
        epochs_spent=sum(rung.epochs for trial in trials for rung in trial.rungs),
        trials=tuple(trials),
    )


def _rung(ladder: Ladder, turn: Turn) -> RungResult:
    values = (value for split in SPLITS for value in ladder.objectives(turn, split))
    result = ladder.result(turn)
    failed = result.reason if isinstance(result, Failure) else ""
    return RungResult(ladder.rungs.budgets[turn.rung], *values, failed)


def table(result: TuneResult) -> list[list]:
    """Rows of a CSV: every trial with every rung that it reached."""
    rows: list[list] = [["trial", "genotype", "optimizer", "lr", "epochs", *_MEASURED, "failed"]]
    for trial in result.trials:
        about = (trial.number, str(trial.genotype), trial.optimizer, trial.lr)
        rows += [[*about, rung.epochs, *rung.values, rung.failed] for rung in trial.rungs]
    return rows


def lines_of(result: TuneResult, run: Path) -> list[str]:
    """The trials that reached the last rung, by validation error, what it cost, and what to do next."""
    last, name = result.rungs[-1], result.disparity.replace("_", " ")
    top = [trial for trial in result.trials if trial.rungs[-1].epochs == last]
    top.sort(key=lambda trial: trial.rungs[-1].validation_error)
    rows = [["genotype", "optimizer", "lr", "val error", f"val {name}", "test error", f"test {name}", "front"]]
    for trial in top:
        cells = [str(trial.genotype), trial.optimizer, f"{trial.lr:g}"]
        cells += [f"{value:.3f}" for value in trial.rungs[-1].values]
        rows.append([*cells, "yes" if trial.on_front else ""])
    reached = [sum(len(trial.rungs) > rung for trial in result.trials) for rung in range(len(result.rungs))]
    counts = ", ".join(f"{n} of {epochs:g}" for n, epochs in zip(reached, result.rungs, strict=True))
    lines = [
        *aligned(rows),
        f"front by the validation people; one training each. Trainings by epochs: {counts}; together "
        f"{result.epochs_spent:g} epochs, as many as {result.epochs_spent / last:.3g} full trainings",
    ]
    if chosen := next((trial for trial in top if trial.on_front), None):
        lines.append(
            f"Next: dualfair retrain --run {run} --genotype {chosen.genotype} --optimizer {chosen.optimizer} "
            f"--lr {chosen.lr:g} --epochs {last:g} --seeds 4"
        )
    return lines
