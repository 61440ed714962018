"""What the study of searched networks against backbones leaves behind, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dualfair.evaluation.statistics.ranking import Estimate
from dualfair.runs.layout import StageLayout
from dualfair.runs.records.codec import Record, keyed


@dataclass(frozen=True)
class BaselinesLayout(StageLayout):
    """The folder RUN/shelf."""

    @property
    def numbers(self) -> Path:
        """The study, as a record."""
        return self.folder / "shelf.json"

    @property
    def table(self) -> Path:
        """Every network with its means and standard errors."""
        return self.folder / "shelf.csv"

    @property
    def figure(self) -> Path:
        return self.folder / "shelf.png"


@dataclass(frozen=True)
class SeedMean(Record):
    """The mean of a measure over training seeds, None where it is not finite, and its standard error, None for one
    seed."""

    mean: float | None
    standard_error: float | None = keyed("standard error")


@dataclass(frozen=True)
class NetworkScores(Record):
    """A network by its label, one "of" those searched ("ours") or of the backbones ("shelf"), with its cost and its
    measures on validation and on test people, by name."""

    network: str
    of: str
    seeds: tuple[int, ...]
    params: int | None
    macs: int | None
    validation: Mapping[str, SeedMean]
    test: Mapping[str, SeedMean]

    def on(self, split: str) -> Mapping[str, SeedMean]:
        """The measures on the people of a split, "validation" or "test"."""
        return {"validation": self.validation, "test": self.test}[split]


@dataclass(frozen=True)
class BackboneVerdict(Record):
    """Whether a network of our front dominates a backbone: as `evolution.dominance.Dominance`, by labels."""

    network: str
    probability: float
    by: str
    probability_by: float
    seeds: tuple[int, int]
    verdict: str


@dataclass(frozen=True)
class FrontVerdict(Record):
    """Whether our front, chosen on validation people, dominates all backbones on test people, in error and one
    disparity: as `evolution.dominance.Comparison`, by labels. `left_out` have values that are not finite."""

    our_front: tuple[str, ...] = keyed("our front")
    baselines_front: tuple[str, ...] = keyed("shelf's front")
    left_out: tuple[str, ...] = keyed("left out")
    each: tuple[BackboneVerdict, ...]
    probability: float
    verdict: str
    hypervolume: tuple[float, float]
    difference: float
    interval: tuple[float, float] | None
    ahead: float
    reference: tuple[float, float]
    fewest_seeds: tuple[int, int]
    resamples: int


@dataclass(frozen=True)
class BaselineStudy(Record):
    """All standalone trainings of a run: searched networks against backbones.

    `networks` are sorted by test error. By split and measure there are `correlations` of error and that disparity over
    several samples of the networks, and Pareto `fronts` of all of them; by measure the `dominance` of our front, None
    where one side is empty. `damaged` results could not be read.
    """

    measures: tuple[str, ...]
    resamples: int
    networks: tuple[NetworkScores, ...]
    correlations: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    fronts: Mapping[str, Mapping[str, tuple[str, ...]]]
    dominance: Mapping[str, FrontVerdict | None]
    damaged: tuple[str, ...] = ()
