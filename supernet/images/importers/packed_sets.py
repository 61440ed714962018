"""Labelled images in arrays: numpy's .npz, MNIST's idx files and CIFAR's binary files.

Shape legend: N images, H height, W width, K classes.
"""

import io
import math
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from dualfair.supernet.images.decoding import formats
from dualfair.supernet.images.importers.listing import Listing
from dualfair.supernet.images.importers.packed import (
    LEAST_SIDE,
    MOST_LABEL_BYTES,
    Part,
    has_bytes,
    listing_of,
    named_classes,
    open_plain_or_gz,
    picture,
    refusing_damage,
    square_side,
)
from dualfair.supernet.images.importers.tree import tidy

FURTHER_ARRAYS = {"groups": "group", "identities": "identity"}
"""Arrays of an .npz that become columns, where there are any."""
MOST_FILE_BYTES = 2**26
IDX_IMAGES, IDX_LABELS = 0x00000803, 0x00000801
"""Magic numbers: unsigned bytes in three dimensions, and in one."""
IDX_NAME = re.compile(r"(?P<before>.*)(?P<split>train|t10k|test)-images(?P<joint>[-.])idx3-ubyte(\.gz)?")
CIFAR_IMAGE = 3 * 32 * 32
"""Bytes: 1,024 of red, as many of green and of blue, each row by row."""
CIFAR_10 = {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)}
CIFAR_100 = {"train": ("train.bin",), "test": ("test.bin",)}


def npz(source: Path) -> Listing:
    """Arrays of numpy: SRC is an .npz file, or a folder with train.npz and test.npz.

    It holds images (N, H, W), (N, H, W, 1) or (N, H, W, 3) of unsigned bytes, or jpeg, the bytes of all files one after
    the other, and offsets (N + 1); labels (N), integers or strings; where there are, names of the labels 0 and up,
    groups (N) and identities (N).

    Raises ValueError for arrays that are missing or do not fit together, and for one that only pickle could read.
    """
    source = Path(source)
    paths = {"train": source}
    if source.is_dir():
        named = {split: source / f"{split}.npz" for split in ("train", "validation", "test")}
        paths = {split: path for split, path in named.items() if path.is_file()}
    if "train" not in paths or not paths["train"].is_file():
        raise ValueError(f"{source} is no .npz file, nor a folder with train.npz and test.npz")
    return listing_of([_npz_part(path, split) for split, path in paths.items()], source, tuple(paths.values()))


@dataclass(frozen=True, eq=False)
class _Array:
    """An array in an .npz, of which any part can be read; `name` says in messages which it is."""

    name: str
    stream: BinaryIO
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def bytes_at(self, offset: int, count: int) -> bytes:
        self.stream.seek(self.start + offset)
        content = self.stream.read(count)
        if len(content) != count:
            raise ValueError("the array ends before the image does")
        return content

    def values(self, *shape: int) -> np.ndarray:
        """The whole array. Raises ValueError where it has another shape, or is too large to be read at once."""
        if shape and self.shape != shape:
            raise ValueError(f"{self.name} are {self.shape}; expected {shape}, as there are {shape[0]} images")
        size = math.prod(self.shape) * self.dtype.itemsize
        if len(self.shape) != 1 or size > MOST_LABEL_BYTES:
            raise ValueError(f"{self.name} are {self.shape} of {self.dtype}; expected a list of numbers or short texts")
        return np.frombuffer(self.bytes_at(0, size), self.dtype)

    def texts(self, *shape: int) -> tuple[str, ...]:
        values = self.values(*shape)
        if values.dtype.kind not in "iuUS":
            raise ValueError(f"{self.name} are {values.dtype}; expected integers or strings")
        decoded = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
        return tuple(tidy(str(value)) for value in decoded.tolist())


def _npz_part(path: Path, split: str) -> Part:
    with refusing_damage(path):
        archive = zipfile.ZipFile(path)
        members = [name for name in archive.namelist() if name.endswith(".npy")]
        arrays = {name.removesuffix(".npy"): _open_array(archive, name) for name in members}
        pixels, jpeg = arrays.get("images"), arrays.get("jpeg")
        if "labels" not in arrays or (pixels is None and (jpeg is None or "offsets" not in arrays)):
            there = ", ".join(arrays) or "no arrays"
            raise ValueError(f"expected the arrays labels and images, or labels, jpeg and offsets; it has: {there}")
        opened, count, size = _open_pixels(pixels) if pixels else _open_files(jpeg, arrays["offsets"].values())
        columns = {column: arrays[name].texts(count) for name, column in FURTHER_ARRAYS.items() if name in arrays}
        labels, names = arrays["labels"], arrays["names"].texts() if "names" in arrays else None
        if names is None or labels.dtype.kind in "US":
            texts = labels.texts(count)
        elif labels.dtype.kind in "iu":
            texts = named_classes(labels.values(count), names)
        else:
            raise ValueError(f"labels are {labels.dtype}; expected integers or strings")
    return Part(split, {"label": texts, **columns}, opened, size)


