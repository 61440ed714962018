"""Repair of a network that tells labelled images apart: its task, and the repaired network as a training's folder."""

import copy
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dualfair.evaluation.decisions import Judge
from dualfair.runs.config import numbers
from dualfair.runs.devices import describe
from dualfair.runs.layout import TrainingLayout
from dualfair.runs.records.training import NetworkDescription, TrainedOn
from dualfair.runs.standalone import Standalone, build_network, open_standalone
from dualfair.runs.watching import Say
from dualfair.studies.repair import RepairOptions
from dualfair.studies.repair.task import Classifier, Samples, Task
from dualfair.supernet.heads import SoftmaxHead
from dualfair.supernet.images.augmentation import to_input
from dualfair.supernet.images.class_labels import known_class_labels
from dualfair.supernet.images.image_set import ImageSet
from dualfair.supernet.images.labelled_set import all_labelled, split_labelled
from dualfair.supernet.images.manifest import shorten
from dualfair.supernet.images.store import FaceStore
from dualfair.supernet.network import Network
from dualfair.supernet.production.timm_model import embedder_of
from dualfair.supernet.training.checkpoint import save_checkpoint


def image_task(
    standalone: Standalone, place: Path, store: FaceStore, protected: str, judge: Judge, options: RepairOptions
) -> Task:
    """The task of repairing a trained network on the images that it was trained on: validation images, as many of every
    class and group, are tuned on. Groups are the two values of the column `protected`, the first in alphabetical order
    comes first. Raises ValueError for a network, images or a column that this cannot be."""
    standalone.refuse_quantised(place)
    network = standalone.network
    if not isinstance(network.heads[network.spec.head], SoftmaxHead):
        raise ValueError(f"of labelled images repair takes the head softmax, and {place} has {network.spec.head}")
    about = trained_on(standalone, place, store)
    everything, _ = all_labelled(
        store, protected, network.skeleton.image_size, options.drop_unknown or about.drop_unknown
    )
    everything = replace(everything, crop_from=network.skeleton.crop_from)
    second = second_of(everything, protected)
    if everything.class_names != standalone.classes:
        raise ValueError(f"{place} tells {shorten(standalone.classes)} apart, {store.folder} has other classes")
    trained = known_class_labels(store.manifest, about.group_column, drop_unknown=about.drop_unknown)
    splits = split_labelled(store.manifest, trained, numbers(about.split, ",", float, "split"), about.split_seed)
    device = next(network.parameters()).device
    of = {
        split: samples_of(everything.take(np.flatnonzero(np.isin(everything.rows, rows))), second, device)
        for split, rows in splits.items()
    }

    def fresh() -> Classifier:
        return classifier_of(build_network(network.spec, network.skeleton, standalone.identities).to(device))

    validation = of["validation"]
    tuning = validation.balanced(options.seed)
    return Task(classifier_of(network), validation, tuning, of["test"], judge, fresh, of["train"])


def classifier_of(network: Network) -> Classifier:
    """A network with the head softmax in two parts, which share its weights."""
    head = network.heads[network.spec.head]
    last = nn.Linear(head.weight.shape[1], head.weight.shape[0])
    last.weight, last.bias = head.weight, head.bias
    return Classifier(embedder_of(network), last).train(network.training)


def open_source(place: Path, device: torch.device, say: Say) -> Standalone:
    """The network of a training's folder. Raises ValueError where there is none."""
    if not TrainingLayout(place).description.is_file():
        raise ValueError(f"{place} is no training of ours; name one such as RUN/retrain/GENOTYPE:softmax/seed-0")
    return open_standalone(place, device, say)


def trained_on(standalone: Standalone, place: Path, store: FaceStore) -> TrainedOn:
    """How the images of a store were dealt when a network was trained. Raises ValueError where it never saw them."""
    about = standalone.seen_of(store.fingerprint)
    if about is None:
        raise ValueError(f"{place} was not trained on {store.folder}; name the images that it was trained on")
    return about


def second_of(images: ImageSet, protected: str) -> str:
    """The second of two groups, in alphabetical order. Raises ValueError for another number of groups."""
    groups = images.group_names
    if len(groups) != 2:
        raise ValueError(f"column {protected!r} must have two groups, it has {len(groups)}: {shorten(groups)}")
    return groups[1]


def write_repaired(
    standalone: Standalone, place: Path, fingerprint: str, repaired: Classifier, to: Path, seconds: float
) -> None:
    """Write a repaired network as the training's folder `to`: that which stands at `place`, tuned on some of the images
    with the fingerprint."""
    network = copy.deepcopy(standalone.network)
    embedder_of(network).load_state_dict(repaired.body.state_dict())
    head = network.heads[network.spec.head]
    if isinstance(head, SoftmaxHead):
        head.load_state_dict(repaired.last.state_dict(), strict=False)
    to.mkdir(parents=True, exist_ok=True)
    description = NetworkDescription.read(TrainingLayout(place).description, "train the network again")
    description = replace(description, repaired_on=fingerprint)
    description.write(TrainingLayout(to).description)
    save_checkpoint(
        to,
        {"network": network.state_dict()},
        step=1,
        steps=1,
        seconds=seconds,
        loss=None,
        configuration=hashlib.sha256(str(to).encode()).hexdigest(),
        device=describe(next(network.parameters()).device),
        threads=torch.get_num_threads(),
        ranks=1,
    )


def samples_of(images: ImageSet, second: str, device: torch.device, kind: type[Samples] = Samples) -> Samples:
    """All images of a set as samples, of one kind or another."""
    every = np.arange(len(images))
    return kind(
        images.read(every).to(device),
        torch.from_numpy(images.labels).to(device),
        torch.from_numpy(images.groups == second).to(device),
        images.identities,
        to_input,
    )
