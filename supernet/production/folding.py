"""Batch normalisation folded into the convolution or linear layer in front of it: fewer layers, the same embeddings.

Behind a convolution with weights w and bias b, BN with mean m, variance v, scale g and shift s is the convolution with
weights w g / sqrt(v + eps) and bias (b - m) g / sqrt(v + eps) + s. BN in front of a convolution cannot be folded into
it: zero padding comes between them, and ReLU. It can where another convolution's output is all that it reads.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrize import is_parametrized

from dualfair.supernet.convolution import NormalisedConv
from dualfair.supernet.heads import NORMALISING
from dualfair.supernet.trunk import SearchedBlock


@dataclass(frozen=True)
class Folding:
    """Names of the norms that were folded, and of those that stay because no single layer makes what they read."""

    folded: tuple[str, ...]
    kept: tuple[str, ...]


def fold(network: nn.Module) -> Folding:
    """Fold, in place, what can be folded of a standalone network in evaluation mode; says which norms these were.

    Folded are the norms of convolutions with BN behind them (stem, "post" operations), those of "pre" operations whose
    input is another searched convolution of their block, and the neck's. Norms of concatenated paths and those inside
    a backbone of timm's stay. Embeddings change by rounding only; the network's weights have other names and shapes
    afterwards. Folding an untrained network builds the structure that folded weights fit into.
    """
    names = {module: name for name, module in network.named_modules()}
    folded = []
    for owner, layer in _pairs(network):
        folded.append(names[owner.bn])
        _absorb(layer, owner.bn)
        owner.bn = owner.bn.act if isinstance(owner.bn, BatchNormAct2d) else nn.Identity()
    kept = [name for name, module in network.named_modules() if isinstance(module, _BatchNorm)]
    return Folding(tuple(sorted(folded)), tuple(sorted(kept)))


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Modules whose `bn` reads nothing but the output of the layer that is given with it."""
    for module in network.modules():
        if isinstance(module, NormalisedConv) and not module.pre and isinstance(module.bn, _BatchNorm):
            yield module, module.conv
        elif isinstance(module, NORMALISING) and isinstance(module.bn, _BatchNorm):
            yield module, module.linear
        elif isinstance(module, SearchedBlock) and type(module).forward is SearchedBlock.forward:
            yield from _neighbours(module)


def _neighbours(block: SearchedBlock) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Operations of a block that begin with a norm, behind one that ends in a convolution."""
    if any(len(position) != 1 for position in block.positions):
        return
    operations = [next(iter(position.values())) for position in block.positions]
    for before, module in pairwise(operations):
        both = isinstance(before, NormalisedConv) and isinstance(module, NormalisedConv)
        if both and (before.pre or before.bn is None) and module.pre and isinstance(module.bn, _BatchNorm):
            yield module, before.conv


@torch.no_grad()
def _absorb(layer: nn.Conv2d | nn.Linear, norm: _BatchNorm) -> None:
    """Give a layer the weights and the bias that make the norm behind it superfluous."""
    gain, moved = (norm.weight.double(), norm.bias.double()) if norm.affine else (1.0, 0.0)
    scale = gain / (norm.running_var.double() + norm.eps).sqrt()
    bias = 0.0 if layer.bias is None else layer.bias.double()
    shift = (bias - norm.running_mean.double()) * scale + moved
    # Of a fake-quantised layer the weights as they are in front of rounding: rounding by output channels is as before.
    weight = layer.parametrizations.weight.original if is_parametrized(layer, "weight") else layer.weight
    weight.copy_(weight.double() * scale.reshape(-1, *[1] * (weight.ndim - 1)))
    layer.bias = nn.Parameter(shift.to(weight))
