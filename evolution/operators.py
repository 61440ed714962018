"""The border to pymoo: a search space as its problem, and operators on integer vectors whose numbers are names.

Nothing here treats a choice as greater than another. A vector X has one number a choice block; `problem.sizes` (choice
blocks,) says how many choices each block has. Together the operators ask for every vector at most once a run:
`proposed` is the set of vectors handed out so far, shared by sampling and mating, so that every evaluation is spent on
a distinct genotype. With `constraints` they ask for vectors that keep them only: the others cost no evaluation.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mating import Mating
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.sampling import Sampling

from dualfair.evolution.constraints import Constraints, Vector
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

WORST = float(np.finfo(np.float32).max)
"""What pymoo is told as every objective of an infeasible genotype: finite, since infinities upset crowding."""

MATING_ROUNDS = 20
"""How often children that are turned away are replaced by other children, before random vectors fill up."""


class GenotypeProblem(Problem):
    """Minimise the first `objectives` columns of `evaluate(genotypes) -> (n, columns)` over a search space.

    A genotype with an objective that is not finite violates the first constraint (G = 1, else -1): pymoo ranks it
    behind every feasible one. The second constraint is how far a genotype is beyond the `constraints`, 0 where it keeps
    them or there are none; one that does not is never evaluated.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: int,
        evaluate: Callable[[list[Genotype]], np.ndarray],
        constraints: Constraints | None = None,
    ) -> None:
        self.space = space
        self.sizes = np.array(space.sizes)
        self.evaluate_genotypes = evaluate
        self.constraints = constraints
        super().__init__(n_var=len(self.sizes), n_obj=objectives, n_ieq_constr=2, xl=0, xu=self.sizes - 1, vtype=int)

    def _evaluate(self, X, out, *args, **kwargs):
        violations = np.zeros(len(X)) if self.constraints is None else self.constraints.violations(X)
        feasible = violations <= 0
        objectives = np.full((len(X), self.n_obj), WORST)
        finite = np.ones(len(X), dtype=bool)
        if feasible.any():
            values = self.evaluate_genotypes([self.space.decode(vector) for vector in X[feasible]])[:, : self.n_obj]
            finite[feasible] = np.isfinite(values).all(axis=1)
            objectives[feasible] = np.where(finite[feasible, None], values, WORST)
        out["F"] = objectives
        out["G"] = np.stack([np.where(finite, -1.0, 1.0), violations], axis=1)


def draw_distinct(sizes: np.ndarray, n: int, excluded: set[Vector], rng: np.random.Generator) -> np.ndarray:
    """`n` different vectors (n, choice blocks) not in `excluded`, uniformly; all that are left when fewer remain."""
    total = math.prod(sizes.tolist())
    if total <= 2 * (len(excluded) + n):
        remaining = [vector for vector in itertools.product(*map(range, sizes.tolist())) if vector not in excluded]
        drawn = [remaining[place] for place in rng.permutation(len(remaining))[:n]]
    else:
        # At least half of the space is free, so a draw succeeds at least every other time.
        vectors: dict[Vector, None] = {}
        while len(vectors) < n:
            vector = tuple(rng.integers(0, sizes).tolist())
            if vector not in excluded:
                vectors[vector] = None
        drawn = list(vectors)
    return np.array(drawn, dtype=np.int64).reshape(-1, len(sizes))


class DistinctSampling(Sampling):
    """The first generation: vectors `initial_population` (n, choice blocks), then other ones, uniformly at random."""

    def __init__(
        self, proposed: set[Vector], initial_population: np.ndarray, constraints: Constraints | None = None
    ) -> None:
        super().__init__()
        self.proposed, self.initial_population, self.constraints = proposed, initial_population, constraints

    def _do(self, problem, n_samples, *args, random_state, **kwargs):
        """Raises NothingFeasible when no vector keeps the limits."""
        initial = self.initial_population
        self.proposed.update(_vectors(initial))
        X = _draw(problem.sizes, n_samples - len(initial), self.proposed, random_state, self.constraints)
        self.proposed.update(_vectors(X))
        if self.constraints is not None and not self.proposed:
            raise self.constraints.nothing_feasible()
        return np.concatenate([initial, X])


class UniformCrossover(Crossover):
    """Two parents, two children: every choice block is swapped between them with probability 1/2."""

    def __init__(self, rate: float) -> None:
        super().__init__(n_parents=2, n_offsprings=2, prob=rate)

    def _do(self, problem, X, *args, random_state, **kwargs):
        swapped = random_state.random(X.shape[1:]) < 0.5
        return np.where(swapped, X[::-1], X)


class CategoricalMutation(Mutation):
    """Every choice block is redrawn with probability `rate`, uniformly among its other choices.

    A child may stay as it is; `NotProposedBefore` then turns it away unless it is an unseen one.
    """

    def __init__(self, rate: float) -> None:
        super().__init__(prob=1.0)
        self.rate = rate

    def _do(self, problem, X, *args, random_state, **kwargs):
        redrawn = (random_state.random(X.shape) < self.rate) & (problem.sizes > 1)
        steps = random_state.integers(1, np.maximum(problem.sizes, 2), size=X.shape)
        return np.where(redrawn, (X + steps) % problem.sizes, X)


