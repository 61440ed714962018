"""What a comparison of searches comes to, and where it lies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from dualfair.evaluation.protocol import ObjectiveNames
from dualfair.runs.layout import StudyLayout
from dualfair.runs.options import ProtocolOptions, SearchOptions
from dualfair.runs.records.codec import FLAT, Record, keyed

NSGA, RANDOM = "NSGA-II", "random search"
SIGNIFICANT = 0.05
"""The largest p of the sign test at which a difference is called one."""


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


@dataclass(frozen=True)
class Reached(Record):
    """What a method reached, seed by seed: `shares` (seeds, evaluations) of the best front's hypervolume, in [0, 1],
    and whether it found all of a front that is known. Shares are rounded to 12 digits, so that equal fronts tie."""

    shares: tuple[tuple[float, ...], ...]
    whole_front: tuple[bool, ...] | None = keyed("whole_front", omitted=True, default=None)

    @property
    def ends(self) -> np.ndarray:
        """The shares with all evaluations, (seeds,)."""
        return np.array([row[-1] for row in self.shares])

    @property
    def mean_and_error(self) -> tuple[float, float]:
        """Mean and standard error over seeds of the share at the end."""
        return float(self.ends.mean()), float(self.ends.std(ddof=1) / len(self.ends) ** 0.5)


@dataclass(frozen=True, kw_only=True)
class Comparison(Record):
    """What both methods reached on a space after so many `evaluations`.

    `networks` are those that could be searched, of which `scored` were scored: all of them where `exhaustive`, and then
    the best front is the space's true one, else it is that of all that were scored. It has `front` different points and
    the `hypervolume` up to the `reference` (`evolution.pareto.reference_point` of all scored networks). `needed`, seed
    by seed: how many evaluations random search takes to reach the final hypervolume of NSGA-II; empty unless
    `exhaustive`.
    """

    space: str
    networks: int
    exhaustive: bool
    scored: int
    evaluations: tuple[int, ...]
    seeds: tuple[int, ...]
    reference: tuple[float, ...]
    hypervolume: float
    front: int
    methods: Mapping[str, Reached]
    needed: tuple[int, ...]

    @property
    def wins(self) -> int:
        """In how many seeds NSGA-II ends with the larger hypervolume."""
        return int((self._gains > 0).sum())

    @property
    def losses(self) -> int:
        """In how many seeds random search ends with the larger hypervolume."""
        return int((self._gains < 0).sum())

    @property
    def p(self) -> float:
        """Two-sided sign test of wins against losses, ties left out; 1 where all seeds tie."""
        decided = self.wins + self.losses
        return float(binomtest(self.wins, decided).pvalue) if decided else 1.0

    @property
    def _gains(self) -> np.ndarray:
        return self.methods[NSGA].ends - self.methods[RANDOM].ends

    @property
    def best_front(self) -> str:
        """What shares are taken of."""
        return "true front" if self.exhaustive else f"best front known, of {self.scored:,} networks scored"

    @property
    def sentence(self) -> str:
        """The comparison in words; no difference is claimed where the sign test has p > `SIGNIFICANT`."""
        ties = len(self.seeds) - self.wins - self.losses
        ahead = f"{self.wins} of {len(self.seeds)} seeds"
        test = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.2g}"
        how = f"paired by seed{f', {ties} ties' if ties else ''}; sign test {test}"
        if self.p > SIGNIFICANT:
            verdict = f"no difference shown: NSGA-II is ahead of random search in {ahead} ({how})"
        elif self.wins > self.losses:
            verdict = f"NSGA-II beats random search in {ahead} ({how})"
        else:
            verdict = f"NSGA-II is WORSE than random search: ahead in {ahead} ({how})"
        ours, theirs = ("{:.1%} ± {:.1%}".format(*self.methods[name].mean_and_error) for name in (NSGA, RANDOM))
        text = (
            f"{verdict}: {ours} against {theirs} (mean ± standard error) of the hypervolume of the {self.best_front}, "
            f"with {self.evaluations[-1]:,} of {self.networks:,} evaluations"
        )
        if not self.exhaustive:
            return text
        return f"{text}; random search needs {np.mean(self.needed):,.0f} on average to get as far"


@dataclass(frozen=True, kw_only=True)
class CompareConfig(Record):
    """How networks were searched and scored, and what was minimised."""

    options: SearchOptions = field(metadata=FLAT)
    protocol: ProtocolOptions = field(metadata=FLAT)
    names: ObjectiveNames = field(metadata=FLAT)


@dataclass(frozen=True)
class SearchComparison(Record):
    """A comparison on the scores of a run."""

    config: CompareConfig
    comparison: Comparison = field(metadata=FLAT)
