"""`dualfair search`: stage 2, NSGA-II over genotypes scored by the weights that they inherit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from supernet.atomic import write_csv, write_json
from tools.device import deterministic_option, device_option, seed_everything
from tools.judging import FURTHER_OBJECTIVES, JudgingOptions, measurement
from tools.launch import in_words, join, say
from tools.options import build_configs, config_options, option
from tools.run_directory import RunDirectory

GENOTYPES_A_CALL = 8
"""Scored by a rank before all scores are written: what a kill loses. Common beginnings are shared within a call."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How long NSGA-II searches."""

    population: int = option(32, "Genotypes a generation.")
    generations: int = option(10, "Generations, the random first one included.")
    siblings: int = option(
        1, "Children with a common beginning: 2 saves a third of the work at a slightly worse front."
    )
    seed: int = option(0, "Seed of the search.")


@click.command()
@click.option("--run", "run_path", type=click.Path(path_type=Path), required=True, help="Run directory of training.")
@click.option("--objective", "extra", multiple=True, type=click.Choice(FURTHER_OBJECTIVES), help="A further objective.")
@click.option("--exhaustive", is_flag=True, help="Score the whole space instead; for -shared spaces.")
@click.option("--batch", type=int, default=128, show_default=True, help="Images scored at once.")
@config_options(SearchOptions, JudgingOptions)
@device_option
@deterministic_option
def command(
    run_path: Path,
    extra: tuple[str, ...],
    exhaustive: bool,
    batch: int,
    preset: str | None,
    device: str,
    deterministic: bool,
    **given: object,
) -> None:
    """Stage 2: evolve subnets; every score is kept and never computed again."""
    from tools.session import open_trained

    options, judging = build_configs(given, preset, SearchOptions, JudgingOptions, stage="search")
    processes = join(device, deterministic)
    with RunDirectory(run_path, processes.leads).locked():
        run = open_trained(run_path, processes)
        if processes.leads:
            search(run, options, judging, extra=extra, exhaustive=exhaustive, batch=batch)
        else:
            open_scorer(run, judging, extra=extra, batch=batch).serve()
    say(processes, f"Next: dualfair retrain --run {run_path}")


def open_archive(run, scorer, judging: JudgingOptions, file: str = "scores.sqlite"):
    """The archive of a run's scores that were measured just so."""
    from evolution.archive import Archive

    archive = Archive(
        run.directory.stage("search") / file,
        columns=scorer.columns,
        objectives=len(scorer.objectives),
        measurement=measurement(judging, scorer.objectives, run.digest, run.setting.faces_fingerprint),
    )
    if archive.repaired:
        run.directory.say(archive.repaired)
    return archive


def open_scorer(run, judging: JudgingOptions, *, extra: Sequence[str] = (), batch: int = 128):
    """The scorer of a run's subnets on its validation faces, with error, disparity and `extra` as objectives."""
    from tools.session import inherited_scorer

    protocol = judging.protocol()
    objectives = ("error", protocol.disparity_name, *extra)
    return inherited_scorer(
        run, "validation", protocol, calibrate=judging.calibrate, objectives=objectives, batch=batch
    )


def search(
    run,
    options: SearchOptions,
    judging: JudgingOptions,
    *,
    extra: Sequence[str] = (),
    exhaustive: bool = False,
    batch: int = 128,
):
    """Search a trained run's space and write the front; returns the search's result."""
    from tools.progress import search_progress

    scorer = open_scorer(run, judging, extra=extra, batch=batch)
    archive = open_archive(run, scorer, judging)
    space, faces = run.setting.space, run.setting.splits["validation"]
    directory = run.directory
    planned = space.size if exhaustive else min(options.population * options.generations, space.size)
    config = {
        **asdict(options),
        **asdict(judging),
        "objectives": scorer.objectives,
        "exhaustive": exhaustive,
        "evaluations": planned,
    }
    folder = directory.stage("search")
    write_json(folder / "config.json", config)
    directory.record_command("search", in_words(run.processes))
    how = f"all {space.size:,}" if exhaustive else f"{options.population} genotypes x {options.generations} generations"
    directory.say(
        f"Search: {how} of space {space.name} ({space.size:,}); minimise {', '.join(scorer.objectives)} on "
        f"{len(faces):,} images of {faces.identity_count} unseen people; {in_words(run.processes)}"
    )
    if archive.others:
        directory.say(f"        {archive.others} scores measured with other weights or settings are kept, not used")
    floor = floor_errors(run, judging)
    directory.say("        to beat: error " + ", ".join(f"{value:.3f} of {name}" for name, value in floor.items()))
    with search_progress(folder / "tensorboard") as report:
        kept = {"archive": archive, "batch": GENOTYPES_A_CALL * run.processes.size, "progress": report}
        result = explore(space, scorer, None if exhaustive else options, **kept)
    scorer.dismiss()
    write_result(folder, result, scorer, floor, config)
    for line in (*result.notes, *table(result.front, scorer)):
        directory.say(line)
    if result.fresh:
        directory.say(f"Common beginnings were run once: {scorer.work.saving:.2f} times less work than one by one")
    directory.say(
        f"Searched: {result.evaluations} genotypes, {result.reused} of them known before; {result.ended}. "
        f"The front has {len(result.front)} networks of {len(archive)} scored; see {folder}/front.png"
    )
    return result


