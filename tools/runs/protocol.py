"""How networks are judged, as options: the same in the search, for standalone networks and in the ranking study."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from dualfair.runs.config import option
from dualfair.runs.plug_in import look_up

SCORER_VERSION = 3
"""Raised whenever the scorer's numbers change, so that older scores are not mixed with newer ones."""

FURTHER_OBJECTIVES = ("params", "macs")
"""What a search can minimise besides error and disparity."""


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions:
    """How the error and the disparity of a network are measured."""

    calibrate: int = option(512, "Training images on which BN statistics of a path are measured; 0 = inherited ones.")
    people: int = option(0, "Validation people that a subnet is scored on, alike of every group; 0 = all.")
    disparity: str = option("rank_disparity", "A disparity by name, or module:function of your own f(ranks, groups).")
    count: str = option("images", "A rank counts the images, or the identities, nearer than the nearest mate.")
    gallery: str = option("all", "Identities the disparity is taken at: all, or a number (mean over seeded galleries).")
    galleries: int = option(8, "Number of galleries of a stated size.")

    def protocol(self):
        """The evaluation protocol of these options. Raises ValueError naming the option at fault."""
        from dualfair.evaluation.metrics.disparity import DISPARITIES
        from dualfair.evaluation.protocol import EvaluationProtocol

        if self.gallery != "all" and not self.gallery.isdecimal():
            raise ValueError(f"gallery must be 'all' or a number of identities, got {self.gallery!r}")
        return EvaluationProtocol(
            disparity=look_up(self.disparity, DISPARITIES, "disparity"),
            count=self.count,
            gallery=None if self.gallery == "all" else int(self.gallery),
            repeats=self.galleries,
        )


def measurement(
    protocol_options: ProtocolOptions,
    objectives: Sequence[str],
    weights: str,
    faces: str,
    people: str,
    resamples: int = 0,
) -> str:
    """What a score was measured with, as text: equal text, comparable scores.

    `weights` and `faces` are digests; `people` says which of the faces (`people_in_words`). Scores with `resamples`
    have intervals.
    """
    return json.dumps(
        {
            **asdict(protocol_options),
            "objectives": list(objectives),
            "weights": weights,
            "faces": faces,
            "scored on": people,
            "scorer": SCORER_VERSION,
            **({"resamples": resamples} if resamples else {}),
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
