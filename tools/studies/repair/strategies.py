"""Repair by structure: masks find the weights that the unfairness runs through, which are then pruned, grafted or left
to a network around them. A strategy changes a copy of the task's classifier and gives it back.

Shape legend: K weights of a layer.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from dualfair.studies.repair import RepairOptions
from dualfair.studies.repair.task import Classifier, Repaired, Samples, Task
from dualfair.studies.repair.tuning import (
    AdversarialOptions,
    TuningOptions,
    apply_masks,
    tune,
    tune_against_critic,
    tuned_epochs,
)
from dualfair.supernet.masking import REMOVED, MaskOptions, Masks, find_masks, maskable, shares

NOISE = 1.5
"""How much larger the l1 norm of noise is than that of the weights whose place it takes (1 or more; ours)."""
ENTROPY_BINS, AMPLITUDE, SLOPE = 10, 0.4, 500.0
"""Of filter grafting: bins of a layer's histogram, A and c in 1/2 + A/pi arctan(c (H1 - H2))."""
SWITCHED_ON = 0.05
"""Share of the masked weights that a step of NetAug switches on, its diversity factor."""


def tuning_options(options: RepairOptions) -> TuningOptions:
    """How what was altered is tuned."""
    return TuningOptions(epochs=options.epochs, batch=options.batch, lr=options.lr)


def mask_options(options: RepairOptions) -> MaskOptions:
    """How masks are learnt. Raises ValueError for what masks cannot be."""
    return MaskOptions(
        epochs=options.mask_epochs,
        lr=options.mask_lr,
        share=options.share,
        bound=options.bound,
        each=options.each,
    )


def masks_of(task: Task, options: RepairOptions, seed: int) -> Masks:
    """The masks that the loss on the balanced tuning samples asks for."""
    if (options, seed) not in task.masks:
        generator = torch.Generator().manual_seed(seed)
        task.masks[options, seed] = find_masks(
            task.classifier,
            lambda: ((inputs, labels) for inputs, labels, _ in task.tuning.batches(options.batch, generator)),
            task.loss,
            mask_options(options),
            seed=seed,
            fixed=task.outside,
        )
    return task.masks[options, seed]


