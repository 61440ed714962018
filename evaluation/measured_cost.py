"""Parameters and multiply-accumulates of any network, counted while it runs: for those that no formula knows."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def measured_cost(network: nn.Module, size: int) -> tuple[int, int]:
    """(parameters, MACs) of a network's forward pass on one image of `size` x `size` pixels.

    Parameters are the learnt ones of all layers that take part, each once; class weights, which do not, are left out.
    MACs are those of convolutions and linear layers, as `evaluation.complexity.macs` counts them; what attention
    multiplies between activations is not among them. The network, which has to be in evaluation mode, stays as it is.
    Raises ValueError otherwise.
    """
    if network.training:
        raise ValueError("measured_cost() needs the network in evaluation mode; call network.eval() first")
    own: dict[Tensor, int] = {}
    macs: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        own.update((weight, weight.numel()) for weight in module.parameters(recurse=False) if weight.requires_grad)
        if isinstance(module, nn.Conv2d):
            macs.append(output.shape[2:].numel() * module.weight.numel())
        elif isinstance(module, nn.Linear):
            macs.append(output.shape[1:-1].numel() * module.weight.numel())

    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, size, size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(own.values()), sum(macs)
