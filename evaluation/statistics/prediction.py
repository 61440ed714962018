"""A costly score predicted from what is known of a network: a small Bayesian linear regression over groups of features.

    y = c + sum over groups g of x_g . u_g + e,   u_g ~ N(0, v_g I),   e ~ N(0, v_e I)

The variances, one a group and one of the noise, are those of the largest evidence (Rasmussen and Williams, "Gaussian
Processes for Machine Learning", equations 2.30 and 5.8) times a prior that keeps them from nothing and from everything
where networks are few. Groups that explain nothing get little weight, so features need no selection.

Shape legend: n networks, G groups of features, k features of a group.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

Features = Mapping[str, np.ndarray]
"""Numbers known of networks, (n, k) by the name of a group; the groups share a prior variance each."""

LEAST_TRAINED = 8
"""Fewer networks say too little to choose variances by."""
FOLDS = 32
"""So many parts are left out in turn, or each network by itself where there are no more."""
PRIOR_VARIANCE, PRIOR_NOISE, PRIOR_SPREAD = 0.5, 0.3, 1.5
"""Medians of the log-normal priors of a group's and of the noise's variance, as shares of the score's own, and the
standard deviation of their logarithms: within a factor of 20 either way."""
Z = 1.96
"""Standard deviations to either end of a 95 % interval."""


@dataclass(frozen=True)
class Prediction:
    """Values (n,) predicted of networks, and the ends (n,) of the 95 % intervals of what training them would show."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Regression:
    """A regression of scores on features; `predict` is what it is for.

    Scores that are all above 0 are regressed by their logarithms: what makes a network worse multiplies its errors, and
    the worst ones would outweigh all others. `variances` (G + 1,) are those of the groups and of the noise.
    """

    groups: tuple["_Group", ...]
    scale: "_Scale"
    targets: np.ndarray
    variances: np.ndarray

    @classmethod
    def fit(cls, features: Features, scores: Sequence[float]) -> Self:
        """Fit the scores (n,) of networks. Raises ValueError for fewer than LEAST_TRAINED, or for numbers that are not
        finite."""
        scores = _checked(features, scores)
        groups, scale = tuple(_Group.of(name, values) for name, values in features.items()), _Scale.of(scores)
        targets = scale.forth(scores)
        return cls(groups, scale, targets, _variances([group.known for group in groups], targets))

    def predict(self, features: Features) -> Prediction:
        """The scores of other networks, by the same groups of features; NaN where one of these is not finite."""
        new = [group.scaled(features[group.name]) for group in self.groups]
        rows = np.all([np.isfinite(values).all(axis=1) for values in new], axis=0)
        mean, deviation = np.full((2, len(rows)), np.nan)
        known, some = [group.known for group in self.groups], [values[rows] for values in new]
        mean[rows], deviation[rows] = _posterior(known, some, self.targets, self.variances)
        return self.scale.back(mean, deviation)


def left_out(features: Features, scores: Sequence[float]) -> Prediction:
    """Every network predicted by a regression on the others, in at most FOLDS parts.

    Only the constant c and the scale of scores are those of all networks: a constant of the others is the lower, the
    higher the score of the one that is left out, which alone would order networks backwards. Raises ValueError as
    `Regression.fit` does.
    """
    scores = _checked(features, scores)
    scale, numbers = _Scale.of(scores), np.arange(len(scores))
    targets, mean, deviation = scale.forth(scores), np.empty(len(scores)), np.empty(len(scores))
    for part in np.array_split(numbers, min(FOLDS, len(scores))):
        others = np.setdiff1d(numbers, part)
        groups = [_Group.of(name, values[others]) for name, values in features.items()]
        known, new = [group.known for group in groups], [group.scaled(features[group.name][part]) for group in groups]
        mean[part], deviation[part] = _posterior(known, new, targets[others], _variances(known, targets[others]))
    return scale.back(mean, deviation)


@dataclass(frozen=True)
class _Scale:
    """Scores as the regression sees them: by their logarithms where all are positive, with mean 0 and deviation 1."""

    logarithmic: bool
    mean: float
    deviation: float

    @classmethod
    def of(cls, scores: np.ndarray) -> Self:
        logarithmic = bool((scores > 0).all())
        values = np.log(scores) if logarithmic else scores
        return cls(logarithmic, float(values.mean()), float(values.std()) or 1.0)

    def forth(self, scores: np.ndarray) -> np.ndarray:
        return ((np.log(scores) if self.logarithmic else scores) - self.mean) / self.deviation

    def back(self, mean: np.ndarray, deviation: np.ndarray) -> Prediction:
        ends = (self.mean + self.deviation * (mean + sign * Z * deviation) for sign in (0, -1, 1))
        return Prediction(*(np.exp(end) if self.logarithmic else end for end in ends))


@dataclass(frozen=True)
class _Group:
    """A group's features of the networks that are `known` (n, k): columns of mean 0, rows of mean square length 1."""

    name: str
    known: np.ndarray
    mean: np.ndarray
    unit: float

    @classmethod
    def of(cls, name: str, values: np.ndarray) -> Self:
        mean = values.mean(axis=0)
        unit = float(np.sqrt(((values - mean) ** 2).sum(axis=1).mean())) or 1.0
        return cls(name, (values - mean) / unit, mean, unit)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        return (values - self.mean) / self.unit


def _variances(groups: Sequence[np.ndarray], targets: np.ndarray) -> np.ndarray:
    """The variances (G + 1,) of groups of features (n, k) and of the noise, of the largest evidence times prior."""
    kernels = np.stack([*(group @ group.T for group in groups), np.eye(len(targets))])
    middle = np.log([PRIOR_VARIANCE] * len(groups) + [PRIOR_NOISE])

    def loss(logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = np.exp(logarithms)[:, None, None] * kernels
        factor = cho_factor(scaled.sum(axis=0), lower=True)
        weights, off = cho_solve(factor, targets), (logarithms - middle) / PRIOR_SPREAD
        inverse = cho_solve(factor, np.eye(len(targets)))
        value = 0.5 * targets @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * off @ off
        slope = 0.5 * np.tensordot(scaled, inverse - np.outer(weights, weights), axes=2) + off / PRIOR_SPREAD
        return float(value), slope

    found = minimize(loss, middle, jac=True, method="L-BFGS-B", bounds=[(-12, 6)] * len(middle))
    return np.exp(found.x)


def _posterior(
    known: Sequence[np.ndarray], new: Sequence[np.ndarray], targets: np.ndarray, variances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, noise included, of new networks (m,) by those that are known (n,)."""
    *of_groups, noise = variances
    covariance = sum(v * group @ group.T for v, group in zip(of_groups, known, strict=True))
    shared = sum(v * other @ group.T for v, other, group in zip(of_groups, new, known, strict=True))
    prior = sum(v * (other**2).sum(axis=1) for v, other in zip(of_groups, new, strict=True))
    factor = cho_factor(covariance + noise * np.eye(len(targets)), lower=True)
    explained = (shared * cho_solve(factor, shared.T).T).sum(axis=1)
    return shared @ cho_solve(factor, targets), np.sqrt(np.maximum(prior - explained, 0) + noise)


def _checked(features: Features, scores: Sequence[float]) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if len(scores) < LEAST_TRAINED:
        raise ValueError(f"a regression needs {LEAST_TRAINED} trained networks or more, got {len(scores)}")
    for name, values in (("scores", scores[:, None]), *features.items()):
        if values.ndim != 2 or len(values) != len(scores) or not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite numbers of {len(scores)} networks")
    return scores
