"""Identification among known people: how many images of others are nearer to a probe than the nearest of its identity.

Shape legend: N images, D embedding, P counted probes, K highest rank of a curve.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from dualfair.evaluation.metrics.similarity import (
    Arrangement,
    arrange,
    checked_faces,
    checked_rows,
    comparisons,
    mates_in_gallery,
)

COUNTS = ("images", "identities")
"""What a rank counts: every nearer image of another identity (the definition), or the distinct identities of those."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """The ranks of all probes that have one.

    `values` are the ranks, int64 (P,) from 0 (right) upwards; `probes` (P,) are the numbers of their images, ascending:
    `groups[ranks.probes]` are the groups of `values`. The `excluded` probes have no other image of their identity in
    the gallery, hence no rank. `count` says what a rank counts, one of `COUNTS`. Ranks grow with the gallery, so its
    size stands beside them: `gallery_images` and `gallery_identities`. `images` is N, how many images the numbers
    refer to: the gallery's where all are compared with all.
    """

    values: np.ndarray
    probes: np.ndarray
    excluded: int
    count: str
    gallery_images: int
    gallery_identities: int
    images: int | None = None

    def __post_init__(self) -> None:
        self.values.setflags(write=False)
        self.probes.setflags(write=False)
        if self.images is None:
            object.__setattr__(self, "images", self.gallery_images)

    @property
    def correct(self) -> np.ndarray:
        """1.0 for every probe with rank 0 and 0.0 for the others, (P,)."""
        return (self.values == 0).astype(np.float64)


def count_nearer(
    embeddings: np.ndarray, arranged: Arrangement, count: str = "images", *, chunk: int | None = None
) -> np.ndarray:
    """How many others are as near to every probe as its nearest mate or nearer: int64 (P,), in the arranged order."""
    counts = [np.empty(0, dtype=np.int64)]
    for part in comparisons(embeddings, arranged, chunk):
        if count == "images":
            counts.append(part.nearer)
        else:
            closest = np.maximum.reduceat(part.others, arranged.starts, axis=1)
            counts.append(np.count_nonzero(closest >= part.bars[:, None], axis=1))
    return np.concatenate(counts)


CountNearer = Callable[[np.ndarray, Arrangement, str], np.ndarray]
"""What counts as `count_nearer` does, on whatever device, and comes to the same."""


def ranks(
    embeddings: np.ndarray,
    identities: np.ndarray,
    count: str = "images",
    *,
    chunk: int | None = None,
    nearer: CountNearer | None = None,
) -> Ranks:
    """The rank of every image as a probe against all other images, itself excluded by its number; lower is better.

    `embeddings` (N, D) are finite and of any length: they are normalised here, and nearness is the cosine, which orders
    as the Euclidean distance of normalised embeddings does. `identities` (N,) are labels. With the cosine to the
    nearest image of the same identity, c*, the rank is the number of images of other identities whose cosine is c* or
    more; with `count="identities"` it is the number of distinct identities among them. A tie counts against the
    probe (see `similarity.TIE`): a network that embeds all images alike has the worst ranks there are. A zero vector
    has the cosine 0 to everything.

    `chunk` images are compared with all at once, as many as fit in `similarity.CHUNK_BYTES` unless given; beside that
    chunk there is one normalised copy of the embeddings. `nearer` counts in place of `count_nearer`. Neither changes
    the ranks: of embeddings in float32 or less they are exact (`similarity.GRID`). Raises ValueError for shapes that do
    not fit, embeddings that are not finite, fewer than two identities, or an unknown `count`.

    Worked by hand: the cosine of (1, 0) to its mate (3, 4) is 0.6, and of the others only (4, 3) is nearer, at 0.8.

    >>> ranks(np.array([[1, 0], [3, 4], [4, 3], [0, 1]]), np.array(["a", "a", "b", "b"])).values
    array([1, 2, 2, 1])
    """
    everyone = np.arange(len(identities))
    return split_ranks(embeddings, identities, everyone, everyone, count, chunk=chunk, nearer=nearer)


def split_ranks(
    embeddings: np.ndarray,
    identities: np.ndarray,
    gallery: np.ndarray,
    probes: np.ndarray,
    count: str = "images",
    *,
    chunk: int | None = None,
    nearer: CountNearer | None = None,
) -> Ranks:
    """The rank of every probe against the images of a gallery; lower is better.

    As `ranks`, of which it is the general form: `gallery` and `probes` are numbers of images, and may share some. A
    probe that is in the gallery is excluded there by its number. A probe whose identity has no (other) image in the
    gallery has no rank and is counted as `excluded`. The ranks of all images among all are those of `ranks`.

    Raises ValueError as `ranks` does, for a gallery of fewer than two identities, and for numbers that are not those of
    images or come twice.
    """
    embeddings, identities = checked_faces(embeddings, identities)
    gallery = checked_rows("gallery", gallery, len(identities))
    probes = checked_rows("probes", probes, len(identities))
    if count not in COUNTS:
        raise ValueError(f"count must be one of {', '.join(COUNTS)}, got {count!r}")
    names, codes = np.unique(identities, return_inverse=True)
    if len(enrolled := np.unique(codes[gallery])) < 2:
        raise ValueError(
            f"identities of a gallery must be two or more, got {names[enrolled].tolist()}; ranks need impostors"
        )
    ranked = probes[mates_in_gallery(codes, gallery, probes) > 0]
    arranged = arrange(codes, gallery, ranked)
    image_ranks = np.empty(len(identities), dtype=np.int64)
    image_ranks[arranged.probes] = (nearer or partial(count_nearer, chunk=chunk))(embeddings, arranged, count)
    excluded = len(probes) - len(ranked)
    return Ranks(image_ranks[ranked], ranked, excluded, count, len(gallery), len(enrolled), len(identities))


def error(ranks: Ranks) -> float:
    """Share of probes with a rank above 0, in [0, 1], lower is better; the same for both counts.

    It is nan, undefined, when no probe has a rank.
    """
    return float(np.mean(ranks.values > 0)) if len(ranks.values) else float("nan")


def cmc(values: np.ndarray, highest: int) -> np.ndarray:
    """The cumulative match characteristic: the share of ranks below k for k = 1 to `highest`, float64 (K,).

    `values` (P,) are ranks, of all probes or of one group's: `cmc(ranks.values[groups[ranks.probes] == "a"], 20)`. In
    [0, 1], higher is better and never falling; the first is 1 - error. The literature's curve counts identities
    (`count="identities"`). All nan, undefined, without a rank. Raises ValueError for values that are no ranks or
    `highest` below 1.

    >>> cmc(np.array([0, 2, 0, 7]), 3)
    array([0.5 , 0.5 , 0.75])
    """
    values = np.asarray(values)
    if values.ndim != 1 or (len(values) and (values.dtype.kind not in "iu" or values.min() < 0)):
        raise ValueError(f"values must be ranks, whole numbers of 0 or more, got {values.dtype} {values.shape}")
    if highest < 1:
        raise ValueError(f"highest must be 1 or more ranks, got {highest}")
    if not len(values):
        return np.full(highest, np.nan)
    times = np.bincount(np.minimum(values, highest), minlength=highest + 1)[:highest]
    return np.cumsum(times) / len(values)


def galleries(
    identities: np.ndarray, groups: np.ndarray, size: int, repeats: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Random galleries of `size` identities, equally many of every group, as ascending numbers of their images.

    Ranks grow with the gallery; in galleries of a stated size they are comparable between sets of different sizes.
    `identities` and `groups` (N,) are labels. The identities of a group are dealt like cards: `repeats` galleries are
    disjoint while the identities last, then the group is shuffled again. Identities with one image are dealt too.

    Raises ValueError when `size` is no multiple of the number of groups, when a group has too few identities, or when
    an identity is in two groups.
    """
    decks = identities_of_groups(identities, groups)
    share, rest = divmod(size, len(decks))
    if size < 1 or rest:
        raise ValueError(
            f"gallery size must be a positive multiple of the {len(decks)} groups to be balanced, got {size}; "
            f"take {max(share, 1) * len(decks)}"
        )
    for group, members in decks.items():
        if len(members) < share:
            raise ValueError(
                f"a gallery of {size} identities takes {share} of every group; group {group!r} has {len(members)}"
            )
    if repeats < 1:
        raise ValueError(f"repeats must be 1 or more galleries, got {repeats}")
    hands = [_hands(members, share, rng) for members in decks.values()]
    dealt = (np.concatenate([next(hand) for hand in hands]) for _ in range(repeats))
    return [np.flatnonzero(np.isin(identities, chosen)) for chosen in dealt]


