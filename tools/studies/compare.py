"""Is NSGA-II worth it? Against random search at equal evaluations, and the exhaustive truth, on a run's own scores."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dualfair.evolution.archive import Archive
from dualfair.evolution.comparison import NSGA, RANDOM, Comparison, contest
from dualfair.evolution.run import Progress as Generation
from dualfair.evolution.storage import glance
from dualfair.presentation.figures import BLUE, ORANGE, save
from dualfair.presentation.format import capital
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.devices import describe
from dualfair.runs.layout import Inside, StudyLayout
from dualfair.runs.records.codec import FLAT, Record
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.records.study import StudyCost, StudyFigure, StudyReport
from dualfair.runs.trained_run import TrainedRun
from dualfair.runs.watching import Progress, ShouldStop, ShowProgress, Stopped, never, silent
from dualfair.stages.inherited import open_scoring

SIGNIFICANT = 0.05
"""The largest p of the sign test at which a difference is called one."""


class CompareLayout(StudyLayout):
    """The folder RUN/studies/compare."""

    numbers = Inside("comparison.json")
    """The comparison with all its curves, as a record."""
    figure = Inside("hypervolume.png")
    scores = Inside("scores.sqlite")
    """The archive of all scores that the searches asked for."""


@dataclass(frozen=True)
class SearchComparison(Record):
    """A comparison on the scores of a run; `config` tells how networks were searched and scored."""

    config: SearchConfig
    comparison: Comparison = field(metadata=FLAT)

    @property
    def best_front(self) -> str:
        """What shares are taken of."""
        scored = f"best front known, of {self.comparison.scored:,} networks scored"
        return "true front" if self.comparison.exhaustive else scored

    @property
    def sentence(self) -> str:
        """The comparison in words; no difference is claimed where the sign test has p > `SIGNIFICANT`."""
        result = self.comparison
        n, p = len(result.seeds), result.p
        ties, ahead = n - result.wins - result.losses, f"{result.wins} of {n} seeds"
        test = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
        how = f"paired by seed{f', {ties} ties' if ties else ''}; sign test {test}"
        if p > SIGNIFICANT:
            verdict = f"no difference shown: NSGA-II is ahead of random search in {ahead} ({how})"
        elif result.wins > result.losses:
            verdict = f"NSGA-II beats random search in {ahead} ({how})"
        else:
            verdict = f"NSGA-II is WORSE than random search: ahead in {ahead} ({how})"
        ours, theirs = ("{:.1%} ± {:.1%}".format(*result.methods[name].mean_and_error) for name in (NSGA, RANDOM))
        text = (
            f"{verdict}: {ours} against {theirs} (mean ± standard error) of the hypervolume of the {self.best_front}, "
            f"with {result.evaluations[-1]:,} of {result.networks:,} evaluations"
        )
        if not result.exhaustive:
            return text
        return f"{text}; random search needs {np.mean(result.needed):,.0f} on average to get as far"

    @property
    def table(self) -> Table:
        """What each method reached with all its evaluations, and where the true front is known, how often all of it."""
        columns = [Column("method", "text"), Column("seeds", "whole"), Column("evaluations", "whole")]
        columns += [Column("share of hypervolume", "percent", spread="share SE"), Column("share SE", "percent")]
        columns += [Column("seeds with the whole true front", "whole")]
        of_all = len(self.comparison.seeds), self.comparison.evaluations[-1]
        rows = [
            [method, *of_all, *reached.mean_and_error, reached.whole_front and sum(reached.whole_front)]
            for method, reached in self.comparison.methods.items()
        ]
        return table(columns, rows, "NSGA-II and random search at equal evaluations (mean ± standard error over seeds)")


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
    without a search, and as `evolution.comparison.contest` does.
    """
    directory, space = run.directory, run.setting.space
    searched = directory.config(directory.layout.search, SearchConfig)
    options = searched.options
    options = replace(
        options,
        population=population or options.population,
        generations=generations or options.generations,
    )
    layout = CompareLayout(directory.layout.study("compare").folder)
    directory.record_command(layout, describe(run.device))

    def show(work: str, at: Generation) -> None:
        progress(Progress(work, at.generation, at.generations, "generation"))
        if should_stop():
            raise Stopped(f"the comparison was stopped in {work}; its scores are kept")

    with open_scoring(run, searched) as scoring:
        faces, known = scoring.scorer.faces, scoring.archive
        directory.say(
            f"Compare: NSGA-II and random search, {seeds} seeds each, {options.population} genotypes x "
            f"{options.generations} generations of space {space.name} ({space.size:,}); minimise "
            f"{', '.join(searched.names.minimised)} on {faces.amount('unseen ')}{faces.of_classes}; "
            f"{describe(run.device)}"
        )
        if scoring.limits:
            directory.say(f"        within limits: {scoring.limits.in_words}")
        measured = {"measurement": known.measurement, "columns": known.columns, "objectives": known.objectives}
        with Archive(layout.scores, **measured) as archive:
            if archive.repaired:
                directory.say(archive.repaired)
            archive.keep(known)
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
    asked_for = {"start": (), "exhaustive": False, "evaluations": comparison.evaluations[-1]}
    record = SearchComparison(replace(searched, options=options, **asked_for), comparison)
    record.write(layout.numbers)
    draw(layout.figure, record)
    caption = f"Share of the hypervolume of the {record.best_front} after so many networks scored"
    StudyReport(
        question="Is NSGA-II worth it?",
        sentences=(f"{capital(record.sentence)}.",),
        tables=(record.table,),
        figures=(StudyFigure(layout.figure.name, f"{caption}: median and quartiles over seeds"),),
        costs=_costs(directory.layout.search.scores, layout.scores),
    ).write(layout.report)
    for line in (*record.table.lines(), record.sentence):
        directory.say(line)
    directory.say(f"Numbers: {layout.numbers}, curves: {layout.figure}")
    return record


def _costs(searched: Path, compared: Path) -> tuple[StudyCost, ...]:
    """The scores that only the comparison took: its archive begins with those of the search."""
    known = {measurement: (n, seconds or 0.0) for measurement, n, seconds in glance(searched)}
    count, spent = 0, 0.0
    for measurement, n, seconds in glance(compared):
        searches, mean = known.get(measurement, (0, 0.0))
        count, spent = count + max(n - searches, 0), spent + max(n * (seconds or 0.0) - searches * mean, 0.0)
    return (StudyCost("further scores", count, spent),) if count else ()


def draw(path: Path, record: SearchComparison) -> None:
    """Shares of the best front's hypervolume over evaluations by method: median and quartiles over seeds."""
    figure, comparison = Figure(figsize=(6, 4.5), layout="constrained"), record.comparison
    axes = figure.add_subplot()
    axes.axhline(1.0, color="black", lw=1, label=record.best_front)
    looks = zip((BLUE, ORANGE), ("-", "--"), ("o", "s"), ("//", ""), strict=True)
    for (method, reached), (colour, dash, marker, hatch) in zip(comparison.methods.items(), looks, strict=True):
        low, median, high = np.quantile(reached.shares, (0.25, 0.5, 0.75), axis=0)
        at = comparison.evaluations
        axes.fill_between(at, low, high, facecolor=colour, edgecolor=colour, alpha=0.25, hatch=hatch, lw=0)
        label = f"{method}: median and quartiles of {len(comparison.seeds)} seeds"
        axes.plot(at, median, color=colour, linestyle=dash, marker=marker, ms=4, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("networks evaluated")
    axes.set_ylabel("share of the best front's hypervolume")
    axes.legend(loc="lower right")
    save(figure, path)
