"""Every kind of picture has one rule: what is expected here is computed with numpy, or written by hand."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from dualfair.supernet.images import decoding
from dualfair.supernet.images.decoding import CLEAR, DEEP, FRAMES, NO_TAG, TURNED, WARNED, decoded, formats, suffixes

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


def encoded(image, kind="PNG", **options):
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rgb(data):
    """The decoded pixels and the remarks; the array has three channels of bytes whatever went in."""
    with warnings.catch_warnings(), decoded(io.BytesIO(data)) as (image, remarks):
        warnings.simplefilter("error")
        assert image.mode == "RGB"
        return np.asarray(image), remarks


def three(levels):
    return np.repeat(np.asarray(levels, dtype=np.uint8)[..., None], 3, axis=2)


LOSSLESS = {
    "PNG": {}, "BMP": {}, "TIFF": {}, "PPM": {}, "TGA": {}, "PCX": {}, "SGI": {}, "QOI": {}, "DIB": {},
    "WEBP": {"lossless": True}, "JPEG2000": {"irreversible": False},
}  # fmt: skip


@pytest.mark.parametrize("kind", LOSSLESS)
def test_colour_is_kept_to_the_last_level_in_every_lossless_format(kind):
    pixels, remarks = rgb(encoded(COLOUR, kind, **LOSSLESS[kind]))
    assert np.array_equal(pixels, COLOUR) and remarks == ()


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "AVIF"])
def test_other_formats_are_read_as_pillow_reads_them(kind):
    if kind not in formats():
        pytest.skip(f"this Pillow does not read {kind}")
    data = encoded(COLOUR, kind)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(rgb(data)[0], np.asarray(image.convert("RGB")))


# Where the tag says that row 0 and column 0 of the file are, in a picture shown upright (EXIF 2.32, 4.6.4 A).
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("tag", UPRIGHT)
def test_a_picture_is_turned_upright_once_by_its_tag(kind, tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    pixels, remarks = rgb(encoded(COLOUR, kind, exif=exif, **LOSSLESS[kind]))
    assert np.array_equal(pixels, UPRIGHT[tag](COLOUR))
    assert remarks == (() if tag == 1 else (TURNED,))


@pytest.mark.parametrize("tag", [0, 9, 65535])
def test_a_tag_that_is_none_turns_nothing(tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    pixels, remarks = rgb(encoded(COLOUR, exif=exif))
    assert np.array_equal(pixels, COLOUR) and remarks == ()


def test_sound_pixels_with_damaged_metadata_are_read_and_told():
    pixels, remarks = rgb(encoded(COLOUR, exif=b"Exif\0\0rubbish"))
    assert np.array_equal(pixels, COLOUR) and remarks == (NO_TAG,)


WIDE = np.arange(65536, dtype=np.uint16).reshape(256, 256)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bits_keep_their_high_byte(kind):
    options = {"JPEG2000": {"irreversible": False}}.get(kind, {})
    pixels, remarks = rgb(encoded(WIDE, kind, **options))
    assert np.array_equal(pixels, three(WIDE // 256)) and remarks == (DEEP,)


def test_16_bits_turn_upright_too_and_a_value_that_stands_for_transparency_is_black():
    exif = Image.Exif()
    exif[0x0112] = 6
    values = RNG.integers(4096, 65536, (4, 7), dtype=np.uint16)
    pixels, remarks = rgb(encoded(values, exif=exif))
    assert np.array_equal(pixels, three(values.T[:, ::-1] // 256)) and remarks == (TURNED, DEEP)
    pixels, _ = rgb(encoded(values, transparency=int(values[1, 2])))
    assert np.array_equal(pixels, three(np.where(values == values[1, 2], 0, values) // 256))


def png(width, height, depth, colour, rows, *further):
    """A PNG chunk by chunk, for what Pillow does not write."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)),
        *further,
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        (b"IEND", b""),
    ]
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_16_bit_colour_and_alpha_keep_their_high_bytes_like_grey():
    values = RNG.integers(0, 65536, (4, 5, 4), dtype=np.uint16)
    data = png(5, 4, 16, 2, [row.astype(">u2").tobytes() for row in values[..., :3]])
    pixels, remarks = rgb(data)
    assert np.array_equal(pixels, values[..., :3] // 256) and remarks == (DEEP,)
    high = values // 256
    data = png(5, 4, 16, 6, [row.astype(">u2").tobytes() for row in values])
    assert np.array_equal(rgb(data)[0], np.rint(high[..., :3] * high[..., 3:] / 255))
    data = png(5, 4, 16, 4, [row[:, :2].astype(">u2").tobytes() for row in values])
    pixels, remarks = rgb(data)
    assert np.array_equal(pixels, three(np.rint(high[..., 0] * high[..., 1] / 255))) and remarks == (DEEP, CLEAR)


def test_16_bit_colour_with_one_that_stands_for_transparency_is_refused():
    """Of these two colours, equal in their high bytes, one is transparent; Pillow hands on the high bytes."""
    row = np.array([[2760, 5375, 7680], [2660, 5375, 7680]], dtype=">u2")
    with pytest.raises(ValueError, match="16-bit colour with one that stands for transparency; save it with 8 bits"):
        rgb(png(2, 1, 16, 2, [row.tobytes()], (b"tRNS", row[0].tobytes())))


def test_netpbm_colour_of_many_bits_is_rounded_to_255_steps_and_told():
    values = RNG.integers(0, 65536, (4, 5, 3), dtype=np.uint16)
    pixels, remarks = rgb(b"P6 5 4 65535\n" + values.astype(">u2").tobytes())
    assert np.array_equal(pixels, np.rint(values / 65535 * 255)) and remarks == (DEEP,)
    assert rgb(b"P6 1 1 100\n\x00\x32\x64") == (pytest.approx(np.array([[[0, 128, 255]]])), ())


def test_netpbm_files_of_12_bits_are_scaled_to_their_own_white():
    values = np.array([[0, 1, 2048, 4095]], dtype=np.uint16)
    data = b"P5 4 1 4095\n" + values.astype(">u2").tobytes()
    # value / 4095 of 65535, then the high byte.
    assert rgb(data)[0][0, :, 0].tolist() == [0, 0, 128, 255]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((4, 4), 4095, np.uint16), "16-bit values that end at 4095 of 65535, nearly black"),
        (GREY.astype(np.uint16), f"16-bit values that end at {GREY.max()} of 65535"),
        (np.full((4, 4), 255.0, np.float32), "floating-point values from 255 to 255; expected 0 (black) to 1 (white)"),
        (np.array([[-0.1, 0.5]], np.float32), "floating-point values from -0.1 to 0.5"),
        (np.array([[np.nan, 0.5]], np.float32), "floating-point values from nan to nan"),
        (np.full((4, 4), 70000, np.int32), "integers of 32 bits or with a sign, for which no white is agreed"),
    ],
)
def test_a_picture_whose_white_is_not_known_is_refused(values, reason):
    with pytest.raises(ValueError) as error:
        rgb(encoded(values, "TIFF"))
    assert str(error.value).startswith(reason)


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.array([[0, 40000, 65535]], np.uint16), [255, (65535 - 40000) // 256, 0]),
        (np.array([[0, 0.25, 1]], np.float32), [255, 191, 0]),
        (np.array([[0, 40, 255]], np.uint8), [255, 215, 0]),
    ],
)
def test_a_tiff_whose_white_is_0_is_no_negative(values, levels):
    photometric = struct.Struct("<HHII")
    data = encoded(values, "TIFF")
    assert photometric.pack(262, 3, 1, 1) in data
    data = data.replace(photometric.pack(262, 3, 1, 1), photometric.pack(262, 3, 1, 0))
    assert rgb(data)[0][0, :, 0].tolist() == levels


