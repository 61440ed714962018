"""An image set: the images of one split, their labels, groups and people, read from a store at the size of a network.

Shape legend: N images, B batch, S side of the images in pixels, D embedding, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch

from dualfair.supernet.images.augmentation import resize


class TooFewPeople(ValueError):
    """A set has too few people, or images, to be divided."""


@dataclass(frozen=True)
class ImageSet(ABC):
    """Some rows of a store: `identities` and `groups` are arrays of strings (N,), images are read by number.

    Images of one identity are kept together by splits, and resampled together by bootstraps.
    """

    task: ClassVar[str]
    """What networks are trained for, as the record of a store has it."""

    mirrored: ClassVar[bool]
    """Whether networks are judged on an image together with its mirror image."""

    of_classes = ""
    """What follows an `amount` in a text, to say how many classes there are; nothing where people are the classes."""

    stored: np.ndarray
    rows: np.ndarray
    identities: np.ndarray
    groups: np.ndarray
    size: int
    crop_from: int = field(default=0, kw_only=True)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    @abstractmethod
    def labels(self) -> np.ndarray:
        """What a head learns: the number of every image's class, int64 (N,)."""

    if TYPE_CHECKING:
        # A property here would be the default of a field there.
        @property
        def class_names(self) -> tuple[str, ...]:
            """The classes in the order of their numbers."""

    @property
    @abstractmethod
    def scored_classes(self) -> tuple[str, ...]:
        """The classes whose scores networks are judged by, in the order of their numbers; none of faces."""

    @property
    @abstractmethod
    def units(self) -> str:
        """What `identities` tell apart, in the plural: people, or images."""

    @property
    @abstractmethod
    def stratum_of(self) -> Mapping[str, Sequence[str]]:
        """The stratum of every identity: parts of the set keep the shares of all strata."""

    @abstractmethod
    def answer(self, head: torch.nn.Module, embedding: torch.Tensor) -> torch.Tensor:
        """What a network is judged by, of the embedding (B, D) of a head."""

    @abstractmethod
    def refuse_parts(self, parts: Sequence[ImageSet], share: float) -> None:
        """Raise TooFewPeople where parts of this set, one with a `share` of every stratum, lack what is needed."""

    @property
    def class_count(self) -> int:
        return len(self.class_names)

    @property
    def identity_count(self) -> int:
        return len(np.unique(self.identities))

    def amount(self, which: str = "") -> str:
        """How many images, and of how many people where people are known, as text; these are `which` ("unseen ")."""
        if self.units == "images":
            return f"{len(self):,} {which}images"
        return f"{len(self):,} images of {self.identity_count:,} {which}{self.units}"

    @property
    def group_names(self) -> tuple[str, ...]:
        """The groups in alphabetical order."""
        return tuple(np.unique(self.groups).tolist())

    def read(self, images: np.ndarray) -> torch.Tensor:
        """Pixels of the images with these numbers: uint8 (B, S, S, 3), resized when stored at another size, and of
        those the centre where they are resized to `crop_from`."""
        # A memory-mapped store is kindest when read in order.
        order = np.argsort(self.rows[images], kind="stable")
        pixels = np.empty((len(images), *self.stored.shape[1:]), dtype=np.uint8)
        pixels[order] = self.stored[self.rows[images][order]]
        stored = torch.from_numpy(pixels)
        side = self.crop_from or self.size
        resized = stored if stored.shape[1] == side else resize(stored, side)
        # As torchvision's CenterCrop, so that an export's pipeline sees the same pixels.
        start = round((side - self.size) / 2)
        return resized[:, start : start + self.size, start : start + self.size]

    def uncropped(self) -> Self:
        """The set as it is before the centre is cut out: training cuts out a part at random."""
        return replace(self, size=self.crop_from or self.size, crop_from=0)

    def joined(self, others: Sequence[Self]) -> Self:
        """The set of its images and of others of the same store, one set after the other."""
        parts = [self, *others]
        arrays = {
            name: np.concatenate([getattr(of, name) for of in parts]) for name in ("rows", "identities", "groups")
        }
        return replace(self, **arrays)

    def take(self, images: np.ndarray) -> Self:
        """The set of some of its images, in the order given."""
        return replace(self, rows=self.rows[images], identities=self.identities[images], groups=self.groups[images])
