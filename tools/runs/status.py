"""Where the stages of a run directory stand, read from its files: nothing is locked, written, or loaded by torch."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from dualfair.runs.directory import STAGES
from dualfair.runs.lock import LOCK, Holder, holder
from dualfair.runs.status_files import ENDLESS, has_begun, newest_checkpoint, read_object, scores, seconds_in, texts
from dualfair.runs.training_spec import folder_of_label, is_plain, label_of_folder
from dualfair.runs.trainings import INHERIT, SHORT, TUNE, begun, read_plan
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

    `stages` are the four of a run, and short trainings, those from inherited weights, tuning, and a comparison of
    searches where these have a folder.
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


def status(run: Path) -> Status:
    """Where the run in a directory stands. Raises ValueError when the directory is no run directory."""
    if not ((run / LOCK).is_file() or any(has_begun(run / stage) for stage in STAGES)):
        raise ValueError(f"{run} is no run directory: no stage has begun in it; begin one with 'dualfair train --out'")
    problems: list[str] = []
    faces = (read_object(run / "train" / "config.json", problems) or {}).get("faces_fingerprint")
    stages = [
        _train(run, problems),
        _search(run, faces, problems),
        _retrain(run, problems),
        *([_short(run, problems)] if (run / SHORT).is_dir() else []),
        *([_inherit(run, problems)] if (run / INHERIT).is_dir() else []),
        *([_tune(run, problems)] if (run / TUNE).is_dir() else []),
        _correlate(run, problems),
        *([_compare(run, problems)] if (run / "compare").is_dir() else []),
    ]
    running = holder(run)
    if running:
        working = _stage_of(str(running.command), stages)
        stages = [replace(stage, state="running") if stage.name == working else stage for stage in stages]
    waiting = [stage for stage in stages if stage.state != "finished"]
    return Status(
        run=str(run),
        stages=tuple(stages),
        running=running,
        hours_left=sum(stage.hours_left or 0.0 for stage in waiting),
        unknown=tuple(stage.name for stage in waiting if stage.hours_left is None),
        damaged=tuple(sorted(str(path.relative_to(run)) for path in run.rglob(f"*{DAMAGED}*"))),
        problems=tuple(problems),
        next=None if running or not waiting else _next_command(run, waiting[0], problems),
    )


def _train(run: Path, problems: list[str]) -> Stage:
    step, steps, each = newest_checkpoint(run / "train", problems)
    if steps is not None and step >= steps:
        return Stage("train", "finished", "steps", step, steps, each, 0.0)
    left = None if steps is None or each is None else (steps - step) * each / 3600
    state = "interrupted" if step or has_begun(run / "train") else "not begun"
    return Stage("train", state, "steps", step, steps, each, left)


def _search(run: Path, faces: str | None, problems: list[str]) -> Stage:
    folder = run / "search"
    config = read_object(folder / "config.json", problems)
    front = read_object(folder / "front.json", problems)
    wanted = (config or {}).get("evaluations")
    wanted = wanted if type(wanted) is int and 0 <= wanted < ENDLESS else None
    known, seconds = scores(folder / "scores.sqlite", {**(config or {}), "faces": faces}, problems)
    if config and front and front.get("config") == config:
        return Stage("search", "finished", "evaluations", wanted or known, wanted or known, seconds, 0.0)
    state = "interrupted" if has_begun(folder) else "not begun"
    notes = ()
    if wanted is not None and known > wanted:
        notes = (f"the archive holds {known:,} scores, also of other searches",)
        known = 0
    elif front and config and front.get("config"):
        notes = ("front.json is of an earlier search with another budget",)
    if known == wanted:
        notes = (*notes, "all are scored, but the front is not written yet")
    left = None if wanted is None or seconds is None or known == wanted else (wanted - known) * seconds / 3600
    return Stage("search", state, "evaluations", known, wanted, seconds, left, notes=notes)


def _retrain(run: Path, problems: list[str]) -> Stage:
    folder = run / "retrain"
    return _trainings(folder, _jobs(folder, problems), problems)


def _short(run: Path, problems: list[str]) -> Stage:
    """One short training of every planned network; a damaged plan is told where retraining is looked after."""
    planned = dict.fromkeys((label, 0) for label, _ in _jobs(run / "retrain", []) if is_plain(label))
    return _trainings(run / SHORT, [*planned], problems)


def _inherit(run: Path, problems: list[str]) -> Stage:
    """Trainings from inherited weights: how many seeds were asked for, only the finished comparison knows."""
    stage = _trainings(run / INHERIT, [], problems)
    if read_object(run / INHERIT / "inherit.json", problems) and not (stage.half_done or stage.not_begun):
        return replace(stage, state="finished", total=stage.done, hours_left=0.0)
    return stage


def _tune(run: Path, problems: list[str]) -> Stage:
    """Trials by successive halving: how many go on to another rung is not known before they are done."""
    folder = run / TUNE
    report = read_object(folder / "tune.json", problems)
    done = sum((path / name).is_file() for path in folder.glob("*/seed-0") for name in ("result.json", "failed.json"))
    begun_here = sum(path.is_dir() for path in folder.glob("*/seed-0"))
    if report and done == begun_here:
        return Stage(TUNE, "finished", "trainings", done, done, hours_left=0.0)
    return Stage(TUNE, "interrupted" if has_begun(folder) else "not begun", "trainings", done)


def _trainings(folder: Path, jobs: list[tuple[str, int]], problems: list[str]) -> Stage:
    """The standalone trainings of a folder, of which `jobs` are asked for; those that have begun where that is not
    known."""
    durations, half, fresh = [], [], []
    ends: list[float | None] = []
    fulls: list[float] = []
    for label, seed in jobs or begun(folder):
        place = folder / folder_of_label(label) / f"seed-{seed}"
        if result := read_object(place / "result.json", problems):
            durations.append(seconds_in(result.get("seconds")))
            continue
        step, steps, each = newest_checkpoint(place, problems)
        if not step:
            fresh.append(f"{label} seed {seed}")
            continue
        half.append(f"{label} seed {seed} at step {step:,} of {steps:,}")
        ends.append(None if each is None else (steps - step) * each)
        fulls += [] if each is None else [steps * each]
    measured = [seconds for seconds in durations if seconds is not None] or fulls
    each = sum(measured) / len(measured) if measured else None
    state, left = "interrupted" if durations or half or has_begun(folder) else "not begun", None
    if jobs and not half and not fresh:
        state, left = "finished", 0.0
    elif jobs and each is not None and None not in ends:
        left = (len(fresh) * each + sum(ends)) / 3600
    return Stage(
        folder.name, state, "trainings", len(durations), len(jobs) or None, each, left, tuple(half), tuple(fresh)
    )


def _correlate(run: Path, problems: list[str]) -> Stage:
    folder = run / "correlate"
    report = read_object(folder / "ranking.json", problems)
    if report is None:
        return Stage("correlate", "interrupted" if has_begun(folder) else "not begun", "networks")
    networks, left_out, missing = (texts(report.get(name)) for name in ("networks", "left_out", "missing"))
    results = (run / "retrain").glob("*/seed-*/result.json")
    trained = {(label_of_folder(path.parts[-3]), path.parts[-2].removeprefix("seed-")) for path in results}
    trained = {(name, seed) for name, seed in trained if is_plain(name)}
    later = {name for name, seed in trained if name not in networks + left_out or f"{name} seed {seed}" in missing}
    if later:
        notes = (f"retrained since: {', '.join(sorted(later))}",)
        total = len({*networks, *later})
        return Stage("correlate", "interrupted", "networks", len(networks), total, notes=notes)
    short = {path.parts[-3] for path in (run / SHORT).glob("*/seed-0/result.json")}
    if networks and short >= set(map(folder_of_label, networks)) and not _knows_short(report):
        notes = ("short trainings since",)
        return Stage("correlate", "interrupted", "networks", len(networks), len(networks), notes=notes)
    notes = (f"{report.get('seeds')} seeds each", *(f"missing: {training}" for training in missing))
    return Stage("correlate", "finished", "networks", len(networks), len(networks), hours_left=0.0, notes=notes)


def _knows_short(report: dict) -> bool:
    """Whether a ranking study has the short trainings among its baselines."""
    measures = report.get("measures")
    studied = measures.values() if isinstance(measures, dict) else ()
    baselines = [found.get("baselines") for found in studied if isinstance(found, dict)]
    return any(isinstance(names, dict) and "short training" in names for names in baselines)


def _compare(run: Path, problems: list[str]) -> Stage:
    folder = run / "compare"
    report = read_object(folder / "comparison.json", problems)
    if report is None:
        return Stage("compare", "interrupted" if has_begun(folder) else "not begun", "seeds")
    seeds = report.get("seeds")
    n = len(seeds) if isinstance(seeds, list) else 0
    return Stage("compare", "finished", "seeds", n, n, hours_left=0.0)


def _jobs(folder: Path, problems: list[str]) -> list[tuple[str, int]]:
    """The trainings that were asked for: label and seed."""
    try:
        return read_plan(folder)
    except ValueError as error:
        problems.append(str(error))
        return []


def _stage_of(typed: str, stages: list[Stage]) -> str:
    """The stage that a command works on; one for all stages works on the first that is not finished."""
    words = typed.split()[1:]
    named = next((word for word in words if not word.startswith("-")), None)
    again = next((name for name in (SHORT, INHERIT) if f"--{name}" in words), None)
    if named == "retrain" and again:
        return again
    return named if named in STAGES else next((stage.name for stage in stages if stage.state != "finished"), "")


def _next_command(run: Path, stage: Stage, problems: list[str]) -> str:
    """What to type for a stage: the command that began it, or one with nothing but the run directory."""
    path = run / stage.name / "commands.jsonl"
    if stage.state == "interrupted" and path.is_file():
        try:
            record = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
            ranks = _RANKS.search(record["device"])
            launch = f"torchrun --standalone --nproc-per-node {ranks[1]} --no-python -- " if ranks else ""
            return launch + record["command"]
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            problems.append(f"{path} cannot be read: {type(error).__name__} {error}")
    if stage.name == "train":
        return f"dualfair train --faces FACES --out {shlex.quote(str(run))}"
    name, more = ("retrain", f" --{stage.name}") if stage.name in (SHORT, INHERIT) else (stage.name, "")
    return f"dualfair {name} --run {shlex.quote(str(run))}{more}"
