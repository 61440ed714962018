"""Starts a command of `dualfair` as a process of its own, and kills it with all its children at a chosen moment.

Needs Linux: processor times are read from /proc.
"""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dualfair.supernet.files import TEMPORARY

START_UP, WORKING, WRITING = "start-up", "working", "within 50 ms of a file change"
DOING = (START_UP, WORKING, WRITING)
"""What a process may be doing when it is killed; it starts up until it first changes a file of its stage."""

_NEAR = 0.05
_MAIN = "import sys; sys.argv[0] = 'dualfair'; from dualfair.__main__ import main; main()"


@dataclass(frozen=True)
class Moment:
    """When to kill: `after` so many seconds, of a start or, for `working`, of its first change of a file.

    With `delay` it is so many seconds after the next change of a file from then on.
    """

    after: float
    working: bool = False
    delay: float | None = None


@dataclass(frozen=True)
class Attempt:
    """One start of a stage's command: how it ended, and what it was `doing` then.

    `start_up` are the seconds until its first change of a file. `work` are the seconds of processor time behind that.
    `half_written`: it left a temporary file that was not there before.
    """

    stage: str
    seconds: float
    start_up: float
    work: float
    exit_status: int
    doing: str
    half_written: bool

    @property
    def killed(self) -> bool:
        """Whether the kill came before the end."""
        return self.exit_status == -signal.SIGKILL


def draw(rng: random.Random, start_up: float, pace: float, allowed: float) -> Moment:
    """A random moment: half of them at any instant of start-up and work, half at or shortly after a file change.

    A start that ends so gets on by about `pace` seconds of work on average. Where that would last more than `allowed`
    seconds on average, fewer moments are at file changes, and the others come earlier.
    """
    reach = max(2 * pace, 0.5)
    anytime, changing = (start_up + reach) / 2, start_up + reach / 2
    share = min(max((allowed - anytime) / (changing - anytime), 0.0), 0.5)
    if rng.random() < share:
        return Moment(rng.uniform(0, reach), True, rng.choice([0.0, rng.uniform(0, _NEAR)]))
    after = rng.uniform(0, min(start_up + reach, 2 * allowed))
    return Moment(after) if after < start_up else Moment(after - start_up, True)


def start(stage: str, words: Sequence[str], folder: Path, moment: Moment | None = None) -> Attempt:
    """Run `dualfair` with these words in a folder, to its end or to the moment when it is killed.

    What it prints goes to the end of `folder/STAGE.log`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "faces" if stage == "faces" else folder / "run" / stage
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    before, spent, temporary = _last_change(place), _children_seconds(), _temporary_files(folder)
    with open(folder / f"{stage}.log", "ab") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *words],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            first_change, work_before = _watch(process, place, began, moment)
        finally:
            killed_at = time.time()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    seconds, changed = time.monotonic() - began, _last_change(place)
    return Attempt(
        stage=stage,
        seconds=seconds,
        start_up=seconds if first_change is None else first_change,
        work=0.0 if first_change is None else _children_seconds() - spent - work_before,
        exit_status=process.returncode,
        doing=START_UP if changed == before else WRITING if killed_at - changed / 1e9 < _NEAR else WORKING,
        half_written=not _temporary_files(folder) <= temporary,
    )


def _watch(process: subprocess.Popen, place: Path, began: float, moment: Moment | None) -> tuple[float | None, float]:
    """Wait for the end of a process, or for its moment.

    Returns when it first changed a file in `place` (seconds; None: it did not), and its processor time until then.
    """
    seen, first_change, work_before = _last_change(place), None, 0.0
    while process.poll() is None:
        past = time.monotonic() - began
        if first_change is None and _last_change(place) != seen:
            first_change, work_before = past, _processor_seconds(process.pid)
        if moment and not (moment.working and first_change is None):
            wait = moment.after - (past - first_change if moment.working else past)
            if wait <= 0:
                if moment.delay is not None:
                    _wait_for_change(process, place)
                    time.sleep(moment.delay)
                break
            time.sleep(min(wait, 0.02))
        else:
            time.sleep(0.005 if first_change is None else 0.02)
    return first_change, work_before


def _wait_for_change(process: subprocess.Popen, place: Path) -> None:
    seen = _last_change(place)
    while process.poll() is None and _last_change(place) == seen:
        time.sleep(0.0005)


def _last_change(place: Path) -> int:
    """When a file or folder in `place` was last changed, in nanoseconds of the day; 0 where there is none."""
    newest, waiting = 0, [place]
    while waiting:
        folder = waiting.pop()
        try:
            newest = max(newest, os.stat(folder).st_mtime_ns)
            for entry in os.scandir(folder):
                newest = max(newest, entry.stat(follow_symlinks=False).st_mtime_ns)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
        except FileNotFoundError:
            # The process at work has just removed it.
            continue
    return newest


def _temporary_files(folder: Path) -> set[Path]:
    return set(folder.rglob(f"*{TEMPORARY}"))


def _processor_seconds(process: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children_seconds() -> float:
    """User and system time of all children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
