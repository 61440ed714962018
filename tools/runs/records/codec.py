"""Frozen dataclasses to JSON and back, by their type hints; what does not fit is told in one sentence.

A field's key in the file is its name, unless it is `keyed`. What a `flat` field holds stands beside the record's own
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
from dualfair.supernet.families.backbone import PREFIX, Backbone
from dualfair.supernet.files import read_json, write_json
from dualfair.supernet.genotype import Genotype

TEXTS = {Genotype: Genotype.parse, TrainingSpec: TrainingSpec.of_label, Backbone: Backbone.parse}
"""Types that are written as text, and how they are parsed."""
Value = TypeVar("Value")


class Damaged(ValueError):
    """A file does not hold what it should; the message says what, without the file's name."""


def keyed(key: str, *, omitted: bool = False, **field: Any) -> Any:
    """A field under another key than its name; `omitted` leaves out a default value."""
    return dataclasses.field(metadata={"key": key, "omitted": omitted}, **field)


FLAT = {"flat": True, "optional": False}
"""Metadata of a field whose own fields stand beside those of the record."""
FLAT_OPTIONAL = {"flat": True, "optional": True}
"""As FLAT, for options of which a file may lack some: these have their defaults."""


class Record:
    """What a file holds, as a frozen dataclass that prints itself."""

    def to_json(self) -> dict[str, object]:
        """The record as JSON has it; numbers that JSON lacks are left to `supernet.files.write_json`."""
        return encode(self)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """The record that prints as `value`. Raises Damaged naming what is missing or has another type."""
        return decode(cls, value)

    @classmethod
    def read(cls, path: Path, remedy: str = "restore it, or use another directory") -> Self:
        """The record in a file. Raises ValueError naming the file, what is wrong with it, and the `remedy`."""
        return read_whole(path, cls.from_json, remedy)

    def write(self, path: Path) -> None:
        """Write the record to a file, all of it or nothing."""
        write_json(path, self.to_json())


def read_whole(
    path: Path, parse: Callable[[object], Value], remedy: str = "restore it, or use another directory"
) -> Value:
    """What `parse` makes of a JSON file. Raises ValueError naming the file, what is wrong with it, and the `remedy`."""
    try:
        return parse(read_json(path))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); {remedy}") from None


def read_intact(path: Path, parse: Callable[[object], Value], damaged: Callable[[ValueError], object]) -> Value | None:
    """What `parse` makes of a JSON file; None where there is none, or it is damaged, which `damaged` is told of."""
    if not path.exists():
        return None
    try:
        return parse(read_json(path))
    except ValueError as error:
        damaged(error)
        return None


def names_and_values(value: object) -> dict:
    """The object in a file that has no record here. Raises Damaged for anything else."""
    if not isinstance(value, dict):
        raise Damaged(f"it holds no names and values, but {shown(value)}")
    return value


def encode(value: object) -> Any:
    """A value of records as JSON has it."""
    if isinstance(value, TrainingSpec):
        return value.label
    if type(value) in TEXTS:
        return str(value)
    if isinstance(value, Record) and type(value).to_json is not Record.to_json:
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, Mapping):
        return {str(name): encode(inner) for name, inner in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(encode(inner) for inner in value)
    if isinstance(value, (list, tuple)):
        return [encode(inner) for inner in value]
    return value


def _fields(record: Any) -> dict[str, object]:
    values: dict[str, object] = {}
    for field in dataclasses.fields(record):
        value, about = getattr(record, field.name), field.metadata
        if about.get("flat"):
            values |= (
                {"training": value.label, "seed": value.seed} if isinstance(value, TrainingSpec) else encode(value)
            )
        elif not (about.get("omitted") and value == field.default):
            values[about.get("key", field.name)] = encode(value)
    return values


def decode(kind: Any, value: object, *, defaults: bool = False) -> Any:
    """The value of a type that is encoded as `value`. Raises Damaged where it is none.

    Options that are missing are damage, unless `defaults` are to stand in for them.
    """
    if kind in (object, Any):
        return value
    if kind in TEXTS:
        return _parsed(kind, _of(str, value))
    if isinstance(kind, type) and issubclass(kind, Record) and kind.from_json.__func__ is not Record.from_json.__func__:
        return kind.from_json(value)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, defaults)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments, value)
    if origin in (tuple, list, frozenset, Sequence):
        return _sequence(list if origin is Sequence else origin, arguments, value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise Damaged(f"must be names and values, got {shown(value)}")
        return {str(name): _named(name, arguments[1], inner) for name, inner in value.items()}
    return _of(kind, value)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _dataclass(kind: type, value: object, defaults: bool) -> Any:
    value, values = names_and_values(value), {}
    for field in dataclasses.fields(kind):
        hint, about = _hints(kind)[field.name], field.metadata
        if about.get("flat"):
            inner = _training(value) if hint is TrainingSpec else None
            values[field.name] = inner or decode(hint, value, defaults=about["optional"])
            continue
        key = about.get("key", field.name)
        if key not in value:
            if not _may_be_missing(field, defaults):
                raise Damaged(f"{key!r} is missing in it")
            continue
        values[field.name] = _named(key, hint, value[key])
        # Options are numbers to compute with; results may be undefined or infinite.
        if "help" in about and hint is float and not math.isfinite(values[field.name]):
            raise Damaged(f"{key} must be a finite number, got {value[key]}")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise Damaged(str(error)) from None


def _may_be_missing(field: dataclasses.Field, defaults: bool) -> bool:
    has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return has_default and ("help" not in field.metadata or defaults)


def _training(value: Mapping) -> TrainingSpec:
    """The training whose label and seed stand among the keys of a record; older files call the label "genotype"."""
    key = next((key for key in ("training", "genotype") if key in value), "training")
    for name in (key, "seed"):
        if name not in value:
            raise Damaged(f"{name!r} is missing in it")
    try:
        return TrainingSpec.of_label(_named(key, str, value[key]), _named("seed", int, value["seed"]))
    except ValueError as error:
        raise Damaged(str(error)) from None


def _named(name: object, kind: Any, value: object) -> Any:
    try:
        return decode(kind, value)
    except Damaged as error:
        # Names of a mapping are whatever the file has.
        name = " ".join(str(name)[:80].split())
        raise Damaged(f"{name} {error}" if str(error).startswith("must ") else f"{name}: {error}") from None


def _sequence(origin: type, arguments: tuple, value: object) -> Any:
    if not isinstance(value, (list, tuple)):
        raise Damaged(f"must be a list, got {shown(value)}")
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise Damaged(f"must be {len(arguments)} values, got {len(value)}")
        return tuple(decode(kind, inner) for kind, inner in zip(arguments, value, strict=True))
    return origin(decode(arguments[0], inner) for inner in value)


def _union(kinds: tuple, value: object) -> Any:
    if value is None and type(None) in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    if set(kinds) == {Genotype, Backbone}:
        return _parsed(Backbone if isinstance(value, str) and value.startswith(PREFIX) else Genotype, _of(str, value))
    for kind in kinds[:-1]:
        try:
            return decode(kind, value)
        except Damaged:
            continue
    return decode(kinds[-1], value)


def _parsed(kind: type, text: str) -> Any:
    try:
        return TEXTS[kind](text)
    except ValueError as error:
        raise Damaged(str(error)) from None


def _of(kind: type, value: object) -> Any:
    """A plain value as `config.typed` has it; "inf", "-inf" and "nan" are numbers with a point too."""
    if kind is float and value in ("inf", "-inf", "nan"):
        return float(value)
    try:
        return typed(kind, value)
    except ValueError as error:
        raise Damaged(str(error)) from None
