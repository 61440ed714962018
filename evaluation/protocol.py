"""How what networks answer is judged: one protocol for inherited and standalone networks, on any images.

Shape legend: N images, D embedding, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dualfair.evaluation.answers import ClassifiedImages, EmbeddedFaces, answered
from dualfair.evaluation.metrics.disparity import per_group
from dualfair.evaluation.metrics.identification import CountNearer, error
from dualfair.evaluation.objective_grammar import default_objectives, parse_objective
from dualfair.evaluation.objectives import OBJECTIVES, Objective, columns_of

if TYPE_CHECKING:
    from dualfair.supernet.images.image_set import ImageSet

LITERAL = "rank_disparity"
"""The published objective; it stands beside any other that is searched on."""

ALONGSIDE = (LITERAL, "log_rank_disparity", "capped_rank_disparity", "accuracy_disparity")
"""Differences between groups, which are finite on any faces: taken beside the protocol's objectives, so that it can be
said which of them these faces can tell networks apart by."""

FURTHER = (
    "rank_disparity(count=identities)",
    "rank_ratio",
    "rank_ratio(count=identities)",
    "accuracy_ratio",
    "error_ratio",
    "std",
    "ser",
    "std_acc",
    "worst_group_error",
)
"""What standalone networks are compared by too: the measures that the DPN study draws fronts of, and the worst group's
error. Ratios may be infinite, so that nothing is searched on them unasked."""


@dataclass(frozen=True)
class ObjectiveNames:
    """What the objectives of a protocol are called in tables: `minimised` are all of them, `measured` those on images.

    Recorded beside the protocol, so that readers need not import what the user's own are. `disparity` is the name of
    the protocol's disparity, whether or not it is searched on.
    """

    minimised: tuple[str, ...]
    measured: tuple[str, ...]
    disparity: str


PUBLISHED = ObjectiveNames(("error", LITERAL), ("error", LITERAL), LITERAL)
"""Those of the published search."""


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocol:
    """What is measured on a set of faces, for the `objectives` of a search; `seed` is that of galleries and people."""

    objectives: tuple[Objective, ...] = field(default_factory=default_objectives)
    seed: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """What the objectives are called as they are minimised."""
        return columns_of(self.objectives)

    @property
    def names(self) -> ObjectiveNames:
        """What is recorded of the objectives."""
        return ObjectiveNames(self.columns, columns_of(self.on_images), self.disparity_name)

    @property
    def on_images(self) -> tuple[Objective, ...]:
        """The objectives that are measured on images."""
        return tuple(objective for objective in self.objectives if objective.on_images)

    @property
    def costs(self) -> tuple[Objective, ...]:
        """The objectives that are computed from a network, or measured on the device."""
        return tuple(objective for objective in self.objectives if not objective.on_images)

    @property
    def disparity(self) -> Objective:
        """The first of the objectives that compares groups; rank disparity where there is none."""
        return next((each for each in self.objectives if each.compares_groups), OBJECTIVES[LITERAL])

    @property
    def disparity_name(self) -> str:
        """The name of the disparity, with its arguments."""
        return self.disparity.column

    @property
    def measured(self) -> tuple[Objective, ...]:
        """What is measured on all faces and on both halves: error, the objectives on images, and those of ALONGSIDE."""
        measured = (OBJECTIVES["error"], *self.on_images, *(OBJECTIVES[name] for name in ALONGSIDE))
        return tuple({objective.column: objective for objective in measured}.values())

    @property
    def measures(self) -> tuple[str, ...]:
        """What `measured` is called."""
        return columns_of(self.measured)

    def check(self, images: "ImageSet") -> None:
        """Raise ValueError, in one line and before anything is computed, for an objective that is not to be had of
        these images: of another kind, of a class that they do not have, or between groups where there is one only."""
        unanswered = answered(images, np.empty((len(images), 0)))
        for objective in self.on_images:
            objective.refuse(unanswered)
        compared = [each.name for each in self.objectives if each.compares_groups]
        if compared and len(images.group_names) < 2:
            raise ValueError(
                f"objective {compared[0]} compares groups, and these {len(images):,} images have one group only; "
                "import them with a column of groups, or take others, such as --objectives error,macs"
            )


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

    The disparity is NaN where `undefined` says why. `measures` holds every one of the protocol's measures by name, as
    they are minimised; `halves` has the same of two disjoint halves of the people, each a gallery of its own. What is
    undefined there is NaN.
    """

    error: float
    disparity: float
    probes: int
    excluded: int
    groups: tuple[GroupScores, ...]
    measures: dict[str, float]
    halves: tuple[dict[str, float], ...]
    undefined: str = ""


def evaluate(
    embeddings: np.ndarray,
    identities: Sequence,
    groups: Sequence,
    protocol: EvaluationProtocol,
    nearer: CountNearer | None = None,
) -> Scores:
    """The verdict on embeddings (N, D) of faces with these identities and groups (N,); `nearer` as `EmbeddedFaces`."""
    return evaluate_faces(EmbeddedFaces(embeddings, identities, groups, protocol.seed, nearer), protocol)


def evaluate_faces(faces: EmbeddedFaces | ClassifiedImages, protocol: EvaluationProtocol) -> Scores:
    """The verdict on embedded faces or classified images. Error and group numbers are taken all against all, the
    objectives as they say."""
    ranked = faces.ranks()
    names = np.unique(faces.groups).tolist()
    probe_groups = faces.groups[ranked.probes]
    errors = per_group(ranked.values > 0, probe_groups, names=names)
    mean_ranks = per_group(ranked.values, probe_groups, names=names)
    group_scores = tuple(
        GroupScores(str(name), errors[name].n, errors[name].value, mean_ranks[name].value) for name in names
    )
    measures = _measures(faces, protocol, protocol.objectives)
    disparity, undefined = measures.get(protocol.disparity_name, float("nan")), ""
    if np.isnan(disparity) and len(names) < 2:
        undefined = f"undefined (only one group, {names[0]!r}: there is nothing to compare)"
    elif np.isnan(disparity) and protocol.disparity.of_probes:
        undefined = protocol.disparity.disparity(faces).undefined
    elif np.isnan(disparity):
        undefined = f"undefined ({protocol.disparity_name} gives nan)"
    return Scores(
        error(ranked),
        disparity,
        len(ranked.values),
        ranked.excluded,
        group_scores,
        measures,
        tuple(_measures(half, protocol, ()) for half in faces.halves),
        undefined,
    )


def _measures(
    faces: EmbeddedFaces | ClassifiedImages, protocol: EvaluationProtocol, asked_for: Sequence[Objective]
) -> dict[str, float]:
    """All measures of faces, by name; NaN for one that they are too few for, unless it was `asked_for`."""
    values = {}
    for objective in protocol.measured:
        try:
            values[objective.column] = objective.value(faces)
        except ValueError:
            if objective in asked_for:
                raise
            values[objective.column] = float("nan")
    return values


def further_measures(images: EmbeddedFaces | ClassifiedImages) -> dict[str, float]:
    """The FURTHER measures of images, by name, without those that are not for such images; NaN where undefined."""
    values = {}
    for text in FURTHER:
        try:
            values[text] = parse_objective(text).value(images)
        except ValueError:
            continue
    return values
