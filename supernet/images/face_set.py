"""A face set: people who are told apart, as images of one split.

Shape legend: N images, B batch, D embedding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np
import torch

from dualfair.supernet.images.image_set import ImageSet, TooFewPeople
from dualfair.supernet.images.labels import known_labels
from dualfair.supernet.images.manifest import SPLITS, Fold, judged_groups, split_identities
from dualfair.supernet.images.store import IDENTIFICATION, FaceStore

LEAST_PEOPLE = 2
"""People of a group without whom nobody of it can be mistaken for another one of it."""


@dataclass(frozen=True)
class FaceSet(ImageSet):
    """Faces: every person is a class of that very set, and networks are judged by embeddings, also of people who are
    in no class."""

    task = IDENTIFICATION
    mirrored = True
    scored_classes = ()
    units = "people"

    @cached_property
    def _numbered(self) -> tuple[np.ndarray, np.ndarray]:
        return np.unique(self.identities, return_inverse=True)

    @cached_property
    def labels(self) -> np.ndarray:
        """Identities numbered from 0 in alphabetical order, int64 (N,)."""
        return self._numbered[1].astype(np.int64)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The identities in alphabetical order."""
        return tuple(self._numbered[0].tolist())

    @property
    def stratum_of(self) -> dict[str, tuple[str]]:
        """The group of every person."""
        return {
            identity: (group,) for identity, group in zip(self.identities.tolist(), self.groups.tolist(), strict=True)
        }

    def answer(self, head: torch.nn.Module, embedding: torch.Tensor) -> torch.Tensor:
        """The embedding itself (B, D)."""
        return embedding

    def refuse_parts(self, parts: Sequence[ImageSet], share: float) -> None:
        """Raise TooFewPeople, with the number that is needed, where a part has fewer than LEAST_PEOPLE of a group."""

        def parted(people: int) -> bool:
            return min(round(share * people), people - round(share * people)) >= LEAST_PEOPLE

        for (group,), people in sorted(Counter(self.stratum_of.values()).items()):
            if not parted(people):
                needed = next(number for number in count(2 * LEAST_PEOPLE) if parted(number))
                raise TooFewPeople(f"group {group!r} has {people} validation people; {needed} are needed")

    def with_mates(self) -> FaceSet:
        """Without the images whose identity has no other image here: they cannot be found, nor ranked."""
        counts = Counter(self.identities.tolist())
        return self.take(np.flatnonzero([counts[identity] > 1 for identity in self.identities.tolist()]))


def open_faces(
    store: FaceStore,
    group_column: str,
    fractions: tuple[float, float, float],
    seed: int,
    size: int,
    drop_unknown: bool,
    fold: Fold | None = None,
) -> dict[str, FaceSet]:
    """The splits of a store of faces, as of `open_splits`, disjoint by identity.

    Validation and test keep identities with at least two images only. Raises ValueError when an evaluated group has
    fewer than two identities, when fewer than two are, for identities in two splits, which are named, for unknown or
    doubtful labels (`known_labels`), and for people who are known within a pair only.
    """
    of_identity = known_labels(store.manifest, group_column, drop_unknown=drop_unknown).group_of
    rows = split_identities(store.manifest, of_identity, fractions, seed, fold)
    identities = np.asarray(store.manifest.columns["identity"], dtype=str)
    groups = np.asarray([of_identity.get(identity, "") for identity in store.manifest.columns["identity"]], dtype=str)
    names = judged_groups(store.manifest, of_identity, rows)
    if len(names) < 2:
        value = f"one value only ({names[0]!r})" if names else "no value in validation and test"
        raise ValueError(f"group column {group_column!r} has {value}; disparity needs two groups or more")
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
