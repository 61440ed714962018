"""Runs a training to its end: resumed, shown, with checkpoints, and stopped only when saved."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from dualfair.presentation.boards import TrainingBoard, training_board
from dualfair.runs.layout import StageLayout
from dualfair.runs.watching import Progress, Say, ShouldStop, ShowProgress, Stopped, never, silent
from dualfair.supernet.memory import is_shortage, reason_of
from dualfair.supernet.training.recipe import GRAPH
from dualfair.supernet.training.resuming import resume, save
from dualfair.supernet.training.trainer import Trainer


def run_training(
    trainer: Trainer,
    folder: Path,
    *,
    configuration: str,
    minutes: float,
    say: Say,
    progress: ShowProgress = silent,
    should_stop: ShouldStop = never,
    label: str = "train",
    images: int = 0,
) -> float:
    """Train from the newest intact checkpoint of `folder` to the end, with a checkpoint every so many minutes.

    Returns the seconds that it took in all, over every restart. TensorBoard gets curves, and `images` of the first
    batch as the network sees them. When `should_stop` says so, the step at hand is finished and saved before `Stopped`
    is raised. Raises ValueError where a step does not fit into memory, and `supernet.training.trainer.NonFinite` where
    too many in a row leave the finite numbers.
    """
    if not minutes >= 0:
        raise ValueError(f"checkpoint_every must be 0 (every step) or more minutes, got {minutes:g}")
    record = resume(trainer, folder, configuration=configuration, say=say)
    if record:
        say(f"       continuing from step {trainer.step:,}, {trainer.engine}")
    with training_board(trainer, StageLayout(folder).tensorboard, images) as board:
        keeper = _Keeper(trainer, folder, configuration, 60 * minutes, board, record.seconds if record else 0.0)
        keeper.saved_step = record.step if record else None
        began = time.monotonic()
        try:
            for step in trainer.run(stop=should_stop):
                if board:
                    board.log(step, time.monotonic() - began)
                    note = f"loss {step.loss:.2f}, lr {step.lr:.2g}, skipped {step.skipped}"
                    progress(Progress(label, trainer.step, trainer.steps, "step", note))
                keeper.follow(step.loss)
                began = time.monotonic()
        except (MemoryError, RuntimeError) as error:
            if not is_shortage(error):
                raise
            by_path = "--step paths, " if trainer.engine.name == GRAPH else ""
            raise ValueError(
                f"memory ran out at step {trainer.step + 1:,} of {label} ({reason_of(error)}); a batch of "
                f"{trainer.recipe.batch} images does not fit: take {by_path}a smaller --batch, "
                "--recompute or a larger --accumulate and another directory, share the batch among more ranks, or use "
                "a device with more memory"
            ) from error
        keeper.save()
        if trainer.step < trainer.steps:
            reached = f"at step {trainer.step:,} of {trainer.steps:,}"
            say(f"Stopped {reached}; the same command continues there")
            raise Stopped(f"{label} was stopped {reached}, and saved")
    return keeper.seconds


@dataclass
class _Keeper:
    """Writes checkpoints as time passes, on the leading rank; `before` are the seconds of earlier starts."""

    trainer: Trainer
    folder: Path
    configuration: str
    interval: float
    board: TrainingBoard | None
    before: float
    saved_step: int | None = None
    _losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = self._last = time.monotonic()

    @property
    def seconds(self) -> float:
        """Of training until here, over every restart."""
        return self.before + time.monotonic() - self._start

    def follow(self, loss: float) -> None:
        """Take a step's loss in, and save when it is time."""
        if math.isfinite(loss):
            self._losses.append(loss)
        if time.monotonic() - self._last >= self.interval:
            self.save()

    def save(self) -> None:
        """Write a checkpoint, unless there is one of this step."""
        if not self.trainer.processes.leads or self.trainer.step == self.saved_step:
            return
        if self.board:
            self.board.flush()
        loss = sum(self._losses) / len(self._losses) if self._losses else math.nan
        save(self.trainer, self.folder, seconds=self.seconds, loss=loss, configuration=self.configuration)
        self._losses.clear()
        self.saved_step = self.trainer.step
        self._last = time.monotonic()
