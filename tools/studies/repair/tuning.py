"""Loops that tune a classifier: plain, with weights that stay 0, and against a critic that predicts the bias.

Shape legend: B batch, D features, K classes.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from dualfair.evaluation.decisions import BIASES
from dualfair.studies.repair.task import Classifier, Samples, Task

WARMUP = 0.05
"""Share of the steps in which the learning rate grows; then it falls as a cosine."""

Loss = Callable[[Classifier, Tensor, Tensor, Tensor], Tensor]
"""Of a classifier and a batch: inputs, labels (B,), groups (B,)."""


@dataclass(frozen=True, kw_only=True)
class TuningOptions:
    """How a classifier is tuned: epochs over samples, and samples a step, by Adam with a learning rate."""

    epochs: int
    batch: int
    lr: float


def cross_entropy(classifier: Classifier, inputs: Tensor, labels: Tensor, second: Tensor) -> Tensor:
    """The mean over a batch."""
    return functional.cross_entropy(classifier(inputs), labels)


def tune(
    classifier: Classifier, samples: Samples, options: TuningOptions, *, seed: int, loss: Loss = cross_entropy
) -> Classifier:
    """Train a classifier in place. Raises ValueError where the loss leaves the finite numbers."""
    for _ in tuned_epochs(classifier, samples, options, seed=seed, loss=loss):
        pass
    return classifier


def tuned_epochs(
    classifier: Classifier,
    samples: Samples,
    options: TuningOptions,
    *,
    seed: int,
    loss: Loss,
    masks: Mapping[str, Tensor] | None = None,
    even: bool = False,
) -> Iterator[None]:
    """As `tune`, epoch by epoch, by `even` batches or not (`Samples.evenly`): yields in front of each; weights where
    `masks` are False stay 0, and in the end the classifier is in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=options.lr)
    steps = options.epochs * max(1, len(samples) // min(options.batch, len(samples)))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    apply_masks(classifier, masks)
    for _ in range(options.epochs):
        yield
        classifier.train()
        for batch in samples.batches(options.batch, generator, even=even):
            optimizer.zero_grad()
            value = loss(classifier, *batch)
            if not math.isfinite(value.item()):
                raise ValueError("the loss of tuning is not finite; take a lower --lr")
            value.backward()
            optimizer.step()
            scheduler.step()
            apply_masks(classifier, masks)
    classifier.eval()


@torch.no_grad()
def apply_masks(classifier: nn.Module, masks: Mapping[str, Tensor] | None) -> None:
    """Set weights to 0 where masks are False."""
    for name, mask in (masks or {}).items():
        classifier.get_parameter(name).mul_(mask)


class Critic(nn.Module):
    """Predicts the bias of a batch of its features (B, D), taken together: three hidden layers of 32 with dropout, as
    Savani et al. (2020) have it."""

    def __init__(self, batch: int, features: int) -> None:
        super().__init__()
        sizes = (batch * features, 32, 32, 32)
        hidden = [
            layer for wide, narrow in pairwise(sizes) for layer in (nn.Linear(wide, narrow), nn.ReLU(), nn.Dropout(0.2))
        ]
        self.layers = nn.Sequential(*hidden, nn.Linear(32, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> a number."""
        return self.layers(features.flatten()).squeeze()


@dataclass(frozen=True, kw_only=True)
class AdversarialOptions:
    """The actor minimises max(1, weight (|bias| - tolerance + margin) + 1) times its cross-entropy, with the bias that
    the critic predicts; the constants are those published for images."""

    weight: float = 20.0
    margin: float = 0.01
    critic_lr: float = 1e-3


def tune_against_critic(
    task: Task,
    options: TuningOptions,
    adversarial: AdversarialOptions,
    *,
    seed: int,
    masks: Mapping[str, Tensor] | None = None,
) -> Classifier:
    """Adversarial fine-tuning of a copy of the classifier: in every epoch the critic learns the bias of batches as the
    copy decides them now, then the copy is trained with the critic held fixed. Batches are even (`Samples.evenly`), or
    else chance would be most of their bias. Weights where `masks` are False stay 0. Raises ValueError where batches are
    too small to have a bias."""
    classifier, samples = copy.deepcopy(task.classifier), task.tuning
    batch = min(options.batch, len(samples))
    critic = Critic(batch, classifier.last.in_features).to(samples.labels.device)
    learning = torch.optim.Adam(critic.parameters(), lr=adversarial.critic_lr)
    generator = torch.Generator().manual_seed(seed)

    def learn_bias() -> None:
        critic.train().requires_grad_(True)
        classifier.eval()
        known = 0
        for inputs, labels, second in samples.batches(batch, generator, even=True):
            with torch.no_grad():
                features = classifier.body(inputs)
                predicted = task.decide(classifier.last(features), labels)
                answers = labels.cpu().numpy(), second.cpu().numpy()
                bias = BIASES[task.judge.bias](predicted, *answers)
            if math.isnan(bias):
                continue
            known += 1
            learning.zero_grad()
            (critic(features) - bias).square().backward()
            learning.step()
        if not known:
            raise ValueError(f"a batch of {batch} samples says nothing of {task.judge.bias}; take a larger --batch")
        critic.eval().requires_grad_(False)

    def loss(_: Classifier, inputs: Tensor, labels: Tensor, second: Tensor) -> Tensor:
        features = classifier.body(inputs)
        over = critic(features).abs() - task.judge.tolerance + adversarial.margin
        factor = (adversarial.weight * over + 1).clamp(min=1)
        return factor * task.loss(classifier.last(features), labels)

    for _ in tuned_epochs(classifier, samples, options, seed=seed, loss=loss, masks=masks, even=True):
        learn_bias()
    return classifier


def _rate(step: int, steps: int) -> float:
    warmup = max(1, round(WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
