"""Exhaustive search: scores every genotype of a space, so its front is the true one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dualfair.evolution.archive import Archive, archive_or_memory
from dualfair.evolution.constraints import Constraints, satisfying
from dualfair.evolution.run import Progress, Score, SearchResult, at_least
from dualfair.evolution.sweep import sweep
from dualfair.supernet.space import SearchSpace


def exhaustive(
    space: SearchSpace,
    score: Score,
    objectives: int = 2,
    *,
    archive: Archive | None = None,
    columns: Sequence[str] | None = None,
    batch: int = 64,
    limit: int = 10_000,
    progress: Callable[[Progress], object] | None = None,
    reference: Sequence[float] | None = None,
    constraints: Constraints | None = None,
) -> SearchResult:
    """Score the whole space, in the order of `space.enumerate`, `batch` genotypes a score call.

    With `constraints` that is all of it that keeps them.

    The other arguments are those of `evolution.nsga2.search`. Raises ValueError when the space holds more than
    `limit` genotypes, and as `evolution.nsga2.search` does.
    """
    if space.size > at_least("limit", limit, 1):
        raise ValueError(
            f"space {space.name} holds {space.size:,} genotypes, more than limit={limit:,} for an exhaustive search; "
            "search it with NSGA-II, or raise the limit"
        )
    archive = archive_or_memory(archive, columns, objectives)
    genotypes = satisfying(space.enumerate(), constraints)
    return sweep(
        genotypes,
        len(genotypes),
        score,
        archive,
        batch=batch,
        ended="space exhausted",
        progress=progress,
        reference=reference,
        constraints=constraints,
    )
