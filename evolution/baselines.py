"""What NSGA-II has to beat, random search, and the truth of a small space, exhaustive search.

Random search gets the same number of distinct evaluations. Exhaustive search scores every genotype, so its front is the
true one.
"""

from collections.abc import Callable, Sequence

import numpy as np

from dualfair.evolution.archive import Archive, archive_or_memory
from dualfair.evolution.constraints import Constraints, satisfying
from dualfair.evolution.run import Progress, Run, Score, SearchResult, at_least
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

LIMIT = 10_000
"""The largest space that is searched exhaustively unless told otherwise."""


def random_search(
    space: SearchSpace,
    score: Score,
    objectives: int = 2,
    *,
    evaluations: int,
    seed: int = 0,
    archive: Archive | None = None,
    columns: Sequence[str] | None = None,
    batch: int = 64,
    progress: Callable[[Progress], object] | None = None,
    constraints: Constraints | None = None,
) -> SearchResult:
    """Score `evaluations` different genotypes, drawn uniformly; the whole space when it holds no more than that.

    With `constraints` they are drawn as `Constraints.draw` draws, and the space is what of it keeps them.
    The other arguments are those of `evolution.nsga2.evolve`; `batch` genotypes go into one score call. One seed
    gives one list of genotypes. Raises ValueError as `evolution.nsga2.evolve` does.
    """
    evaluations = at_least("evaluations", evaluations, 1)
    rng = np.random.default_rng(at_least("seed", seed, 0))
    archive = archive_or_memory(archive, columns, objectives)
    if constraints is None:
        genotypes = space.sample_distinct(min(evaluations, space.size), rng)
    elif not (genotypes := [space.decode(vector) for vector in constraints.draw(evaluations, set(), rng)]):
        raise constraints.nothing_feasible()
    count, notes = len(genotypes), []
    ended = "space exhausted" if count == space.size else "evaluations done"
    if evaluations > count:
        ended = ended if count == space.size else "no more networks found within the limits"
        holds = "holds" if constraints is None else "is known to hold within the limits"
        notes.append(
            f"evaluations={evaluations} is more than space {space.name} {holds}: all {count} genotypes were scored"
        )
    return _sweep(genotypes, score, archive, batch, progress, constraints).result(ended, notes)


def exhaustive(
    space: SearchSpace,
    score: Score,
    objectives: int = 2,
    *,
    archive: Archive | None = None,
    columns: Sequence[str] | None = None,
    batch: int = 64,
    limit: int = LIMIT,
    progress: Callable[[Progress], object] | None = None,
    constraints: Constraints | None = None,
) -> SearchResult:
    """Score the whole space, or all of it that keeps the `constraints`, in the order of `space.enumerate`.

    The other arguments are those of `evolution.nsga2.evolve`; `batch` genotypes go into one score call. Raises
    ValueError when the space holds more than `limit` genotypes, and as `evolution.nsga2.evolve` does.
    """
    if space.size > at_least("limit", limit, 1):
        raise ValueError(
            f"space {space.name} holds {space.size:,} genotypes, more than limit={limit:,} for an exhaustive search; "
            "search it with NSGA-II, or raise the limit"
        )
    archive = archive_or_memory(archive, columns, objectives)
    genotypes = satisfying(space.enumerate(), constraints)
    return _sweep(genotypes, score, archive, batch, progress, constraints).result("space exhausted")


def _sweep(
    genotypes: Sequence[Genotype],
    score: Score,
    archive: Archive,
    batch: int,
    progress: Callable[[Progress], object] | None,
    constraints: Constraints | None,
) -> Run:
    """The run that scores genotypes, `batch` at a time; a batch stands where NSGA-II has a generation."""
    starts = range(0, len(genotypes), at_least("batch", batch, 1))
    run = Run(score, archive, steps=len(starts), progress=progress)
    for start in starts:
        run.step(genotypes[start : start + batch])
    return run
