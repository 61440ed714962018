"""Progress of a search: a bar in the terminal, and curves and pictures in TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def search_progress(folder: Path, columns: Sequence[str], objectives: int, disparity: str) -> Iterator[Callable]:
    """A reporter for the evolution room: a bar over generations; curves and fronts over evaluations in `folder`.

    `columns` name the values of evaluations, of which the first `objectives` are minimised; `disparity` is the one
    searched on beside the error. The folder shows this search only: a search that is repeated replays its generations,
    and what an earlier one drew is deleted.
    """
    from tqdm import tqdm

    from dualfair.presentation.boards import open_board
    from dualfair.presentation.search_board import SearchBoard

    with open_board(folder) as writer, tqdm(desc="search", unit="generation", leave=False, disable=None) as bar:
        board = SearchBoard(writer, columns, objectives, disparity)

        def report(progress) -> None:
            bar.total = progress.generations
            bar.update(progress.generation - bar.n)
            bar.set_postfix_str(f"{progress.evaluations} evaluated, {progress.reused} known, front {progress.front}")
            board.log(progress)

        yield report
