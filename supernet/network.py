"""The supernet: every candidate operation at every position, and every head, in one set of weights."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from supernet.dpn import StandaloneNetwork, Trunk
from supernet.genotype import HEAD_NAMES, Genotype
from supernet.heads import make_head
from supernet.operations import OPERATION_NAMES
from supernet.skeleton import Skeleton, skeleton_of


class Supernet(nn.Module):
    """All networks of a skeleton at once. Which one answers is an argument, never a mode: `supernet(images, path)`.

    `trunk.stem`, `trunk.blocks[i]`, `trunk.tail` and `heads[name].neck` are the stages that a scorer may run one
    by one; a subnet's output equals, bit for bit, that of the network that `extract` returns.
    """

    def __init__(self, skeleton: Skeleton | str, identities: int = 0, heads: Sequence[str] = HEAD_NAMES) -> None:
        super().__init__()
        self.skeleton = skeleton_of(skeleton)
        self.identities = identities
        every = [[OPERATION_NAMES] * 3] * sum(self.skeleton.blocks)
        self.trunk = Trunk(self.skeleton, every)
        self.heads = nn.ModuleDict({name: make_head(name, self.skeleton, identities) for name in heads})

    def forward(self, images: Tensor, path: Genotype) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> embeddings (B, D) of the subnet `path`, not normalised."""
        return self.heads[path.head].neck(self.trunk(images, path.blocks))

    def extract(self, path: Genotype | str) -> StandaloneNetwork:
        """The standalone network of `path` with a copy of the weights and BN statistics that it inherits."""
        network = StandaloneNetwork(self.skeleton.fit(path), self.skeleton, self.identities)
        own = self.state_dict()
        network.load_state_dict({name: own[name] for name in network.state_dict()})
        network.to(next(self.parameters()).device)
        return network.train(self.training)
