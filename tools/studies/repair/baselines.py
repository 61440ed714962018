"""The known strategies of repair: tuning, chance, training by other means, and decisions that know the group.

Shape legend: N samples, B batch, D features, K classes.
"""

import copy
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn import functional

from dualfair.studies.repair import RepairOptions
from dualfair.studies.repair.strategies import tuning_options
from dualfair.studies.repair.task import (
    Classifier,
    Repaired,
    Samples,
    Task,
    at_best_threshold,
    logits_of,
    probabilities,
)
from dualfair.studies.repair.tuning import AdversarialOptions, TuningOptions, tune, tune_against_critic

PERTURBATIONS, SPREAD = 101, 0.1
"""Of random perturbation: tries, and the standard deviation of the factors."""
LAYERS, ENTRIES, BOX, CALLS = 5, 5000, 2.2, 20
"""Of layerwise optimisation: the last parameter tensors, entries of each that move, how far in standard deviations of
the tensor, and tries a tensor."""
MARGINS = 101
"""Widths of the region around 1/2 that reject option decides by group."""


def unchanged(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """The classifier as it is."""
    return Repaired(copy.deepcopy(task.classifier))


def move_threshold(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """The classifier of two classes, decided at the threshold that does best on validation samples."""
    return Repaired(at_best_threshold(task, copy.deepcopy(task.classifier)))


def tune_balanced(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Fine-tuning on the balanced samples."""
    classifier, how = copy.deepcopy(task.classifier), tuning_options(options)
    return Repaired(tune(classifier, task.tuning, how, seed=seed, loss=task.batch_loss))


def adversarial(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Adversarial fine-tuning of the whole network (Savani et al., 2020), of the biased one itself."""
    return Repaired(tune_against_critic(task, tuning_options(options), AdversarialOptions(), seed=seed))


def perturb(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """The best on validation samples of PERTURBATIONS copies with every parameter times 1 + SPREAD z."""
    generator = torch.Generator().manual_seed(seed)

    def tries() -> Iterator[Classifier]:
        for _ in range(PERTURBATIONS):
            classifier = copy.deepcopy(task.classifier)
            with torch.no_grad():
                for parameter in classifier.parameters():
                    drawn = torch.randn(parameter.shape, generator=generator).to(parameter)
                    parameter.mul_(1 + SPREAD * drawn)
            yield classifier

    return Repaired(max(tries(), key=task.value))


def optimise_layers(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Random search in a box around some entries of the last parameter tensors, one after the other; a tensor that
    nothing did better than stays as it is."""
    generator = torch.Generator().manual_seed(seed)
    classifier = copy.deepcopy(task.classifier)
    best = task.value(classifier)
    with torch.no_grad():
        inside = [parameter for name, parameter in classifier.named_parameters() if name not in task.outside]
        for parameter in inside[-LAYERS:]:
            places = torch.randperm(parameter.numel(), generator=generator)[:ENTRIES].to(parameter.device)
            width, values = BOX * float(parameter.std(correction=0)), parameter.flatten()[places].clone()
            for _ in range(CALLS):
                moved = values + width * (2 * torch.rand(len(places), generator=generator).to(parameter) - 1)
                before, entries = parameter.clone(), parameter.flatten()
                entries[places] = moved
                parameter.copy_(entries.view(parameter.shape))
                value = task.value(classifier)
                if value > best:
                    best = value
                else:
                    parameter.copy_(before)
    return Repaired(classifier)


def confuse(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Uniform confusion, trained from scratch: a layer learns the group from the features, which are trained to leave
    it in doubt beside their own work."""
    classifier = task.fresh()
    teller = nn.Linear(classifier.last.in_features, 2).to(task.training.labels.device)
    learning = torch.optim.Adam(teller.parameters(), lr=options.lr)

    def loss(_: Classifier, inputs: Tensor, labels: Tensor, second: Tensor) -> Tensor:
        features = classifier.body(inputs)
        learning.zero_grad()
        functional.cross_entropy(teller(features.detach()), second.long()).backward()
        learning.step()
        doubt = -functional.log_softmax(
            functional.linear(features, teller.weight.detach(), teller.bias.detach()), dim=1
        )
        return functional.cross_entropy(classifier.last(features), labels) + doubt.mean()

    return Repaired(tune(classifier, task.training, training_options(options), seed=seed, loss=loss))


def train_by_domain(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Domain-independent training from scratch (Wang et al., 2020): logits of each group's own behind common features;
    decided is by their sum, which is one linear layer again."""
    classifier = task.fresh()
    last = classifier.last
    classifier.last = nn.Linear(last.in_features, 2 * last.out_features).to(last.weight.device)

    def loss(_: Classifier, inputs: Tensor, labels: Tensor, second: Tensor) -> Tensor:
        of_groups = classifier(inputs).view(len(inputs), 2, -1)
        return functional.cross_entropy(of_groups[torch.arange(len(inputs)), second.long()], labels)

    tune(classifier, task.training, training_options(options), seed=seed, loss=loss)
    with torch.no_grad():
        for name, summed in (("weight", last.weight), ("bias", last.bias)):
            summed.copy_(getattr(classifier.last, name).unflatten(0, (2, -1)).sum(dim=0))
    classifier.last = last
    return Repaired(classifier.eval())


def train_domains_apart(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Domain-discriminative training from scratch (Wang et al., 2020): every class of every group is a class of its
    own. Decided is by the sum over groups of its probability, over its share of the training samples."""
    classifier = task.fresh()
    last = classifier.last
    classifier.last = nn.Linear(last.in_features, 2 * last.out_features).to(last.weight.device)
    labels, second = task.training.labels, task.training.second.long()
    counts = torch.bincount(second * last.out_features + labels, minlength=2 * last.out_features)
    shares = (counts.clamp(min=1) / len(labels)).double().cpu().numpy()

    def loss(_: Classifier, inputs: Tensor, labels: Tensor, second: Tensor) -> Tensor:
        return functional.cross_entropy(classifier(inputs), second.long() * last.out_features + labels)

    tune(classifier, task.training, training_options(options), seed=seed, loss=loss)

    def decide(samples: Samples) -> np.ndarray:
        ratios = softmax(logits_of(classifier, samples), axis=1) / shares
        return ratios.reshape(len(samples), 2, -1).sum(axis=1).argmax(axis=1)

    return Repaired(None, decide)


def retrain(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Training from scratch on the training samples, as the other trainings from scratch are, by a seed of its own: a
    table's network was trained by the task's."""
    seed += 1_000_003
    torch.manual_seed(seed)
    return Repaired(tune(task.fresh(), task.training, training_options(options), seed=seed))


def reject_option(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Reject option classification (Kamiran et al., 2012): near 1/2 the group that is given class 1 less often gets it,
    the other one does not; how near, validation samples say. Decisions need to know the group."""
    scores, (labels, second) = probabilities(logits_of(task.classifier, task.validation)), task.validation.answers
    favoured = bool((scores >= 0.5)[second].mean() < (scores >= 0.5)[~second].mean())

    def decide(of: np.ndarray, groups: np.ndarray, margin: float) -> np.ndarray:
        return np.where(np.abs(of - 0.5) < margin, groups == favoured, of >= 0.5).astype(int)

    def value(margin: float) -> float:
        return task.judge.value(decide(scores, second, margin), labels, second)

    margin = max(np.linspace(0, 0.5, MARGINS).tolist(), key=value)
    classifier = task.classifier
    return Repaired(
        None, lambda samples: decide(probabilities(logits_of(classifier, samples)), samples.answers[1], margin)
    )


def equalise_odds(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """fairlearn's thresholds of each group's own that equalise odds on validation samples (Hardt et al., 2016).
    Decisions need to know the group, and are drawn at random between two thresholds."""
    if find_spec("fairlearn") is None:
        raise ValueError("equalised-odds needs fairlearn; run: pip install 'dualfair[repair]', or leave it out")
    from fairlearn.postprocessing import ThresholdOptimizer
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Scores(ClassifierMixin, BaseEstimator):
        """Scores are what it is given: there is nothing to fit."""

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def fit(self, scores: np.ndarray, labels: np.ndarray) -> "Scores":
            return self

        def predict_proba(self, scores: np.ndarray) -> np.ndarray:
            return np.column_stack([1 - scores[:, 0], scores[:, 0]])

    optimizer = ThresholdOptimizer(
        estimator=Scores(), constraints="equalized_odds", prefit=True, predict_method="predict_proba"
    )
    labels, second = task.validation.answers
    scores = probabilities(logits_of(task.classifier, task.validation))
    optimizer.fit(scores[:, None], labels, sensitive_features=second)

    def decide(samples: Samples) -> np.ndarray:
        of = probabilities(logits_of(task.classifier, samples))
        return np.asarray(optimizer.predict(of[:, None], sensitive_features=samples.answers[1], random_state=seed))

    return Repaired(None, decide)


BASELINES: dict[str, Callable[[Task, RepairOptions, int], Repaired]] = {
    "unchanged": unchanged,
    "threshold": move_threshold,
    "fine-tuning": tune_balanced,
    "perturbation": perturb,
    "layerwise": optimise_layers,
    "adversarial": adversarial,
    "confusion": confuse,
    "domain-independent": train_by_domain,
    "domain-discriminative": train_domains_apart,
    "retraining": retrain,
    "reject-option": reject_option,
    "equalised-odds": equalise_odds,
}
OF_TWO_CLASSES = ("threshold", "reject-option", "equalised-odds")
"""Those that alter decisions only, of two classes."""
OF_CLASSES = (*OF_TWO_CLASSES, "confusion", "domain-independent", "domain-discriminative", "retraining", "mimic")
"""Those, what trains from scratch, and what answers by classes: for classifiers, not for networks that embed faces."""


def training_options(options: RepairOptions) -> TuningOptions:
    """How what begins anew is trained."""
    return TuningOptions(epochs=options.training_epochs, batch=options.batch, lr=options.lr)
