"""What trials choose from: networks, heads and fields of the recipe, as text and as a space of configurations.

The choices and ranges that stand there unless others are asked for are those of the DPN study's joint search (table 1).
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_type_hints

from dualfair.evolution.configurations import Categorical, ConfigurationSpace, Dimension, LogUniform
from dualfair.runs.config import changed
from dualfair.runs.training_spec import TrainingSpec, parsed_value
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import HEAD, SearchSpace
from dualfair.supernet.training.recipe import Recipe

PUBLISHED = "optimizer=sgd|adam|adamw,sgd.lr=0.09..0.8,adam.lr=1e-5..1e-2,adamw.lr=1e-5..1e-2"
NETWORK, OPTIMIZER, RATE, BLOCKS = "network", "optimizer", "lr", "blocks"
_COMBINATIONS = 5000
"""So many combinations of choices and ends of ranges are tried out before anything is trained."""
_KINDS = {name: kind for name, kind in get_type_hints(Recipe).items() if name != "epochs"}

Varied = Mapping[str, tuple[float, float] | tuple[str, ...]]
"""By name, the ends of a range, or what is chosen from, as texts."""


def varied(text: str) -> dict[str, tuple[float, float] | tuple[str, ...]]:
    """What is varied: `PUBLISHED`, with what `text` says in its place.

    A text is NAME=CHOICE|CHOICE or NAME=LOW..HIGH joined by commas. A name is a recipe's field, one behind an
    optimizer, such as sgd.lr, for its trials only, "head" or "network". Rates that are not for any of the optimizers
    go, and a plain "lr" is for all of them. Raises ValueError naming the part that is no such thing.

    >>> varied("optimizer=sgd,batch=16|32")
    {'optimizer': ('sgd',), 'sgd.lr': (0.09, 0.8), 'batch': ('16', '32')}
    """
    given = _parts(text)
    whole = {**({} if RATE in given else _parts(PUBLISHED)), **given}
    whole.setdefault(OPTIMIZER, _parts(PUBLISHED)[OPTIMIZER])
    optimizers = whole.pop(OPTIMIZER)
    for name in given:
        if "." in name and name.partition(".")[0] not in optimizers:
            raise ValueError(f"vary: {name} is for none of the optimizers {', '.join(map(str, optimizers))}")
    for name in whole:
        if "." in name and name.rpartition(".")[2] in whole:
            raise ValueError(f"vary: {name} and {name.rpartition('.')[2]} are both given; leave out one")
    for optimizer in optimizers:
        if RATE not in whole and f"{optimizer}.{RATE}" not in whole:
            raise ValueError(f"vary: there is no range of rates for {optimizer}; add {optimizer}.lr=LOW..HIGH")
    kept = {name: values for name, values in whole.items() if "." not in name or name.partition(".")[0] in optimizers}
    return {OPTIMIZER: optimizers, **kept}


def _parts(text: str) -> dict[str, tuple[float, float] | tuple[str, ...]]:
    parts: dict[str, tuple[float, float] | tuple[str, ...]] = {}
    for part in text.split(",") if text else ():
        name, equals, values = (word.strip() for word in part.partition("="))
        if not (name and equals and values) or name in parts:
            raise ValueError(f"vary must be different NAME=A|B or NAME=LOW..HIGH joined by ',', got {part[:60]!r}")
        field = name.rpartition(".")[2]
        if field not in _KINDS and name not in (HEAD, NETWORK):
            raise ValueError(f"vary: {name[:40]!r} cannot be varied; choose from network, head, {', '.join(_KINDS)}")
        parts[name] = _range(name, field, values) if ".." in values else tuple(values.split("|"))
        if len(set(parts[name])) < len(parts[name]):
            raise ValueError(f"vary: {name} has a choice twice in {values[:60]!r}")
    return parts


def _range(name: str, field: str, values: str) -> tuple[float, float]:
    try:
        low, high = map(float, values.split(".."))
    except ValueError:
        raise ValueError(f"vary: {name} must be LOW..HIGH, two numbers, got {values[:60]!r}") from None
    if _KINDS.get(field) is not float:
        raise ValueError(f"vary: {name} takes choices joined by '|', no range, got {values[:60]!r}")
    LogUniform(name=f"vary: {name}", low=low, high=high)
    return low, high


class Choices:
    """A space of trainings: networks of a search space, or of a `pool`, with what is varied of a recipe.

    Raises ValueError for a head or network that is not of the space, and for a value that the recipe refuses.
    """

    def __init__(self, space: SearchSpace, recipe: Recipe, pool: Sequence[Genotype], vary: str) -> None:
        self.search_space, self._pool = space, tuple(pool)
        asked = varied(vary)
        self._fields = tuple(name for name in asked if name not in (HEAD, NETWORK))
        fields = [_dimension(name, asked[name]) for name in self._fields]
        self.space = ConfigurationSpace([*self._networks(space, asked), *fields])
        self._check_together(asked, fields, recipe)

    def _check_together(self, asked: Varied, fields: Sequence[Dimension], recipe: Recipe) -> None:
        """Raise ValueError for values that no trial could be trained with together, before anything is trained."""
        network = self._pool[0] if self._pool else self.search_space.decode([0] * len(self.search_space.sizes))
        for optimizer in asked[OPTIMIZER]:
            of_trial = [each for each in fields if each.when is None or each.when[1] == optimizer]
            ends = [each.choices if isinstance(each, Categorical) else (each.low, each.high) for each in of_trial]
            names = [each.name.rpartition(".")[2] for each in of_trial]
            for values in itertools.islice(itertools.product(*ends), _COMBINATIONS):
                changes = {**dict(zip(names, values, strict=True)), OPTIMIZER: optimizer}
                try:
                    changed(recipe, changes)
                    TrainingSpec(network, tuple(changes.items()))
                except ValueError as error:
                    raise ValueError(f"vary: {error}") from None

    def _networks(self, space: SearchSpace, asked: Varied) -> list[Dimension]:
        heads = tuple(map(str, asked.get(HEAD, space.heads)))
        if unknown := [head for head in heads if head not in space.heads]:
            raise ValueError(f"vary: head {unknown[0]!r} is not one of {', '.join(space.heads) or 'this space, none'}")
        blocks: list[Dimension] = [
            Categorical(name=f"{BLOCKS} {block.name}", choices=(*range(len(block.choices)),), group=BLOCKS)
            for block in space.choice_blocks
            if block.name != HEAD
        ]
        if self._pool:
            names = {str(replace(genotype, head="")): genotype for genotype in self._pool}
            blocks = [Categorical(name=NETWORK, choices=(*names,))]
        return blocks + ([Categorical(name=HEAD, choices=heads)] if heads else [])

    def training(self, values: Mapping[str, object]) -> TrainingSpec:
        """The training that a configuration's values stand for, without its epochs."""
        if self._pool:
            genotype = Genotype.parse(str(values[NETWORK]))
        else:
            chosen = {name.removeprefix(f"{BLOCKS} "): place for name, place in values.items()}
            vector = [0 if block.name == HEAD else chosen[block.name] for block in self.search_space.choice_blocks]
            genotype = self.search_space.decode(vector)
        changes = [(name.rpartition(".")[2], values[name]) for name in self._fields if name in values]
        return TrainingSpec(replace(genotype, head=str(values.get(HEAD, ""))), tuple(changes))

    def values(self, training: TrainingSpec) -> dict[str, object]:
        """The values of the configuration that a training stands for."""
        genotype, changes = training.network, dict(training.changes)
        values: dict[str, object] = {HEAD: genotype.head} if genotype.head else {}
        if self._pool:
            values[NETWORK] = str(replace(genotype, head=""))
        else:
            vector = self.search_space.encode(genotype).tolist()
            blocks = zip(self.search_space.choice_blocks, vector, strict=True)
            values |= {f"{BLOCKS} {block.name}": place for block, place in blocks if block.name != HEAD}
        for name in self._fields:
            optimizer, _, field = name.rpartition(".")
            if optimizer in ("", changes[OPTIMIZER]):
                values[name] = changes[field]
        return values


def _dimension(name: str, values: tuple) -> Dimension:
    optimizer, _, field = name.rpartition(".")
    when = (OPTIMIZER, optimizer) if optimizer else None
    ranged = not isinstance(values[0], str)
    try:
        choices = values if ranged else tuple(parsed_value(field, text) for text in values)
        if len(set(choices)) < len(choices):
            raise ValueError(f"a choice stands twice in {', '.join(map(str, choices))}")
    except ValueError as error:
        raise ValueError(f"vary: {name}: {error}") from None
    if ranged:
        return LogUniform(name=name, low=values[0], high=values[1], when=when)
    return Categorical(name=name, choices=choices, when=when)
