"""Trained networks in fewer bits, and what that does to groups of people: what is asked for, without torch.

`tuning` makes the networks, `verdict` measures them on the same people as those that they were made of, `study` tells.
"""

from dataclasses import dataclass

from dualfair.runs.config import option
from dualfair.runs.options import RESAMPLES
from dualfair.supernet.images import DROP_UNKNOWN
from dualfair.supernet.training.recipe import Recipe

OWN = "own"
"""Data that networks are tuned on: the training people of theirs, without labels."""
LR_BATCH = 512
"""Images of a batch that the learning rate is of."""


@dataclass(frozen=True, kw_only=True)
class QuantiseOptions:
    """How networks are tuned, and how sure one can be of what comes out. How they are tuned is QuantFace's (Boutros et
    al., 2022) but for steps and batch, and for weight decay, which normalisation is spared."""

    steps: int = option(1000, "Training steps of every network, whatever it is tuned on.")
    batch: int = option(64, "Images a step.")
    lr: float = option(0.1, f"Learning rate for {LR_BATCH} images a step; a smaller batch takes as much less.")
    seeds: int = option(1, "Times that every network is tuned, each from a seed of its own.")
    group: str = option("", "Column of groups.  [default: that which the network was trained by, else group]")
    folds: int = option(10, "Folds of the pairs that are verified.")
    least_people: int = option(5, "Groups with fewer people stay in galleries, but are not compared.")
    resamples: int = option(RESAMPLES, "Bootstrap resamples over people, for the intervals.")
    seed: int = option(0, "Seed of those, and of the pairs.")
    onnx: bool = option(False, "Write networks of 8 bits as ONNX of integers, too, and measure these.", omitted=True)
    drop_unknown: bool = option(False, DROP_UNKNOWN, omitted=True)

    def __post_init__(self) -> None:
        bounds = {"steps": 1, "batch": 2, "seeds": 1, "folds": 2, "least_people": 2, "resamples": 1, "seed": 0}
        for name, least in bounds.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")

    def recipe(self, images: int, dimensions: int) -> Recipe:
        """How a network with embeddings of so many dimensions is tuned on so many images: the loss is the squared
        difference of unit embeddings, mean over batch and dimensions, which is (2 - 2 cos) / D. Raises ValueError for
        fewer images than a batch."""
        if images < self.batch:
            raise ValueError(f"a batch of {self.batch} images needs as many to tune on, there are {images}")
        return Recipe(
            epochs=self.steps / (images // self.batch),
            batch=self.batch,
            lr=self.lr * self.batch / LR_BATCH,
            weight_decay=5e-4,
            schedule="none",
            warmup=0.0,
            margin_warmup=0.0,
            clip=5.0,
            scale=2 / dimensions,
            teacher_share=1.0,
            shift=0.0,
            brightness=0.0,
            train_precision="tf32",
        )
