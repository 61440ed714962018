"""Scores of subnets by the weights that they inherit, kept in the run's archive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.evolution.archive import Archive, Evaluation
from dualfair.evolution.constraints import within
from dualfair.evolution.run import Run, feasible
from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import BATCH
from dualfair.runs.protocol import ProtocolOptions, measurement, people_in_words
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.records.training import RetrainConfig
from dualfair.runs.trained_run import TrainedRun, inherited_scorer
from dualfair.stages.constraints import limits_of
from dualfair.supernet.genotype import Genotype


def recorded_protocol(directory: RunDirectory) -> tuple[ProtocolOptions, tuple[str, ...]]:
    """How networks of a run are evaluated, and the objectives of its search behind error and disparity.

    That is how its search did, and without one how retraining did. Raises ValueError where there is neither.
    """
    layout = directory.layout
    if layout.retrain.config.is_file() and not layout.search.config.is_file():
        return directory.config(layout.retrain, RetrainConfig).protocol, ()
    config = directory.config(layout.search, SearchConfig)
    return config.protocol, config.further


def open_scorer(
    run: TrainedRun, protocol_options: ProtocolOptions, *, extra: Sequence[str] = (), batch: int = BATCH
) -> InheritedScorer:
    """The scorer of a run's subnets on its validation faces, with error, disparity and `extra` as objectives."""
    protocol = protocol_options.protocol()
    return inherited_scorer(
        run,
        "validation",
        protocol,
        calibrate=protocol_options.calibrate,
        objectives=("error", protocol.disparity_name, *extra),
        batch=batch,
        people=protocol_options.people,
    )


def open_archive(run: TrainedRun, scorer: InheritedScorer, protocol_options: ProtocolOptions) -> Archive:
    """The archive of a run's scores that were measured just so: by this scorer, on its people."""
    directory = run.directory
    directory.make(directory.layout.search)
    archive = Archive(
        directory.layout.search.scores,
        columns=scorer.columns,
        objectives=len(scorer.objectives),
        measurement=measurement(
            protocol_options,
            scorer.objectives,
            run.digest,
            run.setting.faces_fingerprint,
            people_in_words(scorer.faces.identities),
            scorer.resamples,
        ),
    )
    if archive.repaired:
        directory.say(archive.repaired)
    return archive


def inherited_scores(
    run: TrainedRun, genotypes: Sequence[Genotype], protocol_options: ProtocolOptions, extra: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Scores of networks by a run's supernet, by column, (n,) each: from its archive, which keeps what is missing."""
    scorer = open_scorer(run, protocol_options, extra=extra)
    with open_archive(run, scorer, protocol_options) as archive:
        values = Run(scorer, archive, steps=1).step(genotypes).reshape(-1, len(scorer.columns))
    return {name: values[:, column] for column, name in enumerate(scorer.columns)}


def scored_networks(run: TrainedRun) -> tuple[list[Evaluation], np.ndarray]:
    """The networks that the run's search scored, within its constraints, and their objectives (n, m), all finite."""
    protocol_options, extra = recorded_protocol(run.directory)
    with open_archive(run, open_scorer(run, protocol_options, extra=extra), protocol_options) as archive:
        scored = within(archive, limits_of(run)[0])
    return feasible(scored, archive.objectives)
