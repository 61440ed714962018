"""Finds the layer in which a network first leaves the finite numbers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def first_non_finite(network: nn.Module, forward: Callable[[], object]) -> str | None:
    """The name of the first layer whose output is not finite when `forward` runs the network; None if all are."""
    non_finite: list[str] = []

    def hook_for(name: str) -> Callable:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not non_finite and isinstance(output, Tensor) and not torch.isfinite(output).all():
                non_finite.append(name)

        return hook

    hooks = [module.register_forward_hook(hook_for(name)) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad():
            forward()
    finally:
        for hook in hooks:
            hook.remove()
    return non_finite[0] if non_finite else None
