"""Probes against a gallery, some at a time: the cosine to the nearest mate and the cosines to all others.

Which image is as near as the nearest mate is decided exactly, whoever computes: unit rows of float32 stand on a grid on
which dot products in float64 are exact (`GRID`). Float32 products serve where they are beyond `rounding` of the bar.

Shape legend: N images, D embedding, G gallery images, P probes, C probes of a chunk, I identities of the gallery.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

TIE = 16
"""Cosines within this many machine epsilons are equal, and equal is a tie.

Rounding embeddings that are the same up to noise moves their cosines by less. Without the tolerance it would order a
collapsed network's images at random. In float32 it joins distances on the unit sphere that are below 0.002; embeddings
in float64 are compared in float64, where the same cosine comes out of a product with up to 7 epsilons of difference
(measured to D = 2048), depending on the order of its sum.
"""

GRID = 2.0**-24
"""Entries of float32 unit rows are multiples of this.

Float32 holds these without rounding. Products of two are multiples of its square, and sums of those stay below 2: 49 of
float64's 53 bits, so that dot products in float64 are exact in any order, on any device. It moves cosines by 0.2
machine epsilons (standard deviation, at any D).
"""

CHUNK_BYTES = 64 * 2**20
"""Size of a chunk of cosines (C, G), unless one row is larger. The whole workspace is below 2.5 times this."""

DENSE = 64
"""Where more than one pair of so many is within rounding of its bar, all are computed in float64."""

_BLOCK = 2**17
"""Numbers that are normalised at once: they stay in the cache."""


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Gallery and probes, both sorted by identity.

    `gallery` (G,) and `probes` (P,) are numbers of images, `codes` (P,) the probes' identities as numbers; identity i
    has the gallery's columns from bounds[i] to bounds[i + 1]. `own` (P,) are the columns of the probes themselves, -1
    for one that is not in the gallery.
    """

    gallery: np.ndarray
    probes: np.ndarray
    codes: np.ndarray
    bounds: np.ndarray
    own: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """The first columns of the identities that the gallery has, (I,)."""
        return self.bounds[:-1][np.diff(self.bounds) > 0]


