"""The planned networks trained once more: for a short time, or from the supernet's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dualfair.runs.distributed import in_words
from dualfair.runs.layout import TrainingsLayout
from dualfair.runs.records.codec import Record, keyed
from dualfair.runs.records.training import MEASURES, RetrainConfig, TrainingResult
from dualfair.runs.trained_run import TrainedRun
from dualfair.runs.training_results import read_plan, read_result
from dualfair.runs.training_spec import TrainingSpec
from dualfair.stages.inherited import recorded_protocol
from dualfair.stages.retrain import HowTrained
from dualfair.stages.standalone_training import TrainingStage, train_all
from dualfair.supernet.genotype import Genotype

SHORT_SEED = 10**6
"""Added to the seeds of short trainings, so that they share no beginning with the trainings they are compared with."""


@dataclass(frozen=True)
class PairedDifference(Record):
    """Means of trainings from inherited weights and from scratch, their mean difference (below 0 is better than from
    scratch) and its standard error, over networks. None without any, and an error needs two."""

    inherited: float | None
    scratch: float | None
    difference: float | None
    standard_error: float | None = keyed("standard error")


@dataclass(frozen=True)
class InheritedTrainings(Record):
    """Trainings from inherited weights against those from scratch, of the same networks and seeds, on test people."""

    epochs: float
    epochs_from_scratch: float | None = keyed("epochs from scratch")
    networks: int
    seeds: tuple[int, ...]
    error: PairedDifference
    disparity: PairedDifference


def retrain_short(run: TrainedRun, how: HowTrained) -> list[TrainingResult]:
    """Train every planned network once more, all of them together for as many path passes as the supernet's training.

    That is `short_epochs` each, by the recipe of retraining otherwise: what the supernet's price buys without one. The
    results are in a stage of their own, by a seed of its own. Raises ValueError when no network is planned, or that
    stage holds trainings for another number of networks.
    """
    directory = run.directory
    layout = directory.layout.short
    planned = _planned(run, "--short")
    paths, supernet_epochs = max(run.setting.space.sizes), run.config.recipe.epochs
    epochs = short_epochs(supernet_epochs, paths, len(planned), how.recipe.epochs)
    if layout.config.is_file():
        before = directory.config(layout, RetrainConfig).recipe.epochs
        if before != epochs:
            raise ValueError(
                f"{layout.folder} has trainings of {before} epochs, but {len(planned)} networks are planned, which is "
                f"{epochs:g} epochs each; delete that folder and run the same command again"
            )
    how = replace(how, recipe=replace(how.recipe, epochs=epochs))
    stage = _stage(run, layout, how, seeds_from=SHORT_SEED)
    passes = epochs * len(planned) / (supernet_epochs * paths)
    directory.say(
        f"Short trainings: {len(planned)} networks once more, {epochs:.3g} epochs each; together {passes:.0%} of the "
        f"path passes of the supernet's training; {in_words(run.processes)}"
    )
    return train_all(run, stage, [TrainingSpec(genotype) for genotype in planned], how.options.ranks_per_job)


def short_epochs(epochs: float, paths: int, networks: int, most: float) -> float:
    """Epochs of each of `networks` that together make as many path passes as a supernet, up to `most`.

    An epoch of a supernet passes the faces along `paths` paths, a network's along one.
    """
    return min(most, epochs * paths / networks)


def retrain_inherited(run: TrainedRun, how: HowTrained) -> InheritedTrainings:
    """Train every planned network once more, from the weights that it inherits, and compare with those from scratch.

    Raises ValueError when no network is planned, or the stage was begun by another recipe.
    """
    directory, recipe, seeds = run.directory, how.recipe, how.options.seeds
    layout = directory.layout.inherit
    trainings = [TrainingSpec(genotype, (), seed) for genotype in _planned(run, "--inherit") for seed in range(seeds)]
    stage = replace(_stage(run, layout, how), inherit=True)
    directory.say(
        f"From the supernet's weights: {len(trainings) // seeds} networks x {seeds} seeds, "
        f"{recipe.epochs:g} epochs each; {in_words(run.processes)}"
    )
    results = train_all(run, stage, trainings, how.options.ranks_per_job)
    scratch = {}
    for training in trainings:
        path = directory.layout.retrain.training(training).result
        if path.is_file():
            scratch[training] = read_result(path, run.setting.space)
    epochs = directory.config(directory.layout.retrain, RetrainConfig).recipe.epochs if scratch else None
    comparison = against_scratch(results, scratch, recipe.epochs, epochs)
    if directory.leads:
        comparison.write(layout.comparison)
    for line in sentences(comparison):
        directory.say(line)
    return comparison


def against_scratch(
    inherited: Sequence[TrainingResult],
    scratch: Mapping[TrainingSpec, TrainingResult],
    epochs: float,
    epochs_from_scratch: float | None,
) -> InheritedTrainings:
    """Trainings from inherited weights against those from scratch, over the networks that have both, each as the mean
    of its seeds."""
    paired: dict[str, list[tuple[TrainingResult, TrainingResult]]] = {}
    for result in inherited:
        if other := scratch.get(result.training):
            paired.setdefault(result.training.label, []).append((result, other))
    differences = {}
    for measure in MEASURES:
        means = np.array(
            [
                np.mean(
                    [
                        [getattr(inherited_result.test, measure), getattr(scratch_result.test, measure)]
                        for inherited_result, scratch_result in pairs
                    ],
                    axis=0,
                )
                for pairs in paired.values()
            ]
        )
        each = means[:, 0] - means[:, 1] if len(means) else means
        differences[measure] = PairedDifference(
            inherited=float(means[:, 0].mean()) if len(means) else None,
            scratch=float(means[:, 1].mean()) if len(means) else None,
            difference=float(each.mean()) if len(means) else None,
            standard_error=float(each.std(ddof=1) / len(means) ** 0.5) if len(means) > 1 else None,
        )
    seeds = tuple(sorted({len(pairs) for pairs in paired.values()}))
    return InheritedTrainings(epochs, epochs_from_scratch, len(paired), seeds, **differences)


def sentences(comparison: InheritedTrainings) -> list[str]:
    """What starting from inherited weights came to, in words."""
    if not comparison.networks:
        return ["Nothing to compare with: none of these trainings was made from scratch too"]
    lines = []
    for measure in MEASURES:
        numbers: PairedDifference = getattr(comparison, measure)
        error = numbers.standard_error
        lines.append(
            f"{measure} on test people: {numbers.inherited:.3f} from the supernet's weights in {comparison.epochs:g} "
            f"epochs, {numbers.scratch:.3f} from scratch in {comparison.epochs_from_scratch:g}; difference "
            f"{numbers.difference:+.3f}{f' ± {error:.3f}' if error is not None else ''} "
            f"(mean{' ± standard error' if error is not None else ''} over {comparison.networks} networks)"
        )
    return lines


def _stage(run: TrainedRun, layout: TrainingsLayout, how: HowTrained, seeds_from: int = 0) -> TrainingStage:
    """The stage, claimed for its recipe."""
    directory = run.directory
    protocol, _ = recorded_protocol(directory)
    config = RetrainConfig(recipe=how.recipe, protocol=protocol, weights=run.digest, seeds_from=seeds_from)
    configuration = directory.claim(layout, config)
    directory.record_command(layout, in_words(run.processes))
    return TrainingStage(
        layout=layout,
        recipe=how.recipe,
        protocol=protocol,
        configuration=configuration,
        checkpoint_minutes=how.checkpoint_minutes,
        seeds_from=seeds_from,
        progress=how.progress,
        should_stop=how.should_stop,
    )


def _planned(run: TrainedRun, option: str) -> list[Genotype]:
    """The networks of the plan that are trained by the stage's own recipe."""
    jobs = read_plan(run.directory.layout.retrain).jobs
    labels = dict.fromkeys(job.training.label for job in jobs if job.training.plain)
    if not labels:
        raise ValueError(f"{run.directory.path} has no planned networks; run 'dualfair retrain' without {option} first")
    return [run.setting.space.parse(label) for label in labels]
