"""What a training step minimises and how: loss, groups of weights, optimizer and schedule."""

import torch
from timm.optim import create_optimizer_v2, get_optimizer_class
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from torch import Tensor, nn
from torch.nn import functional

from dualfair.supernet.training.recipe import Recipe

GROUPS = ("trunk", "operations", "heads")
"""The groups of weights that have their own learning rate and gradient clipping."""
FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Optimizers that torch updates all weights by in one kernel, on CPUs and GPUs alike; Adagrad's is for CPUs only."""


def group_of(name: str) -> str:
    """The group that a weight belongs to, by its name in the network."""
    if name.startswith("heads."):
        return "heads"
    return "operations" if ".positions." in name else "trunk"


def classification_loss(logits: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Mean cross-entropy, or focal loss (1 - p)^gamma * -log p (Lin et al., equation 4), of logits (B, K)."""
    entropy = functional.cross_entropy(logits, labels, reduction="none")
    if recipe.loss == "focal":
        entropy = (1 - torch.exp(-entropy)) ** recipe.focal_gamma * entropy
    return entropy.mean()


def check_optimizer(name: str) -> None:
    """Raise ValueError for an optimizer that timm does not have."""
    try:
        get_optimizer_class(name, bind_defaults=False)
    except ValueError as error:
        raise ValueError(f"optimizer {name!r} is not one of timm's: {error}") from error


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """timm's optimizer over the groups of weights, each with its own rate; one-dimensional weights do not decay.

    Raises ValueError for an optimizer that timm does not have.
    """
    factors = {"trunk": recipe.lr_trunk, "operations": recipe.lr_operations, "heads": recipe.lr_heads}
    groups = []
    for group in GROUPS:
        for decayed in (True, False):
            weights = [
                parameter
                for name, parameter in network.named_parameters()
                if group_of(name) == group and parameter.requires_grad and (parameter.ndim > 1) == decayed
            ]
            decay = recipe.weight_decay if decayed else 0.0
            groups.append({"params": weights, "lr": recipe.lr * factors[group], "weight_decay": decay})
    try:
        kind = get_optimizer_class(recipe.optimizer, bind_defaults=False)
        fused = {"fused": True} if kind in FUSED else {}
        optimizer = create_optimizer_v2(
            [group for group in groups if group["params"]],
            opt=recipe.optimizer,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            momentum=recipe.momentum,
            **fused,
        )
    except (ValueError, AssertionError, KeyError) as error:
        raise ValueError(f"optimizer {recipe.optimizer!r} is not one of timm's: {error}") from error
    if kind is torch.optim.SGD and recipe.momentum:
        # torch's kernel wants all momenta from the first step on, but an operation may have its first turn later.
        for group in optimizer.param_groups:
            for weight in group["params"]:
                optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
    return optimizer


def make_scheduler(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> Scheduler | None:
    """timm's schedule in units of updates, with its linear warm-up; None for a constant rate."""
    if recipe.schedule == "none":
        return None
    warmup = round(recipe.warmup * steps)
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched=recipe.schedule,
        num_epochs=steps + 1 - warmup,
        decay_epochs=max(1, steps // 3),
        # timm counts from the end of the warm-up, and is two updates early.
        decay_milestones=[round(share * steps) + 2 - warmup for share in recipe.milestone_shares],
        warmup_epochs=warmup,
        warmup_lr=recipe.warmup_lr,
        warmup_prefix=True,
        min_lr=recipe.lr_floor,
        cooldown_epochs=0,
        step_on_epochs=False,
        updates_per_epoch=1,
    )
    return scheduler
