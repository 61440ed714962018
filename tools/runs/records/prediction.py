"""What a search with a predictor keeps of it: the trainings that objectives are predicted by, and how well."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from dualfair.evaluation.ranking_study import PredictedScore
from dualfair.runs.records.codec import Record
from dualfair.supernet.genotype import Genotype


@dataclass(frozen=True)
class ObjectiveTrainings(Record):
    """One objective of the trained networks, on the people searched on: `inherited` scores (n,), the `standalone` ones,
    means over seeds (n,), and how predictions rank them, each network left out. Empty, and `score` None, where a score
    is undefined or the same for all."""

    inherited: tuple[float, ...]
    standalone: tuple[float, ...]
    score: PredictedScore | None


@dataclass(frozen=True)
class Predictor(Record):
    """The `networks` (n,) that were trained `seeds` times each, and every objective on images of them."""

    networks: tuple[Genotype, ...]
    seeds: int
    objectives: Mapping[str, ObjectiveTrainings]

    @property
    def used(self) -> tuple[str, ...]:
        """The objectives that are predicted: those of which predictions rank better than inherited scores."""
        return tuple(name for name, of in self.objectives.items() if of.score and of.score.better)

    @property
    def digest(self) -> str:
        """What the predictions follow from, in few letters."""
        return hashlib.sha256(json.dumps(self.to_json()).encode()).hexdigest()[:16]
