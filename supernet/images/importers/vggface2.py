"""VGGFace2: loosely cropped images in the folders train and test, gender by identity, landmarks beside them."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dualfair.supernet.images.importers.folders import list_tree
from dualfair.supernet.images.importers.listing import Listing, locate
from dualfair.supernet.images.manifest import SPLIT, Manifest, shorten

FOLDERS = ("train", "test")
VALIDATION_EVERY = 10


class _Person(NamedTuple):
    official_test: bool
    gender: str


def vggface2(source: Path, *, official_split: bool = False, align: bool = False) -> Listing:
    """VGGFace2: SRC holds train, test and identity_meta.csv.

    One of the two folders is enough. The column 'group' is the gender as in the file, m or f. All people are dealt to
    splits alike; with `official_split` those of the official test set are the test split, and every tenth training
    person of each gender, in the order of the identities, is for validation, as VGGFace2 has no validation people.
    Landmarks are those of 'bb_landmark'.

    Raises ValueError for a missing file, a malformed line, and people that identity_meta.csv does not list.
    """
    source = Path(source)
    meta = locate(source, "identity_meta.csv", ("", "meta"), "VGGFace2's 'meta' archive")
    people = _read_people(meta)
    folders = [folder for folder in FOLDERS if (source / folder).is_dir()]
    if not folders:
        locate(source, "train", ("",), "VGGFace2's 'data' archives, unpacked")
    listing = list_tree(source, ("folder", "identity"), only=folders)
    columns = {name: listing.manifest.columns[name] for name in ("path", "identity")}
    unknown = sorted(set(columns["identity"]) - set(people))
    if unknown:
        raise ValueError(f"{meta} has no row for {len(unknown)} of the people in {source}: {shorten(unknown)}")
    columns["group"] = [people[identity].gender for identity in columns["identity"]]
    if official_split:
        splits = _official_splits({identity: people[identity] for identity in columns["identity"]})
        columns[SPLIT] = [splits[identity] for identity in columns["identity"]]
    manifest = Manifest({name: tuple(values) for name, values in columns.items()})
    landmarks = _read_landmarks(source, folders, manifest) if align else None
    return replace(listing, manifest=manifest, landmarks=landmarks)


def _read_people(path: Path) -> dict[str, _Person]:
    """Every person of the table. Names hold commas, quoted or not, so fields are counted from the right."""
    people = {}
    # Names are not used, and some are not UTF-8.
    lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    if not lines[0].startswith("Class_ID"):
        raise ValueError(
            f"{path}: line 1 is {lines[0].strip()[:60]!r}; expected Class_ID, Name, Sample_Num, Flag, Gender"
        )
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        fields = [field.strip().strip('"') for field in line.rsplit(",", 3)]
        identity, comma, _ = fields[0].partition(",")
        flag, gender = fields[-2:] if len(fields) == 4 and comma else ("", "")
        if flag not in ("0", "1") or gender not in ("m", "f"):
            raise ValueError(
                f"{path}: line {number} is {line.strip()[:60]!r}; expected it to end in flag 0 or 1 and gender m or f"
            )
        people[identity.strip().strip('"')] = _Person(flag == "0", gender)
    return people


def _official_splits(people: Mapping[str, _Person]) -> dict[str, str]:
    splits = {}
    counts: dict[str, int] = defaultdict(int)
    for identity in sorted(people):
        person = people[identity]
        if person.official_test:
            splits[identity] = "test"
            continue
        counts[person.gender] += 1
        splits[identity] = "train" if counts[person.gender] % VALIDATION_EVERY else "validation"
    return splits


def _read_landmarks(source: Path, folders: Sequence[str], manifest: Manifest) -> np.ndarray:
    """(N, 5, 2), NaN for images without a row."""
    row_of = {path.rpartition(".")[0]: row for row, path in enumerate(manifest.columns["path"])}
    landmarks = np.full((len(manifest), 10), np.nan)
    for folder in folders:
        path = locate(source, f"loose_landmark_{folder}.csv", ("bb_landmark", ""), "VGGFace2's 'bb_landmark' archive")
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, skipinitialspace=True)
            header = next(rows, [])
            if len(header) != 11 or header[0].strip() != "NAME_ID":
                raise ValueError(f"{path}: line 1 is {','.join(header)[:60]!r}; expected NAME_ID,P1X,P1Y,...,P5X,P5Y")
            for number, row in enumerate(rows, 2):
                try:
                    points = [float(field) for field in row[1:]]
                except ValueError:
                    points = []
                if len(points) != 10:
                    raise ValueError(
                        f"{path}: line {number} is {','.join(row)[:60]!r}; expected a name and ten numbers"
                    )
                place = row_of.get(f"{folder}/{row[0].strip()}")
                if place is not None:
                    landmarks[place] = points
    return landmarks.reshape(-1, 5, 2)
