"""Reading one image of a listing: its stored form, what was done for it, or why it is left out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import UnidentifiedImageError

from dualfair.supernet.images.decoding import decoded
from dualfair.supernet.images.importers.alignment import align as align_face
from dualfair.supernet.images.importers.listing import Listing
from dualfair.supernet.images.store import square

NO_IMAGE = "no image that Pillow reads; save it as JPEG or PNG"


@dataclass(frozen=True, eq=False)
class Reading:
    """What came of one image."""

    pixels: np.ndarray | None
    """(size, size, 3) uint8; None for an image that is left out."""

    stamp: bytes
    """What changes when the file does."""

    reason: str = ""
    """Why it is left out."""

    remarks: tuple[str, ...] = ()
    """What was done to decode it."""


def read_image(listing: Listing, row: int, size: int, align: bool = False) -> Reading:
    """An image of a listing; with `align` turned and scaled by its landmarks, which are of the upright image."""
    opened, stamp = _open(listing, row)
    if isinstance(opened, Exception):
        return Reading(None, stamp, _one_line(opened))
    try:
        if isinstance(opened, Path) and not opened.is_file():
            # A pipe or a device could go on for ever.
            return Reading(None, stamp, "not a plain file")
        with decoded(opened) as (image, remarks):
            if not align:
                return Reading(square(image, size), stamp, remarks=remarks)
            if np.isnan(listing.landmarks[row]).any():
                return Reading(None, stamp, "no landmarks")
            return Reading(align_face(image, listing.landmarks[row], size), stamp, remarks=remarks)
    except UnidentifiedImageError:
        empty = not (opened.stat().st_size if isinstance(opened, Path) else opened.getbuffer().nbytes)
        return Reading(None, stamp, "empty file" if empty else NO_IMAGE)
    except Exception as error:
        # On damaged files Pillow's decoders raise whatever their code comes across.
        return Reading(None, stamp, _one_line(error))


def stamp_of(listing: Listing, row: int) -> bytes:
    """The stamp that `read_image` would give a row."""
    return _open(listing, row)[1]


def _open(listing: Listing, row: int) -> tuple[Path | BinaryIO | Exception, bytes]:
    """An image with its stamp: length and times of a file, a digest of bytes from elsewhere."""
    try:
        opened = listing.open_image(row)
        if isinstance(opened, Path):
            state = opened.stat()
            # A copy may keep the time of the last change; that of the change of state is the disk's own.
            return opened, f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}\n".encode()
        stamp = hashlib.sha256(opened.read()).digest()
        opened.seek(0)
        return opened, stamp
    except FileNotFoundError:
        return ValueError("no such file"), b"missing"
    except Exception as error:
        return error, type(error).__name__.encode()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
