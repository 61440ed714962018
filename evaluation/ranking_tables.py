"""Scores of the same networks, inherited and standalone, side by side: what a ranking study is made of.

Shape legend: n networks, S training seeds, 2 disjoint halves of the people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from dualfair.evaluation.statistics.prediction import Features
from dualfair.evaluation.statistics.ranking import evenly_spaced
from dualfair.supernet.images import PEOPLE

SPACED = (13, 30)
"""Sizes of the evenly spaced samples that are picked from all networks; FairNAS showed 13."""


@dataclass(frozen=True, eq=False)
class ScoreTables:
    """Scores of the same n networks; smaller is better in all of them but `baselines`, which need no direction.

    `samples` tell why each network is there ("front", "even", "random", "named"). `inherited` and `standalone` hold the
    same measures: (n,), and (n, S) by training seed, taken on one set of people. `halves` has the standalone ones on
    two halves of these people, (n, S, 2); a measure may be missing. `baselines` are scores (n,) that compete with every
    measure, `measure_baselines` those (n,) that compete with one. `units` are what was measured on, `heads` those of
    the networks, empty where they are not known; `features` (n, k) by group are what else is known of them without
    training. Raises ValueError where these do not fit together.
    """

    names: tuple[str, ...]
    samples: tuple[frozenset[str], ...]
    inherited: Mapping[str, np.ndarray]
    standalone: Mapping[str, np.ndarray]
    halves: Mapping[str, np.ndarray] = field(default_factory=dict)
    baselines: Mapping[str, np.ndarray] = field(default_factory=dict)
    measure_baselines: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    units: str = PEOPLE
    heads: tuple[str, ...] = ()
    features: Features = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.names)
        if not self.inherited or [*self.inherited] != [*self.standalone]:
            raise ValueError(
                f"inherited and standalone must hold the same measures, got {[*self.inherited]} and "
                f"{[*self.standalone]}"
            )
        if len(self.samples) != n:
            raise ValueError(f"samples must be one a network, got {len(self.samples)} for {n}")
        if self.heads and len(self.heads) != n:
            raise ValueError(f"heads must be one a network, got {len(self.heads)} for {n}")
        for shape, groups in (
            ((n,), (self.inherited, self.baselines, *self.measure_baselines.values())),
            ((n, self.seeds), (self.standalone,)),
            ((n, self.seeds, 2), (self.halves,)),
        ):
            for table in (table for tables in groups for table in tables.values()):
                if np.shape(table) != shape:
                    raise ValueError(f"a table must have the shape {shape}, got {np.shape(table)}")

    @property
    def seeds(self) -> int:
        """Training seeds of every network."""
        return np.shape(next(iter(self.standalone.values())))[-1]

    @property
    def first(self) -> str:
        """The measure that samples are spaced in and that others are studied beyond: `error`, or else the first."""
        return "error" if "error" in self.inherited else next(iter(self.inherited))

    def only(self, rows: np.ndarray) -> Self:
        """The tables of the networks with these numbers."""

        def taken(tables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: np.asarray(table)[rows] for name, table in tables.items()}

        return ScoreTables(
            tuple(self.names[row] for row in rows),
            tuple(self.samples[row] for row in rows),
            taken(self.inherited),
            taken(self.standalone),
            taken(self.halves),
            taken(self.baselines),
            {measure: taken(baselines) for measure, baselines in self.measure_baselines.items()},
            self.units,
            tuple(self.heads[row] for row in rows) if self.heads else (),
            taken(self.features),
        )


def mean_over_seeds(standalone: np.ndarray) -> np.ndarray:
    """Means of values (n, S), shape (n,); nan where infinities cancel."""
    with np.errstate(invalid="ignore"):
        return standalone.sum(axis=1) / max(standalone.shape[1], 1)


def samples_of(tables: ScoreTables) -> dict[str, np.ndarray]:
    """Numbers of the networks of every sample that is studied, by name: random, even, evenly spaced ones, and all.

    "random" are networks drawn uniformly, the honest sample. "even" were chosen evenly spaced in the inherited score
    before they were trained; "evenly spaced 13" and "30" are picked so from all, where there are more: both flatter.
    """
    numbers = {
        name: np.array([row for row, of in enumerate(tables.samples) if name in of], dtype=int)
        for name in ("random", "even")
    }
    numbers = {name: rows for name, rows in numbers.items() if len(rows)}
    score = np.asarray(tables.inherited[tables.first])
    finite = np.flatnonzero(np.isfinite(score))
    for size in SPACED:
        if len(finite) > size:
            numbers[f"evenly spaced {size}"] = np.sort(finite[evenly_spaced(score[finite], size)])
    return numbers | {"all": np.arange(len(tables.names))}
