"""`dualfair evaluate`: every measure of trained networks, or of the embeddings of any other system."""

from pathlib import Path

import click

from dualfair.commands.console import watching
from dualfair.commands.options import PATH, config_options, machine_options
from dualfair.evaluation.options import EvaluateOptions


@click.command()
@click.option("--network", type=PATH, multiple=True, help="RUN/retrain/GENOTYPE/seed-0; may be repeated.")
@click.option("--faces", type=PATH, help="Faces folder to evaluate networks on.")
@click.option("--embeddings", type=PATH, help="Instead of networks, embeddings of any system: .npy (images, D).")
@click.option("--identities", type=PATH, help="CSV beside the embeddings, a row each: identity[,group][,path][,more].")
@click.option(
    "--pairs", type=PATH, help="pairs.csv, LFW's pairs.txt, or a .bin set.  [default: the faces' own or drawn]"
)
@click.option("--group", help="Column that says which group a person belongs to.  [default: group]")
@click.option(
    "--split",
    type=click.Choice(["all", "train", "validation", "test"]),
    help="People to evaluate.  [default: test on the faces that the network was trained on, else all]",
)
@click.option("--disparity", multiple=True, help="A measure of your own, module:function; may be repeated.")
@click.option("--baseline", type=PATH, help="Result of a baseline, for bpc.")
@click.option("--out", type=PATH, required=True, help="Folder for the results.")
@config_options(EvaluateOptions)
@machine_options
def command(out: Path, **given: object) -> None:
    """Measure networks, or embeddings of any other system, on faces and groups.

    Identification (error, ranks, CMC), disparities between groups, the open set, and verification, every number with
    its n and a bootstrap interval over people. Writes report.json, groups.csv, disparities.csv and pictures.
    """
    from dualfair.door import evaluate

    with watching() as watched:
        evaluate(out, say=watched["say"], **given)
