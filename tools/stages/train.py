"""Stage 1: a supernet in which every candidate operation gets the same number of updates."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from dualfair.runs.architectures import open_sampler
from dualfair.runs.config import code_of
from dualfair.runs.devices import Workplace, in_words, seeded, working_beside
from dualfair.runs.initial_weights import open_initial_weights
from dualfair.runs.options import CHECKPOINT_MINUTES, ProtocolOptions, TrainOptions
from dualfair.runs.prior import Prior
from dualfair.runs.records.training import Checkpoint, TrainConfig
from dualfair.runs.teacher import open_teacher
from dualfair.runs.trained_run import Setting, open_setting
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.stages.teaching import measure_teacher
from dualfair.stages.training import run_training
from dualfair.supernet.images.store import FaceStore, open_store
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.checkpoint import checkpoints
from dualfair.supernet.training.path_sharing import path_groups
from dualfair.supernet.training.process_group import ProcessGroup, divide
from dualfair.supernet.training.recipe import AUTO, Recipe
from dualfair.supernet.training.trainer import Trainer

IMAGES_SHOWN = 16
"""Of the first batch, in TensorBoard."""


def train(place: Workplace, faces: Path, options: TrainOptions, recipe: Recipe, **how: Any) -> Checkpoint:
    """Train the supernet of a run, and of every fold where it rotates its validation people; the run's own checkpoint.

    `how` and what is raised as of `train_supernet`.
    """
    checkpoint = train_supernet(place, faces, options, recipe, **how)
    for fold in range(1, options.folds):
        with working_beside(place, place.directory.layout.fold(fold).path, make=True) as beside:
            place.directory.say(f"Fold {fold + 1} of {options.folds}")
            # Fronts are confirmed by the first supernet alone.
            own = replace(options, fold=fold, seed=options.seed + fold, confirm=0.0)
            train_supernet(beside, faces, own, recipe, **how)
    return checkpoint


def train_supernet(
    place: Workplace,
    faces: Path,
    options: TrainOptions,
    recipe: Recipe,
    *,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    step: str = AUTO,
    weights_from: Path | None = None,
    teacher: Path | None = None,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
) -> Checkpoint:
    """Train a supernet, from its newest checkpoint if there is one, by the recipe on a faces folder.

    It starts from the supernet of the run `weights_from`, None: from scratch, and learns from the `teacher` of a place,
    too. `should_stop` is asked at every step; a step that it ends is saved before `runs.watching.Stopped` is raised.
    Raises ValueError where options, faces, weights and teacher do not fit, or the run was begun by others.
    """
    directory, processes = place.directory, place.processes
    store = open_store(faces)
    options = options.on(store.task)
    setting = open_setting(options, store)
    options = replace(options, space=options.space or setting.skeleton.space)
    sampler = open_sampler(options.sampler, setting.space.sizes)
    config = TrainConfig(
        faces=os.path.relpath(faces, directory.path),
        options=options,
        recipe=recipe,
        # A space of the user's own may change under the same name.
        choices_digest=hashlib.sha256(repr(setting.space.choice_blocks).encode()).hexdigest(),
        faces_fingerprint=setting.faces_fingerprint,
        task=store.task,
        units=setting.splits["train"].units,
        code=code_of([options.sampler, *(head.source for head in setting.skeleton.own_heads)]) or None,
    )
    prior = _prior(place, store, setting, config, weights_from, teacher)
    config = replace(config, **prior.record)
    stage = directory.layout.train
    people, space = setting.splits["train"], setting.space
    with seeded(options.seed):
        supernet = Supernet(setting.skeleton, people.class_count, space.heads)
        if prior.weights:
            prior.weights.start(supernet)
        configuration = directory.claim(stage, config)
        directory.record_command(stage, in_words(processes))
        trainer = Trainer(
            supernet,
            people,
            recipe,
            seed=options.seed,
            space=space,
            sampler=sampler,
            device=processes.device,
            processes=processes,
            team=image_team(processes, sampler(space.sizes, options.seed).paths_per_step),
            step=step,
            teacher=prior.teacher.of(people) if prior.teacher else None,
        )
        _announce(place, setting, trainer, recipe, options.sampler)
        if prior.weights:
            directory.say(f"       All weights but those of classes start from the supernet of {weights_from}")
        if prior.teacher:
            measure_teacher(place, stage, prior.teacher, setting, ProtocolOptions().protocol())
        seconds = run_training(
            trainer,
            stage.folder,
            configuration=configuration,
            minutes=checkpoint_minutes,
            say=directory.say,
            progress=progress,
            should_stop=should_stop,
            images=IMAGES_SHOWN,
        )
    # The leading rank writes the last checkpoint, which all ranks name.
    processes.wait()
    checkpoint = _checkpoint(trainer, space, checkpoints(stage.folder)[-1], seconds)
    directory.say(f"Trained in {seconds:.0f} s. {updates_in_words(checkpoint)}")
    return checkpoint


def _announce(place: Workplace, setting: Setting, trainer: Trainer, recipe: Recipe, sampler: str) -> None:
    say, space, skeleton, faces = place.directory.say, setting.space, setting.skeleton, setting.splits["train"]
    groups = f", groups {', '.join(faces.group_names)}" if len(faces.group_names) > 1 else ""
    weights = sum(weight.numel() for weight in trainer.network.parameters())
    say(
        f"Train: space {space.name} of {space.size:,} networks on skeleton {skeleton.name}, "
        f"{skeleton.input_in_words}, {weights / 1e6:.2f} M parameters"
    )
    say(
        f"       {faces.amount()}{faces.of_classes}{groups}; "
        f"{trainer.steps:,} steps of {trainer.paths_per_step} paths x {recipe.batch} images ({sampler}); "
        f"{in_words(place.processes)}"
    )
    say(f"       Steps run {trainer.engine}")
    for sentence in setting.decided:
        say(f"       {sentence}")


def _prior(
    place: Workplace,
    store: FaceStore,
    setting: Setting,
    config: TrainConfig,
    weights_from: Path | None,
    teacher: Path | None,
) -> Prior:
    """What a supernet begins with. Raises ValueError where that is not to be had, or saw people who are judged on."""
    path, say, weights, its_teacher = place.directory.path, place.directory.say, None, None
    if weights_from:
        weights = open_initial_weights(weights_from, path, config.trained_on, say)
        if weights.network:
            raise ValueError(
                f"{weights_from} has one network's weights, and a supernet starts from all of another run's; name a run"
            )
    if teacher:
        size, device = setting.skeleton.image_size, place.processes.device
        its_teacher = open_teacher(teacher, path, store, config.trained_on, size=size, device=device, say=say)
    return Prior(weights, its_teacher).on(config.recipe)


def image_team(processes: ProcessGroup, paths: int) -> ProcessGroup:
    """The ranks that share the images of a batch with this one; the others take other `paths` of a step."""
    return divide(processes, processes.size // path_groups(processes.size, paths))


def _checkpoint(trainer: Trainer, space: SearchSpace, path: Path, seconds: float) -> Checkpoint:
    updates = [
        int(trainer.operation_updates[block, position, code])
        for choice_block, genes in zip(space.choice_blocks, space.genes, strict=True)
        for block, position in genes
        for code in choice_block.codes
    ]
    return Checkpoint(
        path=str(path),
        step=trainer.step,
        steps=trainer.steps,
        seconds=seconds,
        skipped=trainer.skipped,
        fewest_updates=min(updates),
        most_updates=max(updates),
        head_updates=dict(trainer.head_updates),
    )


def updates_in_words(checkpoint: Checkpoint) -> str:
    """Smallest and largest number of updates over all candidate operations, and those of every head."""
    fewest, most = checkpoint.fewest_updates, checkpoint.most_updates
    if not most:
        return "No update was made."
    heads = ", ".join(f"{head} {updates:,}" for head, updates in checkpoint.head_updates.items())
    share = f"{fewest:,} to {most:,}" if fewest < most else f"exactly {most:,}"
    return f"Every operation got {share} updates; heads: {heads}. Steps skipped: {checkpoint.skipped}."
