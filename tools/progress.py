"""Progress of long stages: a bar in the terminal and curves in TensorBoard."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click


def run_training(trainer, folder: Path, checkpoint_minutes: float, label: str = "train") -> float:
    """Run a trainer to its end, the leading rank with a progress bar, TensorBoard and checkpoints; returns seconds."""
    from torch.utils.tensorboard import SummaryWriter
    from tqdm import tqdm

    from supernet.training import NonFinite

    start = saved = time.monotonic()
    began_at = trainer.step
    if not trainer.processes.leads:
        deque(trainer.run(), maxlen=0)
        return time.monotonic() - start
    with SummaryWriter(str(folder / "tensorboard"), purge_step=began_at + 1) as board:
        bar = tqdm(
            trainer.run(), total=trainer.steps, initial=began_at, desc=label, unit="step", leave=False, disable=None
        )
        try:
            for progress in bar:
                bar.set_postfix_str(f"loss {progress.loss:.2f}, lr {progress.lr:.2g}, skipped {progress.skipped}")
                _log_training(board, progress)
                if time.monotonic() - saved > 60 * checkpoint_minutes:
                    trainer.save(folder)
                    saved = time.monotonic()
        except NonFinite as error:
            raise click.ClickException(str(error)) from error
    if trainer.step > began_at:
        trainer.save(folder)
    return time.monotonic() - start


def _log_training(board, progress) -> None:
    board.add_scalar("loss, mean over the step's paths", progress.loss, progress.step)
    board.add_scalar("learning rate", progress.lr, progress.step)
    board.add_scalar("steps skipped", progress.skipped, progress.step)
    for name, norm in progress.embedding_norms.items():
        board.add_scalar(f"embedding norm/{name}", norm, progress.step)
    for name, norm in progress.gradient_norms.items():
        board.add_scalar(f"gradient norm before clipping/{name}", norm, progress.step)


@contextmanager
def search_progress(folder: Path) -> Iterator[Callable]:
    """A reporter for the evolution room: a bar over generations, and curves over evaluations."""
    from torch.utils.tensorboard import SummaryWriter
    from tqdm import tqdm

    with SummaryWriter(str(folder)) as board, tqdm(desc="search", unit="generation", leave=False, disable=None) as bar:

        def report(progress) -> None:
            bar.total = progress.generations
            bar.update(progress.generation - bar.n)
            bar.set_postfix_str(f"{progress.evaluations} evaluated, {progress.reused} known, front {progress.front}")
            board.add_scalar("hypervolume", progress.hypervolume, progress.evaluations)
            board.add_scalar("networks in the front", progress.front, progress.evaluations)
            board.add_scalar("known before", progress.reused, progress.evaluations)

        yield report
