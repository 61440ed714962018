"""CelebA: aligned images with identities, forty attributes of every image, an official partition and landmarks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dualfair.supernet.images.importers.listing import Listing, list_files, locate
from dualfair.supernet.images.importers.tree import Skipped, frozen, look_below
from dualfair.supernet.images.manifest import SPLITS, Manifest, shorten

ANNOTATIONS = ("", "Anno")
PARTITIONS = ("", "Eval", "Anno")
IMAGES = ("", "Img")
UNLISTED = "an image that identity_CelebA.txt does not list"


def celeba(source: Path, *, group: str = "Male", official_split: bool = True, align: bool = False) -> Listing:
    """CelebA: SRC holds img_align_celeba and the annotation files.

    They may also lie as they are published, in SRC/Img, SRC/Anno and SRC/Eval. Every attribute becomes a column of
    'yes' and 'no', and the one that `group` names also the column 'group', such as 'Male' and 'not Male'. Attributes
    are labelled image by image, so a person may have images of both values: a person counts as what most of the images
    say. The official partition becomes the column `split`.

    Raises ValueError for a missing file, a malformed line, and images that a file does not list.
    """
    source = Path(source)
    images = locate(source, "img_align_celeba", IMAGES, "CelebA's 'Img' folder, unzipped")
    identities = _read_words(
        locate(source, "identity_CelebA.txt", ANNOTATIONS, "CelebA's 'Anno' folder, on request"), 1
    )
    files = tuple(identities)
    columns = {"path": files, "identity": tuple(word for (word,) in identities.values())}
    path = locate(source, "list_attr_celeba.txt", ANNOTATIONS, "CelebA's 'Anno' folder")
    names, attributes = _read_table(path, files, ("-1", "1"))
    if group not in names:
        raise ValueError(f"unknown attribute {group!r}; {path} has: {', '.join(names)}")
    columns["group"] = tuple(group if attributes[file][names.index(group)] == "1" else f"not {group}" for file in files)
    if official_split:
        columns["split"] = _partition(
            locate(source, "list_eval_partition.txt", PARTITIONS, "CelebA's 'Eval' folder"), files
        )
    for place, name in enumerate(names):
        columns[name] = tuple("yes" if attributes[file][place] == "1" else "no" for file in files)
    landmarks = None
    if align:
        path = locate(source, "list_landmarks_align_celeba.txt", ANNOTATIONS, "CelebA's 'Anno' folder")
        _, points = _read_table(path, files, None, width=10)
        landmarks = np.array([points[file] for file in files], dtype=float).reshape(-1, 5, 2)
    return list_files(Manifest(columns), images, landmarks=landmarks, skipped=_unlisted(images, files))


def _unlisted(images: Path, files: Sequence[str]) -> Skipped:
    """What lies among the images and is none of them."""
    tree, listed = look_below(images), set(files)
    return frozen({**tree.skipped, UNLISTED: (path for path in tree.images if path not in listed)})


def _partition(path: Path, files: Sequence[str]) -> tuple[str, ...]:
    numbers = _read_words(path, 1)
    _require(path, numbers, files)
    for file, (number,) in numbers.items():
        if number not in ("0", "1", "2"):
            raise ValueError(f"{path}: {file} has partition {number!r}; expected 0, 1 or 2")
    return tuple(SPLITS[int(numbers[file][0])] for file in files)


def _read_table(
    path: Path, files: Sequence[str], values: Sequence[str] | None, width: int | None = None
) -> tuple[list[str], dict[str, list[str]]]:
    """Column names and rows of a file that begins with a line for the count and one for the names.

    Values are one of `values`, or whole numbers when that is None.
    """
    lines = _lines(path)
    if len(lines) < 2 or not lines[0].strip().isdigit():
        raise ValueError(f"{path}: line 1 is {''.join(lines[:1]).strip()[:40]!r}; expected the number of images")
    names = lines[1].split()
    if width is not None and len(names) != width:
        raise ValueError(f"{path}: line 2 has {len(names)} names, expected {width}")
    rows = _parse(path, lines[2:], len(names), first=3)
    if len(rows) != int(lines[0]):
        raise ValueError(f"{path}: line 1 announces {lines[0].strip()} images, {len(rows)} follow; the file is cut")
    for file, row in rows.items():
        wrong = [word for word in row if (word not in values if values else not word.lstrip("-").isdigit())]
        if wrong:
            expected = " or ".join(values) if values else "whole numbers"
            raise ValueError(f"{path}: {file} has the value {wrong[0]!r}; expected {expected}")
    _require(path, rows, files)
    return names, rows


def _require(path: Path, rows: Mapping[str, object], files: Sequence[str]) -> None:
    missing = [file for file in files if file not in rows]
    if missing:
        raise ValueError(f"{path} has no row for {len(missing)} images of identity_CelebA.txt: {shorten(missing)}")


def _read_words(path: Path, width: int) -> dict[str, list[str]]:
    """The rows of a file without a header."""
    return _parse(path, _lines(path), width, first=1)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as text ({error})") from error


def _parse(path: Path, lines: Sequence[str], width: int, first: int) -> dict[str, list[str]]:
    """The words behind the file name of every line that is not blank; blanks between words may be doubled."""
    rows: dict[str, list[str]] = {}
    interned: dict[str, str] = {}
    for number, line in enumerate(lines, first):
        file, *words = line.split() or [""]
        if not file:
            continue
        if len(words) != width:
            raise ValueError(f"{path}: line {number} has {len(words)} words behind the file name, expected {width}")
        if file in rows:
            raise ValueError(f"{path}: line {number} lists {file} a second time")
        rows[file] = [interned.setdefault(word, word) for word in words]
    if not rows:
        raise ValueError(f"{path}: no rows")
    return rows
