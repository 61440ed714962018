"""The folder of a search by growing, what is asked before anything is recorded there, and the trainings in it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from dualfair.evaluation.objective_grammar import parse_objective
from dualfair.evolution.growing import STAGES, Structure
from dualfair.presentation.format import spoken
from dualfair.runs.config import look_up, numbers
from dualfair.runs.devices import Workplace, in_words
from dualfair.runs.layout import Inside, StudyLayout, TrainingLayout
from dualfair.runs.records.codec import FLAT, Record
from dualfair.runs.records.training import TrainedOn
from dualfair.runs.watching import ShouldStop, ShowProgress
from dualfair.studies.grow import GrowOptions
from dualfair.studies.grow.networks import SizedFamily, SizedNetwork
from dualfair.studies.grow.training import How, check, known_training_images, objectives_of, score, train, values_on
from dualfair.supernet.images.splits import open_splits
from dualfair.supernet.images.store import CLASSIFICATION, open_store
from dualfair.supernet.training.checkpoint import remove_checkpoints
from dualfair.supernet.training.recipe import Recipe

FOUND, RANDOM = "found", "random"
"""Stages behind the search: its network, and random ones."""
SHORT, GRADED, EVEN, FULL = TRAINED_AS = ("short", "graded", "even", "full")
"""How networks of a ranking are trained (`ranking`)."""
SEEDS_FROM = {
    **dict.fromkeys(STAGES, 0),
    FOUND: 5_000,
    RANDOM: 7_000,
    **{kind: 100_000 * number for number, kind in enumerate(TRAINED_AS, 1)},
}
"""Where the seeds of a stage's trainings begin, of a million for each seed of a search."""


class GrowLayout(StudyLayout):
    """The folder of a search: a training for every candidate, and those of what was found."""

    numbers = Inside("grow.json")
    table = Inside("candidates.csv")
    ranking = Inside("ranking.json")
    ranked = Inside("ranking.csv")

    def candidate(self, number: int) -> TrainingLayout:
        """The training of a candidate, counted from 1."""
        return TrainingLayout(self.folder / "candidates" / f"{number:03d}")

    def final(self, kind: str, number: int) -> TrainingLayout:
        """A training of the network that was found, of a random one, or of a network that is ranked."""
        return TrainingLayout(self.folder / kind / f"seed-{number}")


@dataclass(frozen=True, kw_only=True)
class GrowConfig(Record):
    """What decides about a search: its options, a recipe with the epochs of the first network, and the images."""

    options: GrowOptions = field(metadata=FLAT)
    recipe: Recipe
    faces_fingerprint: str
    family: str
    head: str
    size: int


@dataclass(frozen=True, kw_only=True)
class CandidateResult(Record):
    """A network that was trained, why (a stage of the search, "found", "random" or how it is ranked), and what it came
    to on validation images: the objectives by name and, in percent, the score and that on training images. Behind the
    search `test` has the objectives on test images, which are read then only, NaN where one is undefined."""

    stage: str
    network: str
    epochs: float
    params: int
    objectives: Mapping[str, float]
    score: float
    training_score: float
    seconds: float
    test: Mapping[str, float] | None = None


def open_growth(
    images: Path,
    options: GrowOptions,
    recipe: Recipe,
    place: Workplace,
    *,
    checkpoint_minutes: float,
    progress: ShowProgress,
    should_stop: ShouldStop,
) -> How:
    """What all trainings in a directory have in common, recorded in it.

    Raises ValueError for images or options that do not fit, and where the directory holds another search.
    """
    directory, store = place.directory, open_store(images)
    labels = store.task == CLASSIFICATION
    family = SizedFamily(
        options.family or ("mix" if labels else "ir"),
        options.head or ("softmax" if labels else "cosface"),
        options.size or store.size,
    )
    growth = options.growth_of(family.name)
    splits = open_splits(
        store,
        group_column=options.group_column,
        fractions=numbers(options.split, ",", float, "split"),
        seed=options.split_seed,
        size=family.image_size,
        drop_unknown=options.drop_unknown,
    )
    objectives = objectives_of(options.disparity, partial(parse_objective, look_up=look_up))
    first = family.network(Structure.plain(growth.least_depth, growth.most_width, growth.operation))
    check(first, splits, objectives, recipe, place)
    config = GrowConfig(
        options=options,
        recipe=replace(recipe, epochs=float(options.first_epochs)),
        faces_fingerprint=store.fingerprint,
        family=family.name,
        head=family.head,
        size=family.image_size,
    )
    layout = GrowLayout(directory.path)
    how = How(
        family=family,
        growth=growth,
        seed=options.seed,
        splits=splits,
        trained_on=TrainedOn(
            store.fingerprint, options.group_column, options.split, options.split_seed, options.drop_unknown
        ),
        recipe=recipe,
        objectives=objectives,
        weight=options.weight,
        digest=directory.claim(layout, config),
        checkpoint_minutes=checkpoint_minutes,
        progress=progress,
        should_stop=should_stop,
    )
    directory.record_command(layout, in_words(place.processes))
    return how


def trained(
    folder: TrainingLayout, stage: str, number: int, network: SizedNetwork, epochs: float, how: How, place: Workplace
) -> CandidateResult:
    """The result of a training, which is done unless it is there. Only what was found and random networks keep weights;
    they, and full trainings of a ranking, are judged on test images."""
    leads, known, kept = place.processes.leads, folder.result.is_file(), stage in (FOUND, RANDOM)
    place.processes.agree("which networks are trained", known)
    label, seed = f"{stage} {number}", 1_000_000 * how.seed + SEEDS_FROM[stage] + number
    if not known:
        made, seconds = train(network, epochs, seed, folder, label, how, place)
        if leads:
            names, answers = [each.column for each in how.objectives], values_on(made, "validation", how)
            if not math.isfinite(compared := score(answers, how.weight)):
                raise ValueError(f"{names[-1]} is undefined of these images; take more of them, or another one")
            CandidateResult(
                stage=stage,
                network=str(network),
                epochs=float(epochs),
                params=network.parameters,
                objectives=dict(zip(names, answers, strict=True)),
                score=compared,
                training_score=known_training_images(made, how, seed),
                seconds=round(seconds, 1),
                test=dict(zip(names, values_on(made, "test", how), strict=True)) if kept or stage == FULL else None,
            ).write(folder.result)
        place.processes.wait()
    if leads and not kept:
        remove_checkpoints(folder.folder)
        folder.description.unlink(missing_ok=True)
    result = CandidateResult.read(folder.result, f"delete {folder.folder} to train it again")
    if (result.stage, result.network, result.epochs) != (stage, str(network), float(epochs)):
        raise ValueError(
            f"{folder.result} is of {result.network}, {result.epochs:g} epochs, not of {network}, {epochs:g}; use "
            "another directory"
        )
    if not known:
        place.directory.say(f"{label}: {network}, {epochs:g} epochs, {_in_words(result)}")
    return result


def _in_words(result: CandidateResult) -> str:
    values = ", ".join(f"{spoken(name)} {value:.4f}" for name, value in result.objectives.items())
    return f"{result.params:,} parameters: {values}; training images {result.training_score:.1f} % right"
