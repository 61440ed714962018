"""How networks are judged, as options: the same in the search, for standalone networks and in the ranking study."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Self

from dualfair.runs.config import option
from dualfair.runs.plug_in import look_up

if TYPE_CHECKING:
    from dualfair.evaluation.protocol import EvaluationProtocol

SCORER_VERSION = 3
"""Raised whenever the scorer's numbers change, so that older scores are not mixed with newer ones."""


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions:
    """What a network is judged by, and how."""

    calibrate: int = option(512, "Training images on which BN statistics of a path are measured; 0 = inherited ones.")
    people: int = option(0, "Validation people that a subnet is scored on, alike of every group; 0 = all.")
    objectives: str = option(
        "error,rank_disparity",
        "Two to four to minimise, joined by ',': error, rank_disparity(gallery=200), tar(far=0.01), worst_group_error, "
        "params, macs, latency, any other disparity, or module:function of your own.",
    )

    def protocol(self) -> EvaluationProtocol:
        """The evaluation protocol of these options; what they name of the user's own is imported.

        Raises ValueError in one line for objectives that cannot be searched on.
        """
        from dualfair.evaluation.objective_grammar import parse_objectives
        from dualfair.evaluation.protocol import EvaluationProtocol

        return EvaluationProtocol(objectives=parse_objectives(self.objectives, look_up))

    def normalised(self) -> Self:
        """The options with their objectives written in the one way that is recorded. Raises as `protocol` does."""
        return replace(self, objectives=",".join(each.name for each in self.protocol().objectives))


def measurement(
    protocol_options: ProtocolOptions,
    weights: str,
    faces: str,
    people: str,
    resamples: int = 0,
    timed_on: str = "",
) -> str:
    """What a score was measured with, as text: equal text, comparable scores.

    `weights` and `faces` are digests; `people` says which of the faces (`people_in_words`). Scores with `resamples`
    have intervals; `timed_on` says on which device latencies were taken, where these are among them.
    """
    return json.dumps(
        {
            **asdict(protocol_options),
            "weights": weights,
            "faces": faces,
            "scored on": people,
            "scorer": SCORER_VERSION,
            **({"resamples": resamples} if resamples else {}),
            **({"timed on": timed_on} if timed_on else {}),
        }
    )


def measured_alike(text: str, known: Mapping[str, object]) -> bool:
    """Whether a `measurement` says the same as `known` of all that both name. Raises ValueError for another text."""
    settings = json.loads(text)
    if not isinstance(settings, dict):
        raise ValueError(f"a measurement is names and values, got {text[:40]!r}")
    return all(known[name] == settings[name] for name in known.keys() & settings.keys())


def people_in_words(identities: Iterable[str]) -> str:
    """How many people, and a digest of who they are: equal text for the same people, in any order."""
    names = sorted(set(map(str, identities)))
    return f"{len(names)} people {hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]}"
