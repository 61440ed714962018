"""The manifest: one CSV row an image, `path,identity,group` and any further attributes; splits by identity.

A manifest of labelled images has `label` in place of `identity`, or beside it.

Shape legend: N images.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualfair.supernet.files import csv_writer, on_one_line

SPLITS = ("train", "validation", "test")
PATH, IDENTITY, LABEL = "path", "identity", "label"
SPLIT = "split"


@dataclass(frozen=True)
class Manifest:
    """Columns of equal length N by name: `path` and `identity` or `label`, mostly `group`, and what else is known."""

    columns: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for names in ((PATH,), (IDENTITY, LABEL)):
            if not any(name in self.columns for name in names):
                raise ValueError(f"the manifest has no column {names[0]!r}; it has: {', '.join(self.columns)}")

    def __len__(self) -> int:
        return len(self.columns["path"])

    def column(self, name: str) -> np.ndarray:
        """One column as an array of strings (N,). Raises ValueError naming the columns there are."""
        self.require(name)
        return np.asarray(self.columns[name], dtype=str)

    def require(self, name: str) -> None:
        """Raise ValueError, naming the columns there are, when there is no column of this name."""
        if name not in self.columns:
            raise ValueError(
                f"unknown group column {name!r}; the manifest has: {', '.join(attributes_of(self)) or 'no attributes'}"
            )

    def take(self, rows: Sequence[int]) -> Manifest:
        """The manifest of some rows, in the order given."""
        return Manifest({name: tuple(values[row] for row in rows) for name, values in self.columns.items()})


def shorten(names: Sequence[object], most: int = 10) -> str:
    """The first few names on one line, joined by commas; an ellipsis stands for the others."""
    return on_one_line(", ".join(map(str, names[:most])) + (", ..." if len(names) > most else ""))


def attributes_of(manifest: Manifest) -> list[str]:
    """Names of the columns that say something about a person or an image."""
    main = IDENTITY if IDENTITY in manifest.columns else LABEL
    return [name for name in manifest.columns if name not in (PATH, main, SPLIT)]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest CSV. Raises ValueError naming the line or the column at fault."""
    try:
        return Manifest(read_table(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_table(path: Path, example: str = "path,identity,group") -> dict[str, tuple[str, ...]]:
    """The columns of a CSV with a header (such as `example`) by name. Raises ValueError naming the line at fault.

    Rows and last columns without a single word, as spreadsheets leave them, are passed over.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return _columns(csv.reader(file), example)
    except FileNotFoundError:
        raise ValueError(f"there is no such file; expected a CSV with a header such as {example}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text ({error}); save the table as CSV in UTF-8") from error
    except (csv.Error, IsADirectoryError) as error:
        raise ValueError(f"not a CSV text file ({error})") from error


def _columns(rows: Iterator[list[str]], example: str) -> dict[str, tuple[str, ...]]:
    header = _without_blank_end(next(rows, []), 0)
    if len(header) == 1 and (other := re.search(r"[;\t|]", header[0])):
        raise ValueError(f"the header {header[0][:60]!r} is separated by {other[0]!r}; save the table with commas")
    if not header:
        raise ValueError(f"empty file; expected a header such as {example} and rows below it")
    if len(set(header)) < len(header):
        raise ValueError(f"a column name stands twice in the header {','.join(header)}")
    columns: list[list[str]] = [[] for _ in header]
    # Equal values are kept once: a table of many attributes repeats a few words millions of times.
    interned: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        row = _without_blank_end(row, len(header))
        if not row or (len(row) > 1 and not any(row)):
            continue
        if len(row) != len(header):
            raise ValueError(f"line {number} has {len(row)} fields, the header has {len(header)}")
        for values, field in zip(columns, row, strict=True):
            values.append(interned.setdefault(field, field))
    if not columns[0]:
        raise ValueError("only a header, no rows")
    return {name: tuple(values) for name, values in zip(header, columns, strict=True)}


def _without_blank_end(row: list[str], least: int) -> list[str]:
    """The fields without blanks around them, and without empty ones at the end where there are more than `least`."""
    fields = [field.strip() for field in row]
    while len(fields) > least and not fields[-1]:
        fields.pop()
    return fields


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest CSV."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv_writer(file)
        writer.writerow(manifest.columns)
        writer.writerows(zip(*manifest.columns.values(), strict=True))


FOLD_STREAM = 7
"""Beside the seed of the splits, so that folds are not drawn as these are."""


@dataclass(frozen=True)
class Fold:
    """One of `folds` ways to divide those who are not of test: `number`, from 0, is the part that validates."""

    number: int
    folds: int

    def __post_init__(self) -> None:
        if self.folds < 2 or not 0 <= self.number < self.folds:
            raise ValueError(f"folds must be 0 (none) or 2 or more, got {self.folds}")


def fold_of(number: int, folds: int) -> Fold | None:
    """A fold; None of 0 folds. Raises ValueError where there can be none."""
    return Fold(number, folds) if folds else None


def split_identities(
    manifest: Manifest,
    group_of: Mapping[str, Sequence[str]],
    fractions: tuple[float, float, float],
    seed: int,
    fold: Fold | None = None,
) -> dict[str, np.ndarray]:
    """Row numbers of every split, disjoint by identity, of the people who have a group, or a stratum, in `group_of`.

    A manifest with a column `split` (train, validation, test) keeps it; otherwise the identities of every group are
    shuffled by `seed` and dealt in the shares `fractions` of (train, validation, test). With a `fold` those who are not
    of test are divided otherwise: of every group one part in so many, drawn by `seed`, validates. Raises ValueError
    when an identity stands in two splits, or the fractions do not add up to 1.
    """
    if SPLIT in manifest.columns:
        of_identity = given_splits(manifest, group_of)
    else:
        if len(fractions) != 3 or not (all(share > 0 for share in fractions) and abs(sum(fractions) - 1) <= 1e-6):
            raise ValueError(f"split fractions must be three positive numbers that add up to 1, got {fractions}")
        of_identity = _dealt_splits(group_of, fractions, seed)
    if fold:
        of_identity |= _folded(group_of, of_identity, seed, fold)
    row_splits = np.asarray([of_identity.get(identity, "") for identity in manifest.columns["identity"]])
    return {split: np.flatnonzero(row_splits == split) for split in SPLITS}


def judged_groups(manifest: Manifest, group_of: Mapping[str, str], rows: Mapping[str, np.ndarray]) -> list[str]:
    """The groups, in order, that splits as of `split_identities` judge: all but those that a column `split` has in
    training alone."""
    if SPLIT not in manifest.columns:
        return sorted(set(group_of.values()))
    identities = manifest.columns["identity"]
    return sorted({group_of[identities[row]] for split in SPLITS[1:] for row in rows[split].tolist()})


def given_splits(manifest: Manifest, people: Container[str]) -> dict[str, str]:
    """The split of each of some people by the column `split`. Raises ValueError for someone in two of them."""
    of_identity: dict[str, str] = {}
    clashing: set[str] = set()
    for identity, split in zip(manifest.columns["identity"], manifest.columns[SPLIT], strict=True):
        if identity not in people:
            continue
        if split not in SPLITS:
            raise ValueError(f"identity {identity}: unknown split {split[:40]!r}; expected {', '.join(SPLITS)}")
        if of_identity.setdefault(identity, split) != split:
            clashing.add(identity)
    if clashing:
        raise ValueError(
            f"{len(clashing)} identities stand in two splits: {shorten(sorted(clashing))}; each belongs to one"
        )
    return of_identity


def require_splits(splits: Iterable[str]) -> None:
    """Raise ValueError where something else than a split's name stands in the column `split`."""
    for split in sorted(set(splits) - set(SPLITS)):
        raise ValueError(f"unknown split {split[:40]!r}; expected {', '.join(SPLITS)}")


def draw_share(stratum_of: Mapping[str, Sequence[str]], share: float, seed: int) -> list[str]:
    """A share of the identities of every stratum, rounded, drawn by `seed`."""
    rng = np.random.default_rng(seed)
    drawn: list[str] = []
    for _, identities in sorted(_members(stratum_of).items()):
        drawn += rng.permutation(identities)[: round(share * len(identities))].tolist()
    return drawn


def _members(stratum_of: Mapping[str, Sequence[str]]) -> dict[Sequence[str], list[str]]:
    """The identities of every stratum in alphabetical order."""
    members: dict[Sequence[str], list[str]] = {}
    for identity, stratum in sorted(stratum_of.items()):
        members.setdefault(stratum, []).append(identity)
    return members


def _folded(
    groups: Mapping[str, Sequence[str]], of_identity: Mapping[str, str], seed: int, fold: Fold
) -> dict[str, str]:
    """The split of each who is not of test: every group in parts of like size, one of which validates."""
    rng, splits = np.random.default_rng([FOLD_STREAM, seed]), {}
    train, validation, test = SPLITS
    for _, members in sorted(_members({name: groups[name] for name, of in of_identity.items() if of != test}).items()):
        parts = np.array_split(rng.permutation(members), fold.folds)
        for number, part in enumerate(parts):
            splits.update(dict.fromkeys(part.tolist(), validation if number == fold.number else train))
    return splits


def _dealt_splits(groups: Mapping[str, Sequence[str]], fractions: Sequence[float], seed: int) -> dict[str, str]:
    rng = np.random.default_rng(seed)
    of_identity = {}
    for _, members in sorted(_members(groups).items()):
        members = [members[place] for place in rng.permutation(len(members))]
        ends = np.round(np.cumsum(fractions) * len(members)).astype(int)
        for split, start, end in zip(SPLITS, [0, *ends[:-1]], ends, strict=True):
            of_identity.update(dict.fromkeys(members[start:end], split))
    return of_identity
