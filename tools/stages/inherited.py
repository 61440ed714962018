"""Scores of subnets by the weights that they inherit, kept in the run's archive: what takes them is opened here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from dualfair.evaluation.latency import Latencies
from dualfair.evaluation.limits import CostLimits
from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.evolution.archive import Archive, Evaluation
from dualfair.evolution.constraints import Constraints, within
from dualfair.evolution.run import Run, feasible, objectives_of
from dualfair.runs.config import check_code
from dualfair.runs.devices import images_at_once
from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import ProtocolOptions, measurement, people_in_words
from dualfair.runs.records.prediction import Predictor
from dualfair.runs.records.search import Front, SearchConfig
from dualfair.runs.records.training import RetrainConfig
from dualfair.runs.run_files import RunFiles
from dualfair.runs.trained_run import TrainedRun, calibration_images, open_folds
from dualfair.stages.prediction import Predictions
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.splits import some_people
from dualfair.supernet.memory import Batch

SEARCHED, HELD_OUT = "validation", "confirmation"
"""The splits whose people a search scores on, and whose it has not seen."""
CALIBRATION = 4
"""How many times as many images as in the search measure BN statistics for people that it has not seen: there are few
networks here."""
RESAMPLES = 400
"""Of these people, for intervals."""


@dataclass(frozen=True)
class Scoring:
    """What subnets are scored by, opened once: the scorer, the archive that keeps its scores, and the limits on what a
    network may cost with the constraints that follow, None without any. `timed_on` is the device of latencies among the
    scores."""

    scorer: InheritedScorer
    archive: Archive
    limits: CostLimits | None = None
    constraints: Constraints | None = None
    timed_on: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.archive.close()


def recorded_search(directory: RunDirectory) -> SearchConfig:
    """How networks of a run are scored: as its search did, and without one as retraining evaluated them.

    Raises ValueError where there is neither.
    """
    layout = directory.layout
    if layout.retrain.config.is_file() and not layout.search.config.is_file():
        return SearchConfig.of(directory.config(layout.retrain, RetrainConfig).protocol)
    return directory.config(layout.search, SearchConfig)


def scored_at_once(run: TrainedRun, asked: int | None = None) -> int:
    """How many images are scored at once, the same on all ranks: as `asked`, else as this run recorded it, else by the
    rule of `images_at_once`."""
    layout = run.directory.layout
    if asked is None and (layout.search.config.is_file() or layout.retrain.config.is_file()):
        asked = recorded_search(run.directory).protocol.images_at_once
    if asked is None:
        asked = images_at_once(run.device, run.setting.skeleton.image_size)
    return int(run.processes.broadcast(str(asked)))


def check_judged(directory: RunDirectory, protocol_options: ProtocolOptions) -> None:
    """Raise ValueError where networks of a run were retrained and judged by other code of own objectives."""
    stage, code = directory.layout.retrain, protocol_options.code
    if code and stage.config.is_file():
        recorded = directory.config(stage, RetrainConfig).code
        check_code(recorded, code, f"networks of {directory.path} were retrained and judged by it")


def calibrating(run: TrainedRun, protocol_options: ProtocolOptions, split: str) -> int:
    """On how many training images BN statistics are measured for the scores on a split."""
    images = protocol_options.calibrate
    return images if split == SEARCHED else min(CALIBRATION * images, len(run.setting.splits["train"]))


def open_scorer(
    run: TrainedRun,
    protocol_options: ProtocolOptions,
    *,
    split: str = SEARCHED,
    latency: Latencies | None = None,
    folds: Sequence[TrainedRun] | None = None,
) -> InheritedScorer:
    """The scorer of a run's subnets on one split: on as many of the people searched on as the options say, or on all
    held-out ones, with intervals.

    Of a run that rotates its validation people a search scores by the supernets of all `folds`, each on the people of
    its own; None: those that are found. Raises ValueError where there are not so many people, and for objectives that
    are not to be had of these images.
    """
    faces, protocol = run.setting.splits[split], protocol_options.protocol()
    protocol.check(faces)
    if protocol_options.people and split == SEARCHED:
        faces = some_people(faces, protocol_options.people, run.config.options.split_seed)
    if folds is None:
        folds = open_folds(run) if split == SEARCHED else ()
    return InheritedScorer(
        run.supernet,
        faces,
        calibration_images(run, calibrating(run, protocol_options, split)),
        protocol,
        batch=Batch(protocol_options.images_at_once, run.directory.say),
        precision=protocol_options.precision,
        processes=run.processes,
        resamples=RESAMPLES if split == HELD_OUT else 0,
        latency=latency,
        beside=[open_scorer(fold, protocol_options, folds=()) for fold in folds],
    )


def open_scoring(
    run: TrainedRun,
    config: SearchConfig,
    *,
    split: str = SEARCHED,
    timed_on: str | None = None,
) -> Scoring:
    """The scorer, the archive of the run's scores that were measured just so, and the limits of a search.

    `timed_on` names a device whose latencies are to be read from the archive, in place of this one's.
    """
    directory, limited = run.directory, config.constraints
    check_judged(directory, config.protocol)
    layout = directory.layout.search
    protocol = config.protocol.protocol()
    timed = any(cost.name not in ("params", "macs") for cost in protocol.costs)
    latency = None
    if timed or limited.max_latency:
        latency = Latencies(layout.latencies, run.setting.skeleton, run.device, limited.latency_batch)
    folds = open_folds(run) if split == SEARCHED else []
    scorer = open_scorer(run, config.protocol, split=split, latency=latency, folds=folds)
    directory.make(layout)
    key = (latency.key if timed_on is None else timed_on) if timed else ""
    archive = Archive(
        layout.scores,
        columns=scorer.columns,
        objectives=len(scorer.objectives),
        measurement=measurement(
            replace(config.protocol, calibrate=calibrating(run, config.protocol, split)),
            " ".join(each.digest for each in (run, *folds)),
            run.setting.faces_fingerprint,
            people_in_words(scorer.faces.identities, scorer.faces.units),
            scorer.resamples,
            key,
        ),
    )
    if archive.repaired:
        directory.say(archive.repaired)
    space, skeleton = run.setting.space, run.setting.skeleton
    limits = CostLimits(space, skeleton, limited.max_params, limited.max_macs, limited.max_latency, latency)
    if not limits.costs:
        return Scoring(scorer, archive, timed_on=key)
    return Scoring(scorer, archive, limits, Constraints(space, limits, limits.too_tight), key)


def inherited_scores(run: TrainedRun, genotypes: Sequence[Genotype], config: SearchConfig) -> dict[str, np.ndarray]:
    """Scores of networks by a run's supernet, by column, (n,) each: from its archive, which keeps what is missing."""
    with open_scoring(run, config) as scoring:
        values = Run(scoring.scorer, scoring.archive, steps=1).step(genotypes)
    columns = scoring.scorer.columns
    return dict(zip(columns, values.reshape(-1, len(columns)).T, strict=True))


