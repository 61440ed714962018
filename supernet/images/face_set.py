"""A face set: the images, identities and groups of one split, read from a store at the size that a network takes.

Shape legend: N images, B batch, S side of the images in pixels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np
import torch

from dualfair.supernet.images.augmentation import resize
from dualfair.supernet.images.labels import known_labels
from dualfair.supernet.images.manifest import SPLITS, split_identities
from dualfair.supernet.images.store import FaceStore

LEAST_PEOPLE = 2
"""People of a group without whom nobody of it can be mistaken for another one of it."""


@dataclass(frozen=True)
class FaceSet:
    """Some rows of a store: `identities` and `groups` are arrays of strings (N,), images are read by number."""

    stored: np.ndarray
    rows: np.ndarray
    identities: np.ndarray
    groups: np.ndarray
    size: int

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def labels(self) -> np.ndarray:
        """Identities numbered from 0 in alphabetical order, int64 (N,)."""
        return np.unique(self.identities, return_inverse=True)[1].astype(np.int64)

    @property
    def identity_count(self) -> int:
        return int(self.labels.max()) + 1

    @property
    def group_names(self) -> tuple[str, ...]:
        """The groups in alphabetical order."""
        return tuple(np.unique(self.groups).tolist())

    def read(self, images: np.ndarray) -> torch.Tensor:
        """Pixels of the images with these numbers: uint8 (B, S, S, 3), resized when stored at another size."""
        # A memory-mapped store is kindest when read in order.
        order = np.argsort(self.rows[images], kind="stable")
        pixels = np.empty((len(images), *self.stored.shape[1:]), dtype=np.uint8)
        pixels[order] = self.stored[self.rows[images][order]]
        stored = torch.from_numpy(pixels)
        return stored if self.stored.shape[1] == self.size else resize(stored, self.size)

    def take(self, images: np.ndarray) -> FaceSet:
        """The face set of some of its images, in the order given."""
        return FaceSet(self.stored, self.rows[images], self.identities[images], self.groups[images], self.size)

    def with_mates(self) -> FaceSet:
        """Without the images whose identity has no other image here: they cannot be found, nor ranked."""
        counts = Counter(self.identities.tolist())
        return self.take(np.flatnonzero([counts[identity] > 1 for identity in self.identities.tolist()]))


class TooFewPeople(ValueError):
    """A group has too few people to be divided."""


def divide_people(faces: FaceSet, share: float, seed: int) -> tuple[FaceSet, FaceSet]:
    """Validation faces in two, disjoint by identity: what remains, and `share` of every group's people, by `seed`.

    The number of people is rounded. Images stay in their order. Raises TooFewPeople, a ValueError, where either part
    would have fewer than LEAST_PEOPLE people of a group, with the number that is needed; ValueError for a share outside
    (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"the share of people to set apart must be above 0 and below 1, got {share}")

    def parted(people: int) -> bool:
        return min(round(share * people), people - round(share * people)) >= LEAST_PEOPLE

    rng = np.random.default_rng(seed)
    people, first_images = np.unique(faces.identities, return_index=True)
    chosen: list[str] = []
    for group in faces.group_names:
        members = people[faces.groups[first_images] == group]
        if not parted(len(members)):
            needed = next(number for number in count(2 * LEAST_PEOPLE) if parted(number))
            raise TooFewPeople(f"group {group!r} has {len(members)} validation people; {needed} are needed")
        chosen += rng.permutation(members)[: round(share * len(members))].tolist()
    apart = np.isin(faces.identities, chosen)
    return faces.take(np.flatnonzero(~apart)), faces.take(np.flatnonzero(apart))


def some_people(faces: FaceSet, people: int, seed: int) -> FaceSet:
    """The faces of so many people, every group keeping its share. Raises ValueError where there are not so many."""
    if not 0 < people <= faces.identity_count:
        raise ValueError(f"people must be 0 (all) to {faces.identity_count}, the people of these faces; got {people}")
    if people == faces.identity_count:
        return faces
    return divide_people(faces, 1 - people / faces.identity_count, seed)[0]


def open_splits(
    store: FaceStore,
    *,
    group_column: str,
    fractions: tuple[float, float, float],
    seed: int,
    size: int,
    drop_unknown: bool = False,
) -> dict[str, FaceSet]:
    """The train, validation and test faces of a store, disjoint by identity, read at `size` px.

    Validation and test keep identities with at least two images only. Raises ValueError when the stored images are
    smaller than `size`, when an evaluated group has fewer than two identities, when there is one group only, for
    identities in two splits, which are named, for unknown or doubtful labels (`known_labels`), and for people who are
    known within a pair only.
    """
    store.require_people()
    if store.size < size:
        raise ValueError(
            f"the faces are stored at {store.size} px, the network takes {size} px; "
            f"import them again with --size {size}, or train with --size {store.size}"
        )
    of_identity = known_labels(store.manifest, group_column, drop_unknown=drop_unknown).group_of
    rows = split_identities(store.manifest, of_identity, fractions, seed)
    identities = np.asarray(store.manifest.columns["identity"], dtype=str)
    groups = np.asarray([of_identity.get(identity, "") for identity in store.manifest.columns["identity"]], dtype=str)
    names = sorted(set(of_identity.values()))
    if len(names) < 2:
        raise ValueError(
            f"group column {group_column!r} has one value only ({names[0]!r}); disparity needs two groups or more"
        )
    splits = {}
    for split in SPLITS:
        faces = FaceSet(store.pixels, rows[split], identities[rows[split]], groups[rows[split]], size)
        splits[split] = faces if split == "train" else faces.with_mates()
    for split in SPLITS[1:]:
        for group in names:
            n = len(set(splits[split].identities[splits[split].groups == group].tolist()))
            if n < 2:
                raise ValueError(
                    f"group {group!r} has {n} identities with two or more images in the {split} split; it needs at "
                    "least 2. Use more faces, another --split or another --group-column"
                )
    return splits
