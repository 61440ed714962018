"""Trained networks over their training seeds: means with standard errors, and how one stands among the others."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

APART = 2.0
"""Standard errors of a difference from which on two networks are called apart."""


@dataclass(frozen=True)
class SeedMean:
    """A number over trainings: its finite and infinite `values`, their mean, and its standard error (sample deviation
    over the root of n). None where there is no value, and for the error of one."""

    values: tuple[float, ...]
    mean: float | None
    standard_error: float | None


@dataclass(frozen=True)
class GroupOverSeeds:
    """A group's error and mean rank on test people; its `probes` are those of one training."""

    group: str
    probes: int
    error: SeedMean
    mean_rank: SeedMean


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that was trained from scratch `seeds` times, by one recipe.

    `label` names network and recipe, `samples` why it was trained. Parameters and MACs are None where neither formula
    nor result tells them, and milliseconds where its latency was not measured. `validation` and `test` hold error,
    objectives on images and the disparity, by name. `probes` are those of test people in one training.
    """

    label: str
    seeds: int
    validation: Mapping[str, SeedMean]
    test: Mapping[str, SeedMean]
    probes: int
    groups: tuple[GroupOverSeeds, ...]
    samples: tuple[str, ...] = ()
    params: float | None = None
    macs: float | None = None
    latency: float | None = None

    def on(self, split: str) -> Mapping[str, SeedMean]:
        """The measures on the people of a split, one of SPLITS."""
        return {"validation": self.validation, "test": self.test}[split]

    def objective(self, name: str) -> float | None:
        """An objective that networks are chosen by: its mean on validation people, or a cost; None where unknown."""
        if name in self.validation:
            return self.validation[name].mean
        return {"params": self.params, "macs": self.macs, "latency": self.latency}.get(name)


@dataclass(frozen=True)
class Place:
    """A network's place in a measure on test people: `place` 1 is the lowest, `shared` by so many others.

    `better` and `worse` are labels of networks whose mean is more than APART standard errors of the difference lower or
    higher; `unknown` is how many cannot be compared, one training having no spread.
    """

    place: int
    shared: int
    better: tuple[str, ...]
    worse: tuple[str, ...]
    unknown: int


@dataclass(frozen=True)
class Standing:
    """A network among `networks`, itself included, with `fewest` to `most` trainings each, on test people: its place in
    every measure."""

    networks: int
    fewest: int
    most: int
    places: Mapping[str, Place]


def over_seeds(values: Iterable[float | None]) -> SeedMean:
    """Mean and standard error of the values that are numbers."""
    numbers = tuple(value for value in values if value is not None and not math.isnan(value))
    if not numbers:
        return SeedMean((), None, None)
    n, mean = len(numbers), sum(numbers) / len(numbers)
    if n < 2:
        return SeedMean(numbers, mean, None)
    return SeedMean(numbers, mean, (sum((value - mean) ** 2 for value in numbers) / (n - 1) / n) ** 0.5)


def standing(networks: Sequence[TrainedNetwork], label: str) -> Standing:
    """How a network fares on test people among all trained `networks`. Raises KeyError where it is not among them."""
    by_label = {network.label: network.test for network in networks}
    network = by_label.pop(label)
    seeds = [each.seeds for each in networks]
    places = {
        name: _place(of_seeds, {label: other[name] for label, other in by_label.items()})
        for name, of_seeds in network.items()
        if of_seeds.mean is not None and all(other[name].mean is not None for other in by_label.values())
    }
    return Standing(len(networks), min(seeds), max(seeds), places)


def _place(network: SeedMean, others: Mapping[str, SeedMean]) -> Place:
    means = [other.mean for other in others.values()]
    same = [math.isclose(mean, network.mean, rel_tol=1e-9, abs_tol=1e-12) for mean in means]
    lower = sum(mean < network.mean and not equal for mean, equal in zip(means, same, strict=True))
    better, worse, unknown = [], [], 0
    for label, other in others.items():
        if None in (network.standard_error, other.standard_error):
            unknown += 1
        elif abs(network.mean - other.mean) > APART * math.hypot(network.standard_error, other.standard_error):
            (worse if other.mean > network.mean else better).append(label)
    return Place(1 + lower, sum(same), tuple(better), tuple(worse), unknown)
