"""Do few epochs rank networks as full trainings do? Random networks, trained shortly in four ways, against the truth.

Architecture-aware training gives larger networks more epochs. Of `n` random networks in the order of their parameters
the j-th gets j / n of the full epochs ("graded"; with 50 networks and 50 epochs as published). Beside it stand a few
epochs for everybody ("short"), and as many for everybody as cost the same number of multiply-accumulates ("even").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualfair.evaluation.cost import macs
from dualfair.evaluation.statistics.ranking import Estimate, correlation, measure_correlation, tau_difference
from dualfair.presentation.format import two, with_interval
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.devices import Workplace, in_words
from dualfair.runs.options import CHECKPOINT_MINUTES
from dualfair.runs.records.codec import Record
from dualfair.runs.records.study import StudyReport
from dualfair.runs.watching import ShouldStop, ShowProgress, never, silent
from dualfair.studies.grow import FinalOptions, GrowOptions
from dualfair.studies.grow.candidates import (
    EVEN,
    FULL,
    GRADED,
    SHORT,
    CandidateResult,
    GrowLayout,
    open_growth,
    trained,
)
from dualfair.studies.grow.networks import random_structure
from dualfair.studies.grow.training import How, score
from dualfair.supernet.files import write_csv
from dualfair.supernet.training.recipe import Recipe

LEAST, MOST = 3, 1000
"""Networks that may be ranked."""
RANKING_STREAM = 8
"""Beside the seed of a search, so that these networks are others than its random ones."""
PARAMETERS = "parameters"


@dataclass(frozen=True, kw_only=True)
class RankedNetwork(Record):
    """A network: its learnt weights, its scores on validation images by how it was trained, and that on test images,
    the mean over its full trainings, NaN where it is undefined."""

    network: str
    params: int
    scores: dict[str, float]
    truth: float


@dataclass(frozen=True, kw_only=True)
class RankingResult(Record):
    """What each way of training tells of the truth: epochs of all networks together, and Spearman's rho and Kendall's
    tau with 95 % intervals over networks; then how much larger graded's tau is than that of another way."""

    networks: tuple[RankedNetwork, ...]
    epochs: dict[str, float]
    rho: dict[str, tuple[float | None, float | None, float | None]]
    tau: dict[str, tuple[float | None, float | None, float | None]]
    graded_less: dict[str, tuple[float | None, float | None, float | None]]
    seeds: int

    def table(self) -> Table:
        """A row a way."""
        columns = [Column("ranked by", "text"), Column("epochs", "general"), Column("rho", "text")]
        rows = [
            [
                name,
                self.epochs.get(name, 0.0),
                with_interval(*self.rho[name], two),
                with_interval(*self.tau[name], two),
            ]
            for name in self.rho
        ]
        return table([*columns, Column("tau", "text")], rows, "How well networks are ranked [95 % over networks]")

    def networks_table(self) -> Table:
        """A row a network."""
        names = list(self.networks[0].scores)
        columns = [Column("network", "text"), Column("params", "whole"), *map(Column, names), Column("truth")]
        rows = [[each.network, each.params, *each.scores.values(), each.truth] for each in self.networks]
        return table(columns, rows, "Scores in percent")

    def sentences(self) -> list[str]:
        """Whether more epochs for larger networks rank them better."""
        known = sum(math.isfinite(each.truth) for each in self.networks)
        left_out = f", {len(self.networks) - known} others without" if known < len(self.networks) else ""
        told = [f"{known} random networks with a truth, by {self.seeds} full trainings each{left_out}."]
        for other, difference in self.graded_less.items():
            low, high = difference[1:]
            shown = "no difference is shown"
            if low is not None and (low > 0 or high < 0):
                shown = "better" if low > 0 else "worse"
            words = {
                EVEN: f"{self.epochs[EVEN]:.4g} even ones of equal cost",
                SHORT: f"{self.epochs[SHORT]:g} even ones",
                PARAMETERS: "the number of parameters",
            }
            epochs = f"{self.epochs[GRADED]:.4g} graded epochs"
            told.append(f"Tau of {epochs} less that of {words[other]}: {with_interval(*difference, two)}; {shown}.")
        return told