def test_a_tiff_of_8_bits_with_a_sign_is_refused():
    unsigned, signed = (struct.pack("<HHII", 339, 3, 1, kind) for kind in (1, 2))
    data = encoded(GREY, "TIFF", tiffinfo={339: 1})
    assert unsigned in data and np.array_equal(rgb(data)[0], three(GREY))
    with pytest.raises(ValueError, match="integers of 32 bits or with a sign, for which no white is agreed"):
        rgb(data.replace(unsigned, signed))


def test_the_brightest_value_of_12_bits_is_the_boundary_and_black_is_black():
    bright = np.array([[4096, 0]], np.uint16)
    assert rgb(encoded(bright))[0][0, :, 0].tolist() == [16, 0]
    assert not rgb(encoded(np.zeros((3, 3), np.uint16)))[0].any()


def test_floating_point_has_black_at_0_and_white_at_1():
    values = np.array([[0, 1, 0.5, 1 / 255, 0.1, 0.9999]], np.float32)
    pixels, remarks = rgb(encoded(values, "TIFF"))
    assert pixels[0, :, 0].tolist() == [0, 255, 128, 1, 26, 255] and remarks == (DEEP,)
    assert np.array_equal(rgb(encoded(GREY / np.float32(255), "TIFF"))[0], three(GREY))


