"""What the study of searched networks against backbones leaves behind, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dualfair.evaluation.statistics.ranking import Estimate
from dualfair.runs.layout import StudyLayout
from dualfair.runs.records.codec import Record, keyed


@dataclass(frozen=True)
class BaselinesLayout(StudyLayout):
    """The folder RUN/studies/baselines."""

    @property
    def numbers(self) -> Path:
        """The study, as a record."""
        return self.folder / "baselines.json"

    @property
    def table(self) -> Path:
        """Every network with its means and standard errors."""
        return self.folder / "baselines.csv"

    @property
    def figure(self) -> Path:
        return self.folder / "baselines.png"


@dataclass(frozen=True)
class SeedMean(Record):
    """The mean of a measure over training seeds, None where it is not finite, and its standard error, None for one
    seed."""

    mean: float | None
    standard_error: float | None = keyed("standard error")


@dataclass(frozen=True)
class NetworkScores(Record):
    """A network by its label, one "of" those searched ("ours") or of the backbones ("baselines"), with its cost and its
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


@dataclass(frozen=True, kw_only=True)
class FrontComparison(Record):
    """Our front against that of the backbones in error and one disparity: both chosen on validation people, by labels,
    and measured on test people. `left_out` have values that are not finite.

    `hypervolume` holds ours and theirs by the means over seeds, up to the `reference` point; `difference` is ours less
    theirs with its 95 % percentile `interval` over training seeds, None where a network was trained but once. `ahead`
    is the share of resamples in which it is above 0. `fewest_seeds` of a network of either front decide what can be
    told.
    """

    our_front: tuple[str, ...] = keyed("our front")
    baselines_front: tuple[str, ...] = keyed("baselines' front")
    left_out: tuple[str, ...] = keyed("left out")
    hypervolume: tuple[float, float]
    difference: float
    interval: tuple[float, float] | None
    ahead: float
    reference: tuple[float, float]
    fewest_seeds: tuple[int, int]


@dataclass(frozen=True)
class BaselineStudy(Record):
    """All standalone trainings of a run: searched networks against backbones.

    `networks` are sorted by test error. By split and measure there are `correlations` of error and that disparity over
    several samples of the networks, and Pareto `fronts` of all of them; by measure the comparison `against` the
    backbones, None where one side is empty. `damaged` results could not be read.
    """

    measures: tuple[str, ...]
    resamples: int
    networks: tuple[NetworkScores, ...]
    correlations: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    fronts: Mapping[str, Mapping[str, tuple[str, ...]]]
    against: Mapping[str, FrontComparison | None]
    damaged: tuple[str, ...] = ()
