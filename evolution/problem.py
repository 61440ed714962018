"""A search space as a pymoo problem: integer vectors in, finite objectives and one constraint out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pymoo.core.problem import Problem

from supernet.genotype import Genotype
from supernet.space import SearchSpace

WORST = float(np.finfo(np.float32).max)
"""What pymoo is told as every objective of an infeasible genotype: finite, since infinities upset crowding."""


class GenotypeProblem(Problem):
    """Minimise the first `objectives` columns of `evaluate(genotypes) -> (n, columns)` over a search space.

    A genotype with an objective that is not finite violates the one constraint (G = 1, else -1): pymoo ranks it behind
    every feasible one.
    """

    def __init__(self, space: SearchSpace, objectives: int, evaluate: Callable[[list[Genotype]], np.ndarray]) -> None:
        self.space = space
        self.sizes = np.array(space.sizes)
        self.evaluate_genotypes = evaluate
        super().__init__(n_var=len(self.sizes), n_obj=objectives, n_ieq_constr=1, xl=0, xu=self.sizes - 1, vtype=int)

    def _evaluate(self, X, out, *args, **kwargs):
        objectives = self.evaluate_genotypes([self.space.decode(vector) for vector in X])[:, : self.n_obj]
        feasible = np.isfinite(objectives).all(axis=1, keepdims=True)
        out["F"] = np.where(feasible, objectives, WORST)
        out["G"] = np.where(feasible, -1.0, 1.0)
