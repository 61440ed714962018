"""What a comparison of searches leaves behind, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dualfair.runs.layout import StudyLayout
from dualfair.runs.options import SearchOptions
from dualfair.runs.protocol import ProtocolOptions
from dualfair.runs.records.codec import FLAT, Record, keyed


@dataclass(frozen=True)
class CompareLayout(StudyLayout):
    """The folder RUN/studies/compare."""

    @property
    def numbers(self) -> Path:
        """The comparison, as a record."""
        return self.folder / "comparison.json"

    @property
    def table(self) -> Path:
        """Every share of the hypervolume, by method, seed and evaluations."""
        return self.folder / "hypervolume.csv"

    @property
    def figure(self) -> Path:
        return self.folder / "hypervolume.png"

    @property
    def scores(self) -> Path:
        """The archive of all scores that the searches asked for."""
        return self.folder / "scores.sqlite"


@dataclass(frozen=True, kw_only=True)
class CompareConfig(Record):
    """How networks were searched and scored, and what was minimised."""

    options: SearchOptions = field(metadata=FLAT)
    protocol: ProtocolOptions = field(metadata=FLAT)
    objectives: tuple[str, ...]


@dataclass(frozen=True)
class MethodResult(Record):
    """What a method reached at the end: the `shares` of the best front's hypervolume, in [0, 1], seed by seed, and
    their mean and its standard error. `whole_front`: did it find all of a front that is known."""

    mean: float
    standard_error: float
    shares: tuple[float, ...]
    whole_front: tuple[bool, ...] | None = keyed("whole_front", omitted=True, default=None)


@dataclass(frozen=True)
class EvaluationsNeeded(Record):
    """How many evaluations random search takes to get as far as NSGA-II, on average and seed by seed."""

    mean: float
    by_seed: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SearchComparison(Record):
    """NSGA-II against random search with equally many `evaluations`.

    `networks` are those that could be searched, of which `scored` were scored: all of them where `exhaustive`. The best
    front has `front` different points and the `hypervolume` up to the `reference` point. `random_search_needs` is None
    where the true front is not known. `sentence` says all of it.
    """

    config: CompareConfig
    space: str
    networks: int
    exhaustive: bool
    scored: int
    evaluations: int
    seeds: tuple[int, ...]
    reference: tuple[float, ...]
    hypervolume: float
    front: int
    methods: Mapping[str, MethodResult]
    nsga_wins: int
    nsga_losses: int
    sign_test_p: float
    random_search_needs: EvaluationsNeeded | None
    sentence: str
