"""Where the stages of a run directory stand, read from its files: nothing is locked, written, or loaded by torch."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dualfair.evolution.storage import glance
from dualfair.presentation.format import quoted
from dualfair.runs.directory import Holder, holder
from dualfair.runs.layout import RunLayout, StageLayout, StudyLayout, TrainingLayout, TrainingsLayout
from dualfair.runs.options import measured_alike
from dualfair.runs.records.search import Front, SearchConfig
from dualfair.runs.records.study import StudyReport
from dualfair.runs.records.training import TrainConfig, TrainingPlan
from dualfair.runs.run_files import RunFiles
from dualfair.runs.training_spec import is_plain
from dualfair.supernet.training.checkpoint import DAMAGED, checkpoints, read_record

ENDLESS = 2**53
"""Larger numbers in a file are damage."""
_RANKS = re.compile(r", (\d+) ranks$")


@dataclass(frozen=True)
class Stage:
    """Where a stage stands.

    `state` is "finished", "running", "interrupted" or "not begun". `done` of `total` are counted in `unit`; `total` and
    `hours_left`, at the speed measured so far, are None where nothing says so yet. `notes` are sentences on what else a
    reader has to know.
    """

    name: str
    state: str
    unit: str
    done: int
    total: int | None
    hours_left: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """Where a run stands: its stages, the command at work on it, and the one to type next (None: there is none).

    `stages` are the four of a run, and short trainings and studies where these have a folder. `damaged` are files that
    were set aside, `problems` one sentence for everything that could not be read.
    """

    run: str
    stages: tuple[Stage, ...]
    running: Holder | None
    damaged: tuple[str, ...]
    problems: tuple[str, ...]
    next: str | None


def status(run: RunLayout | Path) -> Status:
    """Where the run in a directory stands. Raises ValueError when the directory is no run directory."""
    layout = run if isinstance(run, RunLayout) else RunLayout(Path(run))
    if not (layout.lock.is_file() or any(stage.begun for stage in layout.stages())):
        raise ValueError(
            f"{layout.path} is no run directory: no stage has begun in it; begin one with 'dualfair train --out'"
        )
    files = RunFiles(layout)
    planned, longer = _planned(files, layout.retrain), _planned(files, layout.long)
    shortened = [(label, 0) for label in dict.fromkeys(label for label, _ in planned) if is_plain(label)]
    stages = [
        _train(files),
        _search(files),
        _trainings(files, layout.retrain, planned),
        *([_trainings(files, layout.short, shortened)] if layout.short.folder.is_dir() else []),
        *([_trainings(files, layout.long, longer)] if layout.long.folder.is_dir() else []),
        _correlate(files),
        *(_study(files, study) for study in layout.studies()),
    ]
    running = holder(layout.lock)
    if running:
        working = _stage_of(str(running.command), stages)
        stages = [replace(stage, state="running") if stage.name == working else stage for stage in stages]
    waiting = [stage for stage in stages if stage.state != "finished"]
    return Status(
        run=str(layout.path),
        stages=tuple(stages),
        running=running,
        damaged=tuple(sorted(str(path.relative_to(layout.path)) for path in layout.path.rglob(f"*{DAMAGED}*"))),
        next=None if running or not waiting else _next_command(files, waiting[0]),
        # Behind the next command, which may be one that cannot be read.
        problems=tuple(files.problems),
    )


def _stage(
    stage: StageLayout,
    unit: str,
    done: int,
    total: int | None = None,
    *,
    finished: bool = False,
    seconds_left: float | None = None,
    notes: Sequence[str] = (),
) -> Stage:
    state = "finished" if finished else "interrupted" if done or stage.begun else "not begun"
    hours = 0.0 if finished else None if seconds_left is None else seconds_left / 3600
    return Stage(stage.name, state, unit, done, total, hours, tuple(notes))


def _planned(files: RunFiles, stage: TrainingsLayout) -> list[tuple[str, int]]:
    """The label and seed of every training that a stage was ever asked for."""
    plan = files.record(TrainingPlan, stage.plan) or TrainingPlan()
    return [(job.training.label, job.training.seed) for job in plan.jobs]


def _train(files: RunFiles) -> Stage:
    stage = files.layout.train
    begun = [_newest_checkpoint(files, each.folder) for each in files.layout.supernets()]
    if (first := begun[0]) is None:
        return _stage(stage, "steps", 0)
    config = files.record(TrainConfig, stage.config)
    _, steps, each = first
    done, total = sum(newest[0] for newest in begun if newest), steps * max(1, config.options.folds if config else 0)
    return _stage(stage, "steps", done, total, finished=done >= total, seconds_left=(total - done) * each)


def _search(files: RunFiles) -> Stage:
    stage = files.layout.search
    config, front = files.record(SearchConfig, stage.config), files.record(Front, stage.front)
    total = config.evaluations if config else None
    scored, each = _scores(files, config)
    if config and front and front.config == config:
        return _stage(stage, "evaluations", total or scored, total or scored, finished=True)
    notes = ["front.json is of an earlier search with another budget"] if config and front else []
    left = None
    if total is not None and scored > total:
        scored, notes = 0, [f"the archive holds {scored:,} scores, also of other searches"]
    if total is not None and each is not None and scored < total:
        left = (total - scored) * each
    return _stage(stage, "evaluations", scored, total, seconds_left=left, notes=notes)


def _study(files: RunFiles, stage: StudyLayout) -> Stage:
    """A study, which may have trained networks; how many it means to train only itself knows."""
    trainings = [TrainingLayout(folder) for folder in stage.folders()]
    done = sum(training.result.is_file() + training.failure.is_file() for training in trainings)
    finished = files.record(StudyReport, stage.report) is not None and done == len(trainings)
    if not trainings:
        return _stage(stage, "report", int(finished), 1, finished=finished)
    return _stage(stage, "trainings", done, done if finished else None, finished=finished)


def _trainings(files: RunFiles, stage: TrainingsLayout, planned: Sequence[tuple[str, int]]) -> Stage:
    """The standalone trainings of a stage that are `planned`, or those that have begun where that is not known."""
    results, durations, half_done, missing, failed, left = files.results(stage), [], [], 0, 0, None
    for label, seed in planned or stage.begun_trainings():
        training = stage.of_label(label, seed)
        if result := results.get(training.result):
            durations.append(result.seconds)
        elif training.failure.is_file():
            failed += 1
        elif newest := _newest_checkpoint(files, training.folder):
            half_done.append(newest)
        else:
            missing += 1
    lengths = durations or [steps * each for _, steps, each in half_done]
    if planned and lengths:
        left = sum((steps - step) * each for step, steps, each in half_done) + missing * sum(lengths) / len(lengths)
    counts = ((len(half_done), "half done"), (failed, "failed, without a result"))
    done, total = len(durations) + failed, len(planned) or None
    notes = [f"{count} {what}" for count, what in counts if count]
    return _stage(stage, "trainings", done, total, finished=done == total, seconds_left=left, notes=notes)


def _correlate(files: RunFiles) -> Stage:
    layout, stage, ranking = files.layout, files.layout.correlate, None
    if stage.ranking.exists():
        # Its statistics are loaded only where there are any.
        from dualfair.runs.records.ranking import RankingStudy

        ranking = files.record(RankingStudy, stage.ranking)
    if ranking is None:
        return _stage(stage, "networks", 0)
    ranked = {*ranking.networks, *ranking.left_out}
    trained = [result.training for result in files.results(layout.retrain, plain=True).values()]
    later = {each.label for each in trained if each.label not in ranked or str(each) in ranking.missing}
    if later:
        notes = [f"retrained since: {', '.join(sorted(later))}"]
    else:
        notes = [f"{ranking.seeds} seeds each", *(f"missing: {training}" for training in ranking.missing)]
    total = len({*ranking.networks, *later})
    return _stage(stage, "networks", len(ranking.networks), total, finished=not later, notes=notes)


def _newest_checkpoint(files: RunFiles, folder: Path) -> tuple[int, int, float] | None:
    """Steps done, steps planned and seconds a step by the newest checkpoint of the length that its record states.

    Its SHA-256 is left to those who load it. None where there is none.
    """
    for path in reversed(checkpoints(folder)):
        try:
            about, size = read_record(path), path.stat().st_size
            if size != about.bytes:
                raise ValueError(f"it has {size:,} bytes instead of {about.bytes}")
            if not (0 < about.step <= about.steps < ENDLESS and 0 <= about.seconds < ENDLESS):
                raise ValueError(f"its record says step {about.step} of {about.steps} in {about.seconds} s")
        except FileNotFoundError:
            # A command at work has just dropped it for a newer one.
            continue
        except ValueError as error:
            if path.exists():
                files.add_problem(f"{files.shown(path)} will be passed over: {error}")
            continue
        return about.step, about.steps, about.seconds / about.step
    return None


def _scores(files: RunFiles, config: SearchConfig | None) -> tuple[int, float | None]:
    """How many scores the archive holds that were last measured as the search does on the run's faces, and mean seconds
    of one. Without its configuration scores on these faces count."""
    path, trained = files.layout.search.scores, files.record(TrainConfig, files.layout.train.config)
    asked_for = {**config.to_json(), **asdict(config.protocol)} if config else {}
    known = {**asked_for, "faces": trained.faces_fingerprint if trained else None}
    try:
        for measurement, evaluations, seconds in glance(path) if path.is_file() else ():
            if measured_alike(measurement, known):
                return evaluations, seconds
    except (ValueError, TypeError) as error:
        files.add_problem(f"{files.shown(path)} cannot be read ({error}); the next search looks after it")
    return 0, None


def _stage_of(typed: str, stages: Sequence[Stage]) -> str:
    """The stage that a command works on; one for all stages works on the first that is not finished."""
    words = typed.split()[1:]
    named = "short" if "--short" in words else next((word for word in words if not word.startswith("-")), "")
    names = [stage.name for stage in stages]
    return named if named in names else next((stage.name for stage in stages if stage.state != "finished"), "")


def _next_command(files: RunFiles, stage: Stage) -> str:
    """What to type for a stage: the command that began it, or one with nothing but the run directory."""
    run, folder = files.layout.path, next(folder for folder in files.layout.stages() if folder.name == stage.name)
    if stage.state == "interrupted" and (typed := files.last_command(folder)):
        ranks = _RANKS.search(typed.device)
        launch = f"torchrun --standalone --nproc-per-node {ranks[1]} --no-python -- " if ranks else ""
        return launch + _typed_for(run, typed.command)
    if stage.name == "train":
        return f"dualfair train --faces FACES --out {quoted(run)}"
    return (
        f"dualfair retrain --run {quoted(run)} --short"
        if stage.name == "short"
        else f"dualfair {stage.name} --run {quoted(run)}"
    )


def _typed_for(run: Path, command: str) -> str:
    """A command as it was typed, for the place where its run lies: it may be a copy, whose commands name the first."""
    words = shlex.split(command)
    option = "--out" if "train" in words[:3] else "--run"
    return " ".join(
        quoted(run)
        if before == option
        else f"{option}={quoted(run)}"
        if word.startswith(f"{option}=")
        else quoted(word)
        for before, word in zip(["", *words], words, strict=False)
    )
