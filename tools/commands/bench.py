"""`dualfair bench`: speed and memory on this machine, the plain way beside ours, measured in turn in one run."""

from __future__ import annotations

import time
from pathlib import Path

import click

from dualfair.benchmarks.table import BENCHMARKS
from dualfair.runs.devices import choose_device, device_option

EPILOG = "Benchmarks: " + "; ".join(f"{name}: {text}" for name, text in BENCHMARKS.items()) + "."


@click.command(epilog=EPILOG)
@click.option("--skeleton", default="nano", show_default=True, help="nano, small or paper.")
@click.option("--size", type=int, default=0, help="Side of the images in pixels.  [default: the skeleton's]")
@click.option("--batch", type=int, default=32, show_default=True, help="Images at once, in training and embedding.")
@click.option("--only", multiple=True, help=f"Benchmark to run, again for more: {', '.join(BENCHMARKS)}.")
@click.option("--repeats", type=int, default=5, show_default=True, help="Pairs of timings of every comparison.")
@click.option("--population", type=int, default=64, show_default=True, help="Genotypes scored.")
@click.option("--embeddings", default="5000,20000", show_default=True, help="Sizes of the sets whose ranks are taken.")
@click.option("--memory/--no-memory", default=True, help="Measure peaks too, each in a fresh process.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of weights, pixels and populations.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write every number here.")
@device_option
def command(
    skeleton: str,
    size: int,
    batch: int,
    only: tuple[str, ...],
    repeats: int,
    population: int,
    embeddings: str,
    memory: bool,
    seed: int,
    json_file: Path | None,
    device: str,
) -> None:
    """Measure speed and memory side by side on this machine.

    Every comparison times the plain way and ours alternately, after a warm-up, and gives the median with its quartiles
    of either and of the ratio pair by pair: above 1, ours is faster.
    """
    names = chosen_benchmarks(only)
    sizes = tuple(int(part) for part in embeddings.split(",") if part.strip().isdecimal())
    if not sizes or len(sizes) < len(embeddings.split(",")):
        raise ValueError(f"embeddings must be numbers joined by ',', such as 5000,20000, got {embeddings!r}")
    if json_file and not json_file.absolute().parent.is_dir():
        raise ValueError(f"--json {json_file}: there is no folder {json_file.absolute().parent}; make it first")
    chosen = choose_device(device)

    from dualfair.benchmarks.setting import Setting
    from dualfair.supernet.skeleton import skeleton_of

    setting = Setting(
        device=str(chosen),
        skeleton=skeleton,
        size=size or skeleton_of(skeleton).image_size,
        batch=batch,
        repeats=repeats,
        seed=seed,
        population=population,
        embeddings=sizes,
        memory=memory,
    )
    bench(setting, names, json_file)


def chosen_benchmarks(only: tuple[str, ...]) -> list[str]:
    """The benchmarks to run, in their order; all of them where none is named. Raises ValueError for an unknown name."""
    unknown = [name for name in only if name not in BENCHMARKS]
    if unknown:
        raise ValueError(f"unknown benchmark {unknown[0]!r}; choose from {', '.join(BENCHMARKS)}")
    return [name for name in BENCHMARKS if name in only or not only]


def bench(setting, names: list[str], json_file: Path | None = None) -> dict[str, object]:
    """Run benchmarks one after the other; print each result, and write all so far, as it is known.

    Returns all numbers.
    """
    import importlib
    from dataclasses import asdict

    from dualfair.benchmarks.setting import environment
    from dualfair.supernet.files import write_json

    start = time.monotonic()
    machine = environment(setting)
    click.echo("; ".join(f"{name} {value}" for name, value in machine.items()))
    click.echo(
        f"skeleton {setting.skeleton}, {setting.size} px, batch {setting.batch}; ratio = plain seconds / our seconds, "
        "pair by pair; peak memory on top of the imported libraries"
    )
    found: dict[str, list] = {}
    report = {"environment": machine, "setting": asdict(setting), "seconds": 0.0, "benchmarks": found}
    for name in names:
        results = importlib.import_module(f"dualfair.benchmarks.{name}").run(setting)
        found[name] = [result.to_dict() for result in results]
        for result in results:
            click.echo("\n" + "\n".join(result.lines()))
        report["seconds"] = time.monotonic() - start
        if json_file:
            write_json(json_file, report)
    click.echo(f"\nMeasured in {report['seconds']:.0f} s.")
    return report
