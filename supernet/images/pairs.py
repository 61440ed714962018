"""Pairs of images whose people are known to be one or two: the lists that verification protocols publish.

Shape legend: N images of the manifest, P pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

import numpy as np

from dualfair.supernet.files import csv_writer
from dualfair.supernet.images.labels import called_as_everyone, in_numbers, missing_of, spelled_alike
from dualfair.supernet.images.manifest import Manifest, read_table

FOLDS = 10
COLUMNS = ("left", "right", "same", "fold")

Find = Callable[[str, int], int | None]
"""The manifest row of a person's image by its number, or None when it is not there."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs in their published order, with the fold of the cross-validation that each belongs to."""

    left: np.ndarray
    """(P,) int64 rows of the manifest."""

    right: np.ndarray
    """(P,) int64 rows of the manifest."""

    same: np.ndarray
    """(P,) bool: whether both images show one person."""

    fold: np.ndarray
    """(P,) int64, 0 or more."""

    group: np.ndarray | None = None
    """(P,) str: the group that a pair was published for; None when the list has no groups."""

    dropped: tuple[str, ...] = ()
    """The pairs left out because an image of theirs is not in the manifest, or their group is unknown, each with its
    place in the list."""

    def __len__(self) -> int:
        return len(self.left)

    def take(self, kept: np.ndarray, manifest: Manifest) -> Pairs:
        """The pairs for `manifest.take(kept)`: rows are numbered anew, pairs of other images are added to `dropped`."""
        place = np.full(len(manifest), -1, dtype=np.int64)
        place[kept] = np.arange(len(kept))
        complete = (place[self.left] >= 0) & (place[self.right] >= 0)
        paths = manifest.columns["path"]
        lost = tuple(f"{paths[self.left[pair]]}, {paths[self.right[pair]]}" for pair in np.flatnonzero(~complete))
        return replace(self, left=place[self.left], right=place[self.right])._without(~complete, lost)

    def _without(self, lost: np.ndarray, named: tuple[str, ...]) -> Pairs:
        """The pairs but for the lost ones, bool (P,), whose names are added to `dropped`."""
        arrays = {name: getattr(self, name) for name in (*COLUMNS, "group")}
        kept = {name: array[~lost] for name, array in arrays.items() if array is not None}
        return replace(self, **kept, dropped=(*self.dropped, *named))


