"""Trains networks from scratch, by teams of ranks, and evaluates them by the scorer of the search."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dualfair.evaluation.cost import measured_cost
from dualfair.evaluation.protocol import ObjectiveNames, Scores, evaluate
from dualfair.evaluation.scoring.scorer import population_embeddings
from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, table
from dualfair.presentation.training_board import write_training_outcome
from dualfair.runs.config import changed
from dualfair.runs.devices import seeded
from dualfair.runs.layout import TrainingLayout, TrainingsLayout
from dualfair.runs.options import CHECKPOINT_MINUTES, ProtocolOptions
from dualfair.runs.records.training import SPLITS, TrainingResult
from dualfair.runs.run_files import read_result
from dualfair.runs.standalone import build_network, describe_network
from dualfair.runs.trained_run import TrainedRun, calibration_images
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.stages.recommendation import over_seeds
from dualfair.stages.training import run_training
from dualfair.supernet.network import Network
from dualfair.supernet.training.process_group import ALONE, ProcessGroup, divide
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class TrainingStage:
    """How the networks of a stage are trained: the stage's recipe, which each training changes as it says.

    `configuration` is the digest of what the stage recorded. `seeds_from` is added to the seeds that are drawn from:
    trainings of another stage begin otherwise.
    """

    layout: TrainingsLayout
    recipe: Recipe
    protocol: ProtocolOptions
    configuration: str
    checkpoint_minutes: float = CHECKPOINT_MINUTES
    seeds_from: int = 0
    progress: ShowProgress = silent
    should_stop: ShouldStop = never


def train_all(
    run: TrainedRun, stage: TrainingStage, trainings: Sequence[TrainingSpec], ranks_per_job: int
) -> list[TrainingResult]:
    """Train what has no result yet by teams of ranks; returns the results, one a training."""
    team = divide(run.processes, ranks_per_job)
    for number in queue(run.processes, team, len(trainings)):
        train_standalone(run, stage, trainings[number], team)
    run.processes.wait()
    results = [read_result(stage.layout.training(training).result, run.setting.space) for training in trainings]
    for line in summary(results, stage.protocol.protocol().names):
        run.directory.say(line)
    return results


def queue(processes: ProcessGroup, team: ProcessGroup, jobs: int) -> Iterator[int]:
    """The jobs that fall to this rank's team: whichever team is free takes the next."""
    if team.leads:
        for job in processes.tickets("retrain", jobs):
            yield int(team.broadcast(str(job)))
        team.broadcast()
    else:
        while job := team.broadcast():
            yield int(job)


def train_standalone(run: TrainedRun, stage: TrainingStage, training: TrainingSpec, team: ProcessGroup = ALONE) -> None:
    """Train and evaluate one network by the ranks of a team, unless an earlier run did."""
    place = stage.layout.training(training)
    place.folder.mkdir(parents=True, exist_ok=True)
    done = place.result.is_file()
    team.agree("which networks are trained", done)
    if done:
        return
    drawn = replace(training, seed=stage.seeds_from + training.seed)
    recipe = changed(stage.recipe, dict(training.changes))
    with seeded(drawn.seed):
        trainer = _trainer(run, stage, drawn, recipe, place, team)
        course = run_training(
            trainer,
            place.folder,
            configuration=configuration_of(stage.configuration, training),
            minutes=stage.checkpoint_minutes,
            say=run.directory.say,
            progress=stage.progress,
            should_stop=stage.should_stop,
            label=str(training),
        )
    if team.leads:
        _conclude(run, stage, training, trainer, place, round(course.seconds, 1))


def _trainer(
    run: TrainedRun,
    stage: TrainingStage,
    drawn: TrainingSpec,
    recipe: Recipe,
    place: TrainingLayout,
    team: ProcessGroup,
) -> Trainer:
    """The trainer of a training with the seed that is drawn from; its folder says what its network is."""
    faces, skeleton = run.setting.splits["train"], run.setting.skeleton
    network = build_network(drawn.network, skeleton, faces.identity_count)
    if team.leads:
        describe_network(drawn, skeleton, faces.identity_count, run.config.trained_on).write(place.description)
    return Trainer(network, faces, recipe, seed=drawn.seed, device=run.device, processes=team)


def _conclude(
    run: TrainedRun,
    stage: TrainingStage,
    training: TrainingSpec,
    trainer: Trainer,
    place: TrainingLayout,
    seconds: float,
) -> None:
    """Evaluate a trained network and write its result, which makes the training complete."""
    network = trainer.network.eval()
    params, macs = measured_cost(network, run.setting.skeleton.image_size)
    scores = evaluate_standalone(run, network, stage.protocol)
    write_training_outcome(
        place.tensorboard,
        training.network,
        training.seed,
        trainer.recipe,
        scores,
        {"parameters": params, "MACs": macs, "training (s)": seconds},
        measures=stage.protocol.protocol().names.measured,
        step=trainer.steps,
    )
    TrainingResult(training, params, macs, seconds, **scores).write(place.result)


def configuration_of(stage: str, training: TrainingSpec) -> str:
    """The digest that a training's checkpoints carry: that of its stage, and of its changes where it has some."""
    if not training.changes:
        return stage
    return hashlib.sha256(f"{stage} {training.changes}".encode()).hexdigest()


def evaluate_standalone(run: TrainedRun, network: Network, protocol_options: ProtocolOptions) -> dict[str, Scores]:
    """The scores of a standalone network by the scorer of the search, on validation and on test identities."""
    calibration = calibration_images(run, protocol_options.calibrate)
    protocol = protocol_options.protocol()
    scores = {}
    for split in SPLITS:
        faces = run.setting.splits[split]
        embeddings = population_embeddings(network, [network.spec], faces, calibration)[network.spec]
        scores[split] = evaluate(embeddings, faces.identities, faces.groups, protocol)
    return scores


def summary(results: Sequence[TrainingResult], names: ObjectiveNames) -> list[str]:
    """Lines of mean and standard error over seeds, one a network, by test error."""
    by_label: dict[str, list[TrainingResult]] = {}
    for result in results:
        by_label.setdefault(result.training.label, []).append(result)
    measures, groups = dict.fromkeys(("error", *names.measured)), [group.group for group in results[0].test.groups]
    titles = [f"{split} {spoken(name)}" for split in ("val", "test") for name in measures]
    titles += [f"test error {group}" for group in groups]
    columns = [Column("network", "text"), Column("n", "whole")]
    for title in titles:
        columns += [Column(title, spread=f"{title} SE"), Column(f"{title} SE")]
    rows = []
    for label, trained in by_label.items():
        values = [[result.on(split).measures[name] for result in trained] for split in SPLITS for name in measures]
        values += [[result.test.groups[place].error for result in trained] for place in range(len(groups))]
        means = map(over_seeds, values)
        rows.append([label, len(trained), *(part for mean in means for part in (mean.mean, mean.standard_error))])
    rows.sort(key=lambda row: np.mean([result.test.error for result in by_label[row[0]]]))
    return [*table(columns, rows).lines(), "n = training seeds; mean ± standard error over them"]
