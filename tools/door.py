"""The stages as Python functions: keyword arguments as the command line's options, results as records.

Every function opens its run, holds its lock while it works, and closes it. Nothing is printed unless `say` is given (a
function that takes a line of text, such as `print`), `progress` hears how far the work is, and `should_stop` may end it
where that is safe; what was done is kept, and the same call goes on from there. Of several ranks started by torchrun
the leading one gets the result of a search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dualfair.runs.config import build_configs
from dualfair.runs.devices import joined, working
from dualfair.runs.layout import RunLayout
from dualfair.runs.options import (
    CHECKPOINT_MINUTES,
    RESAMPLES,
    ConstraintOptions,
    ProtocolOptions,
    RetrainOptions,
    SearchOptions,
    TrainOptions,
)
from dualfair.runs.records.codec import Record
from dualfair.runs.records.search import Front, SearchConfig, SearchReliability
from dualfair.runs.records.training import Checkpoint, TrainConfig, TrainingPlan, TrainingResult
from dualfair.runs.run_files import read_plan, read_result
from dualfair.runs.status import Status, status
from dualfair.runs.watching import Say, ShouldStop, ShowProgress, never, silent
from dualfair.supernet.training.process_group import ALONE
from dualfair.supernet.training.recipe import AUTO, Recipe

if TYPE_CHECKING:
    from dualfair.evaluation.report import EvaluationReport
    from dualfair.exporting.export import Exported
    from dualfair.runs.records.ranking import RankingStudy
    from dualfair.supernet.images.store import FaceStore

AnyPath = str | Path
RecordKind = TypeVar("RecordKind", bound=Record)


def generate_faces(
    out: AnyPath,
    *,
    identities: int = 200,
    images: int = 16,
    size: int = 48,
    groups: int = 2,
    bias: float = 0.5,
    seed: int = 0,
    progress: ShowProgress = silent,
) -> FaceStore:
    """Generate faces of people who do not exist into the folder `out`, with a contact sheet; the faces.

    `identities` people are dealt to the `groups` (named a, b, ...) in turn, `images` each of `size` pixels. With `bias`
    0 groups are exchangeable, with 1 most different.
    """
    from dualfair.stages.faces import generate
    from dualfair.supernet.images.synthetic.people import SyntheticFaces

    names = tuple(chr(ord("a") + number) for number in range(groups))
    config = SyntheticFaces(identities=identities, images=images, size=size, groups=names, bias=bias, seed=seed)
    return generate(config, Path(out), progress)


def train(
    faces: AnyPath,
    out: AnyPath,
    *,
    checkpoint_every: float = CHECKPOINT_MINUTES,
    step: str = AUTO,
    weights_from: AnyPath | None = None,
    teacher: AnyPath | None = None,
    preset: str | None = None,
    device: str = "auto",
    deterministic: bool = False,
    say: Say = silent,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
    **options: object,
) -> Checkpoint:
    """Stage 1: train a supernet over a space, from the newest checkpoint of the run `out` if there is one.

    `faces` is a folder of faces or of labelled images. Training begins with the supernet of the run `weights_from`,
    all but the class weights; None: from scratch. It learns from the labels, and from the embeddings of a `teacher`: a
    trained network's folder, an export, an .onnx file, a folder of timm's, or .npy embeddings of all images. `options`
    are those of `TrainOptions` and `Recipe`, as `dualfair train --help` lists them. Minutes pass between checkpoints;
    `step` is how a training step goes, "auto", "paths" or "graph". Raises ValueError for options that do not fit, or a
    run that was begun with others, and `runs.watching.Stopped` when `should_stop` ended it.
    """
    from dualfair.stages.train import train as train_supernet

    configs = _configs("train", options, preset, TrainOptions, Recipe)
    watching = {
        "checkpoint_minutes": checkpoint_every,
        "step": step,
        "progress": progress,
        "should_stop": should_stop,
    }
    known = {"weights_from": _path(weights_from), "teacher": _path(teacher)}
    with working(out, make=True, device=device, deterministic=deterministic, say=say) as place:
        return train_supernet(place, Path(faces), *configs, **known, **watching)


def search(
    run: AnyPath,
    *,
    objectives: str | Sequence[str] = "",
    exhaustive: bool = False,
    batch: int | None = None,
    start: Sequence[str] = (),
    predictor: AnyPath | None = None,
    preset: str | None = None,
    device: str = "auto",
    deterministic: bool = False,
    say: Say = silent,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
    **options: object,
) -> Front | None:
    """Stage 2: evolve subnets of a trained run on the weights that they inherit; the confirmed front.

    `objectives` are two to four as the command line has them, in one text or a list; `exhaustive` scores the whole
    space instead; `batch` images are scored at once, None: as this run did before, else 128, on CUDA up to 4,096 by its
    memory; `start` are genotypes to begin with, or "paper"; `predictor` is a run, this one or another, whose standalone
    trainings predict objectives where that is shown to rank better than inherited scores. `options` are those of
    `SearchOptions`, `ProtocolOptions` and `ConstraintOptions`, as `dualfair search --help` lists them.
    """
    from dualfair.runs.trained_run import working_on
    from dualfair.stages.search import SearchTask
    from dualfair.stages.search import search as search_run

    if objectives:
        options["objectives"] = objectives if isinstance(objectives, str) else ",".join(objectives)
    configs = _configs("search", options, preset, SearchOptions, ProtocolOptions, ConstraintOptions)
    asked_for = dict(zip(("options", "protocol", "constraints"), configs, strict=True))
    task = SearchTask(
        **asked_for,
        exhaustive=exhaustive,
        batch=batch,
        start=tuple(map(str, start)),
        predictor=None if predictor is None else Path(predictor),
    )
    with working_on(run, device=device, deterministic=deterministic, say=say) as trained:
        return search_run(trained, task, progress=progress, should_stop=should_stop)


def retrain(
    run: AnyPath,
    *,
    genotype: Sequence[str] = (),
    backbone: Sequence[str] = (),
    head: Sequence[str] = (),
    survey: str | None = None,
    short: bool = False,
    check_convergence: int | None = None,
    checkpoint_every: float = CHECKPOINT_MINUTES,
    step: str = AUTO,
    weights_from: AnyPath | None = None,
    teacher: AnyPath | None = None,
    preset: str | None = None,
    device: str = "auto",
    deterministic: bool = False,
    say: Say = silent,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
    **options: object,
) -> list[TrainingResult]:
    """Stage 3: train networks by themselves, by the supernet's recipe unless told otherwise; a result a training.

    They start from the weights of `weights_from` (a run, a training's folder or an export), all but the class weights,
    and have a `teacher`, as `train` says; "none": without; None: as the supernet. Without `genotype`, `backbone` (of
    timm's, each with every `head`) and `survey` (a TOML file, or one by its name) the front, controls and random
    networks are trained. `short` trains all planned networks once more, together as long as the supernet;
    `check_convergence` trains so many of them for twice the epochs, and `correlate` says whether their order stays.
    `options` are those of `RetrainOptions` and `Recipe`, as `dualfair retrain --help` lists them.
    """
    from dualfair.runs.trained_run import working_on
    from dualfair.stages.retrain import (
        HowTrained,
        prior_of_stage,
        recipe_of_stage,
        retrain_long,
        retrain_selection,
        retrain_short,
        selected,
    )
    from dualfair.stages.retrain import retrain as retrain_networks
    from dualfair.stages.selection import Selection, Survey, read_survey

    kinds = (RetrainOptions, Recipe)
    _check_names("retrain", options, *kinds)
    selection = Selection(
        tuple(map(str, genotype)), tuple(backbone), tuple(head), read_survey(survey) if survey else Survey()
    )
    if (short or check_convergence is not None) and selection:
        raise ValueError(
            "--short and --check-convergence train planned networks; leave --genotype, --backbone and --survey out"
        )
    if short and check_convergence is not None:
        raise ValueError("--short and --check-convergence are two commands, one after the other")
    if (short or check_convergence is not None) and (weights_from, teacher) != (None, None):
        raise ValueError(
            "--short and --check-convergence begin as retraining did: leave --weights-from and --teacher out"
        )
    watching = {
        "checkpoint_minutes": checkpoint_every,
        "step": step,
        "progress": progress,
        "should_stop": should_stop,
    }
    with working_on(run, device=device, deterministic=deterministic, say=say) as trained:
        recorded = selection or check_convergence is not None
        base = recipe_of_stage(trained) if recorded else trained.config.recipe
        retrain_options, recipe = build_configs(options, preset, *kinds, stage="retrain", defaults=asdict(base))
        prior = prior_of_stage(trained, weights_from, teacher).on(recipe)
        how = HowTrained(options=retrain_options, recipe=recipe, prior=prior, **watching)
        if short:
            return retrain_short(trained, how)
        if check_convergence is not None:
            return retrain_long(trained, check_convergence, how)
        if selection:
            return retrain_selection(trained, selection, how)
        return retrain_networks(trained, selected(trained, retrain_options), how)


def correlate(
    run: AnyPath | None = None,
    *,
    table: tuple[AnyPath, AnyPath] | None = None,
    out: AnyPath | None = None,
    maximise: Sequence[str] = (),
    resamples: int = RESAMPLES,
    device: str = "auto",
    deterministic: bool = False,
    say: Say = silent,
) -> RankingStudy:
    """Stage 4: rank correlation of inherited and standalone scores, of a run or of a `table` pair of CSV files.

    The study of two tables (inherited scores, standalone scores) is written to `out`; of the columns that `maximise`
    names more is better. `resamples` are the bootstrap's.
    """
    from dualfair.runs.trained_run import working_on
    from dualfair.stages.correlate import correlate as correlate_run
    from dualfair.stages.correlate import correlate_tables

    if (run is None) == (table is None):
        raise ValueError("give either --run RUN, or --table CHEAP.csv TRUTH.csv with --out FOLDER")
    if table is not None:
        if out is None:
            raise ValueError("--table needs --out, the folder that the study is written to")
        inherited, standalone = map(Path, table)
        return correlate_tables(inherited, standalone, Path(out), maximise, resamples=resamples, say=say)
    if out is not None or maximise:
        raise ValueError("--out and --maximise belong to --table; a run's study is in its folder correlate")
    with working_on(run, device=device, deterministic=deterministic, say=say) as trained:
        return correlate_run(trained, resamples=resamples)


def evaluate(
    out: AnyPath,
    *,
    network: AnyPath | Sequence[AnyPath] = (),
    faces: AnyPath | None = None,
    embeddings: AnyPath | None = None,
    identities: AnyPath | None = None,
    pairs: AnyPath | None = None,
    pair_sets: Sequence[AnyPath] = (),
    group: str | None = None,
    split: str | None = None,
    disparity: Sequence[str] = (),
    baseline: AnyPath | None = None,
    preset: str | None = None,
    device: str = "auto",
    deterministic: bool = False,
    say: Say = silent,
    **options: object,
) -> list[EvaluationReport]:
    """Every measure of trained networks, or of any system's embeddings; a report each, also written to `out`.

    Either `network` (one training's folder, or several) with `faces`, or `embeddings` (.npy of shape (images, D)) with
    `identities`, a CSV of as many rows. Networks with `pair_sets`, .bin files, have one table in `out` and no reports.
    `options` are those of `EvaluateOptions`, as `dualfair evaluate --help` lists
    them.
    """
    from dualfair.evaluation.options import EvaluateOptions
    from dualfair.stages.evaluate import evaluate as evaluate_subjects
    from dualfair.stages.evaluate import read_baseline
    from dualfair.stages.subjects import subject_of_embeddings, subjects_of_networks

    (evaluate_options,) = _configs("evaluate", options, preset, EvaluateOptions)
    of_options = evaluate_options.drop_unknown, evaluate_options.probes
    networks = [network] if isinstance(network, (str, Path)) else [*network]
    before = read_baseline(Path(baseline)) if baseline else None
    if before:
        # Systems of one name are told apart by where their results lie.
        before = replace(before, name=f"{before.name} of {baseline}")
    if bool(networks) == bool(embeddings):
        raise ValueError("name either --network with --faces, or --embeddings with --identities")
    how = {
        "options": evaluate_options,
        "out": Path(out),
        "disparities": tuple(disparity),
        "baseline": before,
    }
    if not networks:
        if pair_sets:
            raise ValueError("--pair-set is of images, which --network embeds; leave it out with --embeddings")
        if not identities:
            raise ValueError("--embeddings needs --identities, a CSV with one row an embedding")
        subject = subject_of_embeddings(Path(embeddings), Path(identities), _path(pairs), group, split, *of_options)
        return evaluate_subjects([subject], processes=ALONE, say=say, **how)
    if pair_sets:
        if given := [name for name, value in (("faces", faces), ("pairs", pairs), ("group", group), ("split", split),
                                              ("disparity", disparity), ("baseline", baseline)) if value]:  # fmt: skip
            raise ValueError(f"--pair-set goes without --{given[0]}: such sets know pairs only")
        from dualfair.stages.pair_sets import evaluate_pair_sets

        with joined(device, deterministic) as processes:
            leading = say if processes.leads else silent
            sets = [*map(Path, pair_sets)]
            evaluate_pair_sets([*map(Path, networks)], sets, evaluate_options, Path(out), processes, leading)
        return []
    if not faces:
        raise ValueError("--network needs --faces, the folder of images to evaluate on, or --pair-set")
    with joined(device, deterministic) as processes:
        leading = say if processes.leads else silent
        subjects = subjects_of_networks(
            [*map(Path, networks)],
            Path(faces),
            _path(pairs),
            group,
            split,
            processes,
            leading,
            *of_options,
        )
        return evaluate_subjects(subjects, processes=processes, say=leading, **how)


def export(
    network: AnyPath,
    to: AnyPath,
    *,
    format: str = "timm",
    run: AnyPath | None = None,
    seed: int | None = None,
    fold_bn: bool = False,
    class_weights: bool = True,
    licence: str = "not stated",
    data_licence: str = "not stated",
    dataset_name: str = "",
    say: Say = silent,
) -> Exported:
    """Write a trained network to the folder `to`, for other programs: what was written.

    `network` is a training's folder, a run (then it is the network that the report recommends), or with `run` the name
    of a network, such as "101:cosface"; `seed` chooses among its trainings. `format` is "timm", "onnx" (that and
    model.onnx) or "state". Raises ValueError where the format cannot hold the network, or `to` holds something else
    than an export.
    """
    from dualfair.exporting import FORMATS
    from dualfair.exporting.export import Terms, check_target
    from dualfair.exporting.export import export as export_source
    from dualfair.exporting.source import find_source
    from dualfair.supernet.production.onnx_model import check_packages

    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}; choose from {', '.join(FORMATS)}")
    check_target(Path(to))
    if format == "onnx":
        check_packages()
    source = find_source(str(network), _path(run), seed, say)
    licence, data_licence, dataset_name = (" ".join(text.split()) for text in (licence, data_licence, dataset_name))
    terms = Terms(licence=licence, data_licence=data_licence, dataset=dataset_name)
    say(f"{source.trained.training}: {source.why}")
    return export_source(source, Path(to), format, terms, fold_bn=fold_bn, class_weights=class_weights, say=say)


def open_run(run: AnyPath) -> OpenedRun:
    """The results of a run directory, read when they are asked for. Nothing is locked or loaded."""
    return OpenedRun(RunLayout(Path(run)))


@dataclass(frozen=True)
class OpenedRun:
    """The results of a run directory, stage by stage. Every property raises ValueError where its stage has none yet, or
    its file is damaged, naming the file."""

    layout: RunLayout

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.layout.path

    @property
    def status(self) -> Status:
        """What of the run is finished, what is missing, and what it will cost."""
        return status(self.layout)

    @cached_property
    def training(self) -> TrainConfig:
        """What the supernet is trained by."""
        return self._read(TrainConfig, self.layout.train.config)

    @cached_property
    def searched(self) -> SearchConfig:
        """What the last search was asked for."""
        return self._read(SearchConfig, self.layout.search.config)

    @cached_property
    def front(self) -> Front:
        """The front of the last finished search."""
        return self._read(Front, self.layout.search.front)

    @cached_property
    def reliability(self) -> SearchReliability:
        """How reliable the measures are on the search's people."""
        return self._read(SearchReliability, self.layout.search.reliability)

    @cached_property
    def plan(self) -> TrainingPlan:
        """The trainings that were ever asked for."""
        return read_plan(self.layout.retrain)

    @cached_property
    def results(self) -> tuple[TrainingResult, ...]:
        """The results of all standalone trainings, searched networks and backbones, by any recipe."""
        return tuple(map(read_result, self.layout.retrain.results()))

    @cached_property
    def ranking(self) -> RankingStudy:
        """The ranking study."""
        from dualfair.runs.records.ranking import RankingStudy

        return self._read(RankingStudy, self.layout.correlate.ranking)

    def _read(self, kind: type[RecordKind], path: Path) -> RecordKind:
        stage = path.parent.name
        if not path.is_file():
            raise ValueError(f"{self.path} has no {path.name} of {stage} yet; run 'dualfair {stage}' first")
        return kind.read(path, f"run the same 'dualfair {stage}' command again")


def _configs(function: str, options: Mapping[str, object], preset: str | None, *kinds: type) -> list:
    """The configurations of a function that its options and a preset ask for."""
    _check_names(function, options, *kinds)
    return build_configs(options, preset, *kinds, stage=function)


def _check_names(function: str, options: Mapping[str, object], *configs: type) -> None:
    """Raise TypeError for a name that is no option."""
    known = [field.name for config in configs for field in fields(config) if "help" in field.metadata]
    for name in options:
        if name not in known:
            raise TypeError(f"{function}() got an unexpected option {name!r}; known: {', '.join(known)}")


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)
