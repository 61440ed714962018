"""Images of one size, packed into arrays: rows of a file that are read one at a time, as pictures for Pillow.

Shape legend: N images, H height, W width.
"""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dualfair.supernet.files import on_one_line
from dualfair.supernet.images.importers.listing import Listing
from dualfair.supernet.images.importers.tree import frozen
from dualfair.supernet.images.manifest import SPLIT, Manifest
from dualfair.supernet.images.store import CLASSIFICATION

LEAST_SIDE, MOST_SIDE = 8, 8192
"""Sides of a packed image in pixels."""
MOST_LABEL_BYTES = 2**30
"""A few kB that are packed well may stand for more labels than memory holds."""
_CHUNK = 2**20
OTHERS = "no file of this format, or not of this set"


@dataclass(frozen=True, eq=False)
class Part:
    """The images of one split: `columns` of the manifest but for path and split, of equal length; `open_image` gives
    that of a number."""

    split: str
    columns: dict[str, tuple[str, ...]]
    open_image: Callable[[int], BinaryIO]
    size: int | None
    """Side of the largest central square of an image; None where it is not known."""

    def __len__(self) -> int:
        return len(self.columns["label"])


def listing_of(parts: Sequence[Part], source: Path, used: Sequence[Path] = ()) -> Listing:
    """The parts one after the other; with one part there is no column `split`. Other files than those `used` are told.

    Raises ValueError where parts have other columns, or images of other sizes, than the first.
    """
    if not all(map(len, parts)):
        raise ValueError(f"{source} holds no images")
    for part in parts[1:]:
        if part.columns.keys() != parts[0].columns.keys() or part.size != parts[0].size:
            raise ValueError(
                f"{source}: {parts[0].split} has {_in_words(parts[0])}, {part.split} has {_in_words(part)}; "
                "parts of one set have the same"
            )
    starts = np.cumsum([0, *map(len, parts)])
    digits = len(str(max(map(len, parts)) - 1))
    folders = [f"{part.split}/" if len(parts) > 1 else "" for part in parts]
    columns = {
        "path": tuple(
            f"{folder}{row:0{digits}d}" for folder, part in zip(folders, parts, strict=True) for row in range(len(part))
        ),
        **{name: tuple(value for part in parts for value in part.columns[name]) for name in parts[0].columns},
    }
    if len(parts) > 1:
        columns[SPLIT] = tuple(part.split for part in parts for _ in range(len(part)))

    def open_image(row: int) -> BinaryIO:
        part = int(np.searchsorted(starts, row, side="right")) - 1
        return parts[part].open_image(row - int(starts[part]))

    others = (path.name for path in sorted(source.iterdir()) if path not in used) if source.is_dir() else ()
    return Listing(
        manifest=Manifest(columns),
        source=source,
        open_image=open_image,
        task=CLASSIFICATION,
        size=parts[0].size,
        skipped=frozen({OTHERS: others}),
    )


def _in_words(part: Part) -> str:
    return f"{', '.join(part.columns)}" + (f" at {part.size} px" if part.size else "")


def picture(pixels: np.ndarray) -> BinaryIO:
    """An image (H, W), (H, W, 1) or (H, W, 3) uint8 as a netpbm file, which Pillow reads without a loss."""
    height, width = pixels.shape[:2]
    kind = b"P6" if pixels.ndim == 3 and pixels.shape[2] == 3 else b"P5"
    return io.BytesIO(b"%b %d %d 255\n" % (kind, width, height) + pixels.tobytes())


def square_side(shape: Sequence[int]) -> int:
    """Side of the largest square of images (H, W). Raises ValueError for sides that are no images'."""
    if not all(LEAST_SIDE <= side <= MOST_SIDE for side in shape[:2]):
        raise ValueError(f"images of {shape[0]} x {shape[1]} px; expected sides of {LEAST_SIDE} to {MOST_SIDE}")
    return min(shape[:2])


def named_classes(numbers: np.ndarray, names: Sequence[str] | None) -> tuple[str, ...]:
    """Labels, integers (N,), by their names where there are names. Raises ValueError for a number without one."""
    if names is None:
        return tuple(map(str, numbers.tolist()))
    wrong = np.flatnonzero((numbers < 0) | (numbers >= len(names)))
    if len(wrong):
        raise ValueError(
            f"image {wrong[0]} has the label {numbers[wrong[0]]}; the names are those of 0 to {len(names) - 1}"
        )
    return tuple(names[number] for number in numbers.tolist())


def open_plain_or_gz(path: Path) -> BinaryIO:
    """A file, or what it is the gzip of."""
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")


def has_bytes(stream: BinaryIO, count: int) -> bool:
    """Whether so many bytes and no more are left in a stream; it is read in small pieces, one byte further at most."""
    left = count + 1
    while left and (piece := stream.read(min(left, _CHUNK))):
        left -= len(piece)
    return left == 1


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Whatever is raised about a file, or by what unpacks a damaged one, as a ValueError that begins with its name."""
    try:
        yield
    except (ValueError, EOFError, OSError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path}: {on_one_line(' '.join(str(error).split()))}") from error
