"""What trainings know besides their images: the weights that they start from, and a teacher."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from dualfair.presentation.format import quoted
from dualfair.runs.initial_weights import InitialWeights
from dualfair.runs.records.training import Origin, TrainedOn
from dualfair.runs.teacher import Teacher
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.training.recipe import Recipe

Opened = TypeVar("Opened", InitialWeights, Teacher)
NONE = "none"
"""In place of what trainings know: nothing, whatever was recorded."""


@dataclass(frozen=True)
class Prior:
    """The weights that trainings start from and the teacher that they learn from, each where there is one."""

    weights: InitialWeights | None = None
    teacher: Teacher | None = None

    @property
    def record(self) -> dict[str, Origin | None]:
        """The two fields of a configuration that say where these are from."""
        return {
            "weights_from": self.weights.origin if self.weights else None,
            "teacher": self.teacher.origin if self.teacher else None,
        }

    def of(self, network: Genotype | Backbone) -> Self:
        """What the training of one network knows: weights only where they start it."""
        return self if self.weights and self.weights.starts(network) else replace(self, weights=None)

    def on(self, recipe: Recipe) -> Self:
        """Itself. Raises ValueError for a recipe with a teacher's share where there is no teacher."""
        if not self.teacher and recipe.teacher_share != Recipe().teacher_share:
            raise ValueError("--teacher-share is of a teacher; name one by --teacher, or leave it out")
        return self

    @property
    def seen(self) -> tuple[TrainedOn, ...]:
        """Whom these were trained on."""
        return tuple(people for origin in self.record.values() if origin for people in origin.trained_on)


def opened(
    named: Path | str | None, recorded: Origin | None, run: Path, open_at: Callable[[Path], Opened]
) -> Opened | None:
    """What is named, else what a record of the directory `run` names; None where neither does, and for NONE.

    Raises ValueError as `open_at` does, and where what is recorded is not there any more.
    """
    if named is not None:
        return None if str(named) == NONE else open_at(Path(named))
    if recorded is None:
        return None
    place = Path(os.path.normpath(run / recorded.place))
    if not place.exists():
        raise ValueError(
            f"trainings of {run} begin with what is in {place}, which is not there; put it there again, or link it: "
            f"ln -sfn /FULL/PATH {quoted(place)}"
        )
    at_hand = open_at(place)
    if at_hand.origin.weights != recorded.weights:
        raise ValueError(f"{place} is not what trainings of {run} begin with any more; put the old one there")
    return at_hand
