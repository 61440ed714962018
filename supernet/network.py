"""The supernet, with every candidate operation and every head, the standalone network of one path, and what any
network by itself keeps; BN statistics of one path are measured anew on copies, never in the supernet itself.

Shape legend: B batch, H height, W width, D embedding.
"""

import copy
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.genotype import MARGIN_HEADS, Genotype
from dualfair.supernet.heads import make_head
from dualfair.supernet.skeleton import Skeleton, skeleton_of


class Network(Protocol):
    """A network by itself, searched or not: `StandaloneNetwork`, or `families.backbone_network.BackboneNetwork`.

    It is a torch module that is called with images. `spec` says which network it is; it prints and parses back, and its
    `blocks` and `head` say what runs. `skeleton` has the size of images and of the embedding. `trunk` takes images and
    `spec.blocks` to features (`trunk.Trunk`), and `heads[spec.head]` is the one head, whose neck embeds these.
    """

    spec: Genotype | Backbone
    skeleton: Skeleton
    trunk: nn.Module
    heads: nn.ModuleDict

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> embeddings (B, D), not normalised."""
        ...


class StandaloneNetwork(nn.Module):
    """The network of one genotype and nothing else; its weights have the names they have in the supernet."""

    def __init__(self, genotype: Genotype, skeleton: Skeleton, identities: int) -> None:
        super().__init__()
        self.spec = genotype
        self.skeleton = skeleton
        self.trunk = skeleton.make_trunk([[(code,) for code in codes] for codes in genotype.blocks])
        self.heads = nn.ModuleDict({genotype.head: make_head(genotype.head, skeleton, identities)})

    @property
    def genotype(self) -> Genotype:
        """The `spec` of a searched network."""
        return self.spec

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> embeddings (B, D), not normalised."""
        return self.heads[self.spec.head].neck(self.trunk(images, self.spec.blocks))


class Supernet(nn.Module):
    """All networks of a skeleton at once. Which one answers is an argument, never a mode: `supernet(images, path)`.

    `trunk.stem`, `trunk.blocks[i]`, `trunk.tail` and `heads[name].neck` are the stages that a scorer may run one
    by one; a subnet's output equals, bit for bit, that of the network that `extract` returns.
    """

    def __init__(self, skeleton: Skeleton | str, identities: int = 0, heads: Sequence[str] = MARGIN_HEADS) -> None:
        super().__init__()
        self.skeleton = skeleton_of(skeleton)
        self.identities = identities
        codes = tuple(range(len(self.skeleton.operations)))
        self.trunk = self.skeleton.make_trunk([[codes] * len(places) for places in self.skeleton.block_places()])
        self.heads = nn.ModuleDict({name: make_head(name, self.skeleton, identities) for name in heads})

    def forward(self, images: Tensor, path: Genotype) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> embeddings (B, D) of the subnet `path`, not normalised."""
        return self.heads[path.head].neck(self.trunk(images, path.blocks))

    def extract(self, path: Genotype | str) -> StandaloneNetwork:
        """The standalone network of `path` with a copy of the weights and BN statistics that it inherits."""
        network = StandaloneNetwork(self.skeleton.fit(path), self.skeleton, self.identities)
        weights = self.state_dict()
        network.load_state_dict({name: weights[name] for name in network.state_dict()})
        network.to(next(self.parameters()).device)
        return network.train(self.training)


def build(genotype: Genotype | str, skeleton: Skeleton | str, identities: int = 0) -> StandaloneNetwork:
    """The standalone network of a genotype, freshly initialised from torch's global generator.

    `identities` is the number of training identities that the head classifies; 0 builds it for embedding only.
    Raises ValueError when the genotype does not fit the skeleton, or names an unknown operation or head.
    """
    skeleton = skeleton_of(skeleton)
    return StandaloneNetwork(skeleton.fit(genotype), skeleton, identities)


def with_own_statistics(module: nn.Module) -> nn.Module:
    """A copy that shares every weight with `module` but owns its buffers, BN statistics above all."""
    return copy.deepcopy(module, {id(parameter): parameter for parameter in module.parameters()})


def calibrate_stage(stage: nn.Module, *inputs: object) -> Tensor:
    """Set the BN statistics of `stage` to those of one batch, leave it in evaluation mode, return its output.

    The output is computed with the batch's own statistics, so that the next stage sees what this one saw: calling
    this stage after stage equals calibrating the whole network on the same batch. `stage` is changed; hand over a
    copy that owns its statistics (`with_own_statistics`).
    """
    norms = [module for module in stage.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    # Only norms: layers that drop something at random would give statistics of what no face ever meets.
    stage.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        output = stage(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    stage.eval()
    return output
