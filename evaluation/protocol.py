"""How embeddings are judged: one protocol for inherited and standalone networks, on any faces.

Shape legend: N images, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.disparity import DISPARITIES, measure, per_group
from evaluation.identification import COUNTS, error, galleries, ranks

LITERAL = DISPARITIES["rank_disparity"]
"""The published objective; it stands beside any other that is searched on."""


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocol:
    """What is measured on a set of faces.

    `count` is the variant of the rank. `disparity` is one of `DISPARITIES`, or a function f(ranks, groups) -> float.
    `gallery` is the number of identities that a disparity is taken at, averaged over `repeats` seeded galleries
    balanced by group; None means all against all.
    """

    disparity: Callable[[np.ndarray, np.ndarray], float] = LITERAL
    count: str = "images"
    gallery: int | None = None
    repeats: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count not in COUNTS:
            raise ValueError(f"count must be one of {', '.join(COUNTS)}, got {self.count!r}")
        if not callable(self.disparity):
            raise ValueError(f"a disparity is called with (values, groups), got {self.disparity!r}")
        if self.repeats < 1:
            raise ValueError(f"galleries must be 1 or more, got {self.repeats}")

    @property
    def disparity_name(self) -> str:
        """The disparity's name, with the variant where it is not the default one."""
        name = getattr(self.disparity, "name", None) or getattr(self.disparity, "__name__", "disparity")
        variant = "" if self.count == "images" else " by identities"
        return name + variant + (f" at gallery {self.gallery}" if self.gallery else "")


@dataclass(frozen=True)
class GroupVerdict:
    """One group's probes: how many there are, their error in [0, 1] and their mean rank (0 is best).

    Both are None for a group with too few probes.
    """

    group: str
    probes: int
    error: float | None
    mean_rank: float | None


@dataclass(frozen=True)
class Verdict:
    """Error in [0, 1] and disparity over all `probes`; `excluded` ones had no mate. And every group's numbers.

    The disparity is NaN where `undefined` says why. `literal` is the published measure, whatever the protocol asks
    for: the rank disparity by images, all against all.
    """

    error: float
    disparity: float
    probes: int
    excluded: int
    groups: tuple[GroupVerdict, ...]
    literal: float
    undefined: str = ""


def judge(embeddings: np.ndarray, identities: Sequence, groups: Sequence, protocol: EvaluationProtocol) -> Verdict:
    """The verdict on embeddings (N, D) of faces with these identities and groups (N,).

    Error and group numbers are taken all against all; the disparity as the protocol says.
    """
    identities, groups = np.asarray(identities), np.asarray(groups)
    found = ranks(embeddings, identities, protocol.count)
    by_images = found if protocol.count == COUNTS[0] else ranks(embeddings, identities)
    literal = measure(LITERAL, [(by_images, groups)])
    disparity = measure(protocol.disparity, _galleries(embeddings, identities, groups, protocol, found))
    names = np.unique(groups).tolist()
    own = groups[found.probes]
    errors = per_group(found.values > 0, own, names=names)
    mean_ranks = per_group(found.values, own, names=names)
    verdicts = tuple(
        GroupVerdict(str(name), errors[name].n, errors[name].value, mean_ranks[name].value) for name in names
    )
    return Verdict(
        error(found),
        disparity.value,
        len(found.values),
        found.excluded,
        verdicts,
        literal.value,
        disparity.undefined,
    )


def _galleries(embeddings, identities, groups, protocol: EvaluationProtocol, found) -> list[tuple]:
    """(ranks, groups of all images) of every gallery that the disparity is averaged over."""
    if protocol.gallery is None:
        return [(found, groups)]
    rng = np.random.default_rng(protocol.seed)
    return [
        (ranks(embeddings[images], identities[images], protocol.count), groups[images])
        for images in galleries(identities, groups, protocol.gallery, protocol.repeats, rng)
    ]
