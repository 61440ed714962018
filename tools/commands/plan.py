"""`dualfair plan`: what a run will cost, before it is spent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_type_hints

import click

from dualfair.runs.config import build_configs, config_options, option
from dualfair.runs.devices import choose_device, describe, device_option, seed_everything
from dualfair.runs.options import SearchOptions, TrainOptions
from dualfair.runs.protocol import ProtocolOptions
from dualfair.stages.retrain import RetrainOptions
from dualfair.supernet.files import write_json
from dualfair.supernet.training.recipe import Recipe


def _without(config: type, name: str, called: str) -> type:
    """A configuration with all fields of another but one."""
    hints = get_type_hints(config)
    fields = [
        (field.name, hints[field.name], dataclasses.field(default=field.default, metadata=field.metadata))
        for field in dataclasses.fields(config)
        if field.name != name
    ]
    return dataclasses.make_dataclass(called, fields, frozen=True, kw_only=True)


SearchLength = _without(SearchOptions, "seed", "SearchLength")
"""Options of a search but the seed: no cost depends on it, and training has an option of the same name."""


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What only a plan is told."""

    images: int = option(0, "Training images of a set that is not imported yet, instead of --faces.")
    identities: int = option(0, "People on the training images, with --images.")
    validation_images: int = option(0, "Validation images, with --images; as many to test.  [default: by --split]")
    search_batch: int = option(128, "Images scored at once: --batch of search.")
    retrain_epochs: float = option(0.0, "--epochs of retrain.  [default: the preset's, else those of training]")
    retrain_batch: int = option(0, "--batch of retrain.  [default: the preset's, else that of training]")
    devices: int = option(1, "Number of devices like this one.")
    efficiency: float = option(0.9, "Share of its speed that a device keeps when several train one supernet.")
    seconds: float = option(20.0, "About how long to measure in all; one step at least.")
    watts: float = option(250.0, "Power of a device; by default that of the DPN study's.")
    grams_per_kwh: float = option(373.0, "Carbon intensity in g CO2eq a kWh; by default that of the DPN study.")


