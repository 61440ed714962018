"""A forecast in words and as a table."""

from dualfair.planning.forecast import Forecast, StageForecast
from dualfair.planning.memory import gigabytes
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
    """What is printed: the work of every stage, a table of costs, and what they assume and come to."""
    work = [f"{stage.name:<10} {stage.work}" for stage in forecast.stages]
    return [*work, "", *table(forecast), "", *sentences(forecast)]


def table(forecast: Forecast) -> list[str]:
    """FLOPs, time with its range, time on several devices, and memory of every stage, and the sum of times."""
    devices = forecast.options.devices
    several = [f"on {devices} devices"] if devices > 1 else []
    rows = [["stage", "FLOPs", "time", "range", *several, "memory, at least"]]
    for stage in forecast.stages:
        memory = gigabytes(stage.memory.device + stage.memory.results) if stage.memory else "-"
        rows.append([stage.name, f"{stage.flops:.2g}", *_times(stage, devices), memory])
    rows.append(["together", f"{sum(stage.flops for stage in forecast.stages):.2g}", *_times(forecast, devices), ""])
    return aligned(rows)


def _times(costs: StageForecast | Forecast, devices: int) -> list[str]:
    seconds = costs.seconds
    several = [duration(costs.wall_seconds.middle)] if devices > 1 else []
    return [duration(seconds.middle), f"{duration(seconds.low)} to {duration(seconds.high)}", *several]


def sentences(forecast: Forecast) -> list[str]:
    """Assumptions, energy, emissions, and the price of doing without a supernet."""
    options = forecast.options
    counted = ", ".join(f"{count} {name}" for name, count in forecast.repetitions.items())
    text = [
        f"Measured: {counted}; medians, the range is their quartiles. Populations are priced as random ones, which "
        "share fewest prefixes; start-up, checkpoints, logs and correlate (seconds) are not counted. Memory is that of "
        "tensors: kernels and the allocator take more.",
    ]
    if options.devices > 1:
        text.append(
            f"{options.devices} devices: training data parallel at efficiency {options.efficiency:g}; a generation's "
            "genotypes and whole trainings shared out in rounds."
        )
    study = (options.watts, options.grams_per_kwh) == (STUDY_WATTS, 1000 * STUDY_KG_PER_KWH)
    origin = ", the DPN study's factors: give your own by --watts and --grams-per-kwh" if study else ""
    text.append(
        f"Energy: {quantity(forecast.kwh)} kWh, {quantity(forecast.kg_co2eq)} kg CO2eq ({options.watts:g} W a device "
        f"and {options.grams_per_kwh / 1000:g} kg CO2eq/kWh{origin})."
    )
    supernet = sum(stage.seconds.middle for stage in forecast.stages if stage.name in ("train", "search"))
    scratch = forecast.scratch_seconds.middle
    text.append(
        f"Training all {forecast.scratch_networks:,} networks from scratch, in place of train and search: "
        f"{duration(scratch)} against {duration(supernet)} on one device, {scratch / supernet:.2g} times as much."
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
