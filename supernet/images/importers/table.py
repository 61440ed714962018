"""A table of images that its user wrote: a CSV with a row an image."""

import re
from collections.abc import Iterable
from os.path import abspath
from pathlib import Path
from unicodedata import normalize

from dualfair.supernet.images.importers.listing import Listing, list_files
from dualfair.supernet.images.importers.tree import frozen, tidy
from dualfair.supernet.images.manifest import IDENTITY, Manifest, read_manifest, shorten

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
REPEATED = "a row that repeats another one word for word"


def list_table(source: Path, named: str = IDENTITY) -> Listing:
    """The listing of a CSV path,identity[,more]; paths are relative to it. `named` is a column that must be there.

    A path is read as it stands, else with the accents coded as the disk has them, else with / for \\. Raises ValueError
    for a row without a path, and for an image that stands on two different rows.
    """
    source = Path(source)
    manifest = read_manifest(source)
    if named not in manifest.columns:
        raise ValueError(f"{source}: the manifest has no column {named!r}; it has: {', '.join(manifest.columns)}")
    root, given = source.parent, manifest.columns["path"]
    if not all(given):
        name = manifest.columns[named][given.index("")]
        raise ValueError(f"{source}: row {given.index('') + 1} below the header has no path ({named} {name!r})")
    paths = [_on_disk(root, path) for path in given]
    on_drive = next((path for path in paths if _DRIVE.match(path) and not (root / path).exists()), None)
    if on_drive:
        raise ValueError(f"{source}: {on_drive} lies on a drive of Windows; write paths relative to the CSV")
    others = {name: tuple(map(tidy, values)) for name, values in manifest.columns.items() if name != "path"}
    kept, repeated = _distinct(source, paths, list(zip(*others.values(), strict=True)))
    table = Manifest({**{"path": tuple(paths)}, **others})
    backslashes = sum("\\" in path and path != found for path, found in zip(given, paths, strict=True))
    notes = (f"{backslashes:,} paths are written as on Windows; \\ is read as /",) if backslashes else ()
    skipped = frozen({REPEATED: (paths[row] for row in repeated)})
    return list_files(table.take(kept) if repeated else table, root, notes=notes, skipped=skipped)


def _on_disk(root: Path, path: str) -> str:
    """How the disk has a path; as it stands where nothing is found."""
    if (path.isascii() and "\\" not in path) or (root / path).exists():
        return path
    for candidate in (path, path.replace("\\", "/")):
        place = root
        for part in Path(candidate).parts:
            forms = (part, normalize("NFC", part), normalize("NFD", part))
            place = next((place / form for form in forms if (place / form).exists()), None)
            if place is None:
                break
        else:
            return place.relative_to(root).as_posix() if not Path(candidate).is_absolute() else str(place)
    return path


def _distinct(source: Path, paths: Iterable[str], rows: list[tuple[str, ...]]) -> tuple[list[int], list[int]]:
    """The rows of images that were not there before, and the others."""
    first: dict[str, int] = {}
    kept, repeated = [], []
    for row, path in enumerate(paths):
        before = first.setdefault(abspath(source.parent / path), row)
        (kept if before == row else repeated).append(row)
        if rows[before] != rows[row]:
            raise ValueError(
                f"{source}: two different rows for {path}, {shorten(rows[before], 3)} and {shorten(rows[row], 3)}; "
                "every image has one row"
            )
    return kept, repeated
