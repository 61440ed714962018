"""Inspection: what a faces folder holds, and what is wrong with it, before hours of training are spent on it.

Shape legend: N images.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.supernet.images.importers.importing import PAIRS
from dualfair.supernet.images.manifest import (
    SPLIT,
    SPLITS,
    Manifest,
    attributes_of,
    identity_groups,
    mixed_identities,
    names_no_group,
    shorten,
    split_identities,
)
from dualfair.supernet.images.pairs import read_pairs
from dualfair.supernet.images.store import FaceStore, seal

EVERYONE = "all"
"""The group of all people where there are no groups."""
CHUNK_BYTES = 32 * 2**20
EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One line about a faces folder: a fault makes results wrong or impossible, a note is good to know."""

    fault: bool
    text: str


@dataclass(frozen=True)
class Count:
    """How many there are of one group in one split; people with one image cannot be evaluated."""

    split: str
    group: str
    identities: int
    images: int
    evaluable: int
    """Identities with at least two images."""


@dataclass(frozen=True)
class Inspection:
    """The counts by split and group, images an identity (least, median, most), and what was found."""

    counts: tuple[Count, ...]
    images_per_identity: tuple[int, float, int]
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> int:
        return sum(finding.fault for finding in self.findings)


@dataclass(frozen=True, eq=False)
class _Pixels:
    digest: hashlib._Hash
    constant: np.ndarray
    """Rows of images of one colour."""
    alike: list[np.ndarray]
    """Rows of images whose pixels are equal, two or more at a time; images of one colour are not among them."""


