"""What measuring networks on other faces leaves behind, and where."""

from dataclasses import dataclass, field
from pathlib import Path

from dualfair.evaluation.statistics.ranking import RankingCorrelation
from dualfair.runs.records.codec import FLAT, Record, keyed
from dualfair.studies.transfer.options import TransferOptions


@dataclass(frozen=True)
class TransferLayout:
    """The folder of the results."""

    folder: Path

    @property
    def numbers(self) -> Path:
        """The study, as a record."""
        return self.folder / "transfer.json"

    @property
    def table(self) -> Path:
        """Every network on every population."""
        return self.folder / "transfer.csv"


@dataclass(frozen=True)
class Population:
    """The people that networks are measured on: a faces folder, a column of groups, and who of them.

    `home` tells whether the networks were trained on other people of these very faces and by this very column.
    """

    faces: str
    column: str
    people: str
    home: bool


@dataclass(frozen=True, kw_only=True)
class TransferRow(Record):
    """A network of a run on a population: its objectives as mean and standard error over `seeds` trainings.

    `people` and `groups` (the people of every group, in words) are those who were measured. `small_groups` are too
    small for a disparity that means something; `undefined` says why there is none.
    """

    run: str
    network: str
    faces: str
    column: str = keyed("group column")
    measured_on: str = keyed("measured on")
    home: bool
    groups: str
    small_groups: int = keyed("small groups")
    people: int
    images: int
    seeds: int
    error: float
    error_standard_error: float | None = keyed("standard error of error")
    disparity: float
    disparity_standard_error: float | None = keyed("standard error of disparity")
    on_front: bool = keyed("on the front")
    undefined: str


@dataclass(frozen=True)
class CarriedOver(Record):
    """Whether the ranking of a run's networks at home is theirs on another population, by error and by disparity."""

    run: str
    population: Population = field(metadata=FLAT)
    error: RankingCorrelation
    disparity: RankingCorrelation


@dataclass(frozen=True)
class TransferStudy(Record):
    """The networks of runs on other faces and by other attributes; `disparity` is the name of theirs."""

    options: TransferOptions
    disparity: str
    networks: tuple[TransferRow, ...]
    rankings: tuple[CarriedOver, ...]
