"""The study of all standalone trainings of a run: searched networks against backbones of timm's, as numbers.

Shape legend: S training seeds of a network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.protocol import Scores
from dualfair.evaluation.statistics.ranking import Estimate, spearman
from dualfair.evolution.pareto import non_dominated
from dualfair.runs.options import RESAMPLES
from dualfair.runs.records.training import SPLITS, TrainingResult
from dualfair.runs.training_spec import TrainingSpec
from dualfair.studies.baselines.hypervolume import difference
from dualfair.studies.baselines.records import BaselineStudy, FrontComparison, NetworkScores, SeedMean

OURS, BASELINES = "ours", "baselines"
"""Searched networks, by whatever recipe, and backbones of timm's."""
VALIDATION, TEST = SPLITS


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network with its recipe, by its label, and what its trainings came to.

    It is one `of` OURS or BASELINES. `values[split][measure]` is (S,), one value a training seed, in the order of
    `seeds`. `cost` holds learnt parameters and multiply-accumulates of an image, None where the results do not say.
    """

    label: str
    of: str
    seeds: tuple[int, ...]
    values: dict[str, dict[str, np.ndarray]]
    cost: tuple[int | None, int | None] = (None, None)

    def mean(self, split: str, measure: str) -> float:
        """Mean over seeds; not finite where one value is not."""
        return float(np.mean(self.values[split][measure]))

    def standard_error(self, split: str, measure: str) -> float | None:
        """Standard error of the mean over seeds, None for one seed or values that are not finite."""
        values = self.values[split][measure]
        if len(values) < 2 or not np.isfinite(values).all():
            return None
        return float(np.std(values, ddof=1) / len(values) ** 0.5)

    def points(self, split: str, measure: str) -> np.ndarray:
        """Error and a measure of every training, (S, 2)."""
        return np.stack([self.values[split]["error"], self.values[split][measure]], axis=1)


def gather(
    results: Mapping[TrainingSpec, TrainingResult], disparity_name: str
) -> tuple[list[TrainedNetwork], tuple[str, ...]]:
    """The networks of some results, by test error, and the names of the measures that all results have.

    "error" comes first, then the protocol's disparity by its name.
    """
    values = {
        training: {split: _measures(result.on(split), disparity_name) for split in SPLITS}
        for training, result in results.items()
    }
    shared = [set(by_split[split]) for by_split in values.values() for split in SPLITS]
    first = next(iter(values.values()), {split: {} for split in SPLITS})
    measures = tuple(name for name in first[TEST] if all(name in names for names in shared))
    by_label: dict[str, list[TrainingSpec]] = {}
    for training in sorted(values, key=lambda training: (training.label, training.seed)):
        by_label.setdefault(training.label, []).append(training)
    networks = [
        TrainedNetwork(
            label,
            BASELINES if trainings[0].is_backbone else OURS,
            tuple(training.seed for training in trainings),
            {
                split: {name: np.array([values[training][split][name] for training in trainings]) for name in measures}
                for split in SPLITS
            },
            (results[trainings[0]].params, results[trainings[0]].macs),
        )
        for label, trainings in by_label.items()
    ]
    return sorted(networks, key=lambda network: (network.mean(TEST, "error"), network.label)), measures


def _measures(scores: Scores, disparity_name: str) -> dict[str, float]:
    """The measures on some people, by name."""
    objectives = {"error": scores.error, disparity_name: scores.disparity}
    return objectives | {name: value for name, value in scores.measures.items() if name not in objectives}


def study(
    networks: Sequence[TrainedNetwork], measures: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> BaselineStudy:
    """Everything that is said of the networks; `resamples` are the bootstrap's, and all that is random follows `seed`.

    Raises ValueError for `resamples` below 1.
    """
    disparities = [name for name in measures if name != "error"]
    return BaselineStudy(
        measures=tuple(measures),
        resamples=resamples,
        networks=tuple(_scores(network, measures) for network in networks),
        correlations={
            split: {name: _correlations(networks, split, name, resamples, seed) for name in disparities}
            for split in SPLITS
        },
        fronts={
            split: {
                name: tuple(networks[place].label for place in front(networks, split, name)) for name in disparities
            }
            for split in SPLITS
        },
        against={name: _against(networks, name, resamples, seed) for name in disparities},
    )


def front(networks: Sequence[TrainedNetwork], split: str, measure: str) -> list[int]:
    """Places of the networks that no other one dominates by its means on a split; those not finite are no rivals."""
    means = np.array([[network.mean(split, "error"), network.mean(split, measure)] for network in networks])
    means = means.reshape(-1, 2)
    finite = np.flatnonzero(np.isfinite(means).all(axis=1))
    return finite[non_dominated(means[finite])].tolist() if len(finite) else []


def _scores(network: TrainedNetwork, measures: Sequence[str]) -> NetworkScores:
    means = {
        split: {
            name: SeedMean(_finite(network.mean(split, name)), network.standard_error(split, name)) for name in measures
        }
        for split in SPLITS
    }
    return NetworkScores(network.label, network.of, network.seeds, *network.cost, **means)


def _correlations(
    networks: Sequence[TrainedNetwork], split: str, measure: str, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Spearman's correlation of error and a disparity over samples of the networks.

    The better half has the least error on validation people, so that on test people nothing is chosen by its luck.
    """
    order = sorted(networks, key=lambda network: network.mean(VALIDATION, "error"))
    samples = {
        "all": networks,
        "better half in error": order[: -(-len(order) // 2)],
        BASELINES: [network for network in networks if network.of == BASELINES],
    }
    correlations = {}
    for name, sample in samples.items():
        pairs = [[network.mean(split, "error"), network.mean(split, measure)] for network in sample]
        errors, disparities = np.array(pairs).reshape(-1, 2).T
        names = ("error", measure)
        correlations[name] = spearman(errors, disparities, names=names, resamples=resamples, seed=seed)
    return correlations


def _against(networks: Sequence[TrainedNetwork], measure: str, resamples: int, seed: int) -> FrontComparison | None:
    """Our front against that of the backbones; None where one of them is empty."""
    fronts = []
    for of in (OURS, BASELINES):
        finite = [network for network in networks if network.of == of and _is_finite(network, measure)]
        fronts.append([finite[place] for place in front(finite, VALIDATION, measure)])
    ours, baselines = fronts
    if not (ours and baselines):
        return None
    points = [[network.points(TEST, measure) for network in networks] for networks in fronts]
    return FrontComparison(
        our_front=tuple(network.label for network in ours),
        baselines_front=tuple(network.label for network in baselines),
        left_out=tuple(network.label for network in networks if not _is_finite(network, measure)),
        fewest_seeds=tuple(min(len(network.seeds) for network in networks) for networks in fronts),
        **vars(difference(*points, np.random.default_rng(seed), resamples)),
    )


def _is_finite(network: TrainedNetwork, measure: str) -> bool:
    return all(np.isfinite(network.points(split, measure)).all() for split in SPLITS)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
