"""Importers: from data as it lies on a disk to a faces folder. One function each in one table, all ending alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from supernet.faces.manifest import Manifest, read_manifest, read_table
from supernet.faces.store import FaceStore, StoreWriter, square

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")


@dataclass(frozen=True)
class ImportReport:
    """The store that came of an import, and the images that could not be read with the reason."""

    store: FaceStore
    unreadable: tuple[tuple[str, str], ...]


def list_folder(root: Path, groups: Path | None = None) -> Manifest:
    """The manifest of a folder that holds one folder a person.

    `groups` is a CSV with the column identity and any number of attribute columns, `group` among them. Raises
    ValueError for an empty folder, and for persons that the CSV does not list (named).
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}")
    persons = sorted(path for path in root.iterdir() if path.is_dir())
    images = [
        (path.relative_to(root).as_posix(), person.name)
        for person in persons
        for path in sorted(person.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not images:
        raise ValueError(f"{root} holds no images; expected one folder a person with {', '.join(IMAGE_SUFFIXES)} files")
    columns = {"path": tuple(path for path, _ in images), "identity": tuple(identity for _, identity in images)}
    if groups is None:
        return Manifest(columns)
    attributes = _attributes_by_identity(Path(groups))
    unknown = sorted({identity for _, identity in images} - set(attributes))
    if unknown:
        shown = ", ".join(unknown[:10]) + (", ..." if len(unknown) > 10 else "")
        raise ValueError(f"{groups} has no row for {len(unknown)} of the persons in {root}: {shown}")
    names = next(iter(attributes.values()))
    for name in names:
        columns[name] = tuple(attributes[identity][name] for _, identity in images)
    return Manifest(columns)


def _attributes_by_identity(path: Path) -> dict[str, dict[str, str]]:
    try:
        columns = read_table(path)
        if "identity" not in columns:
            raise ValueError(f"no column 'identity'; it has: {', '.join(columns)}")
        names = [name for name in columns if name != "identity"]
        attributes: dict[str, dict[str, str]] = {}
        for identity, *values in zip(columns["identity"], *(columns[name] for name in names), strict=True):
            row = dict(zip(names, values, strict=True))
            if attributes.setdefault(identity, row) != row:
                raise ValueError(f"two different rows for identity {identity}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return attributes


def list_csv(metadata: Path) -> Manifest:
    """The manifest that already lies beside the images; its paths are relative to its own folder."""
    return read_manifest(Path(metadata))


def import_images(
    manifest: Manifest,
    root: Path,
    out: Path,
    *,
    size: int,
    max_unreadable: float = 0.01,
    progress: Callable[[Iterable], Iterable] = iter,
) -> ImportReport:
    """Read every image of a manifest (paths relative to `root`) into a faces folder of `size` px.

    Images that cannot be read are left out and reported; above the share `max_unreadable` ValueError is raised
    naming the first of them. `progress` wraps the iteration, tqdm for example.
    """
    if size < 8:
        raise ValueError(f"images must be stored at 8 px or more, got {size}")
    writer = StoreWriter(Path(out), len(manifest), size)
    kept, unreadable = [], []
    for row, name in enumerate(progress(manifest.columns["path"])):
        pixels = _read(root / name, size)
        if isinstance(pixels, str):
            unreadable.append((name, pixels))
            continue
        writer.add([pixels])
        kept.append(row)
    if len(unreadable) > max_unreadable * len(manifest) or not kept:
        name, reason = unreadable[0]
        raise ValueError(
            f"{len(unreadable)} of {len(manifest)} images cannot be read, more than the allowed share "
            f"{max_unreadable:g}; the first is {root / name} ({reason})"
        )
    origin = {"made by": "import", "unreadable": [name for name, _ in unreadable]}
    return ImportReport(writer.close(manifest.take(kept), origin), tuple(unreadable))


def _read(path: Path, size: int) -> np.ndarray | str:
    """The stored form of an image file, or why it cannot be read."""
    try:
        with Image.open(path) as image:
            return square(image, size)
    except FileNotFoundError:
        return "no such file"
    except UnidentifiedImageError:
        return "not an image" if path.stat().st_size else "empty file"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return str(error)
