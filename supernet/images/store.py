"""A faces folder: manifest.csv, pixels.npy (one uint8 array, memory-mapped) and faces.json (where they came from).

Shape legend: N images, S side of the square images in pixels.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from dualfair.supernet.images import CLASSIFICATION, IDENTIFICATION
from dualfair.supernet.images.manifest import IDENTITY, LABEL, Manifest, read_manifest, write_manifest

MANIFEST, PIXELS, ORIGIN = "manifest.csv", "pixels.npy", "faces.json"
TASK = "task"
"""What of the record says for which task the images are; faces say nothing."""
COLUMN_OF_TASK = {IDENTIFICATION: IDENTITY, CLASSIFICATION: LABEL}
"""By task, what the manifest must tell of every image."""
OF_TASK = {IDENTIFICATION: "people", CLASSIFICATION: "classes"}
"""By task, what networks tell apart."""
OF_SET = {IDENTIFICATION: "faces", CLASSIFICATION: "images"}
"""By task, what a folder holds; its commands are called so too."""


@dataclass(frozen=True)
class FaceStore:
    """Faces on disk: `pixels` (N, S, S, 3) uint8 RGB, read as needed, and the manifest's rows in the same order."""

    folder: Path
    manifest: Manifest
    pixels: np.ndarray
    origin: dict

    @property
    def size(self) -> int:
        """Side of the stored images in pixels."""
        return self.pixels.shape[1]

    @property
    def task(self) -> str:
        """IDENTIFICATION, who is it; or CLASSIFICATION, of which class."""
        return self.origin.get(TASK, IDENTIFICATION)

    @property
    def linked(self) -> bool:
        """Whether a person has one identity throughout, not one in every pair (`Listing.linked`)."""
        return self.origin.get("linked", True)

    @property
    def unlabelled(self) -> bool:
        """Whether nobody says who is on the images: every one is named by its file."""
        return not self.linked and self.manifest.columns["identity"] == self.manifest.columns["path"]

    def require_people(self) -> None:
        """Raise ValueError where identities are known within a pair only, or not at all: they are not people to train
        or rank by."""
        if self.unlabelled:
            raise ValueError(f"{self.folder} holds images of unknown people, who cannot be trained on or ranked")
        if not self.linked:
            raise ValueError(
                f"{self.folder} holds pairs whose people are known within a pair only; use it with 'dualfair evaluate'"
            )

    def require_size(self, side: int, taker: object, otherwise: str = "") -> None:
        """Raise ValueError where images are stored at less than the `side` in pixels that the `taker` takes."""
        if self.size < side:
            raise ValueError(
                f"the faces in {self.folder} are stored at {self.size} px, {taker} takes {side} px; import them again "
                f"with --size {side}{otherwise}"
            )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over pixels and manifest, taken when the store was written: equal for equal faces.

        With a manifest that was changed since, it is another one: people or groups are not those they were.
        """
        written, now = self.origin["fingerprint"], _digest_of(self.manifest)
        return (
            written
            if self.origin.get("manifest", now) == now
            else hashlib.sha256(written.encode() + now.encode()).hexdigest()
        )


def open_store(folder: Path) -> FaceStore:
    """Open a faces folder. Raises ValueError with one line when it is none, or its parts do not fit together."""
    folder = Path(folder)
    if not (folder / MANIFEST).is_file() or not (folder / PIXELS).is_file():
        raise ValueError(
            f"{folder} is no faces folder ({MANIFEST} and {PIXELS} are not both there); make one with "
            "'dualfair faces import' or 'dualfair faces synth'"
        )
    manifest = read_manifest(folder / MANIFEST)
    try:
        pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # numpy reads the head of the file as Python text, and of a damaged one raises whatever that comes to.
        raise ValueError(f"{folder / PIXELS} cannot be read: {error}; import the faces again") from error
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != pixels.shape[2] or pixels.shape[3] != 3:
        raise ValueError(f"{folder / PIXELS} holds {pixels.dtype} {pixels.shape}; expected uint8 (N, S, S, 3)")
    if len(pixels) != len(manifest):
        raise ValueError(f"{folder}: {len(manifest)} manifest rows for {len(pixels)} images; import the faces again")
    store = FaceStore(folder, manifest, pixels, _read_origin(folder / ORIGIN))
    if COLUMN_OF_TASK[store.task] not in manifest.columns:
        raise ValueError(
            f"{folder / MANIFEST}: {store.task} needs a column {COLUMN_OF_TASK[store.task]!r}; "
            f"it has: {', '.join(manifest.columns)}"
        )
    return store


def _read_origin(path: Path) -> dict:
    damaged = ValueError(f"{path} is missing or damaged; import the faces again")
    try:
        origin = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged from error
    if not isinstance(origin, dict) or not isinstance(origin.get("fingerprint"), str):
        raise damaged
    if origin.get(TASK, IDENTIFICATION) not in tuple(COLUMN_OF_TASK):
        raise damaged
    for name in ("unreadable", "notes"):
        texts = origin.get(name, [])
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise damaged
    return origin


class StoreWriter:
    """Writes a faces folder image by image, in constant memory; the manifest comes last and makes it whole.

    Until then the pixels lie in `pixels.npy.tmp`. With `keep` the first images of such a file, left by a writer that
    was interrupted, are taken over, if `digest` is the one they had; otherwise ValueError is raised.
    """

    def __init__(self, folder: Path, images: int, size: int, *, keep: int = 0, digest: str = "") -> None:
        if images < 1:
            raise ValueError("there are no images to store")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        self.folder = folder
        self.size = size
        self.stored = keep
        self._digest = hashlib.sha256()
        self._partial = folder / (PIXELS + ".tmp")
        self._file = open(self._partial, "r+b" if keep else "w+b", buffering=2**20)  # noqa: SIM115
        if keep:
            self._take_over(digest)
        else:
            self._file.write(_header(images, size))

    def _take_over(self, digest: str) -> None:
        self._file.seek(len(_header(self.stored, self.size)))
        image_bytes = 3 * self.size**2
        for _ in range(self.stored):
            self._digest.update(self._file.read(image_bytes))
        if self.digest != digest:
            self._file.close()
            raise ValueError(f"{self._partial} is not what the interrupted import wrote")
        self._file.truncate()

    @property
    def digest(self) -> str:
        """SHA-256 of the pixels stored so far."""
        return self._digest.copy().hexdigest()

    def add(self, images: Iterable[np.ndarray]) -> None:
        """Append images (S, S, 3) uint8."""
        for image in images:
            if image.dtype != np.uint8 or image.shape != (self.size, self.size, 3):
                raise ValueError(f"expected uint8 ({self.size}, {self.size}, 3), got {image.dtype} {image.shape}")
            data = image.tobytes()
            self._file.write(data)
            self._digest.update(data)
            self.stored += 1

    def flush(self) -> None:
        """Bring what was added to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self, manifest: Manifest, origin: dict) -> FaceStore:
        """Finish with the manifest of the images that were added, in their order."""
        if len(manifest) != self.stored:
            raise ValueError(f"{self.stored} images were stored for {len(manifest)} manifest rows")
        # Fewer images may have come than were announced: numpy leaves room in the header for any number.
        self._file.seek(0)
        self._file.write(_header(self.stored, self.size))
        self.flush()
        self._file.close()
        self._partial.replace(self.folder / PIXELS)
        # What is sealed is the manifest as it will be read: a CSV does not keep blanks around a field.
        unsealed = self.folder / (MANIFEST + ".tmp")
        write_manifest(manifest, unsealed)
        sealed = read_manifest(unsealed)
        origin = {
            **origin,
            "images": self.stored,
            "size": self.size,
            "channels": "RGB",
            "manifest": _digest_of(sealed),
            "fingerprint": seal(self._digest, sealed),
        }
        (self.folder / ORIGIN).write_text(json.dumps(origin, indent=2) + "\n")
        unsealed.replace(self.folder / MANIFEST)
        return open_store(self.folder)


def seal(pixels: hashlib._Hash, manifest: Manifest) -> str:
    """The fingerprint of a store, from the digest over its pixels in order and its manifest."""
    digest = pixels.copy()
    digest.update(_in_words(manifest))
    return digest.hexdigest()


def _digest_of(manifest: Manifest) -> str:
    return hashlib.sha256(_in_words(manifest)).hexdigest()


def _in_words(manifest: Manifest) -> bytes:
    return json.dumps(dict(manifest.columns)).encode()


def _header(images: int, size: int) -> bytes:
    """The head of an .npy file of uint8 (images, size, size, 3); its length depends on the size only."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|u1", "fortran_order": False, "shape": (images, size, size, 3)}
    )
    return head.getvalue()


def square(image: Image.Image, size: int) -> np.ndarray:
    """The stored form of an RGB image: (size, size, 3) uint8.

    A non-square image is cropped to its largest central square, then resized (Lanczos filter over the source area).
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.crop(box).resize((size, size), Image.Resampling.LANCZOS))
