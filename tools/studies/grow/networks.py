"""Structures that grow, as networks of a family whose names say depth and width: mix-d3-w56/0-1-2:softmax."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dualfair.evaluation.cost import parameters
from dualfair.evolution.growing import CONVOLUTION, LARGE, SEPARABLE, SMALL, GrowthOptions, Structure
from dualfair.supernet.families.sized import SizedGenotype
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import SIZED, Skeleton, sized_skeleton


@dataclass(frozen=True)
class SizedNetwork:
    """A network whose depth and width are part of its name."""

    skeleton: Skeleton
    genotype: Genotype

    @classmethod
    def parse(cls, text: str, image_size: int) -> Self:
        """The network that prints as `text`. Raises ValueError where there is none."""
        named = SizedGenotype.parse(text)
        return cls(sized_skeleton(named.skeleton).resized(image_size), named.genotype)

    @property
    def structure(self) -> Structure:
        """Operations and kernels, layer by layer."""
        chosen = [self.skeleton.operations[code] for (code,) in self.genotype.blocks]
        operations = tuple(SEPARABLE if layer.separable else CONVOLUTION for layer in chosen)
        return Structure(self.skeleton.width, operations, tuple(layer.kernel for layer in chosen))

    @property
    def parameters(self) -> int:
        """Learnt weights, without those of classes."""
        return parameters(self.genotype, self.skeleton)

    def __str__(self) -> str:
        return f"{self.skeleton.name}/{self.genotype}"


@dataclass(frozen=True)
class SizedFamily:
    """All networks of a family of `skeleton.SIZED` with one head, for images of one size."""

    name: str
    head: str
    image_size: int

    def network(self, structure: Structure) -> SizedNetwork:
        """The network of a structure. Raises ValueError for a depth that the family does not have."""
        skeleton = SIZED[self.name](structure.depth, structure.width, self.image_size)
        names = [operation.name for operation in skeleton.operations]
        each = zip(structure.operations, structure.kernels, strict=True)
        codes = tuple((names.index(f"{operation}{kernel}"),) for operation, kernel in each)
        return SizedNetwork(skeleton, Genotype(codes, self.head))

    def parameters(self, structure: Structure) -> int:
        """Learnt weights of the network of a structure, without those of classes."""
        return self.network(structure).parameters


def random_structure(growth: GrowthOptions, rng: np.random.Generator) -> Structure:
    """A structure within the bounds, each of its depth and width, and where layers are searched their operations and
    kernels, drawn evenly."""
    depth = int(rng.integers(growth.least_depth, growth.most_depth + 1))
    width = int(rng.choice(range(growth.most_width, growth.least_width - 1, -growth.width_step)))
    if not growth.layer_epochs:
        return Structure.plain(depth, width, growth.operation)
    operations, kernels = rng.integers(2, size=(2, depth))
    return Structure(
        width,
        tuple((SEPARABLE, CONVOLUTION)[code] for code in operations),
        tuple((SMALL, LARGE)[code] for code in kernels),
    )
