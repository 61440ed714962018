"""Which measures can be searched on: do networks differ in them by more than the choice of people does?"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from math import ceil

import numpy as np

from dualfair.evaluation.objectives import Objective
from dualfair.evaluation.scoring.scorer import HALVES, InheritedScorer, half_column
from dualfair.evaluation.statistics.reliability import Reliability, normal_scores
from dualfair.evaluation.statistics.reliability import reliability as reliability_of
from dualfair.evolution.archive import Evaluation
from dualfair.presentation.format import two, with_interval
from dualfair.runs.records.search import MeasureReliability, SearchReliability
from dualfair.supernet.genotype import Genotype

ENOUGH = 0.8
"""A measure of this reliability or more can be searched on."""
LEAST_NETWORKS = 8
"""Fewer networks say nothing."""
_RESAMPLES = 200


def searchability(
    values: Mapping[str, np.ndarray], measures: Sequence[str], people: int, seed: int = 0
) -> dict[str, MeasureReliability]:
    """The reliability of measures over the columns of an archive, by name in the order given.

    `reliability` in [0, 1], higher is better, is that of the mean of the two halves of the people: what of the variance
    of its normal scores over `networks` is the networks' own. It stands for the measure on all people, which is one
    gallery of twice the size: reliability grows with the gallery about as much as by averaging two galleries. `low` and
    `high` are percentiles (2.5, 97.5) over resampled networks. `people` are needed for a reliability of ENOUGH. None
    where fewer than LEAST_NETWORKS have finite values, where the measure does not vary, and for `people` also where no
    number of them is enough.

    `values` holds arrays (n,) by column; the columns of either half of the `people` are used (`half_column`). Networks
    are independent draws from the space: the random ones, not those that a search has bred.
    """
    reliabilities = {}
    for measure in measures:
        halves = np.stack([values[half_column(measure, half)] for half in HALVES], axis=1)
        halves = halves[np.isfinite(halves).all(axis=1)]
        n = len(halves)
        if n < LEAST_NETWORKS:
            reliabilities[measure] = MeasureReliability(n, None, None, None, None)
            continue
        estimate = _of(halves)
        whole = estimate.of_mean(galleries=len(HALVES))
        needed = estimate.galleries_needed(ENOUGH)
        rng = np.random.default_rng(seed)
        drawn = [_of(halves[rng.integers(n, size=n)]).of_mean(galleries=len(HALVES)) for _ in range(_RESAMPLES)]
        drawn = [value for value in drawn if value is not None]
        low, high = np.quantile(drawn, (0.025, 0.975)).tolist() if drawn else (None, None)
        needed = None if needed is None else ceil(needed * people / len(HALVES))
        reliabilities[measure] = MeasureReliability(n, whole, low, high, needed)
    return reliabilities


def reliability_on(
    scorer: InheritedScorer, evaluations: Iterable[Evaluation], random: Sequence[Genotype]
) -> SearchReliability:
    """How far every measure tells the `random` subnets of evaluations apart, on the people of their scorer."""
    faces = scorer.faces
    scored = {evaluation.genotype: evaluation.values for evaluation in evaluations}
    rows = np.array([scored[genotype] for genotype in random]).reshape(-1, len(scorer.columns))
    values = dict(zip(scorer.columns, rows.T, strict=True))
    people = {group: len(set(faces.identities[faces.groups == group].tolist())) for group in faces.group_names}
    return SearchReliability(people, ENOUGH, searchability(values, scorer.protocol.measures, faces.identity_count))


def sentences(reliability: SearchReliability, objectives: Sequence[Objective]) -> list[str]:
    """A small table, and a warning for every objective that cannot be searched on, with what can be done."""
    of_groups = ", ".join(f"{group} {people:,}" for group, people in reliability.people.items())
    n = max(measure.networks for measure in reliability.measures.values())
    about = f"{n} random networks, {sum(reliability.people.values()):,} people ({of_groups})"
    if n < LEAST_NETWORKS:
        return [f"Reliability of the measures: not estimated, {n} networks are too few ({LEAST_NETWORKS} are needed)"]
    lines = [f"Reliability of the measures, 1 = people do not matter; roughly estimated from {about}:"]
    width = max(map(len, reliability.measures))
    lines += [f"  {name.ljust(width)}  {_in_words(measure)}" for name, measure in reliability.measures.items()]
    return lines + [line for each in objectives for line in warning(reliability.measures, each, objectives)]


def warning(
    measures: Mapping[str, MeasureReliability], chosen: Objective, objectives: Sequence[Objective]
) -> list[str]:
    """One line where an objective's reliability is known to be below ENOUGH; else none, as for the error, which is
    what it is. For a disparity another one is named that is reliable, or how many people one would take."""
    if chosen.name == "error" or not chosen.on_images or (reached := measures[chosen.column].reliability) is None:
        return []
    if reached >= ENOUGH:
        return []
    text = f"warning: {chosen.column} {reached:.2f} is too noisy on these people to be searched on ({ENOUGH} is needed)"
    if not chosen.compares_groups:
        people = measures[chosen.column].people
        return [f"{text}; about {people:,} people would do" if people else text]
    others = {objective.column for objective in objectives} | {"error"}
    rivals = {name: measure for name, measure in measures.items() if name not in others}
    best = max(rivals, key=lambda name: rivals[name].reliability or 0, default=None)
    if best is not None and (rivals[best].reliability or 0) >= ENOUGH:
        instead = ",".join(best if objective is chosen else objective.name for objective in objectives)
        return [f"{text}; {best} {rivals[best].reliability:.2f} can be: --objectives {shlex.quote(instead)}"]
    disparities = {**rivals, chosen.column: measures[chosen.column]}
    reachable = {name: measure.people for name, measure in disparities.items() if measure.people}
    nearest = min(reachable, key=reachable.__getitem__, default=None)
    if nearest is None:
        return [f"{text}; no other disparity can be, and networks do not differ enough to say with how many people"]
    return [f"{text}; no other disparity can be: {nearest} would take about {reachable[nearest]:,} people"]


def _in_words(measure: MeasureReliability) -> str:
    if measure.networks < LEAST_NETWORKS:
        return f"not estimated: finite for {measure.networks} networks, {LEAST_NETWORKS} are needed"
    if measure.reliability is None:
        return "networks do not differ"
    people = measure.people
    needed = "no number of people is enough" if people is None else f"{ENOUGH} takes about {people:,} people"
    return f"{with_interval(measure.reliability, measure.low, measure.high, two)}  {needed}"


def _of(halves: np.ndarray) -> Reliability:
    return reliability_of(normal_scores(halves)[:, None, :])
