"""NSGA-II against random search at equal distinct evaluations: what `dualfair compare` computes, on any scorer."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from dualfair.evolution.archive import Archive, Evaluation
from dualfair.evolution.baselines import exhaustive, random_search
from dualfair.evolution.constraints import Constraints, within
from dualfair.evolution.nsga2 import evolve
from dualfair.evolution.pareto import hypervolume, non_dominated, reference_point
from dualfair.evolution.run import Progress, Score, at_least, objectives_of
from dualfair.studies.compare.records import NSGA, RANDOM, Comparison, Reached
from dualfair.supernet.space import SearchSpace

ENUMERABLE = 5_000
"""The largest space that is scored as a whole, so that its true front is known."""


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
        name: tuple(tuple(share(values[:count]) for count in counts) for values in orders)
        for name, orders in runs.items()
    }
    whole: dict[str, tuple[bool, ...] | None] = dict.fromkeys(runs)
    needed: tuple[int, ...] = ()
    if enumerated:
        points = set(map(tuple, front))
        for name, orders in runs.items():
            whole[name] = tuple(points <= set(map(tuple, values[: counts[-1]])) for values in orders)
        ends = [row[-1] for row in shares[NSGA]]
        needed = tuple(_evaluations_for(end, order, share) for end, order in zip(ends, runs[RANDOM], strict=True))
    return Comparison(
        space=space.name,
        networks=len(scored) if enumerated else space.size,
        exhaustive=enumerated,
        scored=len(scored),
        evaluations=counts,
        seeds=seeds,
        reference=tuple(reference),
        hypervolume=best,
        front=len(front),
        methods={name: Reached(shares[name], whole[name]) for name in runs},
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
