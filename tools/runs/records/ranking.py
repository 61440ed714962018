"""The ranking study: does an inherited score rank networks as training them does?"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dualfair.evaluation.ranking_study import LEAST_CEILING, LEAST_CONCLUDED, MeasureStudy
from dualfair.evaluation.statistics.ranking import RankingCorrelation
from dualfair.runs.records.codec import Record, keyed


@dataclass(frozen=True)
class FrontStudy(Record):
    """Agreement of the front by the scores with the true one, over all measures together.

    `agreement` is as of `evolution.pareto.front_agreement`, of `chosen` networks; `at_random` the mean of as many
    networks drawn at random. None with a `reason` where a score is not finite or there is no network.
    """

    agreement: float | None
    chosen: int | None
    at_random: float | None
    reason: str | None


@dataclass(frozen=True)
class SampleStudy(Record):
    """The study of a sample of the networks; `front_agreement` is None unless there are two measures."""

    networks: tuple[str, ...]
    n: int
    measures: Mapping[str, MeasureStudy]
    front_agreement: FrontStudy | None


@dataclass(frozen=True)
class TableStudy(Record):
    """The study of tables of scores, by sample: random, even, evenly spaced ones, and all."""

    networks: tuple[str, ...]
    seeds: int
    samples: Mapping[str, SampleStudy]


AT_REST = 0.7
"""From this tau on two orders of trainings are the same but for noise."""


@dataclass(frozen=True)
class MeasureConvergence(Record):
    """A measure of networks on test people after their trainings and after others twice as long: the means over
    networks, the `correlation` of the two, and tau `between_seeds` of the shorter ones, None for one seed."""

    mean: float
    longer_mean: float
    correlation: RankingCorrelation
    between_seeds: float | None

    @property
    def verdict(self) -> str:
        """Whether the order stays, in words, by these rules:

        Fewer than LEAST_CONCLUDED networks, an undefined tau, an undefined interval: nothing can be concluded. Below
        LEAST_CEILING between seeds: there is no order that could stay. Tau of AT_REST or more and an interval above 0:
        it stays. An interval below AT_REST: it moves.
        """
        tau, interval = self.correlation.tau, self.correlation.interval
        if self.correlation.n < LEAST_CONCLUDED:
            return f"nothing can be concluded from {self.correlation.n} networks"
        if tau is None:
            return "nothing can be concluded: tau is undefined, as values are equal or missing"
        if self.between_seeds is not None and self.between_seeds < LEAST_CEILING:
            return "no order that could stay: two seeds do not agree either"
        if interval is None:
            return f"nothing can be concluded: {self.correlation.reason}"
        if tau >= AT_REST and interval[0] > 0:
            return "the order stays"
        return "the order moves: train for more epochs" if interval[1] < AT_REST else "the order is not shown to stay"


@dataclass(frozen=True)
class ConvergenceStudy(Record):
    """Whether the order of some `networks` after so many `epochs` is that after twice as many, by measure."""

    networks: tuple[str, ...]
    epochs: float
    measures: Mapping[str, MeasureConvergence]


@dataclass(frozen=True, kw_only=True)
class RankingStudy(Record):
    """The ranking study of a run, or of two tables of scores.

    `studies` are by what the truth was measured on ("validation identities", "test identities", or "test images" where
    each is by itself; "" for tables), `measures` those of all networks, by "error, validation identities" and the like.
    On validation identities inherited and standalone scores share the people they were measured on; only test
    identities show what carries over.
    `left_out` lack a training that others have, `missing` trainings were asked for, `damaged` cannot be read. Of tables
    only: `maximised` columns, how many networks one of them lacks, and how many rows are of seeds that most lack.
    `convergence` is None where it was not checked.
    """

    networks: tuple[str, ...]
    seeds: int
    maximised: tuple[str, ...] | None = keyed("maximised", omitted=True, default=None)
    only_inherited: int | None = keyed("only in cheap", omitted=True, default=None)
    only_standalone: int | None = keyed("only in truth", omitted=True, default=None)
    unused: int | None = keyed("rows of further seeds", omitted=True, default=None)
    left_out: tuple[str, ...]
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    measures: Mapping[str, MeasureStudy]
    studies: Mapping[str, TableStudy]
    convergence: ConvergenceStudy | None = field(metadata={"key": "convergence", "omitted": True}, default=None)

    @property
    def partial(self) -> bool:
        """Whether a training that was asked for is missing, or a correlation over all networks is undefined."""
        undefined = any(measure.correlation.tau is None for measure in self.measures.values())
        return bool(undefined or self.missing or self.left_out or self.damaged)
