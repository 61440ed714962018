"""Structures that grow, as networks of the family `mix`, and as text: mix-d21-w56/0-1-2:softmax."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dualfair.evaluation.cost import parameters
from dualfair.evolution.growing import CONVOLUTION, LARGE, SEPARABLE, SMALL, GrowthOptions, Parameters, Structure
from dualfair.supernet.families.mix import MIX_OPERATIONS, MixSkeleton, mix_of_name, mix_skeleton
from dualfair.supernet.genotype import Genotype

_NAMES = tuple(operation.name for operation in MIX_OPERATIONS)


@dataclass(frozen=True)
class SizedNetwork:
    """A network whose depth and width are part of its name."""

    skeleton: MixSkeleton
    genotype: Genotype

    @classmethod
    def of(cls, structure: Structure, head: str, image_size: int) -> Self:
        """The network of a structure."""
        each = zip(structure.operations, structure.kernels, strict=True)
        codes = tuple((_NAMES.index(f"{operation}{kernel}"),) for operation, kernel in each)
        return cls(mix_skeleton(structure.depth, structure.width, image_size), Genotype(codes, head))

    @classmethod
    def parse(cls, text: str, image_size: int) -> Self:
        """The network that prints as `text`. Raises ValueError where there is none."""
        name, slash, codes = text.partition("/")
        skeleton = mix_of_name(name)
        if skeleton is None or not slash:
            raise ValueError(f"network {text[:60]!r}: expected such as mix-d21-w56/0:softmax")
        skeleton = skeleton.resized(image_size)
        return cls(skeleton, skeleton.fit(codes))

    @property
    def structure(self) -> Structure:
        """Operations and kernels, layer by layer."""
        chosen = [MIX_OPERATIONS[code] for (code,) in self.genotype.blocks]
        operations = tuple(SEPARABLE if layer.separable else CONVOLUTION for layer in chosen)
        return Structure(self.skeleton.width, operations, tuple(layer.kernel for layer in chosen))

    @property
    def parameters(self) -> int:
        """Learnt weights, without those of classes."""
        return parameters(self.genotype, self.skeleton)

    def __str__(self) -> str:
        return f"{self.skeleton.name}/{self.genotype}"


def parameters_by(head: str, image_size: int) -> Parameters:
    """The function of a structure that gives its network's learnt weights, without those of classes."""
    return lambda structure: SizedNetwork.of(structure, head, image_size).parameters


def random_structure(growth: GrowthOptions, rng: np.random.Generator) -> Structure:
    """A structure within the bounds, each of its depth, width, operations and kernels drawn evenly."""
    depth = int(rng.integers(growth.least_depth, growth.most_depth + 1))
    widths = range(growth.most_width, growth.least_width - 1, -growth.width_step)
    operations, kernels = rng.integers(2, size=(2, depth))
    return Structure(
        int(rng.choice(list(widths))),
        tuple((SEPARABLE, CONVOLUTION)[code] for code in operations),
        tuple((SMALL, LARGE)[code] for code in kernels),
    )
