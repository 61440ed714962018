"""Probes against a gallery, some at a time: the cosine to the nearest mate and the cosines to all others.

Shape legend: N images, D embedding, G gallery images, P probes, C probes of a chunk, I identities of the gallery.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

TIE = 16
"""Cosines within this many machine epsilons are equal, and equal is a tie.

The same cosine comes out of a matrix product with up to 7 epsilons of difference (measured to D = 2048), depending on
the order of its sum. Without the tolerance rounding would order a collapsed network's images at random. In float32 it
joins distances on the unit sphere that are below 0.002; embeddings in float64 are compared in float64.
"""

CHUNK_BYTES = 64 * 2**20
"""Size of a chunk of cosines (C, G), unless one row is larger. The whole workspace is below 2.5 times this."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some probes against the whole gallery.

    `probes` (C,) are the numbers of their images. `mates` (C,) are their cosines to the nearest other image of their
    identity, -inf without one. `others` (C, G) are their cosines to the gallery's images of other identities, -inf for
    their own identity; the next chunk overwrites them. The gallery stands sorted by identity: `starts` (I,) are the
    first columns of its identities.
    """

    probes: np.ndarray
    mates: np.ndarray
    others: np.ndarray
    starts: np.ndarray

    @property
    def bars(self) -> np.ndarray:
        """The cosine from which on an image of another identity is as near as the nearest mate or nearer, (C,)."""
        return self.mates - tie_tolerance(self.mates.dtype)


def tie_tolerance(dtype: np.dtype) -> float:
    """How far two cosines of embeddings of this type may be apart and still be equal: see `TIE`."""
    return TIE * float(np.finfo(_precision(dtype)).eps)


def comparisons(
    embeddings: np.ndarray, identities: np.ndarray, gallery: np.ndarray, probes: np.ndarray, chunk: int | None = None
) -> Iterator[Chunk]:
    """All probes against all gallery images, sorted by identity, `chunk` probes at a time; higher cosines are nearer.

    `embeddings` (N, D) and `identities` (N,) are as `checked_faces` returns them, `gallery` (G,) and `probes` (P,) as
    `checked_rows` does. A probe that is in the gallery is excluded there by its number. As many probes as fit in
    `CHUNK_BYTES` are compared at once unless `chunk` says how many; beside that there is one normalised copy of the
    gallery. A zero vector has the cosine 0 to everything. Raises ValueError for a chunk below 1.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be 1 or more images, got {chunk}")
    names, codes = np.unique(identities, return_inverse=True)
    gallery, probes = _by_code(gallery, codes), _by_code(probes, codes)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes[gallery], minlength=len(names)))])
    starts = bounds[:-1][np.diff(bounds) > 0]
    columns = np.full(len(codes), -1)
    columns[gallery] = np.arange(len(gallery))
    unit = normalised(embeddings[gallery])
    size = chunk or max(1, CHUNK_BYTES // (len(gallery) * unit.itemsize))
    buffer = np.empty((min(size, len(probes)), len(gallery)), unit.dtype)
    for start in range(0, len(probes), size):
        rows = probes[start : start + size]
        cosines = np.matmul(normalised(embeddings[rows]), unit.T, out=buffer[: len(rows)])
        yield Chunk(rows, _take_mates(cosines, columns[rows], codes[rows], bounds), cosines, starts)


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
    broken = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(broken):
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


def _divide_rows(rows: np.ndarray, divisors: np.ndarray) -> None:
    rows /= np.where(divisors > 0, divisors, 1)[:, None]


def _take_mates(cosines: np.ndarray, columns: np.ndarray, codes: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Cosine of every row to its nearest mate, (C,); leaves only impostors in `cosines`, all mates become -inf.

    The rows are sorted by their identities, `codes`, and identity i has the columns from bounds[i] to bounds[i + 1].
    `columns` are the rows' own columns, -1 for a row that is not in the gallery. A row without mates gets -inf.
    """
    nearest = np.full(len(cosines), -np.inf, cosines.dtype)
    enrolled = np.flatnonzero(columns >= 0)
    cosines[enrolled, columns[enrolled]] = -np.inf
    changes = np.flatnonzero(np.diff(codes)) + 1
    for first, last in zip([0, *changes], [*changes, len(codes)], strict=True):
        mates = cosines[first:last, bounds[codes[first]] : bounds[codes[first] + 1]]
        nearest[first:last] = mates.max(axis=1, initial=-np.inf)
        mates[:] = -np.inf
    return nearest
