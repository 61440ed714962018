"""Decoding: a picture in any format that Pillow reads becomes 8-bit upright RGB, or is refused with the reason.

One rule for each kind of picture, whichever importer it comes through:

- several frames or pages: the first.
- orientation tag: the picture is turned and mirrored as the tag says, so that it is as a viewer shows it.
- 16 bits: the high byte, v >> 8, is kept, as Pillow does with 16-bit colour, but for colour in netpbm files, which it
  rounds to 255 steps. A grey picture whose brightest value is below 4096 (12 bits) is refused: it would be stored next
  to black.
- floating point: 0 is black and 1 is white, round(255 v). Values outside 0 to 1 are refused; so are integers of 32 bits
  or with a sign, for which no white is agreed. A TIFF whose white is 0 is turned around.
- transparency: what shows through is black, as `align` has what lies outside a picture. 16-bit colour with one that
  stands for transparency is refused, as Pillow has lost the low bytes by which to tell it.
- grey, 1 bit, palette, CMYK: as Pillow converts them, (255 - C)(255 - K) / 255. Colour profiles are not applied. A
  palette that is black throughout is refused.
- more pixels than Pillow's limit (`Image.MAX_IMAGE_PIXELS`): refused.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

NOT_READ = {"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF", "CUR", "ICNS", "ICO"}
"""Formats that Pillow knows and are no photos: EPS runs another program, five are recognised but not decoded, icons."""

FRAMES = "have several frames, the first is taken"
TURNED = "were turned upright by their orientation tag"
NO_TAG = "have metadata that cannot be read, and are taken to be upright"
DEEP = "have more than 8 bits a channel, which were reduced to 8"
CLEAR = "have transparent parts, which are black"
WARNED = "were read, though Pillow warns of damage"
NOT_OF_PICTURES = (DeprecationWarning, PendingDeprecationWarning, ResourceWarning)
"""Warnings that say nothing of a picture: a file elsewhere that was left open may be cleared away at any time."""

ORIENTATION, PHOTOMETRIC, SAMPLE_FORMAT = 0x0112, 0x0106, 0x0153
SIGNED = 2
"""A sample format of TIFF."""
UNCERTAIN = "integers of 32 bits or with a sign, for which no white is agreed; save it with 8 or 16 bits"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TWELVE_BITS = 4096
FEW_BITS = {"L;2": 85, "L;4": 17}
"""What Pillow scales the grey of a PNG by that has fewer than 8 bits; not so the value that stands for transparency."""


@cache
def formats() -> tuple[str, ...]:
    """The formats that are read, as Pillow names them."""
    Image.init()
    return tuple(kind for kind in Image.ID if kind not in NOT_READ)


@cache
def suffixes() -> frozenset[str]:
    """The endings, in lower case and with the dot, of files in these formats."""
    known = formats()
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in known) | {".mpo"}


@contextmanager
def decoded(file: Path | BinaryIO) -> Iterator[tuple[Image.Image, tuple[str, ...]]]:
    """A picture as 8-bit upright RGB, and remarks on what was done for that, each the end of 'the images ...'.

    Raises whatever Pillow raises for a damaged picture, and ValueError for one that is refused.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(file, formats=formats()) as image:
                frames = [FRAMES] if getattr(image, "is_animated", False) else []
                # Pillow turns a TIFF while it loads it, and takes its tag away.
                by_pillow = [TURNED] if getattr(image, "tag_v2", {}).get(ORIENTATION) in TURNS else []
                stored_as = image.tile[0][3] if image.tile else ""
                image.load()
                if isinstance(clear := image.info.get("transparency"), int):
                    image.info["transparency"] = clear * FEW_BITS.get(stored_as, 1)
                elif clear and stored_as == "RGB;16B":
                    raise ValueError("16-bit colour with one that stands for transparency; save it with 8 bits")
                if SIGNED in getattr(image, "tag_v2", {}).get(SAMPLE_FORMAT, ()):
                    raise ValueError(UNCERTAIN)
                kind = image.format
                # Pillow reduces colour while it reads it.
                whites = stored_as[1] if kind == "PPM" and len(stored_as) == 2 else 0
                deep = [DEEP] if image.mode[0] not in "FI" and (";16" in str(stored_as) or whites > 255) else []
                upright, turned = _upright(image)
                picture, reduced = _to_rgb(upright, kind)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise ValueError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels; make a smaller copy of it") from None
    warned = [WARNED] if any(not issubclass(one.category, NOT_OF_PICTURES) for one in caught) else []
    yield picture, (*frames, *by_pillow, *turned, *deep, *reduced, *warned)


def _upright(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """A loaded picture as its orientation tag wants it."""
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION))
    except Exception:
        # Damaged metadata raise whatever the parser comes across; the pixels are sound all the same.
        return image, [NO_TAG]
    return (image, []) if turn is None else (image.transpose(turn), [TURNED])


def _to_rgb(image: Image.Image, kind: str | None) -> tuple[Image.Image, list[str]]:
    if image.mode == "F" or image.mode.startswith("I"):
        return _grey(_levels(image, kind)), [DEEP]
    if image.mode == "P" and not any(image.getpalette()):
        # Some programs write the 16-bit table of a TIFF with 8-bit values.
        raise ValueError("a palette that is black throughout; save it without a palette")
    if not image.has_transparency_data:
        return image.convert("RGB"), []
    layer = image.convert("RGBA")
    if layer.getextrema()[3] == (255, 255):
        return layer.convert("RGB"), []
    black = Image.new("RGBA", layer.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, layer).convert("RGB"), [CLEAR]


def _levels(image: Image.Image, kind: str | None) -> np.ndarray:
    """The 8-bit grey levels of a picture with more bits."""
    values = np.asarray(image)
    # Pillow turns a TIFF whose white is 0 around where it has 8 bits, and leaves it with more.
    negative = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0
    if image.mode == "F":
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError(
                f"floating-point values from {values.min():g} to {values.max():g}; expected 0 (black) to 1 (white)"
            )
        return np.rint((1 - values if negative else values) * 255)
    # Pillow scales netpbm files of more than 8 bits to 16, and has them as 32-bit integers.
    if image.mode == "I" and kind != "PPM":
        raise ValueError(UNCERTAIN)
    values = 65535 - values if negative else values
    if 0 < values.max() < TWELVE_BITS:
        raise ValueError(
            f"16-bit values that end at {values.max()} of 65535, nearly black; scale them to 16 bits, or save 8 bits"
        )
    # A value that stands for transparency shows black.
    clear = image.info.get("transparency")
    return np.where(values == clear, 0, values) >> 8 if isinstance(clear, int) else values >> 8


def _grey(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
