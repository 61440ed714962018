"""Which configuration to try next: Bayesian optimisation of several objectives by random scalarisation.

Knowles, "ParEGO" (IEEE Trans. Evolutionary Computation 2006): every proposal weighs the objectives anew, models the
weighted cost of what was tried, and takes the configuration from which it expects the largest improvement. As in SMAC
(Hutter et al. 2011) weights are uniform random numbers, and some proposals are random. The model is a Gaussian process
on all budgets together: what was learnt with few epochs counts for many as far as the evidence says.

Shape legend: n results, q configurations, d dimensions, m objectives.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import log_ndtr
from scipy.stats import norm

from dualfair.evolution.configurations import Categorical, ConfigurationSpace

INITIAL = 10
"""Configurations that are drawn at random before a model is asked."""
RANDOM_SHARE = 0.2
"""Share of the later ones that are random too, so that a wrong model cannot hold the search."""
RHO = 0.05
"""Share of the weighted sum that is added to the largest weighted objective (Knowles 2006, equation 2)."""
_CANDIDATES, _STARTS, _ROUNDS = 1000, 10, 10
"""Random candidates; the best of them from which neighbours are climbed to, and how often at most."""
_MEAN_VARIANCE = 10.0
"""Prior variance of the mean and of its slope over budgets, for costs of variance 1: next to no prior."""


@dataclass(frozen=True, eq=False)
class Results:
    """What was tried: `rows` (n, d) of a space, `budgets` (n,) from 0 (the smallest) to 1, and `objectives` (n, m),
    minimised; those of a failed training are not finite."""

    rows: np.ndarray
    budgets: np.ndarray
    objectives: np.ndarray


def propose(
    space: ConfigurationSpace, results: Results, running: np.ndarray, number: int, rng: np.random.Generator
) -> tuple[np.ndarray, bool]:
    """The row (d,) of configuration `number`, and whether a model chose it.

    It is a function of what was seen and of `rng`. The first ones are random, and one in five of the others; so is
    every one as long as nothing finite was seen. `running` rows (q, d) are tried by others right now: the model takes
    for granted that they end as it expects.
    """
    at_random = space.draw(rng, 1)[0]
    if number < INITIAL or not np.isfinite(results.objectives).all(axis=1).any() or rng.random() < RANDOM_SHARE:
        return at_random, False
    weights = rng.random(results.objectives.shape[1])
    cost = scalarised(results.objectives, weights / weights.sum())
    model = Surrogate.fitted(space, results.rows, results.budgets, cost).believing(running)
    best = model.expected(results.rows)[0].min()
    tried = {row.tobytes() for row in (*results.rows, *running)}

    def improvement(rows: np.ndarray) -> np.ndarray:
        seen = np.array([row.tobytes() in tried for row in rows])
        return np.where(seen, -np.inf, log_expected_improvement(*model.expected(rows), best))

    candidates = space.draw(rng, _CANDIDATES)
    candidates = np.concatenate(
        [candidates, *(space.neighbours(row, rng) for row in results.rows[np.argsort(cost)[:_STARTS]])]
    )
    values = improvement(candidates)
    first = np.argsort(-values, kind="stable")[:_STARTS]
    peaks, heights = candidates[first], values[first]
    for place, row in enumerate(peaks):
        for _ in range(_ROUNDS):
            around = space.neighbours(row, rng)
            above = improvement(around) if len(around) else np.array([-np.inf])
            if above.max() <= heights[place]:
                break
            row, heights[place] = around[above.argmax()], above.max()
        peaks[place] = row
    return (peaks[heights.argmax()], True) if np.isfinite(heights.max()) else (at_random, False)


def scalarised(objectives: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The cost (n,) of objectives (n, m): the augmented Tchebycheff function of Knowles 2006, equation 2.

    Every objective goes from 0, the smallest of its finite values, to 1, the largest; a constant one is 0 throughout,
    and what is not finite counts as the largest.
    """
    finite = np.where(np.isfinite(objectives), objectives, np.nan)
    low, high = np.nanmin(finite, axis=0), np.nanmax(finite, axis=0)
    scaled = np.nan_to_num((finite - low) / np.where(high > low, high - low, 1), nan=1.0)
    return (weights * scaled).max(axis=1) + RHO * scaled @ weights


