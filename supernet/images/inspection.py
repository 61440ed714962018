"""Inspection: what a faces folder holds, and what is wrong with it, before hours of training are spent on it.

Shape legend: N images.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.supernet.images.importers.importing import PAIRS
from dualfair.supernet.images.labels import (
    GROUP,
    Labels,
    doubts,
    in_numbers,
    is_missing,
    labels_of,
    usual_column,
)
from dualfair.supernet.images.manifest import SPLIT, SPLITS, Manifest, attributes_of, shorten, split_identities
from dualfair.supernet.images.pairs import listed_before, read_pairs, with_itself
from dualfair.supernet.images.store import CLASSIFICATION, COLUMN_OF_TASK, IDENTIFICATION, FaceStore, seal

CHUNK_BYTES = 32 * 2**20
EXAMPLES = 5
COUNTED = {IDENTIFICATION: ("identities", "identity"), CLASSIFICATION: ("classes", "class")}
"""What equal images may be of, in the plural and in the singular, by task."""


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
class Pixels:
    """What is known of the pixels of a store, beside the pixels."""

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

    Without `group_column` the column `group` is taken where there is one that names groups. Images and people whose
    labels are unknown are not among the counts. Pixels are streamed: beside the manifest,
    memory is 16 bytes an image. `progress` wraps the iteration over chunks of images. Raises ValueError for an
    unknown column and for fractions that do not add up to 1.
    """
    manifest = store.manifest
    labels = labels_of(manifest, group_column or usual_column(manifest))
    row_splits, findings = _splits(manifest, labels.group_of, fractions, seed)
    counts = _count(manifest, labels.group_of, row_splits)
    pixels = read_pixels(store, progress)
    findings += [
        *_check_groups(manifest, labels, counts),
        *check_origin(store, pixels),
        *check_images(store, pixels, row_splits),
        *_check_pairs(store),
    ]
    images = sorted(Counter(filter(lambda name: not is_missing(name), manifest.columns["identity"])).values()) or [0]
    return Inspection(
        counts,
        (images[0], float(np.median(images)), images[-1]),
        tuple(sorted(findings, key=lambda finding: not finding.fault)),
    )


def _splits(
    manifest: Manifest, group_of: Mapping[str, str], fractions: tuple[float, float, float], seed: int
) -> tuple[np.ndarray, list[Finding]]:
    """The split of every row (N,) of people with a group, and what is wrong with given ones."""
    if SPLIT not in manifest.columns:
        row_splits = np.full(len(manifest), "", dtype=object)
        for split, rows in split_identities(manifest, group_of, fractions, seed).items():
            row_splits[rows] = split
        return row_splits, []
    row_splits = np.asarray(manifest.columns[SPLIT], dtype=object)
    findings = []
    unknown = sorted(set(row_splits.tolist()) - set(SPLITS))
    if unknown:
        findings.append(Finding(True, f"unknown split {shorten(unknown)}; expected {', '.join(SPLITS)}"))
    splits_of = defaultdict(set)
    for identity, split in zip(manifest.columns["identity"], manifest.columns[SPLIT], strict=True):
        if identity in group_of:
            splits_of[identity].add(split)
    torn = [identity for identity, splits in splits_of.items() if len(splits) > 1]
    if torn:
        findings.append(Finding(True, f"{len(torn)} identities stand in two splits: {shorten(torn)}"))
    return row_splits, findings


def _count(manifest: Manifest, group_of: Mapping[str, str], row_splits: np.ndarray) -> tuple[Count, ...]:
    images: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for identity, split in zip(manifest.columns["identity"], row_splits.tolist(), strict=True):
        if identity in group_of:
            images[split, group_of[identity]][identity] += 1
    order = [*SPLITS, *sorted({split for split, _ in images} - set(SPLITS))]
    return tuple(
        Count(
            split,
            group,
            len(images[split, group]),
            images[split, group].total(),
            sum(n > 1 for n in images[split, group].values()),
        )
        for split in order
        for group in sorted(set(group_of.values()))
    )


