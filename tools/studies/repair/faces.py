"""Repair of a network that embeds faces: ours, as the strategies are published for classifiers.

People of the validation split are in two halves, as a search has them unless it was told otherwise. Those of the first
are chosen by, and as many people of both groups are tuned on, by the margin of the network's head with class weights of
their own; those of the second are judged on, by their ranks among each other.

Shape legend: N samples, B batch, D embedding, K people tuned on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dualfair.evaluation.decisions import Judge
from dualfair.evaluation.metrics.identification import ranks
from dualfair.evaluation.scoring.embedding import embed
from dualfair.runs.config import numbers
from dualfair.runs.options import TrainOptions
from dualfair.runs.standalone import Standalone
from dualfair.runs.trained_run import keep_people
from dualfair.studies.repair import RepairOptions
from dualfair.studies.repair.images import samples_of, second_of, trained_on
from dualfair.studies.repair.task import Classifier, Samples, Task, dealt
from dualfair.supernet.heads import MarginHead
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.labels import known_labels
from dualfair.supernet.images.manifest import fold_of
from dualfair.supernet.images.splits import open_splits
from dualfair.supernet.images.store import FaceStore
from dualfair.supernet.production.timm_model import CosineClassifier, embedder_of

Outputs = tuple[Tensor, Tensor]
"""Embeddings (B, D) and their cosines (B, K) with the class weights of people."""


class People(Samples):
    """Images of faces, whose labels are numbers of people."""

    def read(self, numbers: np.ndarray) -> Tensor:
        """Pixels of the images with these numbers, as `evaluation.scoring.embedding.embed` asks for them."""
        return self.inputs[torch.from_numpy(numbers).to(self.inputs.device)]

    @property
    def amount(self) -> str:
        """How many images of how many people there are, as text."""
        return f"{len(self):,} images of {len(np.unique(self.identities)):,} people"

    def evenly(self, order: Tensor) -> Tensor:
        """In an order that takes all images of one person after the other, of both groups in turn: ranks need mates."""
        labels, second = self.labels.cpu(), self.second.cpu()
        _, first = np.unique(labels[order].numpy(), return_index=True)
        people = labels[order][np.sort(first)]
        of_group = torch.zeros(len(people), dtype=torch.int64)
        of_group[labels] = second.long()
        place = torch.empty_like(of_group)
        place[dealt(of_group, people)] = torch.arange(len(people))
        return order[place[labels[order]].argsort(stable=True)]

    def balanced(self, seed: int) -> Self:
        """All images of as many people of both groups, drawn at random, numbered anew."""
        labels, second = self.answers
        of_groups = [np.unique(labels[second == group]) for group in (False, True)]
        least, rng = min(map(len, of_groups)), np.random.default_rng(seed)
        drawn = np.concatenate([rng.permutation(people)[:least] for people in of_groups])
        chosen = self.take(np.flatnonzero(np.isin(labels, drawn)))
        return replace(chosen, labels=chosen.labels.unique(return_inverse=True)[1])


class Prototypes(CosineClassifier):
    """Class weights of people who are tuned on."""

    def __init__(self, weight: Tensor) -> None:
        classes, features = weight.shape
        super().__init__(features, classes)
        self.in_features, self.weight = features, nn.Parameter(weight)

    def forward(self, embedding: Tensor) -> Outputs:
        """(B, D) -> embeddings as they are (B, D), and cosines (B, K)."""
        return embedding, super().forward(embedding)


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceTask(Task):
    """The task of people: tuned by the margin of a head with its scale, decided by ranks."""

    head: MarginHead
    scale: float

    @property
    def binary(self) -> bool:
        """Nothing is decided at a threshold."""
        return False

    def loss(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """The head's margin loss, its penalty included."""
        embedding, cosines = outputs
        classified = self.head.with_margin(cosines, embedding, labels)
        return functional.cross_entropy(classified.logits(self.scale), labels) + classified.penalty

    def decide(self, outputs: Outputs, labels: Tensor) -> np.ndarray:
        """The ranks (B,) of a batch's images among each other, NaN for those without a mate in it."""
        return _ranked(outputs[0].float().cpu().numpy(), labels.cpu().numpy())

    def decisions(self, classifier: Classifier, samples: People) -> np.ndarray:
        """The ranks (N,) of samples among each other, by the embeddings that networks are judged by."""
        return _ranked(embed(classifier.body, samples), samples.identities)

    def value(self, classifier: Classifier) -> float:
        """The smooth objective on validation people; below all others where it is undefined."""
        embeddings = embed(classifier.body, self.validation)
        if not np.isfinite(embeddings).all():
            return -1.0
        return self.judge.value(_ranked(embeddings, self.validation.identities), *self.validation.answers)


def face_task(
    standalone: Standalone, place: Path, store: FaceStore, protected: str, judge: Judge, options: RepairOptions
) -> FaceTask:
    """The task of repairing a network that was trained on some of the people of a store. Groups are the two values of
    the column `protected`, the first in alphabetical order comes first. Raises ValueError for a network, a store or a
    column that this cannot be."""
    standalone.refuse_quantised(place)
    network, about = standalone.network, trained_on(standalone, place, store)
    head, skeleton = network.heads[network.spec.head], network.skeleton
    if not isinstance(head, MarginHead):
        raise ValueError(f"of faces repair takes heads with a margin, and {place} has {network.spec.head}")
    splits = open_splits(
        store,
        group_column=about.group_column,
        fractions=numbers(about.split, ",", float, "split"),
        seed=about.split_seed,
        size=skeleton.image_size,
        crop_from=skeleton.crop_from,
        drop_unknown=about.drop_unknown,
        fold=fold_of(about.fold, about.folds),
    )
    if problem := keep_people(splits, TrainOptions().confirm, about.split_seed):
        raise ValueError(f"there is nobody to judge a repaired network on: {problem}")
    of_person = known_labels(
        store.manifest, protected, drop_unknown=options.drop_unknown or about.drop_unknown
    ).group_of
    device = next(network.parameters()).device
    parts = {split: _grouped(splits[split], of_person) for split in ("validation", "confirmation")}
    second = second_of(parts["validation"], protected)
    validation, test = (samples_of(parts[split], second, device, People) for split in parts)
    tuning = validation.balanced(options.seed)
    body = embedder_of(network)
    classifier = Classifier(body, Prototypes(_prototypes(body, tuning))).eval()
    return FaceTask(
        classifier, validation, tuning, test, judge, outside=("last.weight",), head=head, scale=options.scale
    )


def _grouped(people: FaceSet, of_person: Mapping[str, str]) -> FaceSet:
    groups = np.asarray([of_person.get(identity, "") for identity in people.identities.tolist()])
    return replace(people, groups=groups).take(np.flatnonzero(groups != ""))


def _prototypes(body: nn.Module, tuning: People) -> Tensor:
    """The mean of every person's embeddings, (K, D)."""
    embeddings = torch.from_numpy(embed(body, tuning)).to(tuning.labels.device)
    sums = embeddings.new_zeros(int(tuning.labels.max()) + 1, embeddings.shape[1])
    return sums.index_add(0, tuning.labels, embeddings) / tuning.labels.bincount()[:, None]


def _ranked(embeddings: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """The ranks of images among each other (N,), NaN where there is no other of the person, or nobody else."""
    values = np.full(len(identities), np.nan)
    if len(np.unique(identities)) > 1:
        of = ranks(embeddings, identities)
        values[of.probes] = of.values
    return values
