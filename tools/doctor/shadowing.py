"""Whether DualFair and its libraries are the installed ones, or something else of that name is imported."""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata
from pathlib import Path

from dualfair.doctor.environment import FAILED, IMPORTED_AS, OK, WARNING, Finding, installed_package

PACKAGE = "dualfair"


def imports(folder: Path) -> Finding:
    """Whether DualFair and its libraries are the installed ones, or something else of that name is.

    `folder` is the current one, from which `module:object` and programs of one's own are imported.
    """
    asked = [line for line in installed_package().requires or () if "extra ==" not in line]
    libraries = [re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0] for line in asked]
    wrong = []
    for library in libraries:
        name = IMPORTED_AS.get(library, library)
        origin, installed = _origin(name), _installed(library, name)
        if origin is not None and installed is not None and not origin.is_relative_to(installed.parent):
            wrong.append(
                f"{name} is {origin} instead of the installed {installed}; rename it, or leave PYTHONPATH empty"
            )
    if wrong:
        return Finding(FAILED, "; ".join(wrong))
    names = [PACKAGE, *(IMPORTED_AS.get(library, library) for library in libraries)]
    likely = [module.relative_to(folder).as_posix() for name in names if (module := _module_in(folder, name))]
    if likely:
        return Finding(
            WARNING,
            f"{', '.join(f'./{module}' for module in likely)} in the current folder would be imported instead of the "
            "installed package of that name, by module:object and by programs of your own; rename it",
        )
    root = Path(__file__).resolve().parents[1]
    other = Path(str(installed_package().locate_file(PACKAGE))).resolve()
    if other != root and _module_in(other.parent, PACKAGE):
        return Finding(WARNING, f"dualfair runs from {root}, while another one is installed in {other}")
    return Finding(OK, f"{PACKAGE} comes from {root}; nothing here is named like it or like a library")


def _origin(name: str) -> Path | None:
    """The file or folder that a module is, or would be, imported from."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    place = next((Path(place).resolve() for place in places if place), None)
    return place.parent if place is not None and place.name == "__init__.py" else place


def _installed(library: str, name: str) -> Path | None:
    """What a library's module was installed as; None where its files are elsewhere, as in development."""
    try:
        return _module_in(Path(str(metadata.distribution(library).locate_file(""))).resolve(), name)
    except metadata.PackageNotFoundError:
        return None


def _module_in(folder: Path, name: str) -> Path | None:
    """What of a folder would be imported under a name; a folder without __init__.py gives way to any other."""
    package, module = folder / name, folder / f"{name}.py"
    if (package / "__init__.py").is_file():
        return package
    return module if module.is_file() else None
