"""The ranking study: from tables of cheap and true scores to numbers; `stages.ranking_words` says what follows.

Shape legend: n networks, S training seeds, 2 disjoint halves of the people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
from dualfair.stages.ranking_words import conclusions

SPACED = (13, 30)
"""Sizes of the evenly spaced samples that are picked from all networks; FairNAS showed 13."""

_DRAWS = 200
"""Random choices that a front is compared with."""


@dataclass(frozen=True, eq=False)
class ScoreTables:
    """Scores of the same n networks; smaller is better in all of them but `baselines`, which need no direction.

    `samples` tell why each network is there ("front", "even", "random", "named"). `cheap` and `truth` hold the same
    measures: (n,), and (n, S) by training seed, judged on one set of people. `truth_halves` has the truth on two halves
    of these people, (n, S, 2); a measure may be missing. `baselines` are scores (n,) that compete with every measure,
    `own_baselines` those (n,) that compete with one. Raises ValueError where these do not fit together.
    """

    names: tuple[str, ...]
    samples: tuple[frozenset[str], ...]
    cheap: Mapping[str, np.ndarray]
    truth: Mapping[str, np.ndarray]
    truth_halves: Mapping[str, np.ndarray] = field(default_factory=dict)
    baselines: Mapping[str, np.ndarray] = field(default_factory=dict)
    own_baselines: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.names)
        if not self.cheap or [*self.cheap] != [*self.truth]:
            raise ValueError(f"cheap and truth must hold the same measures, got {[*self.cheap]} and {[*self.truth]}")
        if len(self.samples) != n:
            raise ValueError(f"samples must be one a network, got {len(self.samples)} for {n}")
        seeds = self.seeds
        wanted = {(n,): [*self.cheap.values(), *self.baselines.values()], (n, seeds): [*self.truth.values()]}
        wanted[(n, seeds, 2)] = [*self.truth_halves.values()]
        for own in self.own_baselines.values():
            wanted[(n,)] += own.values()
        for shape, tables in wanted.items():
            for table in tables:
                if np.shape(table) != shape:
                    raise ValueError(f"a table must have the shape {shape}, got {np.shape(table)}")

    @property
    def seeds(self) -> int:
        """Training seeds of every network."""
        return np.shape(next(iter(self.truth.values())))[-1]

    @property
    def first(self) -> str:
        """The measure that samples are spaced in and that others are studied beyond: `error`, or else the first."""
        return "error" if "error" in self.cheap else next(iter(self.cheap))

    def only(self, rows: np.ndarray) -> ScoreTables:
        """The tables of the networks with these numbers."""

        def taken(tables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: np.asarray(table)[rows] for name, table in tables.items()}

        return ScoreTables(
            tuple(self.names[row] for row in rows),
            tuple(self.samples[row] for row in rows),
            taken(self.cheap),
            taken(self.truth),
            taken(self.truth_halves),
            taken(self.baselines),
            {measure: taken(own) for measure, own in self.own_baselines.items()},
        )


def mean_over_seeds(truth: np.ndarray) -> np.ndarray:
    """Means of values (n, S), shape (n,); nan where infinities cancel."""
    with np.errstate(invalid="ignore"):
        return truth.sum(axis=1) / max(truth.shape[1], 1)


def samples_of(tables: ScoreTables) -> dict[str, np.ndarray]:
    """Numbers of the networks of every sample that is studied, by name: random, even, evenly spaced ones, and all.

    "random" are networks drawn uniformly, the honest sample. "even" were chosen evenly spaced in the cheap score before
    they were trained; "evenly spaced 13" and "30" are picked so from all, where there are more: both flatter.
    """
    numbers = {
        name: np.array([row for row, of in enumerate(tables.samples) if name in of], dtype=int)
        for name in ("random", "even")
    }
    numbers = {name: rows for name, rows in numbers.items() if len(rows)}
    score = np.asarray(tables.cheap[tables.first])
    finite = np.flatnonzero(np.isfinite(score))
    for size in SPACED:
        if len(finite) > size:
            numbers[f"evenly spaced {size}"] = np.sort(finite[evenly_spaced(score[finite], size)])
    return numbers | {"all": np.arange(len(tables.names))}


def ranking_study(tables: ScoreTables, *, resamples: int = 2000, seed: int = 0) -> dict:
    """The study of score tables, as a dictionary that JSON holds.

    {"networks", "seeds", "samples": {name: {"networks", "n", "measures": {measure: as of `measure_study`},
    "front_agreement": as of `front_study`, None unless there are two measures}}}. `resamples` are the bootstrap's;
    everything random follows `seed`.
    """
    samples = {}
    for name, rows in samples_of(tables).items():
        part = tables.only(rows)
        samples[name] = {
            "networks": list(part.names),
            "n": len(rows),
            "measures": {measure: measure_study(part, measure, resamples, seed) for measure in part.cheap},
            "front_agreement": front_study(part, seed) if len(part.cheap) == 2 else None,
        }
    return {"networks": list(tables.names), "seeds": tables.seeds, "samples": samples}


def measure_study(tables: ScoreTables, measure: str, resamples: int, seed: int) -> dict:
    """Does the cheap score of a measure rank the networks as the mean of their trainings does?

    "correlation" (tau-b with interval, Spearman), "p" (one-sided, permutations), "weighted_tau" (the truly best weigh
    most), "top_k" (overlap of the best quarter and what chance gives), "regret" and "regret_at_random" (in units of the
    truth), "noise_ceiling" (tau between seeds), "ceiling" with "share" (tau over the ceiling: above 1 is possible, by
    luck, and where cheap and true scores share the people they were measured on), "baselines" (the same correlation,
    and "difference": ours minus theirs; of `tables.baselines` in whichever direction ranks better, chosen with
    hindsight in their favour), "beyond" (None for the first measure; else what is told beyond it, as of
    `_beyond`), and "conclusions" in words. None where undefined: "correlation" says why.
    """
    cheap, truth = np.asarray(tables.cheap[measure]), np.asarray(tables.truth[measure])
    mean, n = mean_over_seeds(truth), len(truth)
    how = {"resamples": resamples, "seed": seed}
    ours = correlation(cheap, mean, **how)
    found: dict = {"n": n, "correlation": ours.to_dict()}
    known = ours.tau is not None
    k = max(1, n // 4)
    found |= {
        "p": permutation_p(cheap, mean, seed=seed) if known else None,
        "weighted_tau": weighted_tau(cheap, mean) if known else None,
        "top_k": {"k": k, "overlap": top_k_overlap(cheap, mean, k), "chance": k / n} if known else None,
        "regret": regret(cheap, mean) if known else None,
        "regret_at_random": float(mean.mean() - mean.min()) if known else None,
        "noise_ceiling": noise_ceiling(truth).to_dict(),
    }
    ceiling = truth_ceiling(truth, tables.truth_halves.get(measure), seed=seed).to_dict()
    found["ceiling"] = ceiling | {"share": ours.tau / ceiling["tau"] if known and ceiling["tau"] else None}
    found["baselines"] = {
        name: _against(cheap, other, mean, how, either_way=True) for name, other in tables.baselines.items()
    } | {name: _against(cheap, other, mean, how) for name, other in tables.own_baselines.get(measure, {}).items()}
    found["beyond"] = None if measure == tables.first else _beyond(tables, cheap, mean, how)
    return found | {"conclusions": conclusions(found)}


def _against(cheap: np.ndarray, other: np.ndarray, mean: np.ndarray, how: dict, either_way: bool = False) -> dict:
    """A baseline's correlation with the truth, and how much better ours is; `either_way`: than its better direction."""
    theirs = correlation(other, mean, **how)
    turned = either_way and theirs.tau is not None and theirs.tau < 0
    difference = tau_difference(cheap, -np.asarray(other) if turned else other, mean, **how)
    return theirs.to_dict() | {"difference": difference.to_dict()}


