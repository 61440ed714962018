"""Configurations: points of a space with categorical, log-uniform and conditional dimensions.

Shape legend: n configurations, d dimensions. A row holds the place of a choice, a position from 0 (lowest) to 1
(highest) on the logarithmic scale, or NaN where the dimension's condition is not met.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_DIGITS = 3
"""Significant digits of a log-uniform value."""
_STEP = 0.2
"""Standard deviation of a neighbour's position, as SMAC has it (Hutter et al. 2011, section 4.3)."""
_STEPS = 4
"""Neighbours of a position."""


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """One of `choices`, all equally probable.

    Dimensions of one `group` matter alike: a model learns one weight for all of them. A dimension with a condition
    `when`, as the name and a choice of an earlier one, counts only where that was chosen.
    """

    name: str
    choices: tuple[object, ...]
    group: str = ""
    when: tuple[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class LogUniform:
    """A number between `low` and `high`, both above 0, whose logarithm is uniform."""

    name: str
    low: float
    high: float
    when: tuple[str, object] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise ValueError(
                f"{self.name}: a range goes from a number above 0 to a larger one, got {self.low:g}..{self.high:g}"
            )

    def value(self, position: float) -> float:
        """The number at a position in [0, 1], with three significant digits and never outside of the range."""
        exact = self.low * (self.high / self.low) ** position
        return min(max(float(f"{exact:.{_DIGITS}g}"), self.low), self.high)


Dimension = Categorical | LogUniform


class ConfigurationSpace:
    """All configurations that a list of dimensions spans, each before those that are conditional on it.

    >>> space = ConfigurationSpace([
    ...     Categorical(name="optimizer", choices=("sgd", "adam")),
    ...     LogUniform(name="momentum", low=0.5, high=0.9, when=("optimizer", "sgd")),
    ... ])
    >>> space.values(np.array([1, np.nan]))
    {'optimizer': 'adam'}
    """

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self.dimensions = tuple(dimensions)
        self._parents: list[tuple[int, int] | None] = []
        places: dict[str, int] = {}
        for place, dimension in enumerate(self.dimensions):
            if dimension.name in places:
                raise ValueError(f"dimension {dimension.name!r} stands there twice")
            self._parents.append(self._parent(dimension, places))
            places[dimension.name] = place

    def _parent(self, dimension: Dimension, places: Mapping[str, int]) -> tuple[int, int] | None:
        if dimension.when is None:
            return None
        name, choice = dimension.when
        parent = self.dimensions[places[name]] if name in places else None
        if not isinstance(parent, Categorical) or choice not in parent.choices:
            raise ValueError(f"dimension {dimension.name!r} is for {name} = {choice}, which is not chosen from before")
        return places[name], parent.choices.index(choice)

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Random rows, float (n, d)."""
        rows = np.empty((n, len(self.dimensions)))
        for place in range(len(self.dimensions)):
            rows[:, place] = self._column(rng, place, n)
        return self._masked(rows)

    def _column(self, rng: np.random.Generator, place: int, n: int) -> np.ndarray:
        dimension = self.dimensions[place]
        return rng.integers(len(dimension.choices), size=n) if isinstance(dimension, Categorical) else rng.random(n)

    def _masked(self, rows: np.ndarray) -> np.ndarray:
        for place, parent in enumerate(self._parents):
            if parent is not None:
                rows[rows[:, parent[0]] != parent[1], place] = np.nan
        return rows

    def neighbours(self, row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows (n, d) that differ from one in a single dimension: every other choice, and a few normal steps.

        What is conditional on a new choice is drawn anew.
        """
        rows = []
        for place, dimension in enumerate(self.dimensions):
            if np.isnan(row[place]):
                continue
            if isinstance(dimension, Categorical):
                others = np.delete(np.arange(len(dimension.choices)), int(row[place]))
            else:
                others = np.clip(row[place] + _STEP * rng.standard_normal(_STEPS), 0, 1)
            changed = np.repeat(row[None], len(others), axis=0)
            changed[:, place] = others
            for child, parent in enumerate(self._parents):
                if parent is not None and parent[0] == place:
                    changed[:, child] = self._column(rng, child, len(others))
            rows.append(self._masked(changed))
        return np.concatenate(rows)

    def values(self, row: np.ndarray) -> dict[str, object]:
        """What a row stands for, by the names of the dimensions whose conditions are met."""
        return {
            dimension.name: dimension.choices[int(place)]
            if isinstance(dimension, Categorical)
            else dimension.value(place)
            for dimension, place in zip(self.dimensions, row, strict=True)
            if not np.isnan(place)
        }

    def row(self, values: Mapping[str, object]) -> np.ndarray:
        """The row, float (d,), that stands for `values`; NaN for what is not among them."""
        row = np.full(len(self.dimensions), np.nan)
        for place, dimension in enumerate(self.dimensions):
            if dimension.name not in values:
                continue
            value = values[dimension.name]
            if isinstance(dimension, Categorical):
                row[place] = dimension.choices.index(value)
            else:
                row[place] = math.log(value / dimension.low) / math.log(dimension.high / dimension.low)
        return row
