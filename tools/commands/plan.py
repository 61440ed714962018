"""`dualfair plan`: what a run will cost, before it is spent."""

from dataclasses import asdict
from pathlib import Path

import click

from dualfair.commands.console import say
from dualfair.commands.options import PATH, config_options, device_option
from dualfair.planning.options import PlanOptions
from dualfair.runs.options import ProtocolOptions, RetrainOptions, SearchOptions, TrainOptions
from dualfair.supernet.training.recipe import Recipe


@click.command()
@click.option("--faces", type=PATH, help="Faces folder.")
@click.option("--exhaustive", is_flag=True, help="Score the whole space instead; for -shared spaces.")
@click.option("--json", "json_path", type=PATH, help="File for all numbers.")
@config_options(PlanOptions, TrainOptions, Recipe, SearchOptions, ProtocolOptions, RetrainOptions)
@device_option
def command(
    faces: Path | None,
    exhaustive: bool,
    json_path: Path | None,
    preset: str | None,
    device: str,
    **given: object,
) -> None:
    """Say what a run will cost, before it is spent: steps, FLOPs, hours, memory, energy and CO2.

    Takes the options of train, search and retrain, and one preset for all. Where stages share a name (--epochs,
    --batch and the rest of the recipe, --seed) it is that of train; retrain follows the preset's [retrain], else train.
    Refuses, with exit status 2, what cannot fit into memory. Nothing is trained or written but the --json file.
    """
    from dualfair.planning.plan import plan
    from dualfair.planning.report import lines
    from dualfair.supernet.files import write_json

    forecast = plan(faces, given, preset, exhaustive=exhaustive, device=device, say=say)
    for line in lines(forecast):
        say(line)
    if json_path is not None:
        write_json(json_path, asdict(forecast))
