"""Successive halving with several objectives: who is tried next, and with how much budget.

Asynchronous: Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020), algorithm 2. In brackets:
Li et al., "Hyperband" (JMLR 2018), algorithm 1. Their order of the trials of a rung is that of their objective; with
several it is the order of non-dominated sorting (Schmucker et al. 2021), within a front by crowding distance as in
NSGA-II.

Shape legend: n trials, m objectives.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
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


def asha(
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
        best = _best(done, rung, [turn.trial for turn in done if turn.rung == rung])
        count = sum(turn.rung == rung for turn in done) // eta
        if turn := next((Turn(trial, rung + 1) for trial in best[:count] if Turn(trial, rung + 1) not in taken), None):
            return turn
    begun = {turn.trial for turn in taken}
    return next((Turn(trial, 0) for trial in range(trials) if trial not in begun), None)


def hyperband(
    done: Mapping[Turn, Sequence[float]], running: Sequence[Turn], trials: int, rungs: int, eta: int
) -> Turn | None:
    """The turn that a free worker takes, as `asha` has it, by synchronous halving in brackets.

    Trials fill one bracket after the other, round by round (`bracket_sizes`). A rung's best 1/eta go one up when all of
    the rung have ended; who waits for them begins with the next bracket. A bracket that the `trials` do not fill
    promotes from those that it has.
    """
    taken = {*done, *running}
    for first, members in _brackets(trials, rungs, eta):
        for rung in range(first, rungs):
            if turn := next((Turn(trial, rung) for trial in members if Turn(trial, rung) not in taken), None):
                return turn
            if any(Turn(trial, rung) not in done for trial in members):
                break
            members = sorted(_best(done, rung, members)[: len(members) // eta])
    return None


SCHEDULES = {"asha": asha, "hyperband": hyperband}
"""Who is tried next, by name: functions of what was done and is running, of trials, rungs and eta."""


def bracket_sizes(rungs: int, eta: int) -> tuple[int, ...]:
    """How many trials begin on rung 0, 1, ... in a round of Hyperband; few epochs each or few trials.

    >>> bracket_sizes(3, 2)
    (4, 3, 3)
    """
    return tuple(math.ceil(rungs / length * eta ** (length - 1)) for length in range(rungs, 0, -1))


def _brackets(trials: int, rungs: int, eta: int) -> Iterator[tuple[int, list[int]]]:
    """The rung on which every bracket begins, and its trials, until there are no more."""
    begun = 0
    while begun < trials:
        for first, size in enumerate(bracket_sizes(rungs, eta)):
            if members := [*range(begun, min(begun + size, trials))]:
                yield first, members
            begun += size


def _best(done: Mapping[Turn, Sequence[float]], rung: int, trials: Sequence[int]) -> list[int]:
    """Those of the trials whose objectives in a rung are finite, the best first."""
    finite = [trial for trial in sorted(trials) if np.isfinite(done[Turn(trial, rung)]).all()]
    if not finite:
        return []
    return [finite[place] for place in ranking(np.array([done[Turn(trial, rung)] for trial in finite], dtype=float))]


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
