"""`dualfair show`: what a network is made of and what it costs, as text and as a drawing."""

from pathlib import Path

import click

from dualfair.commands.options import PATH


@click.command()
@click.argument("genotype")
@click.option("--skeleton", default="nano", show_default=True, help="nano, small, paper, or module:object.")
@click.option("--blocks", default="", help="Blocks of every stage, e.g. 3-4-20-3.  [default: 1-1-1-1]")
@click.option("--size", type=int, default=0, help="Side of the input in pixels.  [default: the skeleton's]")
@click.option("--heads", default="", help="Heads of your own as module:function, joined by ','.")
@click.option("--svg", type=PATH, help="Draw it into this file, whose name ends in .svg.")
def command(genotype: str, svg: Path | None, **shape: object) -> None:
    """Describe the network of GENOTYPE, e.g. 101-101-000-680:cosface, or 101:cosface for the same in every block.

    A backbone of timm's is named like timm.resnet18:cosface. The folder of a trained network, such as
    RUN/retrain/GENOTYPE/seed-0, is described as it was trained, whatever the options say.
    """
    from dualfair.presentation import figures
    from dualfair.presentation.network import network_figure, network_title
    from dualfair.reporting.architecture import describe, lines
    from dualfair.supernet.files import write_bytes

    if svg is not None and svg.suffix != ".svg":
        raise ValueError(f"svg must name a file that ends in .svg, got {str(svg)!r}")
    network = describe(genotype, say=lambda line: click.echo(line, err=True), **shape)
    for line in lines(network):
        click.echo(line)
    if svg is not None:
        write_bytes(svg, figures.svg(network_figure(network), network_title(network)).encode())
        click.echo(f"drawn: {svg}")
