"""`dualfair bench`: speed and memory on this machine, the plain way beside ours, measured in turn in one run."""

from pathlib import Path

import click

from dualfair.benchmarks import BENCHMARKS
from dualfair.commands.console import say
from dualfair.commands.options import PATH, device_option


@click.command(epilog="Benchmarks: " + "; ".join(f"{name}: {text}" for name, text in BENCHMARKS.items()) + ".")
@click.option("--skeleton", default="nano", show_default=True, help="nano, small or paper.")
@click.option("--batch", type=int, default=32, show_default=True, help="Images at once, in training and embedding.")
@click.option("--only", multiple=True, help=f"Benchmark to run, again for more: {', '.join(BENCHMARKS)}.")
@click.option("--repeats", type=int, default=5, show_default=True, help="Pairs of timings of every comparison.")
@click.option("--json", "json_file", type=PATH, help="Write every number here.")
@device_option
def command(only: tuple[str, ...], json_file: Path | None, device: str, **measured: object) -> None:
    """Measure speed and memory side by side on this machine.

    Every comparison times the plain way and ours alternately, each in a process of its own, and gives the median with
    its quartiles of either and of the ratio pair by pair: above 1, ours is faster.
    """
    from dualfair.benchmarks.contest import Setting
    from dualfair.benchmarks.run import run_benchmarks
    from dualfair.runs.devices import choose_device

    run_benchmarks(Setting(device=str(choose_device(device)), **measured), only, json_file, say)
