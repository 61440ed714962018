"""What strategies of repair have in common: a classifier, samples to tune it on, and a judge of its decisions.

Shape legend: N samples, B batch, D features, K classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dualfair.evaluation.decisions import Judge
from dualfair.studies.repair import RepairOptions
from dualfair.supernet.masking import Masks

_AT_ONCE = 1024


class Classifier(nn.Module):
    """A network in two parts: a body that makes features (B, D) of inputs, and a last, linear layer that makes logits
    (B, K) of these."""

    def __init__(self, body: nn.Module, last: nn.Linear) -> None:
        super().__init__()
        self.body, self.last = body, last

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (B, ...) -> logits (B, K)."""
        return self.last(self.body(inputs))


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs (N, ...) as they are stored, with the numbers of their classes, int64 (N,), whether they are of the second
    group, bool (N,), all on one device, and whose they are, (N,); `prepare` makes input of a network of them."""

    inputs: Tensor
    labels: Tensor
    second: Tensor
    identities: np.ndarray
    prepare: Callable[[Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, numbers: np.ndarray) -> Self:
        """Some of the samples, in the order given."""
        places = torch.from_numpy(numbers).to(self.labels.device)
        of = {name: getattr(self, name)[places] for name in ("inputs", "labels", "second")}
        return replace(self, identities=self.identities[numbers], **of)

    def batches(
        self, size: int, generator: torch.Generator, *, even: bool = False
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """One epoch in a random order, or in one that makes `even` batches: inputs, labels, groups; a rest that makes
        no batch is left to other epochs."""
        order = torch.randperm(len(self), generator=generator)
        order = (self.evenly(order) if even else order).to(self.labels.device)
        size = min(size, len(self))
        for start in range(0, len(self) - size + 1, size):
            some = order[start : start + size]
            yield self.prepare(self.inputs[some]), self.labels[some], self.second[some]

    def evenly(self, order: Tensor) -> Tensor:
        """Numbers of balanced samples (N,), which are in a random order, in one whose batches have each class of each
        group as often, but for one."""
        return dealt((self.labels * 2 + self.second).cpu(), order)

    def balanced(self, seed: int) -> Self:
        """As many samples of every class in every group: those of the smallest of these, drawn at random. Raises
        ValueError where one has fewer than two."""
        cells = (self.labels * 2 + self.second).cpu().numpy()
        numbers, counts = np.unique(cells, return_counts=True)
        least = int(counts.min())
        if len(numbers) < 2 * len(self.labels.unique()) or least < 2:
            raise ValueError(
                "tuning needs two validation samples or more of every class in both groups; there are too few (of a "
                "run, --split says how many)"
            )
        rng = np.random.default_rng(seed)
        return self.take(
            np.sort(np.concatenate([rng.permutation(np.flatnonzero(cells == cell))[:least] for cell in numbers]))
        )

    @property
    def amount(self) -> str:
        """How many there are, as text."""
        return f"{len(self):,} images"

    @cached_property
    def answers(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels and groups as arrays (N,)."""
        return self.labels.cpu().numpy(), self.second.cpu().numpy()


def dealt(cells: Tensor, order: Tensor) -> Tensor:
    """Numbers (N,) in an order that takes one of every cell (N,) after the other, in each as they were ordered."""
    of = cells[order]
    # How many of its own cell stand in front of each.
    rank = torch.stack([(of == cell).cumsum(0) * (of == cell) for cell in of.unique()]).sum(dim=0)
    return order[rank.argsort(stable=True)]


