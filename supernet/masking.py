"""Learnt masks over the weights of a trained network: which of them can go, so that what is left does better on other
samples. The weights stay as they are.

A mask has a score m a weight (or a filter: a row of a weight, all that makes one output channel). In every step noise
is added to the scores, and weights whose score falls below 0 are taken out:

    M = 1[m + e >= 0], e ~ N(0, v), v = min(1, max(0.05, 0.5 m)),

with gradients that pass through M as if it was the sigmoid of m. Minimised, by Adam, is a loss of the masked network
on the samples plus beta log(max(share, tau) / tau), where the share is that of the weights kept (equation 7 of the
method) or, as its text has it, removed: it is pulled down to tau and left alone below. All layers are counted together.
Scores, masks and shares are of weights of two dimensions or more: convolutions, linear layers, class weights.

Shape legend: N samples.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

KEPT, REMOVED = "kept", "removed"
"""Shares that the regulariser may bound."""
WEIGHT, FILTER = "weight", "filter"
"""What is taken out at a time."""
_LEAST_VARIANCE, _OF_SCORE, _MOST_VARIANCE = 0.05, 0.5, 1.0

Masks = dict[str, Tensor]
"""By the names of weights, bool of their shapes: True is kept."""


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """How masks are learnt. `share` is the one that is bounded by `bound`, tau; `strength` is beta. `start` is the
    score that all begin with: 3 takes out one weight in 740 by noise alone, 1 one in 13."""

    epochs: int = 80
    lr: float = 0.01
    share: str = REMOVED
    bound: float = 0.1
    strength: float = 5.0
    start: float = 3.0
    each: str = WEIGHT

    def __post_init__(self) -> None:
        for name, of, known in (("share", self.share, (KEPT, REMOVED)), ("each", self.each, (WEIGHT, FILTER))):
            if of not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {of!r}")
        if not 0 < self.bound < 1:
            raise ValueError(f"bound must be above 0 and below 1, got {self.bound:g}")


class MaskScores(nn.Module):
    """The scores m of a network's masks, to be learnt."""

    def __init__(self, network: nn.Module, start: float = 3.0, each: str = WEIGHT, fixed: Collection[str] = ()) -> None:
        super().__init__()
        weights = {name: weight for name, weight in maskable(network).items() if name not in fixed}
        self.names, self.shapes = tuple(weights), tuple(weight.shape for weight in weights.values())
        per_filter = [(shape[0], *[1] * (len(shape) - 1)) for shape in self.shapes]
        shapes = per_filter if each == FILTER else self.shapes
        device = next(iter(weights.values())).device
        self.scores = nn.ParameterList(torch.full(shape, start, device=device) for shape in shapes)

    def sampled(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Masks with noise, 0.0 or 1.0 of the weights' shapes, through which gradients reach the scores."""
        return {
            name: _passing(score, _noise(score, generator)).expand(shape)
            for name, score, shape in zip(self.names, self.scores, self.shapes, strict=True)
        }

    def final(self) -> Masks:
        """Masks without noise."""
        return {
            name: (score.detach() >= 0).expand(shape).clone()
            for name, score, shape in zip(self.names, self.scores, self.shapes, strict=True)
        }


def maskable(network: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that masks are of, those of two dimensions or more, by name. Raises ValueError for none."""
    weights = {name: weight for name, weight in network.named_parameters() if weight.ndim > 1}
    if not weights:
        raise ValueError("the network has no weights of convolutions or linear layers to mask")
    return weights


def shares(masks: Mapping[str, Tensor]) -> dict[str, float]:
    """The shares of all weights that are kept and that are removed."""
    kept = sum(mask.sum().item() for mask in masks.values()) / sum(mask.numel() for mask in masks.values())
    return {KEPT: kept, REMOVED: 1 - kept}


def penalty(masks: Mapping[str, Tensor], share: str, bound: float) -> Tensor:
    """log(max(share, bound) / bound) of sampled masks: 0 up to the bound."""
    kept = sum(mask.sum() for mask in masks.values()) / sum(mask.numel() for mask in masks.values())
    return ((kept if share == KEPT else 1 - kept).clamp(min=bound) / bound).log()


def masked(network: nn.Module, masks: Mapping[str, Tensor], *inputs: Tensor) -> Tensor:
    """What a network makes of inputs with its weights times masks."""
    weights = dict(network.named_parameters())
    return functional_call(network, {name: weights[name] * mask for name, mask in masks.items()}, inputs)


def find_masks(
    network: nn.Module,
    batches: Callable[[], Iterator[tuple[Tensor, ...]]],
    loss: Callable[..., Tensor],
    options: MaskOptions,
    *,
    seed: int,
    fixed: Collection[str] = (),
) -> Masks:
    """The masks that a loss of the masked network asks for; `batches` gives those of an epoch, samples first, and
    `loss(outputs, *others)` is the mean over a batch. Weights that are `fixed`, by name, have no mask.

    The network is taken in evaluation mode, so that no statistics move, and left as it is. Raises ValueError where the
    loss leaves the finite numbers.
    """
    was_training, steps = network.training, 0
    scores = MaskScores(network.eval(), options.start, options.each, fixed)
    generator = torch.Generator(next(network.parameters()).device).manual_seed(seed)
    optimizer = torch.optim.Adam(scores.parameters(), lr=options.lr)
    for _ in range(options.epochs):
        for samples, *others in batches():
            masks = scores.sampled(generator)
            value = loss(masked(network, masks, samples), *others)
            value = value + options.strength * penalty(masks, options.share, options.bound)
            if not math.isfinite(value.item()):
                raise ValueError(f"the loss of masks is not finite in step {steps}; take a lower learning rate")
            gradients = torch.autograd.grad(value, list(scores.parameters()))
            for score, gradient in zip(scores.parameters(), gradients, strict=True):
                score.grad = gradient
            optimizer.step()
            steps += 1
    network.train(was_training)
    return scores.final()


def _noise(score: Tensor, generator: torch.Generator) -> Tensor:
    variance = (_OF_SCORE * score.detach()).clamp(_LEAST_VARIANCE, _MOST_VARIANCE)
    return variance.sqrt() * torch.randn(score.shape, generator=generator, device=score.device)


def _passing(score: Tensor, noise: Tensor) -> Tensor:
    """1 where score plus noise is 0 or more, else 0; gradients are those of the score's sigmoid."""
    soft = score.sigmoid()
    return (score.detach() + noise >= 0).to(soft.dtype) + (soft - soft.detach())
