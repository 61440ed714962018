"""`dualfair demo`: an honest small run of all four stages on generated faces, with the comparisons that matter."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from dualfair.runs.devices import deterministic_option, device_option
from dualfair.runs.directory import RunDirectory
from dualfair.runs.distributed import join
from dualfair.runs.options import SearchOptions, TrainOptions
from dualfair.runs.protocol import ProtocolOptions
from dualfair.stages.retrain import RetrainOptions
from dualfair.supernet.files import read_json
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.recipe import Recipe

IDENTITIES, IMAGES, SIZE, BIAS = 320, 10, 32, 0.5
SPLIT = "0.25,0.5,0.25"
"""Of the validation people one half is for the search, the other to confirm its front."""
RECIPE = Recipe(epochs=18.0, batch=32, lr=0.2)
STANDALONE_RECIPE = replace(RECIPE, epochs=12.0)
SPACE = "dpn81-shared"
SEARCH = SearchOptions(population=20, generations=6)
RETRAIN = RetrainOptions(seeds=2, controls=0, random=8)
PROTOCOL = ProtocolOptions(calibrate=400)
UNIFORM = "run-uniform"
"""Run directory of the supernet that is trained by uniform sampling."""
REPORT = "report/report.html"
COMPARED_SEEDS = 40
"""Seeds over which NSGA-II is compared with random search, on scores that are known by then."""


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("dualfair-demo"), show_default=True, help="Folder."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same result.")
@device_option
@deterministic_option
def command(out: Path, seed: int, device: str, deterministic: bool) -> None:
    """All four stages on generated faces: a few minutes on 2 CPU cores, no downloads."""
    processes = join(device, deterministic)
    with RunDirectory(out / "run").locked(make=True), RunDirectory(out / UNIFORM).locked(make=True):
        for line in demonstrate(out, seed, processes):
            click.echo(line)


def demonstrate(out: Path, seed: int, processes: ProcessGroup) -> list[str]:
    """Run everything; returns the summary."""
    seconds: dict[str, float] = {}
    run, faces = out / "run", out / "faces"
    with _timed(seconds, "faces"):
        _faces(faces, seed)
    with _timed(seconds, "train"):
        counters = _train(faces, run, seed, processes, "strict")
    with _timed(seconds, "search"):
        comparison = _search(run, seed, processes)
    with _timed(seconds, "retrain"):
        _retrain(run, processes)
    with _timed(seconds, "correlate"):
        report = _correlate(run, processes)
    with _timed(seconds, "uniform"):
        uniform = _uniform(faces, out, run, seed, processes)
    with _timed(seconds, "report"):
        _report(run, out / REPORT)
    return summary(counters, comparison, report, uniform, seconds, run)


@contextmanager
def _timed(seconds: dict[str, float], stage: str):
    start = time.monotonic()
    click.echo(f"\n--- {stage}")
    yield
    seconds[stage] = time.monotonic() - start


def _faces(folder: Path, seed: int) -> None:
    """Generate the faces, unless an earlier demo in this folder did."""
    from dualfair.commands.faces import PREVIEW, describe, synthesise
    from dualfair.supernet.images.store import open_store
    from dualfair.supernet.images.synthetic.people import SyntheticFaces

    if not (folder / "manifest.csv").is_file():
        synthesise(SyntheticFaces(identities=IDENTITIES, images=IMAGES, size=SIZE, bias=BIAS, seed=seed), folder)
    describe(open_store(folder))
    click.echo(f"pictures: {folder / PREVIEW}")


def _train(faces: Path, out: Path, seed: int, processes: ProcessGroup, sampler: str) -> str:
    """Train the supernet; returns the sentence on its counters. All samplers make as many path passes an epoch."""
    from dualfair.stages.train import train

    options = TrainOptions(space=SPACE, size=SIZE, split=SPLIT, split_seed=seed, seed=seed, sampler=sampler)
    return train(faces, out, options, RECIPE, processes)


def _search(run_path: Path, seed: int, processes: ProcessGroup) -> str:
    """Search, then compare with random search. Returns how they compare."""
    from dualfair.runs.trained_run import open_trained
    from dualfair.stages.search import search
    from dualfair.studies.compare.study import compare

    run = open_trained(run_path, processes)
    search(run, replace(SEARCH, seed=seed), PROTOCOL)
    return compare(run, COMPARED_SEEDS).sentence


def _retrain(run_path: Path, processes: ProcessGroup) -> None:
    from dualfair.runs.trained_run import open_trained
    from dualfair.stages.retrain import retrain, select

    run = open_trained(run_path, processes)
    retrain(run, select(run, RETRAIN), RETRAIN, STANDALONE_RECIPE)


def _correlate(run_path: Path, processes: ProcessGroup) -> dict:
    from dualfair.runs.trained_run import open_trained
    from dualfair.stages.correlate import correlate

    return correlate(open_trained(run_path, processes))


def _uniform(faces: Path, out: Path, run_path: Path, seed: int, processes: ProcessGroup) -> dict:
    """Train a supernet by uniform sampling at equal path passes; returns its study on the same trained networks."""
    from dualfair.runs.trained_run import open_trained
    from dualfair.runs.trainings import collect
    from dualfair.stages.correlate import study
    from dualfair.stages.search import inherited_scores

    _train(faces, out / UNIFORM, seed, processes, "uniform")
    trained = collect(open_trained(run_path, processes))
    inherited = inherited_scores(open_trained(out / UNIFORM, processes), trained.genotypes, PROTOCOL)
    return study(trained, inherited, PROTOCOL.protocol().disparity_name, resamples=500)


def _report(run: Path, page: Path) -> None:
    """Write everything that was found as one page, and say its three sentences."""
    from dualfair.commands.report import report

    report([run], page)


def summary(counters: str, comparison: str, report: dict, uniform: dict, seconds: dict, run: Path) -> list[str]:
    """One screen: what was found, with its n."""
    total = sum(seconds.values())
    lines = ["", f"=== DualFair demo: {total / 60:.1f} minutes ("]
    lines[-1] += ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items()) + ")"
    lines.append(f"strict fairness: {counters}")
    lines.append(f"search: {comparison}")
    lines += _confirmed(run)
    lines.append(
        f"ranking, {len(report['networks'])} networks x {report['seeds']} seeds, validation identities: Kendall's tau"
    )
    lines.append(f"  {'':<16}{'strict':>22}{'uniform':>22}{'at most':>10}")
    for name in report["measures"]:
        if not name.endswith("validation identities"):
            continue
        cells = [_tau(study["measures"][name]["correlation"]) for study in (report, uniform)]
        ceiling = report["measures"][name]["ceiling"]["tau"]
        most = "undefined" if ceiling is None else f"{ceiling:.2f}"
        lines.append(f"  {name.split(',')[0]:<16}" + "".join(f"{cell:>22}" for cell in cells) + f"{most:>10}")
    lines.append("  strict and uniform had equal path passes; brackets are 95 % bootstrap intervals over networks;")
    lines.append("  at most: what the exact truth would reach, since trainings and people blur the measured one")
    lines.append(f"Open {run.parent / REPORT} in a browser: which network to take, and what not to believe")
    lines.append(f"front: {run}/search/front.png   ranking: {run}/correlate/ranking.png")
    lines.append("A run this small shows that everything works; it proves nothing about your faces.")
    return lines


def _confirmed(run: Path) -> list[str]:
    """How the search's best fared on people that the search had not seen."""
    found = read_json(run / "search/front.json")["confirmation"]
    return [
        f"on {found['people']} people that the search has not seen: {one['objective']} of its best {one['value']:.3f}, "
        f"{one['as_good']} of {one['random']} random subnets are as good: {one['verdict']}"
        for one in found["against random"]
    ]


def _tau(correlation: dict) -> str:
    if correlation["tau"] is None:
        return "undefined"
    interval = correlation["interval"]
    return f"{correlation['tau']:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
