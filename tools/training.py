"""Runs a training to its end: resumed, shown, with checkpoints, and stopped only when saved."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click

from supernet.checkpoint import Record
from supernet.resuming import resume, save
from supernet.training import NonFinite, Progress, Trainer
from tools.interruption import Interrupted, finishing_first


@dataclass(frozen=True)
class Course:
    """How a training went: seconds in all, over every restart, and those of this process that checkpoints took."""

    seconds: float
    here: float
    saving: float


def run_training(
    trainer: Trainer,
    folder: Path,
    *,
    configuration: str,
    minutes: float,
    tell: Callable[[str], object],
    label: str = "train",
) -> Course:
    """Train from the newest intact checkpoint of `folder` to the end, with a checkpoint every so many minutes.

    SIGTERM and Ctrl-C let the step at hand finish and save before `tools.interruption.Interrupted` is raised.
    """
    if not minutes >= 0:
        raise ValueError(f"checkpoint_every must be 0 (every step) or more minutes, got {minutes:g}")
    record = resume(trainer, folder, configuration=configuration, tell=tell)
    if record:
        tell(f"       continuing from step {trainer.step:,}")
    keeper = _Keeper(trainer, folder, configuration, 60 * minutes, record)
    with finishing_first() as wish:
        try:
            for progress in _shown(trainer, folder, label, wish):
                keeper.follow(progress)
        except NonFinite as error:
            raise click.ClickException(str(error)) from error
        keeper.save()
        if trainer.step < trainer.steps:
            tell(f"Stopped at step {trainer.step:,} of {trainer.steps:,}; the same command continues there")
            raise Interrupted(wish.signal)
    return Course(keeper.seconds, time.monotonic() - keeper.start, keeper.saving)


def _shown(trainer: Trainer, folder: Path, label: str, stop: Callable[[], bool]):
    """The steps of a trainer; on the leading rank with a progress bar and curves."""
    if not trainer.processes.leads:
        yield from trainer.run(stop=stop)
        return
    from torch.utils.tensorboard import SummaryWriter
    from tqdm import tqdm

    begun = trainer.step
    with (
        SummaryWriter(str(folder / "tensorboard"), purge_step=begun + 1) as board,
        tqdm(total=trainer.steps, initial=begun, desc=label, unit="step", leave=False, disable=None) as bar,
    ):
        for progress in trainer.run(stop=stop):
            bar.set_postfix_str(f"loss {progress.loss:.2f}, lr {progress.lr:.2g}, skipped {progress.skipped}")
            bar.update()
            _log(board, progress)
            yield progress


@dataclass
class _Keeper:
    """Writes checkpoints as time passes, on the leading rank, and knows what they cost."""

    trainer: Trainer
    folder: Path
    configuration: str
    interval: float
    record: Record | None
    start: float = field(default_factory=time.monotonic)
    saving: float = 0.0
    _losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._last = self.start
        self._saved_step = self.record.step if self.record else None

    @property
    def seconds(self) -> float:
        """Of training until here, over every restart."""
        return (self.record.seconds if self.record else 0.0) + time.monotonic() - self.start

    def follow(self, progress: Progress) -> None:
        """Take a step's progress in, and save when it is time."""
        if math.isfinite(progress.loss):
            self._losses.append(progress.loss)
        if time.monotonic() - self._last >= self.interval:
            self.save()

    def save(self) -> None:
        """Write a checkpoint, unless there is one of this step."""
        if not self.trainer.processes.leads or self.trainer.step == self._saved_step:
            return
        began = time.monotonic()
        loss = sum(self._losses) / len(self._losses) if self._losses else math.nan
        save(self.trainer, self.folder, seconds=self.seconds, loss=loss, configuration=self.configuration)
        self._losses.clear()
        self._saved_step = self.trainer.step
        self._last = time.monotonic()
        self.saving += self._last - began


def _log(board, progress: Progress) -> None:
    board.add_scalar("loss, mean over the step's paths", progress.loss, progress.step)
    board.add_scalar("learning rate", progress.lr, progress.step)
    board.add_scalar("steps skipped", progress.skipped, progress.step)
    for name, norm in progress.embedding_norms.items():
        board.add_scalar(f"embedding norm/{name}", norm, progress.step)
    for name, norm in progress.gradient_norms.items():
        board.add_scalar(f"gradient norm before clipping/{name}", norm, progress.step)
