"""`python -m tests.soak.soak`: runs all stages with kill -9 at random moments, and compares with an undisturbed run.

Every stage is a process of its own. Killed, it is started again by the same command, until enough kills were survived.
Then all that both runs came to has to be equal, and no finished work may have been lost or done twice on the way.
"""

import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import click

from dualfair.runs.status import status
from dualfair.supernet.files import write_json
from tests.soak.killing import DOING, Attempt, Moment, draw, start
from tests.soak.run_comparison import asked_and_known, differences, evaluations, finished_work, lost

_SHARES = {"faces": 0.05, "train": 0.35, "search": 0.22, "retrain": 0.3, "correlate": 0.08}
"""How kills are dealt to the stages."""
_SHORTEST = 0.75
"""Start-ups that a start may last on average, however late it is: a third of them get to work."""


class Failed(RuntimeError):
    """A command ended by itself as it should not."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the run is: the default is about 50 seconds of work for one processor."""

    people: int = 50
    images: int = 8
    epochs: float = 8.0
    population: int = 14
    generations: int = 5
    controls: int = 4
    retrain_epochs: float = 5.0

    def commands(self) -> dict[str, list[str]]:
        """The words after `dualfair` of every stage, in order."""
        often = "--checkpoint-every 0.02"
        texts = {
            "faces": f"faces synth --out faces --identities {self.people} --images {self.images} --size 32",
            "train": f"train --faces faces --out run --space dpn81-shared --size 32 --epochs {self.epochs} --batch 16 "
            f"--lr 0.1 {often}",
            "search": f"search --run run --population {self.population} --generations {self.generations} "
            "--calibrate 64",
            "retrain": f"retrain --run run --seeds 2 --controls {self.controls} --epochs {self.retrain_epochs} {often}",
            "correlate": "correlate --run run --resamples 200",
        }
        return {stage: text.split() for stage, text in texts.items()}


@dataclass
class Soak:
    """A soak in the folder `out`: its undisturbed run, the attempts at the disturbed one, and what is not as it was.

    `kills` are wanted, in about `minutes`; the moments follow from `rng`.
    """

    out: Path
    commands: dict[str, list[str]]
    kills: int
    minutes: float
    rng: random.Random
    tell: Callable[[str], object]
    undisturbed: dict[str, Attempt] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0

    def run(self) -> None:
        """Do it all. Raises ValueError when the undisturbed run fails; other failures are differences."""
        for stage, words in self.commands.items():
            attempt = start(stage, words, self.out / "undisturbed")
            if attempt.exit_status not in ((0, 3) if stage == "correlate" else (0,)):
                raise ValueError(f"{stage} failed undisturbed; see {self.out}/undisturbed/{stage}.log")
            self.undisturbed[stage] = attempt
            self.tell(f"{stage}: {attempt.seconds:.1f} s undisturbed, {attempt.start_up:.1f} s of them start-up")
        try:
            while self.survived < self.kills or not self.attempts:
                self._disturb()
            self.differences += differences(self.out / "undisturbed", self.out / "disturbed")
        except Failed as error:
            self.differences.append(str(error))
        self.ended = time.monotonic()

    @property
    def survived(self) -> int:
        """Kills so far."""
        return sum(attempt.killed for attempt in self.attempts)

    def _disturb(self) -> None:
        """Run all stages; kills that one ends too early for are left to the next ones, then to finished stages."""
        finished = {attempt.stage for attempt in self.attempts}
        carried = 0
        for stage, share in zip(self.commands, dealt(self.kills - self.survived), strict=True):
            before, carried = self.survived, carried + share
            if carried or stage not in finished:
                self._survive(stage, carried)
                carried -= self.survived - before
                self.tell(f"{stage}: {self.survived - before} kills survived")

    def _survive(self, stage: str, quota: int) -> None:
        """Run a stage to its end, with `quota` kills if it lasts that long. Raises Failed."""
        folder, last = self.out / "disturbed", self.survived + quota
        while True:
            before, scored = finished_work(folder), len(evaluations(folder))
            left = last - self.survived
            attempt = start(stage, self.commands[stage], folder, self._moment(stage, left) if left else None)
            self.attempts.append(attempt)
            self.differences += lost(before, finished_work(folder))
            if not attempt.killed:
                break
        wanted = self.undisturbed[stage].exit_status
        if attempt.exit_status != wanted:
            raise Failed(
                f"{stage}: exit status {attempt.exit_status} after {self.survived} kills, {wanted} undisturbed; see "
                f"{folder}/{stage}.log"
            )
        if stage == "search" and (said := asked_and_known(folder)) != (len(evaluations(folder)), scored):
            self.differences.append(f"search: {scored} evaluations were in the archive, its log says {said}")

    def _moment(self, stage: str, left: int) -> Moment:
        """When to kill the next start of a stage that is to be killed `left` times more."""
        once, stages = self.undisturbed[stage], [*self.commands]
        started = [attempt.start_up for attempt in (once, *self.attempts) if attempt.stage == stage and attempt.work]
        start_up = fmean(started[-3:])
        work = (once.seconds - once.start_up) * (1 - share_done(self.out / "disturbed" / "run", stage))
        later = sum(self.undisturbed[name].seconds for name in stages[stages.index(stage) + 1 :])
        free = self.began + 60 * self.minutes - time.monotonic() - start_up - work - later
        allowed = max(free / (self.kills - self.survived), _SHORTEST * start_up)
        return draw(self.rng, start_up, work / left, allowed)

    def report(self) -> dict:
        """The figures: kills by stage and by what was going on, and seconds of work that had to be repeated."""
        killed = [attempt for attempt in self.attempts if attempt.killed]
        counts = Counter((attempt.stage, attempt.doing) for attempt in killed)
        once = sum(attempt.work for attempt in self.undisturbed.values())
        work = sum(attempt.work for attempt in self.attempts)
        return {
            "minutes": round((self.ended - self.began) / 60, 1),
            "kills": len(killed),
            "killed": {stage: {doing: counts[stage, doing] for doing in DOING} for stage in self.commands},
            "half_written_files": sum(attempt.half_written for attempt in killed),
            "starts": len(self.attempts),
            "work_seconds_undisturbed": round(once, 1),
            "work_seconds_disturbed": round(work, 1),
            "work_seconds_repeated": round(work - once, 1),
            "seconds_undisturbed": {stage: round(attempt.seconds, 1) for stage, attempt in self.undisturbed.items()},
            "nothing_lost": not self.differences,
            "differences": self.differences,
        }


