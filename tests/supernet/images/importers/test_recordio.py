import builtins
import struct
import time
import tracemalloc

import numpy as np
import pytest

from dualfair.supernet.images.importers.recordio import open_records

MAGIC = struct.pack("<I", 0xCED7230A)
JPEG, PNG = b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"


def pack(labels, image=b"", number=0):
    """A record's payload: a single label stands in the head, a list of them follows it."""
    if not isinstance(labels, (list, tuple)):
        return struct.pack("<IfQQ", 0, labels, number, 0) + image
    return struct.pack("<IfQQ", len(labels), 0, number, 0) + struct.pack(f"<{len(labels)}f", *labels) + image


def frame(payload):
    """A payload as the format stores it: cut at every aligned magic, which is left out, and padded to four bytes."""
    pieces, start = [], 0
    for place in range(0, len(payload) - len(payload) % 4, 4):
        if payload[place : place + 4] == MAGIC:
            pieces.append(payload[start:place])
            start = place + 4
    pieces.append(payload[start:])
    kinds = [0] if len(pieces) == 1 else [1, *[2] * (len(pieces) - 2), 3]
    framed = b"".join(
        MAGIC + struct.pack("<I", kind << 29 | len(piece)) + piece for kind, piece in zip(kinds, pieces, strict=True)
    )
    return framed + b"\0" * (-len(framed) % 4)


def write(path, records, index=True):
    """Write (key, payload) records in their order; returns their offsets."""
    offsets, data = [], b""
    for _, payload in records:
        offsets.append(len(data))
        data += frame(payload)
    path.write_bytes(data)
    if index:
        lines = [f"{key}\t{offset}\n" for (key, _), offset in zip(records, offsets, strict=True)]
        path.with_suffix(".idx").write_text("".join(lines))
    return offsets


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    return [(PNG if n % 3 == 0 else JPEG) + rng.bytes(int(rng.integers(1, 40))) for n in range(count)]


def training_set(images, labels, header_first=False, identities=2):
    """Records as insightface writes them: images from key 1, then the header, then the ranges of the identities."""
    past = len(images) + 1
    body = [
        (key, pack([label, 1.0], image, key))
        for key, (image, label) in enumerate(zip(images, labels, strict=True), start=1)
    ]
    header = [(0, pack([past, past + identities]))]
    ranges = [(past + number, pack([1, past], b"", past + number)) for number in range(identities)]
    return header + body + ranges if header_first else body + header + ranges


@pytest.mark.parametrize("header_first", [False, True])
@pytest.mark.parametrize("index", [False, True])
def test_images_of_a_training_set_are_read_with_their_labels_and_ranges_of_identities_are_skipped(
    tmp_path, header_first, index
):
    images, labels = pictures(7), [0, 0, 3, 3, 3, 9, 1]
    write(tmp_path / "train.rec", training_set(images, labels, header_first), index)
    with open_records(tmp_path / "train.rec") as records:
        assert len(records) == 7
        assert records.labels.dtype == np.int64 and records.labels.tolist() == labels
        assert [records.image(row) for row in (6, 0, 3)] == [images[6], images[0], images[3]]
        assert [records.image(row) for row in range(7)] == images


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_without_a_header_every_record_is_an_image(tmp_path, index, several):
    images = pictures(4)
    records = [(key, pack([5 + key, 0.5] if several else 5 + key, image)) for key, image in enumerate(images)]
    write(tmp_path / "train.rec", records, index)
    with open_records(tmp_path / "train.rec") as opened:
        assert opened.labels.tolist() == [5, 6, 7, 8]
        assert [opened.image(row) for row in range(4)] == images


def test_rows_follow_the_keys_of_the_index_and_not_the_file(tmp_path):
    images = pictures(3)
    write(tmp_path / "a.rec", [(8, pack(0, images[0])), (2, pack(1, images[1])), (5, pack(2, images[2]))])
    with open_records(tmp_path / "a.rec") as records:
        assert records.labels.tolist() == [1, 2, 0]
        assert [records.image(row) for row in range(3)] == [images[1], images[2], images[0]]


@pytest.mark.parametrize(
    "image",
    [
        JPEG + MAGIC + b"end",
        JPEG + MAGIC * 3,
        JPEG + b"abcd" + MAGIC + b"efgh" + MAGIC + b"ij",
        JPEG + b"a" + MAGIC + b"unaligned",
        JPEG + b"abc" + MAGIC + b"d" + MAGIC,
    ],
)
@pytest.mark.parametrize("number", [0, 0xCED7230A, 0xCED7230A << 32 | 0xCED7230A])
def test_a_payload_that_holds_the_magic_is_joined_again(tmp_path, image, number):
    """The magic may also stand in the head of the payload, as an id."""
    plain = pictures(1)[0]
    records = [(0, pack([4, 1], image, number)), (1, pack(6, image, number)), (2, pack(2, plain))]
    write(tmp_path / "a.rec", records)
    with open_records(tmp_path / "a.rec") as opened:
        assert opened.labels.tolist() == [4, 6, 2]
        assert [opened.image(row) for row in range(3)] == [image, image, plain]


