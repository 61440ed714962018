"""What a network may cost at most: parameters, multiply-accumulates, latency."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.latency import Latencies
from dualfair.evaluation.objectives import OBJECTIVES, Candidate
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace


@dataclass(frozen=True)
class _Cost:
    """A cost that is limited: the objective that it is, its limit, its unit, and how the user sees a number of it."""

    name: str
    limit: float
    unit: str
    format: str = ",.0f"

    @property
    def flag(self) -> str:
        return f"--max-{self.name} {self.shown(self.limit)}"

    def shown(self, value: float) -> str:
        return format(value, self.format)


@dataclass(frozen=True)
class CostLimits:
    """What a network of a space on a skeleton may cost at most; 0 sets no limit. `latency` gives milliseconds."""

    space: SearchSpace
    skeleton: Skeleton
    max_params: int = 0
    max_macs: int = 0
    max_latency: float = 0.0
    latency: Latencies | None = None

    @property
    def costs(self) -> tuple[_Cost, ...]:
        """The costs that are limited."""
        costs = (
            _Cost("params", self.max_params, "parameters"),
            _Cost("macs", self.max_macs, "multiply-accumulates"),
            _Cost("latency", self.max_latency, "ms", ",.3f"),
        )
        return tuple(cost for cost in costs if cost.limit)

    def __call__(self, genotypes: Sequence[Genotype]) -> np.ndarray:
        """Each limited cost over its limit, minus 1: float64 (n, k), as `evolution.constraints.Constraints` takes it.

        A network that breaks another limit is not timed: NaN.
        """
        return np.array([self._beyond(genotype) for genotype in genotypes], dtype=np.float64)

    def _beyond(self, genotype: Genotype) -> list[float]:
        candidate = Candidate(genotype, self.skeleton, self.latency)
        beyond: list[float] = []
        for cost in self.costs:
            skipped = cost.name == "latency" and max(beyond, default=0) > 0
            beyond.append(math.nan if skipped else OBJECTIVES[cost.name].value(candidate) / cost.limit - 1)
        return beyond

    @property
    def in_words(self) -> str:
        """The limits, for people."""
        where = f" at {self.latency.key}" if self.max_latency else ""
        return " and ".join(f"at most {cost.shown(cost.limit)} {cost.unit}" for cost in self.costs) + where

    def too_tight(self, smallest: Sequence[float]) -> str:
        """A sentence for limits that no network keeps, by the least values of `__call__` that were seen."""
        seen = ", ".join(
            f"{cost.shown((1 + value) * cost.limit)} {cost.unit}"
            for cost, value in zip(self.costs, smallest, strict=True)
            if not math.isnan(value)
        )
        limits = " and ".join(cost.flag for cost in self.costs)
        apart = " (each by itself)" if len(self.costs) > 1 else ""
        none = f"no network of space {self.space.name} keeps {limits}"
        return f"{none}: the smallest seen{apart} has {seen}; raise the limit"

    def check_starts(self, genotypes: Sequence[Genotype]) -> None:
        """Raises ValueError naming the first of the genotypes to start from that breaks a limit, and its cost."""
        for genotype in genotypes:
            for cost, beyond in zip(self.costs, self._beyond(genotype), strict=True):
                if beyond > 0:
                    raise ValueError(
                        f"--start {genotype} has {cost.shown((1 + beyond) * cost.limit)} {cost.unit}, beyond "
                        f"{cost.flag}; leave it out, or raise the limit"
                    )

    def unscored(self, genotype: Genotype) -> dict[str, float]:
        """The cost of a genotype that is limited and need not be among its scores, by name: its latency."""
        return {"latency in ms": self.latency(genotype)} if self.max_latency else {}
