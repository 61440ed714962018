"""How far a measure can be trusted to rank networks: what of its variance is the network's, the seed's, the gallery's.

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

COMPONENTS = ("network", "seed", "gallery", "identities", "residual")
"""The random terms of the model."""

ROUNDING = 1e-13
"""A component of less than this part of the whole variance is 0: sums of squares are not known better."""

ONE_SEED = (
    "one seed a network: the network's component includes the seed's and the identities' includes the residual; "
    "reliabilities are those of these trained networks, upper bounds for the architectures"
)


@dataclass(frozen=True)
class Reliability:
    """Components of variance of a measure, as standard deviations in its units, and what follows from them.

    Estimated from `networks` x `seeds` x `galleries` values: `network` is what is to be ranked; `seed` and
    `identities`, which network the choice of identities happens to suit, blur the ranking, and `residual` is the rest;
    `gallery`, how hard a gallery is for all, does not. The estimates are unbiased variances, and one that comes out
    negative is set to 0 and listed in `negative`. `seed` and `residual` are None where `reason` says why.
    """

    networks: int
    seeds: int
    galleries: int
    network: float
    seed: float | None
    gallery: float
    identities: float
    residual: float | None
    negative: tuple[str, ...] = ()
    reason: str | None = None

    def of_mean(self, seeds: int = 1, galleries: int = 1) -> float | None:
        """Reliability of the mean over so many seeds and galleries, in [0, 1], higher is better.

        network^2 / (network^2 + seed^2 / S + identities^2 / K + residual^2 / (S K)): the expected squared correlation
        with the network's true value, and the correlation between two such means of new seeds and new galleries. None
        where nothing varies, and for more than one seed where the seed's component is unknown.

        Raises ValueError for numbers below 1.
        """
        if seeds < 1 or galleries < 1:
            raise ValueError(f"seeds and galleries must be 1 or more, got {seeds} and {galleries}")
        if self.seed is None and seeds > 1:
            return None
        signal, fixed, shrinking = self._variances(seeds)
        whole = signal + fixed + shrinking / galleries
        return signal / whole if whole > 0 else None

    def galleries_needed(self, target: float, seeds: int = 1) -> int | None:
        """The fewest galleries whose mean over `seeds` seeds has a reliability of `target`, in (0, 1), or more.

        None where no number of galleries is enough, because the seeds alone prevent it or networks do not differ, and
        where `of_mean` is None. Raises ValueError for a target outside (0, 1) or seeds below 1.
        """
        if not 0 < target < 1:
            raise ValueError(f"target must be a reliability between 0 and 1, got {target}")
        if self.of_mean(seeds) is None:
            return None
        signal, fixed, shrinking = self._variances(seeds)
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

    The mean squares are set equal to their expectations; the standard deviations of few networks or galleries are
    rough, which n, S and K beside them tell. What is judged is the mean over galleries of what `values` hold: of
    absolute disparities, say, not the absolute value of a mean signed difference. With one seed a network the
    seed's component cannot be told from the network's, and `reason` says so.

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
    ms_gallery = n * seeds * np.sum((by_gallery - mean) ** 2) / (k - 1)
    interaction = by_pair - by_network[:, None] - by_gallery + mean
    ms_pair = seeds * np.sum(interaction**2) / ((n - 1) * (k - 1))
    variances = {"gallery": (ms_gallery - ms_pair) / (n * seeds)}
    if seeds == 1:
        variances |= {"network": (ms_network - ms_pair) / k, "identities": ms_pair}
        return _as_deviations(values, variances, ONE_SEED)
    ms_seed = k * np.sum((by_seed - by_network[:, None]) ** 2) / (n * (seeds - 1))
    rest = values - by_seed[:, :, None] - by_pair[:, None, :] + by_network[:, None, None]
    ms_rest = np.sum(rest**2) / (n * (seeds - 1) * (k - 1))
    variances |= {
        "network": (ms_network - ms_seed - ms_pair + ms_rest) / (seeds * k),
        "seed": (ms_seed - ms_rest) / k,
        "identities": (ms_pair - ms_rest) / seeds,
        "residual": ms_rest,
    }
    return _as_deviations(values, variances)


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


def _as_deviations(values: np.ndarray, variances: dict[str, float], reason: str | None = None) -> Reliability:
    # A difference of mean squares is known to about this, so a component below is absent and none is negative by it.
    rounding = ROUNDING * values.var()
    sd = {name: float(np.sqrt(variance)) if variance > rounding else 0.0 for name, variance in variances.items()}
    negative = tuple(name for name in COMPONENTS if variances.get(name, 0.0) < -rounding)
    components = [sd.get(name) for name in COMPONENTS]
    return Reliability(*values.shape, *components, negative, reason)
