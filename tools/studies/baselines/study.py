"""Networks of the search against backbones of timm's, all trained and evaluated alike."""

from __future__ import annotations

from dataclasses import replace

from dualfair.presentation.figures import shelf_figure
from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import RESAMPLES
from dualfair.runs.training_results import read_results
from dualfair.stages.inherited import recorded_protocol
from dualfair.studies.baselines.numbers import TEST, gather, study
from dualfair.studies.baselines.records import BaselinesLayout, BaselineStudy
from dualfair.studies.baselines.words import sentences, table
from dualfair.supernet.files import write_csv


def study_baselines(directory: RunDirectory, *, resamples: int = RESAMPLES) -> BaselineStudy:
    """The study of all standalone trainings of a run, which is also written to RUN/shelf, with a table and a figure.

    `resamples` are the bootstrap's. Raises ValueError when nothing was retrained.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, got {resamples}")
    damaged: list[str] = []
    results = read_results(directory.layout.retrain, damaged)
    if not results:
        raise ValueError(f"{directory.path} has no retrained networks; run 'dualfair retrain' first")
    protocol_options, _ = recorded_protocol(directory)
    networks, measures = gather(results, protocol_options.protocol().disparity_name)
    record = replace(study(networks, measures, resamples=resamples), damaged=tuple(damaged))
    layout = BaselinesLayout(directory.layout.stage("shelf").folder)
    directory.record_command(layout, "no device")
    write_csv(layout.table, table(record))
    record.write(layout.numbers)
    fronts = {name: set(labels) for name, labels in record.fronts[TEST].items()}
    shelf_figure(layout.figure, [network.to_json() for network in record.networks], fronts)
    for line in sentences(record):
        directory.say(line)
    directory.say(f"Numbers: {layout.numbers}, {layout.table}, figure: {layout.figure}")
    return record
