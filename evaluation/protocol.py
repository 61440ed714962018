"""How embeddings are judged: one protocol for inherited and standalone networks, on any faces.

Shape legend: N images, D embedding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.disparity import DISPARITIES, Disparity, per_group
from evaluation.identification import COUNTS, error, ranks, seeded_galleries


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocol:
    """What is measured on a set of faces.

    `count` is the variant of the rank. `disparity` is one of `DISPARITIES`, or a function f(ranks, groups) -> float.
    `gallery` is the number of identities that a disparity is taken at, averaged over `galleries` seeded galleries
    balanced by group; None means all against all.
    """

    disparity: Disparity | Callable[[np.ndarray, np.ndarray], float] = DISPARITIES["rank_disparity"]
    count: str = "images"
    gallery: int | None = None
    galleries: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count not in COUNTS:
            raise ValueError(f"unknown count {self.count!r}; choose from {', '.join(COUNTS)}")
        if not callable(self.disparity):
            raise ValueError(f"a disparity is called with (values, groups), got {self.disparity!r}")
        if self.gallery is not None and not isinstance(self.disparity, Disparity):
            raise ValueError("a stated gallery size needs a disparity with per-group values; use gallery all")
        if self.galleries < 1:
            raise ValueError(f"galleries must be 1 or more, got {self.galleries}")

    @property
    def disparity_name(self) -> str:
        """The disparity's name, with the variant where it is not the default one."""
        name = self.disparity.name if isinstance(self.disparity, Disparity) else self.disparity.__name__
        variant = "" if self.count == "images" else " by identities"
        return name + variant + (f" at gallery {self.gallery}" if self.gallery else "")


@dataclass(frozen=True)
class GroupVerdict:
    """One group's probes: how many there are, their error in [0, 1] and their mean rank (0 is best)."""

    group: str
    probes: int
    error: float
    mean_rank: float


@dataclass(frozen=True)
class Verdict:
    """Error in [0, 1] and disparity over all probes, `excluded` probes without a mate, and every group's numbers."""

    error: float
    disparity: float
    probes: int
    excluded: int
    groups: tuple[GroupVerdict, ...]


def judge(embeddings: np.ndarray, identities: Sequence, groups: Sequence, protocol: EvaluationProtocol) -> Verdict:
    """The verdict on embeddings (N, D) of faces with these identities and groups (N,).

    Error and group numbers are taken all against all; the disparity as the protocol says.
    """
    identities, groups = np.asarray(identities), np.asarray(groups)
    found = ranks(embeddings, identities, protocol.count)
    own = groups[found.probes]
    verdicts = tuple(
        GroupVerdict(
            str(name),
            int((own == name).sum()),
            float(np.mean(found.ranks[own == name] > 0)),
            float(np.mean(found.ranks[own == name])),
        )
        for name in np.unique(own)
    )
    if protocol.gallery is None:
        disparity = float(protocol.disparity(_values(found, protocol.disparity), own))
    else:
        disparity = _disparity_at_gallery(embeddings, identities, groups, protocol)
    return Verdict(error(found), disparity, len(found.ranks), found.excluded, verdicts)


def _values(found, disparity) -> np.ndarray:
    return found.correct if getattr(disparity, "values", "ranks") == "correct" else found.ranks.astype(float)


def _disparity_at_gallery(embeddings, identities, groups, protocol: EvaluationProtocol) -> float:
    """Group values averaged over galleries, then reduced: with two groups the signed difference is averaged first."""
    disparity = protocol.disparity
    tables = []
    for images in seeded_galleries(identities, groups, protocol.gallery, protocol.galleries, protocol.seed):
        found = ranks(embeddings[images], identities[images], protocol.count)
        tables.append(per_group(_values(found, disparity), groups[images][found.probes], disparity.statistic))
    return disparity.reduce({name: math.fsum(table[name] for table in tables) / len(tables) for name in tables[0]})
