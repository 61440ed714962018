"""Which trained network is exported, what its run knows of it, and the numbers that are measured on this very one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from dualfair.evaluation.protocol import Scores
from dualfair.presentation.format import listed, spoken
from dualfair.runs.config import changed
from dualfair.runs.layout import RunLayout, TrainingsLayout
from dualfair.runs.options import ProtocolOptions
from dualfair.runs.records.codec import FLAT, Record
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.records.training import SPLITS, TrainConfig, TrainedOn, TrainingResult
from dualfair.runs.run_files import RunFiles, open_runs, read_result, reason
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.watching import Say
from dualfair.stages.recommendation import objective_names
from dualfair.supernet.files import read_json
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.training.recipe import Recipe

ORIGINS = {
    "front": "of the search's front",
    "even": "an evenly spaced control",
    "random": "drawn at random",
    "named": "named by hand",
    "shelf": "of the shelf",
}
"""Why a network was trained, in words."""
RESAMPLES = 1000
"""Bootstrap resamples of an interval of this network's numbers."""
_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, OSError)

Ends = tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class StageConfig(Record):
    """What trainings of a stage have in common; a field of the recipe that varies is part of each training's name."""

    recipe: Recipe = field(metadata=FLAT)
    protocol: ProtocolOptions = field(metadata=FLAT)

    @classmethod
    def from_json(cls, value: object) -> Self:
        return super().from_json({**vars(Recipe()), **value} if isinstance(value, dict) else value)


@dataclass(frozen=True)
class FacesOrigin:
    """The faces that a network was trained on: the name of their folder, what made them, and whether they were aligned
    by landmarks. None as far as that is not known."""

    name: str | None = None
    made_by: str | None = None
    aligned: bool | None = None


@dataclass(frozen=True)
class SplitScores:
    """Scores on the people of a split: `people` by group, and by measure the ends of 95 % intervals over people as
    probes. Both are None where they were not recorded, an end where it is undefined."""

    scores: Scores
    people: Mapping[str, int] | None = None
    intervals: Mapping[str, Ends] | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """A trained network in evaluation mode on the CPU, with what is known of its training.

    `training` names network, recipe changes and seed; `why` says how it was chosen. `measured` are the scores of this
    very network by split, `results` those that the run recorded of all seeds of this training, `recipe` that of its
    training, `protocol` how networks are evaluated. All as far as is known.
    """

    network: object
    training: TrainingSpec
    identities: int
    trained_on: TrainedOn
    why: str
    measured: Mapping[str, SplitScores] = field(default_factory=dict)
    results: tuple[TrainingResult, ...] = ()
    recipe: Recipe | None = None
    protocol: ProtocolOptions | None = None
    faces: FacesOrigin = FacesOrigin()


def find_source(network: str, run: Path | None, seed: int | None, inherit: bool, say: Say) -> Source:
    """The network that the user means: a training's folder, a run, or the name of a network in a `run`.

    Of a run, the network that its report recommends, by the seed that validation people liked best. `say` hears of
    damaged files. Raises ValueError with the next step where nothing trained is found.
    """
    path = Path(network)
    if not path.exists():
        if run is None:
            raise ValueError(f"there is no {network}; name a training's folder, a run, or a network with --run RUN")
        if inherit:
            return _inherited(run, network, say)
        (files,) = open_runs([run])
        return _opened(*_of_label(files.layout, network, seed, objective_names(files).measured), say)
    if run is not None or inherit:
        raise ValueError(
            f"{network} is on disk; --run and --inherit go with the name of a network, such as 101:cosface"
        )
    layout = RunLayout(path)
    if path.is_dir() and (layout.train.folder.is_dir() or layout.retrain.folder.is_dir()):
        return _opened(*_recommended(path, seed, say), say)
    if seed is not None:
        raise ValueError(f"{network} is one training; --seed chooses among those of a run")
    return _opened(path, "named by its folder", say)