def _open_array(archive: zipfile.ZipFile, member: str) -> _Array:
    """An array by its head. Raises ValueError for one of Python objects, and where the archive has not all of it."""
    name, stream = member.removesuffix(".npy"), archive.open(member)
    version = np.lib.format.read_magic(stream)
    read_head = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read_head is None:
        raise ValueError(f"array {name}: version {version} of numpy's format; save it with plain types")
    shape, by_columns, dtype = read_head(stream)
    if dtype.hasobject:
        raise ValueError(f"array {name} holds Python objects, which only pickle reads; save integers or strings")
    if by_columns and len(shape) > 1:
        raise ValueError(f"array {name} is stored by columns (Fortran order); save numpy.ascontiguousarray of it")
    expected, there = stream.tell() + math.prod(shape) * dtype.itemsize, archive.getinfo(member).file_size
    if expected != there:
        raise ValueError(f"array {name} should have {expected:,} bytes and has {there:,}")
    return _Array(name, stream, stream.tell(), shape, dtype)


def _open_pixels(images: _Array) -> tuple[Callable[[int], BinaryIO], int, int]:
    count, *shape = images.shape or (0,)
    if images.dtype != np.uint8 or len(shape) not in (2, 3) or shape[2:] not in ([], [1], [3]):
        raise ValueError(f"images are {images.dtype} {images.shape}; expected uint8 (N, H, W), with 1 or 3 channels")
    size, each = square_side(shape), math.prod(shape)

    def open_image(row: int) -> BinaryIO:
        return picture(np.frombuffer(images.bytes_at(row * each, each), np.uint8).reshape(shape))

    return open_image, count, size


def _open_files(files: _Array, offsets: np.ndarray) -> tuple[Callable[[int], BinaryIO], int, int | None]:
    if files.dtype != np.uint8 or len(files.shape) != 1:
        raise ValueError(f"jpeg are {files.dtype} {files.shape}; expected a list of bytes (uint8)")
    if offsets.dtype.kind not in "iu" or len(offsets) < 2:
        raise ValueError(f"offsets are {offsets.dtype} {offsets.shape}; expected integers (N + 1)")
    ends = offsets.astype(np.int64)
    if ends[0] != 0 or ends[-1] != files.shape[0] or (np.diff(ends) < 0).any():
        raise ValueError(f"offsets do not rise from 0 to the {files.shape[0]:,} bytes of jpeg")

    def open_image(row: int) -> BinaryIO:
        length = int(ends[row + 1] - ends[row])
        if length > MOST_FILE_BYTES:
            raise ValueError(f"{length:,} bytes; expected {MOST_FILE_BYTES:,} at most")
        return io.BytesIO(files.bytes_at(int(ends[row]), length))

    return open_image, len(ends) - 1, _side_of_file(open_image)


def _side_of_file(open_image: Callable[[int], BinaryIO]) -> int | None:
    """Side of the largest square of the first image; None where it cannot be read."""
    try:
        with Image.open(open_image(0), formats=formats()) as image:
            return max(LEAST_SIDE, min(image.size))
    except Exception:
        # On damaged files Pillow's decoders raise whatever their code comes across; the import names them.
        return None


def idx(source: Path) -> Listing:
    """MNIST's files, and those of sets like it: SRC holds train-images-idx3-ubyte and train-labels-idx1-ubyte.

    The test set is named t10k or test in place of train. All may be packed (.gz). Classes are called as their numbers.

    Raises ValueError for files that are missing, cut off, or do not fit together.
    """
    source = Path(source)
    if not source.is_dir():
        raise ValueError(f"there is no folder {source}")
    parts: dict[str, Part] = {}
    used: list[Path] = []
    for path in sorted(source.iterdir()):
        name = IDX_NAME.fullmatch(path.name)
        if not name or path in used:
            continue
        split = "train" if name["split"] == "train" else "test"
        if split in parts:
            raise ValueError(f"{source} holds several files of {split} images, {path.name} one of them; keep one set")
        stem = f"{name['before']}{name['split']}-labels{name['joint']}idx1-ubyte"
        labels = next((source / (stem + end) for end in ("", ".gz") if (source / (stem + end)).is_file()), None)
        if labels is None:
            raise ValueError(f"{stem} is missing in {source}; {path.name} needs it")
        parts[split] = _idx_part(path, labels, split)
        used += [path, labels]
    if "train" not in parts:
        raise ValueError(f"train-images-idx3-ubyte is missing in {source}; expected it there, as it is or packed (.gz)")
    return listing_of([parts[split] for split in ("train", "test") if split in parts], source, used)


