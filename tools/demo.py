"""`dualfair demo`: an honest small run of all four stages on generated faces, with the comparisons that matter."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from supernet.recipe import Recipe
from tools.device import choose_device, device_option
from tools.judging import JudgingOptions
from tools.retrain import RetrainOptions
from tools.search import SearchOptions
from tools.train import TrainOptions

IDENTITIES, IMAGES, SIZE, BIAS = 150, 10, 32, 0.5
RECIPE = Recipe(epochs=20.0, batch=32)
SEARCH = SearchOptions(population=20, generations=8)
RETRAIN = RetrainOptions(seeds=2, controls=6)
JUDGING = JudgingOptions(calibrate=400)
UNIFORM_LR = 0.05
"""Uniform sampling takes nine times as many steps for the same passes; this rate was the better of those tried."""


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("dualfair-demo"), show_default=True, help="Folder."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same result.")
@device_option
def command(out: Path, seed: int, device: str) -> None:
    """All four stages on generated faces: a few minutes on 2 CPU cores, no downloads."""
    seconds: dict[str, float] = {}
    run, faces = out / "run", out / "faces"
    with _timed(seconds, "faces"):
        _faces(faces, seed)
    with _timed(seconds, "train"):
        counters = _train(faces, run, seed, device, "strict")
    with _timed(seconds, "search"):
        volumes = _search(run, seed, device)
    with _timed(seconds, "retrain"):
        _retrain(run, device)
    with _timed(seconds, "correlate"):
        report = _correlate(run, device)
    with _timed(seconds, "uniform"):
        uniform = _uniform(faces, out, run, seed, device)
    for line in summary(counters, volumes, report, uniform, seconds, run):
        click.echo(line)


@contextmanager
def _timed(seconds: dict[str, float], stage: str):
    start = time.monotonic()
    click.echo(f"\n--- {stage}")
    yield
    seconds[stage] = time.monotonic() - start


def _faces(folder: Path, seed: int) -> None:
    """Generate the faces, and print what raw pixels and an untrained network make of the unseen people."""
    from supernet.faces.store import open_store
    from supernet.faces.synthetic import SyntheticFaces
    from tools.faces import PREVIEW, describe, synthesise

    if not (folder / "manifest.csv").is_file():
        synthesise(SyntheticFaces(identities=IDENTITIES, images=IMAGES, size=SIZE, bias=BIAS, seed=seed), folder)
    describe(open_store(folder))
    click.echo(f"pictures: {folder / PREVIEW}")


def _train(faces: Path, out: Path, seed: int, device: str, sampler: str) -> str:
    """Train the supernet; returns the sentence on its counters. Uniform sampling gets as many path passes."""
    from tools.train import train

    options = TrainOptions(size=SIZE, seed=seed, sampler=sampler)
    recipe = RECIPE if sampler == "strict" else replace(RECIPE, epochs=RECIPE.epochs * 9, lr=UNIFORM_LR)
    return train(faces, out, options, recipe, device=device)


def _search(run_path: Path, seed: int, device: str) -> dict[str, float]:
    """Search, and random search with as many evaluations; returns both hypervolumes below one reference point."""
    import numpy as np

    from evolution.pareto import hypervolume, reference_point
    from evolution.random_search import random_search
    from tools.search import open_archive, open_scorer, search
    from tools.session import open_trained

    run = open_trained(run_path, choose_device(device))
    evolved = search(run, replace(SEARCH, seed=seed), JUDGING)
    scorer = open_scorer(run, JUDGING)
    drawn = random_search(
        run.setting.space,
        scorer,
        evaluations=evolved.evaluations,
        seed=seed,
        archive=open_archive(run, scorer, JUDGING, file="random.sqlite"),
    )
    values = [np.array([e.values[:2] for e in result.evaluated]) for result in (evolved, drawn)]
    reference = reference_point(np.concatenate(values))
    volumes = {name: hypervolume(own, reference) for name, own in zip(("NSGA-II", "random"), values, strict=True)}
    run.directory.say(
        f"Hypervolume after {evolved.evaluations} evaluations each (larger is better): "
        + ", ".join(f"{name} {volume:.3f}" for name, volume in volumes.items())
    )
    return volumes


def _retrain(run_path: Path, device: str) -> None:
    from tools.retrain import retrain, select
    from tools.session import open_trained

    run = open_trained(run_path, choose_device(device))
    retrain(run, select(run, RETRAIN), RETRAIN, RECIPE)


def _correlate(run_path: Path, device: str) -> dict:
    from tools.correlate import correlate
    from tools.session import open_trained

    return correlate(open_trained(run_path, choose_device(device)))


def _uniform(faces: Path, out: Path, run_path: Path, seed: int, device: str) -> dict:
    """Train a supernet by uniform sampling at equal path passes; returns its study on the same trained networks."""
    from tools.correlate import collect, study
    from tools.search import open_scorer
    from tools.session import open_trained

    _train(faces, out / "run-uniform", seed, device, "uniform")
    trained = collect(open_trained(run_path, choose_device(device)))
    scorer = open_scorer(open_trained(out / "run-uniform", choose_device(device)), JUDGING)
    values = scorer(trained.genotypes)
    inherited = {name: values[:, column] for column, name in enumerate(scorer.columns)}
    return study(trained, inherited, scorer.protocol.disparity_name, resamples=500)


def summary(counters: str, volumes: dict, report: dict, uniform: dict, seconds: dict, run: Path) -> list[str]:
    """One screen: what was found, with its n."""
    total = sum(seconds.values())
    lines = ["", f"=== DualFair demo: {total / 60:.1f} minutes ("]
    lines[-1] += ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items()) + ")"
    lines.append(f"strict fairness: {counters}")
    better = "no worse than" if volumes["NSGA-II"] >= volumes["random"] else "WORSE than"
    lines.append(
        f"search: NSGA-II is {better} random search at equal evaluations "
        f"(hypervolume {volumes['NSGA-II']:.3f} against {volumes['random']:.3f}; one seed)"
    )
    lines.append(
        f"ranking, {len(report['networks'])} networks x {report['seeds']} seeds, validation identities: Kendall's tau"
    )
    lines.append(f"  {'':<16}{'strict':>22}{'uniform':>22}{'seeds of the truth':>22}")
    for name in report["measures"]:
        if not name.endswith("validation identities"):
            continue
        cells = [_tau(study["measures"][name]["correlation"]) for study in (report, uniform)]
        ceiling = report["measures"][name]["noise_ceiling"]["mean"]
        cells.append("undefined" if ceiling is None else f"{ceiling:.2f}")
        lines.append(f"  {name.split(',')[0]:<16}" + "".join(f"{cell:>22}" for cell in cells))
    lines.append("  strict and uniform had equal path passes; brackets are 95 % bootstrap intervals over networks")
    lines.append(f"front: {run}/search/front.png   ranking: {run}/correlate/ranking.png")
    lines.append("A run this small shows that everything works; it proves nothing about your faces.")
    return lines


def _tau(correlation: dict) -> str:
    if correlation["tau"] is None:
        return "undefined"
    interval = correlation["interval"]
    return f"{correlation['tau']:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
