"""The trials of `dualfair tune`: a network and its hyper-parameters each, and what they came to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dualfair.presentation.format import spoken
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.records.codec import Record, keyed
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.images import PEOPLE


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
    """Which network is trained, and how, but for the epochs; whether a `model` chose it by the `seen` results of
    others; what it came to in every rung that it reached, and whether it is `on_front` of the last one."""

    number: int = keyed("trial")
    training: TrainingSpec
    seen: int = 0
    model: bool = keyed("chosen by the model", default=False)
    rungs: tuple[RungResult, ...] = ()
    on_front: bool = keyed("on the front", default=False)

    @property
    def changes(self) -> dict[str, object]:
        """Its hyper-parameters by name."""
        return dict(self.training.changes)

    def of(self, epochs: float) -> TrainingSpec:
        """Its training with so many epochs."""
        return TrainingSpec(self.training.network, (*self.training.changes, ("epochs", float(epochs))))

    def __str__(self) -> str:
        return f"trial {self.number} ({self.training.label})"


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
        examples = {name: value for trial in self.trials for name, value in trial.changes.items()}
        kinds = {name: "general" if isinstance(value, (int, float)) else "text" for name, value in examples.items()}
        columns = [Column("trial", "text"), Column("genotype", "text"), *map(Column, kinds, kinds.values())]
        by_model = [Column("by model", "mark")] if any(trial.model for trial in self.trials) else []
        columns += [*by_model, Column("epochs", "general")]
        columns += [Column(f"{split} {spoken(name)}") for split in ("val", "test") for name in self.measures]
        rows = []
        for trial, rung in reached:
            values = [trial.number, str(trial.training.network), *(trial.changes.get(name) for name in kinds)]
            values += [trial.model] if by_model else []
            front = (trial.on_front and rung.epochs == self.rungs[-1]) or None
            rows.append([*values, rung.epochs, *rung.values, front, rung.failed or None])
        return table([*columns, Column("front", "mark"), Column("failed", "text")], rows, caption)

    def sentences(self) -> tuple[str, str]:
        """The networks on the front, and what all of this cost."""
        chosen = ", ".join(str(trial.training.network) for trial in self.trials if trial.on_front) or "none"
        spent = [rung.epochs for trial in self.trials for rung in trial.rungs]
        reached = [spent.count(epochs) for epochs in self.rungs]
        counts = ", ".join(f"{n} of {epochs:g}" for n, epochs in zip(reached, self.rungs, strict=True))
        return (
            f"On the front of the validation {self.units}, by one training each: {chosen}.",
            f"Trainings by epochs: {counts}; together {self.epochs_spent:g} epochs, as many as "
            f"{self.epochs_spent / self.rungs[-1]:.3g} full trainings.",
        )
