"""The trials of `dualfair tune`: a network, a head, an optimizer and a learning rate each. Needs no torch.

The choices and their ranges are those of the DPN study's joint search (its table 1).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SearchSpace

TUNE_STREAM = 5
"""Beside the seed, so that trials share no draws with searches and random networks of the same seed."""

LEARNING_RATES = {"sgd": (0.09, 0.8), "adam": (1e-5, 1e-2), "adamw": (1e-5, 1e-2)}
"""Optimizers, and between which learning rates the logarithm is uniform."""


@dataclass(frozen=True)
class Trial:
    """Number `number`: which network is trained, and how."""

    number: int
    genotype: Genotype
    optimizer: str
    lr: float

    def training(self, epochs: float) -> TrainingSpec:
        """Its training with so many epochs."""
        return TrainingSpec(self.genotype, (("optimizer", self.optimizer), ("lr", self.lr), ("epochs", float(epochs))))

    def __str__(self) -> str:
        return f"trial {self.number} ({self.genotype}, {self.optimizer}, lr {self.lr:g})"


def draw_trial(number: int, seed: int, space: SearchSpace, pool: Sequence[Genotype]) -> Trial:
    """Trial `number` of a seed: the same whatever came before it.

    The network is one of `pool` with any head of the space, all equally probable; without a pool any network of the
    space. Learning rates have three significant digits.
    """
    rng = np.random.default_rng([TUNE_STREAM, seed, number])
    if pool:
        genotype = pool[rng.integers(len(pool))]
        heads = [replace(genotype, head=head) for head in space.heads]
        genotypes = [with_head for with_head in heads if with_head in space] or [genotype]
        genotype = genotypes[rng.integers(len(genotypes))]
    else:
        genotype = space.decode(rng.integers(space.sizes).tolist())
    optimizer = [*LEARNING_RATES][rng.integers(len(LEARNING_RATES))]
    low, high = map(math.log, LEARNING_RATES[optimizer])
    return Trial(number, genotype, optimizer, float(f"{math.exp(rng.uniform(low, high)):.3g}"))
