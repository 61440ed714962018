"""A search by growing, from its first network to the trainings of what it found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from dualfair.evaluation.objective_grammar import parse_objective
from dualfair.evaluation.over_seeds import over_seeds
from dualfair.evolution.growing import STAGES, Grown, Outcome, Structure, replay
from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, Table, spread_columns, table
from dualfair.runs.config import look_up, numbers
from dualfair.runs.devices import Workplace, in_words
from dualfair.runs.layout import Inside, StudyLayout, TrainingLayout
from dualfair.runs.options import CHECKPOINT_MINUTES
from dualfair.runs.records.codec import FLAT, Record
from dualfair.runs.records.study import StudyReport
from dualfair.runs.records.training import TrainedOn
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.studies.grow import FinalOptions, GrowOptions
from dualfair.studies.grow.networks import SizedNetwork, parameters_by, random_structure
from dualfair.studies.grow.training import How, check, known_training_images, objectives_of, score, train, values_on
from dualfair.supernet.files import write_csv
from dualfair.supernet.images.splits import open_splits
from dualfair.supernet.images.store import CLASSIFICATION, open_store
from dualfair.supernet.training.checkpoint import remove_checkpoints
from dualfair.supernet.training.recipe import Recipe

FOUND, RANDOM = "found", "random"
"""Stages behind the search: its network, and random ones."""
SEEDS_FROM = {**dict.fromkeys(STAGES, 0), FOUND: 5_000, RANDOM: 7_000}
"""Where the seeds of a stage's trainings begin, of 10,000 for each seed of a search."""
RANDOM_STREAM = 7
"""Beside the seed, so that random networks share no draws with anything else of the same seed."""


class GrowLayout(StudyLayout):
    """The folder of a search: a training for every candidate, and those of what was found."""

    numbers = Inside("grow.json")
    table = Inside("candidates.csv")

    def candidate(self, number: int) -> TrainingLayout:
        """The training of a candidate, counted from 1."""
        return TrainingLayout(self.folder / "candidates" / f"{number:03d}")

    def final(self, kind: str, number: int) -> TrainingLayout:
        """A training of the network that was found, or of a random one."""
        return TrainingLayout(self.folder / kind / f"seed-{number}")


@dataclass(frozen=True, kw_only=True)
class GrowConfig(Record):
    """What decides about a search: its options, a recipe with the epochs of the first network, and the images."""

    options: GrowOptions = field(metadata=FLAT)
    recipe: Recipe
    faces_fingerprint: str
    head: str
    size: int