def inspect(
    store: FaceStore,
    *,
    group_column: str | None = None,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Inspection:
    """Inspect a faces folder, with groups and splits as training would make them from the same arguments.

    Without `group_column` the column `group` is taken where there is one. Pixels are streamed: beside the manifest,
    memory is 16 bytes an image. `progress` wraps the iteration over chunks of images. Raises ValueError for an
    unknown column and for fractions that do not add up to 1.
    """
    manifest = store.manifest
    column = group_column or ("group" if "group" in attributes_of(manifest) else None)
    groups = dict.fromkeys(manifest.columns["identity"], EVERYONE)
    if column is not None:
        groups = identity_groups(manifest, column)
    row_splits, findings = _splits(manifest, column, fractions, seed)
    counts = _count(manifest, groups, row_splits)
    pixels = _read_pixels(store, progress)
    findings += [
        *_check_groups(manifest, column, counts),
        *_check_origin(store, pixels),
        *_check_images(store, pixels),
        *_check_pairs(store),
    ]
    images = sorted(Counter(manifest.columns["identity"]).values())
    return Inspection(
        counts,
        (images[0], float(np.median(images)), images[-1]),
        tuple(sorted(findings, key=lambda finding: not finding.fault)),
    )


def _splits(
    manifest: Manifest, column: str | None, fractions: tuple[float, float, float], seed: int
) -> tuple[np.ndarray, list[Finding]]:
    """The split of every row (N,), and what is wrong with given ones."""
    if SPLIT not in manifest.columns:
        if column is None:
            column = EVERYONE
            manifest = Manifest({**manifest.columns, EVERYONE: (EVERYONE,) * len(manifest)})
        row_splits = np.empty(len(manifest), dtype=object)
        for split, rows in split_identities(manifest, column, fractions, seed).items():
            row_splits[rows] = split
        return row_splits, []
    row_splits = np.asarray(manifest.columns[SPLIT], dtype=object)
    findings = []
    unknown = sorted(set(row_splits.tolist()) - set(SPLITS))
    if unknown:
        findings.append(Finding(True, f"unknown split {shorten(unknown)}; expected {', '.join(SPLITS)}"))
    splits_of = defaultdict(set)
    for identity, split in zip(manifest.columns["identity"], manifest.columns[SPLIT], strict=True):
        splits_of[identity].add(split)
    torn = [identity for identity, splits in splits_of.items() if len(splits) > 1]
    if torn:
        findings.append(Finding(True, f"{len(torn)} identities stand in two splits: {shorten(torn)}"))
    return row_splits, findings


def _count(manifest: Manifest, groups: dict[str, str], row_splits: np.ndarray) -> tuple[Count, ...]:
    images: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for identity, split in zip(manifest.columns["identity"], row_splits.tolist(), strict=True):
        images[split, groups[identity]][identity] += 1
    order = [*SPLITS, *sorted(set(row_splits.tolist()) - set(SPLITS))]
    return tuple(
        Count(
            split,
            group,
            len(images[split, group]),
            images[split, group].total(),
            sum(n > 1 for n in images[split, group].values()),
        )
        for split in order
        for group in sorted(set(groups.values()))
    )


def _check_groups(manifest: Manifest, column: str | None, counts: Sequence[Count]) -> Iterator[Finding]:
    if column is None:
        names = ", ".join(attributes_of(manifest))
        where = f"choose one with --group-column: {names}" if names else "training needs one to compare people by"
        yield Finding(False, f"there is no column 'group'; {where}")
        return
    names = sorted({count.group for count in counts})
    if len(names) < 2:
        yield Finding(True, f"column {column!r} has the one value {names[0]!r}; disparity needs two groups or more")
    nameless = sorted(
        identity for identity, group in identity_groups(manifest, column).items() if names_no_group(group)
    )
    if nameless:
        yield Finding(
            True,
            f"{len(nameless)} identities have no group in column {column!r}, it is empty or unknown: "
            f"{shorten(nameless)}",
        )
    for count in counts:
        if count.split in SPLITS[1:] and count.evaluable < 2:
            yield Finding(
                True,
                f"group {count.group!r} has {count.evaluable} identities with two or more images in the {count.split} "
                "split; it needs at least 2",
            )
    mixed = mixed_identities(manifest, column)
    if mixed:
        ties = sum(mixed.values())
        yield Finding(
            False,
            f"{len(mixed)} identities have images of two values of {column!r}, the majority counts ({ties} ties): "
            f"{shorten([*mixed])}",
        )


def _read_pixels(store: FaceStore, progress: Callable[[Iterable], Iterable]) -> _Pixels:
    images = len(store.pixels)
    step = max(1, CHUNK_BYTES // (3 * store.size**2))
    digest = hashlib.sha256()
    hashes = np.empty((images, 2), dtype=np.uint64)
    constant = np.zeros(images, dtype=bool)
    for start in progress(range(0, images, step)):
        chunk = np.ascontiguousarray(store.pixels[start : start + step])
        digest.update(chunk)
        for row, image in enumerate(chunk, start):
            hashes[row] = np.frombuffer(hashlib.blake2b(image, digest_size=16).digest(), dtype=np.uint64)
        constant[start : start + step] = (chunk == chunk[:, :1, :1]).all(axis=(1, 2, 3))
    rows = np.flatnonzero(~constant)
    order = rows[np.lexsort((rows, *hashes[rows].T))]
    breaks = np.flatnonzero((hashes[order][1:] != hashes[order][:-1]).any(axis=1)) + 1
    return _Pixels(digest, np.flatnonzero(constant), [part for part in np.split(order, breaks) if len(part) > 1])


def _check_origin(store: FaceStore, pixels: _Pixels) -> Iterator[Finding]:
    if seal(pixels.digest, store.manifest) != store.fingerprint:
        yield Finding(True, "pixels or manifest are not those that were written (SHA-256 differs); import them again")
    left_out = store.origin.get("unreadable", [])
    if left_out:
        yield Finding(False, f"{len(left_out)} images were unreadable at import and left out: {shorten(left_out)}")
    for note in store.origin.get("notes", []):
        yield Finding(False, f"said at import: {note}")


def _check_images(store: FaceStore, pixels: _Pixels) -> Iterator[Finding]:
    paths, identities = store.manifest.columns["path"], store.manifest.columns["identity"]
    if len(pixels.constant):
        shown = shorten([paths[row] for row in pixels.constant[: EXAMPLES + 1]], EXAMPLES)
        yield Finding(True, f"{len(pixels.constant)} images are of one colour: {shown}")
    across = [rows for rows in pixels.alike if len({identities[row] for row in rows}) > 1]
    within = [rows for rows in pixels.alike if len({identities[row] for row in rows}) == 1]
    for sets, fault, whose in (
        (across, store.origin.get("linked", True), "of different identities"),
        (within, False, "of one identity"),
    ):
        if sets:
            shown = shorten([" = ".join(paths[row] for row in rows[:3]) for rows in sets[: EXAMPLES + 1]], EXAMPLES)
            copies = sum(map(len, sets))
            yield Finding(fault, f"{copies} images {whose} have equal pixels, in {len(sets)} sets: {shown}")


def _check_pairs(store: FaceStore) -> Iterator[Finding]:
    path = store.folder / PAIRS
    if not path.exists():
        return
    try:
        pairs = read_pairs(path, store.manifest)
    except ValueError as error:
        yield Finding(True, str(error))
        return
    identities = np.asarray(store.manifest.columns["identity"], dtype=str)
    yield Finding(
        False,
        f"{len(pairs):,} verification pairs, {int(pairs.same.sum()):,} of one person, in "
        f"{len(np.unique(pairs.fold))} folds",
    )
    wrong = np.flatnonzero((identities[pairs.left] == identities[pairs.right]) != pairs.same)
    if len(wrong):
        first = f"{store.manifest.columns['path'][pairs.left[wrong[0]]]}"
        yield Finding(True, f"{len(wrong)} pairs contradict the identities of their images, first that of {first}")
