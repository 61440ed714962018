"""The layers behind a front: what could be on it, had the scores less noise."""

from collections.abc import Iterable

import numpy as np

from dualfair.evolution.archive import Evaluation
from dualfair.evolution.pareto import non_dominated
from dualfair.evolution.run import feasible


def front_layers(evaluations: Iterable[Evaluation], objectives: int, least: int) -> list[list[Evaluation]]:
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
