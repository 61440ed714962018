"""What a plan is told beside the options of the stages. Needs no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_type_hints

from dualfair.planning.spans import STUDY_KG_PER_KWH, STUDY_WATTS
from dualfair.runs.config import option
from dualfair.runs.options import BATCH, SearchOptions

if TYPE_CHECKING:
    from dualfair.planning.workload import Workload


def _without(config: type, name: str, new_name: str) -> type:
    """A configuration with all fields of another but one."""
    hints = get_type_hints(config)
    fields = [
        (field.name, hints[field.name], dataclasses.field(default=field.default, metadata=field.metadata))
        for field in dataclasses.fields(config)
        if field.name != name
    ]
    return dataclasses.make_dataclass(new_name, fields, frozen=True, kw_only=True)


SearchLength = _without(SearchOptions, "seed", "SearchLength")
"""Options of a search but the seed: no cost depends on it, and training has an option of the same name."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a forecast assumes: number of devices, what each adds when training is shared out, power and carbon."""

    devices: int = 1
    efficiency: float = 0.9
    watts: float = STUDY_WATTS
    kg_per_kwh: float = STUDY_KG_PER_KWH

    def __post_init__(self) -> None:
        if self.devices < 1:
            raise ValueError(f"devices must be 1 or more, got {self.devices}")
        if not 0 < self.efficiency <= 1:
            raise ValueError(f"efficiency must be above 0 and at most 1, got {self.efficiency}")
        for name in ("watts", "kg_per_kwh"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")

    def check(self, workload: Workload) -> None:
        """Raise ValueError when the devices cannot be divided into the teams that the workload trains by."""
        if self.devices % workload.ranks_per_job:
            raise ValueError(f"ranks_per_job must divide the {self.devices} devices, got {workload.ranks_per_job}")


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What only a plan is told."""

    images: int = option(0, "Training images of a set that is not imported yet, instead of --faces.")
    identities: int = option(0, "People on the training images, with --images.")
    validation_images: int = option(0, "Validation images, with --images; as many to test.  [default: by --split]")
    search_batch: int = option(BATCH, "Images scored at once: --batch of search.")
    retrain_epochs: float = option(0.0, "--epochs of retrain.  [default: the preset's, else those of training]")
    retrain_batch: int = option(0, "--batch of retrain.  [default: the preset's, else that of training]")
    devices: int = option(Terms.devices, "Number of devices like this one.")
    efficiency: float = option(
        Terms.efficiency, "Share of its speed that a device keeps when several train one supernet."
    )
    seconds: float = option(20.0, "About how long to measure in all; one step at least.")
    watts: float = option(STUDY_WATTS, "Power of a device; by default that of the DPN study's.")
    grams_per_kwh: float = option(
        1000 * STUDY_KG_PER_KWH, "Carbon intensity in g CO2eq a kWh; by default that of the DPN study."
    )

    @property
    def terms(self) -> Terms:
        """What a forecast assumes. Raises ValueError for a number that is out of range."""
        return Terms(
            devices=self.devices,
            efficiency=self.efficiency,
            watts=self.watts,
            kg_per_kwh=self.grams_per_kwh / 1000,
        )
