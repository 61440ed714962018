"""One standalone training as a value: which network, by which changes of the recipe, which seed. Needs no torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, get_type_hints

from dualfair.runs.config import changed
from dualfair.supernet.families.backbone import PREFIX, Backbone
from dualfair.supernet.families.base import size_in_name
from dualfair.supernet.families.sized import SizedGenotype, names_a_size
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.training.recipe import Recipe

_KINDS = get_type_hints(Recipe)
_CHANGES = re.compile(r"(?:,[a-z_]+=[^,=]*)*")
_WORD = re.compile(r"[A-Za-z0-9_.+-]+")
_SEED = re.compile(r"0|[1-9][0-9]{0,8}")
_LONGEST = 240
"""Letters of a label: it names a folder, which can have 255."""
NOTHING = "none"
"""In a label: no text at all."""


@dataclass(frozen=True)
class TrainingSpec:
    """A network, the recipe fields in which its training differs from that of its stage, and a seed.

    `changes` are (field, value) pairs in the order of `Recipe`'s fields. The `label` names network and changes, and
    with the seed the folder of the training's results.

    >>> training = TrainingSpec.of_label("timm.dpn68b:cosface,optimizer=adamw,lr=0.001", seed=2)
    >>> training.changes, training.seed
    ((('optimizer', 'adamw'), ('lr', 0.001)), 2)
    >>> training.folder
    PosixPath('timm.dpn68b_cosface,optimizer=adamw,lr=0.001/seed-2')
    """

    network: Genotype | Backbone | SizedGenotype
    changes: tuple[tuple[str, object], ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in self.changes:
            if name not in _KINDS:
                raise ValueError(f"unknown recipe field {name[:60]!r}; known: {', '.join(_KINDS)}")
            if not _WORD.fullmatch(_shown(value)) or (isinstance(value, str) and "+" in value):
                raise ValueError(f"{name} = {str(value)[:60]!r} cannot be part of a training's name")
        recipe = changed(Recipe(), dict(self.changes))
        names = [name for name, _ in self.changes]
        ordered = tuple((name, getattr(recipe, name)) for name in _KINDS if name in names)
        if len(ordered) < len(names):
            raise ValueError(f"a recipe field is changed twice in {self.changes}")
        object.__setattr__(self, "changes", ordered)
        if type(self.seed) is not int or not _SEED.fullmatch(str(self.seed)):
            raise ValueError(f"a training's seed must be 0 to 999999999, got {str(self.seed)[:40]!r}")
        if len(self.label) > _LONGEST and (self.changes or not self.searched):
            raise ValueError(
                f"the training {self.label[:60]}... has a name of {len(self.label)} letters; at most {_LONGEST}"
            )

    @property
    def label(self) -> str:
        """Network and changes as text, such as `101-101:cosface,lr=0.05`: the same for all its seeds."""
        return str(self.network) + "".join(f",{name}={_shown(value)}" for name, value in self.changes)

    @property
    def folder(self) -> Path:
        """Where its results are, in the folder of its stage."""
        return Path(folder_of_label(self.label)) / f"seed-{self.seed}"

    @property
    def searched(self) -> bool:
        """Whether its network is one of the search's, and not a backbone of timm's or one that was grown."""
        return isinstance(self.network, Genotype)

    @property
    def plain(self) -> bool:
        """Whether it is a searched network trained by the stage's own recipe, as the ranking study compares them."""
        return self.searched and not self.changes

    @classmethod
    def of_label(cls, label: str, seed: int = 0) -> Self:
        """The training of a label and a seed. Raises ValueError naming what is wrong with the label."""
        if not isinstance(label, str):
            raise ValueError(f"a training is parsed from text, got {type(label).__name__}")
        _, comma, pairs = label.partition(":")[2].partition(",")
        tail = comma + pairs
        if not _CHANGES.fullmatch(tail):
            raise ValueError(f"training {label[:80]!r}: {tail[:60]!r} is no list of ,field=value")
        text = label[: len(label) - len(tail)]
        kind = Backbone if text.startswith(PREFIX) else SizedGenotype if names_a_size(text) else Genotype
        network = kind.parse(text)
        changes = [pair.partition("=") for pair in tail.split(",")[1:]]
        return cls(network, tuple((name, parsed_value(name, value)) for name, _, value in changes), seed)

    @classmethod
    def of_folder(cls, path: Path) -> Self:
        """The training whose results a folder LABEL/seed-NUMBER holds. Raises ValueError where that is no training."""
        seed = path.name.removeprefix("seed-")
        if not path.name.startswith("seed-") or not _SEED.fullmatch(seed):
            raise ValueError(f"folder {path.name[:60]!r} is not named seed-NUMBER")
        return cls.of_label(label_of_folder(path.parent.name), int(seed))

    def __str__(self) -> str:
        return f"{self.label} seed {self.seed}"


def label_of_folder(name: str) -> str:
    """The label that a folder is named after; the reverse of `folder_of_label`."""
    place = re.search(r",[a-z_]+=", name)
    network, changes = (name[: place.start()], name[place.start() :]) if place else (name, "")
    skeleton, _, genotype = network.partition(".")
    if size_in_name(skeleton):
        return f"{skeleton}/{genotype.replace('_', ':', 1)}{changes}"
    if not network.startswith(PREFIX):
        return network.replace("_", ":", 1) + changes
    text = network.removeprefix(PREFIX)
    backbone, _, head = text.partition(".") if "." in text else text.rpartition("_")
    return f"{PREFIX}{backbone}:{head}{changes}"


def folder_of_label(label: str) -> str:
    """The folder of a label: its ":" before the head becomes "_", or "." where that could not be told from one in the
    head's own name, and "/" behind the name of a skeleton "."."""
    if names_a_size(label):
        return label.replace("/", ".", 1).replace(":", "_", 1)
    network, _, head = label.partition(":")
    ambiguous = network.startswith(PREFIX) and "_" in head.partition(",")[0]
    return label.replace(":", "." if ambiguous else "_", 1)


def is_plain(label: str) -> bool:
    """Whether a label is that of a searched network trained by the stage's own recipe; also where it is damaged."""
    return not (label.startswith(PREFIX) or names_a_size(label)) and not re.search(r",[a-z_]+=", label)


def differences(recipe: Recipe, base: Mapping[str, object]) -> tuple[tuple[str, object], ...]:
    """The fields of a recipe whose values are not those of `base`, as a training's changes."""
    names = {name for name, value in vars(recipe).items() if base.get(name) != value}
    if recipe.milestones and "milestones" in names:
        # They are of one schedule only, which has to be known where they are read.
        names.add("schedule")
    return tuple((name, value) for name, value in vars(recipe).items() if name in names)


def parsed_value(name: str, text: str) -> object:
    """The value of a recipe's field that a label or an option shows as text. Raises ValueError where it is none."""
    kind = _KINDS.get(name, str)
    if kind is str:
        return "" if text == NOTHING and getattr(Recipe(), name, None) == "" else text.replace("+", ",")
    if kind is bool:
        if text not in ("yes", "no"):
            raise ValueError(f"{name} must be yes or no in a training's name, got {text[:40]!r}")
        return text == "yes"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{name} must be a {kind.__name__} in a training's name, got {text[:40]!r}") from None


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        # Changes are joined by commas, and a value has a letter.
        return value.replace(",", "+") or NOTHING
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
