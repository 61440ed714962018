"""What a network is made of and what it costs, as lines and as data for a drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dualfair.presentation.table import Column, table
from dualfair.reporting.architecture import architecture
from dualfair.runs.watching import Say, silent
from dualfair.supernet.families.backbone import PREFIX, Backbone
from dualfair.supernet.genotype import HEAD_NAMES, Genotype
from dualfair.supernet.space import SPACES

if TYPE_CHECKING:
    from torch import nn

    from dualfair.supernet.skeleton import Skeleton


@dataclass(frozen=True)
class Description:
    """A network as `architecture` has it, which a drawing is made of, and `notes` on where it comes from."""

    architecture: Mapping
    notes: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The network as lines of text: a row a block, the cost of every part, and the notes."""
        return [*_lines(self.architecture), *self.notes]


def describe(
    network: str, *, skeleton: str = "nano", blocks: str = "", size: int = 0, heads: str = "", say: Say = silent
) -> Description:
    """The network of a genotype or of a backbone's name on a skeleton, or of a training's folder, as it was trained.

    `say` hears of damaged checkpoints. Raises ValueError for what is no network, or does not fit the skeleton.
    """
    from dualfair.runs.architectures import open_skeleton

    if Path(network).is_dir():
        return _trained(Path(network), say)
    shape = open_skeleton(skeleton, blocks, size, heads)
    return _backbone(network, shape) if network.startswith(PREFIX) else _searched(network, shape)


def _searched(text: str, skeleton: Skeleton) -> Description:
    """The network of a genotype, and the built-in spaces that it lies in."""
    described = architecture(text, skeleton)
    heads = (*HEAD_NAMES, *(head.name for head in skeleton.own_heads))
    if described["head"] not in heads:
        raise ValueError(f"genotype '{text}' needs a head: one of {', '.join(heads)}, as in '101:cosface'")
    genotype = Genotype.parse(described["genotype"])
    blocks = len(described["blocks"])
    homes = [name for name, space in SPACES.items() if blocks == space.blocks and genotype in space]
    return Description(described, (f"in the spaces: {', '.join(homes)}",) if homes else ())


def _backbone(text: str, skeleton: Skeleton) -> Description:
    """A backbone for images and embeddings of a skeleton's sizes."""
    from dualfair.supernet.families.backbone_network import build_backbone

    return Description(_measured(build_backbone(text, skeleton).eval(), text))


def _trained(folder: Path, say: Say) -> Description:
    """The network of a training's folder; its whole cost is measured while it runs."""
    from dualfair.runs.devices import choose_device
    from dualfair.runs.standalone import open_standalone

    opened = open_standalone(folder, choose_device("cpu"), say)
    training, network = opened.training, opened.network
    trained_as = f"trained as {training.label} with seed {training.seed} on {opened.identities:,} people"
    measured = _measured(network, str(training.network))
    if isinstance(training.network, Backbone):
        return Description(measured, (trained_as,))
    described = _searched(str(training.network), network.skeleton)
    weights, multiplied = measured["costs"]["total"].values()
    cost = f"measured while it runs: {weights:,} parameters, {multiplied:,} MACs"
    return Description(described.architecture, (trained_as, cost, *described.notes))


def _measured(network: nn.Module, name: str) -> dict:
    """What `architecture` says of a genotype, of a network without searched blocks."""
    from dualfair.evaluation.cost import measured_cost

    family, _, head = name.partition(":")
    size, neck = network.skeleton.image_size, network.heads[head].neck
    weights, multiplied = measured_cost(network, size)
    learnt = sum(weight.numel() for weight in neck.parameters() if weight.requires_grad)
    linear = neck.linear.weight.numel()
    return {
        "genotype": name,
        "head": head,
        "skeleton": network.skeleton.name,
        "image_size": size,
        "stem": {"what": family, "width": neck.linear.in_features, "side": 1},
        "blocks": [],
        "tail": "",
        "features": neck.linear.in_features,
        "embedding": neck.linear.out_features,
        "costs": {
            "backbone": {"parameters": weights - learnt, "macs": multiplied - linear},
            "neck": {"parameters": learnt, "macs": linear},
            "total": {"parameters": weights, "macs": multiplied},
        },
    }


def _lines(network: Mapping) -> list[str]:
    on = f"on skeleton {network['skeleton']}, " if network["blocks"] else ""
    stem = network["stem"]
    lines = [
        f"{network['genotype']}  {on}{network['image_size']} px, head {network['head']}, "
        f"embedding {network['embedding']:,}",
        f"{stem['what']}: {stem['width']:,} channels of {stem['side']} x {stem['side']}",
    ]
    if network["blocks"]:
        columns = [Column(name, "whole") for name in ("block", "in", "out", "stride", "side")]
        columns += [Column("operations, first to last", "text"), Column("parameters", "whole"), Column("MACs", "whole")]
        names = ("block", "in", "out", "stride", "side", "operations", "parameters", "macs")
        blocks = [
            {**block, "operations": " ".join(operation["name"] for operation in block["operations"])}
            for block in network["blocks"]
        ]
        lines += table(columns, [[block[name] for name in names] for block in blocks]).lines()
    for part, cost in network["costs"].items():
        title = "total with stem, tail and neck" if part == "total" and network["blocks"] else part
        lines.append(f"{title}: {cost['parameters']:,} parameters, {cost['macs']:,} MACs")
    return lines