def test_records_are_read_on_demand(tmp_path):
    large = JPEG + bytes(3_000_000)
    write(tmp_path / "a.rec", [(key, pack(key, large)) for key in range(4)])
    tracemalloc.start()
    with open_records(tmp_path / "a.rec") as records:
        opening = tracemalloc.get_traced_memory()[1]
        for row in range(4):
            assert len(records.image(row)) == len(large)
        reading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opening < 500_000 and reading < 4 * len(large)
    with pytest.raises(ValueError, match="closed"):
        records.image(0)


def test_a_row_that_is_none_and_an_image_that_is_none_are_named(tmp_path):
    write(tmp_path / "a.rec", [(0, pack(1, b"GIF8")), (1, pack(1)), (2, pack(1, JPEG))])
    with open_records(tmp_path / "a.rec") as records:
        assert records.image(0) == b"GIF8" and records.image(2) == JPEG
        with pytest.raises(ValueError, match=r"a\.rec: record at byte 36: the image has no bytes"):
            records.image(1)
        for row in (3, -1):
            with pytest.raises(IndexError, match=f"there is no image {row}; rows are 0 to 2"):
                records.image(row)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "no records, expected at least one image"),
        (
            lambda data: b"\x0b" + data[1:],
            "record at byte 0: 0xced7230b at byte 0, expected the RecordIO magic 0xced7230a",
        ),
        (lambda data: data[:-1], "record at byte 40: 29 bytes are announced at byte 48, expected no more than the 31"),
        (lambda data: data[:45], "record at byte 40: cut short, 5 bytes are left at byte 40 where 8 are expected"),
        (lambda data: data[:4] + b"\xff\xff\xff\x1f" + data[8:], "536870911 bytes are announced at byte 8"),
        (lambda data: data[:4] + b"\x18\0\0\0" + data[8:], "record at byte 32: 0x"),
        (lambda data: MAGIC + b"\x04\0\0\0" + bytes(4), "record at byte 0: 4 bytes, expected at least 24"),
        (lambda data: data[:7] + b"\x40" + data[8:], "record at byte 0: part flag 2 at byte 0, expected 0 or 1"),
        (lambda data: data[:7] + b"\x20" + data[8:], "record at byte 0: part flag 0 at byte 40, expected 2 or 3"),
        (lambda data: data[:7] + b"\xe0" + data[8:], "record at byte 0: part flag 7 at byte 0, expected 0 or 1"),
        (
            lambda data: data[:8] + b"\xff\xff\xff\xff" + data[12:],
            "4294967295 labels are announced, expected no more than",
        ),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(tmp_path, damage, message):
    write(tmp_path / "a.rec", [(0, pack(1, JPEG + b"1234")), (1, pack(2, JPEG + b"1"))], index=False)
    data = (tmp_path / "a.rec").read_bytes()
    assert len(data) == 80
    (tmp_path / "a.rec").write_bytes(damage(data))
    tracemalloc.start()
    with pytest.raises(ValueError) as error:
        open_records(tmp_path / "a.rec")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message in str(error.value) and "a.rec" in str(error.value) and "\n" not in str(error.value)
    assert peak < 500_000


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0\t0\n1\t-40\n", "line 2 is b'1\\t-40\\n', expected key<TAB>offset, two whole numbers"),
        ("0\t0\nx\t40\n", "line 2 is b'x\\t40\\n'"),
        ("0 0\n", "line 1 is b'0 0\\n'"),
        ("0\t0\t1\n", "line 1 is b'0\\t0\\t1\\n'"),
        ("0\t" + "9" * 5000, "line 1 is b'0\\t99999"),
        ("0\t0\n1\t80\n", "line 2 has offset 80, expected a multiple of 4 above the line before (0) and inside the 80"),
        ("0\t40\n1\t0\n", "line 2 has offset 0, expected a multiple of 4 above the line before (40)"),
        ("0\t0\n1\t0\n", "line 2 has offset 0"),
        ("0\t2\n", "line 1 has offset 2, expected a multiple of 4"),
        ("7\t0\n7\t40\n", "key 7 stands on two lines"),
        (
            "0\t0\n1\t20\n",
            "a.rec: record at byte 0: 32 bytes are announced at byte 8, expected no more than the 12 up to",
        ),
        ("1\t40\n2\t60\n", "a.rec: record at byte 40: 29 bytes are announced"),
        ("1\t60\n", "a.rec: record at byte 60: 0x00000000 at byte 60, expected the RecordIO magic"),
        ("", "no records"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path, lines, message):
    write(tmp_path / "a.rec", [(0, pack(1, JPEG + b"1234")), (1, pack(2, JPEG + b"1"))])
    (tmp_path / "a.idx").write_text(lines)
    with pytest.raises(ValueError) as error:
        open_records(tmp_path / "a.rec")
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("label", [float("nan"), float("inf"), -1.0, 0.5, 2.0**25])
@pytest.mark.parametrize("several", [False, True])
def test_a_label_that_is_no_identity_is_refused(tmp_path, label, several):
    write(tmp_path / "a.rec", [(0, pack(1, JPEG)), (1, pack([label, 0] if several else label, JPEG))])
    with pytest.raises(ValueError, match=r"record at byte 36: label .*, expected a whole number, 0 to 16777216"):
        open_records(tmp_path / "a.rec")


