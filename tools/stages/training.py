"""Runs a training to its end: resumed, shown, with checkpoints, and stopped only when saved."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click

from dualfair.commands.interruption import Interrupted, finishing_first
from dualfair.presentation.training_board import TrainingBoard, training_board
from dualfair.supernet.fitting import is_shortage, reason_of
from dualfair.supernet.training.checkpoint import Record
from dualfair.supernet.training.resuming import resume, save
from dualfair.supernet.training.trainer import NonFinite, Progress, Trainer


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
    images: int = 0,
) -> Course:
    """Train from the newest intact checkpoint of `folder` to the end, with a checkpoint every so many minutes.

    TensorBoard gets curves, and `images` of the first batch as the network sees them.
    SIGTERM and Ctrl-C let the step at hand finish and save before `commands.interruption.Interrupted` is raised. Raises
    ValueError where a step does not fit into memory.
    """
    if not minutes >= 0:
        raise ValueError(f"checkpoint_every must be 0 (every step) or more minutes, got {minutes:g}")
    record = resume(trainer, folder, configuration=configuration, tell=tell)
    if record:
        tell(f"       continuing from step {trainer.step:,}")
    with finishing_first() as wish, training_board(trainer, folder / "tensorboard", images) as board:
        keeper = _Keeper(trainer, folder, configuration, 60 * minutes, record, board)
        try:
            for progress in _shown(trainer, label, wish, board):
                keeper.follow(progress)
        except NonFinite as error:
            raise click.ClickException(str(error)) from error
        except (MemoryError, RuntimeError) as error:
            if not is_shortage(error):
                raise
            raise ValueError(
                f"memory ran out at step {trainer.step + 1:,} of {label} ({reason_of(error)}); a batch of "
                f"{trainer.recipe.batch} images does not fit: take a smaller --batch and another directory, share the "
                "batch among more ranks, or use a device with more memory"
            ) from error
        keeper.save()
        if trainer.step < trainer.steps:
            tell(f"Stopped at step {trainer.step:,} of {trainer.steps:,}; the same command continues there")
            raise Interrupted(wish.signal)
    return Course(keeper.seconds, time.monotonic() - keeper.start, keeper.saving)


def _shown(trainer: Trainer, label: str, stop: Callable[[], bool], board: TrainingBoard | None):
    """The steps of a trainer; on the leading rank with a progress bar and curves."""
    if board is None:
        yield from trainer.run(stop=stop)
        return
    from tqdm import tqdm

    with tqdm(total=trainer.steps, initial=trainer.step, desc=label, unit="step", leave=False, disable=None) as bar:
        began = time.monotonic()
        for progress in trainer.run(stop=stop):
            board.log(progress, time.monotonic() - began)
            bar.set_postfix_str(f"loss {progress.loss:.2f}, lr {progress.lr:.2g}, skipped {progress.skipped}")
            bar.update()
            yield progress
            began = time.monotonic()


@dataclass
class _Keeper:
    """Writes checkpoints as time passes, on the leading rank, and knows what they cost."""

    trainer: Trainer
    folder: Path
    configuration: str
    interval: float
    record: Record | None
    board: TrainingBoard | None = None
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
        if self.board:
            self.board.flush()
        loss = sum(self._losses) / len(self._losses) if self._losses else math.nan
        save(self.trainer, self.folder, seconds=self.seconds, loss=loss, configuration=self.configuration)
        self._losses.clear()
        self._saved_step = self.trainer.step
        self._last = time.monotonic()
        self.saving += self._last - began