@click.command()
@click.option("--faces", type=click.Path(path_type=Path), help="Faces folder.")
@click.option("--objective", "extra", multiple=True, type=click.Choice(["params", "macs"]), help="A further objective.")
@click.option("--exhaustive", is_flag=True, help="Score the whole space instead; for -shared spaces.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="File for all numbers.")
@config_options(PlanOptions, TrainOptions, Recipe, SearchLength, ProtocolOptions, RetrainOptions)
@device_option
def command(
    faces: Path | None,
    extra: tuple[str, ...],
    exhaustive: bool,
    json_path: Path | None,
    preset: str | None,
    device: str,
    **given: object,
) -> None:
    """Say what a run will cost, before it is spent: steps, FLOPs, hours, memory, energy and CO2.

    Takes the options of train, search and retrain, and one preset for all. Where stages share a name (--epochs,
    --batch and the rest of the recipe, --seed) it is that of train; retrain follows the preset's [retrain], else train.
    Refuses, with exit status 2, what cannot fit into memory. Nothing is trained or written but the --json file.
    """
    from dualfair.planning.forecast import Terms, forecast
    from dualfair.planning.limits import checked_memory
    from dualfair.planning.measurement import measure
    from dualfair.planning.report import lines

    (options,) = build_configs(given, None, PlanOptions, stage="plan")
    terms = Terms(
        devices=options.devices,
        efficiency=options.efficiency,
        watts=options.watts,
        kg_per_kwh=options.grams_per_kwh / 1000,
    )
    if not options.seconds > 0:
        raise ValueError(f"seconds must be above 0, got {options.seconds:g}")
    workload = planned(faces, given, preset, options, extra=extra, exhaustive=exhaustive)
    terms.check(workload)
    chosen = choose_device(device)
    space, skeleton, counts = workload.space, workload.skeleton, workload.faces
    kept = f"{counts.confirmation:,} to confirm the front, " if counts.confirmation else ""
    click.echo(
        f"Plan: space {space.name} of {space.size:,} networks on skeleton {skeleton.name}, {skeleton.image_size} px; "
        f"{counts.training:,} training images of {counts.identities:,} people, {counts.validation:,} of validation, "
        f"{kept}{counts.test:,} of test; {describe(chosen)}"
    )
    memory = checked_memory(workload, chosen)
    seed_everything(0)
    result = forecast(workload, measure(workload, chosen, options.seconds), memory, terms)
    for line in lines(result):
        click.echo(line)
    if json_path is not None:
        write_json(json_path, {"device": describe(chosen), **result.to_dict()})


def planned(
    faces: Path | None,
    given: Mapping[str, object],
    preset: str | None,
    options: PlanOptions,
    *,
    extra: tuple[str, ...] = (),
    exhaustive: bool = False,
):
    """The `planning.workload.Workload` that the stages' own options and preset tables ask for."""
    from dualfair.planning.workload import Workload

    train, recipe = build_configs(given, preset, TrainOptions, Recipe, stage="train")
    search, protocol_options = build_configs(given, preset, SearchOptions, ProtocolOptions, stage="search")
    own = {"epochs": options.retrain_epochs or None, "batch": options.retrain_batch or None}
    retrain, again = build_configs(
        {**{name: given[name] for name in RetrainOptions.__dataclass_fields__}, **own},
        preset,
        RetrainOptions,
        Recipe,
        stage="retrain",
        defaults=asdict(recipe),
    )
    space, skeleton, counts = _setting(faces, train, options, protocol_options.people)
    protocol = protocol_options.protocol()
    return Workload(
        space=space,
        skeleton=skeleton,
        faces=counts,
        train=recipe,
        retrain=again,
        sampler=train.sampler,
        population=search.population,
        generations=search.generations,
        confirm_candidates=search.confirm_candidates,
        exhaustive=exhaustive,
        objectives=2 + len(extra),
        calibrate=protocol_options.calibrate,
        batch=options.search_batch,
        count=protocol.count,
        gallery=protocol.gallery,
        galleries=protocol.repeats,
        seeds=retrain.seeds,
        controls=retrain.controls,
        random=retrain.random,
        ranks_per_job=retrain.ranks_per_job,
    )


def _setting(faces: Path | None, train: TrainOptions, options: PlanOptions, people: int) -> tuple:
    """Space, skeleton and numbers of faces, of which a search scores on so many people (0 = all): of a faces folder, or
    as told."""
    from dualfair.planning.workload import FaceCounts
    from dualfair.runs.architectures import open_skeleton, open_space
    from dualfair.runs.config import numbers
    from dualfair.runs.trained_run import open_setting, some_people

    if (faces is None) == (options.images == 0):
        raise ValueError("give either --faces FOLDER, or --images N and --identities K of a set not imported yet")
    if faces is not None:
        setting = open_setting(asdict(train), faces)
        splits = setting.splits
        counts = FaceCounts(
            training=len(splits["train"]),
            identities=splits["train"].identity_count,
            validation=len(splits["validation"]),
            test=len(splits["test"]),
            searched=len(some_people(splits["validation"], people, train.split_seed)) if people else None,
            confirmation=len(splits.get("confirmation", ())),
        )
        return setting.space, setting.skeleton, counts
    skeleton = open_skeleton(train.skeleton, train.blocks, train.size, train.heads)
    shares = numbers(train.split, ",", float, "split")
    if len(shares) != 3 or not min(shares) > 0:
        raise ValueError(f"split must be three shares above 0, got {train.split!r}")
    if not 0 <= train.confirm < 1:
        raise ValueError(
            f"confirm must be a share of the validation people, 0 or more and below 1, got {train.confirm}"
        )
    validation = options.validation_images or max(1, round(options.images * shares[1] / shares[0]))
    kept = round(train.confirm * validation)
    counts = FaceCounts(
        training=options.images,
        identities=options.identities,
        validation=validation - kept,
        test=options.validation_images or max(1, round(options.images * shares[2] / shares[0])),
        confirmation=kept,
    )
    if people:
        counts = replace(counts, searched=_images_of(people, counts))
    return open_space(train.space, skeleton, train.heads), skeleton, counts


def _images_of(people: int, counts) -> int:
    """How many validation images so many people have, as many each as in training.

    Raises ValueError where there are not so many people.
    """
    each = counts.training / counts.identities
    there = max(1, round(counts.validation / each))
    if not 0 < people <= there:
        raise ValueError(
            f"people must be 0 (all) to {there:,}, the people of {counts.validation:,} images; got {people}"
        )
    return min(counts.validation, max(1, round(people * each)))
