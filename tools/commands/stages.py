"""The stages and what is made of their networks: the functions of the Python door, as commands."""

import sys
from pathlib import Path

import click

from dualfair import door
from dualfair.commands.console import say, say_once, watching
from dualfair.commands.options import (
    PATH,
    config_options,
    images_option,
    machine_options,
    resamples_option,
    training_options,
)
from dualfair.evaluation.options import EvaluateOptions
from dualfair.exporting import FORMATS
from dualfair.presentation.format import quoted
from dualfair.runs.options import BATCH, ConstraintOptions, ProtocolOptions, RetrainOptions, SearchOptions, TrainOptions
from dualfair.stages.selection import surveys
from dualfair.supernet.families.sized import names_a_size
from dualfair.supernet.training.recipe import Recipe

PARTIAL = 3
"""Exit status of a study in which a correlation is undefined, or a training that was asked for is missing."""


TEACHER = (
    "Learn to agree with a network's embeddings, too: a training's folder, an export, an .onnx file, a folder of "
    "timm's, or .npy with a row an image"
)


@click.command()
@images_option(required=True)
@click.option("--out", type=PATH, required=True, help="Run directory to make or to continue.")
@click.option(
    "--weights-from",
    type=PATH,
    metavar="RUN",
    help="Start from the supernet of this run, on a larger set, all but the class weights.  [default: from scratch]",
)
@click.option("--teacher", type=PATH, help=TEACHER)
@training_options
@config_options(TrainOptions, Recipe)
@machine_options
def train(faces: Path, out: Path, **given: object) -> None:
    """Stage 1: train a supernet over the space; continues from the newest checkpoint by itself."""
    with watching(finishing=True) as watched:
        door.train(faces, out, **watched, **given)
    say_once(f"Next: dualfair search --run {quoted(out)}")


@click.command()
@click.option("--run", type=PATH, required=True, help="Run directory of training.")
@click.option("--exhaustive", is_flag=True, help="Score the whole space instead; for -shared spaces.")
@click.option(
    "--batch",
    type=int,
    help="Images scored at once; scores of other batches are not mixed.  "
    f"[default: as this run did before, else {BATCH}, on CUDA up to 4096 by its memory]",
)
@click.option("--start", multiple=True, help="A genotype to begin with, or 'paper' for the published ones; repeatable.")
@click.option(
    "--predictor",
    type=PATH,
    metavar="RUN",
    help="Predict objectives by the standalone trainings of this run, or of another on the same faces, where that is "
    "shown to rank better than inherited scores.",
)
@config_options(SearchOptions, ProtocolOptions, ConstraintOptions)
@machine_options
def search(run: Path, **given: object) -> None:
    """Stage 2: evolve subnets; every score is kept and never computed again."""
    with watching() as watched:
        door.search(run, **watched, **given)
    say_once(f"Next: dualfair retrain --run {quoted(run)}")


@click.command()
@click.option("--run", type=PATH, required=True, help="Run directory of the search.")
@click.option(
    "--genotype",
    multiple=True,
    help="Train these networks only, also such as mix-d3-w16/1:softmax that 'dualfair grow' finds; may be repeated.",
)
@click.option("--backbone", multiple=True, help="Train this backbone of timm's; may be repeated.")
@click.option(
    "--head", multiple=True, help="Heads of the backbones, module:object for your own; may be repeated.  [default: all]"
)
@click.option("--survey", help="TOML file of backbones, heads and recipes, or one of: " + ", ".join(surveys()) + ".")
@click.option("--short", is_flag=True, help="Train all planned networks once more, together as long as the supernet.")
@click.option(
    "--check-convergence",
    type=int,
    metavar="NETWORKS",
    help="Train so many planned networks for twice the epochs; correlate says whether their order stays.",
)
@click.option(
    "--weights-from",
    metavar="PLACE",
    help="Start from the supernet of a run, a training's folder or an export, all but the class weights; none: from "
    "scratch.  [default: as the supernet did]",
)
@click.option("--teacher", help=TEACHER + "; none: without.  [default: the supernet's]")
@training_options
@config_options(RetrainOptions, Recipe)
@machine_options
def retrain(run: Path, backbone: tuple[str, ...], survey: str | None, **given: object) -> None:
    """Stage 3: train networks by themselves, by the supernet's recipe unless told otherwise.

    Networks named by hand, and backbones of timm's, are trained by the recipe that this stage recorded; whatever of it
    is changed becomes part of their names.
    """
    with watching(finishing=True) as watched:
        door.retrain(run, backbone=backbone, survey=survey, **watched, **given)
    beside = backbone or survey or any(map(names_a_size, given["genotype"]))
    say_once(f"Next: dualfair {'shelf' if beside else 'correlate'} --run {quoted(run)}")


@click.command()
@click.option("--run", type=PATH, help="Run directory of retraining.")
@click.option(
    "--table",
    nargs=2,
    type=PATH,
    help="Instead of a run: CSV of cheap scores (network,...) and CSV of the truth (network[,seed],...).",
)
@click.option("--out", type=PATH, help="Folder for the study of tables.")
@click.option("--maximise", multiple=True, help="A column of the tables of which more is better; may be repeated.")
@resamples_option
@machine_options
def correlate(run: Path | None, **given: object) -> None:
    """Stage 4: rank correlation of inherited and standalone scores, for error and for disparity."""
    with watching() as watched:
        ranking = door.correlate(run, say=watched["say"], **given)
    if run is not None:
        say_once(f"Next: dualfair report {quoted(run)}")
    if ranking.partial:
        sys.exit(PARTIAL)


@click.command()
@click.option("--network", type=PATH, multiple=True, help="RUN/retrain/GENOTYPE/seed-0; may be repeated.")
@images_option(required=False)
@click.option("--embeddings", type=PATH, help="Instead of networks, embeddings of any system: .npy (images, D).")
@click.option("--identities", type=PATH, help="CSV beside the embeddings, a row each: identity[,group][,path][,more].")
@click.option(
    "--pairs", type=PATH, help="pairs.csv, LFW's pairs.txt, or a .bin set.  [default: the faces' own or drawn]"
)
@click.option(
    "--pair-set",
    "pair_sets",
    type=PATH,
    multiple=True,
    help="Instead of faces: a .bin set such as LFW's; may be repeated, for one table of all.",
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
def evaluate(out: Path, **given: object) -> None:
    """Measure networks, or embeddings of any other system, on faces and groups.

    Identification (error, ranks, CMC), disparities between groups, the open set, and verification, every number with
    its n and a bootstrap interval over people. Writes report.json, groups.csv, disparities.csv and pictures.
    """
    with watching() as watched:
        door.evaluate(out, say=watched["say"], **given)


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
def export(network: str, to: Path, **options: object) -> None:
    """Export NETWORK: a training's folder (RUN/retrain/LABEL/seed-0), a run, or with --run a network's name.

    Of a run it is the network that the report recommends. The folder holds the weights, class weights to fine-tune
    with, all about the network as JSON, and a model card.
    """
    door.export(network, to, say=say, **options)
