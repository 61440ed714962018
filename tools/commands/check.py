"""`dualfair check`: does what you plug in keep its promises?"""

from __future__ import annotations

import sys

import click


@click.command()
@click.option("--space", default="", help="A space by name, or module:object of your own SearchSpace.")
@click.option("--skeleton", default="", help="Its skeleton, or module:object of your own Skeleton.  [default: nano]")
@click.option("--blocks", default="", help="Blocks of every stage, e.g. 3-4-20-3.")
@click.option("--size", type=int, default=0, help="Side of the network's input in pixels.")
@click.option("--heads", default="", help="Heads joined by ',', or module:function of your own.")
@click.option("--disparity", multiple=True, help="module:function of your own f(values, groups). Repeatable.")
def command(space: str, skeleton: str, blocks: str, size: int, heads: str, disparity: tuple[str, ...]) -> None:
    """Tell what is wrong with a space, a skeleton, operations, heads or disparities of your own.

    Every operation is built wherever it may stand and its costs are counted; a small supernet is trained on random
    pixels, and subnets are compared with standalone networks. Takes seconds for small ones; exit status 1 on a fault.
    """
    from dualfair.conformance import check_disparity, check_head, check_space
    from dualfair.evaluation.metrics.disparity import DISPARITIES
    from dualfair.runs.architectures import open_skeleton, open_space
    from dualfair.runs.plug_in import look_up
    from dualfair.supernet.heads import HEADS

    if not (space or skeleton or heads or disparity):
        raise ValueError("nothing to check: give --space, --skeleton, --heads or --disparity, each as module:object")
    found: dict[str, list[str]] = {}
    for name in disparity:
        found[f"disparity {name}"] = check_disparity(look_up(name, DISPARITIES, "disparity"))
    shape = open_skeleton(skeleton or "nano", blocks, size, heads)
    for name in filter(None, heads.split(",")):
        found[f"head {name}"] = check_head(look_up(name.strip(), HEADS, "head"))
    if (space or skeleton) and not any(found.values()):
        opened = open_space(space or "dpn81", shape, heads)
        told = f"space {space or 'dpn81'} ({opened.size:,} networks) on skeleton {shape.name}, {shape.image_size} px"
        found[told] = check_space(opened, shape)
    for name, faults in found.items():
        click.echo(f"{name}: {'; '.join(faults) or 'conforms'}")
    if any(found.values()):
        sys.exit(1)
