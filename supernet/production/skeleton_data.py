"""Skeletons of the built-in families as plain data, and back: what a file of an exported network holds of one."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from dualfair.supernet.families.inverted_residual import Identity, InvertedResidual
from dualfair.supernet.families.mix import mix_skeleton
from dualfair.supernet.families.residual import residual_skeleton
from dualfair.supernet.operations import Operation
from dualfair.supernet.skeleton import NECKS, SKELETONS, Skeleton, skeleton_of

FAMILIES = {
    "dual_path": SKELETONS["nano"],
    "inverted_residual": SKELETONS["nas-bench-macro"],
    "mix": mix_skeleton(3, 16),
    "residual": residual_skeleton(4, 16),
}
"""A skeleton of every family that can be data; where none is named, it is the first."""

LATER = {"neck": NECKS[0], "crop_from": 0}
"""Fields of skeletons that older files lack, and what they are there."""

_FAMILY, _OPERATIONS = "family", "operations"
_LEFT_OUT = ("heads", "own_heads", *LATER)
_NAME = re.compile(r"k([1-9][0-9]?)e([1-9][0-9]?)")


def family_of(skeleton: Skeleton) -> str | None:
    """The name of a skeleton's family in FAMILIES; None for a family of the user's own."""
    return next((name for name, example in FAMILIES.items() if type(example) is type(skeleton)), None)


def numbers_of(skeleton: Skeleton) -> dict[str, object] | None:
    """A skeleton as plain data, which `skeleton_from` reads; None for a family or operations of the user's own, which
    cannot be data. Heads are left out: an embedding does not depend on those that could have been chosen."""
    family = family_of(skeleton)
    if family is None:
        return None
    numbers = _data_of(skeleton, family)
    try:
        same = skeleton_from(numbers).operations == skeleton.operations
    except ValueError:
        same = False
    return numbers if same else None


def skeleton_from(numbers: str | Mapping[str, object] | Skeleton) -> Skeleton:
    """The skeleton of that name, or of what `numbers_of` gave. Raises ValueError naming what is wrong."""
    if not isinstance(numbers, Mapping):
        return skeleton_of(numbers)
    family = numbers.get(_FAMILY, "dual_path")
    if not isinstance(family, str) or family not in FAMILIES:
        raise ValueError(f"skeleton: family must be one of {', '.join(FAMILIES)}, got {str(family)[:40]!r}")
    examples = {**_data_of(FAMILIES[family], family), **LATER}
    numbers = {**LATER, **numbers}
    wrong = sorted(str(name) for name in numbers.keys() ^ examples.keys())
    if wrong:
        raise ValueError(f"a skeleton as data has exactly {', '.join(examples)}; unknown or missing: {wrong[0][:40]!r}")
    for name, example in examples.items():
        if not _alike(numbers[name], example):
            raise ValueError(f"skeleton: {name} must be like {example!r}, got {str(numbers[name])[:40]!r}")
    values = {name: tuple(value) if isinstance(value, (list, tuple)) else value for name, value in numbers.items()}
    values.pop(_FAMILY, None)
    if _OPERATIONS in values:
        names = values[_OPERATIONS]
        if family == "inverted_residual":
            values[_OPERATIONS] = _operations_of(names, values["activation"])
        else:
            values[_OPERATIONS] = _operations_out_of(FAMILIES[family], names)
    return type(FAMILIES[family])(**values)


def later_data(skeleton: Skeleton) -> dict[str, str | int]:
    """What skeletons were not always asked, as data, which leaves out the usual answers."""
    return {name: getattr(skeleton, name) for name, usual in LATER.items() if getattr(skeleton, name) != usual}


def _data_of(skeleton: Skeleton, family: str) -> dict[str, object]:
    """Dual path skeletons, the first to be written, name neither their family nor the operations, which all share."""
    left_out = (*_LEFT_OUT, _OPERATIONS) if family == "dual_path" else _LEFT_OUT
    values = {field.name: getattr(skeleton, field.name) for field in dataclasses.fields(skeleton)}
    data = {name: _plain(value) for name, value in values.items() if name not in left_out} | later_data(skeleton)
    return data if family == "dual_path" else {_FAMILY: family, **data}


def _operations_of(names: Sequence[str], activation: str) -> tuple[Operation, ...]:
    """The operations of such names as `Identity` and `InvertedResidual` have."""
    if activation not in ("relu", "relu6"):
        raise ValueError(f"skeleton: activation must be relu or relu6, got {activation[:40]!r}")
    operations = []
    for name in names:
        sizes = _NAME.fullmatch(name)
        if name != Identity.name and sizes is None:
            raise ValueError(f"skeleton: operations must be like 'identity' or 'k3e6', got {name[:40]!r}")
        operations.append(InvertedResidual(*map(int, sizes.groups()), activation) if sizes else Identity())
    return tuple(operations)


def _operations_out_of(example: Skeleton, names: Sequence[str]) -> tuple[Operation, ...]:
    """The operations of these names out of those of a skeleton."""
    known = {operation.name: operation for operation in example.operations}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"skeleton: operations must be out of {', '.join(known)}, got {unknown[0][:40]!r}")
    return tuple(known[name] for name in names)


def _plain(value: object) -> object:
    if not isinstance(value, tuple):
        return value
    return [item if isinstance(item, int) else item.name for item in value]


def _alike(value: object, example: object) -> bool:
    """Whether a value has the type of its like; whole numbers must be 1 or more, or 0 where their like is."""
    if isinstance(example, list):
        return isinstance(value, (list, tuple)) and bool(value) and all(_alike(item, example[0]) for item in value)
    return type(value) is type(example) and (type(value) is not int or value >= min(example, 1))
