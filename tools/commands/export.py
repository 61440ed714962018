"""`dualfair export`: a trained network as a folder that other programs can use."""

from pathlib import Path

import click

from dualfair.commands.options import PATH
from dualfair.exporting import FORMATS


@click.command()
@click.argument("network")
@click.option("--to", type=PATH, required=True, help="Folder for the export; an earlier export there is replaced.")
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    default="timm",
    show_default=True,
    help="timm: for timm.create_model; onnx: that and model.onnx; state: for "
    "dualfair.supernet.production.exported.open_export.",
)
@click.option("--run", type=PATH, help="The run of a NETWORK that is given by its name.")
@click.option("--seed", type=int, help="Which training of a run.  [default: the best on validation people]")
@click.option("--fold-bn", is_flag=True, help="Fold batch normalisation into the layers in front of it.")
@click.option(
    "--class-weights/--no-class-weights", default=True, help="Class weights: a vector of every training person."
)
@click.option("--licence", default="not stated", show_default=True, help="Licence of the weights, for the model card.")
@click.option("--data-licence", default="not stated", show_default=True, help="Licence of the training faces.")
@click.option("--dataset-name", default="", help="Name of the training faces.  [default: that of their folder]")
def command(network: str, to: Path, **options: object) -> None:
    """Export NETWORK: a training's folder (RUN/retrain/LABEL/seed-0), a run, or with --run a network's name.

    Of a run it is the network that the report recommends. The folder holds the weights, class weights to fine-tune
    with, all about the network as JSON, and a model card.
    """
    from dualfair.door import export

    export(network, to, say=click.echo, **options)
