"""`dualfair show`: what the network of a genotype is made of and what it costs."""

from __future__ import annotations

import click


@click.command()
@click.argument("genotype")
@click.option("--skeleton", default="nano", show_default=True, help="nano, small or paper.")
@click.option("--blocks", default="", help="Blocks of every stage, e.g. 3-4-20-3.  [default: 1-1-1-1]")
@click.option("--size", type=int, default=0, help="Side of the input in pixels.  [default: the skeleton's]")
def command(genotype: str, skeleton: str, blocks: str, size: int) -> None:
    """Describe the network of GENOTYPE, e.g. 101-101-000-680:cosface, or 101:cosface for the same in every block."""
    from evaluation.complexity import block_costs, macs, parameters
    from supernet.genotype import HEAD_NAMES
    from supernet.operations import OPERATION_NAMES
    from supernet.skeleton import skeleton_of
    from supernet.space import SPACES
    from tools.session import numbers

    shape = skeleton_of(skeleton)
    shape = shape.resized(size or None, numbers(blocks, "-", int, "blocks") if blocks else None)
    fitted = shape.fit(genotype)
    if fitted.head not in HEAD_NAMES:
        raise ValueError(f"genotype '{genotype}' needs a head: one of {', '.join(HEAD_NAMES)}, as in '101:cosface'")
    click.echo(f"{fitted}  on skeleton {shape.name}, {shape.image_size} px, head {fitted.head}")
    click.echo(f"{'block':>5}  {'in':>5} {'out':>5} {'stride':>6}  {'operations':<21} {'parameters':>12} {'MACs':>14}")
    rows = zip(shape.block_shapes(), fitted.blocks, block_costs(fitted, shape), strict=True)
    for number, (block, codes, (block_parameters, block_macs)) in enumerate(rows, 1):
        operations = " ".join(OPERATION_NAMES[code] for code in codes)
        click.echo(
            f"{number:>5}  {block.in_channels:>5} {block.out_channels:>5} {block.stride:>6}  {operations:<21} "
            f"{block_parameters:>12,} {block_macs:>14,}"
        )
    click.echo(
        f"total with stem, tail and neck: {parameters(fitted, shape):,} parameters, {macs(fitted, shape):,} MACs"
    )
    homes = [name for name, space in SPACES.items() if len(fitted.blocks) == space.blocks and fitted in space]
    if homes:
        click.echo(f"in the spaces: {', '.join(homes)}")
