"""Loops that tune a classifier: plain, with weights that stay 0, and against a critic that predicts the bias.

Shape legend: B batch, D features, K classes.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dualfair.evaluation.decisions import Judge
from dualfair.studies.repair.task import Classifier, Samples, decided

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
    classifier: Classifier,
    samples: Samples,
    options: TuningOptions,
    *,
    seed: int,
    loss: Loss = cross_entropy,
    masks: Mapping[str, Tensor] | None = None,
    even: bool = False,
    each_epoch: Callable[[], object] = lambda: None,
) -> Classifier:
    """Train a classifier in place, by `even` batches or not (`Samples.batches`); weights where `masks` are False stay
    0. Raises ValueError where the loss leaves the
    finite numbers."""
    for _ in tuned_epochs(classifier, samples, options, seed=seed, loss=loss, masks=masks, even=even):
        each_epoch()
    return classifier


def tuned_epochs(
    classifier: Classifier,
    samples: Samples,
    options: TuningOptions,
    *,
    seed: int,
    loss: Loss = cross_entropy,
    masks: Mapping[str, Tensor] | None = None,
    even: bool = False,
) -> Iterator[None]:
    """As `tune`, epoch by epoch: yields in front of each; in the end the classifier is in evaluation mode."""
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
    classifier: Classifier,
    samples: Samples,
    judge: Judge,
    options: TuningOptions,
    adversarial: AdversarialOptions,
    *,
    seed: int,
    masks: Mapping[str, Tensor] | None = None,
) -> Classifier:
    """Adversarial fine-tuning, in place: in every epoch the critic learns the bias of batches as the classifier decides
    them now, then the classifier is trained with it held fixed. Batches have each class of each group as often, or else
    chance would be most of their bias. Weights where `masks` are False stay 0. Raises ValueError where batches are too
    small to have a bias."""
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
                bias = _bias_of(judge, classifier.last(features), labels, second)
            if math.isnan(bias):
                continue
            known += 1
            learning.zero_grad()
            (critic(features) - bias).square().backward()
            learning.step()
        if not known:
            raise ValueError(f"a batch of {batch} samples says nothing of {judge.bias}; take a larger --batch")
        critic.eval().requires_grad_(False)

    def loss(_: Classifier, inputs: Tensor, labels: Tensor, second: Tensor) -> Tensor:
        features = classifier.body(inputs)
        over = critic(features).abs() - judge.tolerance + adversarial.margin
        factor = (adversarial.weight * over + 1).clamp(min=1)
        return factor * functional.cross_entropy(classifier.last(features), labels)

    how = {"seed": seed, "loss": loss, "masks": masks, "even": True}
    return tune(classifier, samples, options, each_epoch=learn_bias, **how)


def _rate(step: int, steps: int) -> float:
    warmup = max(1, round(WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _bias_of(judge: Judge, logits: Tensor, labels: Tensor, second: Tensor) -> float:
    predicted = decided(logits.double().cpu().numpy())
    with np.errstate(invalid="ignore"):
        return judge.measured(predicted, labels.cpu().numpy(), second.cpu().numpy())[1]