def arrange(identities: np.ndarray, gallery: np.ndarray, probes: np.ndarray) -> Arrangement:
    """Sort numbers of images, as `checked_rows` returns them, by identity (N,)."""
    names, codes = np.unique(identities, return_inverse=True)
    gallery, probes = _by_code(gallery, codes), _by_code(probes, codes)
    columns = np.full(len(codes), -1)
    columns[gallery] = np.arange(len(gallery))
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes[gallery], minlength=len(names)))])
    return Arrangement(gallery, probes, codes[probes], bounds, columns[probes])


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some probes against the whole gallery.

    `probes` (C,) are the numbers of their images. `mates` (C,) are their cosines to the nearest other image of their
    identity, float64, -inf without one. `others` (C, G) are their cosines to the gallery's images of other identities,
    -inf for their own identity; the next chunk overwrites them. From `bars` (C,) on, one of them is as near as the
    nearest mate or nearer: exactly those are, since what rounding had on the wrong side has been moved. `nearer` (C,)
    says how many.
    """

    probes: np.ndarray
    mates: np.ndarray
    bars: np.ndarray
    others: np.ndarray
    nearer: np.ndarray


def tie_tolerance(dtype: np.dtype) -> float:
    """How far two cosines of embeddings of this type may be apart and still be equal: see `TIE`."""
    return TIE * float(np.finfo(_precision(dtype)).eps)


def rounding(dimensions: int) -> float:
    """A bound on the error of a float32 dot product of unit rows (D,), whatever the order of its sum.

    It is D u / (1 - D u) times the sum of the products' sizes, which is at most 1 (Higham, Accuracy and Stability of
    Numerical Algorithms, 3.1), with u = 2^-24. The hundredth covers the denominator and the rows' rounding to D =
    160,000, the 8 the rounding of the bar itself.
    """
    return (1.01 * dimensions + 8) * 2.0**-24


def comparisons(embeddings: np.ndarray, arranged: Arrangement, chunk: int | None = None) -> Iterator[Chunk]:
    """All probes against all gallery images, sorted by identity, `chunk` probes at a time; higher cosines are nearer.

    `embeddings` (N, D) are as `checked_faces` returns them. A probe that is in the gallery is excluded there by its
    number. As many probes as fit in `CHUNK_BYTES` are compared at once unless `chunk` says how many; beside that there
    is one normalised copy of the gallery. A zero vector has the cosine 0 to everything. Raises ValueError for a chunk
    below 1.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be 1 or more images, got {chunk}")
    unit, images = unit_rows(embeddings, arranged.gallery), len(arranged.probes)
    size = chunk or max(1, CHUNK_BYTES // (len(unit) * unit.itemsize))
    buffer = np.empty((min(size, images), len(unit)), unit.dtype)
    for start in range(0, images, size):
        place = slice(start, min(start + size, images))
        rows = unit_rows(embeddings, arranged.probes[place])
        cosines = np.matmul(rows, unit.T, out=buffer[: len(rows)])
        rows = rows.astype(np.float64, copy=False)
        mates = _take_mates(cosines, rows, unit, arranged, place)
        bars = mates - tie_tolerance(unit.dtype)
        if unit.dtype == np.float32:
            bars, nearer = _settle(cosines, rows, unit, bars)
        else:
            nearer = _reaching(cosines, bars)
        yield Chunk(arranged.probes[place], mates, bars, cosines, nearer)


def mates_in_gallery(identities: np.ndarray, gallery: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """How many images of every probe's identity the gallery holds, the probe itself not counted, int64 (P,)."""
    names, codes = np.unique(identities, return_inverse=True)
    return np.bincount(codes[gallery], minlength=len(names))[codes[probes]] - np.isin(probes, gallery)


def checked_faces(embeddings: np.ndarray, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays. Raises ValueError for shapes that do not fit, or embeddings that are not finite real numbers."""
    embeddings, identities = np.asarray(embeddings), np.asarray(identities)
    if embeddings.ndim != 2 or embeddings.dtype.kind not in "fiu":
        raise ValueError(
            f"embeddings must be real numbers of shape (images, D), got {embeddings.dtype} {embeddings.shape}"
        )
    if identities.shape != embeddings.shape[:1]:
        raise ValueError(
            f"identities must be one label an image: {len(embeddings)} images, identities of shape {identities.shape}"
        )
    # The least and the greatest are not finite where some number is not; looking at all takes three times as long.
    if embeddings.size and not np.isfinite([embeddings.min(), embeddings.max()]).all():
        broken = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        raise ValueError(
            f"embeddings must be finite: {len(broken)} of {len(embeddings)} rows hold nan or inf, the first is row "
            f"{broken[0]} (from 0); check the network's weights and BN statistics, or what wrote the embeddings"
        )
    return embeddings, identities


def checked_rows(name: str, rows: np.ndarray, images: int) -> np.ndarray:
    """Numbers of images, ascending. Raises ValueError, naming them, for numbers outside 0 to `images` - 1 or twice.

    A mask is refused because it would be read as the numbers 0 and 1: pass `np.flatnonzero(mask)`.
    """
    rows = np.asarray(rows)
    if rows.ndim != 1 or (rows.dtype.kind not in "iu" and len(rows)):
        raise ValueError(
            f"{name} must be the numbers of images (np.flatnonzero of a mask), got {rows.dtype} {rows.shape}"
        )
    rows = np.sort(rows).astype(np.int64)
    if len(rows) and (rows[0] < 0 or rows[-1] >= images):
        raise ValueError(f"{name} must be numbers of images from 0 to {images - 1}, got {rows[0]} to {rows[-1]}")
    twice = rows[1:][np.diff(rows) == 0]
    if len(twice):
        raise ValueError(f"{name} must name every image once, got {twice[0]} more than once")
    return rows


def _by_code(rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return rows[np.argsort(codes[rows], kind="stable")]


def _precision(dtype: np.dtype) -> np.dtype:
    """Float64 for embeddings of that precision and float32 otherwise."""
    return np.result_type(dtype, np.float32)


def normalised(embeddings: np.ndarray) -> np.ndarray:
    """Unit rows in place of `embeddings`, or a copy where the precision changes; zero rows stay zero."""
    unit = embeddings.astype(_precision(embeddings.dtype), copy=False)
    # Squares of very large or small entries would overflow or vanish, so the largest entry becomes 1 first.
    _divide_rows(unit, np.maximum(unit.max(axis=1, initial=0), -unit.min(axis=1, initial=0)))
    _divide_rows(unit, np.sqrt(np.einsum("ij,ij->i", unit, unit)))
    return unit


def lengths(embeddings: np.ndarray) -> np.ndarray:
    """The length of every row, float64 (N,), 1 for a zero row. Float32 squares neither overflow nor vanish there."""
    squares = np.empty(len(embeddings))
    for place in _blocks(*embeddings.shape):
        block = embeddings[place].astype(np.float64)
        squares[place] = sum_by_halves(np.multiply(block, block, out=block))
    return np.sqrt(np.where(squares > 0, squares, 1))


def sum_by_halves(rows):
    """The sum of every row (N,) of an array or a tensor (N, D): one half is added to the other until a column is left.

    Which numbers are added to which is the same everywhere, so every device comes to the same bits.
    """
    while (columns := rows.shape[1]) > 1:
        half = columns // 2
        added = rows[:, :half] + rows[:, half : 2 * half]
        if columns % 2:
            added[:, 0] += rows[:, -1]
        rows = added
    return rows.sum(1)


def unit_rows(embeddings: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Some of the embeddings (N, D), normalised: (R, D), zero rows stay zero.

    Of float64 as `normalised`; otherwise float32, divided in float64 and rounded once, to multiples of `GRID`.
    """
    if _precision(embeddings.dtype) == np.float64:
        return normalised(embeddings[images])
    unit = np.empty((len(images), embeddings.shape[1]), np.float32)
    for place in _blocks(*unit.shape):
        block = embeddings[images[place]]
        unit[place] = np.rint(block / (lengths(block) * GRID)[:, None])
    unit *= np.float32(GRID)
    return unit


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    size = max(1, _BLOCK // max(1, columns))
    return (slice(start, start + size) for start in range(0, rows, size))


def _divide_rows(rows: np.ndarray, divisors: np.ndarray) -> None:
    rows /= np.where(divisors > 0, divisors, 1)[:, None]


def _exact(rows: np.ndarray, unit: np.ndarray, first: int, last: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Cosines in float64 of rows to the columns from `first` to `last`, an eighth of the gallery at a time."""
    step = max(1, len(unit) // 8)
    for start in range(first, last, step):
        columns = slice(start, min(start + step, last))
        yield columns, rows @ unit[columns].astype(np.float64, copy=False).T


def _take_mates(
    cosines: np.ndarray, rows: np.ndarray, unit: np.ndarray, arranged: Arrangement, place: slice
) -> np.ndarray:
    """Cosine of every row to its nearest mate, float64 (C,); leaves only impostors in `cosines`, all mates become -inf.

    The `rows` are the probes at a place, normalised, in float64. A row without mates gets -inf.
    """
    nearest = np.full(len(rows), -np.inf)
    codes, own, bounds = arranged.codes[place], arranged.own[place], arranged.bounds
    enrolled = np.flatnonzero(own >= 0)
    cosines[enrolled, own[enrolled]] = -np.inf
    changes = np.flatnonzero(np.diff(codes)) + 1
    for first, last in zip([0, *changes], [*changes, len(codes)], strict=True):
        start, stop = bounds[codes[first]], bounds[codes[first] + 1]
        for columns, mates in _exact(rows[first:last], unit, start, stop):
            mates[cosines[first:last, columns] == -np.inf] = -np.inf
            np.maximum(nearest[first:last], mates.max(axis=1), out=nearest[first:last])
        cosines[first:last, start:stop] = -np.inf
    return nearest


def _reaching(cosines: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """How many cosines of every row reach its bar, int64 (C,)."""
    return np.array([np.count_nonzero(row >= bar) for row, bar in zip(cosines, bars, strict=True)], dtype=np.int64)


def _settle(cosines: np.ndarray, rows: np.ndarray, unit: np.ndarray, bars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """New bars, float32 (C,), that exactly those cosines reach that are `bars` or more in float64; and how many do.

    They are so much higher that no cosine reaches one by rounding; those that rounding may have put below are computed
    in float64, the `rows` with the gallery, and lifted to the bar.
    """
    width = rounding(unit.shape[1])
    low, high = (bars - width).astype(np.float32), (bars + width).astype(np.float32)
    counts, unsure = np.empty(len(rows), np.int64), 0
    for number, (row, least, bar) in enumerate(zip(cosines, low, high, strict=True)):
        possible, certain = row >= least, row >= bar
        counts[number] = np.count_nonzero(certain)
        if between := np.count_nonzero(possible) - counts[number]:
            unsure += between
            if unsure > cosines.size // DENSE:
                _settle_all(cosines, rows, unit, bars, low, high)
                return high, _reaching(cosines, high)
            columns = np.flatnonzero(possible != certain)
            nearer = columns[unit[columns].astype(np.float64) @ rows[number] >= bars[number]]
            row[nearer] = bar
            counts[number] += len(nearer)
    return high, counts


def _settle_all(
    cosines: np.ndarray, rows: np.ndarray, unit: np.ndarray, bars: np.ndarray, low: np.ndarray, high: np.ndarray
) -> None:
    """Lift whatever is not below `low` and is `bars` or more in float64 to `high`, all (C,)."""
    for columns, exact in _exact(rows, unit, 0, len(unit)):
        part = cosines[:, columns]
        nearer = (exact >= bars[:, None]) & (part >= low[:, None])
        np.copyto(part, np.maximum(part, high[:, None]), where=nearer)