def recorded_predictions(run: TrainedRun, config: SearchConfig) -> Predictions | None:
    """What a search of the run predicted by; None where it went by inherited scores alone. Raises ValueError where the
    predictor is missing, damaged or another search's."""
    if not config.predictor:
        return None
    path, again = run.directory.layout.search.predictor, "run the same 'dualfair search' command again"
    predictor = Predictor.read(path, again)
    if predictor.digest != config.predictor:
        raise ValueError(f"{path} is not what the networks of {run.directory.path} were searched by; {again}")
    objectives = config.protocol.protocol().on_images
    return Predictions(predictor, run.setting.space, run.setting.skeleton, objectives)


def scored_networks(run: TrainedRun) -> tuple[list[Evaluation], np.ndarray]:
    """The networks that the run's search asked for, and their objectives (n, m), all finite.

    Of a search that is not finished, all that the archive holds within its limits. Objectives that the search predicted
    are predicted here. Raises ValueError naming an objective that is undefined for all of them.
    """
    config, layout = recorded_search(run.directory), run.directory.layout.search
    files = RunFiles(run.directory.layout)
    front, table = files.record(Front, layout.front), files.csv(layout.scores_table)
    with open_scoring(run, config, timed_on=config.timed_on) as scoring:
        scored: Iterable[Evaluation] = within(scoring.archive, scoring.constraints)
        if front and table and front.config == config:
            # The archive also keeps what other commands and other searches asked for.
            scored = scoring.archive.get(run.setting.space.parse(row[0]) for row in table[1:]).values()
        predictions = recorded_predictions(run, config)
        scored = predictions.instead(scored, scoring.scorer.columns) if predictions else [*scored]
        values = objectives_of(scored, scoring.archive.objectives)
        for name, of_all in zip(config.names.minimised, values.T, strict=True):
            if scored and not np.isfinite(of_all).any():
                raise ValueError(
                    f"objective {name} is undefined for all {len(scored)} networks that the search in "
                    f"{run.directory.path} scored; run 'dualfair search' with other --objectives"
                )
        return feasible(scored, scoring.archive.objectives)