def with_itself(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Which pairs, bool (P,), are of one image with itself: any system knows those for one person."""
    return left == right


def listed_before(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Which pairs, bool (P,), have an earlier pair of the same two images, in either order: each counts again."""
    both = np.sort(np.stack([left, right], axis=1), axis=1)
    before = np.ones(len(both), dtype=bool)
    before[np.unique(both, axis=0, return_index=True)[1]] = False
    return before


def folds_in_order(pairs: int, folds: int = FOLDS) -> np.ndarray:
    """Fold numbers int64 (pairs,) of equal consecutive parts; what does not divide goes to the first ones, one each."""
    sizes = np.full(folds, pairs // folds)
    sizes[: pairs % folds] += 1
    return np.repeat(np.arange(folds), sizes)


def write_pairs(path: Path, pairs: Pairs, manifest: Manifest) -> None:
    """Write pairs as CSV `left,right,same,fold[,group]`: paths of the manifest, and `same` 1 or 0."""
    paths = manifest.columns["path"]
    columns = [
        [paths[row] for row in pairs.left],
        [paths[row] for row in pairs.right],
        pairs.same.astype(int).tolist(),
        pairs.fold.tolist(),
        *([] if pairs.group is None else [pairs.group.tolist()]),
    ]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv_writer(file)
        writer.writerow(COLUMNS if pairs.group is None else (*COLUMNS, "group"))
        writer.writerows(zip(*columns, strict=True))


def read_pairs(path: Path, manifest: Manifest, *, drop_unknown: bool = False) -> Pairs:
    """Read what `write_pairs` wrote, for the same manifest; a list that names no group at all has no groups.

    Raises ValueError naming the line at fault, for groups spelled in several ways, and for pairs without a group where
    others have one, unless they are to be left out.
    """
    try:
        columns = read_table(path)
        missing = [name for name in COLUMNS if name not in columns]
        if missing:
            raise ValueError(f"no column {missing[0]!r}; a list of pairs has {','.join(COLUMNS)}[,group]")
        row_of = _unique_rows(manifest.columns["path"])
        pairs = Pairs(
            *(np.fromiter(_rows(columns[side], row_of), dtype=np.int64) for side in ("left", "right")),
            np.array([_word(number, word, "01", "same") == "1" for number, word in enumerate(columns["same"], 2)]),
            np.array([_fold(number, word) for number, word in enumerate(columns["fold"], 2)], dtype=np.int64),
        )
        return _grouped(pairs, columns["group"], drop_unknown) if "group" in columns else pairs
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _grouped(pairs: Pairs, groups: Sequence[str], drop_unknown: bool) -> Pairs:
    counts = Counter(groups)
    missing = missing_of(counts)
    if missing == counts:
        return pairs
    alike = spelled_alike(counts.keys() - missing.keys(), "the pairs have groups")
    if alike:
        raise ValueError(f"{alike[0]}; give each one spelling")
    if reserved := called_as_everyone(counts, "the pairs have"):
        raise ValueError(f"{reserved[0]}; give it another name")
    if missing and not drop_unknown:
        raise ValueError(
            f"{missing.total()} of {len(pairs)} pairs have no group ({in_numbers(missing)}); correct that, or leave "
            "them out with --drop-unknown"
        )
    lost = np.array([group in missing for group in groups])
    named = tuple(f"line {line} ({group!r} for a group)" for line, group in enumerate(groups, 2) if group in missing)
    return replace(pairs, group=np.asarray(groups, dtype=str))._without(lost, named)


def _unique_rows(paths: Sequence[str]) -> dict[str, int]:
    row_of = {path: row for row, path in enumerate(paths)}
    if len(row_of) < len(paths):
        raise ValueError("the manifest lists an image path twice, so pairs cannot name images by it")
    return row_of


def _rows(paths: Sequence[str], row_of: dict[str, int]) -> Iterator[int]:
    for number, path in enumerate(paths, 2):
        if path not in row_of:
            raise ValueError(f"line {number}: {path!r} is not in the manifest beside it")
        yield row_of[path]


def _word(number: int, word: str, allowed: str, name: str) -> str:
    if len(word) != 1 or word not in allowed:
        raise ValueError(f"line {number}: {name} must be {' or '.join(allowed)}, got {word!r}")
    return word


def _fold(number: int, word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise ValueError(f"line {number}: fold must be a whole number, 0 or more, got {word!r}")
    return int(word)


def read_lfw_pairs(path: Path, manifest: Manifest) -> Pairs:
    """The pairs of an LFW list (`pairs.txt`), for a manifest whose images are named `Name_0001.jpg`.

    The first line is `folds<TAB>n` or, for the lists of the development view, only `n` (one fold). Each fold has n
    lines `name i j` (one person) and then n lines `nameA i nameB j` (two). A pair of which an image is not in the
    manifest is left out and stands in `dropped`. Raises ValueError naming the line at fault, or when no pair is left.
    """
    find = _finder(manifest)
    try:
        lines = _lines(path)
        (_, header), body = lines[0], lines[1:]
        if len(header) > 2 or not all(word.isascii() and word.isdigit() and int(word) for word in header):
            raise ValueError(f"line 1 is {' '.join(header)!r}; expected 'folds pairs', such as '10 300', or 'pairs'")
        folds, each = (1, int(header[0])) if len(header) == 1 else (int(header[0]), int(header[1]))
        if len(body) != 2 * folds * each:
            raise ValueError(
                f"line 1 announces {folds} folds of 2 x {each} pairs, {2 * folds * each} in all; {len(body)} follow"
            )
        for place, (number, words) in enumerate(body):
            expected = 3 if place // each % 2 == 0 else 4
            if len(words) != expected:
                raise ValueError(
                    f"line {number} has {len(words)} words; expected {expected}, as each fold has {each} pairs of one "
                    f"person and then {each} of two"
                )
        return _look_up(body, np.arange(len(body)) // (2 * each), find)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_plain_pairs(path: Path, manifest: Manifest, within: str = "") -> Pairs:
    """The pairs of a list without a header (RFW): lines as in `read_lfw_pairs`, ten equal folds in the file's order.

    Images are looked up among those whose manifest path begins with `within`. Raises as `read_lfw_pairs` does.
    """
    find = _finder(manifest, within)
    try:
        body = _lines(path)
        return _look_up(body, folds_in_order(len(body)), find)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def join_pairs(lists: dict[str, Pairs]) -> Pairs:
    """One list of the pairs of several groups, each pair with its group."""
    return Pairs(
        *(
            np.concatenate([getattr(pairs, name) for pairs in lists.values()])
            for name in ("left", "right", "same", "fold")
        ),
        np.repeat(list(lists), [len(pairs) for pairs in lists.values()]),
        tuple(f"{group}: {line}" for group, pairs in lists.items() for line in pairs.dropped),
    )


def _finder(manifest: Manifest, within: str = "") -> Find:
    """Rows by person and number: the image is the file `name_0001`, whatever its folder and suffix.

    Raises ValueError when a pair names an image of which there are two.
    """
    paths = manifest.columns["path"]
    row_of: dict[str, int] = {}
    twice: dict[str, int] = {}
    for row, path in enumerate(paths):
        if path.startswith(within):
            name = normalize("NFC", path.rpartition("/")[2].rpartition(".")[0])
            if row_of.setdefault(name, row) != row:
                twice[name] = row

    def find(person: str, number: int) -> int | None:
        name = normalize("NFC", f"{person}_{number:04d}")
        if name in twice:
            raise ValueError(f"{name} may be {paths[row_of[name]]} or {paths[twice[name]]}; one of them has to go")
        return row_of.get(name)

    return find


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Number and words of every line that is not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError("there is no such file; expected a list of pairs") from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise ValueError(f"not a text file ({error})") from error
    lines = [(number, _words(line)) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError("empty file; expected a list of pairs")
    return lines


def _words(line: str) -> list[str]:
    """What stands between tabs, where names may have blanks; between blanks in a list that has no tabs."""
    words = [word.strip() for word in line.split("\t")]
    return list(filter(None, words)) if len(words) > 2 else line.split()


def _look_up(body: Sequence[tuple[int, list[str]]], folds: np.ndarray, find: Find) -> Pairs:
    pairs, dropped = [], []
    for (number, words), fold in zip(body, folds.tolist(), strict=True):
        images = _images_of(number, words)
        rows = [find(name, image) for name, image in images]
        if None in rows:
            name, image = images[rows.index(None)]
            dropped.append(f"line {number} ({name} {image})")
        else:
            pairs.append((*rows, len(words) == 3, fold))
    if not pairs:
        raise ValueError(f"none of the {len(body)} pairs has both images in the manifest; the first is {dropped[0]}")
    left, right, same, fold = (np.array(values) for values in zip(*pairs, strict=True))
    return Pairs(left, right, same, fold, dropped=tuple(dropped))


def _images_of(number: int, words: Sequence[str]) -> list[tuple[str, int]]:
    if len(words) == 3:
        words = (words[0], words[1], words[0], words[2])
    if len(words) != 4 or not all(word.isascii() and word.isdigit() for word in (words[1], words[3])):
        raise ValueError(f"line {number} is {' '.join(words)!r}; expected 'name i j' or 'nameA i nameB j'")
    return [(words[0], int(words[1])), (words[2], int(words[3]))]
