"""NSGA-II over the genotypes of any search space, by the values of any scorer (Deb et al. 2002)."""

from collections.abc import Callable, Sequence

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.core.termination import NoTermination
from pymoo.operators.selection.tournament import TournamentSelection

from dualfair.evolution.archive import Archive, archive_or_memory
from dualfair.evolution.constraints import Constraints, Vector
from dualfair.evolution.operators import (
    CategoricalMutation,
    DistinctMating,
    DistinctSampling,
    GenotypeProblem,
    UniformCrossover,
)
from dualfair.evolution.run import Progress, Run, Score, SearchResult, at_least
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

MUTATED, CROSSED = 0.5, 0.9
"""Choice blocks of a child that are redrawn on average, and the probability that two parents are crossed."""


def evolve(
    space: SearchSpace,
    score: Score,
    objectives: int = 2,
    population: int = 32,
    generations: int = 10,
    seed: int = 0,
    *,
    archive: Archive | None = None,
    columns: Sequence[str] | None = None,
    batch: int | None = None,
    siblings: int = 1,
    progress: Callable[[Progress], object] | None = None,
    initial_population: Sequence[Genotype] = (),
    constraints: Constraints | None = None,
) -> SearchResult:
    """Evolve genotypes that trade the first `objectives` columns (2 to 4) of `score` off; every column is minimised.

    `score(genotypes)` returns floats (n, columns); columns behind the objectives are details that are only kept. It
    is asked for each genotype at most once an archive and measurement: repeating an interrupted call with the same
    arguments and `archive` scores only what is missing and ends in the same front. `columns` name what score returns
    where no archive is given (default: "objective 1", .., and no details). `batch` caps the genotypes of a score call
    (default: a whole generation), and what a call returned is safe from later interruptions.

    A run asks for `population` x `generations` distinct genotypes, the random first generation included: children
    that it asked for before are drawn again. A population larger than the space is shrunk, and a run whose space is
    exhausted ends early; `ended` and `notes` of the result say so. A genotype with an objective that is not finite
    ranks behind all others. The better half of a population are its parents; CROSSED of the pairs are crossed, and
    MUTATED blocks with a choice of a child are redrawn, on average. With `siblings` above 1 so many children at a time
    have their first choices in common: less work for a scorer that runs common beginnings once. `progress` is called
    after each generation. One seed gives one run, whatever was archived.

    The first generation begins with the genotypes `initial_population`, which count as any other. With `constraints`
    only genotypes that keep them are asked for, and the front is one of such genotypes; where no more of them are
    found, generations are smaller, and the run ends with the first empty one.

    Raises ValueError for arguments out of range, an initial population that is outside of the space or the limits, an
    archive with other columns, or a score of a wrong shape; NothingFeasible, a ValueError, when no genotype keeps the
    limits.
    """
    archive = archive_or_memory(archive, columns, objectives)
    population = at_least("population", population, 2)
    at_least("generations", generations, 1)
    size = min(population, space.size)
    run = Run(score, archive, steps=generations, batch=batch, progress=progress)
    problem = GenotypeProblem(space, objectives, run.step, constraints)
    proposed: set[Vector] = set()
    algorithm = NSGA2(
        pop_size=size,
        sampling=DistinctSampling(
            proposed, _initial_vectors(space, initial_population, size, constraints), constraints
        ),
        mating=DistinctMating(
            TournamentSelection(func_comp=binary_tournament),
            UniformCrossover(CROSSED),
            CategoricalMutation(MUTATED / max(sum(size > 1 for size in space.sizes), 1)),
            proposed,
            at_least("siblings", siblings, 1),
            constraints,
        ),
        eliminate_duplicates=False,
    )
    algorithm.setup(problem, seed=at_least("seed", seed, 0), termination=NoTermination())
    for _ in range(generations):
        if run.evaluations == space.size:
            break
        generation = algorithm.ask()
        if generation is None:
            break
        algorithm.evaluator.eval(problem, generation)
        algorithm.tell(infills=generation)
    ended = "space exhausted" if run.evaluations == space.size else "generations done"
    notes = []
    if constraints is not None and run.evaluations < min(size * generations, space.size):
        ended = "no more networks found within the limits"
    if population > size:
        notes.append(f"population={population} is more than space {space.name} holds: shrunk to its {size} genotypes")
    return run.result(ended, notes)


def _initial_vectors(
    space: SearchSpace, initial_population: Sequence[Genotype], population: int, constraints: Constraints | None
) -> np.ndarray:
    """The vectors (n, choice blocks) that a run begins with, each of them once."""
    distinct = list(dict.fromkeys(initial_population))
    if len(distinct) > population:
        raise ValueError(
            f"{len(distinct)} networks to start from are more than the first generation holds ({population}); name "
            "fewer, or raise population"
        )
    for genotype in distinct:
        if constraints is not None and not constraints.keeps(genotype):
            raise ValueError(f"genotype '{genotype}' to start from breaks a limit; leave it out, or raise the limit")
    return np.array([space.encode(genotype) for genotype in distinct], dtype=np.int64).reshape(-1, len(space.sizes))
