"""`dualfair shelf`: networks of the search against backbones from the shelf, all trained and judged alike."""

from __future__ import annotations

from pathlib import Path

import click

from dualfair.runs.directory import RunDirectory
from dualfair.runs.protocol import searched_with
from dualfair.runs.trainings import SPLITS, read_trainings
from dualfair.supernet.files import write_csv, write_json


@click.command()
@click.option("--run", "run_path", type=click.Path(path_type=Path), required=True, help="Run directory of retraining.")
@click.option("--resamples", type=int, default=2000, show_default=True, help="Bootstrap resamples of an interval.")
def command(run_path: Path, resamples: int) -> None:
    """Networks of the search against backbones of timm's: error, disparity, fronts, and whether ours dominate."""
    directory = RunDirectory(run_path)
    with directory.locked():
        shelf(directory, resamples=resamples)


def shelf(directory: RunDirectory, *, resamples: int = 2000) -> dict:
    """Write RUN/shelf/shelf.json, shelf.csv and shelf.png, and print the study; returns it as a dictionary.

    Raises ValueError when nothing was retrained.
    """
    from dualfair.presentation.figures import shelf_figure
    from dualfair.studies.baselines.numbers import gather, study
    from dualfair.studies.baselines.words import sentences, table

    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, got {resamples}")
    damaged: list[str] = []
    results = read_trainings(directory.path / "retrain", damaged)
    if not results:
        raise ValueError(f"{directory.path} has no retrained networks; run 'dualfair retrain' first")
    protocol_options, _ = searched_with(directory)
    networks, measures = gather(results, protocol_options.protocol().disparity_name)
    report = {**study(networks, measures, resamples=resamples), "damaged": damaged}
    directory.record_command("shelf", "no device")
    folder = directory.stage("shelf")
    write_csv(folder / "shelf.csv", table(report))
    write_json(folder / "shelf.json", report)
    fronts = report["fronts"][SPLITS[1]]
    shelf_figure(folder / "shelf.png", report["networks"], {name: set(labels) for name, labels in fronts.items()})
    for line in sentences(report):
        directory.say(line)
    directory.say(f"Numbers: {folder}/shelf.json, {folder}/shelf.csv, figure: {folder}/shelf.png")
    return report
