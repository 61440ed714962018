"""All that a user plugs in, checked by its names."""

from collections.abc import Sequence

from dualfair.conformance.functions import check_disparity, check_head, check_sampler
from dualfair.conformance.spaces import check_space
from dualfair.evaluation.metrics.disparity import DISPARITIES
from dualfair.runs.architectures import open_skeleton, open_space
from dualfair.runs.config import look_up
from dualfair.supernet.heads import HEADS
from dualfair.supernet.training.sampling import SAMPLERS

CHECKS = {
    "disparity": (DISPARITIES, check_disparity),
    "head": (HEADS, check_head),
    "sampler": (SAMPLERS, check_sampler),
}
"""Plug-ins that are one function or class: by kind, the table of the built-in ones and the check."""


def check_plugged_in(
    *,
    space: str = "",
    skeleton: str = "",
    blocks: str = "",
    size: int = 0,
    heads: str = "",
    sampler: str = "",
    disparities: Sequence[str] = (),
) -> dict[str, list[str]]:
    """The faults of whatever is named, by what it is; an empty list where it conforms.

    A space is checked with its skeleton ("" = dpn81, nano), and only where all else is without fault. Raises ValueError
    where nothing is named, or a name leads nowhere.
    """
    if not (space or skeleton or heads or sampler or disparities):
        raise ValueError(
            "nothing to check: give --space, --skeleton, --heads, --sampler or --disparity, each as module:object"
        )
    shape = open_skeleton(skeleton or "nano", blocks, size, heads)
    named = {"disparity": disparities, "head": heads.split(","), "sampler": [sampler]}
    faults = {}
    for kind, names in named.items():
        table, check = CHECKS[kind]
        faults |= {f"{kind} {name}": check(look_up(name, table, kind)) for name in map(str.strip, names) if name}
    if (space or skeleton) and not any(faults.values()):
        opened = open_space(space or "dpn81", shape, heads)
        networks = f"space {space or 'dpn81'} ({opened.size:,} networks)"
        faults[f"{networks} on skeleton {shape.name}, {shape.image_size} px"] = check_space(opened, shape)
    return faults
