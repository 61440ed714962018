"""The ranking study: from tables of inherited and standalone scores to numbers; `ranking_words` says what follows.

Shape legend: n networks, S training seeds, 2 disjoint halves of the people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from dualfair.evaluation.statistics.ceiling import noise_ceiling, truth_ceiling
from dualfair.evaluation.statistics.kendall import permutation_p
from dualfair.evaluation.statistics.ranking import (
    correlation,
    evenly_spaced,
    partial_tau,
    regret,
    tau_difference,
    top_k_overlap,
    weighted_tau,
)
from dualfair.evolution.pareto import front_agreement, hypervolume, non_dominated, reference_point
from dualfair.runs.options import RESAMPLES
from dualfair.runs.records.ranking import (
    Beyond,
    Ceiling,
    FrontStudy,
    MeasureStudy,
    Rival,
    SampleStudy,
    TableStudy,
    TopOverlap,
)
from dualfair.stages.ranking_words import conclusions

SPACED = (13, 30)
"""Sizes of the evenly spaced samples that are picked from all networks; FairNAS showed 13."""

_DRAWS = 200
"""Random choices that a front is compared with."""


@dataclass(frozen=True, eq=False)
class ScoreTables:
    """Scores of the same n networks; smaller is better in all of them but `baselines`, which need no direction.

    `samples` tell why each network is there ("front", "even", "random", "named"). `inherited` and `standalone` hold the
    same measures: (n,), and (n, S) by training seed, taken on one set of people. `halves` has the standalone ones on
    two halves of these people, (n, S, 2); a measure may be missing. `baselines` are scores (n,) that compete with every
    measure, `measure_baselines` those (n,) that compete with one. Raises ValueError where these do not fit together.
    """

    names: tuple[str, ...]
    samples: tuple[frozenset[str], ...]
    inherited: Mapping[str, np.ndarray]
    standalone: Mapping[str, np.ndarray]
    halves: Mapping[str, np.ndarray] = field(default_factory=dict)
    baselines: Mapping[str, np.ndarray] = field(default_factory=dict)
    measure_baselines: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.names)
        if not self.inherited or [*self.inherited] != [*self.standalone]:
            raise ValueError(
                f"inherited and standalone must hold the same measures, got {[*self.inherited]} and "
                f"{[*self.standalone]}"
            )
        if len(self.samples) != n:
            raise ValueError(f"samples must be one a network, got {len(self.samples)} for {n}")
        seeds = self.seeds
        by_shape = {(n,): [*self.inherited.values(), *self.baselines.values()], (n, seeds): [*self.standalone.values()]}
        by_shape[(n, seeds, 2)] = [*self.halves.values()]
        for baselines in self.measure_baselines.values():
            by_shape[(n,)] += baselines.values()
        for shape, tables in by_shape.items():
            for table in tables:
                if np.shape(table) != shape:
                    raise ValueError(f"a table must have the shape {shape}, got {np.shape(table)}")

    @property
    def seeds(self) -> int:
        """Training seeds of every network."""
        return np.shape(next(iter(self.standalone.values())))[-1]

    @property
    def first(self) -> str:
        """The measure that samples are spaced in and that others are studied beyond: `error`, or else the first."""
        return "error" if "error" in self.inherited else next(iter(self.inherited))

    def only(self, rows: np.ndarray) -> ScoreTables:
        """The tables of the networks with these numbers."""

        def taken(tables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: np.asarray(table)[rows] for name, table in tables.items()}

        return ScoreTables(
            tuple(self.names[row] for row in rows),
            tuple(self.samples[row] for row in rows),
            taken(self.inherited),
            taken(self.standalone),
            taken(self.halves),
            taken(self.baselines),
            {measure: taken(baselines) for measure, baselines in self.measure_baselines.items()},
        )


def mean_over_seeds(standalone: np.ndarray) -> np.ndarray:
    """Means of values (n, S), shape (n,); nan where infinities cancel."""
    with np.errstate(invalid="ignore"):
        return standalone.sum(axis=1) / max(standalone.shape[1], 1)


def samples_of(tables: ScoreTables) -> dict[str, np.ndarray]:
    """Numbers of the networks of every sample that is studied, by name: random, even, evenly spaced ones, and all.

    "random" are networks drawn uniformly, the honest sample. "even" were chosen evenly spaced in the inherited score
    before they were trained; "evenly spaced 13" and "30" are picked so from all, where there are more: both flatter.
    """
    numbers = {
        name: np.array([row for row, of in enumerate(tables.samples) if name in of], dtype=int)
        for name in ("random", "even")
    }
    numbers = {name: rows for name, rows in numbers.items() if len(rows)}
    score = np.asarray(tables.inherited[tables.first])
    finite = np.flatnonzero(np.isfinite(score))
    for size in SPACED:
        if len(finite) > size:
            numbers[f"evenly spaced {size}"] = np.sort(finite[evenly_spaced(score[finite], size)])
    return numbers | {"all": np.arange(len(tables.names))}


def ranking_study(tables: ScoreTables, *, resamples: int = RESAMPLES, seed: int = 0) -> TableStudy:
    """The study of score tables. `resamples` are the bootstrap's; everything random follows `seed`."""
    samples = {}
    for name, rows in samples_of(tables).items():
        part = tables.only(rows)
        samples[name] = SampleStudy(
            part.names,
            len(rows),
            {measure: measure_study(part, measure, resamples, seed) for measure in part.inherited},
            front_study(part, seed) if len(part.inherited) > 1 else None,
        )
    return TableStudy(tables.names, tables.seeds, samples)


