"""Classified images: what objectives are computed from where networks are judged by class scores.

Shape legend: N images, K classes.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np

from dualfair.evaluation.metrics.classification import class_ranks
from dualfair.evaluation.metrics.identification import Ranks


class ClassifiedImages:
    """Class scores (N, K) of images with their labels, numbers of `class_names`, identities and groups (N,).

    They are asked as `objectives.EmbeddedFaces` are: ranks are those of the true class among all classes, so that
    error and disparities are made of them as of faces' ranks. `seed` is kept for resamples.
    """

    def __init__(
        self,
        scores: np.ndarray,
        labels: np.ndarray,
        class_names: Sequence[str],
        identities: Sequence,
        groups: Sequence,
        seed: int = 0,
    ) -> None:
        self.scores, self.labels, self.class_names = scores, np.asarray(labels), tuple(class_names)
        self.identities, self.groups, self.seed = np.asarray(identities), np.asarray(groups), seed

    @property
    def predicted(self) -> np.ndarray:
        """The number of the class with the highest score, int64 (N,)."""
        return self.scores.argmax(axis=1)

    def ranks(self, count: str = "images") -> Ranks:
        """The ranks of the true classes (`metrics.classification.class_ranks`)."""
        return class_ranks(self.scores, self.labels, count)

    def galleries(
        self, gallery: str = "all", galleries: int = 8, count: str = "images"
    ) -> tuple[tuple[Ranks, np.ndarray], ...]:
        """(ranks, numbers of the images). Raises ValueError for a stated gallery, which only faces have."""
        self.refuse_gallery(gallery)
        return ((self.ranks(count), np.arange(len(self.labels))),)

    @staticmethod
    def refuse_gallery(gallery: str) -> None:
        """Raise ValueError for a stated gallery."""
        if gallery != "all":
            raise ValueError(f"a gallery of {gallery} is of faces; classified images have none")

    def take(self, rows: np.ndarray) -> Self:
        """Some of the images, by their numbers."""
        return ClassifiedImages(
            self.scores[rows], self.labels[rows], self.class_names, self.identities[rows], self.groups[rows], self.seed
        )

    def classes_of(self, positive: str) -> list[int]:
        """The number of the class of that name, or of all classes for "". Raises ValueError for an unknown one."""
        if not positive:
            return [*range(len(self.class_names))]
        if positive not in self.class_names:
            raise ValueError(f"there is no class {positive!r}; the classes are {', '.join(self.class_names[:10])}")
        return [self.class_names.index(positive)]
