"""What a study of several supernets comes to: mean tau over them with its interval over networks, and differences.

Shape legend: n networks, S training seeds, K supernets, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.protocol import Scores
from dualfair.evaluation.statistics.ceiling import noise_ceiling, truth_ceiling
from dualfair.evaluation.statistics.kendall import taus
from dualfair.runs.records.training import SPLITS
from dualfair.runs.run_files import TrainingResults
from dualfair.studies.supernets.options import StudyOptions
from dualfair.studies.supernets.records import StandaloneCeilings, SupernetStudy, VariantTau

_CONFIDENCE = 0.95
_COSTS = ("params", "macs")


@dataclass(frozen=True, eq=False)
class StandaloneScores:
    """Scores of trained networks, by split and measure: values (n, S) and those of two halves (n, S, 2)."""

    names: tuple[str, ...]
    values: Mapping[str, Mapping[str, np.ndarray]]
    halves: Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class _Taus:
    """Tau of each of K scores (K,), and means over them in every resample of the networks (R,)."""

    values: np.ndarray
    resampled: np.ndarray


def standalone_scores(trained: TrainingResults) -> StandaloneScores:
    """Every measure of the trainings, on validation and on test people."""
    values, halves = {}, {}
    for split in SPLITS:
        scores = [[result.on(split) for result in results] for results in trained.results]
        measures = [*scores[0][0].measures]
        values[split] = {name: np.array([[each.measures[name] for each in row] for row in scores]) for name in measures}
        halves[split] = {name: np.array([[_halves(each, name) for each in row] for row in scores]) for name in measures}
    return StandaloneScores(tuple(map(str, trained.genotypes)), values, halves)


def _halves(scores: Scores, measure: str) -> list[float]:
    return [half[measure] for half in scores.halves]


def study_of(
    inherited: Mapping[str, Sequence[Mapping[str, np.ndarray]]],
    standalone: StandaloneScores,
    options: StudyOptions,
    *,
    seed: int = 0,
) -> SupernetStudy:
    """The study; `inherited` are the scores of every variant by supernet and column, (n,).

    Intervals are percentiles over networks, the same resamples everywhere, so that differences are paired. Supernets
    are few: their single values tell how much they differ. A baseline counts in its better direction.
    """
    n = len(standalone.names)
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=options.resamples)
    first = next(iter(inherited))
    ceilings = {
        split: {measure: _ceilings(standalone, split, measure, seed) for measure in by_measure}
        for split, by_measure in standalone.values.items()
    }
    variants: dict[str, dict[str, dict[str, VariantTau]]] = {name: {} for name in inherited}
    baselines: dict[str, dict[str, dict[str, VariantTau]]] = {name: {} for name in _COSTS}
    for split in SPLITS:
        for measure, values in standalone.values[split].items():
            mean, ceiling = values.mean(axis=1), ceilings[split][measure].ceiling.tau
            base = _taus([supernet[measure] for supernet in inherited[first]], mean, counts)
            for name, supernets in inherited.items():
                of_variant = _taus([supernet[measure] for supernet in supernets], mean, counts)
                tau = _variant_tau(of_variant, ceiling, None if name == first else base)
                variants[name].setdefault(split, {})[measure] = tau
            for name in _COSTS:
                cost = np.asarray(inherited[first][0][name])
                direction = -1 if _taus([cost], mean, counts).values[0] < 0 else 1
                tau = _variant_tau(_taus([direction * cost], mean, counts), ceiling, base)
                baselines[name].setdefault(split, {})[measure] = tau
    return SupernetStudy(
        options=options,
        networks=standalone.names,
        seeds=next(iter(standalone.values[SPLITS[0]].values())).shape[1],
        supernets={name: len(supernets) for name, supernets in inherited.items()},
        standalone=ceilings,
        variants=variants,
        baselines=baselines,
    )


def _ceilings(standalone: StandaloneScores, split: str, measure: str, seed: int) -> StandaloneCeilings:
    values = standalone.values[split][measure]
    return StandaloneCeilings(
        noise_ceiling(values), truth_ceiling(values, standalone.halves[split][measure], seed=seed)
    )


def _taus(inherited: Sequence[np.ndarray], mean: np.ndarray, counts: np.ndarray) -> _Taus:
    """Of K scores (n,) with the mean of the trainings (n,), over resamples that draw networks `counts` (R, n) times."""
    everyone = np.ones((1, len(mean)))
    values = np.array([taus(scores, mean, everyone)[0] for scores in inherited])
    return _Taus(values, np.mean([taus(scores, mean, counts) for scores in inherited], axis=0))


def _variant_tau(of_variant: _Taus, ceiling: float | None, base: _Taus | None) -> VariantTau:
    """What the taus of a variant come to beside a `base`, None for the base itself."""
    mean = _number(of_variant.values.mean())
    return VariantTau(
        taus=tuple(map(_number, of_variant.values)),
        mean=mean,
        interval=_interval(of_variant.resampled),
        share=mean / ceiling if mean is not None and ceiling else None,
        difference=None if base is None else _number(of_variant.values.mean() - base.values.mean()),
        difference_interval=None if base is None else _interval(of_variant.resampled - base.resampled),
    )


def _interval(resampled: np.ndarray) -> tuple[float, float] | None:
    known = resampled[np.isfinite(resampled)]
    if not len(known):
        return None
    return tuple(np.quantile(known, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2]).tolist())


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