def measure_study(tables: ScoreTables, measure: str, resamples: int, seed: int) -> MeasureStudy:
    """Does the inherited score of a measure rank the networks as the mean of their trainings does?

    Baselines of all measures are taken in whichever direction ranks better, chosen with hindsight in their favour.
    """
    scores, standalone = np.asarray(tables.inherited[measure]), np.asarray(tables.standalone[measure])
    mean, n = mean_over_seeds(standalone), len(standalone)
    how = {"resamples": resamples, "seed": seed}
    correlated = correlation(scores, mean, **how)
    defined = correlated.tau is not None
    k = max(1, n // 4)
    truth = truth_ceiling(standalone, tables.halves.get(measure), seed=seed)
    baselines = {name: _rival(scores, other, mean, how, either_way=True) for name, other in tables.baselines.items()}
    for name, other in tables.measure_baselines.get(measure, {}).items():
        baselines[name] = _rival(scores, other, mean, how)
    study = MeasureStudy(
        n=n,
        correlation=correlated,
        p=permutation_p(scores, mean, seed=seed) if defined else None,
        weighted_tau=weighted_tau(scores, mean) if defined else None,
        top_k=TopOverlap(k, top_k_overlap(scores, mean, k), k / n) if defined else None,
        regret=regret(scores, mean) if defined else None,
        regret_at_random=float(mean.mean() - mean.min()) if defined else None,
        noise_ceiling=noise_ceiling(standalone),
        ceiling=Ceiling(truth, correlated.tau / truth.tau if defined and truth.tau else None),
        baselines=baselines,
        beyond=None if measure == tables.first else _beyond(tables, scores, mean, how),
    )
    return replace(study, conclusions=tuple(conclusions(study)))


def _rival(scores: np.ndarray, other: np.ndarray, mean: np.ndarray, how: dict, either_way: bool = False) -> Rival:
    """A baseline's correlation with the truth, and how much better ours is; `either_way`: than its better direction."""
    correlated = correlation(other, mean, **how)
    turned = either_way and correlated.tau is not None and correlated.tau < 0
    return Rival(correlated, tau_difference(scores, -np.asarray(other) if turned else other, mean, **how))


def _beyond(tables: ScoreTables, scores: np.ndarray, mean: np.ndarray, how: dict) -> Beyond:
    """What a measure's inherited score tells beyond the first measure's."""
    given = np.asarray(tables.inherited[tables.first])
    return Beyond(
        tables.first,
        partial_tau(scores, mean, given, **how),
        partial_tau(scores, mean, given, corrected=True, **how),
        _rival(scores, given, mean, how),
    )


def front_study(tables: ScoreTables, seed: int = 0) -> FrontStudy:
    """Agreement of the front by the inherited scores with the true one, beside as many networks drawn at random."""
    inherited = np.stack([np.asarray(scores, dtype=float) for scores in tables.inherited.values()], axis=1)
    truth = np.stack([mean_over_seeds(np.asarray(each, dtype=float)) for each in tables.standalone.values()], axis=1)
    if not len(inherited):
        return FrontStudy(None, None, None, "undefined for 0 networks")
    if not (np.isfinite(inherited).all() and np.isfinite(truth).all()):
        return FrontStudy(None, None, None, "undefined: some networks have a score that is not finite")
    chosen = int(non_dominated(inherited).sum())
    reference, rng = reference_point(truth), np.random.default_rng(seed)
    volumes = [hypervolume(truth[rng.choice(len(truth), chosen, replace=False)], reference) for _ in range(_DRAWS)]
    at_random = float(np.mean(volumes)) / hypervolume(truth, reference)
    return FrontStudy(front_agreement(inherited, truth), chosen, at_random, None)
