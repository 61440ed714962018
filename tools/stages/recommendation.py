"""The networks trained from scratch: what they reach on validation and on test people, and which of them to take."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dualfair.evaluation.cost import macs, parameters
from dualfair.evaluation.latency import latencies_in
from dualfair.evaluation.over_seeds import GroupOverSeeds, TrainedNetwork, over_seeds
from dualfair.evaluation.protocol import PUBLISHED, ObjectiveNames
from dualfair.evolution.pareto import knee, non_dominated
from dualfair.presentation.format import spoken
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.records.training import NAMED, SAMPLES, SPLITS, RetrainConfig, TrainingPlan, TrainingResult
from dualfair.runs.run_files import RunFiles
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import Skeleton


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
        if any(math.isnan(result.on(split).measures.get(name, math.nan)) for split in SPLITS for name in measured):
            files.add_problem(f"{files.shown(path)} is damaged: it is not the result of a training")
        else:
            results.append(result)
    return results


def planned_trainings(files: RunFiles, results: Iterable[TrainingResult]) -> TrainingPlan:
    """The plan of the run; where trainings in it have no result yet, it is a problem that the choice may change."""
    plan = files.record(TrainingPlan, files.layout.retrain.plan) or TrainingPlan()
    planned = {job.training for job in plan.jobs}
    failed = {training for training in planned if files.layout.retrain.training(training).failure.is_file()}
    missing = planned - failed - {result.training for result in results}
    if missing:
        files.add_problem(
            f"retraining is not finished: {len(planned) - len(missing)} of {len(planned)} trainings are done, so the "
            "network to take may change"
        )
    return plan


def trained_networks(
    files: RunFiles, results: Sequence[TrainingResult], skeleton: Skeleton | None
) -> tuple[TrainedNetwork, ...]:
    """The networks of a run by the results of its trainings, by mean test error, with its plan (`planned_trainings`).

    Without the `skeleton` sizes are those of the results; latencies are known where they are among the objectives.
    """
    samples, names = planned_trainings(files, results).samples(), objective_names(files)
    config = files.record(SearchConfig, files.layout.search.config)
    latencies = {}
    if config and config.timed_on:
        try:
            latencies = latencies_in(files.layout.search.latencies).get(config.timed_on, {})
        except ValueError as error:
            files.add_problem(str(error))
    first = {result.training.label: result for result in reversed(results)}
    return tuple(
        replace(
            network,
            samples=tuple(name for name in SAMPLES if name in samples.get(network.label, NAMED)),
            latency=latencies.get(network.label),
            **_size(first[network.label], skeleton),
        )
        for network in over_trainings(results, names)
    )


def over_trainings(results: Iterable[TrainingResult], names: ObjectiveNames) -> list[TrainedNetwork]:
    """Networks over the seeds of their trainings, by mean test error: error, objectives on images and the disparity.

    A recipe of its own makes a network of its own. What results do not hold is left to `trained_networks`.
    """
    by_label: dict[str, list[TrainingResult]] = {}
    for result in results:
        by_label.setdefault(result.training.label, []).append(result)
    measures = tuple(dict.fromkeys(("error", *names.measured, names.disparity)))
    networks = []
    for label, trainings in by_label.items():
        groups: dict[str, list] = {}
        for scores in (scores for training in trainings for scores in training.test.groups):
            groups.setdefault(scores.group, []).append(scores)
        by_split = {
            split: {name: over_seeds(each.on(split).measures.get(name) for each in trainings) for name in measures}
            for split in SPLITS
        }
        networks.append(
            TrainedNetwork(
                label,
                seeds=len(trainings),
                **by_split,
                probes=trainings[0].test.probes,
                groups=tuple(
                    GroupOverSeeds(
                        group,
                        scores[0].probes,
                        over_seeds(of_seed.error for of_seed in scores),
                        over_seeds(of_seed.mean_rank for of_seed in scores),
                    )
                    for group, scores in sorted(groups.items())
                ),
            )
        )
    return sorted(networks, key=lambda network: (network.test["error"].mean, network.label))


def recommend(networks: Sequence[TrainedNetwork], names: ObjectiveNames) -> Recommendation:
    """Which networks to take: by the means on validation people, so that test numbers play no part in the choice.

    Of those that no other one dominates in the objectives: the knee, then the best in each. Of equal ones the one with
    the fewest multiply-accumulates is first. A cost that is known of no network is no objective here.
    """
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


def _size(result: TrainingResult, skeleton: Skeleton | None) -> dict[str, float | None]:
    """Parameters and MACs: by formula for a network of the skeleton, else as the result has them."""
    network = result.training.network
    try:
        if skeleton is not None and isinstance(network, Genotype):
            return {"params": parameters(network, skeleton), "macs": macs(network, skeleton)}
    except ValueError:
        # A network of another skeleton: its result may say what it costs.
        pass
    sizes = {"params": result.params, "macs": result.macs}
    return {name: None if size is None else float(size) for name, size in sizes.items()}
