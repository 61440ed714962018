"""How precisely a training computes on CUDA: half precision, the loss scale of float16, and TensorFloat-32."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from dualfair.supernet.tf32 import tensor_float32
from dualfair.supernet.training.recipe import BF16, FP16, TF32, Recipe

_HALVES = {BF16: torch.bfloat16, FP16: torch.float16}


def half_type(recipe: Recipe, device: torch.device) -> torch.dtype | None:
    """The type that forward passes are cast to; None for float32, as on every CPU."""
    return _HALVES.get(recipe.train_precision) if device.type == "cuda" else None


@contextmanager
def float32_products(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Within, products of float32 matrices and convolutions on CUDA are in TensorFloat-32, or none of them is.

    Half precision leaves those that remain as torch has them: convolutions only.
    """
    if device.type != "cuda" or recipe.half:
        yield
        return
    tf32 = recipe.train_precision == TF32
    with tensor_float32(products=tf32, convolutions=tf32):
        yield


@dataclass
class LossScale:
    """What the loss is multiplied by, so that gradients in float16 do not vanish; the rule of torch's GradScaler.

    The steps know already whether gradients are finite, which torch's own would wait for once more.
    """

    value: float = 2.0**16
    steps: int = 0
    """Since it last changed."""
    interval: int = 2000

    def keep(self) -> None:
        """Gradients were finite: after `interval` such steps the scale doubles."""
        self.steps += 1
        if self.steps == self.interval:
            self.value, self.steps = 2 * self.value, 0

    def shrink(self) -> None:
        """Gradients were not finite: half the scale."""
        self.value, self.steps = self.value / 2, 0
