"""Where the stages of a run directory stand, read from its files: nothing is locked, written, or loaded by torch."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from dualfair.runs.layout import RunLayout, StudyLayout, TrainingLayout, TrainingsLayout
from dualfair.runs.lock import Holder, holder
from dualfair.runs.records.command import RecordedCommand
from dualfair.runs.records.search import Front, SearchConfig
from dualfair.runs.records.study import StudyReport
from dualfair.runs.records.training import TrainConfig, TrainingResult
from dualfair.runs.status_files import ENDLESS, newest_checkpoint, record, scores, seconds_in
from dualfair.runs.training_results import read_plan
from dualfair.runs.training_spec import is_plain, label_of_folder
from dualfair.supernet.training.checkpoint import DAMAGED

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
    problems: list[str] = []
    config = record(TrainConfig, layout.train.config, problems)
    stages = [
        _train(layout, problems),
        _search(layout, config.faces_fingerprint if config else None, problems),
        _trainings(layout.retrain, _jobs(layout.retrain, problems), problems),
        *([_short(layout, problems)] if layout.short.folder.is_dir() else []),
        _correlate(layout, problems),
        *(_study(study, problems) for study in layout.studies()),
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
        problems=tuple(problems),
        next=None if running or not waiting else _next_command(layout, waiting[0], problems),
    )


def _train(layout: RunLayout, problems: list[str]) -> Stage:
    step, steps, each = newest_checkpoint(layout.train.folder, problems)
    if steps is not None and step >= steps:
        return Stage("train", "finished", "steps", step, steps, each, 0.0)
    left = None if steps is None or each is None else (steps - step) * each / 3600
    state = "interrupted" if step or layout.train.begun else "not begun"
    return Stage("train", state, "steps", step, steps, each, left)


def _search(layout: RunLayout, faces: str | None, problems: list[str]) -> Stage:
    stage = layout.search
    config = record(SearchConfig, stage.config, problems)
    front = record(Front, stage.front, problems)
    evaluations = config.evaluations if config else None
    evaluations = evaluations if evaluations is not None and 0 <= evaluations < ENDLESS else None
    scored, seconds = scores(stage.scores, config, faces, problems)
    if config and front and front.config == config:
        return Stage("search", "finished", "evaluations", evaluations or scored, evaluations or scored, seconds, 0.0)
    state = "interrupted" if stage.begun else "not begun"
    notes = ()
    if evaluations is not None and scored > evaluations:
        notes = (f"the archive holds {scored:,} scores, also of other searches",)
        scored = 0
    elif front and config:
        notes = ("front.json is of an earlier search with another budget",)
    if scored == evaluations:
        notes = (*notes, "all are scored, but the front is not written yet")
    left = None
    if evaluations is not None and seconds is not None and scored != evaluations:
        left = (evaluations - scored) * seconds / 3600
    return Stage("search", state, "evaluations", scored, evaluations, seconds, left, notes=notes)


def _short(layout: RunLayout, problems: list[str]) -> Stage:
    """One short training of every planned network; a damaged plan is told where retraining is looked after."""
    planned = dict.fromkeys((label, 0) for label, _ in _jobs(layout.retrain, []) if is_plain(label))
    return _trainings(layout.short, [*planned], problems)


def _study(stage: StudyLayout, problems: list[str]) -> Stage:
    """A study, which may have trained networks; how many it means to train only itself knows."""
    trainings = [TrainingLayout(folder) for folder in stage.folders()]
    done = sum(training.result.is_file() + training.failure.is_file() for training in trainings)
    finished = record(StudyReport, stage.report, problems) is not None and done == len(trainings)
    state = "finished" if finished else "interrupted" if stage.begun else "not begun"
    left = 0.0 if finished else None
    if not trainings:
        return Stage(stage.name, state, "report", int(finished), 1, hours_left=left)
    return Stage(stage.name, state, "trainings", done, done if finished else None, hours_left=left)


def _trainings(stage: TrainingsLayout, jobs: list[tuple[str, int]], problems: list[str]) -> Stage:
    """The standalone trainings of a stage, of which `jobs` are asked for; those that have begun where that is not
    known."""
    durations, half_done, not_begun = [], [], []
    ends: list[float | None] = []
    lengths: list[float] = []
    for label, seed in jobs or stage.begun_trainings():
        training = stage.of_label(label, seed)
        if result := record(TrainingResult, training.result, problems):
            durations.append(seconds_in(result.seconds))
            continue
        step, steps, each = newest_checkpoint(training.folder, problems)
        if not step:
            not_begun.append(f"{label} seed {seed}")
            continue
        half_done.append(f"{label} seed {seed} at step {step:,} of {steps:,}")
        ends.append(None if each is None else (steps - step) * each)
        lengths += [] if each is None else [steps * each]
    measured = [seconds for seconds in durations if seconds is not None] or lengths
    each = sum(measured) / len(measured) if measured else None
    state, left = "interrupted" if durations or half_done or stage.begun else "not begun", None
    if jobs and not half_done and not not_begun:
        state, left = "finished", 0.0
    elif jobs and each is not None and None not in ends:
        left = (len(not_begun) * each + sum(ends)) / 3600
    return Stage(
        name=stage.name,
        state=state,
        unit="trainings",
        done=len(durations),
        total=len(jobs) or None,
        seconds_each=each,
        hours_left=left,
        half_done=tuple(half_done),
        not_begun=tuple(not_begun),
    )


def _correlate(layout: RunLayout, problems: list[str]) -> Stage:
    stage = layout.correlate
    ranking = None
    if stage.ranking.exists():
        # Its statistics are loaded only where there are any.
        from dualfair.runs.records.ranking import RankingStudy

        ranking = record(RankingStudy, stage.ranking, problems)
    if ranking is None:
        return Stage("correlate", "interrupted" if stage.begun else "not begun", "networks")
    networks, missing = len(ranking.networks), ranking.missing
    ranked = {*ranking.networks, *ranking.left_out}
    trained = [(label, seed) for label, seed in _finished(layout.retrain) if is_plain(label)]
    later = {label for label, seed in trained if label not in ranked or f"{label} seed {seed}" in missing}
    if later:
        notes = (f"retrained since: {', '.join(sorted(later))}",)
        total = len({*ranking.networks, *later})
        return Stage("correlate", "interrupted", "networks", networks, total, notes=notes)
    short = {label for label, seed in _finished(layout.short) if seed == 0}
    knows_short = any("short training" in measure.baselines for measure in ranking.measures.values())
    if networks and short >= {*ranking.networks} and not knows_short:
        return Stage("correlate", "interrupted", "networks", networks, networks, notes=("short trainings since",))
    notes = (f"{ranking.seeds} seeds each", *(f"missing: {training}" for training in missing))
    return Stage("correlate", "finished", "networks", networks, networks, hours_left=0.0, notes=notes)


def _jobs(stage: TrainingsLayout, problems: list[str]) -> list[tuple[str, int]]:
    """The trainings that were asked for: label and seed."""
    try:
        return [(job.training.label, job.training.seed) for job in read_plan(stage).jobs]
    except ValueError as error:
        problems.append(str(error))
        return []


def _finished(stage: TrainingsLayout) -> list[tuple[str, int]]:
    """The trainings that have a result, intact or not: label and seed."""
    folders = [path.parent for path in stage.results()]
    return [(label_of_folder(path.parent.name), int(path.name.removeprefix("seed-"))) for path in folders]


def _stage_of(typed: str, stages: list[Stage]) -> str:
    """The stage that a command works on; one for all stages works on the first that is not finished."""
    words = typed.split()[1:]
    named = next((word for word in words if not word.startswith("-")), None)
    if named == "retrain" and "--short" in words:
        return "short"
    if named in {stage.name for stage in stages}:
        return named
    return next((stage.name for stage in stages if stage.state != "finished"), "")


def _next_command(layout: RunLayout, stage: Stage, problems: list[str]) -> str:
    """What to type for a stage: the command that began it, or one with nothing but the run directory."""
    studies = {study.name: study for study in layout.studies()}
    folder = studies.get(stage.name) or layout.stage(stage.name)
    try:
        if stage.state == "interrupted" and (typed := RecordedCommand.last_of(folder)):
            ranks = _RANKS.search(typed.device)
            launch = f"torchrun --standalone --nproc-per-node {ranks[1]} --no-python -- " if ranks else ""
            return launch + typed.command
    except ValueError as error:
        problems.append(f"{folder.commands} cannot be read: {error}")
    if stage.name == "train":
        return f"dualfair train --faces FACES --out {shlex.quote(str(layout.path))}"
    name, more = ("retrain", " --short") if stage.name == "short" else (stage.name, "")
    return f"dualfair {name} --run {shlex.quote(str(layout.path))}{more}"
