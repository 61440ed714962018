"""Limits on what a network may cost: which vectors of a space keep them, and how such vectors are found."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from dualfair.evolution.archive import Evaluation
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

Vector = tuple[int, ...]

Costs = Callable[[Sequence[Genotype]], np.ndarray]
"""Genotypes to float64 (n, k): each of their k costs over its limit, minus 1. A limit is kept by 0 or less.

NaN stands for a cost that was not looked at because the genotype breaks another limit.
"""

ENUMERABLE = 5_000
"""The largest space of which every vector is looked at before there are too few that keep the limits."""

ROUNDS = 20
"""How often as many random vectors as are wanted are drawn, and how often descending may fail to get on."""


class NothingFeasible(ValueError):
    """No genotype that was looked at keeps all limits."""


class Constraints:
    """Which genotypes of a space keep the limits of `costs`, each of which is asked about once.

    `costs` has to give a genotype the same values whenever it is asked, or a run cannot be repeated. `too_tight` says
    that no genotype keeps the limits, by the least costs (k,) that were seen, over limit, minus 1: each by itself, they
    need not be of one genotype, and NaN for a cost that was never looked at.
    """

    def __init__(
        self, space: SearchSpace, costs: Costs, too_tight: Callable[[Sequence[float]], str] | None = None
    ) -> None:
        self.space, self._costs, self._too_tight = space, costs, too_tight or self._in_shares
        self._costs_by_genotype: dict[Genotype, np.ndarray] = {}

    def costs(self, genotypes: Sequence[Genotype]) -> np.ndarray:
        """What `Costs` says of genotypes, float64 (n, k). Raises ValueError when it says anything else."""
        missing = [genotype for genotype in dict.fromkeys(genotypes) if genotype not in self._costs_by_genotype]
        if missing:
            values = np.asarray(self._costs(missing), dtype=np.float64)
            if values.ndim != 2 or len(values) != len(missing) or not values.shape[1]:
                raise ValueError(
                    f"costs returned shape {values.shape} for {len(missing)} genotypes; expected a row a genotype, "
                    "and a column a limit: cost / limit - 1"
                )
            unknown = np.isnan(values).any(axis=1) & ~(values > 0).any(axis=1)
            if unknown.any():
                raise ValueError(
                    f"costs returned NaN for genotype '{missing[int(unknown.argmax())]}', which breaks no other limit; "
                    "expected a number: cost / limit - 1"
                )
            self._costs_by_genotype.update(zip(missing, values, strict=True))
        return np.array([self._costs_by_genotype[genotype] for genotype in genotypes])

    def violations(self, X: np.ndarray) -> np.ndarray:
        """How far vectors (n, choice blocks) are beyond their limits: float64 (n,), 0 for those that keep all."""
        if not len(X):
            return np.empty(0)
        return np.nansum(np.maximum(self.costs([self.space.decode(vector) for vector in X]), 0), axis=1)

    def keeps(self, genotype: Genotype) -> bool:
        """Whether a genotype keeps all limits."""
        return bool((self.costs([genotype]) <= 0).all())

    def draw(self, n: int, excluded: set[Vector], rng: np.random.Generator) -> np.ndarray:
        """At most `n` different vectors (m, choice blocks) that keep the limits, none of them in `excluded`.

        They are uniform over those vectors of a space of at most ENUMERABLE, where fewer than `n` are all there are.
        In a larger one they are uniform too while ROUNDS x `n` random vectors hold enough. Where they do not, the
        least violating ones go on from there, one choice at a time, until enough are found or nothing gets better.
        """
        vectors: dict[Vector, None] = {}
        if n > 0:
            for X in self._enumerated(n, rng) if self.space.size <= ENUMERABLE else self._descending(n, rng):
                feasible = X[self.violations(X) <= 0]
                vectors.update((vector, None) for vector in map(tuple, feasible.tolist()) if vector not in excluded)
                if len(vectors) >= n:
                    break
        return np.array(list(vectors)[:n], dtype=np.int64).reshape(-1, len(self.space.sizes))

    def nothing_feasible(self) -> NothingFeasible:
        """The error for a space in which no genotype that keeps the limits was found."""
        # Where every one is NaN fmin gives NaN, and no warning.
        return NothingFeasible(self._too_tight(np.fmin.reduce(list(self._costs_by_genotype.values())).tolist()))

    def _in_shares(self, smallest: Sequence[float]) -> str:
        shown = ", ".join(f"{1 + value:.3g}" for value in smallest)
        return f"no genotype of space {self.space.name} keeps the limits: the smallest costs seen are {shown} of them"

    def _enumerated(self, n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """The whole space in random order, `n` vectors at a time."""
        vectors = np.array(list(itertools.product(*map(range, self.space.sizes))))
        vectors = vectors[rng.permutation(len(vectors))]
        yield from (vectors[start : start + n] for start in range(0, len(vectors), n))

    def _descending(self, n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Random vectors, then the neighbours of the least violating ones, until those no longer get better."""
        sizes = np.array(self.space.sizes)
        pool: dict[Vector, None] = {}
        for _ in range(ROUNDS):
            X = rng.integers(0, sizes, size=(n, len(sizes)))
            pool.update(dict.fromkeys(map(tuple, X.tolist())))
            yield X
        idle, last_violation, last_feasible = 0, np.inf, 0
        while idle < ROUNDS:
            X = np.array(list(pool))
            violations = self.violations(X)
            # Equal ones in random order, so that the search does not stay beside the first that kept the limits.
            foremost = np.lexsort((rng.random(len(X)), violations))[:n]
            violation, feasible = violations[foremost].sum(), int((violations <= 0).sum())
            idle = 0 if violation < last_violation or feasible > last_feasible else idle + 1
            last_violation, last_feasible = violation, feasible
            pool = dict.fromkeys(map(tuple, X[violations <= 0].tolist()))
            pool.update(dict.fromkeys(map(tuple, X[foremost].tolist())))
            children = X[foremost]
            redrawn = rng.integers(len(sizes), size=len(children))
            children[np.arange(len(children)), redrawn] = rng.integers(0, sizes[redrawn])
            pool.update(dict.fromkeys(map(tuple, children.tolist())))
            yield children


def within(evaluations: Iterable[Evaluation], constraints: Constraints | None) -> tuple[Evaluation, ...]:
    """The evaluations of genotypes that keep limits, in order; all of them for None."""
    return tuple(e for e in evaluations if constraints is None or constraints.keeps(e.genotype))


def satisfying(genotypes: Iterable[Genotype], constraints: Constraints | None) -> list[Genotype]:
    """The genotypes that keep limits, in order. Raises NothingFeasible when none does."""
    genotypes = list(genotypes)
    if constraints is None:
        return genotypes
    feasible = [genotype for genotype in genotypes if constraints.keeps(genotype)]
    if not feasible:
        raise constraints.nothing_feasible()
    return feasible