def log_expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """The logarithm of how far below `best` a normal cost is expected to be, where above counts 0.

    >>> values = log_expected_improvement(np.array([0.0, 1.0]), np.array([1.0, 1.0]), best=0.0)
    >>> np.exp(values).round(4).tolist()
    [0.3989, 0.0833]
    """
    z = (best - mean) / deviation
    # phi(z) + z Phi(z) = phi(z) (1 + z Phi(z)/phi(z)), whose second factor nears 1/z^2 far below 0.
    ratio = np.exp(np.clip(log_ndtr(z) - norm.logpdf(z), None, 700))
    factor = np.where(z < -30, 1 / np.maximum(z * z, 1), np.maximum(1 + z * ratio, 1e-300))
    return np.log(deviation) + norm.logpdf(z) + np.log(factor)


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A Gaussian process of a cost over rows and budgets.

    Its covariance is exp(-sum of w [choices differ] - sum of (positions' difference / l)^2 / 2) by dimension, a group
    of dimensions sharing one w by the share of it that differs. What a condition rules out is a choice of its own, or
    a position in the middle. Budgets count as one more position, and the mean may rise or fall with them.
    """

    space: ConfigurationSpace
    rows: np.ndarray
    budgets: np.ndarray
    cost: np.ndarray
    logarithms: np.ndarray
    """Logarithms of the signal's variance, the noise's, and the weights and length scales as in `_terms`."""
    centre: float
    spread: float

    @classmethod
    def fitted(cls, space: ConfigurationSpace, rows: np.ndarray, budgets: np.ndarray, cost: np.ndarray) -> "Surrogate":
        """The process whose hyper-parameters are the most probable for these costs (n,), standardised."""
        centre, spread = float(cost.mean()), float(cost.std()) or 1.0
        standard = (cost - centre) / spread
        terms = _terms(space, rows, budgets, rows, budgets)
        means, deviations = _prior(space)

        def loss(logarithms: np.ndarray) -> float:
            covariance = _covariance(logarithms, terms, budgets, budgets)
            covariance[np.diag_indices_from(covariance)] += np.exp(logarithms[1])
            lower = cholesky(covariance, lower=True, check_finite=False)
            residual = solve_triangular(lower, standard, lower=True, check_finite=False)
            likelihood = residual @ residual / 2 + np.log(np.diag(lower)).sum()
            return float(likelihood + (((logarithms - means) / deviations) ** 2).sum() / 2)

        bounds = np.stack([means - 4 * deviations, means + 4 * deviations], axis=1)
        found = minimize(loss, means, method="L-BFGS-B", bounds=bounds, options={"maxiter": 50})
        return cls(space, rows, budgets, standard, found.x, centre, spread)

    def believing(self, rows: np.ndarray) -> "Surrogate":
        """The same process after it saw what it expects of `rows` (q, d) at the largest budget."""
        if not len(rows):
            return self
        expected = (self.expected(rows)[0] - self.centre) / self.spread
        more = np.concatenate([self.rows, rows]), np.concatenate([self.budgets, np.ones(len(rows))])
        cost = np.concatenate([self.cost, expected])
        return Surrogate(self.space, *more, cost, self.logarithms, self.centre, self.spread)

    @cached_property
    def _solved(self) -> tuple[np.ndarray, np.ndarray]:
        terms = _terms(self.space, self.rows, self.budgets, self.rows, self.budgets)
        covariance = _covariance(self.logarithms, terms, self.budgets, self.budgets)
        covariance[np.diag_indices_from(covariance)] += np.exp(self.logarithms[1])
        lower = cholesky(covariance, lower=True)
        return lower, cho_solve((lower, True), self.cost)

    def expected(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (q,) of the cost of rows (q, d) at the largest budget, without noise."""
        lower, weights = self._solved
        whole = np.ones(len(rows))
        terms = _terms(self.space, rows, whole, self.rows, self.budgets)
        covariance = _covariance(self.logarithms, terms, whole, self.budgets)
        explained = (solve_triangular(lower, covariance.T, lower=True) ** 2).sum(axis=0)
        variance = np.exp(self.logarithms[0]) + 2 * _MEAN_VARIANCE - explained
        deviation = np.sqrt(np.maximum(variance, 1e-12))
        return covariance @ weights * self.spread + self.centre, deviation * self.spread


def _groups(space: ConfigurationSpace) -> list[list[int]]:
    """The places of the dimensions that share a weight; positions have a length scale each."""
    groups: dict[str, list[int]] = {}
    for place, dimension in enumerate(space.dimensions):
        shared = dimension.group if isinstance(dimension, Categorical) else ""
        groups.setdefault(shared or f"\0{dimension.name}", []).append(place)
    return [*groups.values()]


def _terms(
    space: ConfigurationSpace, rows: np.ndarray, budgets: np.ndarray, others: np.ndarray, their_budgets: np.ndarray
) -> np.ndarray:
    """What weights are multiplied by, (groups + 1, q, n): shares of choices that differ, halves of squared differences
    of positions, and last that of budgets."""
    # What a condition rules out stands in the middle: to leave it out of a pair would leave no covariance.
    rows, others = np.nan_to_num(rows, nan=0.5), np.nan_to_num(others, nan=0.5)
    terms = []
    for places in _groups(space):
        differences = rows[:, None, places] - others[None, :, places]
        if isinstance(space.dimensions[places[0]], Categorical):
            terms.append((differences != 0).mean(axis=2))
        else:
            terms.append(differences[:, :, 0] ** 2 / 2)
    return np.stack([*terms, (budgets[:, None] - their_budgets[None]) ** 2 / 2])


def _prior(space: ConfigurationSpace) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of the logarithms: of the signal's variance, the noise's, and the weights."""
    categorical = [isinstance(space.dimensions[places[0]], Categorical) for places in _groups(space)]
    weights = [0.0 if each else np.log(1 / 0.5**2) for each in (*categorical, False)]
    return np.array([0.0, np.log(0.1), *weights]), np.array([1.0, 1.0, *np.ones(len(weights))])


def _covariance(logarithms: np.ndarray, terms: np.ndarray, budgets: np.ndarray, others: np.ndarray) -> np.ndarray:
    signal = np.exp(logarithms[0] - np.tensordot(np.exp(logarithms[2:]), terms, axes=1))
    return signal + _MEAN_VARIANCE * (1 + np.outer(budgets, others))
