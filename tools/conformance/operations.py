"""What a candidate operation has to be, whoever wrote it."""

from __future__ import annotations

import torch
from torch import nn

from dualfair.evaluation.cost import measured_cost
from dualfair.supernet.operations import Operation, Place


def check_operation(operation: Operation, place: Place | None = None) -> list[str]:
    """Faults of an operation at a place, by default one of stride 2 from 16 to 24 channels and 9 px.

    Its output must have the right shape and be the same twice, its formulas must give the costs that are counted while
    it runs, its BN statistics must be measurable, and gradients must reach all its weights.
    """
    place = Place(16, 24, 1, 2, 9) if place is None else place
    name = getattr(operation, "name", "")
    if not str(name).isidentifier():
        return [f"its name {name!r} is no name of Python, under which weights could be filed"]
    try:
        module = operation.build(place).eval()
        x = torch.randn(3, place.in_channels, place.side, place.side, generator=torch.Generator().manual_seed(0))
        output, again = module(x), module(x)
    except Exception as error:
        return [f"operation {name} at {place}: {type(error).__name__}: {error}"]
    expected = (3, place.out_channels, place.out_side, place.out_side)
    if output.shape != expected:
        return [f"operation {name} at {place} gives {tuple(output.shape)}; expected {expected}"]
    faults = []
    if not torch.equal(output, again):
        faults.append(f"operation {name} gives two outputs for the same input in evaluation mode")
    probe = nn.Sequential(_Widened(place.in_channels), module).eval()
    counted = measured_cost(probe, place.side)
    formulas = {"parameters": operation.parameters(place), "macs": operation.macs(place)}
    for (formula, value), count in zip(formulas.items(), counted, strict=True):
        if value != count:
            faults.append(f"operation {name} at {place}: {formula}() says {value:,}, counted {count:,}")
    for norm in (norm for norm in module.modules() if isinstance(norm, nn.modules.batchnorm._BatchNorm)):
        if not norm.track_running_stats:
            faults.append(
                f"operation {name} has a batch normalisation without running statistics, which cannot be kept"
            )
            break
    output = module.train()(x.requires_grad_())
    if not output.requires_grad:
        return [*faults, f"operation {name}: no gradient passes from its output to its input"]
    output.sum().backward()
    without = [weights for weights, value in module.named_parameters() if value.requires_grad and value.grad is None]
    if without:
        faults.append(f"operation {name}: no gradient reaches {without[0]}; what no path uses is never trained")
    return faults


class _Widened(nn.Module):
    """Images as a feature map of so many channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :1].expand(-1, self.channels, -1, -1).contiguous()
