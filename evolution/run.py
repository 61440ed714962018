"""What every way of searching shares: score what the archive lacks, count, trace, and sum up."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import numpy as np

from dualfair.evolution.archive import Archive, Evaluation
from dualfair.evolution.attempts import Attempts, Score
from dualfair.evolution.pareto import hypervolume, non_dominated, reference_point
from dualfair.supernet.genotype import Genotype


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a generation (of a sweep: a batch), over the genotypes of this run only.

    `evaluations` are distinct genotypes so far, of which `reused` were in the archive before. `front` counts those
    that no other one dominates. `hypervolume` is relative to the `reference_point` of the first generation with a
    feasible genotype. `fresh` are the evaluations of the genotypes that this generation was the first to ask for, in
    order.
    """

    generation: int
    generations: int
    evaluations: int
    reused: int
    front: int
    hypervolume: float
    fresh: tuple[Evaluation, ...] = ()


class TracePoint(NamedTuple):
    """After a generation: distinct evaluations so far, and the hypervolume of all of them."""

    evaluations: int
    hypervolume: float


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    `evaluated` are the distinct genotypes that it asked for, in order, whoever scored them first; what else the archive
    holds plays no part. `columns` name their values, of which the first `objectives` are minimised. `front` are the
    feasible ones that no other dominates, sorted by the first objective, then the others. `trace` has one point a
    generation, its hypervolumes relative to `reference`, the `evolution.pareto.reference_point` of all feasible
    genotypes of the run; that is empty, and every hypervolume 0, when none was feasible. `reused` of the evaluated
    genotypes came out of the archive. `infeasible` ones had an objective that is not finite: kept in the archive, never
    in the front. `failed` are those of them that could not be scored at all, each with the reason. `ended` says why the
    run stopped, `notes` what else a reader has to know.
    """

    columns: tuple[str, ...]
    objectives: int
    front: tuple[Evaluation, ...]
    evaluated: tuple[Evaluation, ...]
    trace: tuple[TracePoint, ...]
    reference: tuple[float, ...]
    reused: int
    infeasible: int
    ended: str
    notes: tuple[str, ...] = ()

    @property
    def evaluations(self) -> int:
        """How many distinct genotypes the run asked for: its budget."""
        return len(self.evaluated)

    @property
    def fresh(self) -> int:
        """How many of them were scored in this run."""
        return self.evaluations - self.reused

    @property
    def failed(self) -> tuple[Evaluation, ...]:
        """The genotypes of this run for which the score raised, with the `reason`."""
        return tuple(evaluation for evaluation in self.evaluated if evaluation.reason is not None)

    @property
    def front_values(self) -> np.ndarray:
        """Objectives of the front, float64 (front, objectives)."""
        return objectives_of(self.front, self.objectives)


class Run:
    """The course of one search: `step` scores a generation, `result` sums up.

    `steps` are the generations planned. A score call gets at most `batch` genotypes, or the whole generation for None:
    in the order of genotypes, so that those with a common beginning are in one call. What it returns is written to the
    archive before the next call. `evolution.attempts` says what happens when it raises. The result is about
    the genotypes that `step` was given, whatever else the archive holds.
    """

    def __init__(
        self,
        score: Score,
        archive: Archive,
        *,
        steps: int,
        batch: int | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self._attempts = Attempts(score, archive, None if batch is None else at_least("batch", batch, 1))
        self._archive, self._steps, self._progress = archive, steps, progress
        self._shown_reference: tuple[float, ...] = ()
        self._evaluated: dict[Genotype, Evaluation] = {}
        self._reused = self._infeasible = 0
        self._fronts: list[np.ndarray] = []
        self._counts: list[int] = []
        self._range = np.empty((0, archive.objectives))

    @property
    def evaluations(self) -> int:
        """Distinct genotypes asked for so far."""
        return len(self._evaluated)

    def step(self, genotypes: Sequence[Genotype]) -> np.ndarray:
        """Values float64 (n, columns) of one generation, from the archive where it has them, scored otherwise.

        Raises ValueError when score returns anything but a number for every column of every genotype, or raises for
        every genotype; OSError when the archive cannot be written.
        """
        fresh = [genotype for genotype in dict.fromkeys(genotypes) if genotype not in self._evaluated]
        archived = self._archive.get(fresh)
        self._attempts.trust(genotype for genotype, evaluation in archived.items() if evaluation.reason is None)
        missing = [genotype for genotype in fresh if genotype not in archived]
        for scored in self._attempts(missing):
            self._archive.add(*scored)
        # Read back, so that a resumed run goes on with the very numbers of the first.
        self._evaluated |= self._archive.get(fresh)
        self._reused += len(fresh) - len(missing)
        self._follow([self._evaluated[genotype] for genotype in fresh])
        return np.array([self._evaluated[genotype].values for genotype in genotypes])

    def result(self, ended: str, notes: Sequence[str] = ()) -> SearchResult:
        """The summary; `ended` and `notes` as in `SearchResult`."""
        reference = reference_point(self._range) if len(self._range) else ()
        volumes = [hypervolume(front, reference) if reference else 0.0 for front in self._fronts]
        evaluated = tuple(self._evaluated.values())
        return SearchResult(
            columns=self._archive.columns,
            objectives=self._archive.objectives,
            front=front_of(evaluated, self._archive.objectives),
            evaluated=evaluated,
            trace=tuple(map(TracePoint, self._counts, volumes)),
            reference=reference,
            reused=self._reused,
            infeasible=self._infeasible,
            ended=ended,
            notes=(*notes, *_failures(evaluated), *self._never_finite()),
        )

    def _never_finite(self) -> list[str]:
        """A note on every objective that was a number for none of the genotypes that could be scored."""
        scored = [evaluation for evaluation in self._evaluated.values() if evaluation.reason is None]
        values = objectives_of(scored, self._archive.objectives)
        return [
            f"{name} is not a finite number for any of the {len(scored)} genotypes scored, so none can be in a front"
            for name, column in zip(self._archive.columns, values.T, strict=False)
            if len(scored) and not np.isfinite(column).any()
        ]

    def _follow(self, fresh: Sequence[Evaluation]) -> None:
        """Carry the run's own front and range on by fresh evaluations, and tell the progress."""
        objectives = objectives_of(fresh, self._archive.objectives)
        feasible = objectives[np.isfinite(objectives).all(axis=1)]
        self._infeasible += len(objectives) - len(feasible)
        front = np.concatenate([*self._fronts[-1:], feasible])
        self._fronts.append(front[non_dominated(front)])
        self._counts.append(self.evaluations)
        points = np.concatenate([self._range, feasible])
        if len(points):
            self._range = np.stack([points.min(axis=0), points.max(axis=0)])
            self._shown_reference = self._shown_reference or reference_point(self._range)
        if self._progress is not None:
            front = self._fronts[-1]
            volume = hypervolume(front, self._shown_reference) if self._shown_reference else 0.0
            counts = len(self._counts), self._steps, self.evaluations, self._reused, len(front)
            self._progress(Progress(*counts, volume, tuple(fresh)))


