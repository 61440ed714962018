"""A search in TensorBoard: curves over evaluations, the groups of the best networks, and the front as a picture."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dualfair.evaluation.protocol import ObjectiveNames
from dualfair.evolution.pareto import non_dominated
from dualfair.evolution.run import Progress
from dualfair.presentation.boards import lay_out, open_board
from dualfair.presentation.figures import front_figure
from dualfair.presentation.format import spoken

PICTURES = 20
"""Of the front in a search, about: an exhaustive one may have thousands of batches."""
FRONT_TAG = "front"
GROUP = "error of "
"""What the columns with the errors of groups begin with, and the tags of one chart; the group follows."""


@contextmanager
def search_board(folder: Path, columns: Sequence[str], names: ObjectiveNames) -> Iterator[Callable]:
    """What draws the generations of a search in `folder`; call it with each (`evolution.run.Progress`).

    `columns` name the values of evaluations, objectives first. The folder shows this search only: a search that is
    repeated replays its generations, and what an earlier one drew is deleted.
    """
    with open_board(folder) as writer:
        yield SearchBoard(writer, columns, names).log


class SearchBoard:
    """Curves and pictures of one search; steps are evaluations.

    `columns` name the values of evaluations, objectives first; the best network in each one on images is followed.
    """

    def __init__(self, writer, columns: Sequence[str], names: ObjectiveNames) -> None:
        self._writer = writer
        self._columns, self._objectives = tuple(columns), len(names.minimised)
        self._values = np.empty((0, len(self._columns)))
        self._best = {name: f"network of least {spoken(name)}" for name in names.measured}
        # The disparity is known of any search, and the error too.
        self._shown = [name for name in dict.fromkeys((*names.measured, names.disparity)) if name != "error"]
        charts = {f"error by group: {name}": f"^{re.escape(_plain(name))}/{GROUP}" for name in self._best.values()}
        lay_out(writer, "search", charts)

    def log(self, progress: Progress) -> None:
        """Draw a generation."""
        for tag, value in (
            ("hypervolume, higher is better", progress.hypervolume),
            ("front (networks)", progress.front),
            ("known before (networks)", progress.reused),
        ):
            self._writer.add_scalar(tag, value, progress.evaluations)
        fresh = [evaluation.values for evaluation in progress.fresh]
        self._values = np.concatenate([self._values, np.reshape(fresh, (-1, len(self._columns)))])
        scored = self._values[np.isfinite(self._values[:, : self._objectives]).all(axis=1)]
        if len(scored):
            for column, name in self._best.items():
                for tag, value in self._of_best(scored, column).items():
                    self._writer.add_scalar(_plain(f"{name}/{tag}"), value, progress.evaluations)
            every = math.ceil(progress.generations / PICTURES)
            if progress.generation % every == 0 or progress.generation in (1, progress.generations):
                values, names = scored[:, : self._objectives], map(spoken, self._columns[: self._objectives])
                picture = front_figure(values, values[non_dominated(values)], tuple(names))
                self._writer.add_figure(FRONT_TAG, picture, progress.evaluations, close=False)
        self._writer.flush()

    def _of_best(self, scored: np.ndarray, column: str) -> dict[str, float]:
        """Finite errors and objectives of the network that is least in a column; among equals in the other ones."""
        others = [name for name in self._best if name != column]
        keys = [scored[:, self._columns.index(name)] for name in (*reversed(others), column)]
        best = dict(zip(self._columns, scored[np.lexsort(keys)[0]], strict=True))
        shown = {
            f"{GROUP}all people, share of probes": best["error"],
            **{f"{name}, share of probes": value for name, value in best.items() if name.startswith(GROUP)},
            **{spoken(name): best[name] for name in self._shown},
        }
        return {tag: value for tag, value in shown.items() if np.isfinite(value)}


def _plain(tag: str) -> str:
    """A tag without round brackets: TensorBoard leaves the lines of such tags out of its custom charts."""
    return tag.translate({ord("("): "[", ord(")"): "]"})
