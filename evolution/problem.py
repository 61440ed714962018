"""A search space as a pymoo problem: integer vectors in, finite objectives and constraints out."""

from collections.abc import Callable

import numpy as np
from pymoo.core.problem import Problem

from dualfair.evolution.constraints import Constraints
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

WORST = float(np.finfo(np.float32).max)
"""What pymoo is told as every objective of an infeasible genotype: finite, since infinities upset crowding."""


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
