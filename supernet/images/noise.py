"""Faces without content: only shapes matter to how long something takes.

Shape legend: N images, B batch, S side of the images in pixels.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch


@dataclass(frozen=True)
class RandomFaces:
    """`images` of random pixels of `people`, dealt to two groups, as training and scoring read faces."""

    images: int
    people: int
    size: int
    seed: int = 0

    def __len__(self) -> int:
        return self.images

    @cached_property
    def labels(self) -> np.ndarray:
        """Identities numbered from 0, int64 (N,)."""
        return np.arange(self.images) % self.people

    @cached_property
    def identities(self) -> np.ndarray:
        """Identities as strings (N,)."""
        return self.labels.astype(str)

    @cached_property
    def groups(self) -> np.ndarray:
        """Groups as strings (N,)."""
        return np.where(self.labels % 2, "a", "b")

    @cached_property
    def _pixels(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randint(0, 256, (self.images, self.size, self.size, 3), dtype=torch.uint8, generator=generator)

    def read(self, images: np.ndarray) -> torch.Tensor:
        """Pixels of the images with these numbers, uint8 (B, S, S, 3)."""
        return self._pixels[torch.from_numpy(np.asarray(images))]
