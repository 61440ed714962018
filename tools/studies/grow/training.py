"""Trains networks of any depth and width from scratch, and scores them on validation images."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from dualfair.evaluation.answers import answered
from dualfair.evaluation.objectives import OBJECTIVES, Objective
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import population_answers
from dualfair.evolution.growing import GrowthOptions
from dualfair.runs.devices import Workplace, seeded
from dualfair.runs.layout import TrainingLayout
from dualfair.runs.records.training import TrainedOn
from dualfair.runs.standalone import describe_network
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.watching import ShouldStop, ShowProgress
from dualfair.stages.training import run_training
from dualfair.studies.grow.networks import SizedFamily, SizedNetwork
from dualfair.supernet.images.image_set import ImageSet
from dualfair.supernet.network import StandaloneNetwork, build
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer

_TRAINING_IMAGES = 2000
"""Images that it is measured on how well a network knows its training images, at most."""


@dataclass(frozen=True, eq=False, kw_only=True)
class How:
    """What all trainings of a search have in common; `digest` identifies it. `objectives` are error and, where it
    counts, a disparity of this `weight`."""

    family: SizedFamily
    growth: GrowthOptions
    seed: int
    splits: dict[str, ImageSet]
    trained_on: TrainedOn
    recipe: Recipe
    objectives: tuple[Objective, ...]
    weight: float
    digest: str
    checkpoint_minutes: float
    progress: ShowProgress
    should_stop: ShouldStop


def check(
    first: SizedNetwork,
    splits: Mapping[str, ImageSet],
    objectives: Sequence[Objective],
    recipe: Recipe,
    place: Workplace,
) -> None:
    """Try out, before anything is recorded, whether the first network can be trained on these images and judged by the
    objectives. Raises ValueError where it cannot."""
    faces = splits["train"]
    for split in ("validation", "test"):
        if len(objectives) > 1 and len(splits[split].group_names) < 2:
            raise ValueError(f"{objectives[-1].name} compares groups, and the {split} images have one group only")
    with seeded(0):
        Trainer(build(first.genotype, first.skeleton, faces.class_count), faces, recipe, seed=0,
                device=place.processes.device, processes=place.processes)  # fmt: skip


def train(
    network: SizedNetwork, epochs: float, seed: int, layout: TrainingLayout, label: str, how: How, place: Workplace
) -> tuple[StandaloneNetwork, float]:
    """A network trained from scratch in a training's folder, from where an earlier command left it; in evaluation mode,
    with the seconds that it took."""
    faces, processes = how.splits["train"], place.processes
    recipe, training = replace(how.recipe, epochs=epochs), TrainingSpec(network.genotype, seed=seed)
    layout.folder.mkdir(parents=True, exist_ok=True)
    if processes.leads:
        described = training, network.skeleton, faces.class_count, how.trained_on, faces.scored_classes
        describe_network(*described).write(layout.description)
    with seeded(seed):
        built = build(network.genotype, network.skeleton, faces.class_count)
        trainer = Trainer(built, faces, recipe, seed=seed, device=processes.device, processes=processes)
        seconds = run_training(
            trainer,
            layout.folder,
            configuration=hashlib.sha256(f"{how.digest} {network} {epochs}".encode()).hexdigest(),
            minutes=how.checkpoint_minutes,
            say=place.directory.say,
            progress=how.progress,
            should_stop=how.should_stop,
            label=label,
        )
    return trainer.network.eval(), seconds


def values_on(network: StandaloneNetwork, split: str, how: How) -> tuple[float, ...]:
    """The objectives of a trained network on the images of a split, NaN where one is undefined."""
    images = how.splits[split]
    judged = answered(images, population_answers(network, [network.spec], images, None)[network.spec])
    return tuple(objective.value(judged) for objective in how.objectives)


def score(values: Sequence[float], weight: float) -> float:
    """What networks are compared by, of their objectives: in percent, larger is better; NaN where one is undefined."""
    return 100 * (1 - values[0] - weight * sum(values[1:]))


@torch.no_grad()
def known_training_images(network: StandaloneNetwork, how: How, seed: int) -> float:
    """The share of some training images, in percent, that the head gives their own class."""
    faces, head = how.splits["train"], network.heads[network.spec.head]
    rng, right = np.random.default_rng(seed), 0
    some = np.sort(rng.permutation(len(faces))[:_TRAINING_IMAGES])
    device = next(network.parameters()).device
    for part in np.array_split(some, -(-len(some) // 128)):
        classes = head.class_scores(network(network_input(faces, part, device)).float()).argmax(dim=1)
        right += int((classes.cpu().numpy() == faces.labels[part]).sum())
    return 100 * right / len(some)


def objectives_of(disparity: str, parse: Callable[[str], Objective]) -> tuple[Objective, ...]:
    """The error and, where it is named, a disparity that `parse` makes an objective of. Raises ValueError for another
    kind of objective."""
    if not disparity:
        return (OBJECTIVES["error"],)
    counted = parse(disparity)
    if not counted.compares_groups:
        raise ValueError(f"{disparity} is no disparity; name one, such as accuracy_disparity")
    return OBJECTIVES["error"], counted
