"""Which trained network is exported, what its run knows of it, and the numbers that are measured on this very one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch

from dualfair.evaluation.answers import answered
from dualfair.evaluation.objectives import OBJECTIVES
from dualfair.evaluation.protocol import EvaluationProtocol, Scores, evaluate_faces
from dualfair.evaluation.scoring.scorer import interval_columns, population_answers
from dualfair.presentation.format import listed, quoted, spoken
from dualfair.runs.config import changed
from dualfair.runs.layout import RunLayout, TrainingsLayout
from dualfair.runs.options import ProtocolOptions
from dualfair.runs.records.codec import FLAT, Record
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.records.training import MEASURES, SPLITS, TrainConfig, TrainingResult
from dualfair.runs.run_files import RunFiles, open_runs, read_result, reason
from dualfair.runs.standalone import Standalone, open_standalone
from dualfair.runs.trained_run import faces_of, recorded_setting, weights_digest
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.watching import Say
from dualfair.stages.recommendation import finished_trainings, objective_names, recommend, trained_networks
from dualfair.supernet.files import read_json
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images import PEOPLE
from dualfair.supernet.images.store import ORIGIN
from dualfair.supernet.production.integers import made_of_what
from dualfair.supernet.production.onnx_model import FILE
from dualfair.supernet.training.recipe import Recipe

MEASURED = "of this very network, as `dualfair evaluate` takes them"
RECORDED = (
    "recorded when it was trained, with BN statistics measured anew on training images: those of the exported weights "
    "are a little different"
)
NOT_MEASURED = "not measured"
RESAMPLES = 1000
"""Bootstrap resamples of an interval of this network's numbers."""
_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, OSError)


@dataclass(frozen=True, kw_only=True)
class StageConfig(Record):
    """What trainings of a stage have in common; a field of the recipe that varies is part of each training's name."""

    recipe: Recipe = field(metadata=FLAT)
    protocol: ProtocolOptions = field(metadata=FLAT)

    @classmethod
    def from_json(cls, value: object) -> Self:
        return super().from_json({**vars(Recipe()), **value} if isinstance(value, dict) else value)


@dataclass(frozen=True, eq=False)
class Source:
    """A network on the CPU as it was `trained`, and `why` it is this one, with what is known of its training: the
    recipe, the `name` of its faces and what their faces.json says, and `metrics` (those of `metrics_of`). `integers` is
    the ONNX file beside a quantised one that is made of it, if there is one."""

    trained: Standalone
    why: str
    metrics: Mapping[str, object]
    recipe: Recipe | None = None
    faces: Mapping[str, object] = field(default_factory=dict)
    integers: bytes | None = None


def find_source(network: str, run: Path | None, seed: int | None, say: Say) -> Source:
    """The network that the user means: a training's folder or checkpoint, a run, or the name of a network in a `run`.

    Of a run, the network that its report recommends, by the seed that validation people liked best. `say` hears of
    damaged files. Raises ValueError with the next step where nothing trained is found.
    """
    path = Path(network)
    if not path.exists():
        if run is None:
            raise ValueError(f"there is no {network}; name a training's folder, a run, or a network with --run RUN")
        (files,) = open_runs([run])
        return _opened(*_of_label(files, network, seed, objective_names(files).measured), say)
    if run is not None:
        raise ValueError(f"{network} is on disk; --run goes with the name of a network, such as 101:cosface")
    layout = RunLayout(path)
    if path.is_dir() and (layout.train.folder.is_dir() or layout.retrain.folder.is_dir()):
        return _opened(*_recommended(path, seed, say), say)
    if seed is not None:
        raise ValueError(f"{network} is one training; --seed chooses among those of a run")
    return _opened(path, "named by its folder", say)


