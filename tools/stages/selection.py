"""What a user names to be trained from scratch: genotypes, backbones of timm's, or a survey of these, a TOML file.

Needs no torch to be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dualfair.runs.architectures import head_name
from dualfair.runs.config import changed, read_toml
from dualfair.runs.records.training import BASELINE, NAMED
from dualfair.runs.training_spec import TrainingSpec, differences
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.families.sized import SizedGenotype
from dualfair.supernet.genotype import HEAD_NAMES, MARGIN_HEADS
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.training.recipe import Recipe

if TYPE_CHECKING:
    from dualfair.runs.trained_run import TrainedRun

Changes = tuple[tuple[str, object], ...]
"""Fields of a recipe and their values."""
SURVEYS = Path(__file__).parent / "surveys"
"""The folder of the surveys that come with the package."""


@dataclass(frozen=True)
class Survey:
    """Every backbone with every head by every recipe.

    `backbones` are names of timm's. A recipe is the fields that it changes, as (field, value) pairs; without `recipes`
    there is the one that changes nothing, and without `heads` those of the run. Those of a single backbone, by its
    name, are `published`.
    """

    backbones: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    recipes: tuple[Changes, ...] = ((),)
    published: Mapping[str, tuple[Changes, ...]] = field(default_factory=dict)

    def recipes_of(self, backbone: str) -> tuple[Changes, ...]:
        """Every recipe that a backbone is trained by."""
        return (*self.recipes, *self.published.get(backbone, ()))


@dataclass(frozen=True)
class Selection:
    """Genotypes and backbones as typed; `heads`, also of one's own, are those of the backbones, and of the survey's
    where given."""

    genotypes: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    survey: Survey = field(default_factory=Survey)

    def __post_init__(self) -> None:
        if self.heads and not self.of_timm:
            raise ValueError("--head belongs to --backbone and --survey; a genotype names its head: '101:cosface'")
        for name in self.backbones:
            Backbone(name, "cosface")

    @property
    def of_timm(self) -> bool:
        """Whether backbones are among them."""
        return bool(self.backbones or self.survey.backbones)

    def __bool__(self) -> bool:
        return bool(self.genotypes) or self.of_timm

    def trainings(self, run: TrainedRun, recipe: Recipe, base: Recipe) -> dict[TrainingSpec, frozenset[str]]:
        """The trainings of seed 0, each with its samples, by `recipe`, and by the survey's changes of that.

        Their names hold how the recipe differs from `base`. On every rank the same. Raises ValueError for a genotype
        outside the space, for one on a skeleton of its own that does not take this run's images, and for a named
        backbone that cannot be built; those of a survey are left out and said.
        """
        changes = differences(recipe, vars(base))
        heads = [head_name(text) for text in self.heads]
        samples = {}
        for text in self.genotypes:
            grown = "/" in text
            network = SizedGenotype.parse(text) if grown else run.setting.space.parse(text)
            if grown:
                _check_head(network.skeleton_like(run.setting.skeleton), network.head)
            samples[TrainingSpec(network, changes)] = BASELINE if grown else NAMED
        buildable = set(_buildable(run, self.backbones, self.survey.backbones)) if self.of_timm else set()
        for name in self.backbones:
            for head in heads or run.setting.space.heads:
                samples[TrainingSpec(Backbone(name, head), changes)] = BASELINE
        for name in (name for name in self.survey.backbones if name in buildable):
            for head in heads or self.survey.heads or run.setting.space.heads:
                for row in self.survey.recipes_of(name):
                    row_changes = differences(changed(recipe, dict(row)), vars(base))
                    samples[TrainingSpec(Backbone(name, head), row_changes)] = BASELINE
        if not samples:
            raise ValueError("none of the survey's backbones can be built for this run's images")
        return samples


def _check_head(skeleton: Skeleton, head: str) -> None:
    """Raise ValueError for a head that a skeleton does not know."""
    if head not in (known := (*HEAD_NAMES, *(own.name for own in skeleton.own_heads))):
        raise ValueError(f"unknown head {head[:40]!r}; choose from {', '.join(known)}")


def _buildable(run: TrainedRun, named: Sequence[str], surveyed: Sequence[str]) -> list[str]:
    """The backbones that can be trained, found out by the leader for every rank: before hours of others' training."""
    names = []
    if run.processes.leads:
        from dualfair.supernet.families.backbone_network import build_backbone, check_name

        for name in dict.fromkeys((*named, *surveyed)):
            try:
                check_name(name)
                build_backbone(Backbone(name, "cosface"), run.setting.skeleton)
            except ValueError as error:
                if name in named:
                    raise
                run.directory.say(f"Left out: {error}")
            else:
                names.append(name)
    return run.processes.broadcast(" ".join(names)).split()


def surveys() -> list[str]:
    """Names of the surveys that come with the package."""
    return sorted(file.name.removesuffix(".toml") for file in SURVEYS.iterdir() if file.name.endswith(".toml"))


def read_survey(survey: str) -> Survey:
    """One of `surveys` by its name, or a TOML file with `backbones`, optional `heads`, else those of the run, tables
    [[recipes]] for all, and a table [published] with one for single backbones, which are trained by theirs with each
    optimizer of `published_rate_with` too.

    Raises ValueError naming what in the file is wrong.
    """
    path = SURVEYS / f"{survey}.toml" if survey in surveys() else Path(survey)
    values = {"backbones": None, "heads": (), "recipes": [{}], "published": {}, "published_rate_with": []}
    given = read_toml(path, "survey")
    names, values = [*values], values | given
    try:
        if unknown := [name for name in values if name not in names]:
            raise ValueError(f"unknown name {unknown[0][:60]!r}; known: {', '.join(names)}")
        backbones = _texts("backbones", values["backbones"])
        heads = _texts("heads", values["heads"]) if "heads" in given else ()
        if unknown := [head for head in heads if head not in HEAD_NAMES]:
            known = ", ".join(HEAD_NAMES)
            raise ValueError(f"unknown head {unknown[0][:40]!r}; known: {known}; name your own with --head")
        recipes = values["recipes"]
        if not isinstance(recipes, list) or not recipes or not all(isinstance(table, dict) for table in recipes):
            raise ValueError("recipes must be tables [[recipes]] of recipe options")
        read = Survey(backbones, heads, tuple(tuple(table.items()) for table in recipes), _published(values, backbones))
        for name in backbones:
            for changes in read.recipes_of(name):
                TrainingSpec(Backbone(name, (*heads, MARGIN_HEADS[0])[0]), changes)
    except ValueError as error:
        raise ValueError(f"survey {path}: {error}") from None
    return read


def _published(values: Mapping[str, object], backbones: Sequence[str]) -> dict[str, tuple[Changes, ...]]:
    rows = values["published"]
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise ValueError("published must be a table of recipe options by backbone")
    if unknown := [name for name in rows if name not in backbones]:
        raise ValueError(f"published names {unknown[0][:60]!r}, which is none of the backbones")
    others = _texts("published_rate_with", values["published_rate_with"]) if values["published_rate_with"] else ()
    return {
        name: tuple(tuple(each.items()) for each in (row, *({**row, "optimizer": other} for other in others)))
        for name, row in rows.items()
    }


def _texts(name: str, values: object) -> tuple[str, ...]:
    if not isinstance(values, (list, tuple)) or not values or not all(isinstance(text, str) for text in values):
        raise ValueError(f"{name} must be a list of names, such as {name} = ['...']")
    return tuple(dict.fromkeys(values))
