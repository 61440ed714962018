"""Whether DualFair and its libraries are the installed ones, or something else of that name is imported."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from dualfair.doctor.environment import FAILED, IMPORTED_AS, OK, WARNING, Finding, installed_package

PACKAGE = "dualfair"


def imports(folder: Path, path_entries: Sequence[str]) -> Finding:
    """Whether DualFair and its libraries are the installed ones, or something else of that name is.

    `folder` is the current one, from which `module:object` and programs of one's own are imported; `path_entries` are
    those of PYTHONPATH.
    """
    root = Path(__file__).resolve().parents[1]
    libraries = library_modules()
    wrong = []
    for name in libraries:
        origin, expected = _origin(name), _installed(name)
        if origin is not None and expected is not None and expected not in origin.parents:
            wrong.append(
                f"{name} is {_shown(origin, folder, path_entries)} instead of the installed "
                f"{_shown(expected / name, folder, path_entries)}; rename it, or leave PYTHONPATH empty"
            )
    likely = [
        _shown(module, folder, path_entries) for name in (PACKAGE, *libraries) if (module := _module_in(folder, name))
    ]
    if wrong:
        return Finding(FAILED, "; ".join(wrong))
    if likely:
        return Finding(
            WARNING,
            f"{', '.join(likely)} in the current folder would be imported instead of the installed package of that "
            "name, by module:object and by programs of your own; rename it",
        )
    place = _shown(root, folder, path_entries)
    installed = Path(str(installed_package().locate_file(PACKAGE))).resolve()
    if installed != root and _module_in(installed.parent, PACKAGE):
        where = _shown(installed, folder, path_entries)
        return Finding(WARNING, f"dualfair runs from {place}, while another one is installed in {where}")
    place = "an editable installation" if place.startswith("...") else place
    return Finding(OK, f"{PACKAGE} comes from {place}; nothing here is named like it or like a library")


def library_modules() -> tuple[str, ...]:
    """The libraries that the installed package asks for, as they are imported."""
    asked = [line for line in installed_package().requires or () if "extra ==" not in line]
    names = [re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0] for line in asked]
    return tuple(IMPORTED_AS.get(name, name) for name in names)


def _origin(name: str) -> Path | None:
    """Where a module is, or would be, imported from."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    where = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    return None if where is None else Path(where).resolve()


def _installed(name: str) -> Path | None:
    """The folder that a library is installed in; None where its files are elsewhere, as in development."""
    distribution = next((key for key, value in IMPORTED_AS.items() if value == name), name)
    try:
        folder = Path(str(metadata.distribution(distribution).locate_file(""))).resolve()
    except metadata.PackageNotFoundError:
        return None
    return folder if _module_in(folder, name) else None


def _module_in(folder: Path, name: str) -> Path | None:
    """What of a folder would be imported under a name; a folder without __init__.py gives way to any other."""
    candidates = (folder / name / "__init__.py", folder / f"{name}.py")
    module = next((file for file in candidates if file.is_file()), None)
    return module.parent if module is not None and module.name == "__init__.py" else module


def _shown(place: Path, folder: Path, path_entries: Sequence[str]) -> str:
    """A place in words that do not tell whose computer this is."""
    place = place.parent if place.name == "__init__.py" else place
    bases = [(Path(entry).resolve(), f"entry {number} of PYTHONPATH") for number, entry in enumerate(path_entries, 1)]
    site = [(Path(entry).resolve(), "site-packages") for entry in sys.path if Path(entry).name == "site-packages"]
    for base, name in [(folder.resolve(), "."), *bases, *site]:
        if place.resolve().is_relative_to(base):
            return (Path(name) / place.resolve().relative_to(base)).as_posix() if name != "." else _here(place, base)
    return f".../{place.name}"


def _here(place: Path, folder: Path) -> str:
    within = place.resolve().relative_to(folder).as_posix()
    return "the current folder" if within == "." else f"./{within}"
