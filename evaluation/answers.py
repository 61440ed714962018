"""Images with what a network answered of them, as objectives take them: embeddings of faces, class scores of labelled
images.

Shape legend: N images, D embedding, K classes.
"""

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from dualfair.evaluation.metrics.classification import class_ranks
from dualfair.evaluation.metrics.identification import CountNearer, Ranks, halves, ranks
from dualfair.evaluation.metrics.identification import galleries as balanced_galleries
from dualfair.supernet.images import CLASSIFICATION

if TYPE_CHECKING:
    from dualfair.supernet.images.image_set import ImageSet


class People:
    """Who images are of: identities and groups (N,). What follows from them alone is worked out once, for all networks
    that answer of these images."""

    def __init__(self, identities: Sequence, groups: Sequence) -> None:
        self.identities, self.groups = np.asarray(identities), np.asarray(groups)

    @cached_property
    def codes(self) -> np.ndarray:
        """The number of every image's identity, in the order of their names: int64 (N,)."""
        return np.unique(self.identities, return_inverse=True)[1]

    @cached_property
    def halves(self) -> tuple[tuple[np.ndarray, Self], ...]:
        """Both halves of the people (`metrics.identification.halves`): the numbers of their images, and who these are
        of."""
        return tuple((rows, self.take(rows)) for rows in halves(self.identities, self.groups))

    def take(self, rows: np.ndarray) -> Self:
        """Those of some of the images, by their numbers."""
        return People(self.identities[rows], self.groups[rows])


class _Answered:
    """What both kinds of images have: `people`, the `seed`, and parts of them."""

    def __init__(self, identities: Sequence, groups: Sequence, seed: int) -> None:
        self.people, self.seed = People(identities, groups), seed

    @property
    def identities(self) -> np.ndarray:
        """Who every image is of, (N,)."""
        return self.people.identities

    @property
    def groups(self) -> np.ndarray:
        """The group of every image, (N,)."""
        return self.people.groups

    @property
    def halves(self) -> tuple[Self, ...]:
        """The images of either half of the people."""
        return tuple(self._part(rows, people) for rows, people in self.people.halves)

    def take(self, rows: np.ndarray) -> Self:
        """Some of the images, by their numbers: images of their own, whose galleries hold nobody else."""
        return self._part(rows, self.people.take(rows))

    def _part(self, rows: np.ndarray, people: People) -> Self:
        raise NotImplementedError


class EmbeddedFaces(_Answered):
    """Embeddings (N, D) of faces with their identities and groups (N,); what is ranked once is kept.

    `seed` is that of the galleries that are drawn. `nearer` counts for ranks, see `metrics.identification.ranks`.
    """

    def __init__(
        self,
        embeddings: np.ndarray,
        identities: Sequence,
        groups: Sequence,
        seed: int = 0,
        nearer: CountNearer | None = None,
    ) -> None:
        super().__init__(identities, groups, seed)
        self.embeddings, self.nearer = embeddings, nearer
        self._ranked: dict[tuple[str, int, str], tuple[tuple[Ranks, np.ndarray], ...]] = {}

    def ranks(self, count: str = "images") -> Ranks:
        """The ranks of all images against all (`metrics.identification.ranks`)."""
        return self.galleries(count=count)[0][0]

    def galleries(
        self, gallery: str = "all", galleries: int = 8, count: str = "images"
    ) -> tuple[tuple[Ranks, np.ndarray], ...]:
        """(ranks, numbers of its images) of every gallery: all against all, or so many of a stated number of people.

        Galleries are seeded and balanced by group. Raises ValueError where the faces have too few people.
        """
        key = (gallery, galleries if gallery != "all" else 0, count)
        if key not in self._ranked:
            images = [np.arange(len(self.identities))]
            if gallery != "all":
                rng = np.random.default_rng(self.seed)
                images = balanced_galleries(self.identities, self.groups, int(gallery), galleries, rng)
            self._ranked[key] = tuple(
                (ranks(self.embeddings[rows], self.people.codes[rows], count, nearer=self.nearer), rows)
                for rows in images
            )
        return self._ranked[key]

    def answering(self, embeddings: np.ndarray) -> Self:
        """The same faces with the embeddings (N, D) of another network."""
        faces = copy(self)
        faces.embeddings, faces._ranked = embeddings, {}
        return faces

    def _part(self, rows: np.ndarray, people: People) -> Self:
        part = self.answering(self.embeddings[rows])
        part.people = people
        return part


class ClassifiedImages(_Answered):
    """Class scores (N, K) of images with their labels, numbers of `class_names`, identities and groups (N,).

    They are asked as `EmbeddedFaces` are: ranks are those of the true class among all classes, so that
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
        super().__init__(identities, groups, seed)
        self.scores, self.labels, self.class_names = scores, np.asarray(labels), tuple(class_names)

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

    def answering(self, scores: np.ndarray) -> Self:
        """The same images with the class scores (N, K) of another network."""
        images = copy(self)
        images.scores = scores
        return images

    def _part(self, rows: np.ndarray, people: People) -> Self:
        part = self.answering(self.scores[rows])
        part.people, part.labels = people, self.labels[rows]
        return part

    def classes_of(self, positive: str) -> list[int]:
        """The number of the class of that name, or of all classes for "". Raises ValueError for an unknown one."""
        if not positive:
            return [*range(len(self.class_names))]
        if positive not in self.class_names:
            raise ValueError(f"there is no class {positive!r}; the classes are {', '.join(self.class_names[:10])}")
        return [self.class_names.index(positive)]


def answered(
    images: "ImageSet", answers: np.ndarray, seed: int = 0, nearer: CountNearer | None = None
) -> EmbeddedFaces | ClassifiedImages:
    """Images with what a network answered of them, as objectives take them: embeddings (N, D), or class scores (N, K).

    `seed` and `nearer` as `EmbeddedFaces`. What a set is for is told apart here, and nowhere else.
    """
    if images.task == CLASSIFICATION:
        return ClassifiedImages(answers, images.labels, images.class_names, images.identities, images.groups, seed)
    return EmbeddedFaces(answers, images.identities, images.groups, seed, nearer)
