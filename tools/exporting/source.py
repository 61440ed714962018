"""Which trained network is exported, and what its run knows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from dualfair.reporting.run_files import reason
from dualfair.reporting.words import listed
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.files import read_json

ORIGINS = {
    "front": "of the search's front",
    "even": "an evenly spaced control",
    "random": "drawn at random",
    "named": "named by hand",
    "shelf": "of the shelf",
}
"""Why a network was trained, in words."""
STAGES = ("retrain", "inherit", "short", "tune")
"""The folders of a run with trainings in them."""
_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, OSError)


@dataclass(frozen=True, eq=False)
class Source:
    """A trained network in evaluation mode on the CPU, with what is known of its training.

    `training` names network, recipe changes and seed; `why` says how it was chosen. `measured` holds the verdicts of
    `measured.measure` on it, `results` those that the run recorded of all seeds of this training, `recipe` the options
    of training, `protocol_options` how networks are judged. `faces` is {"name", "made by", "aligned"}. All as far as is
    known.
    """

    network: object
    training: TrainingSpec
    identities: int
    trained_on: dict
    why: str
    measured: dict = field(default_factory=dict)
    results: tuple[dict, ...] = ()
    recipe: dict = field(default_factory=dict)
    protocol_options: dict = field(default_factory=dict)
    faces: dict = field(default_factory=dict)


def find_source(
    network: str, run: Path | None, seed: int | None, inherit: bool, tell: Callable[[str], object]
) -> Source:
    """The network that the user means: a training's folder or checkpoint, a run, or the name of a network in a `run`.

    Of a run, the network that its report recommends, by the seed that validation people liked best. `tell` hears of
    damaged files. Raises ValueError with the next step where nothing trained is found.
    """
    path = Path(network)
    if not path.exists():
        if run is None:
            raise ValueError(f"there is no {network}; name a training's folder, a run, or a network with --run RUN")
        if inherit:
            return _inherited(run, network, tell)
        return _opened(*_of_label(run, network, seed), tell)
    if run is not None or inherit:
        raise ValueError(
            f"{network} is on disk; --run and --inherit go with the name of a network, such as 101:cosface"
        )
    if path.is_dir() and ((path / "train").is_dir() or (path / "retrain").is_dir()):
        return _opened(*_recommended(path, seed, tell), tell)
    if seed is not None:
        raise ValueError(f"{network} is one training; --seed chooses among those of a run")
    return _opened(path, "named by its folder", tell)


def _recommended(run: Path, seed: int | None, tell: Callable[[str], object]) -> tuple[Path, str]:
    """The training's folder of the network that the report of a run recommends."""
    from dualfair.reporting.networks import choose, networks_of, read_results, read_samples, tell_unfinished
    from dualfair.reporting.run_files import open_runs
    from dualfair.reporting.setting import open_setting

    (files,) = open_runs([run])
    results = read_results(files)
    tell_unfinished(files, results)
    samples = read_samples(files)
    networks = networks_of(results, samples, open_setting(files))
    chosen = choose(networks)["chosen"]
    for problem in files.problems:
        tell(problem)
    if not chosen:
        raise ValueError(f"{run} has no network that was trained from scratch; run 'dualfair retrain --run {run}'")
    label, because = chosen[0]["genotype"], listed(chosen[0]["because"])
    tied = f" (tied with {chosen[0]['tied']} others there, the smallest taken)" if chosen[0]["tied"] else ""
    folder, which = _of_label(run, label, seed)
    drawn = " and ".join(ORIGINS.get(sample, sample) for sample in samples.get(label, ["named"]))
    return folder, (
        f"the network that the run's report recommends of {len(networks)} that were trained ({drawn}): {because} on "
        f"validation people{tied}; {which}"
    )


def _of_label(run: Path, label: str, seed: int | None) -> tuple[Path, str]:
    """The folder of a network's retrained training, of the seed that is asked for or did best on validation people."""
    wanted = TrainingSpec.of_label(label)
    found: dict[int, tuple[Path, dict]] = {}
    for path in sorted((run / "retrain").glob("*/seed-*/result.json")):
        training = _training_in(path.parent)
        if training is not None and _same(wanted, training):
            found[training.seed] = path.parent, _result(path)
    if not found:
        raise ValueError(f"{run} has no finished training of {label}; run 'dualfair retrain --run {run}'")
    if seed is not None:
        if seed not in found:
            raise ValueError(
                f"{label} has no finished training of seed {seed} in {run}; seeds: {', '.join(map(str, found))}"
            )
        return found[seed][0], f"seed {seed}, asked for"
    values = {s: (float(r["validation"]["error"]), float(r["validation"]["disparity"])) for s, (_, r) in found.items()}
    best = min(values, key=lambda s: (*values[s], s))
    others = len(found) - 1
    if not others:
        return found[best][0], f"seed {best}, the only one"
    tied = sum(value == values[best] for value in values.values()) > 1
    rule = "the first of those with the lowest" if tied else "the one with the lowest"
    return found[best][0], f"seed {best}, {rule} error on validation people (then disparity) of {len(found)}"


