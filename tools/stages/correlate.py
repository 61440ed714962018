"""Stage 4: does the inherited score rank networks as training from scratch does?"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from dualfair.evaluation.network_features import network_features
from dualfair.evaluation.ranking_study import measure_study
from dualfair.evaluation.ranking_tables import ScoreTables, mean_over_seeds, samples_of
from dualfair.evaluation.score_tables import read_score_tables
from dualfair.evaluation.statistics.prediction import Features
from dualfair.evolution.pareto import front_agreement, hypervolume, non_dominated, reference_point
from dualfair.presentation.format import listed, quoted, spoken
from dualfair.runs.devices import describe
from dualfair.runs.layout import CorrelateLayout
from dualfair.runs.options import RESAMPLES
from dualfair.runs.records.ranking import FrontStudy, RankingStudy, SampleStudy, TableStudy
from dualfair.runs.records.training import SPLITS, TrainingResult
from dualfair.runs.run_files import TrainingResults, collect, read_short
from dualfair.runs.trained_run import TrainedRun
from dualfair.runs.watching import Say, silent
from dualfair.stages.convergence import convergence_lines, convergence_study
from dualfair.stages.inherited import inherited_scores, recorded_search
from dualfair.stages.ranking_output import draw, sentences
from dualfair.supernet.images import PEOPLE

BASELINES = ("params", "macs")
"""Costs that an inherited score has to rank better than."""
DRAWS = 200
"""Random choices that a front is compared with."""


def correlate(run: TrainedRun, *, resamples: int = RESAMPLES) -> RankingStudy:
    """The ranking study of a run, which is also written to it, with a scatter."""
    directory, layout = run.directory, run.directory.layout
    trained = collect(layout, run.setting.space)
    directory.record_command(layout.correlate, describe(run.device))
    config = recorded_search(directory)
    units = run.setting.splits[SPLITS[0]].units
    whose = _whose(units)
    inherited = inherited_scores(run, trained.genotypes, config)
    measures = config.names.measured
    short = read_short(layout, trained, run.setting.space)
    convergence = convergence_study(layout, trained, run.setting.space, measures, resamples)
    features = network_features(trained.genotypes, run.setting.space, run.setting.skeleton)
    of_networks = study(trained, inherited, measures, resamples, short, units, features)
    ranking = replace(of_networks, convergence=convergence)
    ranking.write(layout.correlate.ranking)
    compared = f"inherited scores on validation {whose} against the mean of standalone trainings"
    for line in sentences(ranking, compared):
        directory.say(line)
    searched = ranking.studies[f"{SPLITS[0]} {whose}"].samples["all"].measures
    if better := [name for name, of in searched.items() if of.predicted and of.predicted.better]:
        command = f"dualfair search --run {quoted(directory.path)} --predictor {quoted(directory.path)}"
        directory.say(f"  {listed([spoken(name) for name in better])} is ranked better by predictions: {command}")
    unchecked = "  not checked: whether trainings are long enough (dualfair retrain --check-convergence NETWORKS)"
    for line in convergence_lines(convergence, units) if convergence else [unchecked]:
        directory.say(line)
    if not short and layout.short.folder.is_dir():
        directory.say("  short trainings are left out: not every network has one; run 'dualfair retrain --short'")
    if not trained.genotypes:
        directory.say(f"Numbers: {layout.correlate.ranking}")
        return ranking
    tables = tables_of(trained, inherited, measures, SPLITS[0], short)
    axes = "inherited weights", "trained by themselves"
    draw(layout.correlate.figure, tables, ranking.studies[f"{SPLITS[0]} {whose}"], axes)
    directory.say(f"Numbers: {layout.correlate.ranking}, scatter: {layout.correlate.figure}")
    return ranking


def correlate_tables(
    inherited: Path,
    standalone: Path,
    out: Path,
    maximise: Sequence[str] = (),
    *,
    resamples: int = RESAMPLES,
    say: Say = silent,
) -> RankingStudy:
    """The ranking study of two CSV tables (`evaluation.score_tables`), which is also written to the folder `out`."""
    read = read_score_tables(inherited, standalone, maximise)
    of_tables = ranking_study(read.tables, resamples=resamples)
    ranking = RankingStudy(
        networks=of_tables.networks,
        seeds=of_tables.seeds,
        maximised=tuple(maximise),
        only_inherited=read.only_inherited,
        only_standalone=read.only_standalone,
        unused=read.unused,
        left_out=read.left_out,
        missing=(),
        damaged=(),
        measures=of_tables.samples["all"].measures,
        studies={"": of_tables},
    )
    layout = CorrelateLayout(out)
    out.mkdir(parents=True, exist_ok=True)
    ranking.write(layout.ranking)
    for line in sentences(ranking, f"{inherited} against the mean of {standalone}"):
        say(line)
    draw(layout.figure, read.tables, of_tables, (inherited.name, standalone.name), maximise)
    say(f"Numbers: {layout.ranking}, scatter: {layout.figure}")
    return ranking


def study(
    trained: TrainingResults,
    inherited: Mapping[str, np.ndarray],
    measures: Sequence[str],
    resamples: int,
    short: Sequence[TrainingResult] = (),
    units: str = PEOPLE,
    features: Features | None = None,
) -> RankingStudy:
    """The ranking study of trained networks by `measures`, on validation and on test identities, which are `units`.

    `inherited` are their scores (n,) by column, `short` the results of all networks' short trainings, or empty;
    `features` what else is known of them.
    """
    studies = {}
    for split in SPLITS:
        tables = tables_of(trained, inherited, measures, split, short)
        tables = replace(tables, units=units, features=features or {})
        studies[f"{split} {_whose(units)}"] = ranking_study(tables, resamples=resamples)
    return RankingStudy(
        networks=tuple(map(str, trained.genotypes)),
        seeds=trained.seeds,
        left_out=trained.left_out,
        missing=trained.missing,
        damaged=trained.damaged,
        measures={
            f"{measure}, {split}": studies[split].samples["all"].measures[measure]
            for measure in measures
            for split in studies
        },
        studies=studies,
    )


def _whose(units: str) -> str:
    return "identities" if units == PEOPLE else units


def tables_of(
    trained: TrainingResults,
    inherited: Mapping[str, np.ndarray],
    measures: Sequence[str],
    split: str,
    short: Sequence[TrainingResult] = (),
) -> ScoreTables:
    """`ScoreTables` of trained networks: inherited scores (n,) by column, taken on validation identities, and results
    on a split; NaN where a measure was not taken. `short` are all networks' short trainings, or empty."""
    shape = len(trained.genotypes), trained.seeds
    scores = [[result.on(split) for result in results] for results in trained.results]
    standalone, halves = {}, {}
    for name in measures:
        values = [[each.measures.get(name, np.nan) for each in of_network] for of_network in scores]
        standalone[name] = np.array(values, dtype=float).reshape(shape)
        # Results of some measures were taken on all people only.
        with suppress(KeyError, ValueError):
            values = [[[half[name] for half in each.halves] for each in of_network] for of_network in scores]
            halves[name] = np.array(values, dtype=float).reshape(*shape, 2)
    return ScoreTables(
        tuple(map(str, trained.genotypes)),
        trained.samples,
        {name: inherited[name] for name in measures},
        standalone,
        halves,
        {name: inherited[name] for name in BASELINES},
        {
            name: {"short training": np.array([result.on(SPLITS[0]).measures[name] for result in short], dtype=float)}
            for name in measures
            if short
        },
        heads=tuple(genotype.head for genotype in trained.genotypes),
    )


