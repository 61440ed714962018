"""A measured quantity with its spread, and what several devices and a power plant make of it. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STUDY_WATTS = 250.0
"""Power of the device, W: the TDP of the RTX 2080 Ti that the DPN study trained on (section 6, ethics statement)."""
STUDY_KG_PER_KWH = 0.373
"""Carbon intensity, kg CO2eq a kWh, of the DPN study's infrastructure (section 6, ethics statement)."""


@dataclass(frozen=True)
class Span:
    """A number and its range; seconds unless said otherwise. Measured: median and quartiles."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Span:
        """Lower quartile, median and upper quartile of measured values; one value has no spread."""
        return cls(*(float(value) for value in np.quantile(np.asarray(values, dtype=np.float64), (0.25, 0.5, 0.75))))

    def __add__(self, other: Span) -> Span:
        """The sum; ranges add up too, as if all were high together, which is wider than independent errors."""
        return Span(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def __mul__(self, factor: float) -> Span:
        return Span(self.low * factor, self.middle * factor, self.high * factor)


NOTHING = Span(0.0, 0.0, 0.0)


def data_parallel(devices: int, efficiency: float) -> float:
    """Wall-clock time of a training on several devices, as a share of that on one, which loses nothing to others."""
    return 1.0 if devices == 1 else 1 / (devices * efficiency)


def rounds(jobs: int, teams: int) -> float:
    """Wall-clock time of equal jobs, as a share of that of one team: rounds of as many jobs as there are teams."""
    return math.ceil(jobs / teams) / jobs


def kilowatt_hours(device_seconds: float, watts: float) -> float:
    """Energy, kWh, of a device that draws `watts` for so long."""
    return device_seconds / 3600 * watts / 1000


def kilograms(device_seconds: float, watts: float, kg_per_kwh: float) -> float:
    """Emissions, kg CO2eq: hours x power x carbon intensity, as in the DPN study's statement (section 6).

    >>> round(kilograms(88_493 * 3600, STUDY_WATTS, STUDY_KG_PER_KWH), 2)
    8251.97
    """
    return kilowatt_hours(device_seconds, watts) * kg_per_kwh