def _training_in(folder: Path) -> TrainingSpec | None:
    try:
        return TrainingSpec.of_folder(folder)
    except ValueError:
        return None


def _same(wanted: TrainingSpec, other: TrainingSpec) -> bool:
    """Whether two trainings are of one network and recipe; `101:cosface` stands for that triple in every block."""
    network = wanted.network
    if isinstance(network, Backbone) or isinstance(other.network, Backbone):
        return wanted.label == other.label
    whole = network.repeat(len(other.network.blocks)) if len(network.blocks) == 1 else network
    return replace(wanted, network=whole).label == other.label


def _result(path: Path) -> dict:
    from dualfair.runs.trainings import read_result

    try:
        return read_result(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _opened(path: Path, why: str, tell: Callable[[str], object]) -> Source:
    """The network of a training's folder or checkpoint, with what lies beside it and in its run."""
    import torch

    from dualfair.runs.standalone import open_standalone

    standalone = open_standalone(path, torch.device("cpu"), tell)
    folder = (path if path.is_dir() else path.parent).resolve()
    run, stage = folder.parents[2], folder.parents[1].name
    training = replace(TrainingSpec.of_label(standalone.name), seed=standalone.seed)
    beside = sorted(folder.parent.glob("seed-*/result.json")) if stage in STAGES else ()
    return Source(
        standalone.network,
        training,
        standalone.identities,
        standalone.trained_on,
        why,
        results=tuple(map(_result, beside)),
        **_about_run(run, stage, standalone.network, training, tell),
    )


def _about_run(run: Path, stage: str, network, training: TrainingSpec, tell: Callable[[str], object]) -> dict:
    """What a run knows of a training: its recipe, how it judges networks, its faces, and this network's numbers."""
    from dualfair.exporting.measured import measure
    from dualfair.reporting.run_files import RunFiles
    from dualfair.runs.config import recorded
    from dualfair.runs.protocol import ProtocolOptions
    from dualfair.supernet.training.recipe import Recipe

    files = RunFiles(run, run.name)
    config = files.json("train/config.json")
    if config is None:
        tell("The run of this training is not at hand: nothing is measured on its faces")
        return {}
    options = files.json(f"{stage}/config.json") or config
    recipe = {each.name: options[each.name] for each in fields(Recipe) if each.name in options}
    found = {"recipe": recipe | dict(training.changes), "faces": _faces(run, config)}
    asked = next((each for each in (options, files.json("search/config.json")) if each and "disparity" in each), None)
    try:
        protocol_options = recorded(ProtocolOptions, asked, run / "search/config.json") if asked else ProtocolOptions()
        return {
            **found,
            "protocol_options": asdict(protocol_options),
            "measured": measure(network, run, config, protocol_options),
        }
    except _DAMAGE as error:
        tell(f"The network is not measured again ({reason(error)})")
        return found


def _faces(run: Path, config: dict) -> dict:
    """The faces folder's name, and what its faces.json says of how the faces were cut out."""
    from dualfair.runs.trained_run import faces_of
    from dualfair.supernet.images.store import ORIGIN

    try:
        folder = faces_of(run, config)
        known = {"name": folder.name}
        origin = read_json(folder / ORIGIN)
        if origin["fingerprint"] != config["faces_fingerprint"]:
            return known
        return {**known, **{name: origin[name] for name in ("made by", "aligned") if name in origin}}
    except _DAMAGE:
        return {"name": str(config.get("faces", "")).rstrip("/").split("/")[-1]}


def _inherited(run: Path, label: str, tell: Callable[[str], object]) -> Source:
    """The subnet of a genotype with the supernet's weights and BN statistics measured on training images."""
    import torch

    from dualfair.runs.directory import RunDirectory
    from dualfair.runs.protocol import searched_with
    from dualfair.runs.trained_run import calibration_images, open_trained
    from dualfair.stages.standalone_training import training_faces_of
    from dualfair.supernet.calibration import calibrate_stage
    from dualfair.supernet.training.process_group import ALONE

    training = TrainingSpec.of_label(label)
    if not training.plain:
        raise ValueError(
            f"{label} inherits no weights; --inherit takes a network of the run's space, such as 101:cosface"
        )
    with RunDirectory(run).locked():
        opened = open_trained(run, ALONE)
    protocol_options, _ = searched_with(opened.directory)
    skeleton = opened.setting.skeleton
    genotype = opened.setting.space.parse(str(training.network.repeat(sum(skeleton.blocks))))
    network = opened.supernet.extract(genotype)
    images = calibration_images(opened, protocol_options.calibrate, opened.config["seed"])
    if images is not None:
        calibrate_stage(network, images)
    network = network.to(memory_format=torch.channels_last).eval()
    return Source(
        network,
        TrainingSpec(genotype, (), opened.config["seed"]),
        opened.setting.splits["train"].identity_count,
        training_faces_of(opened.config),
        f"named, with weights inherited from a supernet and BN statistics of "
        f"{protocol_options.calibrate} training images",
        **_about_run(run.resolve(), "train", network, training, tell),
    )