def gallery_split(
    identities: np.ndarray, *, images_per_identity: int = 1, seed: int | np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Enrols random images of every identity: the numbers of the gallery's images and of the probes, both ascending.

    `identities` (N,) are labels. The gallery takes `images_per_identity` images of each, or all where it has no more:
    such a person stands in the gallery without being looked for. All other images are probes, and each has a mate.
    Raises ValueError for labels that are no list or fewer than 1 image an identity.
    """
    identities = np.asarray(identities)
    if identities.ndim != 1:
        raise ValueError(f"identities must be one label an image, got shape {identities.shape}")
    if images_per_identity < 1:
        raise ValueError(f"images_per_identity must be 1 or more, got {images_per_identity}")
    shuffled = np.random.default_rng(seed).permutation(len(identities))
    _, codes = np.unique(identities, return_inverse=True)
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes))])[:-1]
    place = np.arange(len(order)) - starts[codes[order]]
    enrolled = place < images_per_identity
    return np.sort(order[enrolled]), np.sort(order[~enrolled])


def halves(identities: np.ndarray, groups: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of the people, disjoint by identity: the numbers of their images, both ascending.

    `identities` and `groups` (N,) are labels; the group of an identity is that of its first image. Every group is dealt
    evenly: halves differ by one identity of a group at most, and which half gets it changes from group to group.
    """
    rng = np.random.default_rng(seed)
    names, first_images = np.unique(identities, return_index=True)
    identity_groups = np.asarray(groups)[first_images]
    decks = [rng.permutation(names[identity_groups == group]) for group in np.unique(identity_groups)]
    chosen = np.isin(identities, np.concatenate([deck[turn % 2 :: 2] for turn, deck in enumerate(decks)]))
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def identities_of_groups(identities: np.ndarray, groups: np.ndarray) -> dict[object, np.ndarray]:
    """The identities of every group, both sorted. Raises ValueError when one is in two groups, or shapes do not fit."""
    identities, groups = np.asarray(identities), np.asarray(groups)
    if identities.ndim != 1 or identities.shape != groups.shape or not len(identities):
        raise ValueError(f"identities and groups must be one label an image, got {identities.shape} and {groups.shape}")
    decks = {group: np.unique(identities[groups == group]) for group in np.unique(groups).tolist()}
    names, times = np.unique(np.concatenate(list(decks.values())), return_counts=True)
    if (times > 1).any():
        raise ValueError(
            f"every identity must have one group: {names[times > 1][0]!s} has {times.max()}, "
            f"and {np.count_nonzero(times > 1)} of {len(names)} identities have more than one"
        )
    return decks


def _hands(members: np.ndarray, share: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Endless hands of `share` identities; a deck that cannot fill the next hand is shuffled anew."""
    while True:
        deck = rng.permutation(members)
        for start in range(0, len(deck) - share + 1, share):
            yield deck[start : start + share]
