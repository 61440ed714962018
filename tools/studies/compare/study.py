"""Is NSGA-II worth it? Against random search at equal evaluations, and the exhaustive truth, on a run's own scores."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dualfair.evolution.archive import Archive
from dualfair.evolution.run import Progress as Generation
from dualfair.evolution.storage import glance
from dualfair.presentation.format import capital
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.devices import describe
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.records.study import StudyCost, StudyFigure, StudyReport
from dualfair.runs.trained_run import TrainedRun
from dualfair.runs.watching import Progress, Say, ShouldStop, ShowProgress, Stopped, never, silent
from dualfair.stages.inherited import open_scoring
from dualfair.studies.compare.figure import draw
from dualfair.studies.compare.records import CompareConfig, CompareLayout, Comparison, SearchComparison
from dualfair.studies.compare.searches import contest
from dualfair.supernet.files import write_csv


def compare(
    run: TrainedRun,
    seeds: int,
    *,
    population: int | None = None,
    generations: int | None = None,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
) -> SearchComparison:
    """Compare both methods on the scores that a run's search takes, over so many seeds of each.

    Protocol, siblings, limits, first seed, and population and generations where they are None, are those of the run's
    search; the networks that it started from are not. Writes RUN/studies/compare, and every score into an archive
    there, which begins with the scores of the search. (Not into the search's own archive: retraining chooses from that
    one.) When `should_stop` says so, `runs.watching.Stopped` is raised behind the generation at hand. Raises ValueError
    without a search, and as `studies.compare.searches.contest` does.
    """
    directory = run.directory
    searched = directory.config(directory.layout.search, SearchConfig)
    options = replace(
        searched.options,
        population=population or searched.options.population,
        generations=generations or searched.options.generations,
    )
    layout = CompareLayout(directory.layout.study("compare").folder)
    directory.record_command(layout, describe(run.device))
    space = run.setting.space

    def show(work: str, at: Generation) -> None:
        progress(Progress(work, at.generation, at.generations, "generation"))
        if should_stop():
            raise Stopped(f"the comparison was stopped in {work}; its scores are kept")

    with open_scoring(run, searched) as scoring:
        faces = scoring.scorer.faces
        directory.say(
            f"Compare: NSGA-II and random search, {seeds} seeds each, {options.population} genotypes x "
            f"{options.generations} generations of space {space.name} ({space.size:,}); minimise "
            f"{', '.join(searched.names.minimised)} on {len(faces):,} images of {faces.identity_count} unseen people; "
            f"{describe(run.device)}"
        )
        if scoring.limits:
            directory.say(f"        within limits: {scoring.limits.in_words}")
        with _archive(layout, scoring.archive, directory.say) as archive:
            comparison = contest(
                space,
                scoring.scorer,
                archive,
                population=options.population,
                generations=options.generations,
                siblings=options.siblings,
                seeds=range(options.seed, options.seed + seeds),
                progress=show,
                constraints=scoring.constraints,
            )
    costs = _costs(directory.layout.search.scores, layout.scores)
    config = CompareConfig(options=options, protocol=searched.protocol, names=searched.names)
    record = SearchComparison(config, comparison)
    _write(layout, record, costs)
    for line in (*methods_table(comparison).lines(), comparison.sentence):
        directory.say(line)
    directory.say(f"Numbers: {layout.numbers}, curves: {layout.figure}")
    return record


def methods_table(comparison: Comparison) -> Table:
    """What each method reached with all its evaluations, and where the true front is known, how often all of it."""
    columns = [Column("method", "text"), Column("seeds", "whole"), Column("evaluations", "whole")]
    columns += [Column("share of hypervolume", "percent", spread="share SE"), Column("share SE", "percent")]
    columns += [Column("seeds with the whole true front", "whole")]
    rows = [
        [
            *(method, len(comparison.seeds), comparison.evaluations[-1], *reached.mean_and_error),
            None if reached.whole_front is None else sum(reached.whole_front),
        ]
        for method, reached in comparison.methods.items()
    ]
    return table(columns, rows, "NSGA-II and random search at equal evaluations (mean ± standard error over seeds)")


@contextmanager
def _archive(layout: CompareLayout, searched: Archive, say: Say) -> Iterator[Archive]:
    """The archive of the comparison, with the scores of the run's search in it."""
    with Archive(
        layout.scores,
        measurement=searched.measurement,
        columns=searched.columns,
        objectives=searched.objectives,
    ) as archive:
        if archive.repaired:
            say(archive.repaired)
        archive.keep(searched)
        yield archive


def _costs(searched: Path, compared: Path) -> tuple[StudyCost, ...]:
    """The scores that only the comparison took: its archive begins with those of the search."""
    known = {measurement: (n, seconds or 0.0) for measurement, n, seconds in glance(searched)}
    count, spent = 0, 0.0
    for measurement, n, seconds in glance(compared):
        searches, mean = known.get(measurement, (0, 0.0))
        count, spent = count + max(n - searches, 0), spent + max(n * (seconds or 0.0) - searches * mean, 0.0)
    return (StudyCost("further scores", count, spent),) if count else ()


def _write(layout: CompareLayout, record: SearchComparison, costs: tuple[StudyCost, ...]) -> None:
    comparison = record.comparison
    rows = [
        [method, seed, evaluations, share]
        for method, reached in comparison.methods.items()
        for seed, shares in zip(comparison.seeds, reached.shares, strict=True)
        for evaluations, share in zip(comparison.evaluations, shares, strict=True)
    ]
    write_csv(layout.table, [["method", "seed", "evaluations", "hypervolume share"], *rows])
    draw(layout.figure, comparison)
    record.write(layout.numbers)
    caption = f"Share of the hypervolume of the {comparison.best_front} after so many networks scored"
    StudyReport(
        question="Is NSGA-II worth it?",
        sentences=(f"{capital(comparison.sentence)}.",),
        tables=(methods_table(comparison),),
        figures=(StudyFigure(layout.figure.name, f"{caption}: median and quartiles over seeds"),),
        costs=costs,
    ).write(layout.report)