def _recommended(run: Path, seed: int | None, say: Say) -> tuple[Path, str]:
    """The training's folder of the network that the report of a run recommends."""
    from dualfair.stages.recommendation import finished_trainings, recommend, trained_networks_of

    (files,) = open_runs([run])
    names = objective_names(files)
    networks = trained_networks_of(files, finished_trainings(files), None)
    chosen = recommend(networks, names).chosen
    for problem in files.problems:
        say(problem)
    if not chosen:
        raise ValueError(f"{run} has no network that was trained from scratch; run 'dualfair retrain --run {run}'")
    first = chosen[0]
    tied = f" (tied with {first.tied} others there, the smallest taken)" if first.tied else ""
    folder, which = _of_label(RunLayout(run), first.label, seed, names.measured)
    samples = next(network.samples for network in networks if network.label == first.label)
    drawn = " and ".join(ORIGINS[sample] for sample in samples)
    return folder, (
        f"the network that the run's report recommends of {len(networks)} that were trained ({drawn}): "
        f"{listed(first.because)} on validation people{tied}; {which}"
    )


def _of_label(layout: RunLayout, label: str, seed: int | None, measures: Sequence[str]) -> tuple[Path, str]:
    """The folder of a network's retrained training, of the seed that is asked for or did best on validation people."""
    run, spec = layout.path, TrainingSpec.of_label(label)
    results: dict[int, tuple[Path, TrainingResult]] = {}
    for path in layout.retrain.results():
        if _is_of(path.parent, spec):
            result = read_result(path)
            results[result.training.seed] = path.parent, result
    if not results:
        raise ValueError(f"{run} has no finished training of {label}; run 'dualfair retrain --run {run}'")
    if seed is not None:
        if seed not in results:
            raise ValueError(
                f"{label} has no finished training of seed {seed} in {run}; seeds: {', '.join(map(str, results))}"
            )
        return results[seed][0], f"seed {seed}, asked for"
    first, *others = measures
    values = {
        seed: [result.validation.measures.get(name, math.inf) for name in measures]
        for seed, (_, result) in results.items()
    }
    best = min(values, key=lambda seed: (*values[seed], seed))
    if len(results) == 1:
        return results[best][0], f"seed {best}, the only one"
    tied = sum(value == values[best] for value in values.values()) > 1
    rule = "the first of those with the lowest" if tied else "the one with the lowest"
    then = f" (then {listed([spoken(name) for name in others])})" if others else ""
    return results[best][0], f"seed {best}, {rule} {spoken(first)} on validation people{then} of {len(results)}"


def _is_of(folder: Path, asked: TrainingSpec) -> bool:
    """Whether a folder is of a network and recipe; `101:cosface` stands for that triple in every block."""
    try:
        training = TrainingSpec.of_folder(folder)
    except ValueError:
        return False
    network = asked.network
    if isinstance(network, Genotype) and isinstance(training.network, Genotype) and len(network.blocks) == 1:
        asked = replace(asked, network=network.repeat(len(training.network.blocks)))
    return asked.label == training.label


def _opened(path: Path, why: str, say: Say) -> Source:
    """The network of a training's folder, with what lies beside it and in its run."""
    import torch

    from dualfair.runs.standalone import open_standalone

    standalone = open_standalone(path, torch.device("cpu"), say)
    folder = (path if path.is_dir() else path.parent).resolve()
    stage = TrainingsLayout(folder.parents[1])
    of_study = stage.folder.parent.name == "studies"
    run = RunLayout(stage.folder.parents[1] if of_study else stage.folder.parent)
    trainings = of_study or stage.name in ("retrain", "short")
    results = stage.results() if trainings else ()
    return Source(
        standalone.network,
        standalone.training,
        standalone.identities,
        standalone.trained_on,
        why,
        results=tuple(read_result(result) for result in results if result.parents[1] == folder.parent),
        **_about_run(run, stage.config if trainings else None, standalone.network, standalone.training, say),
    )


def _about_run(
    layout: RunLayout, configuration: Path | None, network, training: TrainingSpec, say: Say
) -> dict[str, object]:
    """What a run knows of a training: its recipe, how it evaluates networks, its faces, and this network's numbers.

    `configuration` is the file of the stage that the training is of, None for the supernet's.
    """
    files = RunFiles(layout)
    config = files.record(TrainConfig, layout.train.config)
    if config is None:
        say("The run of this training is not at hand: nothing is measured on its faces")
        return {}
    trained = files.record(StageConfig, configuration) if configuration else None
    searched = files.record(SearchConfig, layout.search.config)
    protocol = trained.protocol if trained else searched.protocol if searched else ProtocolOptions()
    history = {
        "recipe": changed((trained or config).recipe, dict(training.changes)),
        "faces": _faces(layout.path, config),
        "protocol": protocol,
    }
    try:
        return {**history, "measured": _measure(network, layout.path, config, protocol)}
    except _DAMAGE as error:
        say(f"The network is not measured again ({reason(error)})")
        return {name: history[name] for name in ("recipe", "faces")}


