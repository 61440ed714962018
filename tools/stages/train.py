"""`dualfair train`: stage 1, a supernet in which every candidate operation gets the same number of updates."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import click

from dualfair.runs.config import build_configs, config_options
from dualfair.runs.devices import deterministic_option, device_option, seed_everything
from dualfair.runs.directory import RunDirectory
from dualfair.runs.distributed import divide, in_words, join, say
from dualfair.runs.train_options import TrainOptions
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.recipe import Recipe

IMAGES_SHOWN = 16
"""Of the first batch, in TensorBoard."""


@click.command()
@click.option("--faces", type=click.Path(path_type=Path), required=True, help="Faces folder.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run directory to make or to continue.")
@click.option("--checkpoint-every", type=float, default=5.0, show_default=True, help="Minutes between checkpoints.")
@config_options(TrainOptions, Recipe)
@device_option
@deterministic_option
def command(
    faces: Path,
    out: Path,
    checkpoint_every: float,
    preset: str | None,
    device: str,
    deterministic: bool,
    **given: object,
) -> None:
    """Stage 1: train a supernet over the space; continues from the newest checkpoint by itself."""
    options, recipe = build_configs(given, preset, TrainOptions, Recipe, stage="train")
    processes = join(device, deterministic)
    with RunDirectory(out, processes.leads).locked(make=True):
        train(faces, out, options, recipe, processes, checkpoint_minutes=checkpoint_every)
    say(processes, f"Next: dualfair search --run {out}")


def train(
    faces: Path,
    out: Path,
    options: TrainOptions,
    recipe: Recipe,
    processes: ProcessGroup,
    *,
    checkpoint_minutes: float = 5.0,
) -> str:
    """Train the supernet of a run directory, from its newest checkpoint if there is one.

    Returns the sentence on how often every operation and head was updated.
    """
    from dualfair.runs.trained_run import open_setting
    from dualfair.stages.training import run_training
    from dualfair.supernet.network import Supernet
    from dualfair.supernet.training.trainer import Trainer

    config = {"faces": os.path.relpath(faces, out), **dataclasses.asdict(options), **dataclasses.asdict(recipe)}
    setting = open_setting(config, faces)
    directory = RunDirectory(out, processes.leads)
    configuration = directory.claim(
        "train",
        {**config, "choices_digest": digest_of(setting.space), "faces_fingerprint": setting.faces_fingerprint},
    )
    directory.record_command("train", in_words(processes))
    seed_everything(options.seed)
    training_faces = setting.splits["train"]
    supernet = Supernet(setting.skeleton, training_faces.identity_count, setting.space.heads)
    trainer = Trainer(
        supernet,
        training_faces,
        recipe,
        seed=options.seed,
        space=setting.space,
        sampler=options.sampler,
        device=processes.device,
        processes=processes,
        team=image_team(processes, setting.space, options.sampler),
    )
    tell = directory.say
    tell(
        f"Train: space {setting.space.name} of {setting.space.size:,} networks on skeleton {setting.skeleton.name}, "
        f"{setting.skeleton.image_size} px, {sum(p.numel() for p in supernet.parameters()) / 1e6:.2f} M parameters"
    )
    tell(
        f"       {len(training_faces):,} images of {training_faces.identity_count:,} people, groups "
        f"{', '.join(training_faces.group_names)}; {trainer.steps:,} steps of {trainer.paths_per_step} paths x "
        f"{recipe.batch} images ({options.sampler}); {in_words(processes)}"
    )
    course = run_training(
        trainer,
        directory.stage("train"),
        configuration=configuration,
        minutes=checkpoint_minutes,
        tell=tell,
        images=IMAGES_SHOWN,
    )
    counters = fairness_sentence(trainer)
    tell(f"Trained in {course.seconds:.0f} s. {counters}")
    if course.saving:
        tell(f"Checkpoints took {course.saving / course.here:.1%} of this command's training time")
    return counters


def digest_of(space) -> str:
    """SHA-256 of a space's choice blocks: a space of the user's own may change under the same name."""
    return hashlib.sha256(repr(space.choice_blocks).encode()).hexdigest()


def image_team(processes: ProcessGroup, space, sampler: str) -> ProcessGroup:
    """The ranks that share the images of a batch with this one; the others take other paths of a step."""
    from dualfair.supernet.training.path_sharing import path_groups
    from dualfair.supernet.training.sampling import paths_per_step

    return divide(processes, processes.size // path_groups(processes.size, paths_per_step(sampler, space.sizes)))


def fairness_sentence(trainer) -> str:
    """Smallest and largest number of updates over all candidate operations in use, and those of every head."""
    used = trainer.operation_updates[trainer.operation_updates > 0]
    if not len(used):
        return "No update was made."
    heads = ", ".join(f"{head} {updates:,}" for head, updates in trainer.head_updates.items())
    share = f"{used.min():,} to {used.max():,}" if used.min() < used.max() else f"exactly {used.min():,}"
    return f"Every operation got {share} updates; heads: {heads}. Steps skipped: {trainer.skipped}."
