"""What this machine can do, and what a run would cost on it: these commands touch no run."""

from dataclasses import asdict
from pathlib import Path

import click

from dualfair.benchmarks import BENCHMARKS
from dualfair.commands.console import say
from dualfair.commands.options import PATH, config_options, device_option, images_option
from dualfair.planning.options import PlanOptions
from dualfair.runs.options import ProtocolOptions, RetrainOptions, SearchOptions, TrainOptions
from dualfair.supernet.training.recipe import Recipe


@click.command()
@images_option(required=False)
@click.option("--exhaustive", is_flag=True, help="Score the whole space instead; for -shared spaces.")
@click.option("--json", "json_path", type=PATH, help="File for all numbers.")
@config_options(PlanOptions, TrainOptions, Recipe, SearchOptions, ProtocolOptions, RetrainOptions)
@device_option
def plan(
    faces: Path | None, exhaustive: bool, json_path: Path | None, preset: str | None, device: str, **given: object
) -> None:
    """Say what a run will cost, before it is spent: steps, FLOPs, hours, memory, energy and CO2.

    Takes the options of train, search and retrain, and one preset for all. Where stages share a name (--epochs,
    --batch and the rest of the recipe, --seed) it is that of train; retrain follows the preset's [retrain], else train.
    Refuses, with exit status 2, what cannot fit into memory. Nothing is trained or written but the --json file.
    """
    from dualfair.planning.plan import plan as forecast_of
    from dualfair.supernet.files import write_json

    forecast = forecast_of(faces, given, preset, exhaustive=exhaustive, device=device, say=say)
    if json_path is not None:
        write_json(json_path, asdict(forecast))


@click.command()
@click.option("--space", default="", help="A space by name, or module:object of your own SearchSpace.")
@click.option("--skeleton", default="", help="Its skeleton, or module:object of your own Skeleton.  [default: nano]")
@click.option("--blocks", default="", help="Blocks of every stage, e.g. 3-4-20-3.")
@click.option("--size", default=0, help="Side of the network's input in pixels.")
@click.option("--heads", default="", help="Heads joined by ',', or module:function of your own.")
@click.option("--sampler", default="", help="A sampler of training paths by name, or module:object of your own.")
@click.option(
    "--disparity", "disparities", multiple=True, help="module:function of your own f(values, groups). Repeatable."
)
@click.option("--objective", "objectives", multiple=True, help="module:object of your own objective. Repeatable.")
def check(**plugged_in: object) -> None:
    """Tell what is wrong with a space, a skeleton, operations, heads, samplers, disparities or objectives of your own.

    Every operation is built wherever it may stand and its costs are counted; a small supernet is trained on random
    pixels, and subnets are compared with standalone networks. Takes seconds for small ones; exit status 1 on a fault.
    """
    from dualfair.conformance.functions import check_plugged_in

    faults_by_name = check_plugged_in(**plugged_in)
    for name, faults in faults_by_name.items():
        say(f"{name}: {'; '.join(faults) or 'conforms'}")
    if any(faults_by_name.values()):
        raise SystemExit(1)


@click.command(epilog="Benchmarks: " + "; ".join(f"{name}: {text}" for name, text in BENCHMARKS.items()) + ".")
@click.option("--skeleton", default="nano", show_default=True, help="nano, small or paper.")
@click.option("--batch", default=32, show_default=True, help="Images at once, in training and embedding.")
@click.option("--only", multiple=True, help=f"Benchmark to run, again for more: {', '.join(BENCHMARKS)}.")
@click.option("--repeats", default=5, show_default=True, help="Pairs of timings of every comparison.")
@click.option("--json", "json_file", type=PATH, help="Write every number here.")
@device_option
def bench(only: tuple[str, ...], json_file: Path | None, device: str, **measured: object) -> None:
    """Measure speed and memory side by side on this machine.

    Every comparison times the plain way and ours alternately, each in a process of its own, and gives the median with
    its quartiles of either and of the ratio pair by pair: above 1, ours is faster.
    """
    from dualfair.benchmarks.contest import Setting
    from dualfair.benchmarks.run import run_benchmarks
    from dualfair.runs.devices import choose_device

    run_benchmarks(Setting(device=str(choose_device(device)), **measured), only, json_file, say)
