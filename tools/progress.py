"""Progress of a search: a bar in the terminal and curves in TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


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
