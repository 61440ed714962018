"""What tuning leaves behind, and where."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from dualfair.evolution.halving import Turn
from dualfair.runs.layout import StudyLayout
from dualfair.runs.options import ProtocolOptions
from dualfair.runs.records.codec import FLAT, Record, decode, encode, keyed
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.training.recipe import Recipe

TRIED = ("optimizer", "lr", "epochs")
"""The fields of the recipe that a trial has of its own."""


@dataclass(frozen=True)
class TuneLayout(StudyLayout):
    """The folder RUN/studies/tune: a standalone training for every turn, and what they came to."""

    @property
    def turns(self) -> Path:
        """The turns that were taken, as a record."""
        return self.folder / "turns.json"

    @property
    def turns_lock(self) -> Path:
        """What teams of ranks lock while they take a turn."""
        return self.folder / "turns.lock"

    @property
    def numbers(self) -> Path:
        """All trials, as a record."""
        return self.folder / "tune.json"

    @property
    def table(self) -> Path:
        """All trials, a row for every rung that they reached."""
        return self.folder / "trials.csv"


@dataclass(frozen=True)
class SharedRecipe(Record):
    """What of a recipe is the same for all trials: all but TRIED, which read back as defaults."""

    recipe: Recipe

    def to_json(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self.recipe).items() if name not in TRIED}

    @classmethod
    def from_json(cls, value: object) -> Self:
        defaults = {name: getattr(Recipe(), name) for name in TRIED}
        return cls(decode(Recipe, {**value, **defaults} if isinstance(value, dict) else value))


@dataclass(frozen=True, kw_only=True)
class TuneConfig(Record):
    """What decides about the trials and their results; not how many there are.

    Trials draw from the `pool`, which is empty for any network of the space; it has up to `networks` of those searched.
    `rungs` are epochs.
    """

    recipe: SharedRecipe = field(metadata=FLAT)
    protocol: ProtocolOptions = field(metadata=FLAT)
    weights: str
    networks: int = keyed("networks asked for")
    pool: tuple[Genotype, ...]
    rungs: tuple[float, ...]
    eta: int
    seed: int = keyed("trials' seed")


@dataclass(frozen=True)
class TakenTurns(Record):
    """The turns that were taken, in order; the file is their list."""

    turns: tuple[Turn, ...] = ()

    def to_json(self) -> list[dict[str, object]]:
        return [encode(turn) for turn in self.turns]

    @classmethod
    def from_json(cls, value: object) -> Self:
        return cls(decode(tuple[Turn, ...], value))


@dataclass(frozen=True)
class Failure(Record):
    """Why a training has no result and never will."""

    reason: str = keyed("failed")


@dataclass(frozen=True)
class RungResult(Record):
    """What a trial came to with so many epochs; infinite numbers, and the reason, where it `failed`."""

    epochs: float
    validation: Mapping[str, float]
    test: Mapping[str, float]
    failed: str = ""

    @property
    def values(self) -> tuple[float, ...]:
        """The measures on validation people, then on test people."""
        return *self.validation.values(), *self.test.values()


@dataclass(frozen=True)
class TrialResult(Record):
    """A trial, what it came to in every rung that it reached, and whether it is `on_front` of the last one."""

    number: int = keyed("trial")
    genotype: Genotype
    optimizer: str
    lr: float
    rungs: tuple[RungResult, ...]
    on_front: bool = keyed("on the front")


@dataclass(frozen=True)
class TuneResult(Record):
    """All trials; `measures` are what they are chosen by, `rungs` are epochs, `epochs_spent` those of all trainings.

    The front of the last rung is that of the validation people, by which trials were chosen: the test people had no say
    in it.
    """

    measures: tuple[str, ...]
    rungs: tuple[float, ...]
    epochs_spent: float = keyed("epochs spent")
    trials: tuple[TrialResult, ...]
