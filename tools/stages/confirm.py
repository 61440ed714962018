"""A front measured again on people that the search has not seen: the best of many noisy scores is partly luck.

Shape legend: n networks.
"""

from collections.abc import Mapping, Sequence
from itertools import compress

import numpy as np

from dualfair.evaluation.protocol import ObjectiveNames
from dualfair.evolution.layers import front_layers
from dualfair.evolution.pareto import non_dominated
from dualfair.evolution.run import Run, SearchResult, feasible
from dualfair.runs.records.search import Chance, ConfirmedFront, Front, FrontNetwork, SearchConfig
from dualfair.runs.trained_run import TrainedRun
from dualfair.stages.inherited import HELD_OUT, RESAMPLES, calibrating, open_scoring
from dualfair.stages.prediction import Predictions
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images import PEOPLE

GENOTYPES_A_CALL = 8
"""Scored by a rank before all scores are written: what a kill loses. Common beginnings are shared within a call."""
RANDOM = 32
"""Random subnets beside the candidates, at most."""
LEVEL = 0.05
"""The search's best beats random subnets where p is no larger."""


def judged(
    networks: Sequence[FrontNetwork],
    leading: np.ndarray,
    competing: np.ndarray,
    random: np.ndarray,
    names: ObjectiveNames,
    measured_on: Mapping[str, int],
    units: str = PEOPLE,
) -> tuple[tuple[FrontNetwork, ...], ConfirmedFront]:
    """The confirmed front and how the search's fared, from the scores of n networks in the search and on fresh people.

    Bool (n,) each: which are `leading`, on the search's front, which are `competing` for the confirmed one, and which
    are `random` subnets; a network can be more than one of these. The confirmed front are the competing ones that no
    other one dominates on fresh people, sorted by their fresh scores. `measured_on` holds the numbers of people (or
    other `units`), images and calibration images.
    """
    after = np.array([[network.confirmed[name] for name in names.minimised] for network in networks])
    confirmed = competing & np.isfinite(after).all(axis=1)
    confirmed[confirmed] = non_dominated(after[confirmed])
    order = sorted(np.flatnonzero(confirmed), key=lambda place: (*after[place], networks[place].genotype))
    search_front, drawn = tuple(compress(networks, leading)), tuple(compress(networks, random))
    compared = {"search front": search_front, "random subnets": tuple(compress(networks, random & ~leading))}
    return tuple(networks[place] for place in order), ConfirmedFront(
        **measured_on,
        resamples=RESAMPLES,
        candidates=int(competing.sum()),
        random_subnets=len(drawn),
        survived=int((leading & confirmed).sum()),
        search_front=search_front,
        means={name: {who: _means(of, name) for who, of in compared.items()} for name in names.measured},
        against_random=tuple(_chance(name, search_front, drawn) for name in names.measured),
        units=units,
    )


def _means(networks: Sequence[FrontNetwork], name: str) -> tuple[float, float]:
    """Means of an objective over networks, in the search and on fresh people; NaN without any that are finite."""
    values = np.array(
        [[network.values[name] for network in networks], [network.confirmed[name] for network in networks]]
    )
    values = values[:, np.isfinite(values).all(axis=0)]
    return tuple(values.mean(axis=1).tolist()) if values.size else (float("nan"), float("nan"))


def _chance(name: str, search_front: Sequence[FrontNetwork], random: Sequence[FrontNetwork]) -> Chance:
    """The search's first network in an objective on images against the other networks that are random."""
    best = min(search_front, key=lambda network: network.values[name])
    value, low, high = (best.confirmed[f"{name}{end}"] for end in ("", " low", " high"))
    rivals = np.array([network.confirmed[name] for network in random if network is not best])
    rivals = rivals[~np.isnan(rivals)]
    as_good = int(np.count_nonzero(rivals <= value))
    p = None if np.isnan(value) else (1 + as_good) / (1 + len(rivals))
    return Chance(name, best.genotype, value, low, high, as_good, len(rivals), p, _verdict(p, len(rivals)))


def _verdict(p: float | None, random: int) -> str:
    """What follows from the p of a network against so many random subnets, in words."""
    if p is None:
        return "undefined"
    if p <= LEVEL:
        return "better than chance"
    return "no better than chance" if 1 / (1 + random) <= LEVEL else "too few random subnets to tell"


def confirm(
    run: TrainedRun,
    config: SearchConfig,
    result: SearchResult,
    random: Sequence[Genotype],
    predictions: Predictions | None = None,
) -> tuple[tuple[FrontNetwork, ...], ConfirmedFront] | None:
    """Score the candidates of a search and the first RANDOM of the `random` subnets that it scored, on fresh people.

    The scores are kept in the same file under a measurement of their own: what is known is not scored again. Objectives
    with `predictions` are predicted from them, with intervals that hold what a training would show.
    Returns what `judged` does, None where no network has finite scores.
    """
    layers = front_layers(result.evaluated, result.objectives, config.options.confirm_candidates)
    competing = {evaluation.genotype: evaluation for layer in layers for evaluation in layer}
    scored = {evaluation.genotype: evaluation for evaluation in feasible(result.evaluated, result.objectives)[0]}
    baseline = {genotype: scored[genotype] for genotype in [g for g in random if g in scored][:RANDOM]}
    searched = {**competing, **baseline}
    calibrate = calibrating(run, config.protocol, HELD_OUT)
    with open_scoring(run, config, split=HELD_OUT) as scoring:
        scorer, faces = scoring.scorer, scoring.scorer.faces
        if not competing:
            scorer.dismiss()
            return None
        run.directory.say(
            f"Confirming {len(competing)} candidates beside {len(baseline)} random subnets on {faces.amount()} "
            f"that the search has not seen; BN statistics on {calibrate:,} images"
        )
        Run(scorer, scoring.archive, steps=1, batch=GENOTYPES_A_CALL * run.processes.size).step(list(searched))
        fresh = scoring.archive.get(searched)
        scorer.dismiss()

    def measured(inherited: dict[str, float], genotype: Genotype) -> dict[str, float]:
        return predictions.fresh(genotype, inherited) if predictions else inherited

    networks = [
        FrontNetwork(
            genotype,
            dict(zip(result.columns, evaluation.values, strict=True)),
            measured(dict(zip(scorer.columns, fresh[genotype].values, strict=True)), genotype),
        )
        for genotype, evaluation in searched.items()
    ]
    return judged(
        networks,
        leading=np.arange(len(networks)) < len(layers[0]),
        competing=np.arange(len(networks)) < len(competing),
        random=np.array([network.genotype in baseline for network in networks]),
        names=config.names,
        measured_on={"people": faces.identity_count, "images": len(faces), "calibrate": calibrate},
        units=faces.units,
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
