import builtins
import io
import os
import pickle
import struct
import time
import tracemalloc

import numpy as np
import pytest

from dualfair.supernet.images.importers.verification_bin import read_bin

JPEG, PNG = b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its str."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def save_bytes(self, data):
        if not self.bin:
            self.write(b"S" + repr(data)[1:].encode("ascii") + b"\n")
        elif len(data) < 256:
            self.write(b"U" + bytes([len(data)]) + data)
        else:
            self.write(b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(data)

    dispatch[bytes] = save_bytes


def python2_pickle(content, protocol):
    file = io.BytesIO()
    Python2Pickler(file, protocol).dump(content)
    return file.getvalue()


def pictures(count, longest=300, seed=0):
    rng = np.random.default_rng(seed)
    return [(PNG if n % 3 == 0 else JPEG) + rng.bytes(int(rng.integers(1, longest))) for n in range(count)]


def save(tmp_path, data):
    path = tmp_path / "lfw.bin"
    path.write_bytes(data)
    return path


def refusal(tmp_path, data):
    with pytest.raises(ValueError) as error:
        read_bin(save(tmp_path, data))
    assert "lfw.bin: " in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


WRITERS = {f"python 3, protocol {n}": lambda content, n=n: pickle.dumps(content, n) for n in range(6)} | {
    f"python 2, protocol {n}": lambda content, n=n: python2_pickle(content, n) for n in range(3)
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("pairs", [1, 40, 600])
def test_sets_of_every_protocol_are_read(tmp_path, writer, pairs):
    images = pictures(2 * pairs)
    same = [bool(flag) for flag in np.random.default_rng(1).integers(0, 2, pairs)]
    read = read_bin(save(tmp_path, WRITERS[writer]((images, same))))
    assert read.images == tuple(images)
    assert read.same.dtype == bool and read.same.tolist() == same


@pytest.mark.parametrize("writer", WRITERS)
def test_lists_tuples_numbers_for_flags_and_repeated_images_are_read(tmp_path, writer):
    image = pictures(1)[0]
    read = read_bin(save(tmp_path, WRITERS[writer]([(image,) * 6, (1, 0, True)])))
    assert read.images == (image,) * 6 and read.same.tolist() == [True, False, True]


@pytest.mark.parametrize("protocol", range(6))
def test_images_kept_as_latin_1_text_are_read(tmp_path, protocol):
    images = pictures(2)
    read = read_bin(save(tmp_path, pickle.dumps(([image.decode("latin-1") for image in images], [True]), protocol)))
    assert read.images == tuple(images)
    beyond = [images[0].decode("latin-1") + "\u0141"] * 2
    assert "image 0 is text beyond latin-1" in refusal(tmp_path, pickle.dumps((beyond, [True]), protocol))


class Call:
    def __init__(self, function, *arguments):
        self.called = (function, arguments)

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "posix.system"), (eval, "builtins.eval"), (os.mkdir, "posix.mkdir")],
)
def test_a_pickle_that_calls_is_refused_with_the_name_and_nothing_is_called(tmp_path, protocol, function, name):
    target = tmp_path / "made"
    argument = f"touch {target}" if function is not eval else f"open({str(target)!r}, 'w')"
    message = refusal(tmp_path, pickle.dumps((pictures(2), [Call(function, argument)]), protocol))
    name = name.replace("builtins", "__builtin__") if protocol < 3 else name
    assert f"lfw.bin: refused the pickle global {name}; only images and flags are read" in message
    assert not target.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_an_image_without_bytes_is_called_that(tmp_path, protocol):
    """Below protocol 3 it is a call of bytes(), which is a fault of the image and no attack."""
    message = refusal(tmp_path, pickle.dumps(([*pictures(3), b""], [True, False]), protocol))
    assert message.endswith("lfw.bin: an image has no bytes; leave its pair out and save the set again")


@pytest.mark.parametrize("protocol", range(6))
def test_the_unpickler_alone_knows_no_global_either(tmp_path, monkeypatch, protocol):
    monkeypatch.setattr("dualfair.supernet.images.importers.verification_bin._check_operations", lambda data: None)
    message = refusal(tmp_path, pickle.dumps(Call(os.mkdir, str(tmp_path / "made")), protocol))
    assert "refused the pickle global posix.mkdir; only images and flags are read" in message
    assert "refused the pickle global _codecs.decode" in refusal(tmp_path, b"c_codecs\ndecode\n.")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("protocol", range(6))
