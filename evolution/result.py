"""What a search ends in: a front, the archive, and how it got there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evolution.archive import Archive, Evaluation
from evolution.pareto import hypervolume, non_dominated, reference_point
from supernet.genotype import Genotype


@dataclass(frozen=True)
class SearchProgress:
    """How far a search is: generation (or batch) of all, genotypes evaluated, how many of them the archive knew."""

    generation: int
    generations: int
    evaluations: int
    reused: int
    front: int


Report = Callable[[SearchProgress], None]


@dataclass(frozen=True)
class SearchResult:
    """The outcome of a search.

    `front`: the non-dominated evaluations of the whole archive, by the first objective. `evaluated`: what this
    search asked for, in order; `reused` of them were in the archive before. `trace`: (evaluations, hypervolume)
    after every generation, against `reference` (`pareto.reference_point` of this search's values). `ended` says why
    the search stopped, `infeasible` counts evaluated genotypes whose objectives are not finite.
    """

    front: tuple[Evaluation, ...]
    archive: Archive
    evaluated: tuple[Evaluation, ...]
    reused: int
    infeasible: int
    trace: tuple[tuple[int, float], ...]
    reference: tuple[float, ...]
    ended: str


class Record:
    """Keeps account of a search while it runs."""

    def __init__(self, archive: Archive, score, generations: int, report: Report | None) -> None:
        self.archive, self.score, self.generations, self.report = archive, score, generations, report
        self.evaluated: list[Evaluation] = []
        self.ends: list[int] = []
        self.reused = 0

    def evaluate(self, genotypes: Sequence[Genotype]) -> np.ndarray:
        """Objective values (n, objectives) of one generation."""
        self.reused += sum(genotype in self.archive for genotype in genotypes)
        values = self.archive.evaluate(genotypes, self.score)
        self.evaluated += [self.archive[genotype] for genotype in genotypes]
        self.ends.append(len(self.evaluated))
        if self.report:
            front = int(non_dominated(self._objectives(self.evaluated)).sum())
            self.report(SearchProgress(len(self.ends), self.generations, len(self.evaluated), self.reused, front))
        return values[:, : self.archive.objectives]

    def result(self, ended: str) -> SearchResult:
        """The result of what has been evaluated."""
        own = self._objectives(self.evaluated)
        finite = np.isfinite(own).all(axis=1)
        reference = reference_point(own) if finite.any() else np.full(self.archive.objectives, np.nan)
        trace = tuple((end, hypervolume(own[:end], reference)) for end in self.ends) if finite.any() else ()
        everything = list(self.archive)
        mask = non_dominated(self._objectives(everything))
        front = [evaluation for evaluation, inside in zip(everything, mask, strict=True) if inside]
        return SearchResult(
            tuple(sorted(front, key=lambda evaluation: (evaluation.values, evaluation.genotype))),
            self.archive,
            tuple(self.evaluated),
            self.reused,
            int((~finite).sum()),
            trace,
            tuple(map(float, reference)),
            ended,
        )

    def _objectives(self, evaluations: Sequence[Evaluation]) -> np.ndarray:
        objectives = self.archive.objectives
        return np.array([evaluation.values[:objectives] for evaluation in evaluations]).reshape(-1, objectives)


def archive_for(archive: Archive | None, objectives: int, columns: int | None = None) -> Archive:
    """The archive given, checked to fit, or one in memory."""
    if archive is None:
        return Archive(columns=[f"objective {number}" for number in range(1, objectives + 1)], objectives=objectives)
    if archive.objectives != objectives:
        raise ValueError(f"the archive has {archive.objectives} objectives, the search {objectives}")
    return archive