def _idx_part(path: Path, labels: Path, split: str) -> Part:
    with refusing_damage(path), open_plain_or_gz(path) as stream:
        count, *shape = _idx_head(stream, IDX_IMAGES)
        size, each = square_side(shape), math.prod(shape)
        start = stream.tell()
        if not has_bytes(stream, count * each):
            raise ValueError(
                f"its head promises {count:,} images of {each:,} bytes; it is cut off, or longer than that"
            )
    with refusing_damage(labels), open_plain_or_gz(labels) as stream:
        (numbers,) = _idx_head(stream, IDX_LABELS)
        if numbers != count:
            raise ValueError(f"{numbers:,} labels for {count:,} images in {path.name}; get both files again")
        if count > MOST_LABEL_BYTES or not has_bytes(stream, count):
            raise ValueError(f"its head promises {count:,} labels; it is cut off, or longer than that")
        stream.seek(-count, io.SEEK_CUR)
        texts = named_classes(np.frombuffer(stream.read(count), np.uint8), None)
    images = open_plain_or_gz(path)

    def open_image(row: int) -> BinaryIO:
        images.seek(start + row * each)
        return picture(np.frombuffer(images.read(each), np.uint8).reshape(shape))

    return Part(split, {"label": texts}, open_image, size)


def _idx_head(stream: BinaryIO, magic: int) -> list[int]:
    """The lengths of an idx file's dimensions, of which its magic number tells how many there are."""
    dimensions = magic & 0xFF
    head = np.frombuffer(stream.read(4 + 4 * dimensions), ">u4")
    if len(head) != 1 + dimensions or head[0] != magic:
        seen = f"0x{head[0]:08x}" if len(head) else "nothing"
        raise ValueError(f"no idx file of unsigned bytes in {dimensions} dimensions: it begins with {seen}")
    return head[1:].tolist()


def cifar(source: Path) -> Listing:
    """CIFAR-10 or CIFAR-100, binary version: SRC holds the .bin files and the names of the classes.

    They may also be in SRC/cifar-10-batches-bin or SRC/cifar-100-binary. The classes of CIFAR-100 are the fine ones;
    the coarse ones are the column 'superclass'.

    Raises ValueError for files that are missing or cut off, and for labels without a name.
    """
    source = Path(source)
    places = [source, source / "cifar-10-batches-bin", source / "cifar-100-binary"]
    for place in places:
        if (place / "data_batch_1.bin").is_file():
            return _cifar_listing(place, CIFAR_10, {"label": "batches.meta.txt"})
        if (place / "train.bin").is_file():
            return _cifar_listing(
                place, CIFAR_100, {"superclass": "coarse_label_names.txt", "label": "fine_label_names.txt"}
            )
    pickled = any((place / name).exists() for place in places for name in ("data_batch_1", "cifar-10-batches-py"))
    raise ValueError(
        f"{source} holds neither data_batch_1.bin nor train.bin; expected CIFAR's binary version"
        + ("; this is the one for Python, which is pickled and not read" if pickled else "")
    )


def _cifar_listing(source: Path, files: dict[str, tuple[str, ...]], name_files: dict[str, str]) -> Listing:
    """`name_files` are those of the classes' names by column, in the order of an image's label bytes."""
    needed = [*name_files.values(), *(name for names in files.values() for name in names)]
    missing = [name for name in needed if not (source / name).is_file()]
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing in {source}; unpack the archive again")
    names = {
        column: tuple(filter(None, map(str.strip, (source / name).read_text(encoding="utf-8").splitlines())))
        for column, name in name_files.items()
    }
    parts = [_cifar_part([source / name for name in batch], names, split) for split, batch in files.items()]
    return listing_of(parts, source, tuple(source / name for name in needed))


def _cifar_part(paths: list[Path], names: dict[str, tuple[str, ...]], split: str) -> Part:
    each, batches = len(names) + CIFAR_IMAGE, []
    columns: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    for path in paths:
        with refusing_damage(path):
            size = path.stat().st_size
            if not size or size % each:
                raise ValueError(f"{size:,} bytes are no whole number of images of {each:,} bytes; it is cut off")
            batches.append(np.memmap(path, np.uint8, "r").reshape(-1, each))
            for byte, column in enumerate(names):
                columns[column] += named_classes(batches[-1][:, byte], names[column])
    ends = np.cumsum([len(batch) for batch in batches])

    def open_image(row: int) -> BinaryIO:
        batch = int(np.searchsorted(ends, row, side="right"))
        pixels = batches[batch][row - ends[batch], len(names) :]
        return picture(pixels.reshape(3, 32, 32).transpose(1, 2, 0))

    return Part(split, columns, open_image, 32)
