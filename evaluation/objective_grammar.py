"""How a list of objectives is typed: `error,tar(far=0.01),macs`, and `module:object` for one's own."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import numpy as np

from dualfair.evaluation.objectives import OBJECTIVES, Objective, disparity_objective

NUMBER = range(2, 5)
"""How many objectives a search can have: 2, 3 or 4."""

_COMMA = re.compile(r",(?![^(]*\))")
"""A comma that is in no brackets."""
_SHAPE = re.compile(r"([^()]+?)\s*(?:\(([^()]*)\))?")
_FORMS = (
    "an objective of your own is f(faces), of dualfair.evaluation.objectives.EmbeddedFaces, or a disparity f(values, "
    "groups); further arguments need defaults"
)

LookUp = Callable[[str, Mapping[str, object], str], object]
"""A name, a table, what its rows are: the row, or what `module:object` names; ValueError where there is neither."""


def _built_in(name: str, table: Mapping[str, object], kind: str) -> object:
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}; choose from {', '.join(table)}")
    return table[name]


def parse_objectives(text: str, look_up: LookUp = _built_in) -> tuple[Objective, ...]:
    """The objectives that a text lists, two to four, such as `error,rank_disparity(gallery=200),macs`.

    `look_up` finds what a name means (`runs.plug_in.look_up` also those of the user's own); without it there are those
    of OBJECTIVES. Raises ValueError, in one line, for anything that cannot be searched on.

    >>> [objective.column for objective in parse_objectives("error, tar(far=1e-2),params")]
    ['error', '1 - tar(far=0.01)', 'params']
    """
    parts = [part.strip() for part in _COMMA.split(text)]
    if len(parts) not in NUMBER:
        raise ValueError(f"objectives must be {NUMBER[0]} to {NUMBER[-1]}, joined by ',', got {len(parts)}: {text!r}")
    objectives = tuple(parse_objective(part, look_up) for part in parts)
    settings = [(each.name.partition("(")[0], each.options | each.arguments) for each in objectives]
    if twice := next((name for name, options in settings if settings.count((name, options)) > 1), None):
        raise ValueError(f"objectives {text!r}: {twice} is named twice")
    if not any(objective.on_images for objective in objectives):
        raise ValueError(
            f"objectives {text!r}: none is measured on images, so nothing would be learnt from the supernet; add one "
            f"of {', '.join(name for name, row in OBJECTIVES.items() if row.on_images)}"
        )
    return objectives


def parse_objective(text: str, look_up: LookUp = _built_in) -> Objective:
    """One objective as it is typed. Raises ValueError, in one line, where it is none."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ValueError(f"objective {text!r}: expected a name, or name(argument=value)")
    name, written = shape.groups()
    row = look_up(name, OBJECTIVES, "objective")
    objective = row if name in OBJECTIVES else own_objective(name, row)
    options, arguments = objective.options, {}
    for part in written.split(",") if written and written.strip() else []:
        key, equals, value = (each.strip() for each in part.partition("="))
        if not (key and equals and value):
            raise ValueError(f"objective {text!r}: expected argument=value, got {part!r}")
        if key in arguments:
            raise ValueError(f"objective {text!r}: argument {key} is given twice")
        if key not in options:
            shown = ", ".join(f"{name}={default}" for name, default in options.items())
            raise ValueError(f"objective {name} has no argument {key!r}; it has {shown or 'none'}")
        arguments[key] = _parsed(name, key, value, options[key])
    return objective.with_arguments(arguments)


def own_objective(name: str, row: object) -> Objective:
    """The objective that a value of the user's own is: an `Objective`, f(faces), or a disparity f(values, groups).

    Raises ValueError for anything else.
    """
    if isinstance(row, Objective):
        return replace(row, name=name)
    try:
        if not callable(row):
            raise TypeError(f"it is a {type(row).__name__}")
        parameters = inspect.signature(row).parameters.values()
    except (TypeError, ValueError) as error:
        raise ValueError(f"objective {name!r}: {error}; {_FORMS}") from None
    needed = [
        each
        for each in parameters
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    positional = [each for each in needed if each.kind is not each.KEYWORD_ONLY]
    # Whoever names the first of two parameters `faces` has forgotten a default.
    of_faces = len(positional) == 2 and positional[0].name == "faces"
    if len(needed) != len(positional) or len(positional) not in (1, 2) or of_faces:
        raise ValueError(f"objective {name!r} takes {', '.join(each.name for each in needed) or 'nothing'}; {_FORMS}")
    return disparity_objective(name, row) if len(positional) == 2 else Objective(name=name, compute=row)


def _parsed(objective: str, name: str, text: str, default: object) -> object:
    """An argument of the type of its default. Raises ValueError for another."""
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"objective {objective}: {name} must be true or false, got {text!r}")
        return text.lower() == "true"
    if isinstance(default, str):
        return text
    kind = type(default)
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not np.isfinite(value):
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"objective {objective}: {name} must be {what} such as {default}, got {text!r}")
    return value


@cache
def default_objectives() -> tuple[Objective, ...]:
    """The published ones: error and rank disparity."""
    return parse_objectives("error,rank_disparity")
