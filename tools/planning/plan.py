"""A plan: what the stages' own options, a preset and some faces ask for, and what that will cost on a device."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path

from dualfair.planning.forecast import Forecast, forecast
from dualfair.planning.measurement import measure
from dualfair.planning.memory import checked_memory
from dualfair.planning.options import PlanOptions
from dualfair.planning.report import headline
from dualfair.planning.workload import FaceCounts, Workload
from dualfair.runs.architectures import open_skeleton, open_space
from dualfair.runs.config import build_configs, numbers
from dualfair.runs.devices import choose_device, describe, seeded
from dualfair.runs.options import ProtocolOptions, RetrainOptions, SearchOptions, TrainOptions
from dualfair.runs.trained_run import open_setting
from dualfair.runs.watching import Say, silent
from dualfair.supernet.images.face_set import some_people
from dualfair.supernet.training.recipe import Recipe


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
    `planned_workload` takes them. `say` hears what is planned before it is measured. Raises ValueError where options do
    not fit, and where a stage does not fit into memory.
    """
    (options,) = build_configs(given, None, PlanOptions, stage="plan")
    workload = planned_workload(faces, given, preset, options, exhaustive=exhaustive)
    if options.devices % (team := workload.retraining.ranks_per_job):
        raise ValueError(f"ranks_per_job must divide the {options.devices} devices, got {team}")
    chosen = choose_device(device)
    say(headline(workload, describe(chosen)))
    memory = checked_memory(workload, chosen)
    with seeded(0):
        measured = measure(workload, chosen, options.seconds)
    return forecast(workload, measured, memory, options, describe(chosen))


def planned_workload(
    faces: Path | None,
    given: Mapping[str, object],
    preset: str | None,
    options: PlanOptions,
    *,
    exhaustive: bool = False,
) -> Workload:
    """The workload that the stages' own options and preset tables ask for.

    `faces` is the folder of the images, None for a set that `options` count. An `exhaustive` search scores the whole
    space.
    """
    train, recipe = build_configs(given, preset, TrainOptions, Recipe, stage="train")
    search, protocol = build_configs(given, preset, SearchOptions, ProtocolOptions, stage="search")
    retraining, standalone_recipe = build_configs(
        {
            **{field.name: given.get(field.name) for field in fields(RetrainOptions)},
            "epochs": options.retrain_epochs or None,
            "batch": options.retrain_batch or None,
        },
        preset,
        RetrainOptions,
        Recipe,
        stage="retrain",
        defaults=asdict(recipe),
    )
    protocol.protocol()
    if (faces is None) == (options.images == 0):
        raise ValueError("give either --faces FOLDER, or --images N and --identities K of a set not imported yet")
    if faces is not None:
        setting = open_setting(train, faces)
        space, skeleton, splits = setting.space, setting.skeleton, setting.splits
        people = some_people(splits["validation"], protocol.people, train.split_seed) if protocol.people else None
        counts = FaceCounts(
            training=len(splits["train"]),
            identities=splits["train"].identity_count,
            validation=len(splits["validation"]),
            test=len(splits["test"]),
            searched=len(people) if people else None,
            confirmation=len(splits.get("confirmation", ())),
        )
    else:
        skeleton = open_skeleton(train.skeleton, train.blocks, train.size, train.heads)
        counts = _not_imported(train, options, protocol.people)
        space = open_space(train.space, skeleton, train.heads)
    return Workload(
        space=space,
        skeleton=skeleton,
        faces=counts,
        train=recipe,
        retrain=standalone_recipe,
        sampler=train.sampler,
        search=search,
        exhaustive=exhaustive,
        protocol=protocol,
        batch=options.search_batch,
        retraining=retraining,
    )


def _not_imported(train: TrainOptions, options: PlanOptions, people: int) -> FaceCounts:
    """Faces that are only counted, as training divides them; a search scores on so many `people` (0 = all).

    Raises ValueError where shares are out of range, and where there are not so many people.
    """
    shares = numbers(train.split, ",", float, "split")
    if len(shares) != 3 or not min(shares) > 0:
        raise ValueError(f"split must be three shares above 0, got {train.split!r}")
    if not 0 <= train.confirm < 1:
        raise ValueError(
            f"confirm must be a share of the validation people, 0 or more and below 1, got {train.confirm}"
        )
    validation = options.validation_images or max(1, round(options.images * shares[1] / shares[0]))
    confirmation = round(train.confirm * validation)
    counts = FaceCounts(
        training=options.images,
        identities=options.identities,
        validation=validation - confirmation,
        test=options.validation_images or max(1, round(options.images * shares[2] / shares[0])),
        confirmation=confirmation,
    )
    if not people:
        return counts
    images_each = counts.training / counts.identities
    there = max(1, round(counts.validation / images_each))
    if not 0 < people <= there:
        raise ValueError(
            f"people must be 0 (all) to {there:,}, the people of {counts.validation:,} images; got {people}"
        )
    return replace(counts, searched=min(counts.validation, max(1, round(people * images_each))))