def test_the_largest_exact_label_is_read(tmp_path):
    write(tmp_path / "a.rec", [(0, pack(2.0**24, JPEG))])
    with open_records(tmp_path / "a.rec") as records:
        assert records.labels.tolist() == [16777216]


@pytest.mark.parametrize("past", [float("nan"), float("inf"), -5, 0, 1, 2.5, 7, 1e30])
def test_a_header_that_announces_an_impossible_count_is_refused(tmp_path, past):
    body = [(key, pack(0, JPEG)) for key in range(1, 4)]
    write(tmp_path / "a.rec", [(0, pack([past, past])), *body])
    with pytest.raises(ValueError, match=r"first index past the images is .*, expected a whole number, 2 to 4"):
        open_records(tmp_path / "a.rec")


def test_a_missing_image_is_named_by_its_key(tmp_path):
    records = training_set(pictures(5), [0] * 5)
    write(tmp_path / "a.rec", [record for record in records if record[0] != 3])
    with pytest.raises(ValueError, match="images 1 to 5 are announced, but key 3 is missing"):
        open_records(tmp_path / "a.rec")


def test_a_file_that_is_none_is_named(tmp_path):
    for path in (tmp_path / "none.rec", tmp_path):
        with pytest.raises(ValueError, match=f"{path.name}: cannot be opened"):
            open_records(path)


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
            data[start : start + 4] = int(rng.choice([0, 1, 255, 2**16, 2**29, 2**31 - 1, 2**32 - 1])).to_bytes(
                4, "little"
            )
        elif kind == 4:
            del data[start:end]
        else:
            data[end:end] = data[start:end]
    return bytes(data)


@pytest.mark.parametrize("inputs", [150, pytest.param(5000, marks=pytest.mark.slow)])
def test_damaged_records_are_read_or_refused_with_one_line(tmp_path, monkeypatch, inputs):
    rng = np.random.default_rng(inputs)
    seeds = []
    split = [JPEG + MAGIC + image for image in pictures(3)]
    for number, records in enumerate(
        [
            training_set(pictures(4), [0, 1, 1, 2]),
            training_set(split, [5, 6, 7], header_first=True),
            [(key, pack(key, image)) for key, image in enumerate(pictures(3))],
        ]
    ):
        path = tmp_path / f"seed{number}.rec"
        write(path, records)
        seeds.append((path.read_bytes(), path.with_suffix(".idx").read_bytes()))
    target = tmp_path / "target.rec"
    imported = []
    original = builtins.__import__
    monkeypatch.setattr(
        builtins, "__import__", lambda *given, **named: imported.append(given[0]) or original(*given, **named)
    )
    before = {path.name for path in tmp_path.iterdir()} | {"target.rec", "target.idx"}
    outcomes = {"read": 0, "refused": 0}
    slowest = 0.0
    for _ in range(inputs):
        (data, index), (other, other_index) = (seeds[int(rng.integers(len(seeds)))] for _ in range(2))
        victim = rng.integers(0, 3)
        target.write_bytes(data if victim == 1 else mutated(data, other, rng))
        target.with_suffix(".idx").unlink(missing_ok=True)
        if victim:
            target.with_suffix(".idx").write_bytes(index if victim == 2 else mutated(index, other_index, rng))
        started = time.perf_counter()
        try:
            with open_records(target) as records:
                assert len(records) and records.labels.min() >= 0
                for row in range(len(records)):
                    assert records.image(row)
            outcomes["read"] += 1
        except ValueError as error:
            assert "target." in str(error) and "\n" not in str(error), error
            outcomes["refused"] += 1
        slowest = max(slowest, time.perf_counter() - started)
    assert min(outcomes.values()) > inputs / 50 and slowest < 5
    assert {path.name for path in tmp_path.iterdir()} <= before
    assert not [name for name in imported if name.split(".")[0] not in ("numpy", "encodings")]
