"""NSGA-II against random search at equal distinct evaluations: what `dualfair compare` computes, on any scorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import binomtest

from dualfair.evolution.archive import Archive, Evaluation
from dualfair.evolution.baselines import exhaustive, random_search
from dualfair.evolution.constraints import Constraints, within
from dualfair.evolution.nsga2 import evolve
from dualfair.evolution.pareto import hypervolume, non_dominated, reference_point
from dualfair.evolution.run import Progress, Score, at_least, objectives_of
from dualfair.supernet.space import SearchSpace

NSGA, RANDOM = "NSGA-II", "random search"
ENUMERABLE = 5_000
"""The largest space that is scored as a whole, so that its true front is known."""
SIGNIFICANT = 0.05
"""The largest p of the sign test at which a difference is called one."""


@dataclass(frozen=True)
class Comparison:
    """What both methods reached, seed by seed.

    `shares` by method, float64 (seeds, len(evaluations)) from 0 to 1, higher is better: hypervolume of what a run had
    scored after so many `evaluations`, over that of the best front. This is the space's true front where `exhaustive`,
    else the front of all `scored` networks. `reference` is their common reference point
    (`evolution.pareto.reference_point` of all scored networks), `hypervolume` the best front's, `front` its number of
    different points. `whole` by method, bool (seeds,): did the run find all of them. `needed`, int (seeds,): how many
    evaluations the random search of a seed takes to reach the final hypervolume of NSGA-II of that seed. Both are empty
    unless `exhaustive`. Shares are rounded to 12 digits, so that equal fronts tie.
    """

    space: SearchSpace
    seeds: tuple[int, ...]
    evaluations: tuple[int, ...]
    shares: dict[str, np.ndarray]
    exhaustive: bool
    scored: int
    reference: tuple[float, ...]
    hypervolume: float
    front: int
    whole: dict[str, np.ndarray]
    needed: np.ndarray

    @property
    def wins(self) -> int:
        """In how many seeds NSGA-II ends with the larger hypervolume."""
        return int((self._gains > 0).sum())

    @property
    def losses(self) -> int:
        """In how many seeds random search ends with the larger hypervolume."""
        return int((self._gains < 0).sum())

    @property
    def p(self) -> float:
        """Two-sided sign test of wins against losses, ties left out; 1 where all seeds tie."""
        decided = self.wins + self.losses
        return float(binomtest(self.wins, decided).pvalue) if decided else 1.0

    @property
    def _gains(self) -> np.ndarray:
        return self.shares[NSGA][:, -1] - self.shares[RANDOM][:, -1]

    def final(self, method: str) -> tuple[float, float]:
        """Mean and standard error over seeds of a method's share at the end."""
        ends = self.shares[method][:, -1]
        return float(ends.mean()), float(ends.std(ddof=1) / len(ends) ** 0.5)

    @property
    def sentence(self) -> str:
        """The comparison in words; no difference is claimed where the sign test has p > `SIGNIFICANT`."""
        ties = len(self.seeds) - self.wins - self.losses
        ahead = f"{self.wins} of {len(self.seeds)} seeds"
        test = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.2g}"
        how = f"paired by seed{f', {ties} ties' if ties else ''}; sign test {test}"
        if self.p > SIGNIFICANT:
            verdict = f"no difference shown: NSGA-II is ahead of random search in {ahead} ({how})"
        elif self.wins > self.losses:
            verdict = f"NSGA-II beats random search in {ahead} ({how})"
        else:
            verdict = f"NSGA-II is WORSE than random search: ahead in {ahead} ({how})"
        ours, theirs = (f"{mean:.1%} ± {error:.1%}" for mean, error in map(self.final, (NSGA, RANDOM)))
        shares = f"{ours} against {theirs} (mean ± standard error) of the"
        networks = self.scored if self.exhaustive else self.space.size
        budget = f"{self.evaluations[-1]:,} of {networks:,} evaluations"
        if not self.exhaustive:
            best = f"hypervolume of the best front known, of {self.scored:,} networks scored,"
            return f"{verdict}: {shares} {best} with {budget}"
        return (
            f"{verdict}: {shares} true front's hypervolume with {budget}; random search needs "
            f"{self.needed.mean():,.0f} on average to get as far"
        )


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
    progress: Callable[[str, Progress], object] | None = None,
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
    _check_budget(population, generations, space.size, space)
    show = progress or (lambda work, at: None)
    enumerated = space.size <= limit
    everything: tuple[Evaluation, ...] = ()
    if enumerated:
        everything = exhaustive(
            space,
            score,
            archive.objectives,
            limit=limit,
            archive=archive,
            constraints=constraints,
            progress=lambda at: show("whole space", at),
        ).evaluated
        _check_budget(population, generations, len(everything), space)
    runs: dict[str, list[np.ndarray]] = {NSGA: [], RANDOM: []}
    for number, seed in enumerate(seeds, 1):
        shared = {
            "archive": archive,
            "seed": seed,
            "constraints": constraints,
            "progress": partial(show, f"seed {number} of {len(seeds)}"),
        }
        evolved = evolve(
            space,
            score,
            archive.objectives,
            population=population,
            generations=generations,
            siblings=siblings,
            **shared,
        )
        drawn = random_search(
            space,
            score,
            archive.objectives,
            evaluations=len(everything) if enumerated else budget,
            batch=population,
            **shared,
        )
        runs[NSGA].append(objectives_of(evolved.evaluated, archive.objectives))
        runs[RANDOM].append(objectives_of(drawn.evaluated, archive.objectives))
    counts = tuple(range(population, budget + 1, population))
    scored = everything or within(archive, constraints)
    return _compared(space, tuple(seeds), counts, runs, objectives_of(scored, archive.objectives), enumerated)


def _check_budget(population: int, generations: int, networks: int, space: SearchSpace) -> None:
    if population * generations >= networks:
        raise ValueError(
            f"population {population} x generations {generations} is all of space {space.name} ({networks:,}), where "
            "every search finds everything; give a smaller --population or --generations"
        )


def _compared(
    space: SearchSpace,
    seeds: tuple[int, ...],
    counts: tuple[int, ...],
    runs: dict[str, list[np.ndarray]],
    scored: np.ndarray,
    enumerated: bool,
) -> Comparison:
    """The comparison of runs (objectives in the order of evaluation, by seed), against the front of all `scored`."""
    feasible = _feasible(scored)
    if not len(feasible):
        raise ValueError(f"none of the {len(scored):,} networks scored has finite objectives; nothing can be compared")
    reference = reference_point(feasible)
    front = np.unique(feasible[non_dominated(feasible)], axis=0)
    best = hypervolume(front, reference)

    def share(values: np.ndarray) -> float:
        return round(hypervolume(_feasible(values), reference) / best, 12)

    shares = {
        name: np.array([[share(values[:count]) for count in counts] for values in orders])
        for name, orders in runs.items()
    }
    whole, needed = {}, np.empty(0, dtype=int)
    if enumerated:
        points = set(map(tuple, front))
        for name, orders in runs.items():
            whole[name] = np.array([points <= set(map(tuple, values[: counts[-1]])) for values in orders])
        needed = np.array(
            [_evaluations_for(end, order, share) for end, order in zip(shares[NSGA][:, -1], runs[RANDOM], strict=True)]
        )
    return Comparison(
        space=space,
        seeds=seeds,
        evaluations=counts,
        shares=shares,
        exhaustive=enumerated,
        scored=len(scored),
        reference=reference,
        hypervolume=best,
        front=len(front),
        whole=whole,
        needed=needed,
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