def _faces(run: Path, config: TrainConfig) -> FacesOrigin:
    """The faces folder's name, and what its faces.json says of how the faces were cut out."""
    from dualfair.runs.trained_run import faces_of
    from dualfair.supernet.images.store import ORIGIN

    try:
        folder = faces_of(run, config)
        origin = read_json(folder / ORIGIN)
        if origin["fingerprint"] != config.faces_fingerprint:
            return FacesOrigin(folder.name)
        made_by, aligned = origin.get("made by"), origin.get("aligned")
        return FacesOrigin(folder.name, made_by and str(made_by), aligned if isinstance(aligned, bool) else None)
    except _DAMAGE:
        return FacesOrigin(config.faces.rstrip("/").split("/")[-1])


def _measure(network, run: Path, config: TrainConfig, protocol_options: ProtocolOptions) -> dict[str, SplitScores]:
    """The scores on validation and test people of a run, with the people of every group and bootstrap intervals.

    Embeddings are those of `dualfair evaluate`; `protocol_options` says how error and disparity are taken. Raises
    ValueError where the faces are not at hand, or not those that the run was trained on.
    """
    import numpy as np

    from dualfair.evaluation.objectives import OBJECTIVES, EmbeddedFaces
    from dualfair.evaluation.protocol import evaluate_faces
    from dualfair.evaluation.scoring.embedding import embed
    from dualfair.evaluation.scoring.scorer import interval_columns
    from dualfair.runs.trained_run import recorded_setting

    setting = recorded_setting(run, config)
    protocol, by_split = protocol_options.protocol(), {}
    objectives = {"error": OBJECTIVES["error"], "disparity": protocol.disparity}
    for split in SPLITS:
        faces = setting.splits[split]
        embedded = EmbeddedFaces(embed(network, faces), faces.identities, faces.groups, protocol.seed)
        ends = interval_columns(embedded, objectives.values(), RESAMPLES)
        first = np.unique(faces.identities, return_index=True)[1]
        names, counts = np.unique(faces.groups[first], return_counts=True)
        by_split[split] = SplitScores(
            evaluate_faces(embedded, protocol),
            dict(zip(names.tolist(), counts.tolist(), strict=True)),
            {name: (ends[f"{of.column} low"], ends[f"{of.column} high"]) for name, of in objectives.items()},
        )
    return by_split


def _inherited(run: Path, label: str, say: Say) -> Source:
    """The subnet of a genotype with the supernet's weights and BN statistics measured on training images."""
    import torch

    from dualfair.runs.devices import working
    from dualfair.runs.trained_run import calibration_images, open_trained
    from dualfair.stages.inherited import recorded_search
    from dualfair.supernet.calibration import calibrate_stage

    training = TrainingSpec.of_label(label)
    if not training.plain:
        raise ValueError(
            f"{label} inherits no weights; --inherit takes a network of the run's space, such as 101:cosface"
        )
    with working(run, device="cpu", say=say) as place:
        trained = open_trained(place.directory, place.processes)
    protocol = recorded_search(trained.directory).protocol
    skeleton = trained.setting.skeleton
    genotype = trained.setting.space.parse(str(training.network.repeat(sum(skeleton.blocks))))
    network = trained.supernet.extract(genotype)
    images = calibration_images(trained, protocol.calibrate)
    if images is not None:
        calibrate_stage(network, images)
    network = network.to(memory_format=torch.channels_last).eval()
    return Source(
        network,
        TrainingSpec(genotype, (), trained.config.options.seed),
        trained.setting.splits["train"].identity_count,
        trained.config.trained_on,
        f"named, with weights inherited from a supernet and BN statistics of {protocol.calibrate} training images",
        **_about_run(RunLayout(run.resolve()), None, network, training, say),
    )
