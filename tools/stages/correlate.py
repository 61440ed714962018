"""Stage 4: does the inherited score rank networks as training from scratch does?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dualfair.presentation.figures import ranking_figure, save
from dualfair.runs.devices import describe
from dualfair.runs.layout import CorrelateLayout
from dualfair.runs.options import RESAMPLES
from dualfair.runs.records.ranking import RankingStudy, TableStudy
from dualfair.runs.records.training import SPLITS, TrainingResult
from dualfair.runs.run_files import TrainingResults, collect, read_short
from dualfair.runs.trained_run import TrainedRun
from dualfair.runs.watching import Say, silent
from dualfair.stages.inherited import inherited_scores, recorded_search
from dualfair.stages.ranking_study import ScoreTables, mean_over_seeds, ranking_study, samples_of
from dualfair.stages.ranking_words import bars_of, sentences, title_of
from dualfair.stages.score_tables import read_score_tables

BASELINES = ("params", "macs")
"""Costs that an inherited score has to rank better than."""

_AXES = ("inherited weights", "trained from scratch")
_COMPARED = "inherited scores on validation identities against the mean of standalone trainings"


def correlate(run: TrainedRun, *, resamples: int = RESAMPLES) -> RankingStudy:
    """The ranking study of a run, which is also written to it, with a scatter."""
    directory, layout = run.directory, run.directory.layout
    trained = collect(layout, run.setting.space)
    directory.record_command(layout.correlate, describe(run.device))
    config = recorded_search(directory)
    inherited = inherited_scores(run, trained.genotypes, config)
    measures = config.names.measured
    short = read_short(layout, trained, run.setting.space)
    ranking = study(trained, inherited, measures, resamples, short)
    ranking.write(layout.correlate.ranking)
    for line in sentences(ranking, _COMPARED):
        directory.say(line)
    if not short and layout.short.folder.is_dir():
        directory.say("  short trainings are left out: not every network has one; run 'dualfair retrain --short'")
    if not trained.genotypes:
        directory.say(f"Numbers: {layout.correlate.ranking}")
        return ranking
    tables = tables_of(trained, inherited, measures, SPLITS[0], short)
    _draw(layout.correlate.figure, tables, ranking.studies[f"{SPLITS[0]} identities"], _AXES)
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
    """The ranking study of two CSV tables (`stages.score_tables`), which is also written to the folder `out`."""
    read = read_score_tables(inherited, standalone, maximise)
    of_tables = ranking_study(read.tables, resamples=resamples)
    ranking = RankingStudy(
        networks=of_tables.networks,
        seeds=of_tables.seeds,
        maximised=tuple(read.maximised),
        only_inherited=read.only_inherited,
        only_standalone=read.only_standalone,
        left_out=tuple(read.left_out),
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
    _draw(layout.figure, read.tables, of_tables, (inherited.name, standalone.name), maximise)
    say(f"Numbers: {layout.ranking}, scatter: {layout.figure}")
    return ranking


def study(
    trained: TrainingResults,
    inherited: Mapping[str, np.ndarray],
    measures: Sequence[str],
    resamples: int,
    short: Sequence[TrainingResult] = (),
) -> RankingStudy:
    """The ranking study of trained networks by `measures`, on validation and on test identities.

    `inherited` are their scores (n,) by column, `short` the results of all networks' short trainings, or empty.
    """
    studies = {
        f"{split} identities": ranking_study(tables_of(trained, inherited, measures, split, short), resamples=resamples)
        for split in SPLITS
    }
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


def tables_of(
    trained: TrainingResults,
    inherited: Mapping[str, np.ndarray],
    measures: Sequence[str],
    split: str,
    short: Sequence[TrainingResult] = (),
) -> ScoreTables:
    """`ScoreTables` of trained networks: inherited scores (n,) by column, taken on validation identities, and results
    on a split. `short` are the results of all networks' short trainings, or empty."""
    halves = {name: _halves_of(trained, name, split) for name in measures}
    return ScoreTables(
        tuple(map(str, trained.genotypes)),
        trained.samples,
        {name: inherited[name] for name in measures},
        {name: _standalone_of(trained, name, split) for name in measures},
        {name: table for name, table in halves.items() if table is not None},
        {name: inherited[name] for name in BASELINES},
        {
            name: {"short training": np.array([result.on(SPLITS[0]).measures[name] for result in short], dtype=float)}
            for name in measures
            if short
        },
    )


def _standalone_of(trained: TrainingResults, measure: str, split: str) -> np.ndarray:
    """Standalone values of a measure on a split, shape (networks, seeds); nan where it was not taken."""
    values = [[result.on(split).measures.get(measure, np.nan) for result in results] for results in trained.results]
    return np.array(values, dtype=float).reshape(len(values), trained.seeds)


def _halves_of(trained: TrainingResults, name: str, split: str) -> np.ndarray | None:
    """Standalone values of a named measure on both halves of a split, (networks, seeds, 2); None where one has none."""
    try:
        values = [
            [[half[name] for half in result.on(split).halves] for result in results] for results in trained.results
        ]
        return np.array(values, dtype=np.float64).reshape(len(values), trained.seeds, 2)
    except (KeyError, ValueError):
        return None


def _draw(
    path: Path, tables: ScoreTables, study: TableStudy, axes: tuple[str, str], maximised: Sequence[str] = ()
) -> None:
    """Draw the random sample of a study, or all networks where there is none."""
    samples = samples_of(tables)
    name = "random" if "random" in samples else "all"
    part = tables.only(samples[name])
    panels = []
    for measure, scores in part.inherited.items():
        standalone = part.standalone[measure]
        n, seeds = standalone.shape
        with np.errstate(invalid="ignore"):
            spread = standalone.std(axis=1, ddof=1) / seeds**0.5 if seeds > 1 else np.zeros(n)
        shown = f"-{measure}" if measure in maximised else measure
        measured = study.samples[name].measures[measure]
        names = tuple(f"{shown}, {axis}" for axis in axes)
        panels.append((scores, mean_over_seeds(standalone), spread, names, title_of(name, measured), bars_of(measured)))
    save(ranking_figure(panels), path)