class NotProposedBefore(DuplicateElimination):
    """Keeps the vectors that were never asked for in this run and keep the limits, each of them once."""

    def __init__(self, proposed: set[Vector], constraints: Constraints | None = None) -> None:
        super().__init__()
        self.proposed, self.constraints = proposed, constraints

    def do(self, pop, *others, **kwargs):
        taken = {vector for other in others if len(other) for vector in _vectors(other.get("X"))}
        keep = np.zeros(len(pop), dtype=bool)
        for place, vector in enumerate(_vectors(pop.get("X"))):
            keep[place] = vector not in self.proposed and vector not in taken
            taken.add(vector)
        if self.constraints is not None:
            keep[keep] = self.constraints.violations(pop[keep].get("X")) <= 0
        return pop[keep]


class DistinctMating(Mating):
    """Selection, crossover and mutation until there are enough children that `NotProposedBefore` keeps.

    Parents are the better half of the population: in the few generations that can be paid for, the rest of a random
    first generation would otherwise breed for most of them. After `MATING_ROUNDS` rounds uniformly random vectors fill
    up, so that a generation is full until the space is exhausted. With `siblings` above 1 mating makes only one child
    in so many; the others are like it in the first choice blocks (see `sibling`), so that a scorer which runs common
    beginnings once has less to do.
    """

    def __init__(
        self,
        selection,
        crossover,
        mutation,
        proposed: set[Vector],
        siblings: int = 1,
        constraints: Constraints | None = None,
    ) -> None:
        super().__init__(
            selection,
            crossover,
            mutation,
            eliminate_duplicates=NotProposedBefore(proposed, constraints),
            n_max_iterations=MATING_ROUNDS,
        )
        self.proposed, self.constraints = proposed, constraints
        self.siblings = siblings

    def do(self, problem, pop, n_offsprings, random_state=None, **kwargs):
        pop = better_half(pop)
        broods = -(-n_offsprings // self.siblings)
        children = super().do(problem, pop, broods, random_state=random_state, **kwargs)
        if len(children):
            self.proposed.update(_vectors(children.get("X")))
            siblings = self._siblings(children.get("X"), pop.get("X"), n_offsprings, problem.sizes, random_state)
            children = Population.merge(children, Population.new("X", siblings)) if len(siblings) else children
        filling = _draw(problem.sizes, n_offsprings - len(children), self.proposed, random_state, self.constraints)
        self.proposed.update(_vectors(filling))
        return Population.merge(children, Population.new("X", filling)) if len(filling) else children

    def _siblings(
        self, children: np.ndarray, parents: np.ndarray, n_offsprings: int, sizes: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Siblings of the children that were never asked for, in equal numbers as far as they can be found."""
        siblings: list[Vector] = []
        for child in np.repeat(children, self.siblings - 1, axis=0)[: n_offsprings - len(children)]:
            for _ in range(MATING_ROUNDS):
                vector = tuple(sibling(child, parents[rng.integers(len(parents))], sizes, rng).tolist())
                if vector not in self.proposed and self._feasible(vector):
                    self.proposed.add(vector)
                    siblings.append(vector)
                    break
        return np.array(siblings, dtype=np.int64).reshape(-1, children.shape[1])

    def _feasible(self, vector: Vector) -> bool:
        return self.constraints is None or not self.constraints.violations(np.array([vector]))[0]


def better_half(population: Population) -> Population:
    """Half of a population of NSGA-II, at least two: the foremost fronts, of the last one those least crowded.

    Infeasible individuals, which are in no front, come last.
    """
    # Ranks and crowding distances of infeasible individuals are None, as floats NaN, and those sort last.
    rank, crowding = (population.get(name).astype(float) for name in ("rank", "crowding"))
    return population[np.lexsort((-crowding, rank))[: max(2, -(-len(population) // 2))]]


def sibling(child: np.ndarray, parent: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A vector like `child` up to a random place behind its first third.

    From there on it follows `parent`, or has one choice redrawn, either with probability 1/2.
    """
    changed = child.copy()
    cut = rng.integers(len(child) // 3, len(child))
    if rng.random() < 0.5:
        changed[cut:] = parent[cut:]
    else:
        place = rng.integers(cut, len(child))
        changed[place] = rng.integers(sizes[place])
    return changed


def _draw(
    sizes: np.ndarray, n: int, excluded: set[Vector], rng: np.random.Generator, constraints: Constraints | None
) -> np.ndarray:
    return draw_distinct(sizes, n, excluded, rng) if constraints is None else constraints.draw(n, excluded, rng)


def _vectors(X: np.ndarray) -> list[Vector]:
    return [tuple(row) for row in np.asarray(X).tolist()]
