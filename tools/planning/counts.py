"""How many images a run works on, and what follows for its costs from what the images are: faces, or labelled images.

Shape legend: N images, K classes.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from dualfair.evaluation.scoring.embedding import MIRRORED
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.image_set import ImageSet
from dualfair.supernet.images.labelled_set import LabelledSet
from dualfair.supernet.images.noise import random_faces, random_labelled


@dataclass(frozen=True, kw_only=True)
class ImageCounts(ABC):
    """How many images there are: training images and the classes on them, images of validation and of test.

    `validation` are those that a search may see, of which it scores on so many `searched` (0 = all); `confirmation` are
    those of validation that it does not see (0 = none are kept). Raises ValueError for too few.
    """

    kind: ClassVar[type[ImageSet]]
    """The sets that are counted."""
    classes_are: ClassVar[str]
    """What a class is, in the plural."""
    flag: ClassVar[str]
    """The option that says how many classes there are."""
    scored: ClassVar[str]
    """What images beside those of the BN statistics are called, in a sentence."""
    kept: ClassVar[str]
    """The same of images that are kept to confirm."""

    training: int
    classes: int
    validation: int
    test: int
    searched: int = 0
    confirmation: int = 0

    def __post_init__(self) -> None:
        flags = {"training": "image-count", "classes": self.flag, "validation": "validation-images", "test": "split"}
        for name, flag in flags.items():
            if (number := getattr(self, name)) < 1:
                counted = self.classes_are if name == "classes" else f"{name} images"
                raise ValueError(f"a set needs 1 or more {counted}, got {number}; see --{flag}")
        if self.classes > self.training:
            raise ValueError(
                f"{self.classes:,} {self.classes_are} need at least as many training images; there are "
                f"{self.training:,}"
            )

    @property
    def passes(self) -> int:
        """Passes of an image through a network that is judged on it."""
        return MIRRORED if self.kind.mirrored else 1

    @abstractmethod
    def answer_length(self, embedding: int) -> int:
        """How many numbers a network is judged by, an image, where its embedding has so many."""

    @abstractmethod
    def comparisons(self, images: int) -> int:
        """What is compared to rank the answers of so many images."""

    @abstractmethod
    def random(self, images: int, size: int) -> ImageSet:
        """So many images without content, of `size` px."""


class FaceCounts(ImageCounts):
    """Of faces: every person is a class, and every image is compared with every other one."""

    kind = FaceSet
    classes_are = "people"
    flag = "identity-count"
    scored = "mirrored ones"
    kept = "mirrored ones of people kept for that"

    def answer_length(self, embedding: int) -> int:
        return embedding

    def comparisons(self, images: int) -> int:
        return images**2

    @property
    def searched_people(self) -> int:
        """About how many people a search scores on: with as many images each as those of training."""
        return max(1, round((self.searched or self.validation) * self.classes / self.training))

    def random(self, images: int, size: int) -> FaceSet:
        """As many of each person as in training, two at least."""
        return random_faces(images, max(1, images // max(2, self.training // self.classes)), size)


class LabelledCounts(ImageCounts):
    """Of labelled images: every image is compared with every class."""

    kind = LabelledSet
    classes_are = "classes"
    flag = "class-count"
    scored = "others"
    kept = "others kept for that"

    def answer_length(self, embedding: int) -> int:
        return self.classes

    def comparisons(self, images: int) -> int:
        return images * self.classes

    def random(self, images: int, size: int) -> LabelledSet:
        return random_labelled(images, self.classes, size)


COUNTS = {counts.kind.task: counts for counts in (FaceCounts, LabelledCounts)}
"""By the task of a set."""
