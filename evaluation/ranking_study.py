"""The ranking study: from tables of inherited and standalone scores to numbers, and what may be concluded from them.

Shape legend: n networks, S training seeds, 2 disjoint halves of the people.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from dualfair.evaluation.network_features import with_inherited
from dualfair.evaluation.ranking_tables import ScoreTables, mean_over_seeds
from dualfair.evaluation.statistics.ceiling import RESAMPLES, NoiseCeiling, TruthCeiling, noise_ceiling, truth_ceiling
from dualfair.evaluation.statistics.kendall import permutation_p
from dualfair.evaluation.statistics.prediction import LEAST_TRAINED, Features, left_out
from dualfair.evaluation.statistics.ranking import (
    Estimate,
    RankingCorrelation,
    correlation,
    partial_tau,
    regret,
    stratified_tau,
    tau_difference,
    top_k_overlap,
    undefined,
    weighted_tau,
)
from dualfair.supernet.images import PEOPLE

NEAR_CEILING = 0.9
"""From this share of the ceiling on, a score ranks as well as the truth's own noise allows."""
LEAST_CONCLUDED = 5
"""Chance alone brings two orders of fewer networks into full agreement too often: of 4, once in 24."""
LEAST_CEILING = 0.5
"""Below this ceiling the truth itself does not rank the networks."""
BESIDE = {"flat": True, "optional": False}
"""Metadata of a field whose own fields stand beside those of the record in a file."""


@dataclass(frozen=True)
class TopOverlap:
    """The share of the truly best `k` networks among the `k` that a score puts first, and what chance gives."""

    k: int
    overlap: float
    chance: float


@dataclass(frozen=True)
class Ceiling:
    """The tau that the exact truth would reach, and the `share` of it that the score reaches: above 1 is possible, by
    luck, and where both kinds of scores share the people they were measured on."""

    truth: TruthCeiling = field(metadata=BESIDE)
    share: float | None


@dataclass(frozen=True)
class Rival:
    """A baseline's correlation with the truth, and `difference`: that of the score minus the baseline's."""

    correlation: RankingCorrelation = field(metadata=BESIDE)
    difference: Estimate


@dataclass(frozen=True)
class PredictedScore:
    """How the truth predicted from inherited score and features of a network ranks, each network predicted by the
    trainings of the others (`prediction.left_out`); `gain` is its tau less that of the inherited score."""

    correlation: RankingCorrelation = field(metadata=BESIDE)
    gain: Estimate

    @property
    def better(self) -> bool:
        """Whether it ranks better than chance, and than the inherited score, beyond both intervals."""
        intervals = self.correlation.interval, self.gain.interval
        return all(interval is not None and interval[0] > 0 for interval in intervals)


@dataclass(frozen=True)
class Beyond:
    """What a measure's score tells beyond the one of the first `measure`: Kendall's partial tau given that one, the
    corrected one that conclusions rest on, and that one as a baseline ("disparity follows error")."""

    measure: str
    partial_tau: Estimate
    corrected: Estimate
    instead: Rival


@dataclass(frozen=True)
class MeasureStudy:
    """Does the score of a measure rank `n` networks as the mean of their trainings does?

    `p` is one-sided, by permutations; in `weighted_tau` the truly best weigh most; `regret` and `regret_at_random` are
    in units of the truth; `noise_ceiling` is tau between seeds. `beyond` is None for the first measure. `conclusions`
    follow, in words. None where undefined: the correlation says why. `within_heads` is tau over the pairs of networks
    with the same head; None where all have one head, or it is not known. `predicted` is None where features are not
    known, or networks too few.
    """

    n: int
    correlation: RankingCorrelation
    p: float | None
    weighted_tau: float | None
    top_k: TopOverlap | None
    regret: float | None
    regret_at_random: float | None
    noise_ceiling: NoiseCeiling
    ceiling: Ceiling
    baselines: Mapping[str, Rival]
    beyond: Beyond | None
    conclusions: tuple[str, ...] = ()
    within_heads: Estimate | None = None
    predicted: PredictedScore | None = field(metadata={"omitted": True}, default=None)

    @property
    def verdict(self) -> str:
        """What the interval of tau lets one say: "above" chance, "below" it, or "open".

        Always open for fewer than LEAST_CONCLUDED networks, and never below where the truth itself does not rank.
        """
        if self.n < LEAST_CONCLUDED or self.correlation.interval is None:
            return "open"
        low, high = self.correlation.interval
        if low > 0:
            return "above"
        return "below" if high < 0 and not self.truth_unranked else "open"

    @property
    def truth_unranked(self) -> bool:
        """Whether the truth's own noise leaves no order of these networks to be ranked."""
        return self.ceiling.truth.tau is not None and self.ceiling.truth.tau < LEAST_CEILING


