"""The trials of `dualfair tune`: a network, a head, an optimizer and a learning rate each, and what they came to.

The choices and their ranges are those of the DPN study's joint search (its table 1).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.records.codec import Record, keyed
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images import PEOPLE
from dualfair.supernet.space import SearchSpace

TUNE_STREAM = 5
"""Beside the seed, so that trials share no draws with searches and random networks of the same seed."""
LEARNING_RATES = {"sgd": (0.09, 0.8), "adam": (1e-5, 1e-2), "adamw": (1e-5, 1e-2)}
"""Optimizers, and between which learning rates the logarithm is uniform."""


@dataclass(frozen=True)
class RungResult(Record):
    """What a trial came to with so many epochs; infinite numbers, and the reason, where it `failed`."""

    epochs: float
    validation: Mapping[str, float]
    test: Mapping[str, float]
    failed: str = ""

    @property
    def values(self) -> tuple[float, ...]:
        """The measures on validation people, then on test people."""
        return *self.validation.values(), *self.test.values()


@dataclass(frozen=True)
class Trial(Record):
    """Which network is trained, and how; what it came to in every rung that it reached, and whether it is `on_front` of
    the last one."""

    number: int = keyed("trial")
    genotype: Genotype
    optimizer: str
    lr: float
    rungs: tuple[RungResult, ...] = ()
    on_front: bool = keyed("on the front", default=False)

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


@dataclass(frozen=True)
class TuneResult(Record):
    """All trials; `measures` are what they are chosen by, `rungs` are epochs, `epochs_spent` those of all trainings.

    The front of the last rung is that of the validation people, by which trials were chosen: the test people had no say
    in it. `units` are what images are counted in.
    """

    measures: tuple[str, ...]
    rungs: tuple[float, ...]
    epochs_spent: float = keyed("epochs spent")
    trials: tuple[Trial, ...]
    units: str = keyed("units", omitted=True, default=PEOPLE)

    @property
    def top(self) -> list[Trial]:
        """The trials that reached the last rung, by the first measure on validation people."""
        reached = [trial for trial in self.trials if trial.rungs[-1].epochs == self.rungs[-1]]
        return sorted(reached, key=lambda trial: trial.rungs[-1].values[0])

    def table(self) -> Table:
        """Every trial with every rung that it reached."""
        return self._table(((trial, rung) for trial in self.trials for rung in trial.rungs), "Trials by rung")

    def top_table(self) -> Table:
        """The trials that reached the last rung, with what they came to there."""
        whose = f"the front is that of the validation {self.units}"
        caption = f"Trials that reached the last rung, one training each; {whose}"
        return self._table(((trial, trial.rungs[-1]) for trial in self.top), caption)

    def _table(self, reached: Iterable[tuple[Trial, RungResult]], caption: str) -> Table:
        columns = [Column("trial", "text"), Column("genotype", "text"), Column("optimizer", "text")]
        columns += [Column("lr", "general"), Column("epochs", "general")]
        columns += [Column(f"{split} {spoken(name)}") for split in ("val", "test") for name in self.measures]
        rows = [
            [
                *(trial.number, str(trial.genotype), trial.optimizer, trial.lr, rung.epochs, *rung.values),
                (trial.on_front and rung.epochs == self.rungs[-1]) or None,
                rung.failed or None,
            ]
            for trial, rung in reached
        ]
        return table([*columns, Column("front", "mark"), Column("failed", "text")], rows, caption)

    def sentences(self) -> tuple[str, str]:
        """The networks on the front, and what all of this cost."""
        chosen = ", ".join(str(trial.genotype) for trial in self.trials if trial.on_front) or "none"
        reached = [sum(len(trial.rungs) > rung for trial in self.trials) for rung in range(len(self.rungs))]
        counts = ", ".join(f"{n} of {epochs:g}" for n, epochs in zip(reached, self.rungs, strict=True))
        return (
            f"On the front of the validation {self.units}, by one training each: {chosen}.",
            f"Trainings by epochs: {counts}; together {self.epochs_spent:g} epochs, as many as "
            f"{self.epochs_spent / self.rungs[-1]:.3g} full trainings.",
        )
