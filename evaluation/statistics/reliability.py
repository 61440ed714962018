"""How far a measure can be trusted to rank networks: what of its variance is the network's, the seed's, the people's.

The model of the value of network n, trained with seed s, on gallery g of identities:

    value[n, s, g] = mean + network[n] + seed[n, s] + gallery[g] + identities[n, g] + residual[n, s, g]

All terms are random and independent. The seeds are nested in the networks; the galleries are disjoint sets of
identities and the same for all networks, so that a gallery's own effect cancels in any comparison of networks.

Shape legend: n networks, S seeds, K galleries.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

ROUNDING = 1e-13
"""A component of less than this part of the whole variance is 0: sums of squares are not known better."""


@dataclass(frozen=True)
class Reliability:
    """Components of variance of a measure, as standard deviations in its units, and what follows from them.

    `network` is what is to be ranked; `seed` and `identities`, which network the choice of identities happens to suit,
    blur the ranking, and `residual` is the rest. Of one seed a network `seed` and `residual` are unknown, None: then
    the network's component includes the seed's and the identities' the residual, and reliabilities are those of these
    trained networks, upper bounds for the architectures.
    """

    network: float
    seed: float | None
    identities: float
    residual: float | None

    def of_mean(self, seeds: int = 1, galleries: int = 1) -> float | None:
        """Reliability of the mean over so many seeds and galleries, in [0, 1], higher is better.

        network^2 / (network^2 + seed^2 / S + identities^2 / K + residual^2 / (S K)): the expected squared correlation
        with the network's true value, and the correlation between two such means of new seeds and new galleries. None
        where nothing varies, and for more than one seed where the seed's component is unknown.
        """
        if self.seed is None and seeds > 1:
            return None
        signal, fixed, shrinking = self._variances(seeds)
        whole = signal + fixed + shrinking / galleries
        return signal / whole if whole > 0 else None

    def galleries_needed(self, target: float) -> int | None:
        """The fewest galleries whose mean over one seed has a reliability of `target`, in (0, 1), or more.

        None where no number of galleries is enough, because the seeds alone prevent it or networks do not differ.
        """
        signal, fixed, shrinking = self._variances(1)
        room = signal * (1 / target - 1) - fixed
        # Rounding must neither turn no room at all into a little, nor lift a whole quotient above itself.
        slack = 1e-12 * signal
        if signal == 0 or room < -slack or (room <= slack and shrinking > 0):
            return None
        return max(1, ceil(shrinking / room * (1 - 1e-12))) if shrinking else 1

    def _variances(self, seeds: int) -> tuple[float, float, float]:
        """What ranks, what galleries do not average out, and what they do, of the mean over so many seeds."""
        seed, residual = self.seed or 0.0, self.residual or 0.0
        return self.network**2, seed**2 / seeds, self.identities**2 + residual**2 / seeds


def reliability(values: np.ndarray) -> Reliability:
    """Components of variance of a measure's values (n, S, K), by the balanced analysis of variance.

    The mean squares are set equal to their expectations; an unbiased variance that comes out negative is set to 0. The
    standard deviations of few networks or galleries are rough. What is judged is the mean over galleries of what
    `values` hold: of absolute disparities, say, not the absolute value of a mean signed difference.

    Raises ValueError for another shape, fewer than two networks or galleries, or values that are not finite.
    """
    values = _checked(values)
    n, seeds, k = values.shape
    # Values that are all alike become exact zeros: their mean would be rounded and seem to vary.
    values = values - values[0, 0, 0]
    mean = values.mean()
    by_network, by_gallery = values.mean(axis=(1, 2)), values.mean(axis=(0, 1))
    by_seed, by_pair = values.mean(axis=2), values.mean(axis=1)
    ms_network = seeds * k * np.sum((by_network - mean) ** 2) / (n - 1)
    interaction = by_pair - by_network[:, None] - by_gallery + mean
    ms_pair = seeds * np.sum(interaction**2) / ((n - 1) * (k - 1))

    def deviation(variance: float) -> float:
        # A difference of mean squares is known to about this, so a component below is absent.
        return float(np.sqrt(variance)) if variance > ROUNDING * values.var() else 0.0

    if seeds == 1:
        return Reliability(deviation((ms_network - ms_pair) / k), None, deviation(ms_pair), None)
    ms_seed = k * np.sum((by_seed - by_network[:, None]) ** 2) / (n * (seeds - 1))
    rest = values - by_seed[:, :, None] - by_pair[:, None, :] + by_network[:, None, None]
    ms_rest = np.sum(rest**2) / (n * (seeds - 1) * (k - 1))
    return Reliability(
        network=deviation((ms_network - ms_seed - ms_pair + ms_rest) / (seeds * k)),
        seed=deviation((ms_seed - ms_rest) / k),
        identities=deviation((ms_pair - ms_rest) / seeds),
        residual=deviation(ms_rest),
    )


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Values (n, ...) as normal scores: over the first axis, the normal quantiles of their ranks, ties sharing theirs.

    What is left is the order of the networks, so that one far-off network weighs no more than its place.
    """
    return ndtri(rankdata(values, axis=0) / (len(values) + 1))


def _checked(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 3 or values.shape[0] < 2 or values.shape[1] < 1 or values.shape[2] < 2:
        raise ValueError(
            "values must have the shape (networks, seeds, galleries) with at least 2 networks and 2 galleries, "
            f"got {values.shape}"
        )
    broken = np.argwhere(~np.isfinite(values))
    if len(broken):
        raise ValueError(
            f"values must be finite: {len(broken)} of {values.size} are nan or inf, the first of network, seed and "
            f"gallery {tuple(broken[0].tolist())}; leave that network out or take larger galleries"
        )
    return values