def ranking_study(tables: ScoreTables, *, resamples: int = RESAMPLES, seed: int = 0) -> TableStudy:
    """The study of score tables. `resamples` are the bootstrap's; everything random follows `seed`."""
    samples = {}
    for name, rows in samples_of(tables).items():
        part = tables.only(rows)
        samples[name] = SampleStudy(
            part.names,
            len(rows),
            {measure: measure_study(part, measure, resamples, seed) for measure in part.inherited},
            front_study(part, seed) if len(part.inherited) > 1 else None,
        )
    return TableStudy(tables.names, tables.seeds, samples)


def front_study(tables: ScoreTables, seed: int = 0) -> FrontStudy:
    """Agreement of the front by the inherited scores with the true one, beside as many networks drawn at random."""
    inherited = np.stack([np.asarray(scores, dtype=float) for scores in tables.inherited.values()], axis=1)
    truth = np.stack([mean_over_seeds(np.asarray(each, dtype=float)) for each in tables.standalone.values()], axis=1)
    if not len(inherited):
        return FrontStudy(None, None, None, "undefined for 0 networks")
    if not (np.isfinite(inherited).all() and np.isfinite(truth).all()):
        return FrontStudy(None, None, None, "undefined: some networks have a score that is not finite")
    chosen = int(non_dominated(inherited).sum())
    reference, rng = reference_point(truth), np.random.default_rng(seed)
    volumes = [hypervolume(truth[rng.choice(len(truth), chosen, replace=False)], reference) for _ in range(DRAWS)]
    at_random = float(np.mean(volumes)) / hypervolume(truth, reference)
    return FrontStudy(front_agreement(inherited, truth), chosen, at_random, None)