def _beyond(tables: ScoreTables, cheap: np.ndarray, mean: np.ndarray, how: dict) -> dict:
    """What a measure's cheap score tells beyond the first measure's: Kendall's partial tau given that one, the
    corrected one that conclusions rest on, and that one as a baseline ("disparity follows error")."""
    given = np.asarray(tables.cheap[tables.first])
    return {
        "measure": tables.first,
        "partial_tau": partial_tau(cheap, mean, given, **how).to_dict(),
        "corrected": partial_tau(cheap, mean, given, corrected=True, **how).to_dict(),
        "instead": _against(cheap, given, mean, how),
    }


def front_study(tables: ScoreTables, seed: int = 0) -> dict:
    """Agreement of the front by the cheap scores with the true one, over all measures together.

    "agreement" (`evolution.pareto.front_agreement`), "chosen" networks, and "at_random": the mean of as many networks
    drawn at random, 200 times. None with "reason" where a score is not finite or there is no network.
    """
    cheap = np.stack([np.asarray(scores, dtype=float) for scores in tables.cheap.values()], axis=1)
    truth = np.stack([mean_over_seeds(np.asarray(values, dtype=float)) for values in tables.truth.values()], axis=1)
    nothing = {"agreement": None, "chosen": None, "at_random": None}
    if not len(cheap):
        return nothing | {"reason": "undefined for 0 networks"}
    if not (np.isfinite(cheap).all() and np.isfinite(truth).all()):
        return nothing | {"reason": "undefined: some networks have a score that is not finite"}
    chosen = int(non_dominated(cheap).sum())
    reference, rng = reference_point(truth), np.random.default_rng(seed)
    volumes = [hypervolume(truth[rng.choice(len(truth), chosen, replace=False)], reference) for _ in range(_DRAWS)]
    return {
        "agreement": front_agreement(cheap, truth),
        "chosen": chosen,
        "at_random": float(np.mean(volumes)) / hypervolume(truth, reference),
        "reason": None,
    }
