"""Faces in one file: RecordIO training sets (.rec) and verification sets (.bin)."""

import io
from pathlib import Path

import numpy as np

from dualfair.supernet.images.importers.importing import with_attributes
from dualfair.supernet.images.importers.listing import Listing
from dualfair.supernet.images.importers.recordio import open_records
from dualfair.supernet.images.importers.verification_bin import read_bin
from dualfair.supernet.images.manifest import Manifest
from dualfair.supernet.images.pairs import Pairs, folds_in_order


def rec(source: Path, *, groups: Path | None = None) -> Listing:
    """RecordIO training set: SRC is the .rec file, or a folder that holds train.rec.

    Its .idx lies beside it. Identities are the labels, '0' and up. `groups` is a CSV identity,group[,more]; without it
    there are no groups.

    Raises ValueError as `open_records` does. The file stays open as long as the listing is used.
    """
    source = _file(Path(source), ".rec", "train.rec")
    records = open_records(source)
    manifest = Manifest(
        {
            "path": tuple(f"{row:08d}" for row in range(len(records))),
            "identity": tuple(map(str, records.labels.tolist())),
        }
    )
    if groups is not None:
        manifest = with_attributes(manifest, Path(groups), source)
    return Listing(manifest=manifest, source=source, open_image=lambda row: io.BytesIO(records.image(row)))


def verification_set(source: Path) -> Listing:
    """Verification set of pairs: SRC is the .bin file, such as lfw.bin.

    Pair 17 has the images 00017a and 00017b. In a pair of one person both have the identity 00017, in a pair of two
    each has its own: the file does not tell who comes again in another pair. Ten folds in the file's order.
    """
    source = _file(Path(source), ".bin", "lfw.bin")
    content = read_bin(source)
    pairs = len(content.same)
    paths = tuple(f"{pair:05d}{side}" for pair in range(pairs) for side in "ab")
    same = np.repeat(content.same, 2).tolist()
    identities = tuple(path[:-1] if is_same else path for path, is_same in zip(paths, same, strict=True))
    first = 2 * np.arange(pairs, dtype=np.int64)
    return Listing(
        manifest=Manifest({"path": paths, "identity": identities}),
        source=source,
        open_image=lambda row: io.BytesIO(content.images[row]),
        pairs=Pairs(first, first + 1, content.same, folds_in_order(pairs)),
        linked=False,
        notes=("identities are known within a pair only: use these faces with their pairs, not for training or ranks",),
    )


def find_file(folder: Path, suffix: str, usual: str) -> Path | None:
    """The file of the usual name in a folder, else the only one with the suffix, else None."""
    paths = [path for path in sorted(folder.glob(f"*{suffix}")) if path.is_file()]
    if folder / usual in paths:
        return folder / usual
    return paths[0] if len(paths) == 1 else None


def _file(source: Path, suffix: str, usual: str) -> Path:
    path = find_file(source, suffix, usual) if source.is_dir() else source
    if path is None or not path.is_file():
        raise ValueError(f"{usual} is missing: expected {source} to be a {suffix} file, or a folder with one of them")
    return path