@dataclass(frozen=True, kw_only=True)
class CandidateResult(Record):
    """A network that was trained, why (a stage of the search, "found" or "random"), and what it came to on validation
    images: the objectives by name and, in percent, the score and that on training images. Behind the search `test` has
    the objectives on test images, which are read then only, NaN where one is undefined."""

    stage: str
    network: str
    epochs: float
    params: int
    objectives: Mapping[str, float]
    score: float
    training_score: float
    seconds: float
    test: Mapping[str, float] | None = None


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
    directory, store = place.directory, open_store(images)
    layout = GrowLayout(directory.path)
    head = options.head or ("softmax" if store.task == CLASSIFICATION else "cosface")
    size = options.size or store.size
    splits = open_splits(
        store,
        group_column=options.group_column,
        fractions=numbers(options.split, ",", float, "split"),
        seed=options.split_seed,
        size=size,
        drop_unknown=options.drop_unknown,
    )
    objectives = objectives_of(options.disparity, partial(parse_objective, look_up=look_up))
    first = SizedNetwork.of(Structure.plain(options.least_depth, options.most_width), head, size)
    check(first, splits, objectives, recipe, place)
    config = GrowConfig(
        options=options,
        recipe=replace(recipe, epochs=float(options.first_epochs)),
        faces_fingerprint=store.fingerprint,
        head=head,
        size=size,
    )
    how = How(
        splits=splits,
        trained_on=TrainedOn(
            store.fingerprint, options.group_column, options.split, options.split_seed, options.drop_unknown
        ),
        recipe=recipe,
        objectives=objectives,
        weight=options.weight,
        digest=directory.claim(layout, config),
        checkpoint_minutes=checkpoint_minutes,
        progress=progress,
        should_stop=should_stop,
    )
    directory.record_command(layout, in_words(place.processes))
    directory.say(
        f"Grow: {splits['train'].amount()} to train on, {len(splits['validation']):,} to choose by, head {head}, "
        f"{size} px; {in_words(place.processes)}"
    )
    candidates, found = _search(layout, head, size, options, how, place)
    structure, spent = found.structure, sum(each.epochs for each in candidates)
    network = SizedNetwork.of(structure, head, size)
    directory.say(f"Found {network}; it is trained for {final.epochs:g} epochs, {final.seeds} times")
    wanted = [(FOUND, number, network) for number in range(final.seeds)]
    for number in range(final.random if final.random >= 0 else round(spent / final.epochs)):
        rng = np.random.default_rng([options.seed, RANDOM_STREAM, number])
        wanted.append((RANDOM, number, SizedNetwork.of(random_structure(options.growth, rng), head, size)))
    finals = [
        _trained(layout.final(stage, number), stage, number, each, final.epochs, options.seed, how, place)
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


def _search(
    layout: GrowLayout, head: str, size: int, options: GrowOptions, how: How, place: Workplace
) -> tuple[list[CandidateResult], Grown]:
    candidates: list[CandidateResult] = []
    while True:
        outcomes = [Outcome(each.score, each.training_score) for each in candidates]
        following = replay(options.growth, parameters_by(head, size), outcomes)
        if isinstance(following, Grown):
            return candidates, following
        number, network = len(candidates) + 1, SizedNetwork.of(following.structure, head, size)
        folder = layout.candidate(number)
        candidates.append(
            _trained(folder, following.stage, number, network, following.epochs, options.seed, how, place)
        )


def _trained(
    folder: TrainingLayout,
    stage: str,
    number: int,
    network: SizedNetwork,
    epochs: float,
    seed: int,
    how: How,
    place: Workplace,
) -> CandidateResult:
    """The result of a training, which is done unless it is there. Candidates keep no weights."""
    leads, known = place.processes.leads, folder.result.is_file()
    place.processes.agree("which networks are trained", known)
    label, drawn = f"{stage} {number}", 10_000 * seed + SEEDS_FROM[stage] + number
    if not known:
        trained, seconds = train(network, epochs, drawn, folder, label, how, place)
        if leads:
            names, answers = [each.column for each in how.objectives], values_on(trained, "validation", how)
            of_test = values_on(trained, "test", how) if stage in (FOUND, RANDOM) else ()
            CandidateResult(
                stage=stage,
                network=str(network),
                epochs=float(epochs),
                params=network.parameters,
                objectives=dict(zip(names, answers, strict=True)),
                score=score(answers, how),
                training_score=known_training_images(trained, how, drawn),
                seconds=round(seconds, 1),
                test=dict(zip(names, of_test, strict=True)) if of_test else None,
            ).write(folder.result)
        place.processes.wait()
    if leads and stage in STAGES:
        remove_checkpoints(folder.folder)
        folder.description.unlink(missing_ok=True)
    result = CandidateResult.read(folder.result, f"delete {folder.folder} to train it again")
    if (result.stage, result.network, result.epochs) != (stage, str(network), float(epochs)):
        raise ValueError(
            f"{folder.result} is of {result.network}, {result.epochs:g} epochs, not of {network}, {epochs:g}; use "
            "another directory"
        )
    if not known:
        place.directory.say(f"{label}: {network}, {epochs:g} epochs, {_in_words(result)}")
    return result


def _in_words(result: CandidateResult) -> str:
    values = ", ".join(f"{spoken(name)} {value:.4f}" for name, value in result.objectives.items())
    return f"{result.params:,} parameters: {values}; training images {result.training_score:.1f} % right"
