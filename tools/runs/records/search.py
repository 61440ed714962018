"""What a search leaves behind: its configuration, its front, and how reliable its measures are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from dualfair.evaluation.protocol import PUBLISHED, ObjectiveNames
from dualfair.evaluation.searchability import MeasureReliability
from dualfair.runs.options import ConstraintOptions, ProtocolOptions, SearchOptions
from dualfair.runs.records.codec import FLAT, Record, decode, keyed
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images import PEOPLE


@dataclass(frozen=True, kw_only=True)
class SearchConfig(Record):
    """What a search was asked for. `scored_on` identifies the people that were scored on, `timed_on` the device of
    latencies where these are among the scores.

    `evaluations` are how many networks it asks for. The objectives `predicted` are so by the `Predictor`
    of this digest.
    """

    options: SearchOptions = field(metadata=FLAT)
    protocol: ProtocolOptions = field(metadata=FLAT)
    names: ObjectiveNames = field(metadata=FLAT, default=PUBLISHED)
    constraints: ConstraintOptions = field(metadata=FLAT)
    start: tuple[Genotype, ...] = ()
    scored_on: str = keyed("scored on", default="")
    timed_on: str = keyed("timed on", omitted=True, default="")
    exhaustive: bool = False
    evaluations: int | None = None
    predicted: tuple[str, ...] = keyed("predicted", omitted=True, default=())
    predictor: str = keyed("predictor", omitted=True, default="")

    @classmethod
    def of(cls, protocol: ProtocolOptions, **asked_for: object) -> Self:
        """A search by a protocol, whose objectives are written as they are recorded; options that are not given have
        their defaults. Raises ValueError for objectives that cannot be searched on."""
        options = {"options": SearchOptions(), "constraints": ConstraintOptions(), **asked_for}
        return cls(protocol=protocol.normalised(), names=protocol.protocol().names, **options)


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
            raise ValueError("'genotype' is missing in a network of the front")
        values = {name: inner for name, inner in value.items() if name not in ("genotype", "confirmed")}
        return cls(
            decode(Genotype, value["genotype"]),
            decode(Mapping[str, float], values),
            decode(Mapping[str, float] | None, value.get("confirmed")),
        )


@dataclass(frozen=True)
class Chance(Record):
    """How the network that the search put first in an objective on images fares on held-out identities, against random
    subnets.

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
    identities. `survived` networks of `search_front` stay on the front. `people` are counted in `units`.
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
    units: str = keyed("units", omitted=True, default=PEOPLE)


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
class SearchReliability(Record):
    """The reliability of every measure on the search's people (by group), counted in `units`; `enough` is what a search
    needs."""

    people: Mapping[str, int]
    enough: float
    measures: Mapping[str, MeasureReliability]
    units: str = keyed("units", omitted=True, default=PEOPLE)