def front_of(evaluations: Iterable[Evaluation], objectives: int) -> tuple[Evaluation, ...]:
    """The feasible evaluations that no other one dominates, sorted by objectives, then genotype."""
    candidates, values = feasible(evaluations, objectives)
    front = [candidates[place] for place in np.flatnonzero(non_dominated(values))]
    return tuple(sorted(front, key=lambda e: (e.values[:objectives], e.genotype)))


def feasible(evaluations: Iterable[Evaluation], objectives: int) -> tuple[list[Evaluation], np.ndarray]:
    """The evaluations whose objectives are all finite, in order, and these objectives, float64 (n, objectives)."""
    evaluations = [e for e in evaluations if np.isfinite(e.values[:objectives]).all()]
    return evaluations, objectives_of(evaluations, objectives)


def objectives_of(evaluations: Iterable[Evaluation], objectives: int) -> np.ndarray:
    """The objectives of evaluations, float64 (n, objectives)."""
    values = [evaluation.values[:objectives] for evaluation in evaluations]
    return np.array(values, dtype=np.float64).reshape(-1, objectives)


def at_least(name: str, value: int, least: int) -> int:
    """`value` as an int. Raises ValueError naming the argument when it is no whole number of `least` or more."""
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def _failures(evaluations: Iterable[Evaluation]) -> list[str]:
    """A note on the genotypes that could not be scored, if any."""
    failed = [evaluation for evaluation in evaluations if evaluation.reason is not None]
    if not failed:
        return []
    count = "1 genotype" if len(failed) == 1 else f"{len(failed):,} genotypes"
    return [f"{count} could not be scored, infeasible for good; first {failed[0].genotype}: {failed[0].reason}"]
