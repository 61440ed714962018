"""A search by growing, from its first network to the trainings of what it found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from dualfair.evaluation.over_seeds import over_seeds
from dualfair.evolution.growing import STAGES, Grown, Outcome, replay
from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, Table, spread_columns, table
from dualfair.runs.devices import Workplace, in_words
from dualfair.runs.options import CHECKPOINT_MINUTES
from dualfair.runs.records.codec import Record
from dualfair.runs.records.study import StudyReport
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.studies.grow import FinalOptions, GrowOptions
from dualfair.studies.grow.candidates import FOUND, RANDOM, CandidateResult, GrowLayout, open_growth, trained
from dualfair.studies.grow.networks import random_structure
from dualfair.studies.grow.training import How
from dualfair.supernet.files import write_csv
from dualfair.supernet.training.recipe import Recipe

RANDOM_STREAM = 7
"""Beside the seed, so that random networks share no draws with anything else of the same seed."""


@dataclass(frozen=True, kw_only=True)
class GrowthResult(Record):
    """All candidates in order, the network that was found with the width at which its layers were, and the trainings of
    it and of random networks. `improvement` is that of its accuracy on test images over theirs, in percent, with a 95 %
    interval over trainings; None without."""

    candidates: tuple[CandidateResult, ...]
    found: str
    shrunken_width: int
    finals: tuple[CandidateResult, ...]
    improvement: tuple[float, float | None, float | None] | None = None

    @property
    def epochs_spent(self) -> float:
        """Those of all candidates."""
        return sum(candidate.epochs for candidate in self.candidates)

    def table(self) -> Table:
        """Every candidate."""
        names = list(self.candidates[0].objectives)
        columns = [Column("candidate", "whole"), Column("stage", "text"), Column("network", "text")]
        columns += [
            Column("epochs", "general"),
            Column("params", "whole"),
            *(Column(f"val {spoken(n)}") for n in names),
        ]
        rows = [
            [number, each.stage, each.network, each.epochs, each.params, *each.objectives.values(), each.score]
            for number, each in enumerate(self.candidates, 1)
        ]
        return table([*columns, Column("score")], rows, "Candidates in the order they were trained")

    def finals_table(self) -> Table:
        """What was found and random networks, over their trainings."""
        names = list(self.finals[0].objectives)
        columns = [Column("networks", "text"), Column("n", "whole")]
        columns += [Column("epochs", "general"), Column("params", "whole")]
        columns += [part for split in ("val", "test") for name in names for part in spread_columns(f"{split} {name}")]
        rows = []
        for stage in dict.fromkeys(each.stage for each in self.finals):
            of = [each for each in self.finals if each.stage == stage]
            means = [over_seeds(each.objectives[name] for each in of) for name in names]
            means += [over_seeds(each.test[name] for each in of) for name in names]
            spread = [part for mean in means for part in (mean.mean, mean.standard_error)]
            size = round(np.mean([each.params for each in of]))
            rows.append([self.found if stage == FOUND else stage, len(of), of[0].epochs, size, *spread])
        return table(columns, rows, "Trained in full; mean ± standard error over trainings, params a mean")

    def sentences(self) -> list[str]:
        """What was found, what that cost, and whether it is better than chance."""
        tried = ", ".join(
            f"{sum(each.stage == stage for each in self.candidates)} for {stage}"
            for stage in STAGES
            if any(each.stage == stage for each in self.candidates)
        )
        trainings = self.epochs_spent / self.finals[0].epochs
        told = [
            f"Found: {self.found}, its layers at a width of {self.shrunken_width}.",
            f"Trained: {tried}; {self.epochs_spent:g} epochs, as many as {trainings:.3g} full trainings.",
        ]
        if self.improvement:
            value, low, high = self.improvement
            random = sum(each.stage == RANDOM for each in self.finals)
            interval, shown = "", "there are too few trainings to say whether that is chance"
            if low is not None:
                interval = f" [{low:.2f}, {high:.2f}]"
                shown = "better" if low > 0 else "worse" if high < 0 else "no difference is shown"
            told.append(
                f"Accuracy on test images, against the mean of {random} random networks: {value:+.2f} %{interval} of "
                f"it; {shown}."
            )
        return told


def grow_networks(
    images: Path,
    options: GrowOptions,
    final: FinalOptions,
    recipe: Recipe,
    place: Workplace,
    *,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
) -> GrowthResult | None:
    """Grow a network on labelled images or faces, train it in full, and write what it came to; None on ranks that do
    not lead. What is there already is not done again.

    Candidates are compared on validation images; test images are read behind the search only. Raises ValueError for
    images or options that do not fit, and where the directory holds another search.
    """
    directory, layout = place.directory, GrowLayout(place.directory.path)
    watched = {"checkpoint_minutes": checkpoint_minutes, "progress": progress, "should_stop": should_stop}
    how = open_growth(images, options, recipe, place, **watched)
    directory.say(
        f"Grow: {how.splits['train'].amount()} to train on, {len(how.splits['validation']):,} to choose by, family "
        f"{how.family.name}, head {how.family.head}, {how.family.image_size} px; {in_words(place.processes)}"
    )
    candidates, found = _search(layout, how, place)
    network, spent = how.family.network(found.structure), sum(each.epochs for each in candidates)
    directory.say(f"Found {network}; it is trained for {final.epochs:g} epochs, {final.seeds} times")
    wanted = [(FOUND, number, network) for number in range(final.seeds)]
    for number in range(final.random if final.random >= 0 else round(spent / final.epochs)):
        rng = np.random.default_rng([options.seed, RANDOM_STREAM, number])
        wanted.append((RANDOM, number, how.family.network(random_structure(how.growth, rng))))
    finals = [
        trained(layout.final(stage, number), stage, number, each, final.epochs, how, place)
        for stage, number, each in wanted
    ]
    result = GrowthResult(
        candidates=tuple(candidates),
        found=str(network),
        shrunken_width=found.shrunken_width,
        finals=tuple(finals),
        improvement=improvement(finals),
    )
    if not directory.leads:
        return None
    result.write(layout.numbers)
    write_csv(layout.table, result.table().csv())
    shown, sentences = result.finals_table(), result.sentences()
    question = "Which depth, width and layers does a network grow to?"
    StudyReport(question=question, sentences=tuple(sentences), tables=(shown, result.table())).write(layout.report)
    for line in (*shown.lines(), *sentences, f"Everything is in {directory.path}"):
        directory.say(line)
    return result


def improvement(finals: Sequence[CandidateResult]) -> tuple[float, float | None, float | None] | None:
    """RI of that study: how much larger, in percent, the mean accuracy on test images of what was found is than that of
    random networks; with Welch's 95 % interval of their difference over trainings, None for fewer than two of one, or
    trainings that are all alike. None without random networks."""
    found, random = (
        np.array([1 - each.test["error"] for each in finals if each.stage == stage]) for stage in (FOUND, RANDOM)
    )
    if not len(random) or not random.mean():
        return None
    value = float(100 * (found.mean() - random.mean()) / random.mean())
    if min(len(found), len(random)) < 2:
        return value, None, None
    parts = [of.var(ddof=1) / len(of) for of in (found, random)]
    if not sum(parts):
        return value, None, None
    freedom = sum(parts) ** 2 / sum(part**2 / (len(of) - 1) for part, of in zip(parts, (found, random), strict=True))
    half = float(100 * student.ppf(0.975, freedom) * sum(parts) ** 0.5 / random.mean())
    return value, value - half, value + half


def _search(layout: GrowLayout, how: How, place: Workplace) -> tuple[list[CandidateResult], Grown]:
    candidates: list[CandidateResult] = []
    while True:
        outcomes = [Outcome(each.score, each.training_score) for each in candidates]
        following = replay(how.growth, how.family.parameters, outcomes)
        if isinstance(following, Grown):
            return candidates, following
        number, network = len(candidates) + 1, how.family.network(following.structure)
        folder = layout.candidate(number)
        candidates.append(trained(folder, following.stage, number, network, following.epochs, how, place))