def explore(space, scorer, options: SearchOptions | None, **kept: object):
    """Evolve genotypes as the options say, or score the whole space for None; `kept` goes to either."""
    from evolution.exhaustive import exhaustive
    from evolution.search import search as evolve

    objectives = len(scorer.objectives)
    if options is None:
        return exhaustive(space, scorer, objectives, **kept)
    return evolve(space, scorer, objectives, **asdict(options), **kept)


def floor_errors(run, judging: JudgingOptions) -> dict[str, float]:
    """Errors on the validation faces that cost nothing: of raw pixels, and of an untrained vanilla network."""
    from evaluation.baseline import pixel_embeddings
    from evaluation.identification import error, ranks
    from evaluation.scoring import population_embeddings
    from supernet.dpn import build
    from tools.session import calibration_images

    faces = run.setting.splits["validation"]
    seed_everything(0)
    network = build(f"101:{run.setting.space.heads[0]}", run.setting.skeleton).to(run.device)
    calibration = calibration_images(run, judging.calibrate, run.config["seed"])
    untrained = population_embeddings(network.eval(), [network.genotype], faces, calibration)[network.genotype]
    return {
        "raw pixels": error(ranks(pixel_embeddings(faces), faces.identities)),
        "an untrained network": error(ranks(untrained, faces.identities)),
    }


def write_result(folder: Path, result, scorer, floor: dict[str, float], config: dict[str, object]) -> None:
    """scores.csv, hypervolume.csv, front.csv, front.png and front.json of a search; the last one makes it complete."""
    import numpy as np

    from tools.figures import front_figure

    for name, evaluations in (("front", result.front), ("scores", result.archive)):
        rows = ([str(evaluation.genotype), *evaluation.values] for evaluation in evaluations)
        write_csv(folder / f"{name}.csv", [["genotype", *scorer.columns], *rows])
    below = " ".join(f"{value:g}" for value in result.reference)
    write_csv(folder / "hypervolume.csv", [["evaluations", f"hypervolume below {below}"], *result.trace])
    if result.front:
        m = len(scorer.objectives)
        scored = np.array([evaluation.values[:m] for evaluation in result.archive])
        points = np.array([evaluation.values[:m] for evaluation in result.front])
        front_figure(folder / "front.png", scored[np.isfinite(scored).all(1)], points, scorer.objectives)
    front = [
        {"genotype": str(evaluation.genotype), **dict(zip(scorer.columns, evaluation.values, strict=True))}
        for evaluation in result.front
    ]
    about = {"config": config, "objectives": scorer.objectives, "images": len(scorer.faces)}
    write_json(folder / "front.json", {**about, "errors to beat": floor, "front": front})


def table(evaluations, scorer) -> list[str]:
    """The evaluations as lines of text: genotype, error, disparity, group errors, parameters, MACs."""
    columns = list(scorer.columns)
    groups = [name.removeprefix("error of ") for name in columns if name.startswith("error of ")]
    disparities = [scorer.protocol.disparity_name]
    if "rank_disparity" in columns and "rank_disparity" not in disparities:
        disparities.append("rank_disparity")
    titles = [name.replace("_", " ") for name in disparities]
    rows = [["genotype", "error", *titles, *(f"error {group}" for group in groups), "params", "MACs"]]
    for evaluation in evaluations:
        value = dict(zip(columns, evaluation.values, strict=True))
        rows.append(
            [
                str(evaluation.genotype),
                f"{value['error']:.3f}",
                *(f"{value[name]:.3f}" for name in disparities),
                *(f"{value[f'error of {group}']:.3f}" for group in groups),
                f"{value['params'] / 1e6:.3f} M",
                f"{value['macs'] / 1e6:.1f} M",
            ]
        )
    return aligned(rows)


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows of text cells as lines: the first column to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
