"""`dualfair show`: what a network is made of and what it costs, as text and as a drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dualfair.supernet.families.backbone import PREFIX

if TYPE_CHECKING:
    from torch import nn

    from dualfair.supernet.skeleton import Skeleton


@click.command()
@click.argument("genotype")
@click.option("--skeleton", default="nano", show_default=True, help="nano, small, paper, or module:object.")
@click.option("--blocks", default="", help="Blocks of every stage, e.g. 3-4-20-3.  [default: 1-1-1-1]")
@click.option("--size", type=int, default=0, help="Side of the input in pixels.  [default: the skeleton's]")
@click.option("--heads", default="", help="Heads of your own as module:function, joined by ','.")
@click.option("--svg", type=click.Path(path_type=Path), help="Draw it into this file, whose name ends in .svg.")
def command(genotype: str, skeleton: str, blocks: str, size: int, heads: str, svg: Path | None) -> None:
    """Describe the network of GENOTYPE, e.g. 101-101-000-680:cosface, or 101:cosface for the same in every block.

    A backbone of timm's is named like timm.resnet18:cosface. The folder of a trained network, such as
    RUN/retrain/GENOTYPE/seed-0, is described as it was trained, whatever the options say.
    """
    from dualfair.reporting.drawings import network_picture
    from dualfair.runs.architectures import open_skeleton
    from dualfair.supernet.files import write_bytes

    if svg is not None and svg.suffix != ".svg":
        raise ValueError(f"svg must name a file that ends in .svg, got {str(svg)!r}")
    if Path(genotype).is_dir():
        found, lines = _trained(Path(genotype))
    else:
        shape = open_skeleton(skeleton, blocks, size, heads)
        found, lines = _backbone(genotype, shape) if genotype.startswith(PREFIX) else _searched(genotype, shape)
    for line in (*_described(found), *lines):
        click.echo(line)
    if svg is not None:
        write_bytes(svg, network_picture(found).encode())
        click.echo(f"drawn: {svg}")


def _searched(text: str, skeleton: Skeleton) -> tuple[dict, list[str]]:
    """The network of a genotype, and the built-in spaces that it lies in."""
    from dualfair.reporting.architecture import architecture
    from dualfair.supernet.genotype import HEAD_NAMES, Genotype
    from dualfair.supernet.space import SPACES

    found = architecture(text, skeleton)
    heads = (*HEAD_NAMES, *(head.name for head in skeleton.own_heads))
    if found["head"] not in heads:
        raise ValueError(f"genotype '{text}' needs a head: one of {', '.join(heads)}, as in '101:cosface'")
    genotype = Genotype.parse(found["genotype"])
    blocks = len(found["blocks"])
    homes = [name for name, space in SPACES.items() if blocks == space.blocks and genotype in space]
    return found, [f"in the spaces: {', '.join(homes)}"] if homes else []


def _backbone(text: str, skeleton: Skeleton) -> tuple[dict, list[str]]:
    """A backbone for images and embeddings of a skeleton's sizes."""
    from dualfair.supernet.families.backbone_network import build_backbone

    return _measured(build_backbone(text, skeleton).eval()), []


def _trained(folder: Path) -> tuple[dict, list[str]]:
    """The network of a training's folder; its whole cost is measured while it runs."""
    from dualfair.runs.devices import choose_device
    from dualfair.runs.standalone import open_standalone
    from dualfair.supernet.families.backbone import Backbone

    opened = open_standalone(folder, choose_device("cpu"), lambda line: click.echo(line, err=True))
    network = opened.network
    about = [f"trained as {opened.name} with seed {opened.seed} on {opened.identities:,} people"]
    if isinstance(network.genotype, Backbone):
        return _measured(network), about
    found, homes = _searched(str(network.genotype), network.skeleton)
    weights, multiplied = _measured(network)["costs"]["total"].values()
    return found, [*about, f"measured while it runs: {weights:,} parameters, {multiplied:,} MACs", *homes]


def _measured(network: nn.Module) -> dict:
    """What `reporting.architecture` says of a genotype, of a network without searched blocks."""
    from dualfair.evaluation.cost import measured_cost

    head = network.genotype.head
    size, neck = network.skeleton.image_size, network.heads[head].neck
    weights, multiplied = measured_cost(network, size)
    learnt = sum(weight.numel() for weight in neck.parameters() if weight.requires_grad)
    linear = neck.linear.weight.numel()
    return {
        "genotype": str(network.genotype),
        "head": head,
        "skeleton": network.skeleton.name,
        "image_size": size,
        "stem": {"what": str(network.genotype).partition(":")[0], "width": neck.linear.in_features, "side": 1},
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


def _described(found: Mapping) -> Iterator[str]:
    """The network as lines: a row a block, and the cost of every part."""
    on = f"on skeleton {found['skeleton']}, " if found["blocks"] else ""
    yield f"{found['genotype']}  {on}{found['image_size']} px, head {found['head']}, embedding {found['embedding']:,}"
    stem = found["stem"]
    yield f"{stem['what']}: {stem['width']:,} channels of {stem['side']} x {stem['side']}"
    operations = [" ".join(operation["name"] for operation in block["operations"]) for block in found["blocks"]]
    wide = max(map(len, (*operations, "operations, first to last")))
    if operations:
        yield (
            f"{'block':>5}  {'in':>6} {'out':>6} {'stride':>6} {'side':>5}  {'operations, first to last':<{wide}} "
            f"{'parameters':>12} {'MACs':>15}"
        )
    for block, names in zip(found["blocks"], operations, strict=True):
        yield (
            f"{block['block']:>5}  {block['in']:>6,} {block['out']:>6,} {block['stride']:>6} {block['side']:>5}  "
            f"{names:<{wide}} {block['parameters']:>12,} {block['macs']:>15,}"
        )
    for part, cost in found["costs"].items():
        named = "total with stem, tail and neck" if part == "total" and found["blocks"] else part
        yield f"{named}: {cost['parameters']:,} parameters, {cost['macs']:,} MACs"
