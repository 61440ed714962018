"""What a network may cost, as options of a search: parameters, multiply-accumulates, latency."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dualfair.runs.options import ConstraintOptions
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.trained_run import TrainedRun
from dualfair.supernet.genotype import Genotype


@dataclass(frozen=True)
class _Cost:
    """A cost that is limited: its option, its unit, and the number of it that the user sees."""

    name: str
    limit: float
    unit: str

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    def shown(self, value: float) -> str:
        return f"{value:,.3f}" if self.name == "max_latency" else f"{value:,.0f}"


class NetworkConstraints:
    """The limits of `options` on networks of a skeleton; `latency` gives milliseconds of a genotype."""

    def __init__(self, options: ConstraintOptions, skeleton, latency) -> None:
        self.options, self.skeleton, self.latency = options, skeleton, latency
        costs = (
            _Cost("max_params", options.max_params, "parameters"),
            _Cost("max_macs", options.max_macs, "multiply-accumulates"),
            _Cost("max_latency", options.max_latency, "ms"),
        )
        self._costs = tuple(cost for cost in costs if cost.limit)

    def __call__(self, genotypes: Sequence[Genotype]):
        """Each limited cost over its limit, minus 1: float64 (n, k), as `evolution.constraints.Constraints` takes it.

        A network that breaks another limit is not timed: NaN.
        """
        import numpy as np

        return np.array([self._of(genotype) for genotype in genotypes], dtype=np.float64)

    def _of(self, genotype: Genotype) -> list[float]:
        from dualfair.evaluation.cost import macs, parameters

        measures = {
            "max_params": lambda: parameters(genotype, self.skeleton),
            "max_macs": lambda: macs(genotype, self.skeleton),
            "max_latency": lambda: self.latency(genotype),
        }
        beyond: list[float] = []
        for cost in self._costs:
            skipped = cost.name == "max_latency" and max(beyond, default=0) > 0
            beyond.append(math.nan if skipped else measures[cost.name]() / cost.limit - 1)
        return beyond

    @property
    def in_words(self) -> str:
        """The limits, for people."""
        where = f" at {self.latency.key}" if self.options.max_latency else ""
        return " and ".join(f"at most {cost.shown(cost.limit)} {cost.unit}" for cost in self._costs) + where

    def too_tight(self, smallest: Sequence[float], space: str) -> str:
        """A sentence for limits that no network keeps, by the least values of `__call__` that were seen."""
        limits = " and ".join(f"{cost.flag} {cost.shown(cost.limit)}" for cost in self._costs)
        seen = ", ".join(
            f"{cost.shown((1 + value) * cost.limit)} {cost.unit}"
            for cost, value in zip(self._costs, smallest, strict=True)
            if not math.isnan(value)
        )
        apart = " (each by itself)" if len(self._costs) > 1 else ""
        return f"no network of space {space} keeps {limits}: the smallest seen{apart} has {seen}; raise the limit"

    def check_starts(self, genotypes: Sequence[Genotype]) -> None:
        """Raises ValueError naming the first of the genotypes to start from that breaks a limit, and its cost."""
        for genotype in genotypes:
            for cost, beyond in zip(self._costs, self._of(genotype), strict=True):
                if beyond > 0:
                    raise ValueError(
                        f"--start {genotype} has {cost.shown((1 + beyond) * cost.limit)} {cost.unit}, beyond "
                        f"{cost.flag} {cost.shown(cost.limit)}; leave it out, or raise the limit"
                    )

    def columns(self, genotypes: Sequence[Genotype]) -> dict[str, list[float]]:
        """Costs that are limited and are not among the scores, by column: the latency."""
        if not self.options.max_latency:
            return {}
        return {"latency in ms": [self.latency(genotype) for genotype in genotypes]}


def open_limits(run: TrainedRun, options: ConstraintOptions):
    """The `evolution.constraints.Constraints` of a run and their `NetworkConstraints`; None and None without any."""
    from dualfair.evolution.constraints import Constraints
    from dualfair.stages.latency import Latencies

    if not (options.max_params or options.max_macs or options.max_latency):
        return None, None
    latency = None
    if options.max_latency:
        layout = run.directory.layout.search
        run.directory.make(layout)
        latency = Latencies(layout.latencies, run.setting.skeleton, run.device, options.latency_batch)
    network = NetworkConstraints(options, run.setting.skeleton, latency)
    return Constraints(run.setting.space, network), network


def limits_of(run: TrainedRun):
    """The pair of `open_limits` that the last search of a run had. Raises ValueError when its record is damaged."""
    return open_limits(run, run.directory.config(run.directory.layout.search, SearchConfig).constraints)


@contextmanager
def said_by(limits: NetworkConstraints | None, space) -> Iterator[None]:
    """Have limits that no network keeps reported in the units of the user: as ValueError."""
    from dualfair.evolution.constraints import NothingFeasible

    try:
        yield
    except NothingFeasible as error:
        raise ValueError(limits.too_tight(error.smallest, space.name)) from None