@click.command()
@click.option("--minutes", type=float, default=15.0, show_default=True, help="About how long it may take.")
@click.option("--kills", type=click.IntRange(0), default=100, show_default=True, help="Kills to survive.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the moments.")
@click.option("--out", type=click.Path(path_type=Path), default="dualfair-soak", show_default=True, help="Folder.")
def command(minutes: float, kills: int, seed: int, out: Path) -> None:
    """Kill all stages again and again, and compare with an undisturbed run. Exit status 1 when anything differs."""
    if out.exists() and any(out.iterdir()):
        raise click.UsageError(f"{out} is not empty; name another folder with --out")
    report = soak(out, kills=kills, minutes=minutes, seed=seed, tell=click.echo)
    write_json(out / "soak.json", report)
    for line in lines(report):
        click.echo(line)
    sys.exit(0 if report["nothing_lost"] else 1)


def soak(
    out: Path,
    *,
    kills: int = 100,
    minutes: float = 15.0,
    seed: int = 0,
    size: Size | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> dict:
    """Run the stages undisturbed in `out/undisturbed`, then with kills in `out/disturbed`; returns the figures.

    Raises ValueError when the undisturbed run fails.
    """
    course = Soak(out, (size or Size()).commands(), kills, minutes, random.Random(seed), tell)
    course.run()
    return course.report()


def dealt(kills: int) -> list[int]:
    """Kills dealt to the stages by their shares; they add up."""
    ends, total = [0], 0.0
    for share in _SHARES.values():
        total += share
        ends.append(round(kills * total))
    return [end - begin for begin, end in itertools.pairwise(ends)]


def share_done(run: Path, stage: str) -> float:
    """Which share of a stage is done, as `dualfair status` has it; 0 where that is not known."""
    try:
        counted = {found.name: (found.done, found.total) for found in status(run).stages}
    except ValueError:
        return 0.0
    done, total = counted.get(stage, (0, None))
    return done / total if total else 0.0


def lines(report: dict) -> list[str]:
    """The report as lines of text."""
    text = [f"Soak: {report['kills']} kills survived in {report['minutes']} minutes, {report['starts']} starts"]
    text.append(f"  {'killed in':<10}" + "".join(f"{doing:>32}" for doing in DOING))
    for stage, counts in report["killed"].items():
        text.append(f"  {stage:<10}" + "".join(f"{count:>32}" for count in counts.values()))
    each = report["work_seconds_repeated"] / max(report["kills"], 1)
    return [
        *text,
        f"  {report['half_written_files']} kills left a half-written file",
        f"  work: {report['work_seconds_undisturbed']} s undisturbed, {report['work_seconds_disturbed']} s with kills: "
        f"{report['work_seconds_repeated']} s repeated, {each:.2f} s a kill (processor time behind start-ups)",
        *(report["differences"] or ["  nothing lost, nothing done twice: every result equals the undisturbed run's"]),
    ]


if __name__ == "__main__":
    command()
