"""What all benchmarks share: the setting of a run, and a contest's numbers as text and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import torch

from dualfair.benchmarks.timing import Timings, quartiles
from dualfair.presentation.format import counted, decimals, with_interval
from dualfair.presentation.table import Column, Table, table
from dualfair.supernet.skeleton import Skeleton, skeleton_of
from dualfair.supernet.space import SearchSpace, dpn_space

SPACE = "dpn81"
"""The space whose networks are trained and scored."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all benchmarks of a run share; plain values, so that a fresh process can be told.

    `batch` counts images at once, `repeats` pairs of timings, `population` the genotypes scored, and `embeddings` those
    whose ranks are taken, at most. Raises ValueError for too few of them, or a skeleton that there is not.
    """

    device: str = "cpu"
    skeleton: str = "nano"
    batch: int = 32
    repeats: int = 5
    population: int = 64
    embeddings: int = 20_000

    def __post_init__(self) -> None:
        for name, least in (("batch", 2), ("repeats", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        skeleton_of(self.skeleton)

    @property
    def shape(self) -> Skeleton:
        """The skeleton by its name."""
        return skeleton_of(self.skeleton)

    @property
    def space(self) -> SearchSpace:
        """The space over the skeleton's blocks."""
        return dpn_space(SPACE, sum(self.shape.blocks))

    @property
    def training_dtype(self) -> torch.dtype:
        """What training computes in: `Recipe.amp` by default, where there is CUDA. Scoring is in float32."""
        return torch.bfloat16 if torch.device(self.device).type == "cuda" else torch.float32


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Two ways of doing a thing, side by side: names, timings, and `facts`, further numbers by what they are.

    A call of either does `work` units of what `unit` names.
    """

    title: str
    plain: str
    ours: str
    work: float
    unit: str
    timings: Timings
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def table(self) -> Table:
        """A row for either way: milliseconds of a call with their quartiles, units a second, and MiB at the peak."""
        times = Column("milliseconds", low="low", high="high"), Column("low"), Column("high")
        columns = Column("way", "text"), *times, Column(f"{self.unit}/s", "whole"), Column("peak MiB", "whole")
        rows = []
        for name, seconds, peak in zip(
            (self.plain, self.ours), (self.timings.plain, self.timings.ours), self.timings.peaks, strict=True
        ):
            milliseconds = quartiles([1000 * value for value in seconds])
            speed = 1000 * self.work / milliseconds[0]
            rows.append((name, *milliseconds, speed, peak / 2**20))
        return table(columns, rows)

    def lines(self) -> list[str]:
        """The table, the ratio, and the facts."""
        ratio = f"ratio {with_interval(*self.timings.ratio)} over {counted(len(self.timings.plain), 'pair')}"
        facts = [f"{name}: {decimals(value)}" for name, value in self.facts.items()]
        return [self.title, *(f"  {line}" for line in (*self.table.lines(), ratio, *facts))]

    def to_dict(self) -> dict[str, object]:
        """Every number, as JSON takes it."""
        ratio = dict(zip(("median", "low", "high"), self.timings.ratio, strict=True))
        return {**asdict(self), "table": self.table.records(), "ratio": ratio}
