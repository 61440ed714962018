"""Scores a fixed list of genotypes in batches: what random and exhaustive search have in common."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

from dualfair.evolution.archive import Archive
from dualfair.evolution.constraints import Constraints
from dualfair.evolution.run import Progress, Run, Score, SearchResult, at_least
from dualfair.supernet.genotype import Genotype


def sweep(
    genotypes: Iterable[Genotype],
    count: int,
    score: Score,
    archive: Archive,
    *,
    batch: int,
    ended: str,
    notes: Sequence[str] = (),
    progress: Callable[[Progress], object] | None = None,
    reference: Sequence[float] | None = None,
    constraints: Constraints | None = None,
) -> SearchResult:
    """Score `count` genotypes, `batch` at a time; a batch stands where NSGA-II has a generation.

    All of them keep the `constraints`, which are for the result.

    Raises ValueError for a batch below 1, a reference point of a wrong length, or a score of a wrong shape.
    """
    steps = math.ceil(count / at_least("batch", batch, 1))
    run = Run(score, archive, steps=steps, progress=progress, reference=reference, constraints=constraints)
    remaining = iter(genotypes)
    while chunk := list(itertools.islice(remaining, batch)):
        run.step(chunk)
    return run.result(ended, notes)
