"""Does the inherited score rank as standalone training does, over several supernets and ways of training them?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dualfair.runs.devices import Workplace, describe, working_beside
from dualfair.runs.options import RetrainOptions
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.run_files import TrainingResults, collect
from dualfair.runs.trained_run import open_trained
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.stages.inherited import inherited_scores
from dualfair.stages.retrain import HowTrained, random_networks, retrain
from dualfair.stages.train import train
from dualfair.studies.supernets.figure import draw
from dualfair.studies.supernets.options import StudyOptions
from dualfair.studies.supernets.records import SupernetsLayout, SupernetStudy
from dualfair.studies.supernets.table import standalone_scores, study_of
from dualfair.studies.supernets.variants import Variant, by_training
from dualfair.studies.supernets.words import lines_of, rows_of
from dualfair.supernet.files import write_csv
from dualfair.supernet.genotype import Genotype

SAMPLE = ("random",)
"""Why the networks are trained."""


@dataclass(frozen=True)
class _Stages:
    """The stages of a study: in folders beside its own, on the same faces, watched by whoever called."""

    place: Workplace
    faces: Path
    options: StudyOptions
    progress: ShowProgress
    should_stop: ShouldStop

    def train(self, run: Path, variant: Variant, number: int) -> None:
        """Train supernet `number` of a variant, unless that is done."""
        options = replace(variant.train, seed=variant.train.seed + number)
        with working_beside(self.place, run, make=True) as place:
            train(place, self.faces, options, variant.recipe, progress=self.progress, should_stop=self.should_stop)

    def retrain(self, host: Path, variant: Variant) -> TrainingResults:
        """Train random networks by themselves, in the run directory of the first supernet."""
        with working_beside(self.place, host) as place:
            run = open_trained(place.directory, place.processes)
            space = run.setting.space
            networks = random_networks(space, self.options.networks, variant.train.seed)
            how = HowTrained(
                options=RetrainOptions(seeds=self.options.seeds, controls=0),
                recipe=replace(variant.recipe, epochs=self.options.standalone_epochs),
                protocol=variant.protocol_options,
                progress=self.progress,
                should_stop=self.should_stop,
            )
            retrain(run, dict.fromkeys(networks, SAMPLE), how)
            return collect(place.directory.layout, space)

    def score(self, run: Path, genotypes: Sequence[Genotype], variant: Variant) -> dict[str, np.ndarray]:
        """Inherited scores (n,) of the networks by column, from one supernet."""
        with working_beside(self.place, run) as place:
            trained = open_trained(place.directory, place.processes)
            return inherited_scores(trained, genotypes, SearchConfig.of(variant.protocol_options))


def study(
    place: Workplace,
    faces: Path,
    variants: Sequence[Variant],
    options: StudyOptions,
    *,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
) -> SupernetStudy:
    """Train what is missing in a folder, and write the study of all variants there; the first variant's first supernet
    hosts the standalone trainings.

    A training that `should_stop` ends is saved before `runs.watching.Stopped` is raised. Raises ValueError where
    options and faces do not fit, or the folder was begun with others.
    """
    directory = place.directory
    directory.record_command(directory.layout.stage("study"), describe(place.processes.device))
    layout, stages = SupernetsLayout(directory.path), _Stages(place, faces, options, progress, should_stop)
    names = by_training(variants)
    host = layout.supernet(variants[0].name, 0)
    trained: TrainingResults | None = None
    inherited: dict[str, list[dict[str, np.ndarray]]] = {}
    for variant in variants:
        runs = [layout.supernet(names[variant.training], number) for number in range(options.supernets)]
        for number, run in enumerate(runs):
            stages.train(run, variant, number)
        trained = trained or stages.retrain(host, variant)
        inherited[variant.name] = [stages.score(run, trained.genotypes, variant) for run in runs]
        record = study_of(inherited, standalone_scores(trained), options)
        record.write(layout.numbers)
    for line in lines_of(record):
        directory.say(line)
    write_csv(layout.table, rows_of(record))
    draw(layout.figure, record.to_json())
    directory.say(f"Numbers: {layout.numbers} and {layout.table.name}, picture: {layout.figure}")
    directory.say(f"Next: dualfair correlate --run {host}")
    return record