def _recommended(run: Path, seed: int | None, say: Say) -> tuple[Path, str]:
    """The training's folder of the network that the report of a run recommends."""
    (files,) = open_runs([run])
    names, units = objective_names(files), _units_of(files)
    networks = trained_networks(files, finished_trainings(files), None)
    chosen = recommend(networks, names).chosen
    for problem in files.problems:
        say(problem)
    if not chosen:
        raise ValueError(
            f"{run} has no network that was trained from scratch; type: dualfair retrain --run {quoted(run)}"
        )
    first = chosen[0]
    tied = f" (tied with {first.tied} others there, the smallest taken)" if first.tied else ""
    folder, which = _of_label(files, first.label, seed, names.measured)
    return folder, (
        f"the network that the run's report recommends of {len(networks)} that were trained: {listed(first.because)} "
        f"on validation {units}{tied}; {which}"
    )


def _units_of(files: RunFiles) -> str:
    """What the images of a run are counted in."""
    config = files.record(TrainConfig, files.layout.train.config)
    return config.units if config else PEOPLE


def _of_label(files: RunFiles, label: str, seed: int | None, measures: Sequence[str]) -> tuple[Path, str]:
    """The folder of a network's retrained training, of the seed that is asked for or did best on validation people.

    `101:cosface` stands for that triple in every block.
    """
    layout, asked, results = files.layout, TrainingSpec.of_label(label), {}
    for path in layout.retrain.results():
        try:
            training = TrainingSpec.of_folder(path.parent)
        except ValueError:
            continue
        networks = asked.network, training.network
        blocks = [len(network.blocks) for network in networks if isinstance(network, Genotype)]
        same = networks[0].repeat(blocks[1]) if len(blocks) == 2 and blocks[0] == 1 else networks[0]
        if (same, asked.changes) == (training.network, training.changes):
            results[training.seed] = path.parent, read_result(path).validation.measures
    if not results:
        raise ValueError(
            f"{layout.path} has no finished training of {label}; type: dualfair retrain --run {quoted(layout.path)}"
        )
    if seed is not None:
        if seed not in results:
            seeds = ", ".join(map(str, results))
            raise ValueError(f"{label} has no finished training of seed {seed} in {layout.path}; seeds: {seeds}")
        return results[seed][0], f"seed {seed}, asked for"
    values = {
        (*(measured.get(name, math.inf) for name in measures), seed): seed for seed, (_, measured) in results.items()
    }
    best = values[min(values)]
    if len(results) == 1:
        return results[best][0], f"seed {best}, the only one"
    first, *others = (spoken(name) for name in measures)
    then = f" (then {listed(others)})" if others else ""
    return results[best][
        0
    ], f"seed {best}, the one with the lowest {first} on validation {_units_of(files)}{then} of {len(results)}"


def _opened(path: Path, why: str, say: Say) -> Source:
    """The network of a training's folder or checkpoint, with what its run knows of its training: recipe, faces, and
    numbers measured on these."""
    trained = open_standalone(path, torch.device("cpu"), say)
    folder = (path if path.is_dir() else path.parent).resolve()
    if trained.bits:
        say(
            "What it comes to on people stands in the results of 'dualfair quantise'; recipe and faces stand in an "
            "export of the training that it was made of"
        )
        file = folder / FILE
        integers = file.read_bytes() if file.is_file() else None
        if integers is not None and made_of_what(integers) != weights_digest(trained.network.state_dict()):
            integers = None
        return Source(trained, why, metrics_of(trained.training.seed), integers=integers)
    stage = TrainingsLayout(folder.parents[1])
    of_study = stage.folder.parent.name == "studies"
    run = RunLayout(stage.folder.parents[1] if of_study else stage.folder.parent)
    files, measured, protocol_options, results, of_stage = RunFiles(run), {}, None, (), None
    if of_study or stage.name in ("retrain", "short", "long"):
        results = tuple(read_result(result) for result in stage.results() if result.parents[1] == folder.parent)
        of_stage = files.record(StageConfig, stage.config)
    config = files.record(TrainConfig, run.train.config)
    if config is None:
        say("The run of this training is not at hand: nothing is measured on its faces")
        return Source(trained, why, metrics_of(trained.training.seed, results))
    searched = files.record(SearchConfig, run.search.config)
    try:
        protocol_options = of_stage.protocol if of_stage else searched.protocol if searched else ProtocolOptions()
        measured = _measure(trained, run.path, config, protocol_options.protocol())
    except _DAMAGE as error:
        say(f"The network is not measured again ({reason(error)})")
        protocol_options = None
    return Source(
        trained,
        why,
        metrics_of(trained.training.seed, results, measured, protocol_options),
        changed((of_stage or config).recipe, dict(trained.training.changes)),
        _faces(run.path, config),
    )


