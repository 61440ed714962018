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
from dualfair.runs.records.training import NetworkDescription
from dualfair.runs.standalone import Standalone, build_network, open_standalone
from dualfair.runs.watching import Say
from dualfair.studies.repair import RepairOptions
from dualfair.studies.repair.task import Classifier, Samples, Task
from dualfair.supernet.heads import SoftmaxHead
from dualfair.supernet.images.augmentation import to_input
from dualfair.supernet.images.class_labels import known_class_labels
from dualfair.supernet.images.labelled_set import LabelledSet, all_labelled, split_labelled
from dualfair.supernet.images.manifest import shorten
from dualfair.supernet.images.store import CLASSIFICATION, open_store
from dualfair.supernet.network import Network
from dualfair.supernet.production.timm_model import embedder_of
from dualfair.supernet.training.checkpoint import save_checkpoint


def image_task(
    standalone: Standalone, place: Path, images: Path, protected: str, judge: Judge, options: RepairOptions
) -> Task:
    """The task of repairing a trained network on the images that it was trained on: validation images, as many of every
    class and group, are tuned on. Groups are the two values of the column `protected`, the first in alphabetical order
    comes first. Raises ValueError for a network, images or a column that this cannot be."""
    standalone.refuse_quantised(place)
    network, store = standalone.network, open_store(images)
    if store.task != CLASSIFICATION or not standalone.classes:
        raise ValueError(f"repair is for networks of labelled images, and {place} tells people apart")
    if not isinstance(network.heads[network.spec.head], SoftmaxHead):
        raise ValueError(f"repair is for networks with the head softmax, and {place} has {network.spec.head}")
    about = standalone.seen_of(store.fingerprint)
    if about is None:
        raise ValueError(f"{place} was not trained on {images}; name the images that it was trained on")
    everything, _ = all_labelled(store, protected, network.skeleton.image_size, about.drop_unknown)
    everything = replace(everything, crop_from=network.skeleton.crop_from)
    groups = np.unique(everything.groups).tolist()
    if len(groups) != 2:
        raise ValueError(f"column {protected!r} must have two groups, it has {len(groups)}: {shorten(groups)}")
    if everything.class_names != standalone.classes:
        raise ValueError(f"{place} tells {shorten(standalone.classes)} apart, {images} has other classes")
    trained = known_class_labels(store.manifest, about.group_column, drop_unknown=about.drop_unknown)
    splits = split_labelled(store.manifest, trained, numbers(about.split, ",", float, "split"), about.split_seed)
    device = next(network.parameters()).device
    of = {
        split: _samples(everything.take(np.flatnonzero(np.isin(everything.rows, rows))), groups[1], device)
        for split, rows in splits.items()
    }

    def fresh() -> Classifier:
        return classifier_of(build_network(network.spec, network.skeleton, standalone.identities).to(device))

    validation = of["validation"]
    tuning = validation.balanced(options.seed)
    return Task(classifier_of(network), fresh, of["train"], validation, tuning, of["test"], judge)


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


def write_repaired(standalone: Standalone, place: Path, repaired: Classifier, to: Path, seconds: float) -> None:
    """Write a repaired network as the training's folder `to`, of the network that stands at `place`."""
    network = copy.deepcopy(standalone.network)
    classifier_of(network).load_state_dict(repaired.state_dict())
    to.mkdir(parents=True, exist_ok=True)
    description = NetworkDescription.read(TrainingLayout(place).description, "train the network again")
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


def _samples(images: LabelledSet, second: str, device: torch.device) -> Samples:
    every = np.arange(len(images))
    return Samples(
        images.read(every).to(device),
        torch.from_numpy(images.labels).to(device),
        torch.from_numpy(images.groups == second).to(device),
        images.identities,
        to_input,
    )
