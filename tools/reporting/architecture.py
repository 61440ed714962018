"""What a network is made of and what it costs: as data for a drawing, and as lines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dualfair.evaluation.cost import block_costs, embedding_length, macs, measured_cost, parameters
from dualfair.presentation.table import Column, table
from dualfair.runs.watching import Say, silent
from dualfair.supernet.families.backbone import PREFIX, Backbone
from dualfair.supernet.families.sized import SizedGenotype
from dualfair.supernet.genotype import HEAD_NAMES, Genotype
from dualfair.supernet.skeleton import DualPathSkeleton, Skeleton
from dualfair.supernet.space import SPACES

if TYPE_CHECKING:
    from torch import nn


def architecture(network: Genotype | str, skeleton: Skeleton) -> dict:
    """The blocks of a network on a skeleton, first to last, and what every part costs.

    {"genotype", "head", "skeleton", "image_size", "stem": {"what", "width", "side"}, "blocks": [{"block", "in", "out",
    "stride", "shortcut", "side": of its output in px, "operations": [{"name", "norm", "in", "out", "groups"}],
    "parameters", "macs"}], "tail": in words, "features", "embedding", "costs": {"stem and tail", "blocks", "neck",
    "total": {"parameters", "macs"}}}. The norm is None for operations that have none. Raises ValueError for a genotype
    that does not fit.
    """
    genotype = skeleton.fit(network)
    first, dual_path = skeleton.block_places()[0][0], isinstance(skeleton, DualPathSkeleton)
    stem = f"stem {skeleton.stem_kernel}x{skeleton.stem_kernel}, stride 2" if dual_path else "stem"
    blocks = _blocks(genotype, skeleton)
    total = {"parameters": parameters(genotype, skeleton), "macs": macs(genotype, skeleton)}
    stem_and_tail = zip(total, skeleton.stem_cost(), skeleton.tail_cost(), strict=True)
    ends = {name: at_stem + at_tail for name, at_stem, at_tail in stem_and_tail}
    inside = {name: sum(block[name] for block in blocks) for name in total}
    neck = {name: total[name] - ends[name] - inside[name] for name in total}
    return {
        "genotype": str(genotype),
        "head": genotype.head,
        "skeleton": skeleton.name,
        "image_size": skeleton.image_size,
        "stem": {
            "what": f"{stem}, 3x3 max pool" if dual_path and skeleton.stem_pool else stem,
            "width": first.in_channels,
            "side": first.side,
        },
        "blocks": blocks,
        "tail": "BN, ELU" if dual_path else "tail",
        "features": skeleton.features,
        "embedding": embedding_length(genotype.head, skeleton),
        "costs": {"stem and tail": ends, "blocks": inside, "neck": neck, "total": total},
    }


def _blocks(genotype: Genotype, skeleton: Skeleton) -> list[dict]:
    """The rows of the blocks. What a block gives is what the next one reads, and the last one its last operation."""
    places, shortcuts = skeleton.block_places(), skeleton.shortcut_layers()
    last = places[-1][-1]
    sides = [*(row[0].side for row in places[1:]), last.out_side]
    behind = zip(skeleton.block_channels(), sides, strict=True)
    costs, blocks = block_costs(genotype, skeleton), []
    for codes, row, (out, side), shortcut, (weights, multiplied) in zip(
        genotype.blocks, places, behind, shortcuts, costs, strict=True
    ):
        operations = [
            # An operation of one's own need not have a norm.
            {
                "name": skeleton.operations[code].name,
                "norm": getattr(skeleton.operations[code], "norm", None),
                "in": place.in_channels,
                "out": place.out_channels,
                "groups": place.groups,
            }
            for code, place in zip(codes, row, strict=True)
        ]
        block = {"block": len(blocks) + 1, "in": row[0].in_channels, "out": out, "side": side}
        block |= {"stride": math.prod(place.stride for place in row), "shortcut": shortcut is not None}
        blocks.append({**block, "operations": operations, "parameters": weights, "macs": multiplied})
    return blocks


def lines(network: Mapping) -> list[str]:
    """A network that is described as lines of text: a row a block, the cost of every part, and the notes."""
    stem, blocks = network["stem"], network["blocks"]
    on = f"on skeleton {network['skeleton']}, " if blocks else ""
    size = f"{network['image_size']} px, head {network['head']}, embedding {network['embedding']:,}"
    text = [
        f"{network['genotype']}  {on}{size}",
        f"{stem['what']}: {stem['width']:,} channels of {stem['side']} x {stem['side']}",
    ]
    if blocks:
        shape, costs = ("block", "in", "out", "stride", "side"), ("parameters", "macs")
        columns = [*(Column(name, "whole") for name in shape), Column("operations, first to last", "text")]
        rows = []
        for block in blocks:
            operations = " ".join(operation["name"] for operation in block["operations"])
            rows.append([*(block[name] for name in shape), operations, *(block[name] for name in costs)])
        text += table([*columns, Column("parameters", "whole"), Column("MACs", "whole")], rows).lines()
    for part, cost in network["costs"].items():
        title = "total with stem, tail and neck" if part == "total" and blocks else part
        text.append(f"{title}: {cost['parameters']:,} parameters, {cost['macs']:,} MACs")
    return [*text, *network["notes"]]


def describe(
    network: str, *, skeleton: str = "nano", blocks: str = "", size: int = 0, heads: str = "", say: Say = silent
) -> dict:
    """The network of a genotype or of a backbone's name on a skeleton, or of a training's folder, as it was trained:
    its `architecture`, and in "notes" where it comes from. A genotype behind a name of `skeleton.SIZED` and a slash,
    such as ir-d8-w64/1:adaface, is on that skeleton.

    `say` hears of damaged checkpoints. Raises ValueError for what is no network, or does not fit the skeleton.
    """
    from dualfair.runs.architectures import open_skeleton
    from dualfair.supernet.families.backbone_network import build_backbone

    if Path(network).is_dir():
        return _trained(Path(network), say)
    if "/" in network:
        named = SizedGenotype.parse(network)
        if skeleton not in ("nano", named.skeleton):
            raise ValueError(f"{network} is on skeleton {named.skeleton}, not on {skeleton}; leave --skeleton out")
        skeleton, network = named.skeleton, str(named.genotype)
    shape = open_skeleton(skeleton, blocks, size, heads)
    if network.startswith(PREFIX):
        return {**_measured(build_backbone(network, shape).eval(), network), "notes": []}
    return _searched(network, shape)


def _searched(text: str, skeleton: Skeleton) -> dict:
    """The network of a genotype, and the built-in spaces that it lies in."""
    described = architecture(text, skeleton)
    heads = (*HEAD_NAMES, *(head.name for head in skeleton.own_heads))
    if described["head"] not in heads:
        raise ValueError(f"genotype '{text}' needs a head: one of {', '.join(heads)}, as in '101:cosface'")
    genotype, blocks = Genotype.parse(described["genotype"]), len(described["blocks"])
    homes = [name for name, space in SPACES.items() if blocks == space.blocks and genotype in space]
    return {**described, "notes": [f"in the spaces: {', '.join(homes)}"] if homes else []}


def _trained(folder: Path, say: Say) -> dict:
    """The network of a training's folder; its whole cost is measured while it runs."""
    from dualfair.runs.devices import choose_device
    from dualfair.runs.standalone import open_standalone

    opened = open_standalone(folder, choose_device("cpu"), say)
    training, network = opened.training, opened.network
    told_apart = "classes" if opened.classes else "people"
    trained_as = f"trained as {training.label} with seed {training.seed} on {opened.identities:,} {told_apart}"
    trained_as += f", then quantised to {opened.bits} bits in simulation" if opened.bits else ""
    measured = _measured(network, str(training.network))
    if isinstance(training.network, Backbone):
        return {**measured, "notes": [trained_as]}
    described = _searched(str(network.spec), network.skeleton)
    weights, multiplied = measured["costs"]["total"].values()
    cost = f"measured while it runs: {weights:,} parameters, {multiplied:,} MACs"
    return {**described, "notes": [trained_as, cost, *described["notes"]]}


def _measured(network: nn.Module, name: str) -> dict:
    """What `architecture` says of a genotype, of a network without searched blocks."""
    family, _, head = name.partition(":")
    size, neck = network.skeleton.image_size, network.heads[head].neck
    weights, multiplied = measured_cost(network, size)
    learnt = sum(weight.numel() for weight in neck.parameters() if weight.requires_grad)
    # One that only pools has no linear layer.
    linear = sum(weight.numel() for weight in neck.parameters() if weight.ndim == 2)
    return {
        "genotype": name,
        "head": head,
        "skeleton": network.skeleton.name,
        "image_size": size,
        "stem": {"what": family, "width": neck.features, "side": 1},
        "blocks": [],
        "tail": "",
        "features": neck.features,
        "embedding": neck.embedding,
        "costs": {
            "backbone": {"parameters": weights - learnt, "macs": multiplied - linear},
            "neck": {"parameters": learnt, "macs": linear},
            "total": {"parameters": weights, "macs": multiplied},
        },
    }
