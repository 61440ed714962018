"""`dualfair grow`: depth and width found by growing networks, then the operations and kernels of their layers."""

import json
from pathlib import Path

import click

from dualfair.commands.console import watching
from dualfair.commands.options import PATH, config_options, machine, machine_options
from dualfair.runs.options import CHECKPOINT_MINUTES
from dualfair.studies.grow import FinalOptions, GrowOptions
from dualfair.supernet.training.recipe import Recipe


@click.command()
@click.option("--faces", "--images", "images", type=PATH, help="A folder of faces or of labelled images.")
@click.option("--out", type=PATH, help="Folder for trainings and results.")
@click.option("--checkpoint-every", default=CHECKPOINT_MINUTES, show_default=True, help="Minutes between checkpoints.")
@click.option("--rank", type=int, help="Instead: ask how few epochs rank so many random networks within the bounds.")
@click.option("--replay", type=PATH, help="Instead: go through published searches, a CSV of their candidates.")
@click.option("--json", "as_json", is_flag=True, help="With --replay: print what they come to as JSON.")
@config_options(GrowOptions, FinalOptions, Recipe, without=("teacher_share", "shared_gradients"))
@machine_options
def command(
    images: Path | None,
    out: Path | None,
    checkpoint_every: float,
    rank: int | None,
    replay: Path | None,
    as_json: bool,
    **given: object,
) -> None:
    """Find depth and width of a network by growing it, then its operations and kernels, and train it in full.

    Networks of 3x3 convolutions (of the family mix separable ones) grow deeper, a layer or block and an epoch more
    each, then narrower, two epochs more each; then one layer after the other gets the other kind of convolution, and a
    5x5 one, at no more parameters. What is better on validation images stays; test images are read in the end. Names
    say depth and width, and a code a layer: mix-d3-w16/0-1-0:softmax. Writes grow.json, candidates.csv, and in found/
    and random/ trainings that 'dualfair evaluate' and 'dualfair export' open as any other. The same command continues
    what was stopped. With --rank N it trains N random networks for --first-epochs, for more epochs the more parameters
    they have, evenly at the same cost, and for --epochs, and says how well each of these ranks them as full trainings
    do on test images (ranking.json, ranking.csv).
    """
    if replay:
        from dualfair.studies.grow.traces import replay_traces, replayed_table

        if images or out or rank is not None:
            raise ValueError("--replay goes without --images, --out and --rank")
        searches = replay_traces(replay)
        lines = [json.dumps([each.to_json() for each in searches], indent=2)]
        click.echo("\n".join(lines if as_json else replayed_table(searches).lines()))
        return
    if not images or not out or as_json:
        raise ValueError("give --images and --out, or --replay with or without --json")
    from dualfair.runs.config import build_configs
    from dualfair.runs.devices import working
    from dualfair.studies.grow.ranking import rank_networks
    from dualfair.studies.grow.study import grow_networks

    options, final, recipe = build_configs(given, given["preset"], GrowOptions, FinalOptions, Recipe, stage="grow")
    if rank is not None and final.random:
        raise ValueError("--rank goes without --random: all of its networks are random")
    with (
        watching(finishing=True) as watched,
        working(out, make=True, say=watched.pop("say"), **machine(given)) as place,
    ):
        asked = options, final, recipe, place
        if rank is None:
            grow_networks(images, *asked, checkpoint_minutes=checkpoint_every, **watched)
        else:
            rank_networks(images, rank, *asked, checkpoint_minutes=checkpoint_every, **watched)
