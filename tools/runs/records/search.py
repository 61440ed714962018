"""What a search leaves behind: its configuration, its front, and how reliable its measures are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from dualfair.runs.options import ConstraintOptions, SearchOptions
from dualfair.runs.protocol import FURTHER_OBJECTIVES, ProtocolOptions
from dualfair.runs.records.codec import FLAT, FLAT_OPTIONAL, Damaged, Record, decode, keyed
from dualfair.supernet.genotype import Genotype


@dataclass(frozen=True, kw_only=True)
class SearchConfig(Record):
    """What a search was asked for. `objectives` are minimised; `scored_on` identifies the people that were scored on.

    `evaluations` are how many networks it asks for.
    """

    options: SearchOptions = field(metadata=FLAT_OPTIONAL)
    protocol: ProtocolOptions = field(metadata=FLAT)
    constraints: ConstraintOptions = field(metadata=FLAT_OPTIONAL)
    start: tuple[Genotype, ...] = ()
    objectives: tuple[str, ...]
    scored_on: str = keyed("scored on", default="")
    exhaustive: bool = False
    evaluations: int | None = None

    def __post_init__(self) -> None:
        if not {*self.objectives[2:]} <= {*FURTHER_OBJECTIVES}:
            raise ValueError(f"objectives {', '.join(self.objectives)[:60]!r}")

    @property
    def further(self) -> tuple[str, ...]:
        """The objectives behind error and disparity."""
        return self.objectives[2:]


@dataclass(frozen=True)
class FrontNetwork(Record):
    """A network of a front: the search's `values` by column, and in `confirmed` those on held-out identities."""

    genotype: Genotype
    values: Mapping[str, float]
    confirmed: Mapping[str, float] | None = None

    def to_json(self) -> dict[str, object]:
        confirmed = {} if self.confirmed is None else {"confirmed": dict(self.confirmed)}
        return {"genotype": str(self.genotype), **self.values, **confirmed}

    @classmethod
    def from_json(cls, value: object) -> Self:
        if not isinstance(value, Mapping) or "genotype" not in value:
            raise Damaged("'genotype' is missing in a network of the front")
        values = {name: inner for name, inner in value.items() if name not in ("genotype", "confirmed")}
        return cls(
            decode(Genotype, value["genotype"]),
            decode(Mapping[str, float], values),
            decode(Mapping[str, float] | None, value.get("confirmed")),
        )


@dataclass(frozen=True)
class Chance(Record):
    """How the network that the search put first in an objective fares against random subnets, on held-out identities.

    `as_good` of the `random` subnets have a value as low as its `value` or lower; `p` = (1 + as_good) / (1 + random) is
    how probably chance alone would do as well. None where the value is undefined. `verdict` says it in words.
    """

    objective: str
    genotype: Genotype
    value: float
    low: float
    high: float
    as_good: int
    random: int
    p: float | None
    verdict: str


@dataclass(frozen=True)
class ConfirmedFront(Record):
    """How the networks on and near a search's front fared on identities that the search had not seen.

    `means` of every objective are, for the search's front and for random subnets, those of the search and on held-out
    identities. `survived` networks of `search_front` stay on the front.
    """

    people: int
    images: int
    calibrate: int
    resamples: int
    candidates: int
    random_subnets: int = keyed("random subnets")
    survived: int
    search_front: tuple[FrontNetwork, ...] = keyed("search front")
    means: Mapping[str, Mapping[str, tuple[float, float]]]
    against_random: tuple[Chance, ...] = keyed("against random")


@dataclass(frozen=True)
class Front(Record):
    """What a finished search came to: `networks` are the confirmed front, or the search's own where there is none.

    `errors_to_beat` cost nothing: raw pixels, and an untrained network.
    """

    config: SearchConfig
    objectives: tuple[str, ...]
    images: int
    errors_to_beat: Mapping[str, float] = keyed("errors to beat")
    networks: tuple[FrontNetwork, ...] = keyed("front")
    confirmation: ConfirmedFront | None


@dataclass(frozen=True)
class MeasureReliability(Record):
    """How far a measure is expected to rank networks alike, whoever the people are; see `stages.searchability`."""

    networks: int
    reliability: float | None
    low: float | None
    high: float | None
    people: int | None


@dataclass(frozen=True)
class SearchReliability(Record):
    """The reliability of every measure on the search's people (by group); `enough` is what a search needs."""

    people: Mapping[str, int]
    enough: float
    measures: Mapping[str, MeasureReliability]
