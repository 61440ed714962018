"""An honest small run of all four stages on generated faces, with the comparisons that matter.

What other studies and rooms do for it, comparing searches and writing the report, is handed in.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap

from dualfair.evaluation.ranking_study import MeasureStudy
from dualfair.presentation.table import Column, Table, interval_columns, table
from dualfair.runs.devices import Workplace
from dualfair.runs.layout import Inside, RunLayout
from dualfair.runs.options import ProtocolOptions, RetrainOptions, SearchOptions, TrainOptions
from dualfair.runs.records.ranking import RankingStudy
from dualfair.runs.records.search import ConfirmedFront
from dualfair.runs.trained_run import TrainedRun, open_trained
from dualfair.runs.watching import Say, ShouldStop, ShowProgress, never, silent
from dualfair.stages.correlate import BASELINES, correlate
from dualfair.stages.faces import PREVIEW, description, generate
from dualfair.stages.retrain import HowTrained, retrain, select
from dualfair.stages.search import SearchTask, search
from dualfair.stages.train import train, updates_in_words
from dualfair.supernet.images.store import open_store
from dualfair.supernet.images.synthetic.people import SyntheticFaces
from dualfair.supernet.training.recipe import Recipe

IDENTITIES, IMAGES, SIZE, BIAS = 320, 10, 32, 0.5
SPLIT = "0.25,0.5,0.25"
"""Of the validation people one half is for the search, the other to confirm its front."""
RECIPE = Recipe(epochs=18.0, batch=32, lr=0.2)
STANDALONE_RECIPE = replace(RECIPE, epochs=12.0)
SPACE = "dpn81-shared"
SEARCH = SearchOptions(population=20, generations=6)
RETRAIN = RetrainOptions(seeds=2, controls=0, random=12)
PROTOCOL = ProtocolOptions(calibrate=400)
WIDTH = 118
"""Letters of a line of the summary, at most."""
COMPARED_SEEDS = 40
"""Seeds over which NSGA-II is compared with random search, on scores that are known by then."""


@dataclass(frozen=True)
class DemoLayout:
    """The folder of a demo: its faces, the run, and the page."""

    folder: Path
    faces = Inside("faces")
    run = Inside("run")
    page = Inside("report/report.html")


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """What a demo came to: sentences on the counters of training and on the searches, how the front was confirmed, how
    networks are ranked, and how long every stage took."""

    counters: str
    comparison: str
    confirmation: ConfirmedFront
    ranking: RankingStudy
    seconds: Mapping[str, float]


def demonstrate(
    layout: DemoLayout,
    place: Workplace,
    seed: int,
    *,
    compare: Callable[[TrainedRun, int], str],
    report: Callable[[Path, Path], object],
    say: Say = silent,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
) -> Demonstration:
    """Run everything in `place`, skipping what is done.

    Same seed, same numbers. `compare` tells in a sentence how searches of a run compare over so many seeds, `report`
    writes a run's report to a page.
    """
    watched = {"progress": progress, "should_stop": should_stop}
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        start = time.monotonic()
        say("")
        say(f"--- {stage}")
        yield
        seconds[stage] = time.monotonic() - start

    with timed("faces"):
        if not (layout.faces / "manifest.csv").is_file():
            generated = SyntheticFaces(identities=IDENTITIES, images=IMAGES, size=SIZE, bias=BIAS, seed=seed)
            generate(generated, layout.faces, progress)
        for line in description(open_store(layout.faces)):
            say(line)
        say(f"pictures: {layout.faces / PREVIEW}")
    with timed("train"):
        options = TrainOptions(space=SPACE, size=SIZE, split=SPLIT, split_seed=seed, seed=seed)
        counters = updates_in_words(train(place, layout.faces, options, RECIPE, **watched))
        run = open_trained(place.directory, place.processes)
    with timed("search"):
        front = search(run, SearchTask(options=replace(SEARCH, seed=seed), protocol=PROTOCOL), **watched)
        comparison = compare(run, COMPARED_SEEDS)
    with timed("retrain"):
        retrain(run, select(run, RETRAIN), HowTrained(options=RETRAIN, recipe=STANDALONE_RECIPE, **watched))
    with timed("correlate"):
        ranking = correlate(run)
    with timed("report"):
        report(layout.run, layout.page)
    return Demonstration(
        counters=counters,
        comparison=comparison,
        confirmation=front.confirmation,
        ranking=ranking,
        seconds=seconds,
    )


def summary(demo: Demonstration, layout: DemoLayout) -> list[str]:
    """One screen: what came out, with its n."""
    total = sum(demo.seconds.values())
    stages = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in demo.seconds.items())
    ranking, files = demo.ranking, RunLayout(layout.run)
    measures = {name: of for name, of in ranking.measures.items() if name.endswith("validation identities")}
    told = [
        f"=== DualFair demo: {total / 60:.1f} minutes ({stages})",
        f"strict fairness: {demo.counters}",
        f"search: {demo.comparison}",
        *(
            f"on {demo.confirmation.people} held-out people: {chance.objective} of its best {chance.value:.3f}, "
            f"{chance.as_good} of {chance.random} random subnets are as good: {chance.verdict}"
            for chance in demo.confirmation.against_random
        ),
        f"ranking, {len(ranking.networks)} networks x {ranking.seeds} seeds, validation identities: Kendall's tau",
        *(f"  {line}" for line in _taus(measures).lines()),
        "  predicted: every network by the trainings of the others; at most: what the exact truth would reach, since",
        "  trainings and people blur the measured one; brackets are 95 % bootstrap intervals over networks",
        *(f"{name.split(',')[0]}: {'; '.join(of.conclusions)}" for name, of in measures.items()),
        f"Open {layout.page} in a browser: which network to take, and what not to believe",
        f"front: {files.search.figure}   ranking: {files.correlate.figure}",
        "A run this small shows that everything works; it proves nothing about your faces.",
    ]
    lines = [""]
    for line in told:
        # Lines that name files, and those of a table, stay whole.
        whole = line.startswith(("  ", "Open ", "front: "))
        lines += [line] if whole else wrap(line, WIDTH, subsequent_indent="  ")
    return lines


def _taus(measures: Mapping[str, MeasureStudy]) -> Table:
    """How inherited scores, predictions and costs rank by every measure, and the most that could be reached."""
    columns = [Column("", "text"), *interval_columns("inherited", "tau"), *interval_columns("predicted", "tau")]
    rows = []
    for name, measure in measures.items():
        ours = [measure.correlation, measure.predicted and measure.predicted.correlation]
        taus = [end for each in ours for end in ((each.tau, *(each.interval or (None, None))) if each else [None] * 3)]
        costs = [measure.baselines[cost].correlation.tau for cost in BASELINES]
        rows.append([name.split(",")[0], *taus, *costs, measure.ceiling.truth.tau])
    return table([*columns, *(Column(name, "tau") for name in (*BASELINES, "at most"))], rows)
