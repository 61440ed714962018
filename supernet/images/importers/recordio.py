"""RecordIO image sets (.rec with its .idx beside it), read without mxnet: every image's label, and its encoded bytes.

A record is u32 magic, u32 with 3 flag bits and 29 length bits, then the payload padded to 4 bytes. A payload that
holds the magic at a multiple of 4 is cut there into parts, and the magic left out; joining the parts puts it back.
The payload is a head (u32 flag, f32 label, u64 id, u64 id2), `flag` float32 labels, then the encoded image.

Shape legend: N images, R records.
"""

from __future__ import annotations

import io
import re
import struct
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

MAGIC = 0xCED7230A

_PART = struct.Struct("<II")
_HEAD = struct.Struct("<IfQQ")
_LABEL = struct.Struct("<f")
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_INDEX_LINE = re.compile(rb"([0-9]{1,18})\t([0-9]{1,18})\r?\n?")
_RECORD = np.dtype([("offset", "i8"), ("end", "i8"), ("label", "f4"), ("bare", "?")])
_EXACT = 2**24
"""Float32 holds every whole number up to here."""


@dataclass(frozen=True, eq=False)
class Records:
    """An open RecordIO set; close it, or use it in a `with` statement.

    `labels` (N,) int64 are the identities of the images, 0 or more, in the order of the rows.
    """

    path: Path
    labels: np.ndarray
    _offsets: np.ndarray = field(repr=False)
    _source: _Source = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, row: int) -> bytes:
        """The encoded image of a row, read from the file at each call.

        Raises ValueError when the record holds none, IndexError when there is no such row.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"{self.path}: there is no image {row}; rows are 0 to {len(self) - 1}")
        offset = int(self._offsets[row])
        payload = _join(self._source, offset)
        flag, *_ = _HEAD.unpack_from(payload)
        image = bytes(memoryview(payload)[_HEAD.size + 4 * flag :])
        if not image:
            raise ValueError(f"{self.path}: record at byte {offset}: the image has no bytes")
        return image

    def close(self) -> None:
        """Close the file; images cannot be read any more."""
        self._source.file.close()

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_records(path: Path) -> Records:
    """Open a .rec file and read the labels of its images.

    With a .idx of the same name beside it (lines `key<TAB>offset`, offsets ascending, keys in any order) rows follow
    ascending keys. Without one the file is walked from its start. A record with labels and no image is a header where
    its key is 0, or where it is the first such record of a walk (the others then count from 1): the images are the
    keys from 1 to below its first label, and later keys, ranges of identities, are skipped. A file without a header
    holds nothing but images. An image's label is the first of its `flag` labels, or the head's where `flag` is 0.

    Every record's head is read, in time proportional to R; no more is allocated than the file holds. Raises
    ValueError with one line naming the file, the place, what was seen there and what was expected.
    """
    path = Path(path)
    index = path.with_suffix(".idx")
    with ExitStack() as on_error:
        file = on_error.enter_context(_open(path))
        source = _Source(path, file, file.seek(0, 2))
        keys, offsets = _read_index(index, source.size) if index.exists() else (None, None)
        heads = np.fromiter(_walk(source) if offsets is None else _visit(source, offsets), dtype=_RECORD)
        heads = heads[_image_places(path, heads, keys)]
        records = Records(path, _whole_labels(path, heads), heads["offset"].copy(), source)
        on_error.pop_all()
    return records


def _open(path: Path) -> BinaryIO:
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise ValueError(f"{path}: cannot be opened ({error.strerror}); expected a .rec or .idx file") from error


class _Source(NamedTuple):
    path: Path
    file: BinaryIO
    size: int

    def read(self, start: int, length: int) -> bytes:
        self.file.seek(start)
        data = self.file.read(length)
        if len(data) < length:
            raise ValueError(f"{self.path}: {len(data)} bytes at byte {start}, expected {length}; the file changed")
        return data


class _Head(NamedTuple):
    offset: int
    end: int
    label: float
    bare: bool
    """Labels and no image."""


def _walk(source: _Source) -> Iterator[_Head]:
    offset = 0
    while offset < source.size:
        head = _read_head(source, offset, source.size)
        yield head
        offset = head.end


def _visit(source: _Source, offsets: array) -> Iterator[_Head]:
    for place, offset in enumerate(offsets):
        # A record ends where the next begins: no hostile index makes the same bytes be read over and over.
        limit = offsets[place + 1] if place + 1 < len(offsets) else source.size
        yield _read_head(source, offset, limit)


def _parts(source: _Source, offset: int, limit: int) -> Iterator[tuple[int, int]]:
    """Start and length of every part of the record at `offset`, which must end at `limit` at the latest."""
    place, expected = offset, (_WHOLE, _FIRST)
    while True:
        if place + _PART.size > limit:
            raise ValueError(
                f"{source.path}: record at byte {offset}: cut short, {limit - place} bytes are left at byte {place} "
                f"where {_PART.size} are expected"
            )
        magic, coded = _PART.unpack(source.read(place, _PART.size))
        if magic != MAGIC:
            raise ValueError(
                f"{source.path}: record at byte {offset}: {magic:#010x} at byte {place}, expected the RecordIO magic "
                f"{MAGIC:#010x}"
            )
        kind, length = coded >> 29, coded & (1 << 29) - 1
        if kind not in expected:
            raise ValueError(
                f"{source.path}: record at byte {offset}: part flag {kind} at byte {place}, expected "
                f"{expected[0]} or {expected[1]}"
            )
        start = place + _PART.size
        place = start + length + -length % 4
        if place > limit:
            raise ValueError(
                f"{source.path}: record at byte {offset}: {length} bytes are announced at byte {start}, expected no "
                f"more than the {limit - start} up to the next record or the end of the file"
            )
        yield start, length
        if kind in (_WHOLE, _LAST):
            return
        expected = (_MIDDLE, _LAST)


def _read_head(source: _Source, offset: int, limit: int) -> _Head:
    need = _HEAD.size + _LABEL.size
    magic = MAGIC.to_bytes(4, "little")
    head, size, end = b"", -len(magic), offset
    for start, length in _parts(source, offset, limit):
        if size >= 0 and len(head) < need:
            head += magic
        size += len(magic) + length
        head += source.read(start, min(length, max(need - len(head), 0)))
        end = start + length + -length % 4
    if size < _HEAD.size:
        raise ValueError(f"{source.path}: record at byte {offset}: {size} bytes, expected at least {_HEAD.size}")
    flag, label, _, _ = _HEAD.unpack_from(head)
    past = _HEAD.size + _LABEL.size * flag
    if past > size:
        raise ValueError(
            f"{source.path}: record at byte {offset}: {flag} labels are announced, expected no more than "
            f"{(size - _HEAD.size) // _LABEL.size} in {size} bytes"
        )
    if flag:
        (label,) = _LABEL.unpack_from(head, _HEAD.size)
    return _Head(offset, end, label, bool(flag) and past == size)


def _join(source: _Source, offset: int) -> bytearray:
    payload = bytearray()
    for number, (start, length) in enumerate(_parts(source, offset, source.size)):
        if number:
            payload += MAGIC.to_bytes(4, "little")
        payload += source.read(start, length)
    return payload


def _read_index(path: Path, size: int) -> tuple[np.ndarray, array]:
    """Keys and offsets of an index file, in its order."""
    keys, offsets = array("q"), array("q")
    previous = -1
    with _open(path) as file:
        for number, line in enumerate(io.BufferedReader(file), 1):
            match = _INDEX_LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"{path}: line {number} is {line[:40]!r}, expected key<TAB>offset, two whole numbers")
            offset = int(match[2])
            if not previous < offset < size or offset % 4:
                raise ValueError(
                    f"{path}: line {number} has offset {offset}, expected a multiple of 4 above the line before "
                    f"({previous}) and inside the {size} bytes of the .rec file"
                )
            keys.append(int(match[1]))
            offsets.append(previous := offset)
    ordered = np.sort(np.array(keys, np.int64))
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        raise ValueError(f"{path}: key {ordered[twice[0]]} stands on two lines, expected every key once")
    return np.array(keys, np.int64), offsets


def _image_places(path: Path, heads: np.ndarray, keys: np.ndarray | None) -> np.ndarray:
    """Which of the records (R,) are images, in the order of their keys."""
    if not len(heads):
        raise ValueError(f"{path}: no records, expected at least one image")
    if keys is None:
        header = int(heads["bare"].argmax())
        keys = np.arange(len(heads))
        keys[:header] += 1
        keys[header] = 0
    else:
        header = int((keys == 0).argmax())
    order = np.argsort(keys)
    if keys[header] != 0 or not heads["bare"][header]:
        return order
    past = float(heads["label"][header])
    place = f"{path}: header record at byte {heads['offset'][header]}"
    # NaN fails both comparisons.
    if not 2 <= past <= len(keys) or past != int(past):
        raise ValueError(f"{place}: first index past the images is {past:g}, expected a whole number, 2 to {len(keys)}")
    of_images = order[1 : int(past)]
    astray = np.flatnonzero(keys[of_images] != np.arange(1, int(past)))
    if len(astray):
        raise ValueError(f"{place}: images 1 to {int(past) - 1} are announced, but key {astray[0] + 1} is missing")
    return of_images


def _whole_labels(path: Path, heads: np.ndarray) -> np.ndarray:
    labels = heads["label"]
    good = (labels >= 0) & (labels <= _EXACT) & (labels == np.floor(labels))
    if not good.all():
        wrong = heads[good.argmin()]
        raise ValueError(
            f"{path}: record at byte {wrong['offset']}: label {wrong['label']:g}, expected a whole number, "
            f"0 to {_EXACT}"
        )
    return labels.astype(np.int64)
