"""A faces folder: manifest.csv, pixels.npy (one uint8 array, memory-mapped) and faces.json (where they came from).

Shape legend: N images, S side of the square images in pixels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from supernet.faces.manifest import Manifest, read_manifest, write_manifest

MANIFEST, PIXELS, ORIGIN = "manifest.csv", "pixels.npy", "faces.json"


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
    def fingerprint(self) -> str:
        """SHA-256 over pixels and manifest, taken when the store was written: equal for equal faces."""
        return self.origin["fingerprint"]


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
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{folder / PIXELS} cannot be read: {error}; import the faces again") from error
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != pixels.shape[2] or pixels.shape[3] != 3:
        raise ValueError(f"{folder / PIXELS} holds {pixels.dtype} {pixels.shape}; expected uint8 (N, S, S, 3)")
    if len(pixels) != len(manifest):
        raise ValueError(f"{folder}: {len(manifest)} manifest rows for {len(pixels)} images; import the faces again")
    try:
        origin = json.loads((folder / ORIGIN).read_text())
        origin["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / ORIGIN} is missing or damaged; import the faces again") from error
    return FaceStore(folder, manifest, pixels, origin)


class StoreWriter:
    """Writes a faces folder image by image, in constant memory; the manifest comes last and makes it whole."""

    def __init__(self, folder: Path, images: int, size: int) -> None:
        if images < 1:
            raise ValueError("there are no images to store")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        self.folder = folder
        self.stored = 0
        self._digest = hashlib.sha256()
        self._partial = folder / (PIXELS + ".tmp")
        self._pixels = np.lib.format.open_memmap(
            self._partial, mode="w+", dtype=np.uint8, shape=(images, size, size, 3)
        )

    def add(self, images: Iterable[np.ndarray]) -> None:
        """Append images (S, S, 3) uint8."""
        for image in images:
            self._pixels[self.stored] = image
            self._digest.update(np.ascontiguousarray(image))
            self.stored += 1

    def close(self, manifest: Manifest, origin: dict) -> FaceStore:
        """Finish with the manifest of the images that were added, in their order."""
        if len(manifest) != self.stored:
            raise ValueError(f"{self.stored} images were stored for {len(manifest)} manifest rows")
        self._pixels.flush()
        pixels, self._pixels = self._pixels, None
        if self.stored < len(pixels):
            # Some images were unreadable: the array shrinks to what is there, chunk by chunk.
            shorter = self.folder / (PIXELS + ".short.tmp")
            kept = np.lib.format.open_memmap(shorter, mode="w+", dtype=np.uint8, shape=(self.stored, *pixels.shape[1:]))
            for start in range(0, self.stored, 4096):
                end = min(start + 4096, self.stored)
                kept[start:end] = pixels[start:end]
            kept.flush()
            shorter.replace(self._partial)
        self._partial.replace(self.folder / PIXELS)
        self._digest.update(json.dumps(dict(manifest.columns)).encode())
        origin = {**origin, "images": self.stored, "size": pixels.shape[1], "fingerprint": self._digest.hexdigest()}
        (self.folder / ORIGIN).write_text(json.dumps(origin, indent=2) + "\n")
        write_manifest(manifest, self.folder / MANIFEST)
        return open_store(self.folder)


def square(image: Image.Image, size: int) -> np.ndarray:
    """The stored form of an image: (size, size, 3) uint8 RGB.

    Grey images get three equal channels and transparency is dropped. A non-square image is cropped to its largest
    central square, then resized (Lanczos filter over the source area).
    """
    image = image.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.crop(box).resize((size, size), Image.Resampling.LANCZOS))
