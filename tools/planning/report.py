"""A forecast in words and as a table."""

from __future__ import annotations

from dualfair.planning.forecast import Forecast, StageForecast
from dualfair.planning.limits import gigabytes
from dualfair.planning.spans import STUDY_KG_PER_KWH, STUDY_WATTS, Span
from dualfair.planning.workload import Workload
from dualfair.presentation.table import aligned


def headline(workload: Workload, device: str) -> str:
    """What is planned on which faces, and the device that is measured, in words."""
    space, skeleton, faces = workload.space, workload.skeleton, workload.faces
    kept = f"{faces.confirmation:,} to confirm the front, " if faces.confirmation else ""
    return (
        f"Plan: space {space.name} of {space.size:,} networks on skeleton {skeleton.name}, {skeleton.image_size} px; "
        f"{faces.training:,} training images of {faces.identities:,} people, {faces.validation:,} of validation, "
        f"{kept}{faces.test:,} of test; {device}"
    )


def lines(forecast: Forecast) -> list[str]:
    """What is printed: work a stage, a table of costs, and what they assume and come to."""
    return [*work(forecast), "", *table(forecast), "", *sentences(forecast)]


def work(forecast: Forecast) -> list[str]:
    """What every stage does, a line each."""
    return [f"{stage.name:<10} {stage.work}" for stage in forecast.stages]


def table(forecast: Forecast) -> list[str]:
    """FLOPs, time with its range, time on several devices, and memory of every stage, and the sum of times."""
    devices = forecast.terms.devices
    titles = ["stage", "FLOPs", "time", "range"]
    rows = [[*titles, *([f"on {devices} devices"] if devices > 1 else []), "memory, at least"]]
    for stage in forecast.stages:
        flops = f"{stage.flops:.2g}" if stage.flops else "-"
        rows.append([stage.name, flops, *_times(stage, devices), _memory(stage)])
    rows.append(["together", f"{sum(stage.flops for stage in forecast.stages):.2g}", *_times(forecast, devices), ""])
    return aligned(rows)


def _times(costs: StageForecast | Forecast, devices: int) -> list[str]:
    seconds = costs.seconds
    return [
        duration(seconds.middle),
        f"{duration(seconds.low)} to {duration(seconds.high)}",
        *([duration(costs.wall_seconds.middle)] if devices > 1 else []),
    ]


def _memory(stage: StageForecast) -> str:
    if stage.memory is None:
        return "-"
    return gigabytes(stage.memory.device + stage.memory.results)


def sentences(forecast: Forecast) -> list[str]:
    """Assumptions, energy, emissions, and the price of doing without a supernet."""
    terms = forecast.terms
    counted = ", ".join(f"{count} {name}" for name, count in forecast.repetitions.items())
    text = [
        f"Measured: {counted}; medians, the range is their quartiles. Populations are priced as random ones, which "
        "share fewest prefixes; start-up, checkpoints and logs are not counted. Memory is that of tensors: kernels and "
        "the allocator take more; on a CPU a process grew by 1.1 to 2.3 times as much.",
    ]
    if terms.devices > 1:
        text.append(
            f"{terms.devices} devices: training data parallel at efficiency {terms.efficiency:g}; a generation's "
            "genotypes and whole trainings shared out in rounds."
        )
    factors = [f"{terms.watts:g} W a device", f"{terms.kg_per_kwh:g} kg CO2eq/kWh"]
    study = (terms.watts, terms.kg_per_kwh) == (STUDY_WATTS, STUDY_KG_PER_KWH)
    origin = ", the DPN study's factors: give your own by --watts and --grams-per-kwh" if study else ""
    text.append(
        f"Energy: {quantity(forecast.kwh)} kWh, {quantity(forecast.kg_co2eq)} kg CO2eq "
        f"({' and '.join(factors)}{origin})."
    )
    supernet = sum(stage.device_seconds.middle for stage in forecast.stages if stage.name in ("train", "search"))
    scratch = forecast.scratch_seconds.middle
    text.append(
        f"Training all {forecast.scratch_networks:,} networks from scratch, in place of train and search: "
        f"{duration(scratch)} against {duration(supernet)} of device time, {scratch / supernet:.2g} times as much."
    )
    return text


def quantity(span: Span) -> str:
    """The middle with its range, to two digits."""
    return f"{span.middle:.2g} ({span.low:.2g} to {span.high:.2g})"


def duration(seconds: float) -> str:
    """Seconds below two minutes, minutes below two hours, hours above, to two digits or more."""
    unit, name = next((unit, name) for limit, unit, name in _UNITS if seconds < limit)
    value = seconds / unit
    return f"{value:,.0f} {name}" if value >= 9.95 else f"{value:.1f} {name}"


_UNITS = ((120, 1, "s"), (7200, 60, "min"), (float("inf"), 3600, "h"))
