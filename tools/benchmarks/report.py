"""Results of benchmarks as values, as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from dualfair.benchmarks.memory import Peak
from dualfair.planning.stopwatch import Comparison, Spread
from dualfair.presentation.table import aligned


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Two ways of doing a thing, side by side.

    A call of either does `work` units of what `unit` names. `peaks` are those of the plain way and of ours. `facts`
    are further numbers, and `notes` sentences that say what they mean.
    """

    title: str
    plain: str
    ours: str
    work: float
    unit: str
    comparison: Comparison
    peaks: tuple[Peak, Peak] | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """A small table, the ratio, and the notes."""
        rows = [["", "seconds, median [quartiles]", f"{self.unit}/s", *(["peak memory"] if self.peaks else [])]]
        spreads = (self.comparison.plain, self.comparison.ours)
        for place, (name, spread) in enumerate(zip((self.plain, self.ours), spreads, strict=True)):
            memory = [f"{self.peaks[place].bytes / 2**20:,.0f} MiB"] if self.peaks else []
            rows.append([name, in_brackets(spread), rounded(self.work / spread.median), *memory])
        ratio = self.comparison.ratio
        pairs = "1 pair" if ratio.n == 1 else f"{ratio.n} pairs"
        return [
            self.title,
            *indented(aligned(rows)),
            f"  ratio {in_brackets(ratio)} over {pairs}",
            *indented(self.notes),
        ]

    def to_dict(self) -> dict[str, object]:
        """Every number, as JSON takes it."""
        return {
            "title": self.title,
            "plain": self.plain,
            "ours": self.ours,
            "work": self.work,
            "unit": self.unit,
            "seconds": {
                "plain": {**asdict(self.comparison.plain), "all": self.comparison.plain_seconds},
                "ours": {**asdict(self.comparison.ours), "all": self.comparison.our_seconds},
            },
            "ratio": asdict(self.comparison.ratio),
            "units per second": {
                "plain": self.work / self.comparison.plain.median,
                "ours": self.work / self.comparison.ours.median,
            },
            "peak bytes": {"plain": self.peaks[0].bytes, "ours": self.peaks[1].bytes} if self.peaks else None,
            **self.facts,
            "notes": self.notes,
        }


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How the seconds of a thing grow with its size."""

    title: str
    sizes: tuple[int, ...]
    seconds: tuple[Spread, ...]

    @property
    def exponent(self) -> float:
        """Slope of the least-squares line through the logarithms: seconds grow as size to this power."""
        return float(np.polyfit(np.log(self.sizes), np.log([spread.median for spread in self.seconds]), 1)[0])

    def lines(self) -> list[str]:
        """The sizes, their seconds, and the exponent."""
        rows = [["size", *map("{:,}".format, self.sizes)], ["seconds", *(rounded(s.median) for s in self.seconds)]]
        return [self.title, *indented(aligned(rows)), f"  seconds grow as size to the power {self.exponent:.2f}"]

    def to_dict(self) -> dict[str, object]:
        """Every number, as JSON takes it."""
        seconds = [asdict(spread) for spread in self.seconds]
        return {"title": self.title, "sizes": self.sizes, "seconds": seconds, "exponent": self.exponent}


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """What was not measured, and why."""

    title: str
    reason: str

    def lines(self) -> list[str]:
        return [self.title, f"  skipped: {self.reason}"]

    def to_dict(self) -> dict[str, object]:
        return {"title": self.title, "skipped": self.reason}


Result = Contest | Growth | Skipped


def in_brackets(spread: Spread) -> str:
    """A median with its quartiles: 1.37 [1.35, 1.4]; a single value stands alone."""
    if spread.n == 1:
        return rounded(spread.median)
    return f"{rounded(spread.median)} [{rounded(spread.low)}, {rounded(spread.high)}]"


def rounded(value: float) -> str:
    """Three significant digits, thousands separated; whole numbers from 1000 upwards."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
