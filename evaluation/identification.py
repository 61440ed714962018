"""Closed-set identification: how many images of others are nearer to a probe than the nearest image of its identity.

Shape legend: N images, D embedding, C images of a chunk, P counted probes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

COUNTS = ("images", "identities")
"""What a rank counts: every nearer image of another identity (the definition), or the distinct identities of those."""

TIE = 16
"""Cosines within this many machine epsilons are equal, and equal is a tie.

The same cosine comes out of a matrix product with up to 7 epsilons of difference (measured to D = 2048), depending on
the order of its sum. Without the tolerance rounding would order a collapsed network's images at random. In float32 it
joins distances on the unit sphere that are below 0.002; embeddings in float64 are compared in float64.
"""

CHUNK_BYTES = 64 * 2**20
"""Size of a chunk of cosines (C, N), unless one row is larger. The whole workspace is below 2.5 times this."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """The ranks of all probes that have one. Every image is a probe, against all others.

    `values` are the ranks, int64 (P,) from 0 (right) upwards; `probes` (P,) are the numbers of their images, ascending:
    `groups[ranks.probes]` are the groups of `values`. The `excluded` images have no other image of their identity,
    hence no rank. `count` says what a rank counts, one of `COUNTS`. Ranks grow with the gallery, so its size stands
    beside them: `gallery_images` (N) and `gallery_identities`.
    """

    values: np.ndarray
    probes: np.ndarray
    excluded: int
    count: str
    gallery_images: int
    gallery_identities: int

    def __post_init__(self) -> None:
        self.values.setflags(write=False)
        self.probes.setflags(write=False)

    @property
    def correct(self) -> np.ndarray:
        """1.0 for every probe with rank 0 and 0.0 for the others, (P,)."""
        return (self.values == 0).astype(np.float64)


def ranks(embeddings: np.ndarray, identities: np.ndarray, count: str = "images", *, chunk: int | None = None) -> Ranks:
    """The rank of every image as a probe against all other images, itself excluded by its number; lower is better.

    `embeddings` (N, D) are finite and of any length: they are normalised here, and nearness is the cosine, which orders
    as the Euclidean distance of normalised embeddings does. `identities` (N,) are labels. With the cosine to the
    nearest image of the same identity, c*, the rank is the number of images of other identities whose cosine is c* or
    more; with `count="identities"` it is the number of distinct identities among them. A tie counts against the
    probe (see `TIE`): a network that embeds all images alike has the worst ranks there are. A zero vector has the
    cosine 0 to everything.

    `chunk` images are compared with all at once, as many as fit in `CHUNK_BYTES` unless given; beside that chunk there
    is one normalised copy of the embeddings. It does not change the ranks. Raises ValueError for shapes that do not
    fit, embeddings that are not finite, fewer than two identities, or an unknown `count`.

    Worked by hand: the cosine of (1, 0) to its mate (3, 4) is 0.6, and of the others only (4, 3) is nearer, at 0.8.

    >>> ranks(np.array([[1, 0], [3, 4], [4, 3], [0, 1]]), np.array(["a", "a", "b", "b"])).values
    array([1, 2, 2, 1])
    """
    embeddings, identities = _checked(embeddings, identities, count, chunk)
    names, codes = np.unique(identities, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes))])
    found = np.empty(len(order), dtype=np.int64)
    for images, cosines in _cosine_chunks(_normalised(embeddings)[order], chunk):
        nearest = _take_mates(cosines, images.start, bounds, codes[order[images]])
        if count == "identities":
            cosines = np.maximum.reduceat(cosines, bounds[:-1], axis=1)
        margin = TIE * np.finfo(cosines.dtype).eps
        nearer = cosines >= (nearest - margin)[:, None]
        found[order[images]] = [np.count_nonzero(row) for row in nearer]
    probes = np.flatnonzero(np.bincount(codes)[codes] > 1)
    return Ranks(found[probes], probes, len(codes) - len(probes), count, len(codes), len(names))


def error(ranks: Ranks) -> float:
    """Share of probes with a rank above 0, in [0, 1], lower is better; the same for both counts.

    It is nan, undefined, when no probe has a rank.
    """
    return float(np.mean(ranks.values > 0)) if len(ranks.values) else float("nan")


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
    decks = _identities_of_groups(identities, groups)
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


def _checked(
    embeddings: np.ndarray, identities: np.ndarray, count: str, chunk: int | None
) -> tuple[np.ndarray, np.ndarray]:
    embeddings, identities = np.asarray(embeddings), np.asarray(identities)
    if count not in COUNTS:
        raise ValueError(f"count must be one of {', '.join(COUNTS)}, got {count!r}")
    if embeddings.ndim != 2 or embeddings.dtype.kind not in "fiu":
        raise ValueError(
            f"embeddings must be real numbers of shape (images, D), got {embeddings.dtype} {embeddings.shape}"
        )
    if identities.shape != embeddings.shape[:1]:
        raise ValueError(
            f"identities must be one label an image: {len(embeddings)} images, identities of shape {identities.shape}"
        )
    broken = int(np.count_nonzero(~np.isfinite(embeddings).all(axis=1)))
    if broken:
        raise ValueError(
            f"embeddings must be finite: {broken} of {len(embeddings)} rows hold nan or inf; check the network's "
            "weights and BN statistics"
        )
    if not (identities[:1] != identities).any():
        raise ValueError(f"identities must name at least two, got {identities[:1].tolist()}; ranks need impostors")
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be 1 or more images, got {chunk}")
    return embeddings, identities


def _normalised(embeddings: np.ndarray) -> np.ndarray:
    """Unit rows, in float64 for embeddings of that precision and float32 otherwise; zero rows stay zero."""
    unit = embeddings.astype(np.result_type(embeddings.dtype, np.float32))
    # Squares of very large or small entries would overflow or vanish, so the largest entry becomes 1 first.
    _divide_rows(unit, np.maximum(unit.max(axis=1, initial=0), -unit.min(axis=1, initial=0)))
    _divide_rows(unit, np.sqrt(np.einsum("ij,ij->i", unit, unit)))
    return unit


def _divide_rows(rows: np.ndarray, divisors: np.ndarray) -> None:
    rows /= np.where(divisors > 0, divisors, 1)[:, None]


def _cosine_chunks(unit: np.ndarray, chunk: int | None) -> Iterator[tuple[slice, np.ndarray]]:
    """The cosines (C, N) of all images with all, C images at a time; every chunk overwrites the one before."""
    n = len(unit)
    chunk = min(n, chunk or max(1, CHUNK_BYTES // (n * unit.itemsize)))
    buffer = np.empty((chunk, n), unit.dtype)
    for start in range(0, n, chunk):
        images = slice(start, min(start + chunk, n))
        yield images, np.matmul(unit[images], unit.T, out=buffer[: images.stop - start])


def _take_mates(cosines: np.ndarray, start: int, bounds: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Cosine of every row to its nearest mate, (C,); leaves only impostors in `cosines`, all mates become -inf.

    Images stand sorted by identity: identity i has the columns from bounds[i] to bounds[i + 1]. The rows are the
    images from `start` on and `codes` are their identities. A row without mates gets -inf.
    """
    rows = np.arange(len(cosines))
    cosines[rows, start + rows] = -np.inf
    nearest = np.empty(len(cosines), cosines.dtype)
    for identity in range(codes[0], codes[-1] + 1):
        first, last = bounds[identity], bounds[identity + 1]
        own = slice(max(first - start, 0), min(last - start, len(cosines)))
        mates = cosines[own, first:last]
        nearest[own] = mates.max(axis=1)
        mates[:] = -np.inf
    return nearest


def _identities_of_groups(identities: np.ndarray, groups: np.ndarray) -> dict[object, np.ndarray]:
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
