"""Where the stages of a run directory stand, read from its files: nothing is locked, written, or loaded by torch."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dualfair.evolution.storage import glance
from dualfair.runs.layout import RunLayout, StudyLayout, TrainingLayout, TrainingsLayout
from dualfair.runs.lock import Holder, holder
from dualfair.runs.protocol import measured_alike
from dualfair.runs.records.search import Front, SearchConfig
from dualfair.runs.records.study import StudyReport
from dualfair.runs.records.training import TrainConfig, TrainingPlan, TrainingResult
from dualfair.runs.run_files import RunFiles
from dualfair.runs.training_spec import is_plain
from dualfair.supernet.training.checkpoint import DAMAGED, checkpoints, read_record

ENDLESS = 2**53
"""Larger numbers in a file are damage."""
_RANKS = re.compile(r", (\d+) ranks$")


@dataclass(frozen=True)
class Stage:
    """Where a stage stands.

    `state` is "finished", "running", "interrupted" or "not begun". `done` of `total` are counted in `unit`; `total`,
    `seconds_each` (mean duration of a unit) and `hours_left` are None where nothing says so yet. `half_done` and
    `not_begun` name trainings. `notes` are sentences on what else a reader has to know.
    """

    name: str
    state: str
    unit: str
    done: int = 0
    total: int | None = None
    seconds_each: float | None = None
    hours_left: float | None = None
    half_done: tuple[str, ...] = ()
    not_begun: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """Where a run stands: its stages, the command at work on it, and the one to type next (None: there is none).

    `stages` are the four of a run, and short trainings and studies where these have a folder.
    `unknown` are the unfinished stages that `hours_left` leaves out. `damaged` are files that were set aside,
    `problems` one sentence for everything that could not be read.
    """

    run: str
    stages: tuple[Stage, ...]
    running: Holder | None
    hours_left: float
    unknown: tuple[str, ...]
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
    plan = files.record(TrainingPlan, layout.retrain.plan) or TrainingPlan()
    planned = [(job.training.label, job.training.seed) for job in plan.jobs]
    shortened = [(label, 0) for label in dict.fromkeys(label for label, _ in planned) if is_plain(label)]
    stages = [
        _train(files),
        _search(files),
        _trainings(files, layout.retrain, planned),
        *([_trainings(files, layout.short, shortened)] if layout.short.folder.is_dir() else []),
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
        hours_left=sum(stage.hours_left or 0.0 for stage in waiting),
        unknown=tuple(stage.name for stage in waiting if stage.hours_left is None),
        damaged=tuple(sorted(str(path.relative_to(layout.path)) for path in layout.path.rglob(f"*{DAMAGED}*"))),
        next=None if running or not waiting else _next_command(files, waiting[0]),
        # Behind the next command, which may be one that cannot be read.
        problems=tuple(files.problems),
    )


def _train(files: RunFiles) -> Stage:
    stage = files.layout.train
    step, steps, each = _newest_checkpoint(files, stage.folder)
    if steps is not None and step >= steps:
        return Stage("train", "finished", "steps", step, steps, each, 0.0)
    left = None if steps is None or each is None else (steps - step) * each / 3600
    return Stage("train", "interrupted" if step or stage.begun else "not begun", "steps", step, steps, each, left)


def _search(files: RunFiles) -> Stage:
    stage = files.layout.search
    config = files.record(SearchConfig, stage.config)
    front = files.record(Front, stage.front)
    evaluations = config.evaluations if config else None
    evaluations = evaluations if evaluations is not None and 0 <= evaluations < ENDLESS else None
    scored, seconds = _scores(files, config)
    if config and front and front.config == config:
        return Stage("search", "finished", "evaluations", evaluations or scored, evaluations or scored, seconds, 0.0)
    notes = ()
    if evaluations is not None and scored > evaluations:
        notes = (f"the archive holds {scored:,} scores, also of other searches",)
        scored = 0
    elif front and config:
        notes = ("front.json is of an earlier search with another budget",)
    left = None
    if scored == evaluations:
        notes = (*notes, "all are scored, but the front is not written yet")
    elif evaluations is not None and seconds is not None:
        left = (evaluations - scored) * seconds / 3600
    state = "interrupted" if stage.begun else "not begun"
    return Stage("search", state, "evaluations", scored, evaluations, seconds, left, notes=notes)


def _study(files: RunFiles, stage: StudyLayout) -> Stage:
    """A study, which may have trained networks; how many it means to train only itself knows."""
    trainings = [TrainingLayout(folder) for folder in stage.folders()]
    done = sum(training.result.is_file() + training.failure.is_file() for training in trainings)
    finished = files.record(StudyReport, stage.report) is not None and done == len(trainings)
    state = "finished" if finished else "interrupted" if stage.begun else "not begun"
    left = 0.0 if finished else None
    if not trainings:
        return Stage(stage.name, state, "report", int(finished), 1, hours_left=left)
    return Stage(stage.name, state, "trainings", done, done if finished else None, hours_left=left)


def _trainings(files: RunFiles, stage: TrainingsLayout, planned: Sequence[tuple[str, int]]) -> Stage:
    """The standalone trainings of a stage that are `planned`, or those that have begun where that is not known."""
    durations, half_done, not_begun = [], [], []
    left: list[float | None] = []
    lengths: list[float] = []
    for label, seed in planned or stage.begun_trainings():
        training = stage.of_label(label, seed)
        if result := files.record(TrainingResult, training.result):
            durations.append(result.seconds)
            continue
        step, steps, each = _newest_checkpoint(files, training.folder)
        if not step:
            not_begun.append(f"{label} seed {seed}")
            continue
        half_done.append(f"{label} seed {seed} at step {step:,} of {steps:,}")
        left.append(None if each is None else (steps - step) * each)
        lengths += [] if each is None else [steps * each]
    measured = [seconds for seconds in durations if 0 <= seconds < ENDLESS] or lengths
    each = sum(measured) / len(measured) if measured else None
    state, hours = "interrupted" if durations or half_done or stage.begun else "not begun", None
    if planned and not half_done and not not_begun:
        state, hours = "finished", 0.0
    elif planned and each is not None and None not in left:
        hours = (len(not_begun) * each + sum(left)) / 3600
    return Stage(
        name=stage.name,
        state=state,
        unit="trainings",
        done=len(durations),
        total=len(planned) or None,
        seconds_each=each,
        hours_left=hours,
        half_done=tuple(half_done),
        not_begun=tuple(not_begun),
    )


def _correlate(files: RunFiles) -> Stage:
    layout, stage, ranking = files.layout, files.layout.correlate, None
    if stage.ranking.exists():
        # Its statistics are loaded only where there are any.
        from dualfair.runs.records.ranking import RankingStudy

        ranking = files.record(RankingStudy, stage.ranking)
    if ranking is None:
        return Stage("correlate", "interrupted" if stage.begun else "not begun", "networks")
    networks, missing = len(ranking.networks), ranking.missing
    ranked = {*ranking.networks, *ranking.left_out}
    trained = [(label, seed) for label, seed in layout.retrain.finished_trainings() if is_plain(label)]
    later = {label for label, seed in trained if label not in ranked or f"{label} seed {seed}" in missing}
    if later:
        notes = (f"retrained since: {', '.join(sorted(later))}",)
        total = len({*ranking.networks, *later})
        return Stage("correlate", "interrupted", "networks", networks, total, notes=notes)
    short = {label for label, seed in layout.short.finished_trainings() if seed == 0}
    knows_short = any("short training" in measure.baselines for measure in ranking.measures.values())
    if networks and short >= {*ranking.networks} and not knows_short:
        return Stage("correlate", "interrupted", "networks", networks, networks, notes=("short trainings since",))
    notes = (f"{ranking.seeds} seeds each", *(f"missing: {training}" for training in missing))
    return Stage("correlate", "finished", "networks", networks, networks, hours_left=0.0, notes=notes)


def _newest_checkpoint(files: RunFiles, folder: Path) -> tuple[int, int | None, float | None]:
    """Steps done, steps planned and seconds a step by the newest checkpoint of the length that its record states.

    Its SHA-256 is left to those who load it. (0, None, None) where there is none.
    """
    for path in reversed(checkpoints(folder)):
        try:
            about, size = read_record(path), path.stat().st_size
            if size != about.bytes:
                raise ValueError(f"it has {size:,} bytes instead of {about.bytes}")
            if not 0 < about.step <= about.steps < ENDLESS:
                raise ValueError(f"its record says step {about.step} of {about.steps}")
        except FileNotFoundError:
            # A command at work has just dropped it for a newer one.
            continue
        except ValueError as error:
            if path.exists():
                files.add_problem(f"{files.shown(path)} will be passed over: {error}")
            continue
        return about.step, about.steps, about.seconds / about.step if 0 <= about.seconds < ENDLESS else None
    return 0, None, None


def _scores(files: RunFiles, config: SearchConfig | None) -> tuple[int, float | None]:
    """How many scores the archive holds that were last measured as the search does on the run's faces, and mean seconds
    of one. Without its configuration scores on these faces count."""
    path, trained = files.layout.search.scores, files.record(TrainConfig, files.layout.train.config)
    known = {**(config.to_json() if config else {}), "faces": trained.faces_fingerprint if trained else None}
    try:
        for measurement, evaluations, seconds in glance(path) if path.is_file() else ():
            if measured_alike(measurement, known):
                return evaluations, seconds
    except (ValueError, TypeError) as error:
        files.add_problem(f"{files.shown(path)} cannot be read ({error}); the next search looks after it")
    return 0, None


def _stage_of(typed: str, stages: list[Stage]) -> str:
    """The stage that a command works on; one for all stages works on the first that is not finished."""
    words = typed.split()[1:]
    named = next((word for word in words if not word.startswith("-")), None)
    if named == "retrain" and "--short" in words:
        return "short"
    if named in {stage.name for stage in stages}:
        return named
    return next((stage.name for stage in stages if stage.state != "finished"), "")


def _next_command(files: RunFiles, stage: Stage) -> str:
    """What to type for a stage: the command that began it, or one with nothing but the run directory."""
    layout = files.layout
    studies = {study.name: study for study in layout.studies()}
    folder = studies.get(stage.name) or layout.stage(stage.name)
    if stage.state == "interrupted" and (typed := files.last_command(folder)):
        ranks = _RANKS.search(typed.device)
        launch = f"torchrun --standalone --nproc-per-node {ranks[1]} --no-python -- " if ranks else ""
        return launch + typed.command
    if stage.name == "train":
        return f"dualfair train --faces FACES --out {shlex.quote(str(layout.path))}"
    name, more = ("retrain", " --short") if stage.name == "short" else (stage.name, "")
    return f"dualfair {name} --run {shlex.quote(str(layout.path))}{more}"
