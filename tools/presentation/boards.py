"""TensorBoard files: a curve has every step once, however often its command is killed and repeated.

Shape legend: B batch, S side of the images in pixels.
"""

import copy
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dualfair.evaluation.protocol import ObjectiveNames, Scores
from dualfair.evolution.pareto import non_dominated
from dualfair.evolution.run import Progress as SearchProgress
from dualfair.presentation.format import spoken
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images import PEOPLE
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Progress, Trainer

EVENTS = "events.out.tfevents.*"
"""The files that TensorBoard reads in a folder; all of a folder's are one of its runs."""
OUTCOME = ".outcome"
"""What the file with a training's outcome ends with."""
PICTURES = 20
"""Of the front in a search, about: an exhaustive one may have thousands of batches."""
POINTS = 900
"""Of a training's curve, about; TensorBoard shows 1,000 at most, and more would only cost room."""
FRONT_TAG, IMAGES_TAG = "front", "training images (augmented)"
GROUP = "error of "
"""What the columns with the errors of groups begin with, and the tags of one chart; the group follows."""


def open_board(folder: Path, after: int = 0):
    """A SummaryWriter that continues the curves of a folder behind step `after`; for 0 they begin anew.

    Continued, what was written of later steps is no longer shown. Anew, the event files that lie there are deleted:
    what is replayed need not have the same steps.
    """
    from torch.utils.tensorboard import SummaryWriter

    if not after:
        _delete(folder, EVENTS)
    return SummaryWriter(str(folder), purge_step=after + 1 if after else 0)


@contextmanager
def search_board(
    folder: Path, columns: Sequence[str], names: ObjectiveNames, units: str = PEOPLE
) -> Iterator[Callable]:
    """What draws the generations of a search in `folder`; call it with each (`evolution.run.Progress`).

    `columns` name the values of evaluations, objectives first, and `units` what was scored on. The folder shows this
    search only: a search that is repeated replays its generations, and what an earlier one drew is deleted.
    """
    with open_board(folder) as writer:
        yield _SearchBoard(writer, columns, names, units).log


class _SearchBoard:
    """Curves and pictures of one search; steps are evaluations. The best network in each objective on images is
    followed, its groups together in one chart under "custom scalars"."""

    def __init__(self, writer, columns: Sequence[str], names: ObjectiveNames, units: str) -> None:
        self._writer, self._units = writer, units
        self._columns, self._objectives = tuple(columns), len(names.minimised)
        self._values = np.empty((0, len(self._columns)))
        self._best = {name: f"network of least {spoken(name)}" for name in names.measured}
        # The disparity is known of any search, and the error too.
        self._shown = [name for name in dict.fromkeys((*names.measured, names.disparity)) if name != "error"]
        tags = {f"error by group: {name}": f"^{re.escape(_plain(name))}/{GROUP}" for name in self._best.values()}
        writer.add_custom_scalars({"search": {title: ["Multiline", [tag]] for title, tag in tags.items()}})
        writer.flush()

    def log(self, progress: SearchProgress) -> None:
        """Draw a generation."""
        from dualfair.presentation.figures import front_figure

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
            f"{GROUP}all {self._units}, share of probes": best["error"],
            **{f"{name}, share of probes": value for name, value in best.items() if name.startswith(GROUP)},
            **{spoken(name): best[name] for name in self._shown},
        }
        return {tag: value for tag, value in shown.items() if np.isfinite(value)}


@contextmanager
def training_board(trainer: Trainer, folder: Path, images: int = 0) -> Iterator["TrainingBoard | None"]:
    """The board of a training that begins or goes on; None on the ranks that do not lead and where nothing is left.

    A training that begins also shows so many `images` of its first batch.
    """
    if not trainer.processes.leads or trainer.step >= trainer.steps:
        yield None
        return
    with open_board(folder, trainer.step) as board:
        if images and not trainer.step:
            board.add_image(IMAGES_TAG, _first_images(trainer, images), 0)
            board.flush()
        yield TrainingBoard(board, trainer)


