"""Configurations: frozen dataclasses whose fields are options, filled from what was asked for and from presets, and
plug-ins that these name."""

import dataclasses
import hashlib
import importlib
import math
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TypeVar, get_type_hints

from dualfair.supernet.training.recipe import Recipe

Config = TypeVar("Config")

PRESETS = Path(__file__).parent / "presets"
STAGES = ("train", "search", "retrain")
"""Commands whose options a preset may hold in a table of their own."""


def option(default: object, text: str, *, omitted: bool = False) -> object:
    """A dataclass field that is an option, on the command line and at the Python door, with this help text.

    An `omitted` one is recorded only where it is not the default.
    """
    return dataclasses.field(default=default, metadata={"help": text, "omitted": omitted})


def build_configs(
    given: Mapping[str, object],
    preset: str | None,
    *configs: type[Config],
    stage: str,
    defaults: Mapping[str, object] | None = None,
) -> list[Config]:
    """The configs that the caller (`given`, None = not given) and a preset ask for; the caller wins.

    A preset is the name of one of `presets`, or a TOML file: its table [train], [search] or [retrain] is for that
    `stage` only, what stands above the tables is for any. `defaults` stand in for the dataclasses' own where neither
    says anything.

    A preset is data and runs no code: it may set every option, but not to a `module:object` of the user's own; that
    takes the caller. Raises ValueError for such a value, for a preset that is not TOML, has an unknown name or a
    value of the wrong type, and for numbers that are not finite or do not fit into 64 bits.
    """
    options = {each.name for config in configs for each in dataclasses.fields(config) if "help" in each.metadata}
    kinds = {n: kind for config in configs for n, kind in get_type_hints(config).items() if n in options}
    values = {**(defaults or {}), **(_read_preset(preset, stage, kinds) if preset else {})}
    values |= {name: value for name, value in given.items() if value is not None and name in kinds}
    values = {name: _checked(name, kinds.get(name, object), value) for name, value in values.items()}
    return [config(**{name: values[name] for name in get_type_hints(config) if name in values}) for config in configs]


def look_up(name: str, table: Mapping[str, object], kind: str, expected: type = object) -> object:
    """The entry of `table`, or the object that `module:object` names; the current folder is searched for modules.

    This imports the module, so it runs the user's own code, which takes a name that the user typed. Raises ValueError
    naming the built-ins when there is neither, with the reason when the module cannot be imported, and for an object
    that is not of the `expected` type.
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
    except Exception as error:
        raise ValueError(
            f"{kind} {name!r}: importing {module} failed: {type(error).__name__}: {error}; --debug shows where"
        ) from error
    finally:
        sys.path.remove(folder)
    if not hasattr(imported, attribute):
        raise ValueError(f"{kind} {name!r}: module {module} has no {attribute!r}")
    plugged_in = getattr(imported, attribute)
    if not isinstance(plugged_in, expected):
        of_type = f"{expected.__module__}.{expected.__qualname__}"
        raise ValueError(f"{kind} {name!r} is a {type(plugged_in).__name__}; expected a {of_type}")
    return plugged_in


def code_of(names: Iterable[str]) -> dict[str, str]:
    """By module, the digest of its source, for every `module:object` that was looked up among names of plug-ins."""
    modules = sorted({name.partition(":")[0] for name in names if ":" in name})
    return {name: _source_digest(sys.modules[name]) for name in modules}


@cache
def _source_digest(module: ModuleType) -> str:
    """The digest of the file that a module was imported from; kept, since an edit changes no imported module."""
    path = Path(getattr(module, "__file__", None) or "")
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def check_code(recorded: Mapping[str, str] | None, code: Mapping[str, str], since: str) -> None:
    """Raise ValueError where a module is not what was recorded, as of `code_of`; `since` says what was done by it."""
    edited = [name for name, digest in (recorded or {}).items() if code.get(name, digest) != digest]
    if edited:
        raise ValueError(
            f"module {edited[0]!r} was edited since {since}; put its code back, or use another directory, so that "
            "results of old and new code are not mixed"
        )


def numbers(text: str, separator: str, kind: type, name: str) -> tuple:
    """The numbers of a kind that a text joins by a separator. Raises ValueError with the name of what it is."""
    try:
        return tuple(kind(part) for part in text.split(separator))
    except ValueError:
        raise ValueError(f"{name} must be numbers joined by {separator!r}, got {text!r}") from None


def presets() -> list[str]:
    """Names of the presets that come with the package."""
    return sorted(file.name.removesuffix(".toml") for file in PRESETS.iterdir() if file.name.endswith(".toml"))


def _read_preset(preset: str, stage: str, kinds: Mapping[str, type]) -> dict[str, object]:
    path = PRESETS / f"{preset}.toml" if preset in presets() else Path(preset)
    values = read_toml(path, "preset")
    tables = {name: values.pop(name) for name in STAGES if isinstance(values.get(name), dict)}
    values = Recipe.upgraded({**values, **tables.get(stage, {})})
    for name, value in values.items():
        if name not in kinds:
            raise ValueError(f"preset {path}: unknown option {shown(name)}; known: {', '.join(kinds)}")
        try:
            _checked(name, kinds[name], value)
        except ValueError as error:
            raise ValueError(f"preset {path}: {error}") from None
        if isinstance(value, str) and ":" in value:
            raise ValueError(
                f"preset {path}: {name} = {shown(value)} would run code, which a preset may not; name your own "
                f"module:object on the command line, as --{name.replace('_', '-')}"
            )
    return values


def changed(config: Config, values: Mapping[str, object]) -> Config:
    """A config with the `values` of some of its fields in place of its own.

    Raises ValueError for a value of the wrong type, a number that is not finite, or one that the config refuses.
    """
    kinds = {name: kind for name, kind in get_type_hints(type(config)).items() if name in values}
    return dataclasses.replace(config, **{name: _checked(name, kind, values[name]) for name, kind in kinds.items()})


def read_toml(path: Path, what: str) -> dict[str, object]:
    """What a TOML file holds. Raises ValueError, calling the file `what` it is, where it is no such file."""
    try:
        # A pipe or a device could go on for ever.
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ValueError("not a plain file")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{what} {path} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ValueError(f"{what} {path} is not TOML: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{what} {path} is not TOML: {error}") from None


def _checked(name: str, kind: type, value: object) -> object:
    """An option's value, as `typed`. Raises ValueError with its name where it has another type, or is not finite."""
    try:
        value = value if kind is object else typed(kind, value)
        if type(value) is float and not math.isfinite(value):
            raise ValueError(f"must be a finite number, got {value}")
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    return value


def typed(kind: type, value: object) -> object:
    """A plain value of exactly a type; a whole number does for a number with a point, and becomes one.

    Raises ValueError, without the value's name, for another type and for a number that 64 bits do not hold.
    """
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError(f"must be a {kind.__name__}, got {shown(value)}")
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise ValueError(f"must be a number of at most 64 bits, got one of {value.bit_length()} bits")
    return float(value) if kind is float else value


def shown(value: object) -> str:
    """A value for a message, on one line and not too long."""
    try:
        # The digits of a very long number are more than Python turns into text.
        text = f"{value.bit_length()} bits" if isinstance(value, int) and value.bit_length() > 200 else repr(value)
    except RecursionError:
        return "a value that is nested too deeply"
    return text if len(text) <= 80 else text[:77] + "..."
