"""Dual path networks: the block with its searched positions, the trunk, and the standalone network of a genotype.

Shape legend: B batch, C channels, H height, W width, D embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence

import torch
from timm.layers import BatchNormAct2d, create_conv2d
from torch import Tensor, nn

from supernet.genotype import Genotype
from supernet.heads import make_head
from supernet.operations import OPERATION_NAMES, OPERATIONS
from supernet.skeleton import BlockShape, Skeleton, skeleton_of

_EPSILON = 1e-3


class NormalisedConv(nn.Module):
    """A candidate operation: a bias-free convolution with BN and ReLU before it, behind it, or without them."""

    def __init__(self, norm: str, in_channels: int, out_channels: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.pre = norm == "pre"
        self.conv = create_conv2d(in_channels, out_channels, kernel, stride=stride, groups=groups, padding=kernel // 2)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_in", nonlinearity="relu" if norm else "linear")
        self.bn = BatchNormAct2d(in_channels if self.pre else out_channels, eps=_EPSILON) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride)."""
        if self.bn is None:
            return self.conv(x)
        return self.conv(self.bn(x)) if self.pre else self.bn(self.conv(x))


class DualPathBlock(nn.Module):
    """A dual path block (DPN, figure 2) with candidate operations at its three searched positions.

    Residual path (the first `residual` channels) and dense path travel as one concatenated tensor, as in timm.
    `candidates` names the operations held at each position: all of them in a supernet, one in a standalone network.
    """

    def __init__(self, shape: BlockShape, candidates: Sequence[Iterable[str]]) -> None:
        super().__init__()
        self.shape = shape
        self.shortcut = None
        if shape.shortcut:
            width = shape.residual + 2 * shape.increment
            self.shortcut = NormalisedConv("pre", shape.in_channels, width, 1, shape.stride, 1)
        self.positions = nn.ModuleList()
        for names, (in_channels, out_channels, groups, stride) in zip(candidates, shape.positions, strict=True):
            row = nn.ModuleDict()
            for name in names:
                operation = OPERATIONS[name]
                row[name] = NormalisedConv(operation.norm, in_channels, out_channels, operation.kernel, stride, groups)
            self.positions.append(row)

    def carry(self, x: Tensor) -> Tensor:
        """What travels past the searched positions: x itself, or its shortcut where channels or side change."""
        return x if self.shortcut is None else self.shortcut(x)

    def operation(self, position: int, code: int) -> NormalisedConv:
        """The candidate operation that a code names."""
        return self.positions[position][OPERATION_NAMES[code]]

    def join(self, carried: Tensor, x: Tensor) -> Tensor:
        """Add the residual channels of what was carried and what was computed, and put the dense ones side by side."""
        residual = self.shape.residual
        added = carried[:, :residual] + x[:, :residual]
        return torch.cat([added, carried[:, residual:], x[:, residual:]], dim=1)

    def forward(self, x: Tensor, codes: Sequence[int], carried: Tensor | None = None) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride) along the operations that `codes` names.

        `carried` is what `carry` said of x, for callers who have it at hand.
        """
        carried = self.carry(x) if carried is None else carried
        for position, code in enumerate(codes):
            x = self.operation(position, code)(x)
        return self.join(carried, x)


class Stem(nn.Module):
    """The first convolution of stride 2 with BN and ReLU, and with `stem_pool` a 3 x 3 max pool of stride 2."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.conv = NormalisedConv("post", 3, skeleton.stem_width, skeleton.stem_kernel, 2, 1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if skeleton.stem_pool else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, stem width, H / 2 or H / 4, W / 2 or W / 4)."""
        return self.pool(self.conv(images))


class Trunk(nn.Module):
    """Everything before the heads: stem, dual path blocks, and the last BN with ELU."""

    def __init__(self, skeleton: Skeleton, candidates: Sequence[Sequence[Iterable[str]]]) -> None:
        super().__init__()
        self.stem = Stem(skeleton)
        self.blocks = nn.ModuleList(
            DualPathBlock(shape, names) for shape, names in zip(skeleton.block_shapes(), candidates, strict=True)
        )
        self.tail = BatchNormAct2d(skeleton.features, eps=_EPSILON, act_layer=nn.ELU, inplace=False)

    def begin(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What all paths begin with: the stem's output (B, C, h, w), and what the first block carries of it."""
        x = self.stem(images)
        return x, self.blocks[0].carry(x)

    def finish(self, begun: tuple[Tensor, Tensor], blocks: Sequence[Sequence[int]]) -> Tensor:
        """From where `begin` left off, along the codes of every block, to the features (B, C, h, w)."""
        x, carried = begun
        for block, codes in zip(self.blocks, blocks, strict=True):
            x = block(x, codes, carried)
            carried = None
        return self.tail(x)

    def norms(self, blocks: Sequence[Sequence[int]] | None) -> Iterator[nn.Module]:
        """The norms that run behind `begin` along the codes of every block; for None those that run in `begin`."""
        if blocks is None:
            yield self.stem.conv.bn
            yield self.blocks[0].shortcut.bn
            return
        for number, (block, codes) in enumerate(zip(self.blocks, blocks, strict=True)):
            if number > 0 and block.shortcut is not None:
                yield block.shortcut.bn
            operations = (block.operation(position, code) for position, code in enumerate(codes))
            yield from (operation.bn for operation in operations if operation.bn is not None)
        yield self.tail

    def forward(self, images: Tensor, blocks: Sequence[Sequence[int]]) -> Tensor:
        """(B, 3, H, W) and the codes of every block -> features (B, C, h, w)."""
        return self.finish(self.begin(images), blocks)


class StandaloneNetwork(nn.Module):
    """The network of one genotype and nothing else; its weights have the names they have in the supernet."""

    def __init__(self, genotype: Genotype, skeleton: Skeleton, identities: int) -> None:
        super().__init__()
        self.genotype = genotype
        self.skeleton = skeleton
        candidates = [[[OPERATION_NAMES[code]] for code in codes] for codes in genotype.blocks]
        self.trunk = Trunk(skeleton, candidates)
        self.heads = nn.ModuleDict({genotype.head: make_head(genotype.head, skeleton, identities)})

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] -> embeddings (B, D), not normalised."""
        return self.heads[self.genotype.head].neck(self.trunk(images, self.genotype.blocks))


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