@dataclass(frozen=True, eq=False)
class Task:
    """A classifier to repair. Of the `validation` samples, which choices are made by, `tuning` samples are a balanced
    part; `test` samples are read once, in the end. Two classes are decided at a threshold, more by the largest logit.
    `fresh` makes classifiers from torch's global generator, to be trained on the `training` samples, those that it was
    trained on itself. Weights `outside` of the network that is repaired, by name, are tuned only. `masks` are
    those that were learnt for it, by options and seed: strategies share them.
    """

    classifier: Classifier
    validation: Samples
    tuning: Samples
    test: Samples
    judge: Judge
    fresh: Callable[[], Classifier] | None = None
    training: Samples | None = None
    outside: tuple[str, ...] = ()
    masks: dict[tuple[RepairOptions, int], Masks] = field(default_factory=dict)

    @property
    def binary(self) -> bool:
        """Whether there are two classes."""
        return self.classifier.last.out_features == 2

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """What tuning minimises: the mean over a batch of the cross-entropy of logits (B, K)."""
        return functional.cross_entropy(outputs, labels)

    def batch_loss(self, classifier: Classifier, inputs: Tensor, labels: Tensor, second: Tensor) -> Tensor:
        """The loss of a batch as a classifier sees it."""
        return self.loss(classifier(inputs), labels)

    def decide(self, outputs: Tensor, labels: Tensor) -> np.ndarray:
        """What a batch's outputs decide for (B,), to be judged."""
        return decided(outputs.double().cpu().numpy())

    def decisions(self, classifier: Classifier, samples: Samples) -> np.ndarray:
        """What a classifier decides for, of samples (N,)."""
        return decided(logits_of(classifier, samples))

    def value(self, classifier: Classifier) -> float:
        """The smooth objective on validation samples, of two classes at the threshold that does best; below all others
        where it is undefined."""
        logits, answers = logits_of(classifier, self.validation), self.validation.answers
        if not np.isfinite(logits).all():
            return -1.0
        predicted = decided(logits)
        if self.binary:
            scores = probabilities(logits)
            predicted = (scores >= self.judge.choose_threshold(scores, *answers)).astype(int)
        return self.judge.value(predicted, *answers)


@torch.no_grad()
def outputs_of(network: nn.Module, samples: Samples) -> Tensor:
    """What a network makes of all samples, (N, ...) in evaluation mode."""
    was_training, parts = network.training, []
    network.eval()
    for start in range(0, len(samples), _AT_ONCE):
        parts.append(network(samples.prepare(samples.inputs[start : start + _AT_ONCE])))
    network.train(was_training)
    return torch.cat(parts)


def logits_of(classifier: nn.Module, samples: Samples) -> np.ndarray:
    """Logits float64 (N, K) of all samples, in evaluation mode."""
    return outputs_of(classifier, samples).double().cpu().numpy()


def decided(logits: np.ndarray) -> np.ndarray:
    """The numbers of the classes (N,) that logits (N, K) decide for; of equals the last, so that a score of 1/2 is that
    of class 1."""
    return logits.shape[1] - 1 - logits[:, ::-1].argmax(axis=1)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Scores of class 1 (N,) in [0, 1] of the logits (N, 2) of two classes."""
    return 1 / (1 + np.exp(np.clip(logits[:, 0] - logits[:, 1], -700, 700)))


def with_threshold(classifier: Classifier, threshold: float) -> Classifier:
    """Move the bias of class 1, in place, so that the largest logit decides as a threshold in (0, 1) of its score."""
    with torch.no_grad():
        classifier.last.bias[1] -= float(np.log(threshold / (1 - threshold)))
    return classifier


def at_best_threshold(task: Task, classifier: Classifier) -> Classifier:
    """The classifier, of two classes with the threshold that does best on validation samples, changed in place."""
    if not task.binary:
        return classifier
    scores = probabilities(logits_of(classifier, task.validation))
    return with_threshold(classifier, task.judge.choose_threshold(scores, *task.validation.answers))


@dataclass(frozen=True, eq=False)
class Repaired:
    """What a strategy came to: a classifier, or where it alters decisions only, these of any samples; and the share of
    the weights that a mask removed, None without a mask."""

    classifier: Classifier | None
    decide: Callable[[Samples], np.ndarray] | None = None
    removed: float | None = None

    def decisions(self, task: Task, samples: Samples) -> np.ndarray:
        """What it decides for, of samples (N,)."""
        return self.decide(samples) if self.decide else task.decisions(self.classifier, samples)
