"""Configurations: frozen dataclasses whose fields are options, filled from what was asked for and from presets."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar, get_type_hints

Config = TypeVar("Config")

PRESETS = Path(__file__).parent / "presets"
STAGES = ("train", "search", "retrain")
"""Commands whose options a preset may hold in a table of their own."""


def option(default: object, text: str) -> object:
    """A dataclass field that is an option, on the command line and at the Python door, with this help text."""
    return dataclasses.field(default=default, metadata={"help": text})


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
    fields = {field.name: hint for config in configs for field, hint in _fields(config)}
    values = {**(defaults or {}), **(_read_preset(preset, stage, fields) if preset else {})}
    values.update({name: value for name, value in given.items() if value is not None and name in fields})
    built = []
    for name, value in values.items():
        _check(name, value, fields.get(name, object))
        # At the Python door a whole number does for a number with a point; the recorded configuration is the same.
        values[name] = float(value) if fields.get(name) is float else value
    for config in configs:
        names = {field.name for field in dataclasses.fields(config)}
        missing = [
            field.name
            for field in dataclasses.fields(config)
            if field.default is dataclasses.MISSING and field.name not in values
        ]
        if missing:
            raise ValueError(f"missing option --{missing[0].replace('_', '-')}")
        built.append(config(**{name: value for name, value in values.items() if name in names}))
    return built


def numbers(text: str, separator: str, kind: type, name: str) -> tuple:
    """The numbers of a kind that a text joins by a separator. Raises ValueError with the name of what it is."""
    try:
        return tuple(kind(part) for part in text.split(separator))
    except ValueError:
        raise ValueError(f"{name} must be numbers joined by {separator!r}, got {text!r}") from None


def _fields(config: type) -> list[tuple[dataclasses.Field, type]]:
    hints = get_type_hints(config)
    return [(field, hints[field.name]) for field in dataclasses.fields(config)]


def presets() -> list[str]:
    """Names of the presets that come with the package."""
    return sorted(file.name.removesuffix(".toml") for file in PRESETS.iterdir() if file.name.endswith(".toml"))


def _read_preset(preset: str, stage: str, fields: dict[str, type]) -> dict[str, object]:
    path = PRESETS / f"{preset}.toml" if preset in presets() else Path(preset)
    values = read_toml(path, "preset")
    tables = {name: values.pop(name) for name in STAGES if isinstance(values.get(name), dict)}
    values.update(tables.get(stage, {}))
    for name, value in values.items():
        if name not in fields:
            raise ValueError(f"preset {path}: unknown option {_shown(name)}; known: {', '.join(fields)}")
        try:
            _check(name, value, fields[name])
        except ValueError as error:
            raise ValueError(f"preset {path}: {error}") from None
        if isinstance(value, str) and ":" in value:
            raise ValueError(
                f"preset {path}: {name} = {_shown(value)} would run code, which a preset may not; name your own "
                f"module:object on the command line, as --{name.replace('_', '-')}"
            )
    return {name: float(value) if fields[name] is float else value for name, value in values.items()}


def changed(config: Config, values: Mapping[str, object]) -> Config:
    """A config with the `values` of some of its fields in place of its own.

    Raises ValueError for a value of the wrong type, a number that is not finite, or one that the config refuses.
    """
    kinds = {field.name: kind for field, kind in _fields(type(config)) if field.name in values}
    for name, kind in kinds.items():
        _check(name, values[name], kind)
    return dataclasses.replace(
        config, **{name: float(values[name]) if kind is float else values[name] for name, kind in kinds.items()}
    )


def read_toml(path: Path, what: str) -> dict[str, object]:
    """What a TOML file holds. Raises ValueError, calling the file `what` it is, where it is no such file."""
    try:
        # A pipe or a device could go on for ever.
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ValueError("not a plain file")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{what} {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{what} {path} is not TOML: {error}") from None
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{what} {path} is not TOML: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{what} {path} is not TOML: {error}") from None


def _check(name: str, value: object, kind: type) -> None:
    """Raise ValueError unless an option's value has the option's type, and a number can be computed with."""
    if kind is not object and type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError(f"{name} must be a {kind.__name__}, got {_shown(value)}")
    if type(value) is float and not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value}")
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise ValueError(f"{name} must be a number of at most 64 bits, got one of {value.bit_length()} bits")


def _shown(value: object) -> str:
    """A value for a message, on one line and not too long."""
    # The digits of a very long number are more than Python turns into text.
    text = f"{value.bit_length()} bits" if isinstance(value, int) and value.bit_length() > 200 else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
