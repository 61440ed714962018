"""What a user names to be trained from scratch: genotypes, backbones of timm's, or a survey of these."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dualfair.runs.architectures import head_name
from dualfair.runs.layout import TrainingsLayout
from dualfair.runs.records.training import BASELINE, NAMED
from dualfair.runs.trained_run import TrainedRun
from dualfair.runs.training_spec import TrainingSpec, differences, recipe_with
from dualfair.stages.survey import Survey
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.training.recipe import Recipe


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
        outside the space, and for a named backbone that cannot be built; those of a survey are left out and said.
        """
        parse, changes = run.setting.space.parse, differences(recipe, vars(base))
        heads = [head_name(text) for text in self.heads]
        samples = dict.fromkeys((TrainingSpec(parse(text), changes) for text in self.genotypes), NAMED)
        buildable = set(_buildable(run, self.backbones, self.survey.backbones)) if self.of_timm else set()
        for name in self.backbones:
            for head in heads or run.setting.space.heads:
                samples[TrainingSpec(Backbone(name, head), changes)] = BASELINE
        for name in (name for name in self.survey.backbones if name in buildable):
            for head in heads or self.survey.heads:
                for row in self.survey.recipes:
                    row_changes = differences(recipe_with(recipe, row), vars(base))
                    samples[TrainingSpec(Backbone(name, head), row_changes)] = BASELINE
        if not samples:
            raise ValueError("none of the survey's backbones can be built for this run's images")
        return samples


def _buildable(run, named: Sequence[str], surveyed: Sequence[str]) -> list[str]:
    """The backbones that can be trained, found out by the leader for every rank: before hours of others' training."""
    names = []
    if run.processes.leads:
        from dualfair.supernet.families.backbone_network import build_backbone, check_name

        there = _begun_names(run.directory.layout.retrain)
        for name in dict.fromkeys((*named, *surveyed)):
            try:
                check_name(name)
                if name not in there:
                    build_backbone(Backbone(name, "cosface"), run.setting.skeleton)
            except ValueError as error:
                if name in named:
                    raise
                run.directory.say(f"Left out: {error}")
            else:
                names.append(name)
    return run.processes.broadcast(" ".join(names)).split()


def _begun_names(stage: TrainingsLayout) -> set[str]:
    """The backbones of which a training has begun."""
    names = set()
    for label, _ in stage.begun_trainings():
        with suppress(ValueError):
            network = TrainingSpec.of_label(label).network
            names |= {network.name} if isinstance(network, Backbone) else set()
    return names