def _faces(run: Path, config: TrainConfig) -> dict[str, object]:
    """The faces folder's name, and what its faces.json says where it is of the faces that the run was trained on."""
    name = config.faces.rstrip("/").split("/")[-1]
    try:
        origin = read_json(faces_of(run, config) / ORIGIN)
        return {**(origin if origin["fingerprint"] == config.faces_fingerprint else {}), "name": name}
    except _DAMAGE:
        return {"name": name}


def _measure(trained: Standalone, run: Path, config: TrainConfig, protocol: EvaluationProtocol) -> dict[str, dict]:
    """The numbers (`_numbers`) on validation and test people of a run, with embeddings as of `dualfair evaluate`.

    Raises ValueError where the faces are not at hand, or not those that the run was trained on.
    """
    setting, by_split = recorded_setting(run, config), {}
    objectives = {"error": OBJECTIVES["error"], "disparity": protocol.disparity}
    for split in SPLITS:
        faces = setting.splits[split]
        network = trained.network
        answers = population_answers(network, [network.spec], faces, None)[network.spec]
        embedded = answered(faces, answers, protocol.seed)
        ends = interval_columns(embedded, objectives.values(), RESAMPLES)
        first = np.unique(faces.identities, return_index=True)[1]
        # Where people are not known there are none to count.
        names, counts = np.unique(faces.groups[first if faces.units == PEOPLE else []], return_counts=True)
        by_split[split] = _numbers(
            evaluate_faces(embedded, protocol),
            dict(zip(names.tolist(), counts.tolist(), strict=True)),
            {name: (ends[f"{of.column} low"], ends[f"{of.column} high"]) for name, of in objectives.items()},
        )
    return by_split


def metrics_of(
    seed: int,
    results: Sequence[TrainingResult] = (),
    measured: Mapping[str, dict] | None = None,
    protocol_options: ProtocolOptions | None = None,
) -> dict:
    """The scores on validation and test people, every group with its people and images; None where there are none.

    They are those `measured` of the exported network itself by the protocol, else those that the training of this seed
    recorded. "seeds" has the recorded test values of all trainings of the network.
    """
    recorded = {result.training.seed: result for result in results}
    how = MEASURED if measured else NOT_MEASURED
    if not measured and seed in recorded:
        how, measured = RECORDED, {split: _numbers(recorded[seed].on(split)) for split in SPLITS}
    judging = {}
    if protocol_options:
        judging = {**asdict(protocol_options), "disparity": protocol_options.protocol().disparity_name}
    return {
        "how": how,
        "judging": judging,
        **{split: measured[split] if measured else None for split in SPLITS},
        "seeds": [
            {"seed": of_seed, **{name: getattr(result.test, name) for name in MEASURES}}
            for of_seed, result in sorted(recorded.items())
        ],
    }


def _numbers(
    scores: Scores, people: Mapping[str, int] | None = None, intervals: Mapping[str, tuple] | None = None
) -> dict:
    """Scores as data: `people` by group, and by measure the ends of 95 % intervals over people as probes, or over
    images where people are not known. Both are None where they are not known, an end where it is undefined."""
    groups = [
        {
            "group": group.group,
            "people": (people or {}).get(group.group),
            "images": group.probes,
            "error": group.error,
            "mean_rank": group.mean_rank,
        }
        for group in scores.groups
    ]
    return {
        "people": sum(people.values()) if people else None,
        "images": scores.probes,
        **{name: getattr(scores, name) for name in MEASURES},
        "intervals": intervals,
        "measures": scores.measures,
        "groups": groups,
    }
