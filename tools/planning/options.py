"""What a plan is told beside the options of the stages, and what energy it counts with. Needs no torch."""

from dataclasses import dataclass

from dualfair.runs.config import option
from dualfair.runs.options import BATCH

STUDY_WATTS = 250.0
"""Power of the device, W: the TDP of the RTX 2080 Ti that the DPN study trained on (section 6, ethics statement)."""
STUDY_KG_PER_KWH = 0.373
"""Carbon intensity, kg CO2eq a kWh, of the DPN study's infrastructure (section 6, ethics statement)."""
_UNITS = ((120, 1, "s"), (7200, 60, "min"), (float("inf"), 3600, "h"))


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What only a plan is told."""

    image_count: int = option(0, "Training images of a set that is not imported yet, instead of --faces.")
    identity_count: int = option(0, "People on the training images, with --image-count.")
    class_count: int = option(0, "Instead, of labelled images: their classes.")
    validation_images: int = option(0, "Validation images, with --image-count; as many to test.  [default: by --split]")
    search_batch: int = option(
        0, f"Images scored at once: --batch of search.  [default: {BATCH}, on CUDA up to 4096 by its memory]"
    )
    retrain_epochs: float = option(0.0, "--epochs of retrain.  [default: the preset's, else those of training]")
    retrain_batch: int = option(0, "--batch of retrain.  [default: the preset's, else that of training]")
    devices: int = option(1, "Number of devices like this one.")
    efficiency: float = option(0.9, "Share of its speed that a device keeps when several train one supernet.")
    seconds: float = option(20.0, "About how long to measure in all; one step at least.")
    watts: float = option(STUDY_WATTS, "Power of a device; by default that of the DPN study's.")
    grams_per_kwh: float = option(
        1000 * STUDY_KG_PER_KWH, "Carbon intensity in g CO2eq a kWh; by default that of the DPN study."
    )

    def __post_init__(self) -> None:
        if self.devices < 1:
            raise ValueError(f"devices must be 1 or more, got {self.devices}")
        if not 0 < self.efficiency <= 1:
            raise ValueError(f"efficiency must be above 0 and at most 1, got {self.efficiency}")
        if not self.seconds > 0:
            raise ValueError(f"seconds must be above 0, got {self.seconds:g}")
        for name in ("watts", "grams_per_kwh"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


def kilowatt_hours(device_seconds: float, watts: float) -> float:
    """Energy, kWh, of a device that draws `watts` for so long."""
    return device_seconds / 3600 * watts / 1000


def kilograms(device_seconds: float, watts: float, kg_per_kwh: float) -> float:
    """Emissions, kg CO2eq: hours x power x carbon intensity, as in the DPN study's statement (section 6).

    >>> round(kilograms(88_493 * 3600, STUDY_WATTS, STUDY_KG_PER_KWH), 2)
    8251.97
    """
    return kilowatt_hours(device_seconds, watts) * kg_per_kwh


def duration(seconds: float) -> str:
    """Seconds below two minutes, minutes below two hours, hours above, to two digits or more."""
    unit, name = next((unit, name) for limit, unit, name in _UNITS if seconds < limit)
    value = seconds / unit
    return f"{value:,.0f} {name}" if value >= 9.95 else f"{value:.1f} {name}"