class TrainingBoard:
    """Curves of a training in a folder; steps are updates.

    The board only looks at the trainer: with it and without it a training takes the same course, bit for bit.
    """

    def __init__(self, board, trainer: Trainer) -> None:
        self._board = board
        self._every = math.ceil(trainer.steps / POINTS)
        focal = trainer.recipe.loss == "focal"
        self._loss = f"{'focal loss' if focal else 'loss (nats)'}, mean over the step's paths"
        self._images = trainer.recipe.batch

    def log(self, progress: Progress, seconds: float) -> None:
        """Draw a step that took so many seconds; of a long training only every so many steps, the last one always."""
        if progress.step % self._every and progress.step not in (1, progress.steps):
            return
        points = {
            self._loss: progress.loss,
            "learning rate": progress.lr,
            "speed (images per second)": self._images / seconds if seconds else math.nan,
            "steps skipped so far": progress.skipped,
            **{f"embedding norm/{name}": norm for name, norm in progress.embedding_norms.items()},
            **{f"gradient norm before clipping/{name}": norm for name, norm in progress.gradient_norms.items()},
        }
        for tag, value in points.items():
            self._board.add_scalar(tag, value, progress.step)

    def flush(self) -> None:
        """Bring all points to the file, so that none is missing before a checkpoint that is written next."""
        self._board.flush()


def _first_images(trainer: Trainer, images: int):
    """The first images of a trainer's next batch as the network is going to see them: a grid, uint8 (3, rows, columns).

    Order and chance are read from copies of the trainer's.
    """
    import torch
    from torchvision.utils import make_grid

    from dualfair.supernet.images.augmentation import augment, draw, to_input

    recipe = trainer.recipe
    chosen = copy.deepcopy(trainer.batch_sampler).deal()
    shown = slice(min(images, len(chosen)))
    generator = torch.Generator()
    generator.set_state(trainer.augmentation.get_state())
    draws = draw(len(chosen), generator, recipe.cutout)[:, shown].to(trainer.device)
    pixels = to_input(trainer.faces.uncropped().read(chosen[shown]).to(trainer.device))
    seen = augment(pixels, draws, trainer.faces.size, **recipe.augmentation)
    pixels = (seen * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).cpu()
    return make_grid(pixels, nrow=math.ceil(math.sqrt(len(pixels))), padding=2)


def write_training_outcome(
    folder: Path,
    network: Genotype | Backbone,
    seed: int,
    recipe: Recipe,
    scores: Mapping[str, Scores],
    costs: Mapping[str, float],
    *,
    measures: Sequence[str],
    step: int,
) -> None:
    """A finished training as a row of hyper-parameters under "hparams", and a point at `step` for every number that it
    came to, in its TensorBoard folder. It is in a file of its own, so that writing it again replaces it.

    `recipe` has the training's changes, `scores` are by split, `costs` by name with unit, `measures` name those
    that are shown beside the error. Numbers that are None or not finite are left out.
    """
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    settings = {name.replace("_", " "): value for name, value in asdict(recipe).items()}
    settings = {"network": str(network).rpartition(":")[0], "head": network.head, "seed": seed, **settings}
    switches = {name: "yes" if value else "no" for name, value in settings.items() if isinstance(value, bool)}
    outcome = {f"cost/{name}": cost for name, cost in costs.items()}
    for split, scored in scores.items():
        outcome[f"{split}/error (share of probes)"] = scored.error
        outcome |= {f"{split}/{spoken(name)}": scored.measures[name] for name in measures if name != "error"}
        outcome |= {f"{split}/error of {group.group} (share of probes)": group.error for group in scored.groups}
    _delete(folder, EVENTS + OUTCOME)
    with SummaryWriter(str(folder), filename_suffix=OUTCOME) as board:
        # Not add_hparams: it would make a folder, which TensorBoard takes for another run.
        for summary in hparams({**settings, **switches}, outcome):
            board.file_writer.add_summary(summary)
        for name, value in outcome.items():
            if value is not None and math.isfinite(value):
                board.add_scalar(name, value, step)


def _plain(tag: str) -> str:
    """A tag without round brackets: TensorBoard leaves the lines of such tags out of its custom charts."""
    return tag.translate({ord("("): "[", ord(")"): "]"})


def _delete(folder: Path, pattern: str) -> None:
    for path in sorted(folder.glob(pattern)):
        path.unlink()
