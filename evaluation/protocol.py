"""How embeddings are judged: one protocol for inherited and standalone networks, on any faces.

Shape legend: N images, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dualfair.evaluation.metrics.disparity import DISPARITIES, measure, per_group
from dualfair.evaluation.metrics.identification import COUNTS, Ranks, error, galleries, halves, ranks

LITERAL = DISPARITIES["rank_disparity"]
"""The published objective; it stands beside any other that is searched on."""

ALONGSIDE = (
    LITERAL,
    *(DISPARITIES[name] for name in ("log_rank_disparity", "capped_rank_disparity", "accuracy_disparity")),
)
"""Differences between groups, which are finite on any faces: taken beside the protocol's disparity, so that it can be
said which of them these faces can tell networks apart by."""


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

    @property
    def measures(self) -> tuple[str, ...]:
        """What is measured on all faces and on both halves: "error", the disparity's name, and those of ALONGSIDE."""
        return tuple(dict.fromkeys(("error", self.disparity_name, *(disparity.name for disparity in ALONGSIDE))))


@dataclass(frozen=True)
class GroupScores:
    """One group's probes: how many there are, their error in [0, 1] and their mean rank (0 is best).

    Both are None for a group with too few probes.
    """

    group: str
    probes: int
    error: float | None
    mean_rank: float | None


@dataclass(frozen=True)
class Scores:
    """Error in [0, 1] and disparity over all `probes`; `excluded` ones had no mate. And every group's numbers.

    The disparity is NaN where `undefined` says why. `measures` holds every one of the protocol's measures by name, all
    but the protocol's own disparity by images and all against all; `halves` has the same of two disjoint halves of the
    people, each a gallery of its own. What is undefined there is NaN.
    """

    error: float
    disparity: float
    probes: int
    excluded: int
    groups: tuple[GroupScores, ...]
    measures: dict[str, float]
    halves: tuple[dict[str, float], ...]
    undefined: str = ""


def evaluate(embeddings: np.ndarray, identities: Sequence, groups: Sequence, protocol: EvaluationProtocol) -> Scores:
    """The verdict on embeddings (N, D) of faces with these identities and groups (N,).

    Error and group numbers are taken all against all; the disparity as the protocol says.
    """
    identities, groups = np.asarray(identities), np.asarray(groups)
    ranked = ranks(embeddings, identities, protocol.count)
    disparity = measure(protocol.disparity, _galleries(embeddings, identities, groups, protocol, ranked))
    names = np.unique(groups).tolist()
    probe_groups = groups[ranked.probes]
    errors = per_group(ranked.values > 0, probe_groups, names=names)
    mean_ranks = per_group(ranked.values, probe_groups, names=names)
    group_scores = tuple(
        GroupScores(str(name), errors[name].n, errors[name].value, mean_ranks[name].value) for name in names
    )
    return Scores(
        error(ranked),
        disparity.value,
        len(ranked.values),
        ranked.excluded,
        group_scores,
        _measures(embeddings, identities, groups, protocol, ranked, disparity.value),
        tuple(
            _of_half(embeddings[rows], identities[rows], groups[rows], protocol) for rows in halves(identities, groups)
        ),
        disparity.undefined,
    )


def _measures(embeddings, identities, groups, protocol: EvaluationProtocol, ranked: Ranks, disparity: float) -> dict:
    """All measures of faces whose `disparity` by the protocol is known."""
    by_images = ranked if protocol.count == COUNTS[0] else ranks(embeddings, identities)
    alongside = {row.name: measure(row, [(by_images, groups)]).value for row in ALONGSIDE}
    return {
        name: {"error": error(ranked), **alongside, protocol.disparity_name: disparity}[name]
        for name in protocol.measures
    }


def _of_half(embeddings, identities, groups, protocol: EvaluationProtocol) -> dict[str, float]:
    """All measures of half of the people; NaN where they are too few for a rank, or for the stated gallery."""
    people = [len(np.unique(identities[groups == group])) for group in np.unique(groups)]
    if sum(people) < 2 or len(people) < 2:
        return dict.fromkeys(protocol.measures, float("nan"))
    ranked = ranks(embeddings, identities, protocol.count)
    disparity = float("nan")
    if protocol.gallery is None or min(people) * len(people) >= protocol.gallery:
        disparity = measure(protocol.disparity, _galleries(embeddings, identities, groups, protocol, ranked)).value
    return _measures(embeddings, identities, groups, protocol, ranked, disparity)


def _galleries(embeddings, identities, groups, protocol: EvaluationProtocol, ranked: Ranks) -> list[tuple]:
    """(ranks, groups of all images) of every gallery that the disparity is averaged over."""
    if protocol.gallery is None:
        return [(ranked, groups)]
    rng = np.random.default_rng(protocol.seed)
    return [
        (ranks(embeddings[images], identities[images], protocol.count), groups[images])
        for images in galleries(identities, groups, protocol.gallery, protocol.repeats, rng)
    ]
