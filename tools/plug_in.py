"""Plug-ins by name: a built-in of a table, or `module:object` of the user's own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path


def look_up(name: str, table: Mapping[str, object], kind: str) -> object:
    """The entry of `table`, or the object that `module:object` names; the current folder is searched for modules.

    Raises ValueError naming the built-ins when there is neither.
    """
    if name in table:
        return table[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"unknown {kind} {name!r}; choose from {', '.join(table)}, or give module:object")
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise ValueError(f"{kind} {name!r}: {error}") from error
    except AttributeError:
        raise ValueError(f"{kind} {name!r}: module {module} has no {attribute!r}") from None
    finally:
        sys.path.remove(folder)
