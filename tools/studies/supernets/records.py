"""What a study of several supernets leaves behind, and where."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dualfair.evaluation.statistics.ceiling import NoiseCeiling, TruthCeiling
from dualfair.runs.records.codec import Record, keyed
from dualfair.studies.supernets.options import StudyOptions


@dataclass(frozen=True)
class SupernetsLayout:
    """The folder of a study."""

    folder: Path

    @property
    def numbers(self) -> Path:
        """The study, as a record."""
        return self.folder / "study.json"

    @property
    def table(self) -> Path:
        """Every tau of every supernet."""
        return self.folder / "study.csv"

    @property
    def figure(self) -> Path:
        return self.folder / "study.png"

    def supernet(self, training: str, number: int) -> Path:
        """The run directory of a supernet, of those that are trained so."""
        return self.folder / "supernets" / f"{re.sub('[^a-z0-9]+', '-', training.lower())}-{number}"


@dataclass(frozen=True)
class StandaloneCeilings(Record):
    """How well the trainings rank networks themselves: tau between two of them, and what their exact mean would
    reach."""

    noise_ceiling: NoiseCeiling
    ceiling: TruthCeiling


@dataclass(frozen=True)
class VariantTau(Record):
    """Kendall's tau of inherited scores with the mean of the trainings: of every supernet, and their `mean`.

    `interval` is one of percentiles over networks, `share` is of the ceiling, `difference` to the first variant. None
    where undefined.
    """

    taus: tuple[float | None, ...]
    mean: float | None
    interval: tuple[float, float] | None
    share: float | None
    difference: float | None
    difference_interval: tuple[float, float] | None


BySplit = Mapping[str, Mapping[str, VariantTau]]
"""By split and measure."""


@dataclass(frozen=True)
class SupernetStudy(Record):
    """The same `networks` ranked by the `supernets` of every variant, and by standalone trainings of so many seeds.

    `standalone` are the ceilings by split and measure. `baselines` are those for params and macs, in the direction that
    ranks better.
    """

    options: StudyOptions
    networks: tuple[str, ...]
    seeds: int
    supernets: Mapping[str, int]
    standalone: Mapping[str, Mapping[str, StandaloneCeilings]] = keyed("truth")
    variants: Mapping[str, BySplit]
    baselines: Mapping[str, BySplit]
