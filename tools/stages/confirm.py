"""A front measured again on people that the search has not seen: the best of many noisy scores is partly luck.

Shape legend: n networks, m objectives.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dualfair.evolution.archive import Evaluation
from dualfair.evolution.pareto import knee, non_dominated
from dualfair.evolution.run import Run, SearchResult, feasible, objectives_of
from dualfair.runs.options import BATCH
from dualfair.runs.records.search import Chance, Front, FrontNetwork, SearchConfig
from dualfair.runs.trained_run import TrainedRun
from dualfair.stages.inherited import HELD_OUT, calibrating, open_scoring
from dualfair.supernet.genotype import Genotype

GENOTYPES_A_CALL = 8
"""Scored by a rank before all scores are written: what a kill loses. Common beginnings are shared within a call."""
RANDOM = 32
"""Random subnets beside the candidates, at most."""
LEVEL = 0.05
"""The search's best beats random subnets where p is no larger."""


@dataclass(frozen=True)
class Confirmation:
    """The same n networks as the search scored them and on fresh people; both are in the order of the networks.

    `columns` and `fresh_columns` name the values, `objectives` are the first m of both, and `measured` those of them
    that are measured on images; costs are the same for any people. `leading`, `candidates` and `random` are bool (n,):
    which are on the search's front, which compete for the confirmed one, and which are random subnets. A network can be
    more than one of these.
    """

    columns: tuple[str, ...]
    fresh_columns: tuple[str, ...]
    objectives: tuple[str, ...]
    measured: tuple[str, ...]
    searched: tuple[Evaluation, ...]
    fresh: tuple[Evaluation, ...]
    leading: np.ndarray
    candidates: np.ndarray
    random: np.ndarray
    people: int
    images: int
    calibrate: int

    @cached_property
    def before(self) -> np.ndarray:
        """The search's scores of the objectives, (n, m)."""
        return objectives_of(self.searched, len(self.objectives))

    @cached_property
    def after(self) -> np.ndarray:
        """The fresh scores of the objectives, (n, m); not finite where undefined."""
        return objectives_of(self.fresh, len(self.objectives))

    @cached_property
    def confirmed(self) -> np.ndarray:
        """Which candidates no other candidate dominates on fresh people, bool (n,)."""
        front = self.candidates & np.isfinite(self.after).all(axis=1)
        front[front] = non_dominated(self.after[front])
        return front

    @cached_property
    def order(self) -> list[int]:
        """The confirmed networks, sorted by their fresh scores."""
        places = np.flatnonzero(self.confirmed).tolist()
        return sorted(places, key=lambda place: (*self.after[place], self.fresh[place].genotype))

    def intervals(self, places: Sequence[int], names: Sequence[str]) -> np.ndarray:
        """Value, low and high of objectives of some networks on fresh people, (networks, names, 3); costs have no ends,
        which are NaN."""
        fresh = [dict(zip(self.fresh_columns, self.fresh[place].values, strict=True)) for place in places]
        parts = ("", " low", " high")
        values = [[[row.get(f"{name}{end}", np.nan) for end in parts] for name in names] for row in fresh]
        return np.array(values).reshape(-1, len(names), len(parts))

    def chance(self, name: str) -> Chance:
        """The search's first network in an objective on images against the other networks that are random."""
        objective = self.objectives.index(name)
        best = min(np.flatnonzero(self.leading), key=lambda place: (self.before[place, objective], place))
        value, low, high = self.intervals([best], [name])[0, 0].tolist()
        others = self.random & (np.arange(len(self.random)) != best)
        rivals = self.after[others, objective]
        rivals = rivals[~np.isnan(rivals)]
        as_good = int(np.count_nonzero(rivals <= value))
        p = None if np.isnan(value) else (1 + as_good) / (1 + len(rivals))
        genotype = self.fresh[best].genotype
        return Chance(name, genotype, value, low, high, as_good, len(rivals), p, _verdict(p, len(rivals)))

    def shift(self, name: str, which: np.ndarray) -> tuple[float, float]:
        """Means of an objective over some networks, in the search and on fresh people; nan without any."""
        objective = self.objectives.index(name)
        values = np.stack([self.before[which, objective], self.after[which, objective]])
        values = values[:, np.isfinite(values).all(axis=0)]
        return tuple(values.mean(axis=1).tolist()) if values.size else (float("nan"), float("nan"))


def _verdict(p: float | None, random: int) -> str:
    """What follows from the p of a network against so many random subnets, in words."""
    if p is None:
        return "undefined"
    if p <= LEVEL:
        return "better than chance"
    return "no better than chance" if 1 / (1 + random) <= LEVEL else "too few random subnets to tell"