def _check_groups(manifest: Manifest, labels: Labels, counts: Sequence[Count]) -> Iterator[Finding]:
    column = labels.column
    for text in (*labels.unknown, *labels.alike, *labels.reserved):
        yield Finding(True, text)
    for text in (*labels.majorities, *doubts(manifest, column)):
        yield Finding(False, text)
    if column is None:
        lacking = f"column {GROUP!r} names no group" if GROUP in manifest.columns else f"there is no column {GROUP!r}"
        others = ", ".join(name for name in attributes_of(manifest) if name != GROUP)
        where = f"choose one with --group-column: {others}" if others else "training needs one to compare people by"
        yield Finding(False, f"{lacking}; {where}")
        return
    names = sorted({count.group for count in counts})
    if len(names) == 1:
        yield Finding(True, f"column {column!r} has the one value {names[0]!r}; disparity needs two groups or more")
    judged = {count.group for count in counts if count.split in SPLITS[1:] and count.identities}
    unjudged = {*names} - judged if SPLIT in manifest.columns else set()
    for group in sorted(unjudged):
        yield Finding(False, f"group {group!r} stands in training alone: it is trained on, and not judged")
    for count in counts:
        if count.split in SPLITS[1:] and count.evaluable < 2 and count.group not in unjudged:
            yield Finding(
                True,
                f"group {count.group!r} has {count.evaluable} identities with two or more images in the {count.split} "
                "split; it needs at least 2",
            )


def read_pixels(store: FaceStore, progress: Callable[[Iterable], Iterable]) -> Pixels:
    """Read every image of a store once."""
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
    return Pixels(digest, np.flatnonzero(constant), [part for part in np.split(order, breaks) if len(part) > 1])


def check_origin(store: FaceStore, pixels: Pixels) -> Iterator[Finding]:
    """Whether the images are those that were written, and what was told of them then."""
    if seal(pixels.digest, store.manifest) != store.origin["fingerprint"]:
        yield Finding(True, "pixels or manifest are not those that were written (SHA-256 differs); import them again")
    left_out = store.origin.get("unreadable", [])
    if left_out:
        yield Finding(False, f"{len(left_out)} images were unreadable at import and left out: {shorten(left_out)}")
    for note in store.origin.get("notes", []):
        yield Finding(False, f"said at import: {note}")


def check_images(store: FaceStore, pixels: Pixels, row_splits: np.ndarray) -> Iterator[Finding]:
    """Images of one colour, and images that are equal though their identities, or classes, are not."""
    paths, identities = store.manifest.columns["path"], store.manifest.columns[COLUMN_OF_TASK[store.task]]
    several, single = COUNTED[store.task]
    if len(pixels.constant):
        shown = shorten([paths[row] for row in pixels.constant[: EXAMPLES + 1]], EXAMPLES)
        yield Finding(True, f"{len(pixels.constant)} images are of one colour: {shown}")
    people = [{identities[row] for row in rows if not is_missing(identities[row])} for rows in pixels.alike]
    across = [rows for rows, whose in zip(pixels.alike, people, strict=True) if len(whose) > 1]
    within = [rows for rows, whose in zip(pixels.alike, people, strict=True) if len(whose) == 1]
    for sets, fault, whose in (
        (across, store.linked, f"of different {several}"),
        (within, False, f"of one {single}"),
    ):
        if sets:
            shown = shorten([" = ".join(paths[row] for row in rows[:3]) for rows in sets[: EXAMPLES + 1]], EXAMPLES)
            copies = sum(map(len, sets))
            leaking = sum(len({row_splits[row] for row in rows} & set(SPLITS)) > 1 for rows in sets) if fault else 0
            leaks = f" ({leaking} of them in two splits)" if leaking else ""
            yield Finding(fault, f"{copies} images {whose} have equal pixels, in {len(sets)} sets{leaks}: {shown}")


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
    by_group = "" if pairs.group is None else f", by group: {in_numbers(Counter(pairs.group.tolist()))}"
    yield Finding(
        False,
        f"{len(pairs):,} verification pairs, {int(pairs.same.sum()):,} of one person, in "
        f"{len(np.unique(pairs.fold))} folds{by_group}",
    )
    paths = store.manifest.columns["path"]
    for fault, doubtful, what in (
        (
            True,
            (identities[pairs.left] == identities[pairs.right]) != pairs.same,
            "contradict the identities of their images",
        ),
        (True, with_itself(pairs.left, pairs.right), "are of an image with itself"),
        (False, listed_before(pairs.left, pairs.right), "stand in the list before, in this order or the other"),
    ):
        if doubtful.any():
            first = paths[pairs.left[np.flatnonzero(doubtful)[0]]]
            yield Finding(fault, f"{np.count_nonzero(doubtful)} pairs {what}, first that of {first}")