def test_what_shows_through_is_black_for_every_level_and_every_alpha():
    level, alpha = np.meshgrid(np.arange(256), np.arange(256))
    layer = np.stack([level, 255 - level, level // 2, alpha], axis=2).astype(np.uint8)
    pixels, remarks = rgb(encoded(layer))
    expected = np.rint(layer[..., :3].astype(float) * alpha[..., None] / 255)
    assert np.array_equal(pixels, expected) and remarks == (CLEAR,)
    grey = np.stack([level, alpha], axis=2).astype(np.uint8)
    assert np.array_equal(rgb(encoded(Image.fromarray(grey, "LA")))[0], three(np.rint(level * alpha / 255)))


def test_hidden_colours_below_full_transparency_are_not_seen():
    layers = [np.dstack([np.full((4, 4, 3), colour, np.uint8), np.zeros((4, 4), np.uint8)]) for colour in (10, 250)]
    first, second = (rgb(encoded(layer))[0] for layer in layers)
    assert not first.any() and not second.any()


def test_an_opaque_alpha_channel_changes_nothing_and_is_not_told():
    pixels, remarks = rgb(encoded(np.dstack([COLOUR, np.full(COLOUR.shape[:2], 255, np.uint8)])))
    assert np.array_equal(pixels, COLOUR) and remarks == ()


def palette_picture():
    image = Image.fromarray(np.array([[0, 1, 2, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 100, 50, 255, 255, 255])
    return image


def test_a_palette_gives_its_colours_and_transparent_ones_are_black():
    assert rgb(encoded(palette_picture()))[0].tolist() == [[[10, 20, 30], [200, 100, 50], [255] * 3, [200, 100, 50]]]
    # One transparent entry, and an alpha for every entry: 51 of 255 is a fifth.
    assert rgb(encoded(palette_picture(), transparency=1))[0].tolist() == [[[10, 20, 30], [0] * 3, [255] * 3, [0] * 3]]
    pixels, remarks = rgb(encoded(palette_picture(), transparency=bytes([255, 51, 0])))
    assert pixels.tolist() == [[[10, 20, 30], [40, 20, 10], [0] * 3, [40, 20, 10]]] and remarks == (CLEAR,)
    assert rgb(encoded(palette_picture(), "GIF", transparency=2))[0][0, 2].tolist() == [0, 0, 0]


def test_a_palette_whose_16_bit_table_holds_8_bit_values_is_refused():
    data = encoded(palette_picture(), "TIFF")
    with Image.open(io.BytesIO(data)) as image:
        table = image.tag_v2[320]
    written, small = (struct.pack(f"<{len(table)}H", *values) for values in (table, [value // 256 for value in table]))
    assert np.array_equal(rgb(data)[0], rgb(encoded(palette_picture()))[0]) and written in data
    with pytest.raises(ValueError, match="a palette that is black throughout; save it without a palette"):
        rgb(data.replace(written, small))


def test_a_colour_that_stands_for_transparency_is_black():
    data = encoded(COLOUR, transparency=tuple(int(level) for level in COLOUR[2, 3]))
    expected = np.where((COLOUR[2, 3] == COLOUR).all(axis=2, keepdims=True), 0, COLOUR)
    assert np.array_equal(rgb(data)[0], expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_grey_value_that_stands_for_transparency_is_black_at_every_depth(depth):
    values = np.arange(16).reshape(2, 8) % 2**depth
    bits = (values[..., None] >> np.arange(depth)[::-1]) & 1
    rows = [np.packbits(row).tobytes() for row in bits.reshape(2, -1)]
    white = 2**depth - 1
    clear = min(white, 7)
    pixels, remarks = rgb(png(8, 2, depth, 0, rows, (b"tRNS", struct.pack(">H", clear))))
    assert np.array_equal(pixels, three(np.where(values == clear, 0, values * 255 // white))) and remarks == (CLEAR,)
    assert np.array_equal(rgb(png(8, 2, depth, 0, rows))[0], three(values * 255 // white))


def test_grey_and_one_bit_get_three_equal_channels():
    assert np.array_equal(rgb(encoded(GREY))[0], three(GREY))
    bits = GREY > 127
    assert np.array_equal(rgb(encoded(Image.fromarray(bits)))[0], three(bits * 255))
    assert np.array_equal(rgb(encoded(Image.fromarray(bits), "TIFF"))[0], three(bits * 255))


def test_cmyk_follows_the_formula():
    inks = RNG.integers(0, 256, (5, 5, 4), dtype=np.uint8)
    pixels, _ = rgb(encoded(Image.fromarray(inks, "CMYK"), "TIFF"))
    expected = (255.0 - inks[..., :3]) * (255.0 - inks[..., 3:]) / 255
    assert np.abs(pixels - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_of_several_frames_is_taken(kind):
    frames = [Image.new("RGB", (8, 8), (level, level, level)) for level in (40, 90, 200)]
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels, remarks = rgb(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert (pixels == 40).all() and remarks == (FRAMES,)


def test_more_pixels_than_the_limit_are_refused_without_a_warning(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert rgb(encoded(Image.new("1", (10, 10))))[0].shape == (10, 10, 3)
    for size in ((10, 11), (100, 100)):
        with pytest.raises(ValueError, match=r"^more than 100 pixels; make a smaller copy of it$"):
            rgb(encoded(Image.new("1", size)))


def test_warnings_of_pillow_become_a_remark(monkeypatch):
    def warns(image):
        warnings.warn("Corrupt EXIF data", UserWarning, stacklevel=1)
        return image, []

    monkeypatch.setattr(decoding, "_upright", warns)
    assert rgb(encoded(COLOUR))[1] == (WARNED,)


@pytest.mark.parametrize("category", [DeprecationWarning, PendingDeprecationWarning, ResourceWarning])
def test_warnings_that_are_not_of_the_picture_are_no_remark(monkeypatch, category):
    def warns(image):
        warnings.warn("unclosed file elsewhere", category, stacklevel=1)
        return image, []

    monkeypatch.setattr(decoding, "_upright", warns)
    assert rgb(encoded(COLOUR))[1] == ()


def test_no_other_program_is_run_for_a_picture():
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    with pytest.raises(OSError, match="cannot identify"):
        rgb(data)
    assert not {".eps", ".ps", ".ico", ".heic", ".txt", ""} & suffixes()
    assert {".jfif", ".jpe", ".webp", ".tif", ".gif", ".jp2", ".tga", ".mpo", ".pgm"} <= suffixes()
