"""Asynchronous successive halving with several objectives: who is tried next, and with how much budget.

Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020), algorithm 2. Its order of the trials
of a rung is that of their objective; with several it is the order of non-dominated sorting (Schmucker et al. 2021),
within a front by crowding distance as in NSGA-II.

Shape legend: n trials, m objectives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

from dualfair.evolution.pareto import non_dominated


@dataclass(frozen=True)
class Rungs:
    """Budgets from `first` to `last`, each `eta` times the one before it but for the last, which is as given.

    >>> Rungs(first=25, last=100, eta=2).budgets
    (25, 50, 100)
    """

    first: float
    last: float
    eta: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.last:
            raise ValueError(f"the first rung must be above 0 and at most the last ({self.last:g}), got {self.first:g}")
        if self.eta < 2:
            raise ValueError(f"eta must be 2 or more, got {self.eta}")

    @property
    def budgets(self) -> tuple[float, ...]:
        """The budget of every rung, ascending."""
        budgets = [self.first]
        # A last step of less than the square root of eta would hardly tell more than the rung below it.
        while budgets[-1] * self.eta**1.5 <= self.last:
            budgets.append(budgets[-1] * self.eta)
        return (*budgets, self.last) if budgets[-1] < self.last else tuple(budgets)


@dataclass(frozen=True, order=True)
class Turn:
    """Trial number `trial` with the budget of rung number `rung`, 0 the lowest."""

    trial: int
    rung: int


def next_turn(
    done: Mapping[Turn, Sequence[float]], running: Sequence[Turn], trials: int, rungs: int, eta: int
) -> Turn | None:
    """The turn that a free worker takes; None when there is none, until a running one ends or for good.

    From the highest rung down, the best trial among the first 1/eta of a rung that was not promoted yet goes one rung
    up; where there is none, the next of the `trials` begins. `done` holds the objectives (m,), minimised, of the turns
    that ended: a trial with one that is not finite is never promoted. The answer depends on the arguments alone, so a
    single worker's run is repeated by replaying it.
    """
    taken = {*done, *running}
    for rung in range(rungs - 2, -1, -1):
        ended = {turn.trial: values for turn, values in done.items() if turn.rung == rung}
        finite = {trial: values for trial, values in sorted(ended.items()) if np.isfinite(values).all()}
        if not finite:
            continue
        candidates = [*finite]
        promotable = ranking(np.array([finite[name] for name in candidates], dtype=float))[: len(ended) // eta]
        for place in promotable.tolist():
            if (turn := Turn(candidates[place], rung + 1)) not in taken:
                return turn
    begun = {turn.trial for turn in taken}
    return next((Turn(trial, 0) for trial in range(trials) if trial not in begun), None)


def ranking(values: np.ndarray) -> np.ndarray:
    """The order int (n,) of points (n, m), the best first: front by front, the least crowded of a front first.

    Ends of a front are least crowded; equals stay in their order. Raises ValueError for values that are not finite.

    >>> ranking(np.array([[3.0, 3.0], [0.0, 2.0], [2.0, 0.0], [1.0, 1.5]])).tolist()
    [1, 2, 3, 0]
    """
    remaining, order = np.arange(len(values)), []
    while len(remaining):
        front = remaining[non_dominated(values[remaining])]
        crowding = calc_crowding_distance(values[front])
        order += front[np.argsort(-crowding, kind="stable")].tolist()
        remaining = np.setdiff1d(remaining, front)
    return np.array(order, dtype=int)
