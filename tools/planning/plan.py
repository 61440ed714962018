"""A plan: what a run will cost on a device, by a short measurement, and the forecast in words."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dualfair.planning.counts import FaceCounts
from dualfair.planning.forecast import Forecast, StageForecast, forecast
from dualfair.planning.measurement import Span, measure
from dualfair.planning.memory import checked_memory, gigabytes, supernet_engine
from dualfair.planning.options import STUDY_KG_PER_KWH, STUDY_WATTS, PlanOptions, duration
from dualfair.planning.outlook import outlook
from dualfair.planning.workload import Workload, planned_workload
from dualfair.presentation.table import aligned
from dualfair.runs.config import build_configs
from dualfair.runs.devices import choose_device, describe, images_at_once, seeded
from dualfair.runs.watching import Say, silent


def plan(
    faces: Path | None,
    given: Mapping[str, object],
    preset: str | None = None,
    *,
    exhaustive: bool = False,
    device: str = "auto",
    say: Say = silent,
) -> Forecast:
    """What a run will cost on this machine, from measuring for the seconds of `PlanOptions`.

    `given` are options of `PlanOptions` and of the stages, None where not given; `faces` and the others as
    `planned_workload` takes them. `say` hears what is planned before it is measured, then the forecast. Raises
    ValueError where options do not fit, and where a stage does not fit into memory.
    """
    (options,) = build_configs(given, None, PlanOptions, stage="plan")
    workload = planned_workload(faces, given, preset, options, exhaustive=exhaustive)
    if options.devices % (team := workload.retraining.ranks_per_job):
        raise ValueError(f"ranks_per_job must divide the {options.devices} devices, got {team}")
    chosen = choose_device(device)
    if not options.search_batch:
        workload = replace(workload, batch=images_at_once(chosen, workload.skeleton.image_size))
    say(headline(workload, describe(chosen)))
    if isinstance(workload.faces, FaceCounts):
        for sentence in outlook(workload.faces.classes, workload.faces.searched_people * workload.supernets):
            say(sentence)
    engine = supernet_engine(workload, chosen, options.devices)(workload.train.batch)
    say(f"Steps of the supernet go {engine}")
    memory = checked_memory(workload, chosen, options.devices)
    with seeded(0):
        measured = measure(workload, chosen, options.seconds, engine.name)
    result = forecast(workload, measured, memory, options, describe(chosen))
    for line in lines(result):
        say(line)
    return result


def headline(workload: Workload, device: str) -> str:
    """What is planned on which faces, and the device that is measured, in words."""
    space, skeleton, faces = workload.space, workload.skeleton, workload.faces
    kept = f"{faces.confirmation:,} to confirm the front, " if faces.confirmation else ""
    return (
        f"Plan: space {space.name} of {space.size:,} networks on skeleton {skeleton.name}, {skeleton.input_in_words}; "
        f"{faces.training:,} training images of {faces.classes:,} {faces.classes_are}, "
        f"{faces.validation:,} of validation, {kept}{faces.test:,} of test; {device}"
    )


def lines(forecast: Forecast) -> list[str]:
    """The work of every stage, a table of costs, what they assume, and energy and emissions."""
    options = forecast.options
    rows = [["stage", "FLOPs", "time", "range", f"on {options.devices} devices", "memory, at least"]]
    for stage in forecast.stages:
        memory = gigabytes(stage.memory.device + stage.memory.results) if stage.memory else "-"
        rows.append([stage.name, f"{stage.flops:.2g}", *_times(stage), memory])
    rows.append(["together", f"{sum(stage.flops for stage in forecast.stages):.2g}", *_times(forecast), ""])
    if options.devices == 1:
        rows = [[*row[:4], row[5]] for row in rows]
    counted = ", ".join(f"{count} {name}" for name, count in forecast.repetitions.items())
    several = (
        f" {options.devices} devices: training data parallel at efficiency {options.efficiency:g}; a generation's "
        "genotypes and whole trainings shared out in rounds."
    )
    study = (options.watts, options.grams_per_kwh) == (STUDY_WATTS, 1000 * STUDY_KG_PER_KWH)
    origin = ", the DPN study's factors: give your own by --watts and --grams-per-kwh" if study else ""
    return [
        *(f"{stage.name:<10} {stage.work}" for stage in forecast.stages),
        "",
        *aligned(rows),
        "",
        f"Measured: {counted}; medians, the range is their quartiles. Populations are priced as random ones, which "
        "share fewest prefixes; start-up, checkpoints, logs and correlate (seconds) are not counted. Memory is that of "
        f"tensors: kernels and the allocator take more.{several if options.devices > 1 else ''}",
        f"Energy: {_quantity(forecast.kwh)} kWh, {_quantity(forecast.kg_co2eq)} kg CO2eq ({options.watts:g} W a device "
        f"and {options.grams_per_kwh / 1000:g} kg CO2eq/kWh{origin}).",
    ]


def _times(costs: StageForecast | Forecast) -> list[str]:
    """Time on one device, its range, and time on all."""
    seconds = costs.seconds
    spread = f"{duration(seconds.low)} to {duration(seconds.high)}"
    return [duration(seconds.middle), spread, duration(costs.wall_seconds.middle)]


def _quantity(span: Span) -> str:
    """The middle with its range, to two digits."""
    return f"{span.middle:.2g} ({span.low:.2g} to {span.high:.2g})"