def candidates(evaluations: Iterable[Evaluation], objectives: int, least: int) -> list[list[Evaluation]]:
    """The first non-dominated layers of evaluations, until they hold `least` networks or there are no more.

    The first layer is the front and always whole. Of a later one that would bring the number above 2 x `least` as many
    networks as fit are taken, evenly spaced in the first objective. Networks with an objective that is not finite are
    left out; within a layer networks are sorted by objectives.
    """
    left, values = feasible(evaluations, objectives)
    layers: list[list[Evaluation]] = []
    while left and sum(map(len, layers)) < least:
        front = non_dominated(values)
        layer = [evaluation for evaluation, leads in zip(left, front, strict=True) if leads]
        left = [evaluation for evaluation, leads in zip(left, front, strict=True) if not leads]
        values = values[~front]
        layer.sort(key=lambda evaluation: (evaluation.values[:objectives], evaluation.genotype))
        room = 2 * least - sum(map(len, layers))
        if layers and len(layer) > room:
            layer = [layer[place] for place in np.linspace(0, len(layer) - 1, room).round().astype(int)]
        layers.append(layer)
    return layers


def confirm(
    run: TrainedRun, config: SearchConfig, result: SearchResult, random: Sequence[Genotype], batch: int = BATCH
) -> Confirmation | None:
    """Score the candidates of a search and the first RANDOM of the `random` subnets that it scored, on fresh people.

    The scores are kept in the same file under a measurement of their own: what is known is not scored again. `batch`
    images are scored at once. None where no network has finite scores.
    """
    layers = candidates(result.scored, result.objectives, config.options.confirm_candidates)
    competing = {evaluation.genotype: evaluation for layer in layers for evaluation in layer}
    scored = {evaluation.genotype: evaluation for evaluation in feasible(result.scored, result.objectives)[0]}
    baseline = {genotype: scored[genotype] for genotype in [g for g in random if g in scored][:RANDOM]}
    searched = {**competing, **baseline}
    calibrate = calibrating(run, config.protocol, HELD_OUT)
    with open_scoring(run, config, split=HELD_OUT, batch=batch) as scoring:
        scorer, faces = scoring.scorer, scoring.scorer.faces
        if not competing:
            scorer.dismiss()
            return None
        run.directory.say(
            f"Confirming {len(competing)} candidates beside {len(baseline)} random subnets on {len(faces):,} images "
            f"of {faces.identity_count:,} people that the search has not seen; BN statistics on {calibrate:,} images"
        )
        Run(scorer, scoring.archive, steps=1, batch=GENOTYPES_A_CALL * run.processes.size).step(list(searched))
        scores = tuple(scoring.archive.get(searched).values())
        scorer.dismiss()
    return Confirmation(
        columns=result.columns,
        fresh_columns=scorer.columns,
        objectives=config.names.minimised,
        measured=config.names.measured,
        searched=tuple(searched.values()),
        fresh=scores,
        leading=np.arange(len(searched)) < len(layers[0]),
        candidates=np.arange(len(searched)) < len(competing),
        random=np.array([genotype in baseline for genotype in searched]),
        people=faces.identity_count,
        images=len(faces),
        calibrate=calibrate,
    )


def confirmed_front(run: TrainedRun) -> list[FrontNetwork] | None:
    """The networks that stay on the front on held-out identities, sorted by their scores there.

    None where the last search has no confirmed front: it is not finished, or there were no people to confirm it. Raises
    ValueError when its record is damaged.
    """
    layout = run.directory.layout.search
    if not layout.front.is_file():
        return None
    remedy = "run the same 'dualfair search' command again"
    front = Front.read(layout.front, remedy)
    if front.confirmation is None or front.config != run.directory.config(layout, SearchConfig):
        return None
    try:
        for network in front.networks:
            run.setting.space.parse(str(network.genotype))
            if not np.isfinite([network.confirmed[name] for name in front.objectives]).all():
                raise ValueError("a network of the front has fresh scores that are not finite")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{layout.front} is damaged ({error}); {remedy}") from None
    return list(front.networks)


def knee_and_extremes(run: TrainedRun) -> list[Genotype] | None:
    """The knee of the confirmed front, then its best network in every objective, by fresh scores; without repeats.

    None and ValueError as `confirmed_front`; an empty list where no network has fresh scores.
    """
    networks = confirmed_front(run)
    if not networks:
        return networks
    names = run.directory.config(run.directory.layout.search, SearchConfig).names.minimised
    values = np.array([[network.confirmed[name] for name in names] for network in networks])
    places = [knee(values), *np.argmin(values, axis=0).tolist()]
    return [networks[place].genotype for place in dict.fromkeys(places)]
