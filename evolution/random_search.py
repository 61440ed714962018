"""Random search: the baseline that NSGA-II has to beat at the same number of distinct evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dualfair.evolution.archive import Archive, archive_or_memory
from dualfair.evolution.constraints import Constraints
from dualfair.evolution.run import Progress, Score, SearchResult, at_least
from dualfair.evolution.sweep import sweep
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace


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
    reference: Sequence[float] | None = None,
    constraints: Constraints | None = None,
) -> SearchResult:
    """Score `evaluations` different genotypes, drawn uniformly; the whole space when it holds no more than that.

    With `constraints` they are drawn as `Constraints.draw` draws, and the space is what of it keeps them.
    The other arguments are those of `evolution.nsga2.search`; `batch` genotypes go into one score call. One seed
    gives one list of genotypes. Raises ValueError as `evolution.nsga2.search` does.
    """
    wanted = at_least("evaluations", evaluations, 1)
    rng = np.random.default_rng(at_least("seed", seed, 0))
    archive = archive_or_memory(archive, columns, objectives)
    genotypes = _draw(space, wanted, rng, constraints)
    count = len(genotypes)
    notes = []
    ended = "space exhausted" if count == space.size else "evaluations done"
    if wanted > count:
        ended = ended if count == space.size else "no more networks found within the limits"
        holds = "holds" if constraints is None else "is known to hold within the limits"
        notes.append(f"evaluations={wanted} is more than space {space.name} {holds}: all {count} genotypes were scored")
    return sweep(
        genotypes,
        count,
        score,
        archive,
        batch=batch,
        ended=ended,
        notes=notes,
        progress=progress,
        reference=reference,
        constraints=constraints,
    )


def _draw(space: SearchSpace, n: int, rng: np.random.Generator, constraints: Constraints | None) -> list[Genotype]:
    if constraints is None:
        return space.sample_distinct(min(n, space.size), rng)
    genotypes = [space.decode(vector) for vector in constraints.draw(n, set(), rng)]
    if not genotypes:
        raise constraints.nothing_feasible()
    return genotypes
