"""`dualfair bench`: speed and memory on this machine, the plain way beside ours, measured in turn in one run."""

from __future__ import annotations

from pathlib import Path

import click

from dualfair.benchmarks import BENCHMARKS
from dualfair.commands.console import say
from dualfair.commands.options import device_option

EPILOG = "Benchmarks: " + "; ".join(f"{name}: {text}" for name, (_, text) in BENCHMARKS.items()) + "."


@click.command(epilog=EPILOG)
@click.option("--skeleton", default="nano", show_default=True, help="nano, small or paper.")
@click.option("--batch", type=int, default=32, show_default=True, help="Images at once, in training and embedding.")
@click.option("--only", multiple=True, help=f"Benchmark to run, again for more: {', '.join(BENCHMARKS)}.")
@click.option("--repeats", type=int, default=5, show_default=True, help="Pairs of timings of every comparison.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write every number here.")
@device_option
def command(only: tuple[str, ...], json_file: Path | None, device: str, **measured: object) -> None:
    """Measure speed and memory side by side on this machine.

    Every comparison times the plain way and ours alternately, after a warm-up, and gives the median with its quartiles
    of either and of the ratio pair by pair: above 1, ours is faster.
    """
    from dualfair.benchmarks.contest import Setting, chosen_benchmarks, run_benchmarks
    from dualfair.runs.devices import choose_device

    names = chosen_benchmarks(only)
    run_benchmarks(Setting(device=str(choose_device(device)), **measured), names, json_file, say)
