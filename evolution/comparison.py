"""NSGA-II against random search at equal distinct evaluations, and against the truth where a space can be scored whole.

Shape legend: n networks, m objectives.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import binomtest

from dualfair.evolution.archive import Archive, Evaluation
from dualfair.evolution.baselines import exhaustive, random_search
from dualfair.evolution.constraints import Constraints
from dualfair.evolution.nsga2 import evolve
from dualfair.evolution.pareto import hypervolume, non_dominated, reference_point
from dualfair.evolution.run import Progress, Score, at_least, objectives_of
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

ENUMERABLE = 5_000
"""The largest space that is scored as a whole, so that its true front is known."""
NSGA, RANDOM = "NSGA-II", "random search"


@dataclass(frozen=True)
class Reached:
    """What a method reached, seed by seed: `shares` (seeds, evaluations) of the best front's hypervolume, in [0, 1],
    and whether it found all of a front that is known. Shares are rounded to 12 digits, so that equal fronts tie."""

    shares: tuple[tuple[float, ...], ...]
    whole_front: tuple[bool, ...] | None = None

    @property
    def ends(self) -> np.ndarray:
        """The shares with all evaluations, (seeds,)."""
        return np.array([row[-1] for row in self.shares])

    @property
    def mean_and_error(self) -> tuple[float, float]:
        """Mean and standard error over seeds of the share at the end."""
        return float(self.ends.mean()), float(self.ends.std(ddof=1) / len(self.ends) ** 0.5)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What both methods reached on a space after so many `evaluations`.

    `networks` are those that could be searched, of which `scored` were scored: all of them where `exhaustive`, and then
    the best front is the space's true one, else it is that of all that were scored. It has `front` different points and
    the `hypervolume` up to the `reference` (`evolution.pareto.reference_point` of all scored networks). `needed`, seed
    by seed: how many evaluations random search takes to reach the final hypervolume of NSGA-II; empty unless
    `exhaustive`.
    """

    space: str
    networks: int
    exhaustive: bool
    scored: int
    evaluations: tuple[int, ...]
    seeds: tuple[int, ...]
    reference: tuple[float, ...]
    hypervolume: float
    front: int
    methods: Mapping[str, Reached]
    needed: tuple[int, ...]

    @property
    def gains(self) -> np.ndarray:
        """The share that NSGA-II ends with less that of random search, (seeds,)."""
        return self.methods[NSGA].ends - self.methods[RANDOM].ends

    @property
    def wins(self) -> int:
        """In how many seeds NSGA-II ends with the larger hypervolume."""
        return int((self.gains > 0).sum())

    @property
    def losses(self) -> int:
        """In how many seeds random search ends with the larger hypervolume."""
        return int((self.gains < 0).sum())

    @property
    def p(self) -> float:
        """Two-sided sign test of wins against losses, ties left out; 1 where all seeds tie."""
        decided = self.wins + self.losses
        return float(binomtest(self.wins, decided).pvalue) if decided else 1.0


def contest(
    space: SearchSpace,
    score: Score,
    archive: Archive,
    *,
    population: int,
    generations: int,
    seeds: Sequence[int],
    siblings: int = 1,
    limit: int = ENUMERABLE,
    progress: Callable[[str, Progress], object] = lambda work, at: None,
    constraints: Constraints | None = None,
) -> Comparison:
    """Let NSGA-II and random search look for the front of `space` with `population` x `generations` evaluations each.

    A space of at most `limit` genotypes is scored as a whole first. Then the random search of a seed is an order of the
    whole space, of which as many genotypes count as NSGA-II evaluates. All runs share `archive`, so that no genotype is
    scored twice; `score` is as for `evolution.nsga2.evolve`. Genotypes with an objective that is not finite add
    nothing. `progress` is told what is at work and how far it is. With `constraints` both methods score only networks
    that keep them, and the whole space is what of it does.

    Raises ValueError for fewer than two seeds, for a budget that holds the whole space, and when nothing that was
    scored has finite objectives.
    """
    budget = at_least("population", population, 2) * at_least("generations", generations, 1)
    at_least("seeds", len(seeds), 2)
    objectives = archive.objectives
    searched = (space, score, objectives)
    shared = {"archive": archive, "constraints": constraints}
    everything, networks = None, space.size
    if budget < networks <= limit:
        whole = exhaustive(*searched, limit=limit, progress=partial(progress, "whole space"), **shared)
        everything, networks = objectives_of(whole.evaluated, objectives), len(whole.evaluated)
    if budget >= networks:
        raise ValueError(
            f"population {population} x generations {generations} is all of space {space.name} ({networks:,}), where "
            "every search finds everything; give a smaller --population or --generations"
        )
    orders: dict[str, list[np.ndarray]] = {NSGA: [], RANDOM: []}
    asked: dict[Genotype, Evaluation] = {}
    for number, seed in enumerate(seeds, 1):
        shared |= {"seed": seed, "progress": partial(progress, f"seed {number} of {len(seeds)}")}
        evolved = evolve(*searched, population=population, generations=generations, siblings=siblings, **shared)
        evaluations = budget if everything is None else networks
        drawn = random_search(*searched, evaluations=evaluations, batch=population, **shared)
        asked |= {evaluation.genotype: evaluation for evaluation in (*evolved.evaluated, *drawn.evaluated)}
        orders[NSGA].append(objectives_of(evolved.evaluated, objectives))
        orders[RANDOM].append(objectives_of(drawn.evaluated, objectives))
    scored = objectives_of(asked.values(), objectives) if everything is None else everything
    evaluations = tuple(range(population, budget + 1, population))
    return _compared(space, tuple(seeds), evaluations, orders, scored, everything is not None)


def _compared(
    space: SearchSpace,
    seeds: tuple[int, ...],
    evaluations: tuple[int, ...],
    orders: Mapping[str, Sequence[np.ndarray]],
    scored: np.ndarray,
    known: bool,
) -> Comparison:
    """The comparison of objectives in the order of evaluation, (n, m) by method and seed, with the front of all that is
    `scored` (n, m), which is the true one where that is `known`."""
    feasible = _feasible(scored)
    if not len(feasible):
        raise ValueError(f"none of the {len(scored):,} networks scored has finite objectives; nothing can be compared")
    reference = reference_point(feasible)
    front = np.unique(feasible[non_dominated(feasible)], axis=0)
    best, points = hypervolume(front, reference), set(map(tuple, front))

    def share(values: np.ndarray) -> float:
        return round(hypervolume(_feasible(values), reference) / best, 12)

    methods = {}
    for name, runs in orders.items():
        shares = tuple(tuple(share(values[:count]) for count in evaluations) for values in runs)
        whole = tuple(points <= set(map(tuple, values[: evaluations[-1]])) for values in runs)
        methods[name] = Reached(shares, whole if known else None)
    ends = zip(methods[NSGA].ends.tolist(), orders[RANDOM], strict=True)
    return Comparison(
        space=space.name,
        networks=len(scored) if known else space.size,
        exhaustive=known,
        scored=len(scored),
        evaluations=evaluations,
        seeds=seeds,
        reference=tuple(reference),
        hypervolume=best,
        front=len(front),
        methods=methods,
        needed=tuple(_evaluations_for(end, order, share) for end, order in ends) if known else (),
    )


def _evaluations_for(end: float, order: np.ndarray, share: Callable[[np.ndarray], float]) -> int:
    """How many of the first values in `order` have a share of at least `end`; all of them have."""
    low, high = 1, len(order)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if share(order[:middle]) >= end else (middle + 1, high)
    return low


def _feasible(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values).all(axis=1)]