def test_numpy_images_and_flags_are_refused_by_name(tmp_path, protocol):
    array = np.frombuffer(pictures(1)[0], np.uint8)
    for content in (([array, array], [True]), (pictures(2), [np.bool_(True)]), (pictures(2), np.array([True]))):
        message = refusal(tmp_path, pickle.dumps(content, protocol))
        assert "refused the pickle global numpy" in message
        assert "save it again with every image as image.tobytes() and every flag as bool(flag)" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (b"V\xff\xd8\nVutf-8\n", "refused a call of _codecs.encode with anything but text and latin1"),
        (b"I1\nVlatin1\n", "refused a call of _codecs.encode with anything but text and latin1"),
        (b"V\\u0141\nVlatin1\n", "damaged pickle"),
        (b"Vx\n", "damaged pickle"),
    ],
)
def test_the_codec_encodes_latin_1_text_and_nothing_else(tmp_path, arguments, message):
    assert message in refusal(tmp_path, b"c_codecs\nencode\n(" + arguments + b"tR.")


IMAGE = b"C\x08" + PNG
PAIR = b"]" + IMAGE + b"a" + IMAGE + b"a"


def test_the_smallest_set_is_read(tmp_path):
    assert read_bin(save(tmp_path, PAIR + b"]\x88a\x86.")).images == (PNG, PNG)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no pickle: the end of the file at byte 0, expected an opcode"),
        (b"PK\x03\x04", "refused the pickle opcode PERSID at byte 0; only images and flags are read"),
        (b"\xffabc", "no pickle: the byte 0xff at byte 0"),
        (b"\x80\x09].", "damaged pickle"),
        (PAIR, "no pickle: the end of the file"),
        (b"2.", "refused the pickle opcode DUP at byte 0; only images and flags are read"),
        (b"}.", "refused the pickle opcode EMPTY_DICT"),
        (b"(ios\nsystem\n.", "refused the pickle opcode INST"),
        (b"\x82\x01.", "refused the pickle opcode EXT1"),
        (b"cos\nsystem\n.", "refused the pickle global os.system"),
        (b"cos\nsys\x1b\xfftem\n.", "refused the pickle global os.sys\\x1b\\xfftem;"),
        (b"c_codecs\ndecode\n.", "refused the pickle global _codecs.decode"),
        (b"c_codecs", "damaged pickle: GLOBAL at byte 0 (no end of line)"),
        (b"]r\xff\xff\xff\x7f.", "refused memo number 2147483647 at byte 1; expected no more than 1"),
        (b"]p9999999999\n.", "refused memo number 9999999999"),
        (b"]p-1\n.", "refused memo number -1"),
        (b"p" + b"1" * 5000 + b"\n.", "damaged pickle: PUT at byte 0"),
        (b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f].", "refused a frame of 9223372036854775807 bytes at byte 0; 2 bytes"),
        (b"B\xff\xff\xff\xffabc.", "damaged pickle: BINBYTES at byte 0"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "damaged pickle: BINBYTES8 at byte 0"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "damaged pickle: BINUNICODE8 at byte 0"),
        (b"\x96\x01\0\0\0\0\0\0\0x.", "refused the pickle opcode BYTEARRAY8"),
        (b"T\xff\xff\xff\xffabc.", "damaged pickle: BINSTRING at byte 0"),
        (b"S'abc.", "damaged pickle: STRING at byte 0 (no end of line)"),
        (b"]" * 5000 + b".", "refused 17 lists and tuples for 0 strings up to byte 16"),
        (b")" + b"\x85" * 5000 + b".", "refused 17 lists and tuples"),
        (b"h\x05.", "damaged pickle"),
        (b"a.", "damaged pickle"),
        (b"].", "holds a value of type list of 0, expected (list of images, list of flags)"),
        (b"]]\x86.", "0 images for 0 flags; expected two images for each of 1 or more flags"),
        (PAIR + b"]\x88a\x89a\x86.", "2 images for 2 flags"),
        (
            PAIR + b"K\x01\x86.",
            "holds a value of type list of 2 and a value of type int, expected a list of images and",
        ),
        (PAIR + b"]K\x02a\x86.", "flag 0 is a value of type int, expected True or False"),
        (PAIR + b"](Ntla\x86.", "refused the pickle opcode NONE"),
        (b"]" + IMAGE + b"aK\x01a]\x88a\x86.", "image 1 is a value of type int, expected bytes"),
    ],
)
def test_what_is_no_set_is_refused_with_the_place_and_without_memory(tmp_path, data, reason):
    tracemalloc.start()
    message = refusal(tmp_path, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reason in message and peak < 500_000


def test_one_text_encoded_again_and_again_is_stopped(tmp_path):
    """Six bytes for every copy: 3000 times 100 kB would be 300 MB of a file of 120 kB."""
    text = b"c_codecs\nencode\nq\x00(X" + struct.pack("<I", 100_000) + b"x" * 100_000 + b"X\x06\0\0\0latin1tq\x01]"
    tracemalloc.start()
    assert "refused more encoded text than the file holds" in refusal(tmp_path, text + b"h\0h\x01Ra" * 3000 + b".")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    start = b"]X" + struct.pack("<I", 100_000) + b"\xc2\x89PNG\r\n\x1a\n".ljust(100_000) + b"q\0"
    same = b"a" + b"h\0a" * 2999 + b"](" + b"\x88" * 1500 + b"e\x86."
    assert "refused more encoded text than the file holds" in refusal(tmp_path, start + same)


def test_a_pickle_that_holds_itself_and_nests_without_end_is_refused(tmp_path):
    assert "holds a value of type list of 1" in refusal(tmp_path, b"]q\0h\0a.")
    nested = PAIR + b"])" + b"U\0\x86" * 50_000 + b"a\x86."
    assert "flag 0 is a value of type tuple of 2, expected True or False" in refusal(tmp_path, nested)


def test_a_file_that_is_none_is_named(tmp_path):
    for path in (tmp_path / "none.bin", tmp_path):
        with pytest.raises(ValueError, match=rf"{path.name}: cannot be read"):
            read_bin(path)


def mutated(data, other, rng):
    """A damaged copy: flipped bits, a cut, a piece of another file, a large number, a piece left out or doubled."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        start = int(rng.integers(0, len(data) + 1))
        end = min(len(data), start + int(rng.integers(1, 24)))
        kind = rng.integers(0, 6)
        if kind == 0 and start < len(data):
            data[start] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            del data[start:]
        elif kind == 2:
            source = int(rng.integers(0, len(other)))
            data[start:end] = other[source : source + int(rng.integers(1, 60))]
        elif kind == 3:
            number = int(rng.choice([0, 1, 255, 2**16, 2**29, 2**31 - 1, 2**32 - 1]))
            data[start : start + 4] = number.to_bytes(4, "little")
        elif kind == 4:
            del data[start:end]
        else:
            data[end:end] = data[start:end]
    return bytes(data)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("inputs", [150, pytest.param(5000, marks=pytest.mark.slow)])
def test_damaged_sets_are_read_or_refused_with_one_line(tmp_path, monkeypatch, inputs):
    rng = np.random.default_rng(inputs)
    images = pictures(6, longest=40)
    seeds = [write((images, [True, False, True])) for write in WRITERS.values()]
    harm = (images, [Call(os.system, f"touch {tmp_path / 'made'}"), Call(os.mkdir, str(tmp_path / "made"))])
    sources = [*seeds, *(pickle.dumps(harm, protocol) for protocol in range(6))]
    monkeypatch.chdir(tmp_path)
    imported = []
    original = builtins.__import__
    monkeypatch.setattr(
        builtins, "__import__", lambda *given, **named: imported.append(given[0]) or original(*given, **named)
    )
    outcomes = {"read": 0, "refused": 0}
    slowest = 0.0
    for _ in range(inputs):
        data, other = (sources[int(rng.integers(len(sources)))] for _ in range(2))
        path = save(tmp_path, mutated(data, other, rng))
        started = time.perf_counter()
        try:
            read = read_bin(path)
            # Whether bytes are a picture is for the decoder to say.
            assert len(read.images) == 2 * len(read.same) and all(type(image) is bytes for image in read.images)
            outcomes["read"] += 1
        except ValueError as error:
            assert "lfw.bin: " in str(error) and "\n" not in str(error), error
            outcomes["refused"] += 1
        slowest = max(slowest, time.perf_counter() - started)
    assert min(outcomes.values()) > inputs / 100 and slowest < 5
    assert [path.name for path in tmp_path.iterdir()] == ["lfw.bin"]
    # The interpreter's own look-up of a text encoding imports the last three.
    assert not [name for name in imported if name.split(".")[0] not in ("numpy", "encodings", "codecs", "_io")]