def rank_networks(
    images: Path,
    number: int,
    options: GrowOptions,
    final: FinalOptions,
    recipe: Recipe,
    place: Workplace,
    *,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
) -> RankingResult | None:
    """Train so many random networks in every way and write what that tells; None on ranks that do not lead. What is
    there already is not done again.

    Raises ValueError as `study.grow_networks` does, and for a number of networks that cannot be ranked.
    """
    if not LEAST <= number <= MOST:
        raise ValueError(f"--rank must be {LEAST} to {MOST} networks, got {number}")
    directory, layout = place.directory, GrowLayout(place.directory.path)
    watched = {"checkpoint_minutes": checkpoint_minutes, "progress": progress, "should_stop": should_stop}
    how = open_growth(images, options, recipe, place, **watched)
    directory.say(
        f"Rank: {number} random networks of family {how.family.name}, {final.epochs:g} epochs in full; "
        f"{in_words(place.processes)}"
    )
    rng = np.random.default_rng([options.seed, RANKING_STREAM])
    drawn = [how.family.network(random_structure(how.growth, rng)) for _ in range(number)]
    drawn.sort(key=lambda network: network.parameters)
    epochs = {
        SHORT: [float(options.first_epochs)] * number,
        GRADED: [final.epochs * (place_of + 1) / number for place_of in range(number)],
    }
    costs = np.array([macs(network.genotype, network.skeleton) for network in drawn])
    epochs[EVEN] = [round(float(costs @ epochs[GRADED] / costs.sum()), 2)] * number
    results = {
        kind: [trained(layout.final(kind, j), kind, j, network, each[j], how, place) for j, network in enumerate(drawn)]
        for kind, each in epochs.items()
    }
    full = [
        [
            trained(layout.final(FULL, j + MOST * seed), FULL, j + MOST * seed, network, final.epochs, how, place)
            for seed in range(final.seeds)
        ]
        for j, network in enumerate(drawn)
    ]
    result = _result(results, full, how)
    if not directory.leads:
        return None
    result.write(layout.ranking)
    write_csv(layout.ranked, result.networks_table().csv())
    shown, sentences = result.table(), result.sentences()
    question = "Do few epochs rank networks as full trainings do?"
    tables = shown, result.networks_table()
    StudyReport(question=question, sentences=tuple(sentences), tables=tables).write(layout.report)
    for line in (*shown.lines(), *sentences, f"Everything is in {directory.path}"):
        directory.say(line)
    return result


def _result(
    results: dict[str, list[CandidateResult]], full: Sequence[Sequence[CandidateResult]], how: How
) -> RankingResult:
    truths = [float(np.mean([score(list(each.test.values()), how.weight) for each in of])) for of in full]
    networks = tuple(
        RankedNetwork(
            network=of[0].network,
            params=of[0].params,
            scores={kind: each[j].score for kind, each in results.items()},
            truth=truths[j],
        )
        for j, of in enumerate(full)
    )
    # Statistics take smaller for better.
    known = [each for each in networks if math.isfinite(each.truth)]
    truth = [-each.truth for each in known]
    by = {kind: [-each.scores[kind] for each in known] for kind in results}
    by[PARAMETERS] = [-each.params for each in known]
    taus = {kind: correlation(values, truth) for kind, values in by.items()}
    return RankingResult(
        networks=networks,
        epochs={kind: sum(result.epochs for result in each) for kind, each in results.items()},
        rho={kind: _three(measure_correlation(values, truth)) for kind, values in by.items()},
        tau={kind: (each.tau, *(each.interval or (None, None))) for kind, each in taus.items()},
        graded_less={
            other: _three(tau_difference(by[GRADED], by[other], truth)) for other in (EVEN, SHORT, PARAMETERS)
        },
        seeds=len(full[0]),
    )


def _three(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return (estimate.value, *(estimate.interval or (None, None)))
