"""The networks trained from scratch: what they reach on validation and on test people, and which of them to take."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from dualfair.evaluation.protocol import PUBLISHED, ObjectiveNames, Scores
from dualfair.presentation.format import spoken
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.records.training import NAMED, SAMPLES, SPLITS, RetrainConfig, TrainingPlan, TrainingResult
from dualfair.runs.run_files import RunFiles
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import Skeleton

APART = 2.0
"""Standard errors of a difference from which on two networks are called apart."""


@dataclass(frozen=True)
class SeedMean:
    """A number over trainings: its finite and infinite `values`, their mean, and its standard error (sample deviation
    over the root of n). None where there is no value, and for the error of one."""

    values: tuple[float, ...]
    mean: float | None
    standard_error: float | None


@dataclass(frozen=True)
class GroupOverSeeds:
    """A group's error and mean rank on test people; its `probes` are those of one training."""

    group: str
    probes: int
    error: SeedMean
    mean_rank: SeedMean


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that was trained from scratch `seeds` times, by one recipe.

    `label` names network and recipe, `samples` why it was trained. Parameters and MACs are None where neither formula
    nor result tells them, and milliseconds where its latency was not measured. `validation` and `test` hold error,
    objectives on images and the disparity, by name. `probes` are those of test people in one training.
    """

    label: str
    samples: tuple[str, ...]
    seeds: int
    params: float | None
    macs: float | None
    validation: Mapping[str, SeedMean]
    test: Mapping[str, SeedMean]
    probes: int
    groups: tuple[GroupOverSeeds, ...]
    latency: float | None = None

    def on(self, split: str) -> Mapping[str, SeedMean]:
        """The measures on the people of a split, one of SPLITS."""
        return {"validation": self.validation, "test": self.test}[split]

    def objective(self, name: str) -> float | None:
        """An objective that networks are chosen by: its mean on validation people, or a cost; None where unknown."""
        if name in self.validation:
            return self.validation[name].mean
        return {"params": self.params, "macs": self.macs, "latency": self.latency}.get(name)


@dataclass(frozen=True)
class Choice:
    """A network to take, `because` of what; `tied` others have its very validation values."""

    label: str
    because: tuple[str, ...]
    tied: int


@dataclass(frozen=True)
class Recommendation:
    """Which networks to take, the best compromise first, and the `front` of those that none dominates, by label."""

    chosen: tuple[Choice, ...] = ()
    front: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """A network's place in a measure on test people: `place` 1 is the lowest, `shared` by so many others.

    `better` and `worse` are labels of networks whose mean is more than APART standard errors of the difference lower or
    higher; `unknown` is how many cannot be compared, one training having no spread.
    """

    place: int
    shared: int
    better: tuple[str, ...]
    worse: tuple[str, ...]
    unknown: int


@dataclass(frozen=True)
class Standing:
    """A network among `networks`, itself included, with `fewest` to `most` trainings each, on test people: its place in
    every measure."""

    networks: int
    fewest: int
    most: int
    places: Mapping[str, Place]


def objective_names(files: RunFiles) -> ObjectiveNames:
    """What the objectives of a run are called: those of its search, else of retraining, else the published ones."""
    for kind, stage in ((SearchConfig, files.layout.search), (RetrainConfig, files.layout.retrain)):
        if config := files.record(kind, stage.config):
            return config.names
    return PUBLISHED


def finished_trainings(files: RunFiles) -> list[TrainingResult]:
    """The results of all trainings of the run by network and seed; damaged and undefined ones are problems."""
    results, measured = [], objective_names(files).measured
    for path, result in files.results(files.layout.retrain).items():
        if any(math.isnan(_value(result.on(split), name)) for split in SPLITS for name in measured):
            files.add_problem(f"{files.shown(path)} is damaged: it is not the result of a training")
        else:
            results.append(result)
    return results


def planned_trainings(files: RunFiles, results: Iterable[TrainingResult]) -> TrainingPlan:
    """The plan of the run; where trainings in it have no result yet, it is a problem that the choice may change."""
    plan = files.record(TrainingPlan, files.layout.retrain.plan) or TrainingPlan()
    planned = {job.training for job in plan.jobs}
    missing = planned - {result.training for result in results}
    if missing:
        files.add_problem(
            f"retraining is not finished: {len(planned) - len(missing)} of {len(planned)} trainings are done, so the "
            "network to take may change"
        )
    return plan


def trained_networks(
    results: Sequence[TrainingResult],
    plan: TrainingPlan,
    skeleton: Skeleton | None,
    names: ObjectiveNames,
    latencies: Mapping[str, float] = MappingProxyType({}),
) -> tuple[TrainedNetwork, ...]:
    """The networks of some trainings, by mean test error; without the `skeleton` sizes are those of the results.

    `latencies` are known milliseconds by label.
    """
    samples, measures = plan.samples(), tuple(dict.fromkeys(("error", *names.measured, names.disparity)))
    by_label: dict[str, list[TrainingResult]] = {}
    for result in results:
        by_label.setdefault(result.training.label, []).append(result)
    networks = []
    for label, trainings in by_label.items():
        params, macs = _size(trainings[0], skeleton)
        networks.append(
            TrainedNetwork(
                label=label,
                samples=tuple(name for name in SAMPLES if name in samples.get(label, NAMED)),
                seeds=len(trainings),
                params=params,
                macs=macs,
                validation=_measures([training.validation for training in trainings], measures),
                test=_measures([training.test for training in trainings], measures),
                probes=trainings[0].test.probes,
                groups=_groups(trainings),
                latency=latencies.get(label),
            )
        )
    return tuple(sorted(networks, key=lambda network: (network.test["error"].mean, network.label)))


def trained_networks_of(
    files: RunFiles, results: Sequence[TrainingResult], skeleton: Skeleton | None
) -> tuple[TrainedNetwork, ...]:
    """`trained_networks` of a run, with its plan (`planned_trainings`), objectives, and latencies where these are among
    them."""
    config = files.record(SearchConfig, files.layout.search.config)
    latencies: Mapping[str, float] = {}
    if config and config.timed_on:
        latencies = (files.json(files.layout.search.latencies) or {}).get(config.timed_on, {})
    return trained_networks(results, planned_trainings(files, results), skeleton, objective_names(files), latencies)


def over_seeds(values: Iterable[float | None]) -> SeedMean:
    """Mean and standard error of the values that are numbers."""
    numbers = tuple(value for value in values if value is not None and not math.isnan(value))
    if not numbers:
        return SeedMean((), None, None)
    n, mean = len(numbers), sum(numbers) / len(numbers)
    if n < 2:
        return SeedMean(numbers, mean, None)
    return SeedMean(numbers, mean, (sum((value - mean) ** 2 for value in numbers) / (n - 1) / n) ** 0.5)


def recommend(networks: Sequence[TrainedNetwork], names: ObjectiveNames) -> Recommendation:
    """Which networks to take: by the means on validation people, so that test numbers play no part in the choice.

    Of those that no other one dominates in the objectives: the knee, then the best in each. Of equal ones the one with
    the fewest multiply-accumulates is first. A cost that is known of no network is no objective here.
    """
    import numpy as np

    from dualfair.evolution.pareto import knee, non_dominated

    order = sorted(networks, key=lambda network: (network.macs is None, network.macs or 0, network.label))
    table = {name: [network.objective(name) for network in order] for name in names.minimised}
    table = {name: column for name, column in table.items() if set(column) != {None}}
    values = np.array([*table.values()], dtype=float).reshape(len(table), len(order)).T
    finite = np.isfinite(values).all(axis=1)
    order, values = [network for network, use in zip(order, finite, strict=True) if use], values[finite]
    if not order or not table:
        return Recommendation()
    front = np.flatnonzero(non_dominated(values))
    points = values[front]
    places = {"best compromise": knee(points)} if len(table) > 1 else {}
    for name, least in zip(table, points.argmin(axis=0).tolist(), strict=True):
        places[f"lowest {'disparity' if name == names.disparity else spoken(name)}"] = least
    chosen: dict[int, list[str]] = {}
    for because, place in places.items():
        chosen.setdefault(int(front[place]), []).append(because)
    return Recommendation(
        tuple(
            Choice(order[place].label, tuple(reasons), int((values == values[place]).all(axis=1).sum()) - 1)
            for place, reasons in chosen.items()
        ),
        tuple(order[place].label for place in front),
    )


def standing(networks: Sequence[TrainedNetwork], label: str) -> Standing:
    """How a network fares on test people among all trained `networks`. Raises KeyError where it is not among them."""
    by_label = {network.label: network.test for network in networks}
    network = by_label.pop(label)
    seeds = [each.seeds for each in networks]
    places = {
        name: _place(of_seeds, {label: other[name] for label, other in by_label.items()})
        for name, of_seeds in network.items()
        if of_seeds.mean is not None and all(other[name].mean is not None for other in by_label.values())
    }
    return Standing(len(networks), min(seeds), max(seeds), places)


def _place(network: SeedMean, others: Mapping[str, SeedMean]) -> Place:
    means = [other.mean for other in others.values()]
    same = [math.isclose(mean, network.mean, rel_tol=1e-9, abs_tol=1e-12) for mean in means]
    lower = sum(mean < network.mean and not equal for mean, equal in zip(means, same, strict=True))
    better, worse, unknown = [], [], 0
    for label, other in others.items():
        if None in (network.standard_error, other.standard_error):
            unknown += 1
        elif abs(network.mean - other.mean) > APART * math.hypot(network.standard_error, other.standard_error):
            (worse if other.mean > network.mean else better).append(label)
    return Place(1 + lower, sum(same), tuple(better), tuple(worse), unknown)


def _measures(scores: Sequence[Scores], names: Sequence[str]) -> dict[str, SeedMean]:
    return {name: over_seeds(_value(of_seed, name) for of_seed in scores) for name in names}


def _value(scores: Scores, name: str) -> float:
    return scores.measures.get(name, math.nan)


def _groups(trainings: Sequence[TrainingResult]) -> tuple[GroupOverSeeds, ...]:
    by_group: dict[str, list] = {}
    for training in trainings:
        for scores in training.test.groups:
            by_group.setdefault(scores.group, []).append(scores)
    return tuple(
        GroupOverSeeds(
            group,
            scores[0].probes,
            over_seeds(of_seed.error for of_seed in scores),
            over_seeds(of_seed.mean_rank for of_seed in scores),
        )
        for group, scores in sorted(by_group.items())
    )


def _size(result: TrainingResult, skeleton: Skeleton | None) -> tuple[float | None, float | None]:
    """Parameters and MACs: by formula for a network of the skeleton, else as the result has them."""
    from dualfair.evaluation.cost import macs, parameters

    network = result.training.network
    try:
        if skeleton is not None and isinstance(network, Genotype):
            return parameters(network, skeleton), macs(network, skeleton)
    except ValueError:
        # A network of another skeleton: its result may say what it costs.
        pass
    return tuple(None if size is None else float(size) for size in (result.params, result.macs))