def measure_study(tables: ScoreTables, measure: str, resamples: int, seed: int) -> MeasureStudy:
    """Does the inherited score of a measure rank the networks as the mean of their trainings does?

    Baselines of all measures are taken in whichever direction ranks better, chosen with hindsight in their favour.
    """
    scores, standalone = np.asarray(tables.inherited[measure]), np.asarray(tables.standalone[measure])
    mean, n = mean_over_seeds(standalone), len(standalone)
    how = {"resamples": resamples, "seed": seed}
    correlated = correlation(scores, mean, **how)
    defined = correlated.tau is not None
    k = max(1, n // 4)
    halves = tables.halves.get(measure)
    truth = truth_ceiling(standalone, halves, resamples=min(resamples, RESAMPLES), seed=seed)
    baselines = {name: _rival(scores, other, mean, how, either_way=True) for name, other in tables.baselines.items()}
    for name, other in tables.measure_baselines.get(measure, {}).items():
        baselines[name] = _rival(scores, other, mean, how)
    study = MeasureStudy(
        n=n,
        correlation=correlated,
        p=permutation_p(scores, mean, seed=seed) if defined else None,
        weighted_tau=weighted_tau(scores, mean) if defined else None,
        top_k=TopOverlap(k, top_k_overlap(scores, mean, k), k / n) if defined else None,
        regret=regret(scores, mean) if defined else None,
        regret_at_random=float(mean.mean() - mean.min()) if defined else None,
        noise_ceiling=noise_ceiling(standalone),
        ceiling=Ceiling(truth, correlated.tau / truth.tau if defined and truth.tau else None),
        baselines=baselines,
        beyond=None if measure == tables.first else _beyond(tables, scores, mean, how),
        within_heads=stratified_tau(scores, mean, tables.heads, **how) if len(set(tables.heads)) > 1 else None,
        predicted=predicted_score(scores, tables.features, mean, **how) if tables.features else None,
    )
    return replace(study, conclusions=tuple(conclusions(study, tables.units)))


def predicted_score(
    inherited: np.ndarray, features: Features, truth: np.ndarray, *, resamples: int = 2000, seed: int = 0
) -> PredictedScore | None:
    """How predictions from inherited scores (n,) and `features` (n, k) by group rank networks of known truth (n,).

    None for fewer than `prediction.LEAST_TRAINED` networks, or where a score is not finite or the same for all.
    """
    if len(truth) < LEAST_TRAINED or undefined({"inherited": inherited, "truth": truth}):
        return None
    predicted = left_out(with_inherited(inherited, features), truth).value
    how = {"resamples": resamples, "seed": seed}
    return PredictedScore(correlation(predicted, truth, **how), tau_difference(predicted, inherited, truth, **how))


def _rival(scores: np.ndarray, other: np.ndarray, mean: np.ndarray, how: dict, either_way: bool = False) -> Rival:
    """A baseline's correlation with the truth, and how much better ours is; `either_way`: than its better direction."""
    correlated = correlation(other, mean, **how)
    turned = either_way and correlated.tau is not None and correlated.tau < 0
    return Rival(correlated, tau_difference(scores, -np.asarray(other) if turned else other, mean, **how))


def _beyond(tables: ScoreTables, scores: np.ndarray, mean: np.ndarray, how: dict) -> Beyond:
    """What a measure's inherited score tells beyond the first measure's."""
    given = np.asarray(tables.inherited[tables.first])
    return Beyond(
        tables.first,
        partial_tau(scores, mean, given, **how),
        partial_tau(scores, mean, given, corrected=True, **how),
        _rival(scores, given, mean, how),
    )


def conclusions(study: MeasureStudy, units: str = PEOPLE) -> list[str]:
    """What may be concluded from a measure's numbers, in words, by these rules:

    - Tau or its interval undefined, or the interval holds 0: nothing, and why; of a tau above 0, how many networks
      would show it, as intervals shrink with the root of their number.
    - Fewer than LEAST_CONCLUDED networks: nothing.
    - The interval above 0: it ranks better than chance; below 0, unless the truth itself does not rank: it ranks the
      wrong way round.
    - An interval above 0 that is not above 0 within heads: networks of the same head are not shown to be ranked, or,
      where that one is below 0, ranked the wrong way round.
    - The ceiling below 0.5: the truth itself does not rank these networks. Else, with an interval above 0, tau at 0.9
      of the ceiling or more: it ranks as well as the truth's own noise allows.
    - The interval of ours - baseline, paired, below 0: it is worse than the baseline. Only with an interval of tau
      above 0: better than those below it, and not shown to be better than those whose interval holds 0.
    - The intervals of predictions' tau, and of predicted - inherited, paired, above 0: predictions by these trainings
      rank better.
    - Of a measure beside the first: unless tau and the corrected partial tau given the first both have intervals above
      0, it adds nothing beyond the first that these networks can show.
    """
    ours, ceiling = study.correlation, study.ceiling
    lines, positive = [], False
    if ours.tau is None or ours.interval is None:
        lines.append(f"nothing can be concluded: {ours.reason}")
    else:
        low, high = ours.interval
        positive = study.verdict == "above"
        if study.n < LEAST_CONCLUDED:
            lines.append(
                f"nothing can be concluded from {study.n} networks: chance alone orders so few alike too often"
            )
        elif low <= 0 <= high:
            lines.append(f"nothing can be concluded: the interval holds 0 with n = {study.n}" + _needed(ours))
        elif study.verdict != "open":
            lines.append("ranks better than chance" if positive else "ranks the wrong way round")
    if positive and study.within_heads:
        lines += _within(study.within_heads)
    if study.truth_unranked:
        lines.append(f"the truth itself does not rank these networks: train more seeds or judge on more {units}")
    elif positive and ceiling.share is not None and ceiling.share >= NEAR_CEILING:
        lines.append("ranks as well as the truth's own noise allows")
    lines += _beside(study.baselines, positive)
    if study.predicted and study.predicted.better:
        lines.append("predicted by these trainings better")
    if study.beyond and ours.tau is not None:
        interval = study.beyond.corrected.interval
        more = positive and interval is not None and interval[0] > 0
        tells = "tells more than" if more else "adds nothing that these networks can show beyond"
        lines.append(f"{tells} {study.beyond.measure}")
    return lines


def _needed(ours: RankingCorrelation) -> str:
    """How many networks bring the lower end of the interval of a tau above 0 to 0."""
    if ours.tau <= 0:
        return ""
    networks = math.ceil(ours.n * ((ours.tau - ours.interval[0]) / ours.tau) ** 2)
    return f"; a tau of {ours.tau:.2f} is shown by about {networks:,} networks"


def _within(heads: Estimate) -> list[str]:
    """What a score that ranks networks better than chance does not do among those of the same head."""
    low, high = heads.interval or (-np.inf, np.inf)
    if low > 0:
        return []
    return ["among networks of the same head " + ("not shown" if high >= 0 else "the wrong way round")]


def _beside(baselines: Mapping[str, Rival], positive: bool) -> list[str]:
    """Which baselines are better; and, of a score that ranks at all, which are not shown to be worse."""
    intervals = {name: rival.difference.interval for name, rival in baselines.items() if rival.difference.interval}
    worse = [name for name, (_, high) in intervals.items() if high < 0]
    unclear = [name for name, (low, high) in intervals.items() if low <= 0 <= high]
    better = [name for name, (low, _) in intervals.items() if low > 0]
    lines = [f"worse than {' and '.join(worse)}"] if worse else []
    if positive and better:
        lines.append(f"better than {' and '.join(better)}")
    if positive and unclear:
        lines.append(f"not shown to be better than {' and '.join(unclear)}")
    return lines
