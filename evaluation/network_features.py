"""What is known of a network without training it, as numbers that a costly score can be predicted from.

Shape legend: n networks, O operations of the skeleton, T values of their traits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass

import numpy as np

from dualfair.evaluation.cost import macs, parameters
from dualfair.evaluation.statistics.prediction import Features
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.operations import Operation
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace

INHERITED = "inherited"
"""The group of features that holds the inherited score."""


def network_features(genotypes: Sequence[Genotype], space: SearchSpace, skeleton: Skeleton) -> dict[str, np.ndarray]:
    """Numbers of networks, (n, k) by group.

    `operations`: how often each stands in the network, (n, O); `choices`: 1 for what was chosen in each choice block of
    the space but the head's; `traits`: 1 for every value of a trait that the operation at a position has, such as its
    kernel, left out where operations have none; `head`: 1 for the network's, left out where there is one; `cost`:
    logarithms of parameters and MACs. Raises ValueError for a genotype outside the space.
    """
    vectors = np.array([space.encode(genotype) for genotype in genotypes]).reshape(len(genotypes), len(space.sizes))
    codes = [[code for block in genotype.blocks for code in block] for genotype in genotypes]
    # The choice block of the head sets no gene.
    of_operations = np.array([bool(genes) for genes in space.genes])
    sizes = np.array(space.sizes)
    features = {
        "operations": _table([np.bincount(row, minlength=len(skeleton.operations)) for row in codes]),
        "choices": _one_hot(vectors[:, of_operations], sizes[of_operations]),
        "cost": np.log(_table([[cost(genotype, skeleton) for cost in (parameters, macs)] for genotype in genotypes])),
    }
    traits = operation_traits(skeleton.operations)
    if traits.size:
        features["traits"] = _table([traits[row].ravel() for row in codes])
    heads = {"head": _one_hot(vectors[:, ~of_operations], sizes[~of_operations])} if len(space.heads) > 1 else {}
    return features | heads


def operation_traits(operations: Sequence[Operation]) -> np.ndarray:
    """Values of traits as columns, 1 where an operation has it, (O, T): words and numbers in the fields of dataclasses
    but their names, those that some operations have and others have not."""
    of_each = [_traits(operation) if is_dataclass(operation) else set() for operation in operations]
    told = sorted(set().union(*of_each) - set.intersection(*of_each), key=str)
    return np.array([[float(value in own) for value in told] for own in of_each])


def _traits(operation: Operation) -> set[tuple[str, str | float]]:
    values = {field.name: getattr(operation, field.name) for field in fields(operation) if field.name != "name"}
    return {(name, value) for name, value in values.items() if isinstance(value, (str, int, float))}


def with_inherited(scores: np.ndarray, features: Mapping[str, np.ndarray]) -> Features:
    """Features (n, k) by group, with the inherited scores (n,) as a group of their own."""
    return {INHERITED: np.asarray(scores, dtype=float)[:, None], **features}


def _table(rows: Sequence[Sequence[float]]) -> np.ndarray:
    """Rows (n, k) as numbers, also of no network."""
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1 if len(rows) else 0)


def _one_hot(numbers: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Choices (n, blocks) as 0 and 1, (n, sum of the sizes)."""
    columns = [numbers[:, [block]] == np.arange(size) for block, size in enumerate(sizes)]
    return np.hstack([np.zeros((len(numbers), 0)), *columns])
