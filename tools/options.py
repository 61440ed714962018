"""Command-line options from configuration dataclasses: one field is one option, so the two cannot drift apart."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, get_type_hints

import click

Config = TypeVar("Config")

PRESETS = Path(__file__).parent / "presets"
STAGES = ("train", "search", "retrain")
"""Commands whose options a preset may hold in a table of their own."""


def option(default: object, text: str) -> object:
    """A dataclass field that becomes a command-line option with this help text."""
    return dataclasses.field(default=default, metadata={"help": text})


def config_options(*configs: type) -> Callable:
    """Decorate a click command with one option for every field of the configs, and with --preset.

    An option that is not given is passed as None, so that a preset or the dataclass can decide.
    """

    def decorate(command: Callable) -> Callable:
        preset = click.option(
            "--preset", help=f"TOML file with any of these options as name = value, or one of: {', '.join(presets())}."
        )
        command = preset(command)
        for config in reversed(configs):
            hints = get_type_hints(config)
            for field in reversed(dataclasses.fields(config)):
                command = _option_of(field, hints[field.name])(command)
        return command

    return decorate


def _option_of(field: dataclasses.Field, kind: type) -> Callable:
    flag = field.name.replace("_", "-")
    required = field.default is dataclasses.MISSING
    stated = required or field.default in ("", None) or "[default:" in field.metadata["help"]
    default = "" if stated else f"  [default: {field.default}]"
    text = field.metadata["help"] + default
    if kind is bool:
        return click.option(f"--{flag}/--no-{flag}", field.name, default=None, help=text)
    return click.option(f"--{flag}", field.name, type=kind, default=None, help=text)


def build_configs(
    given: Mapping[str, object],
    preset: str | None,
    *configs: type[Config],
    stage: str,
    defaults: Mapping[str, object] | None = None,
) -> list[Config]:
    """The configs that the command line (`given`, None = not given) and a preset ask for; the command line wins.

    A preset is the name of one of `presets`, or a TOML file: its table [train], [search] or [retrain] is for that
    `stage` only, what stands above the tables is for any. `defaults` stand in for the dataclasses' own where neither
    says anything. Raises ValueError for a preset that is not TOML, or has an unknown name or a value of the wrong type.
    """
    fields = {field.name: hint for config in configs for field, hint in _fields(config)}
    values = {**(defaults or {}), **(_read_preset(preset, stage, fields) if preset else {})}
    values.update({name: value for name, value in given.items() if value is not None and name in fields})
    built = []
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


def _fields(config: type) -> list[tuple[dataclasses.Field, type]]:
    hints = get_type_hints(config)
    return [(field, hints[field.name]) for field in dataclasses.fields(config)]


def presets() -> list[str]:
    """Names of the presets that come with the package."""
    return sorted(file.name.removesuffix(".toml") for file in PRESETS.iterdir() if file.name.endswith(".toml"))


def _read_preset(preset: str, stage: str, fields: dict[str, type]) -> dict[str, object]:
    path = PRESETS / f"{preset}.toml" if preset in presets() else Path(preset)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"preset {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"preset {path} is not TOML: {error}") from None
    tables = {name: values.pop(name) for name in STAGES if isinstance(values.get(name), dict)}
    values.update(tables.get(stage, {}))
    for name, value in values.items():
        if name not in fields:
            raise ValueError(f"preset {path}: unknown option {name!r}; known: {', '.join(fields)}")
        kind = fields[name]
        if kind is float and type(value) is int:
            values[name] = float(value)
        elif type(value) is not kind:
            raise ValueError(f"preset {path}: {name} must be a {kind.__name__}, got {value!r}")
    return values
