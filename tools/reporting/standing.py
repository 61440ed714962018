"""How the first choice fares on test people among all networks trained from scratch, and what it tied with before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

MEASURES = ("error", "disparity")
APART = 2.0
"""Standard errors of a difference from which on two networks are called apart."""


def standing(networks: Sequence[Mapping], genotype: str) -> dict:
    """The place of a network among trained `networks` (of `networks_of`, itself included) on test people.

    {"of": networks, "fewest" and "most" trainings a network, "error", "disparity": {"place", 1 the lowest; "shared":
    how many others have the very same mean; "better", "worse": genotypes whose mean is more than APART standard errors
    of the difference lower or higher; "unknown": how many cannot be compared, one training having no spread}}. Raises
    KeyError where the network is not among them.
    """
    by_name = {one["genotype"]: one for one in networks}
    own = by_name[genotype]["test"]
    others = {name: one["test"] for name, one in by_name.items() if name != genotype}
    seeds = [one["seeds"] for one in networks]
    return {
        "of": len(by_name),
        "fewest": min(seeds),
        "most": max(seeds),
        **{measure: _place(own[measure], {name: of[measure] for name, of in others.items()}) for measure in MEASURES},
    }


def _place(own: Mapping, others: Mapping[str, Mapping]) -> dict:
    means = [one["mean"] for one in others.values()]
    same = [math.isclose(mean, own["mean"], rel_tol=1e-9, abs_tol=1e-12) for mean in means]
    lower = sum(mean < own["mean"] and not equal for mean, equal in zip(means, same, strict=True))
    found: dict = {"place": 1 + lower, "shared": sum(same), "better": [], "worse": [], "unknown": 0}
    for name, other in others.items():
        if (apart := _apart(own, other)) is None:
            found["unknown"] += 1
        elif apart:
            found["worse" if other["mean"] > own["mean"] else "better"].append(name)
    return found


def _apart(one: Mapping, other: Mapping) -> bool | None:
    """Whether two means differ by more than APART standard errors of their difference; None without a spread."""
    if None in (one["se"], other["se"]):
        return None
    return abs(one["mean"] - other["mean"]) > APART * math.hypot(one["se"], other["se"])
