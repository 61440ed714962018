"""Trains networks by themselves, by teams of ranks, and evaluates them by the scorer of the search."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from dualfair.evaluation.answers import answered
from dualfair.evaluation.cost import measured_cost
from dualfair.evaluation.protocol import ObjectiveNames, evaluate_faces, further_measures
from dualfair.evaluation.scoring.device_ranks import counter_on
from dualfair.evaluation.scoring.scorer import population_answers
from dualfair.presentation.boards import write_training_outcome
from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, spread_columns, table
from dualfair.runs.config import changed
from dualfair.runs.devices import seeded
from dualfair.runs.layout import TrainingsLayout
from dualfair.runs.options import CHECKPOINT_MINUTES, ProtocolOptions, RetrainOptions
from dualfair.runs.prior import Prior
from dualfair.runs.records.training import SPLITS, Failure, TrainingResult
from dualfair.runs.run_files import read_result
from dualfair.runs.standalone import build_network, describe_network
from dualfair.runs.trained_run import TrainedRun, calibration_images
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.stages.recommendation import over_trainings
from dualfair.stages.training import run_training
from dualfair.supernet.memory import Batch
from dualfair.supernet.training.process_group import ALONE, ProcessGroup, divide
from dualfair.supernet.training.recipe import AUTO, GRAPH, Recipe
from dualfair.supernet.training.trainer import NonFinite, Trainer


@dataclass(frozen=True, kw_only=True)
class HowTrained:
    """How standalone trainings go: a recipe, which each training changes as it says, and options, watched and stopped
    by whoever called.

    `checkpoint_minutes` pass between checkpoints, and `step` is how a step goes. `protocol` is how networks are
    evaluated; None: as the run records. Networks that the weights of the `prior` start do, others begin from scratch.
    """

    options: RetrainOptions = field(default_factory=RetrainOptions)
    recipe: Recipe
    checkpoint_minutes: float = CHECKPOINT_MINUTES
    step: str = AUTO
    protocol: ProtocolOptions | None = None
    prior: Prior = field(default_factory=Prior)
    progress: ShowProgress = silent
    should_stop: ShouldStop = never


@dataclass(frozen=True)
class TrainingStage:
    """Where networks are trained and how, by a known protocol.

    `configuration` is the digest of what the stage recorded. `seeds_from` is added to the seeds that are drawn from:
    trainings of another stage begin otherwise.
    """

    layout: TrainingsLayout
    how: HowTrained
    configuration: str
    seeds_from: int = 0


def train_all(run: TrainedRun, stage: TrainingStage, trainings: Sequence[TrainingSpec]) -> list[TrainingResult]:
    """Train what has no result yet by teams of ranks; returns the results.

    A network that was not searched and leaves the finite numbers has none: some published recipes are like that. Raises
    ValueError for a result that is damaged or not of this run, before anything is trained, and where no training has a
    result.
    """
    for path in (stage.layout.training(training).result for training in trainings):
        if path.is_file():
            read_result(path, run.setting.space)
    team = divide(run.processes, stage.how.options.ranks_per_job)
    for number in queue(run.processes, team, len(trainings)):
        training = trainings[number]
        try:
            train_standalone(run, stage, training, team)
        except NonFinite as error:
            if training.searched:
                raise
            if team.leads:
                Failure.of(error).write(stage.layout.training(training).failure)
    run.processes.wait()
    places = {training: stage.layout.training(training) for training in trainings}
    failed = [training for training, place in places.items() if place.failure.is_file()]
    for training in failed:
        remedy = f"delete {places[training].failure} to try again"
        reason = Failure.read(places[training].failure, remedy).reason
        run.directory.say(f"Left out: {training} has no result, {reason}; {remedy}")
    if len(failed) == len(trainings):
        raise ValueError("none of these trainings has a result; take other recipes")
    finished = [place for training, place in places.items() if training not in failed]
    results = [read_result(place.result, run.setting.space) for place in finished]
    for line in summary(results, stage.how.protocol.protocol().names):
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
    done = place.result.is_file() or place.failure.is_file()
    team.agree("which networks are trained", done)
    if done:
        return
    # Seeds of another stage begin otherwise, while results are named by the training's own.
    drawn = replace(training, seed=stage.seeds_from + training.seed)
    faces, skeleton = run.setting.splits["train"], run.setting.skeleton
    configuration = stage.configuration
    if training.changes:
        configuration = hashlib.sha256(f"{configuration} {training.changes}".encode()).hexdigest()
    with seeded(drawn.seed):
        network = build_network(drawn.network, skeleton, faces.class_count)
        prior = stage.how.prior.of(drawn.network)
        if prior.weights:
            prior.weights.start(network)
        if team.leads:
            trained_on = run.config.trained_on
            # Weights of the run's own supernet, say, saw nobody else.
            before = tuple(people for people in prior.seen if people != trained_on)
            description = describe_network(drawn, skeleton, faces.class_count, trained_on, faces.scored_classes, before)
            description.write(place.description)
        recipe = changed(stage.how.recipe, dict(training.changes))
        trainer = Trainer(
            network,
            faces,
            recipe,
            seed=drawn.seed,
            device=run.device,
            processes=team,
            step=stage.how.step,
            teacher=prior.teacher.of(faces) if prior.teacher else None,
        )
        if trainer.engine.name == GRAPH:
            run.directory.say(f"{training}: steps run {trainer.engine}")
        seconds = run_training(
            trainer,
            place.folder,
            configuration=configuration,
            minutes=stage.how.checkpoint_minutes,
            say=run.directory.say,
            progress=stage.how.progress,
            should_stop=stage.how.should_stop,
            label=str(training),
        )
    if team.leads:
        _conclude(run, stage, training, trainer, round(seconds, 1))


def _conclude(run: TrainedRun, stage: TrainingStage, training: TrainingSpec, trainer: Trainer, seconds: float) -> None:
    """Evaluate a network by the scorer of the search, and write its result, which makes the training complete."""
    network, place = trainer.network.eval(), stage.layout.training(training)
    params, macs = measured_cost(network, run.setting.skeleton.image_size)
    calibration = calibration_images(run, stage.how.protocol.calibrate)
    batch = Batch(stage.how.protocol.images_at_once, run.directory.say)
    protocol, scores, further = stage.how.protocol.protocol(), {}, {}
    for split in SPLITS:
        faces = run.setting.splits[split]
        answers = population_answers(
            network, [network.spec], faces, calibration, batch=batch, precision=stage.how.protocol.precision
        )[network.spec]
        judged = answered(faces, answers, protocol.seed, counter_on(run.device))
        scores[split], further[split] = evaluate_faces(judged, protocol), further_measures(judged)
    write_training_outcome(
        place.tensorboard,
        training.network,
        training.seed,
        trainer.recipe,
        scores,
        {"parameters": params, "MACs": macs, "training (s)": seconds},
        measures=protocol.names.measured,
        step=trainer.steps,
    )
    TrainingResult(training, params, macs, seconds, **scores, further=further).write(place.result)


def summary(results: Sequence[TrainingResult], names: ObjectiveNames) -> list[str]:
    """Lines of mean and standard error over seeds, one a network, by test error."""
    networks, measures = over_trainings(results, names), dict.fromkeys(("error", *names.measured))
    titles = [f"{split} {spoken(name)}" for split in ("val", "test") for name in measures]
    titles += [f"test error {group.group}" for group in networks[0].groups]
    columns = [Column("network", "text"), Column("n", "whole")]
    columns += [column for title in titles for column in spread_columns(title)]
    rows = []
    for network in networks:
        means = [network.on(split)[name] for split in SPLITS for name in measures]
        means += [group.error for group in network.groups]
        rows.append([network.label, network.seeds, *(part for of in means for part in (of.mean, of.standard_error))])
    return [*table(columns, rows).lines(), "n = training seeds; mean ± standard error over them"]
