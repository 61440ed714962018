"""A training in TensorBoard: curves over updates, the images that it begins with, and what it came to.

Shape legend: B batch, S side of the images in pixels.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from dualfair.evaluation.protocol import Scores
from dualfair.presentation.boards import lay_out, open_board, write_outcome
from dualfair.presentation.format import spoken
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Progress, Trainer

POINTS = 900
"""Of a curve, about; TensorBoard shows 1,000 at most, and more would only cost room."""
COLUMNS = ("network", "head", "seed", "optimizer", "lr")
"""In which trainings of a run differ most often: shown first in their table."""
IMAGES_TAG = "training images (augmented)"
CHARTS = {
    "mean norm of the embeddings, by head": "^embedding norm/",
    "gradient norm before clipping, by group of weights": "^gradient norm before clipping/",
}


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


@contextmanager
def training_board(trainer: Trainer, folder: Path, images: int = 0) -> Iterator[TrainingBoard | None]:
    """The board of a training that begins or goes on; None on the ranks that do not lead and where nothing is left.

    A training that begins also shows so many `images` of its first batch.
    """
    if not trainer.processes.leads or trainer.step >= trainer.steps:
        yield None
        return
    with open_board(folder, trainer.step) as board:
        if not trainer.step:
            if images:
                board.add_image(IMAGES_TAG, first_images(trainer, images), 0)
            lay_out(board, "training", CHARTS)
        yield TrainingBoard(board, trainer)


def first_images(trainer: Trainer, images: int):
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
    draws = draw(len(chosen), generator)[:, shown].to(trainer.device)
    pixels = to_input(trainer.faces.read(chosen[shown]).to(trainer.device))
    seen = augment(pixels, draws, flip=recipe.flip, shift=recipe.shift, brightness=recipe.brightness)
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
    """A finished training as a row of hyper-parameters and of what it came to, in its TensorBoard folder.

    `recipe` has the training's changes, `scores` are by split, `costs` by name with unit, `measures` name those
    that are shown beside the error.
    """
    hyper_parameters = {
        "network": str(network).rpartition(":")[0],
        "head": network.head,
        "seed": seed,
        **{name.replace("_", " "): value for name, value in asdict(recipe).items()},
    }
    outcome = {}
    for split, scored in scores.items():
        outcome[f"{split}/error (share of probes)"] = scored.error
        outcome |= {f"{split}/{spoken(name)}": scored.measures[name] for name in measures if name != "error"}
        for group in scored.groups:
            outcome[f"{split}/error of {group.group} (share of probes)"] = group.error
    outcome |= {f"cost/{name}": cost for name, cost in costs.items()}
    write_outcome(folder, hyper_parameters, outcome, step, COLUMNS)
