"""Embedding faces by a standalone network: ours, and timm's dual path networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import timm
import torch
from timm.layers import BatchNormAct2d, ConvNormAct
from timm.models.dpn import BnAct, DualPathBlock
from torch import nn

from dualfair.benchmarks.memory import peaks
from dualfair.benchmarks.report import Contest, rounded
from dualfair.benchmarks.roofline import count_flops
from dualfair.benchmarks.setting import Setting, scored_faces
from dualfair.evaluation.cost import macs
from dualfair.evaluation.scoring.embedding import embed, network_input
from dualfair.planning.stopwatch import compare
from dualfair.supernet.network import build
from dualfair.supernet.skeleton import Skeleton

GENOTYPE = "101:cosface"
"""The operations of timm's own blocks."""

BATCHES = 2
"""Batches that a call embeds."""


TIMM_MODELS = {"small": "dpn68", "paper": "dpn107"}
"""timm's networks with the widths of a skeleton; their depth is an argument."""


def timm_network(skeleton: Skeleton) -> nn.Module:
    """timm's dual path network in the skeleton's shape: its own model, or, for other widths, one of its parts."""
    if skeleton.name in TIMM_MODELS:
        return timm.create_model(TIMM_MODELS[skeleton.name], k_sec=skeleton.blocks, num_classes=skeleton.embedding)
    return timm_parts(skeleton)


def timm_parts(skeleton: Skeleton) -> nn.Module:
    """The network that GENOTYPE names, of timm's parts, with timm's classifier as neck."""
    norm = partial(BatchNormAct2d, eps=1e-3)
    blocks = []
    for block in skeleton.block_shapes():
        kind = "normal" if not block.shortcut else "down" if block.stride == 2 else "proj"
        widths = (block.in_channels, block.bottleneck, block.bottleneck, block.residual, block.increment)
        blocks.append(DualPathBlock(*widths, block.groups, kind))
    return nn.Sequential(
        ConvNormAct(3, skeleton.stem_width, kernel_size=skeleton.stem_kernel, stride=2, norm_layer=norm),
        nn.MaxPool2d(3, stride=2, padding=1) if skeleton.stem_pool else nn.Identity(),
        *blocks,
        BnAct(skeleton.features, norm_layer=partial(BatchNormAct2d, act_layer=nn.ELU, inplace=False)),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(skeleton.features, skeleton.embedding, kernel_size=1),
        nn.Flatten(),
    )


def our_network(skeleton: Skeleton) -> nn.Module:
    """The standalone network of GENOTYPE."""
    return build(GENOTYPE, skeleton)


def _contestant(make: Callable[[Skeleton], nn.Module]) -> Callable[[Setting], Callable[[], object]]:
    def contestant(setting: Setting) -> Callable[[], object]:
        torch.manual_seed(setting.seed)
        network = make(setting.shape).to(setting.device, memory_format=torch.channels_last).eval()
        faces = scored_faces(setting, BATCHES * setting.batch)
        return lambda: embed(network, faces, batch=setting.batch)

    return contestant


CONTESTANTS = {"plain": _contestant(timm_network), "ours": _contestant(our_network)}


def run(setting: Setting) -> list[Contest]:
    """Ours against timm's network in the same shape, with what either costs."""
    depth = "-".join(map(str, setting.shape.blocks))
    name = f"timm {TIMM_MODELS.get(setting.skeleton, 'parts')}, {depth} blocks"
    images = BATCHES * setting.batch
    contestants = [make(setting) for make in CONTESTANTS.values()]
    comparison = compare(*contestants, repeats=setting.repeats, synchronise=setting.synchronise)
    costs = {"plain": counted_macs(timm_network, setting), "ours": counted_macs(our_network, setting)}
    speeds = {
        "plain": 2 * images * costs["plain"] / comparison.plain.median,
        "ours": 2 * images * costs["ours"] / comparison.ours.median,
    }
    return [
        Contest(
            title=f"embedding: {images} images (random pixels), each mirrored too, {GENOTYPE} and its like in timm",
            plain=name,
            ours="DualFair",
            work=images,
            unit="images",
            comparison=comparison,
            peaks=peaks(setting, "embedding"),
            facts={
                "MACs an image": costs,
                "MACs an image by formula": macs(GENOTYPE, setting.shape),
                "images x MACs per second, mirror images counted": speeds,
            },
            notes=(
                f"MACs an image: timm {rounded(costs['plain'] / 1e6)} M, ours {rounded(costs['ours'] / 1e6)} M; "
                f"{rounded(speeds['plain'] / 1e9)} and {rounded(speeds['ours'] / 1e9)} GMAC/s, mirror images counted",
            ),
        )
    ]


def counted_macs(make: Callable[[Skeleton], nn.Module], setting: Setting) -> int:
    """Multiply-accumulates of one image, counted as the network runs, not by formula."""
    network = make(setting.shape).eval()
    images = network_input(scored_faces(setting, 1), np.arange(1), "cpu")
    with torch.no_grad():
        return count_flops(lambda: network(images)) // 2
