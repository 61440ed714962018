"""From images as they lie on a disk to a faces folder: plain folders and tables, and the import of any listing."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from dualfair.supernet.images.importers.alignment import align as align_face
from dualfair.supernet.images.importers.journal import JOURNAL, Journal, fingerprint_of, read_journal, write_journal
from dualfair.supernet.images.importers.listing import Listing
from dualfair.supernet.images.manifest import Manifest, read_table, shorten
from dualfair.supernet.images.pairs import Pairs, write_pairs
from dualfair.supernet.images.store import MANIFEST, FaceStore, StoreWriter, square

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
PAIRS = "pairs.csv"

JOURNAL_SECONDS = 30.0
"""A slow disk loses at most this much work to an interruption."""


@dataclass(frozen=True)
class ImportReport:
    """The store that came of an import, and the images that could not be read with the reason."""

    store: FaceStore
    unreadable: tuple[tuple[str, str], ...]
    pairs: Pairs | None = None
    """The pairs written beside the manifest, if the data set has any."""

    continued_from: int = 0
    """Images that an interrupted import had done before."""


def list_folder(root: Path, groups: Path | None = None) -> Manifest:
    """The manifest of a folder that holds one folder a person.

    `groups` is a CSV with the column identity and any number of attribute columns, `group` among them. Raises
    ValueError for an empty folder, and for persons that the CSV does not list (named).
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}")
    persons = sorted(path for path in root.iterdir() if path.is_dir())
    if len(persons) == 1 and any(path.is_dir() for path in persons[0].iterdir()):
        raise ValueError(
            f"{root} holds the one folder {persons[0].name}, which holds folders itself; expected one folder a person. "
            f"Give {persons[0]}"
        )
    images = [
        (path.relative_to(root).as_posix(), person.name)
        for person in persons
        for path in sorted(person.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not images:
        raise ValueError(f"{root} holds no images; expected one folder a person with {', '.join(IMAGE_SUFFIXES)} files")
    columns = {"path": tuple(path for path, _ in images), "identity": tuple(identity for _, identity in images)}
    return Manifest(columns) if groups is None else with_attributes(Manifest(columns), Path(groups), root)


def list_folders(places: Sequence[Path]) -> dict[str, list[str]]:
    """The columns of folders beside each other that hold one folder a person each, and `folder`, which one it is."""
    columns: dict[str, list[str]] = {"path": [], "identity": [], "folder": []}
    for place in places:
        listed = list_folder(place).columns
        columns["path"] += [f"{place.name}/{path}" for path in listed["path"]]
        columns["identity"] += listed["identity"]
        columns["folder"] += [place.name] * len(listed["path"])
    return columns


def with_attributes(manifest: Manifest, groups: Path, source: Path) -> Manifest:
    """The manifest with the columns of a CSV that has one row a person.

    Raises ValueError for persons of `source` that the CSV does not list (named), and for a CSV that contradicts itself.
    """
    attributes = _attributes_by_identity(groups)
    unknown = sorted(set(manifest.columns["identity"]) - set(attributes))
    if unknown:
        raise ValueError(f"{groups} has no row for {len(unknown)} of the persons in {source}: {shorten(unknown)}")
    columns = dict(manifest.columns)
    for name in next(iter(attributes.values())):
        columns[name] = tuple(attributes[identity][name] for identity in columns["identity"])
    return Manifest(columns)


def _attributes_by_identity(path: Path) -> dict[str, dict[str, str]]:
    try:
        columns = read_table(path)
        if "identity" not in columns:
            raise ValueError(f"no column 'identity'; it has: {', '.join(columns)}")
        if "path" in columns:
            raise ValueError("a column 'path' has no place here, one row is one person; for a table of images use csv")
        names = [name for name in columns if name != "identity"]
        attributes: dict[str, dict[str, str]] = {}
        for identity, *values in zip(columns["identity"], *(columns[name] for name in names), strict=True):
            row = dict(zip(names, values, strict=True))
            if attributes.setdefault(identity, row) != row:
                raise ValueError(f"two different rows for identity {identity}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return attributes


def import_listing(
    listing: Listing,
    out: Path,
    *,
    size: int,
    align: bool = False,
    max_unreadable: float = 0.01,
    made_by: str = "import",
    progress: Callable[[Iterable], Iterable] = iter,
    journal_images: int = 2000,
) -> ImportReport:
    """Read the images of a listing into a faces folder of `size` px, in constant memory beside the manifest.

    With `align` each face is turned and scaled so that its landmarks fall on the usual template, otherwise the largest
    central square is taken. Images that cannot be read are left out and reported, with the pairs they are in; above
    the share `max_unreadable` ValueError is raised naming the first of them.

    A journal is kept every `journal_images` images. The same import of the same listing continues from it, and ends in
    the same bytes as an undisturbed one; it starts anew when an image that could not be read has become readable.
    `progress` wraps the iteration, tqdm for example. Raises ValueError for a folder that holds faces already.
    """
    out = Path(out)
    _check(listing, out, size, align)
    manifest, root = listing.manifest, listing.source
    journal, writer = _begin(listing, out, size, align)
    continued_from, unreadable = journal.done, dict(journal.unreadable)
    written_at = time.monotonic()
    for row in progress(range(journal.done, len(manifest))):
        pixels = read_image(listing, row, size, align)
        if isinstance(pixels, str):
            unreadable[row] = pixels
        else:
            writer.add([pixels])
        done = row + 1
        if not done % journal_images or time.monotonic() - written_at > JOURNAL_SECONDS or done == len(manifest):
            writer.flush()
            write_journal(out, Journal(journal.listing, done, writer.digest, tuple(unreadable.items())))
            written_at = time.monotonic()
    named = tuple((manifest.columns["path"][row], reason) for row, reason in unreadable.items())
    if len(unreadable) > max_unreadable * len(manifest) or not writer.stored:
        listed = shorten([f"{root / name} ({reason})" for name, reason in named])
        raise ValueError(
            f"{len(unreadable)} of {len(manifest)} images cannot be read, more than the allowed share "
            f"{max_unreadable:g}: {listed}. Repair them, or raise --max-unreadable"
        )
    kept = np.array([row for row in range(len(manifest)) if row not in unreadable])
    manifest, pairs = _write_pairs(listing, kept, out)
    origin = {
        "made by": made_by,
        "aligned": align,
        "linked": listing.linked,
        "notes": list(listing.notes),
        "unreadable": [name for name, _ in named],
    }
    store = writer.close(manifest, origin)
    (out / JOURNAL).unlink()
    return ImportReport(store, named, pairs, continued_from)


def _check(listing: Listing, out: Path, size: int, align: bool) -> None:
    if size < 8:
        raise ValueError(f"images must be stored at 8 px or more, got {size}")
    if align and listing.landmarks is None:
        raise ValueError(f"--align needs landmarks, and none are known for {listing.source}; import without it")
    if (out / MANIFEST).exists():
        raise ValueError(f"{out} holds faces already ({MANIFEST} is there); remove the folder, or choose another --out")


def _begin(listing: Listing, out: Path, size: int, align: bool) -> tuple[Journal, StoreWriter]:
    """Where an interrupted import of this listing stopped, or the beginning of one."""
    fresh = Journal(fingerprint_of(listing, size=size, align=align))
    journal = read_journal(out, fresh.listing)
    if journal.stored and all(isinstance(read_image(listing, row, size, align), str) for row, _ in journal.unreadable):
        # Pixels that are gone, or not those of the journal, cannot be continued.
        with suppress(ValueError, FileNotFoundError):
            return journal, StoreWriter(out, len(listing.manifest), size, keep=journal.stored, digest=journal.digest)
    return fresh, StoreWriter(out, len(listing.manifest), size)


def _write_pairs(listing: Listing, kept: np.ndarray, out: Path) -> tuple[Manifest, Pairs | None]:
    """The manifest and pairs of the images that were kept; the pairs are written where there are any."""
    (out / PAIRS).unlink(missing_ok=True)
    manifest = listing.manifest.take(kept)
    if listing.pairs is None:
        return manifest, None
    pairs = listing.pairs.take(kept, listing.manifest)
    if len(pairs):
        write_pairs(out / PAIRS, pairs, manifest)
    return manifest, pairs


def read_image(listing: Listing, row: int, size: int, align: bool = False) -> np.ndarray | str:
    """The stored form of an image, or why it cannot be read."""
    try:
        opened = listing.open_image(row)
        if isinstance(opened, Path) and not opened.is_file():
            # A pipe or a device could go on for ever.
            return "not a plain file" if opened.exists() else "no such file"
        with Image.open(opened) as image:
            if not align:
                return square(image, size)
            if np.isnan(listing.landmarks[row]).any():
                return "no landmarks"
            return align_face(image, listing.landmarks[row], size)
    except UnidentifiedImageError:
        empty = not (opened.stat().st_size if isinstance(opened, Path) else opened.getbuffer().nbytes)
        return "empty file" if empty else "not an image"
    except Exception as error:
        # On damaged files Pillow's decoders raise whatever their code comes across.
        return " ".join(str(error).split()) or type(error).__name__
