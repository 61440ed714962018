"""How many standalone trainings it takes until what they predict ranks the other networks.

Shape legend: n networks.
"""

from collections.abc import Mapping

import numpy as np

from dualfair.evaluation.statistics.prediction import Features, Regression
from dualfair.evaluation.statistics.ranking import tau_b

TRAINED = (16, 32)
"""Numbers of networks that are taken for trained; the others, of which there are as many at least, are ranked."""
DRAWS = 20
"""How often trained networks are drawn anew."""


def predicted_taus(features: Features, truth: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Tau of the truth (n,) of networks with its prediction by so many others, a mean over DRAWS, by that number.

    The same networks are drawn whatever the features are. Empty where a score is not finite.
    """
    if not all(np.isfinite(values).all() for values in (truth, *features.values())):
        return {}
    taus: dict[str, float] = {}
    for trained in (number for number in TRAINED if 2 * number <= len(truth)):
        rng, of_draws = np.random.default_rng([seed, trained]), []
        for _ in range(DRAWS):
            known, others = np.split(rng.permutation(len(truth)), [trained])
            regression = Regression.fit(_rows(features, known), truth[known])
            of_draws.append(tau_b(regression.predict(_rows(features, others)).value, truth[others]))
        # Predictions that are all alike have no tau, and order nothing.
        taus[str(trained)] = float(np.nan_to_num(of_draws).mean())
    return taus


def _rows(features: Features, rows: np.ndarray) -> Mapping[str, np.ndarray]:
    return {name: values[rows] for name, values in features.items()}
