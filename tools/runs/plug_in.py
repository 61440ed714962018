"""Plug-ins by name: a built-in of a table, or `module:object` of the user's own."""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path


def look_up(name: str, table: Mapping[str, object], kind: str) -> object:
    """The entry of `table`, or the object that `module:object` names; the current folder is searched for modules.

    This imports the module, so it runs the user's own code, which takes a name that the user typed. Raises ValueError
    naming the built-ins when there is neither, and with the reason when the module cannot be imported.
    """
    if name in table:
        return table[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"unknown {kind} {name!r}; choose from {', '.join(table)}, or give module:object")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise ValueError(f"{kind} {name!r}: expected module:object, two names of Python joined by ':'")
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"{kind} {name!r}: {error}") from error
    except Exception as error:
        raise ValueError(
            f"{kind} {name!r}: importing {module} failed: {type(error).__name__}: {error}; --debug shows where"
        ) from error
    finally:
        sys.path.remove(folder)
    if not hasattr(imported, attribute):
        raise ValueError(f"{kind} {name!r}: module {module} has no {attribute!r}")
    return getattr(imported, attribute)
