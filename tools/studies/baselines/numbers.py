"""The study of all standalone trainings of a run: networks of ours against backbones from the shelf, as data.

"Ours" are the searched networks, by whatever recipe; "shelf" are the backbones of timm's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dualfair.evaluation.statistics.spearman import spearman
from dualfair.evolution.dominance import compare
from dualfair.evolution.pareto import non_dominated
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.trainings import SPLITS

OURS, SHELF = "ours", "shelf"
VALIDATION, TEST = SPLITS
COSTS = ("params", "macs")
"""What a result says of a network's cost."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A network with its recipe, by its label, and what its trainings came to.

    `values[split][measure]` is (S,), one value a training seed, in the order of `seeds`. `cost` holds learnt parameters
    and multiply-accumulates of an image, None where the results do not say.
    """

    label: str
    of: str
    seeds: tuple[int, ...]
    values: dict[str, dict[str, np.ndarray]]
    cost: tuple[int | None, int | None] = (None, None)

    def mean(self, split: str, measure: str) -> float:
        """Mean over seeds; not finite where one value is not."""
        return float(np.mean(self.values[split][measure]))

    def spread(self, split: str, measure: str) -> float | None:
        """Standard error of the mean over seeds, None for one seed or values that are not finite."""
        values = self.values[split][measure]
        if len(values) < 2 or not np.isfinite(values).all():
            return None
        return float(np.std(values, ddof=1) / len(values) ** 0.5)

    def points(self, split: str, measure: str) -> np.ndarray:
        """Error and a measure of every training, (S, 2)."""
        return np.stack([self.values[split]["error"], self.values[split][measure]], axis=1)


def gather(results: Mapping[TrainingSpec, Mapping], disparity_name: str) -> tuple[list[Trained], tuple[str, ...]]:
    """The networks of some results, by test error, and the names of the measures that all results have.

    "error" comes first, then the protocol's disparity by its name. Raises ValueError for a result without numbers.
    """
    tables = {
        training: {split: _numbers(result[split], disparity_name) for split in SPLITS}
        for training, result in results.items()
    }
    shared = [set(table[split]) for table in tables.values() for split in SPLITS]
    first = next(iter(tables.values()), {split: {} for split in SPLITS})
    measures = tuple(name for name in first[TEST] if all(name in names for names in shared))
    by_label: dict[str, list[TrainingSpec]] = {}
    for training in sorted(tables, key=lambda training: (training.label, training.seed)):
        by_label.setdefault(training.label, []).append(training)
    networks = [
        Trained(
            label,
            SHELF if trainings[0].on_shelf else OURS,
            tuple(training.seed for training in trainings),
            {
                split: {name: np.array([tables[training][split][name] for training in trainings]) for name in measures}
                for split in SPLITS
            },
            tuple(results[trainings[0]].get(name) for name in COSTS),
        )
        for label, trainings in by_label.items()
    ]
    return sorted(networks, key=lambda network: (network.mean(TEST, "error"), network.label)), measures


def _numbers(verdict: Mapping, disparity_name: str) -> dict[str, float]:
    """The measures of a verdict on people, by name."""
    try:
        own = {"error": float(verdict["error"]), disparity_name: float(verdict["disparity"])}
        return own | {name: float(value) for name, value in verdict.get("measures", {}).items() if name not in own}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"a result holds no numbers of a split ({error}); delete it and train it again") from None


def study(networks: Sequence[Trained], measures: Sequence[str], *, resamples: int = 2000, seed: int = 0) -> dict:
    """Everything that is said of the networks, as a dictionary of what JSON holds.

    "networks" with mean and standard error of every measure; "correlations" of error and disparity by split, measure
    and sample; Pareto "fronts" of all networks by split and measure; "dominance" of our front over the shelf.
    """
    disparities = [name for name in measures if name != "error"]
    return {
        "measures": list(measures),
        "resamples": resamples,
        "networks": [_row(network, measures) for network in networks],
        "correlations": {
            split: {name: _correlations(networks, split, name, resamples, seed) for name in disparities}
            for split in SPLITS
        },
        "fronts": {
            split: {name: [networks[place].label for place in front(networks, split, name)] for name in disparities}
            for split in SPLITS
        },
        "dominance": {name: _dominance(networks, name, resamples, seed) for name in disparities},
    }


def front(networks: Sequence[Trained], split: str, measure: str) -> list[int]:
    """Places of the networks that no other one dominates by its means on a split; those not finite are no rivals."""
    means = np.array([[network.mean(split, "error"), network.mean(split, measure)] for network in networks])
    means = means.reshape(-1, 2)
    finite = np.flatnonzero(np.isfinite(means).all(axis=1))
    return finite[non_dominated(means[finite])].tolist() if len(finite) else []


def _row(network: Trained, measures: Sequence[str]) -> dict:
    return {
        "network": network.label,
        "of": network.of,
        "seeds": list(network.seeds),
        **dict(zip(COSTS, network.cost, strict=True)),
        **{
            split: {
                name: {"mean": _finite(network.mean(split, name)), "standard error": network.spread(split, name)}
                for name in measures
            }
            for split in SPLITS
        },
    }


def _correlations(networks: Sequence[Trained], split: str, measure: str, resamples: int, seed: int) -> dict:
    """Spearman's correlation of error and a disparity over samples of the networks.

    The better half has the least error on validation people, so that on test people nothing is chosen by its luck.
    """
    order = sorted(networks, key=lambda network: network.mean(VALIDATION, "error"))
    samples = {
        "all": networks,
        "better half in error": order[: -(-len(order) // 2)],
        SHELF: [network for network in networks if network.of == SHELF],
    }
    found = {}
    for name, sample in samples.items():
        pairs = [[network.mean(split, "error"), network.mean(split, measure)] for network in sample]
        errors, disparities = np.array(pairs).reshape(-1, 2).T
        names = ("error", measure)
        found[name] = spearman(errors, disparities, names=names, resamples=resamples, seed=seed).to_dict()
    return found


def _dominance(networks: Sequence[Trained], measure: str, resamples: int, seed: int) -> dict | None:
    """Our front, chosen on validation people, against the shelf on test people; None where one of them is empty."""
    sides = {
        of: [network for network in networks if network.of == of and _is_finite(network, measure)]
        for of in (OURS, SHELF)
    }
    if not all(sides.values()):
        return None
    fronts = {of: front(side, VALIDATION, measure) for of, side in sides.items()}
    ours = [sides[OURS][place] for place in fronts[OURS]]
    found = compare(
        [network.points(TEST, measure) for network in ours],
        [network.points(TEST, measure) for network in sides[SHELF]],
        np.random.default_rng(seed),
        other_front=fronts[SHELF],
        resamples=resamples,
    )
    each = [
        {"network": network.label, **asdict(one), "by": ours[one.by].label}
        for network, one in zip(sides[SHELF], found.each, strict=True)
    ]
    return {
        "our front": [network.label for network in ours],
        "shelf's front": [sides[SHELF][place].label for place in fronts[SHELF]],
        "left out": [network.label for network in networks if not _is_finite(network, measure)],
        **asdict(found),
        "each": each,
    }


def _is_finite(network: Trained, measure: str) -> bool:
    return all(np.isfinite(network.points(split, measure)).all() for split in SPLITS)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