def prune(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Masked weights become 0 and stay so; the others are tuned against a critic."""
    masks = masks_of(task, options, seed)
    how = tuning_options(options)
    classifier = tune_against_critic(task, how, AdversarialOptions(), seed=seed, masks=masks)
    return Repaired(classifier, removed=shares(masks)[REMOVED])


def graft_noise(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Masked weights become Gaussian noise, of a larger l1 norm layer by layer, then all are tuned."""
    generator = torch.Generator().manual_seed(seed)

    def noise(weight: Tensor, mask: Tensor) -> Tensor:
        drawn = torch.randn(int((~mask).sum()), generator=generator).to(weight)
        return drawn * (NOISE * weight[~mask].abs().sum() / drawn.abs().sum())

    return _grafted(task, options, seed, noise)


def graft_internally(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Masked weights become those of the same layer's kept ones with the largest absolute values, then all are
    tuned."""

    def largest(weight: Tensor, mask: Tensor) -> Tensor:
        kept, needed = weight[mask], int((~mask).sum())
        order = kept.abs().argsort(descending=True, stable=True)
        # Where more are masked than kept, the kept ones are taken again.
        return kept[order.repeat(math.ceil(needed / len(kept)))[:needed]] if len(kept) else weight[~mask]

    return _grafted(task, options, seed, largest)


def graft_externally(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Two discoveries with seeds of their own are tuned side by side. At every epoch the masked weights of each layer
    become a W1 + (1 - a) W2, by the entropies of both layers, in both networks; the first is the result."""
    both = [masks_of(task, options, each) for each in (seed, seed + 1_000_003)]
    pair = [copy.deepcopy(task.classifier) for _ in both]
    for classifier, masks in zip(pair, both, strict=True):
        apply_masks(classifier, masks)
    how = tuning_options(options)
    epochs = [
        tuned_epochs(of, task.tuning, how, seed=seed + number, loss=task.batch_loss) for number, of in enumerate(pair)
    ]
    for _ in zip(*epochs, strict=True):
        _exchange(pair, both)
    return Repaired(pair[0], removed=shares(both[0])[REMOVED])


def augment(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """NetAug: in every step the fair subnetwork is trained by itself, and as part of the network with a random part of
    the masked weights switched on; the subnetwork is the result, with statistics of its own."""
    masks = masks_of(task, options, seed)
    classifier = copy.deepcopy(task.classifier)
    weights = maskable(classifier)
    generator = torch.Generator().manual_seed(seed)

    def loss(_: Classifier, inputs: Tensor, labels: Tensor, second: Tensor) -> Tensor:
        switched = {
            name: mask | (torch.rand(mask.shape, generator=generator) < SWITCHED_ON).to(mask.device)
            for name, mask in masks.items()
        }
        parts = (
            torch.func.functional_call(classifier, {name: weights[name] * of[name] for name in of}, (inputs,))
            for of in (masks, switched)
        )
        return sum(task.loss(part, labels) for part in parts)

    tune(classifier, task.tuning, tuning_options(options), seed=seed, loss=loss)
    apply_masks(classifier, masks)
    measure_statistics(classifier, task.tuning)
    return Repaired(classifier, removed=shares(masks)[REMOVED])


def mimic(task: Task, options: RepairOptions, seed: int) -> Repaired:
    """Equation 10: the weights stay as they are, and a mask without a bound makes the network answer as one does that
    was tuned against a critic. How much it removes says how much of the network carries the unfairness. The equation's
    term that compares with the epoch before has a weight that is not given, and is left out."""
    taught = tune_against_critic(task, tuning_options(options), AdversarialOptions(), seed=seed)
    generator = torch.Generator().manual_seed(seed)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for inputs, _, _ in task.tuning.batches(options.batch, generator):
            with torch.no_grad():
                answers = taught(inputs).softmax(dim=1)
            yield inputs, answers

    unbound = replace(mask_options(options), strength=0.0)
    masks = find_masks(task.classifier, batches, functional.cross_entropy, unbound, seed=seed, fixed=task.outside)
    classifier = copy.deepcopy(task.classifier)
    apply_masks(classifier, masks)
    return Repaired(classifier, removed=shares(masks)[REMOVED])


STRUCTURAL: dict[str, Callable[[Task, RepairOptions, int], Repaired]] = {
    "prune": prune,
    "noise": graft_noise,
    "internal": graft_internally,
    "external": graft_externally,
    "netaug": augment,
    "mimic": mimic,
}
"""By name, in the order of the method's table."""


@torch.no_grad()
def measure_statistics(classifier: Classifier, samples: Samples) -> None:
    """Set running statistics to those of the samples, in place."""
    norms = [module for module in classifier.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    classifier.eval()
    for norm in norms:
        norm.reset_running_stats()
        # None is the mean over all batches.
        norm.momentum = None
        norm.train()
    for inputs, _, _ in samples.batches(256, torch.Generator().manual_seed(0)):
        classifier(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    classifier.eval()


def mixing(first: Tensor, second: Tensor) -> float:
    """How much of the first layer's weights a graft takes: 1/2 + A/pi arctan(c (H1 - H2)), to two digits."""
    difference = _entropy(first) - _entropy(second)
    return round(0.5 + AMPLITUDE / math.pi * math.atan(SLOPE * difference), 2)


def _entropy(weight: Tensor) -> float:
    values = weight.detach().double().flatten().cpu()
    counts = torch.histc(values, ENTROPY_BINS, values.min().item(), values.max().item())
    shares_of = counts[counts > 0] / counts.sum()
    return float(-(shares_of * shares_of.log()).sum())


@torch.no_grad()
def _exchange(pair: list[Classifier], both: list[Masks]) -> None:
    for name in both[0]:
        weights = [classifier.get_parameter(name) for classifier in pair]
        before = [weight.clone() for weight in weights]
        for number, weight in enumerate(weights):
            own, other = before[number], before[1 - number]
            share, masked_out = mixing(own, other), ~both[number][name]
            weight[masked_out] = (share * own + (1 - share) * other)[masked_out]


def _grafted(task: Task, options: RepairOptions, seed: int, graft: Callable[[Tensor, Tensor], Tensor]) -> Repaired:
    masks = masks_of(task, options, seed)
    classifier = copy.deepcopy(task.classifier)
    with torch.no_grad():
        for name, mask in masks.items():
            weight = classifier.get_parameter(name)
            if not mask.all():
                weight[~mask] = graft(weight, mask)
    tune(classifier, task.tuning, tuning_options(options), seed=seed, loss=task.batch_loss)
    return Repaired(classifier, removed=shares(masks)[REMOVED])
