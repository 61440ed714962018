"""Images without content: only shapes matter to how long something takes.

Shape legend: N images, S side of the images in pixels.
"""

import numpy as np

from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.labelled_set import LabelledSet


def random_faces(images: int, people: int, size: int, seed: int = 0) -> FaceSet:
    """`images` of random pixels, (N, S, S, 3), of `people`, dealt to two groups."""
    pixels = np.random.default_rng(seed).integers(0, 256, (images, size, size, 3), dtype=np.uint8)
    identities = np.arange(images) % people
    return FaceSet(pixels, np.arange(images), identities.astype(str), np.where(identities % 2, "a", "b"), size)


def random_labelled(images: int, classes: int, size: int, seed: int = 0) -> LabelledSet:
    """`images` of random pixels, (N, S, S, 3), of `classes` in turn, each in either of two groups."""
    noise = random_faces(images, images, size, seed)
    labels = (np.arange(images) % classes).astype(str)
    names = tuple(sorted(map(str, range(classes))))
    groups = np.where(np.arange(images) // classes % 2, "a", "b")
    return LabelledSet(noise.stored, noise.rows, noise.identities, groups, size, labels, names)
