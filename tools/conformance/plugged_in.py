"""All that a user plugs in, checked by its names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dualfair.conformance.functions import check_disparity, check_head
from dualfair.conformance.spaces import check_space
from dualfair.evaluation.metrics.disparity import DISPARITIES
from dualfair.runs.architectures import open_skeleton, open_space
from dualfair.runs.plug_in import look_up
from dualfair.supernet.heads import HEADS

FUNCTIONS: dict[str, tuple[Mapping[str, Callable], Callable[[Callable], list[str]]]] = {
    "disparity": (DISPARITIES, check_disparity),
    "head": (HEADS, check_head),
}
"""Plug-ins that are one function: by kind, the table of the built-in ones and the check."""


def check_plugged_in(
    *,
    space: str = "",
    skeleton: str = "",
    blocks: str = "",
    size: int = 0,
    heads: str = "",
    disparities: Sequence[str] = (),
) -> dict[str, list[str]]:
    """The faults of whatever is named, by what it is; an empty list where it conforms.

    A space is checked with its skeleton ("" = dpn81, nano), and only where heads and disparities are without fault.
    Raises ValueError where nothing is named, or a name leads nowhere.
    """
    if not (space or skeleton or heads or disparities):
        raise ValueError("nothing to check: give --space, --skeleton, --heads or --disparity, each as module:object")
    faults: dict[str, list[str]] = {}
    shape = open_skeleton(skeleton or "nano", blocks, size, heads)
    named = {"disparity": disparities, "head": [name.strip() for name in heads.split(",") if name.strip()]}
    for kind, names in named.items():
        table, check = FUNCTIONS[kind]
        for name in names:
            faults[f"{kind} {name}"] = check(look_up(name, table, kind))
    if (space or skeleton) and not any(faults.values()):
        opened = open_space(space or "dpn81", shape, heads)
        networks = f"space {space or 'dpn81'} ({opened.size:,} networks)"
        faults[f"{networks} on skeleton {shape.name}, {shape.image_size} px"] = check_space(opened, shape)
    return faults
