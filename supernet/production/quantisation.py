"""Fake quantisation: weights and activations rounded to as few values as integers of k bits have, in floating point.

Uniform and asymmetric, as QuantFace has it (Boutros et al., 2022) and the study of its group bias: n = 2^k - 1 steps
from the lowest to the highest value of a range, s = n / (highest - lowest) of them a unit,

    z = round(s lowest) + 2^(k-1),  q = clamp(round(s x - z), -2^(k-1), 2^(k-1) - 1),  x' = (q + z) / s.

Gradients pass as if nothing was rounded, also where values are clamped. Quantised are the weights of every convolution
and linear layer, a range an output channel; slopes of PReLU, a range a layer; and a tensor at a time what stands behind
every activation and behind every searched block, where paths join. Not quantised are the images, batch normalisation
and the embedding. Activations that a network computes without a module, as functions, cannot be found.
"""

import copy

import torch
from timm.layers import activations
from torch import Tensor, nn
from torch.nn.modules import activation
from torch.nn.utils import parametrize

from dualfair.supernet.network import Network
from dualfair.supernet.trunk import SearchedBlock

FULL = 32
"""Bits from which on nothing is rounded."""
FEWEST = 2
RANGE_UPDATES = 299
"""Training steps in which ranges of activations follow what they see, as in the published program."""
_NO_ACTIVATIONS = ("MultiheadAttention", "Softmax", "Softmax2d", "Softmin", "LogSoftmax")
_ACTIVATIONS = (
    *(getattr(activation, name) for name in activation.__all__ if name not in _NO_ACTIVATIONS),
    *(kind for kind in vars(activations).values() if isinstance(kind, type) and issubclass(kind, nn.Module)),
)
"""Those of torch and of timm."""


def quantised_values(x: Tensor, lowest: Tensor, highest: Tensor, bits: int) -> Tensor:
    """x' of values x for a range that broadcasts with them: at most 2^bits different ones a range.

    Within the range they are at most half a step from x, outside they are that of its nearer end. Gradients are those
    of x. With FULL bits or more it is x itself.

    >>> ends = torch.tensor(0.0), torch.tensor(3.0)
    >>> quantised_values(torch.tensor([-1.0, 0.4, 0.6, 2.2, 9.0]), *ends, bits=2).tolist()
    [0.0, 0.0, 1.0, 2.0, 3.0]
    """
    if bits >= FULL:
        return x
    with torch.no_grad():
        half = 2 ** (bits - 1)
        scale = (2**bits - 1) / (highest - lowest).clamp(min=1e-8)
        zero = (scale * lowest).round() + half
        rounded = ((scale * x - zero).round().clamp(-half, half - 1) + zero) / scale
    return x + (rounded - x).detach() if x.requires_grad else rounded


class WeightQuantiser(nn.Module):
    """The parametrization of a weight: its quantised values, by the range that it has right now.

    The range is one an output channel, the first dimension, or of all of them (`by_channel`).
    """

    def __init__(self, bits: int, by_channel: bool) -> None:
        super().__init__()
        self.bits, self.by_channel = bits, by_channel

    def forward(self, weight: Tensor) -> Tensor:
        """(out, ...) -> the same."""
        dimensions = tuple(range(1 if self.by_channel else 0, weight.ndim))
        lowest, highest = (end(weight.detach(), dimensions, keepdim=True) for end in (torch.amin, torch.amax))
        return quantised_values(weight, lowest, highest, self.bits)


class ActivationQuantiser(nn.Module):
    """Quantises tensors by a range that begins with 0 alone and grows, for so many training steps, to all that is seen.

    The range and the steps that it has seen are buffers. Later steps, and evaluation, leave it as it is.
    """

    lowest: Tensor
    highest: Tensor
    seen: Tensor

    def __init__(self, bits: int, updates: int = RANGE_UPDATES) -> None:
        super().__init__()
        self.bits, self.updates = bits, updates
        for name in ("lowest", "highest"):
            self.register_buffer(name, torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """A tensor of any shape -> the same."""
        if self.training:
            # No branch on what the device knows: it would have to be waited for.
            grows, values = self.seen < self.updates, x.detach().float()
            self.lowest.copy_(torch.where(grows, torch.minimum(self.lowest, values.min()), self.lowest))
            self.highest.copy_(torch.where(grows, torch.maximum(self.highest, values.max()), self.highest))
            self.seen.add_(grows)
        return quantised_values(x, self.lowest.to(x.dtype), self.highest.to(x.dtype), self.bits)


def quantised(network: Network, bits: int, *, updates: int = RANGE_UPDATES) -> Network:
    """A copy of a network by itself with quantised weights and activations of so many bits.

    Its state has the ranges of activations and every quantised weight as it was, under `parametrizations`. It has no
    ranges yet: it has to take training steps, of which `updates` set them. Raises ValueError for less than FEWEST bits.
    """
    if bits < FEWEST:
        raise ValueError(f"bits must be {FEWEST} or more, got {bits}")
    network = copy.deepcopy(network)
    weighted = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear, nn.PReLU))]
    activated = [module for module in network.trunk.modules() if isinstance(module, (*_ACTIVATIONS, SearchedBlock))]
    for module in weighted:
        by_channel = not isinstance(module, nn.PReLU)
        parametrize.register_parametrization(module, "weight", WeightQuantiser(bits, by_channel))
    for module in activated:
        module.add_module("quantiser", ActivationQuantiser(bits, updates))
        module.register_forward_hook(_behind)
    return network.train(network.training)


def quantisers(network: nn.Module) -> dict[str, ActivationQuantiser]:
    """The quantisers of activations, by their names."""
    return {name: module for name, module in network.named_modules() if isinstance(module, ActivationQuantiser)}


def _behind(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return module.quantiser(output)
