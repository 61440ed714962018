"""Frozen dataclasses to JSON and back, by their type hints; what does not fit is told in one sentence.

A field's key in the file is its name, unless it is `keyed`. What a `FLAT` field holds stands beside the record's own
keys: options, or a training with its seed. Networks and trainings are written as text.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar, get_args, get_origin, get_type_hints

from dualfair.runs.config import shown, typed
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.files import read_json, write_json
from dualfair.supernet.genotype import Genotype

TEXTS = {Genotype: Genotype.parse, TrainingSpec: TrainingSpec.of_label}
"""Types that are written as text, and how they are parsed."""
FLAT = {"flat": True}
"""Metadata of a field whose own fields stand beside those of the record."""
RESTORE = "restore it, or use another directory"
"""What to do about a damaged file, unless something else is said."""
Value = TypeVar("Value")


def keyed(key: str, *, omitted: bool = False, **field: Any) -> Any:
    """A field under another key than its name; `omitted` leaves out a default value."""
    return dataclasses.field(metadata={"key": key, "omitted": omitted}, **field)


class Record:
    """What a file holds, as a frozen dataclass that prints itself."""

    def to_json(self) -> Any:
        """The record as JSON has it; numbers that JSON lacks are left to `supernet.files.write_json`."""
        return _encode_fields(self)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """The record that prints as `value`. Raises ValueError naming what is missing or has another type."""
        return _decode_fields(cls, value)

    @classmethod
    def read(cls, path: Path, remedy: str = RESTORE) -> Self:
        """The record in a file. Raises ValueError naming the file, what is wrong with it, and the `remedy`."""
        return read_whole(path, cls.from_json, remedy)

    def write(self, path: Path) -> None:
        """Write the record to a file, all of it or nothing."""
        write_json(path, self.to_json())


def read_whole(path: Path, parse: Callable[[object], Value], remedy: str = RESTORE) -> Value:
    """What `parse` makes of a JSON file. Raises ValueError naming the file, what is wrong with it, and the `remedy`."""
    try:
        return parse(read_json(path))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); {remedy}") from None


def encode(value: object) -> Any:
    """A value of records as JSON has it."""
    if isinstance(value, TrainingSpec):
        return value.label
    if type(value) in TEXTS:
        return str(value)
    if isinstance(value, Record):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return _encode_fields(value)
    if isinstance(value, Mapping):
        return {str(name): encode(inner) for name, inner in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(encode(inner) for inner in value)
    if isinstance(value, (list, tuple)):
        return [encode(inner) for inner in value]
    return value


def decode(kind: Any, value: object) -> Any:
    """The value of a type that is encoded as `value`. Raises ValueError where it is none.

    "inf", "-inf" and "nan" are numbers with a point too.
    """
    if kind in (object, Any):
        return value
    if kind in TEXTS:
        return TEXTS[kind](typed(str, value))
    if isinstance(kind, type) and issubclass(kind, Record):
        return kind.from_json(value)
    if dataclasses.is_dataclass(kind):
        return _decode_fields(kind, value)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None and type(None) in arguments else _first_that_fits(arguments, value)
    if origin in (tuple, list, frozenset, Sequence):
        return _sequence(list if origin is Sequence else origin, arguments, value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ValueError(f"must be names and values, got {shown(value)}")
        return {str(name): _decode_named(name, arguments[1], inner) for name, inner in value.items()}
    return float(value) if kind is float and value in ("inf", "-inf", "nan") else typed(kind, value)


def _encode_fields(record: Any) -> dict[str, object]:
    values: dict[str, object] = {}
    for field in dataclasses.fields(record):
        value, about = getattr(record, field.name), field.metadata
        if "flat" in about and isinstance(value, TrainingSpec):
            values |= {"training": value.label, "seed": value.seed}
        elif "flat" in about:
            values |= encode(value)
        elif not (about.get("omitted") and value == field.default):
            values[about.get("key", field.name)] = encode(value)
    return values


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode_fields(kind: Any, value: object) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"it holds no names and values, but {shown(value)}")
    if hasattr(kind, "upgraded"):
        value = kind.upgraded(value)
    values: dict[str, object] = {}
    for field in dataclasses.fields(kind):
        hint, about = _hints(kind)[field.name], field.metadata
        key, is_option = about.get("key", field.name), "help" in about
        if "flat" in about and hint is TrainingSpec:
            values[field.name] = TrainingSpec.of_label(*(_required(value, *of) for of in _LABEL_AND_SEED))
        elif "flat" in about:
            values[field.name] = decode(hint, value)
        elif key in value or (is_option and not about.get("omitted")) or _has_no_default(field):
            values[field.name] = _required(value, key, hint)
        # Options are numbers to compute with; results may be undefined or infinite.
        if is_option and hint is float and not math.isfinite(values.get(field.name, 0.0)):
            raise ValueError(f"{key} must be a finite number, got {value[key]}")
    return kind(**values)


_LABEL_AND_SEED = (("training", str), ("seed", int))


def _has_no_default(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _required(values: Mapping, key: str, kind: Any) -> Any:
    if key not in values:
        raise ValueError(f"{key!r} is missing in it")
    return _decode_named(key, kind, values[key])


def _decode_named(name: object, kind: Any, value: object) -> Any:
    try:
        return decode(kind, value)
    except ValueError as error:
        # Names of a mapping are whatever the file has.
        name = " ".join(str(name)[:80].split())
        raise ValueError(f"{name} {error}" if str(error).startswith("must ") else f"{name}: {error}") from None


def _sequence(origin: type, arguments: tuple, value: object) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"must be a list, got {shown(value)}")
    if origin is tuple and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise ValueError(f"must be {len(arguments)} values, got {len(value)}")
        return tuple(decode(kind, inner) for kind, inner in zip(arguments, value, strict=True))
    return origin(decode(arguments[0], inner) for inner in value)


def _first_that_fits(kinds: tuple, value: object) -> Any:
    *others, last = (kind for kind in kinds if kind is not type(None))
    for kind in others:
        try:
            return decode(kind, value)
        except ValueError:
            continue
    return decode(last, value)
