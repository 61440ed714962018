"""`dualfair study`: does the cheap score rank as the truth does, over several supernets and ways of training them?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from dualfair.runs.config import build_configs, config_options, option
from dualfair.runs.devices import describe, deterministic_option, device_option
from dualfair.runs.directory import RunDirectory
from dualfair.runs.distributed import join
from dualfair.runs.options import TrainOptions
from dualfair.runs.protocol import ProtocolOptions
from dualfair.studies.supernets.variants import BASE, COMPARISON, Variant, by_training, read_variants
from dualfair.supernet.files import write_json
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """How much is trained."""

    supernets: int = option(3, "Supernets of every variant, seeds seed, seed + 1, ...")
    networks: int = option(30, "Networks drawn uniformly from the space, to be trained by themselves.")
    seeds: int = option(3, "Independent trainings of every network.")
    standalone_epochs: float = option(20.0, "Epochs of a network that is trained by itself.")
    resamples: int = option(1000, "Bootstrap resamples of an interval.")

    def __post_init__(self) -> None:
        for name, least in (("supernets", 1), ("networks", 3), ("seeds", 2), ("resamples", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")


@click.command()
@click.option("--faces", type=click.Path(path_type=Path), required=True, help="Faces folder.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make or to continue.")
@click.option(
    "--variants",
    "variants_file",
    type=click.Path(path_type=Path),
    help="TOML file with a table of changed options for each variant, or 'comparison' for the one that comes along.",
)
@config_options(StudyOptions, TrainOptions, Recipe, ProtocolOptions)
@device_option
@deterministic_option
def command(
    faces: Path,
    out: Path,
    variants_file: Path | None,
    preset: str | None,
    device: str,
    deterministic: bool,
    **given: object,
) -> None:
    """Rank the same networks by several supernets and by training them: tau with intervals for every variant."""
    options, train, recipe, protocol_options = build_configs(
        given, preset, StudyOptions, TrainOptions, Recipe, ProtocolOptions, stage="train"
    )
    base = Variant(BASE, train, recipe, protocol_options)
    variants = [base]
    if variants_file is not None:
        variants += read_variants(COMPARISON if str(variants_file) == COMPARISON.stem else variants_file, base)
    processes = join(device, deterministic)
    with RunDirectory(out).locked(make=True) as directory:
        directory.record_command("study", describe(processes.device))
        study(faces, out, variants, options, processes)


def study(faces: Path, out: Path, variants: Sequence[Variant], options: StudyOptions, processes: ProcessGroup) -> dict:
    """Train what is missing, and write and print the study of all variants; the first variant hosts the truth."""
    from dualfair.presentation.figures import study_figure
    from dualfair.studies.supernets.table import lines_of, study_of, truth_of, write_rows

    directory = RunDirectory(out)
    names = by_training(variants)
    scores: dict[str, list[dict]] = {}
    host = _folder(out, variants[0].name, 0)
    for variant in variants:
        runs = [_folder(out, names[variant.training], number) for number in range(options.supernets)]
        for number, run in enumerate(runs):
            _train(faces, run, variant, number, processes)
        if variant is variants[0]:
            trained = _truth(host, variant, options, processes)
        scores[variant.name] = [_scores(run, trained.genotypes, variant, processes) for run in runs]
        found = study_of(scores, truth_of(trained), resamples=options.resamples)
        write_json(out / "study.json", {"options": asdict(options), **found})
    for line in lines_of(found):
        directory.say(line)
    write_rows(out / "study.csv", found)
    study_figure(out / "study.png", found)
    directory.say(f"Numbers: {out}/study.json and study.csv, picture: {out}/study.png")
    directory.say(f"Next: dualfair correlate --run {host}")
    return found


def _folder(out: Path, training: str, number: int) -> Path:
    """The run directory of a supernet."""
    return out / "supernets" / f"{re.sub('[^a-z0-9]+', '-', training.lower())}-{number}"


def _train(faces: Path, run: Path, variant: Variant, number: int, processes: ProcessGroup) -> None:
    from dualfair.stages.train import train

    with RunDirectory(run).locked(make=True):
        train(faces, run, replace(variant.train, seed=variant.train.seed + number), variant.recipe, processes)


def _truth(host: Path, variant: Variant, options: StudyOptions, processes: ProcessGroup):
    """Train random networks by themselves, in the run directory of the first supernet."""
    from dualfair.runs.trained_run import open_trained
    from dualfair.runs.trainings import collect
    from dualfair.stages.retrain import RetrainOptions, random_networks, retrain

    with RunDirectory(host).locked():
        run = open_trained(host, processes)
        protocol = variant.protocol_options.protocol()
        judged = {**asdict(variant.protocol_options), "objectives": ["error", protocol.disparity_name]}
        write_json(run.directory.stage("search") / "config.json", judged)
        chosen = dict.fromkeys(random_networks(run.setting.space, options.networks, variant.train.seed), ("random",))
        recipe = replace(variant.recipe, epochs=options.standalone_epochs)
        retrain(run, chosen, RetrainOptions(seeds=options.seeds, controls=0), recipe)
        return collect(run)


def _scores(run_path: Path, genotypes: Sequence, variant: Variant, processes: ProcessGroup) -> dict:
    """Inherited scores of the networks by column, from one supernet."""
    from dualfair.runs.trained_run import open_trained
    from dualfair.stages.search import inherited_scores

    with RunDirectory(run_path).locked():
        return inherited_scores(open_trained(run_path, processes), genotypes, variant.protocol_options)
