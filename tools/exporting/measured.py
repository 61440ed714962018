"""The numbers of the very network that is exported, taken on the faces of its run where these are at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dualfair.evaluation.protocol import Scores
from dualfair.runs.protocol import ProtocolOptions
from dualfair.runs.records.training import SPLITS, TrainConfig

RESAMPLES = 1000

Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class SplitScores:
    """Scores on the people of a split: `people` by group, and by measure the ends of 95 % intervals over people as
    probes. Both are None where they were not recorded, an end where it is undefined."""

    scores: Scores
    people: Mapping[str, int] | None = None
    intervals: Mapping[str, Ends] | None = None


def measure(network, run: Path, config: TrainConfig, protocol_options: ProtocolOptions) -> dict[str, SplitScores]:
    """The scores on validation and test people of a run, with the people of every group and bootstrap intervals.

    Embeddings are those of `dualfair evaluate`; `protocol_options` says how error and disparity are taken. Raises
    ValueError where the faces are not at hand, or not those that the run was trained on.
    """
    import numpy as np

    from dualfair.evaluation.objectives import OBJECTIVES, EmbeddedFaces
    from dualfair.evaluation.protocol import evaluate_faces
    from dualfair.evaluation.scoring.embedding import embed
    from dualfair.evaluation.scoring.scorer import interval_columns
    from dualfair.runs.trained_run import faces_of, open_setting

    setting = open_setting(config.options, faces_of(run, config))
    if setting.faces_fingerprint != config.faces_fingerprint:
        raise ValueError(f"the faces are not those that {run} was trained on")
    protocol, by_split = protocol_options.protocol(), {}
    objectives = {"error": OBJECTIVES["error"], "disparity": protocol.disparity}
    for split in SPLITS:
        faces = setting.splits[split]
        embedded = EmbeddedFaces(embed(network, faces), faces.identities, faces.groups, protocol.seed)
        ends = interval_columns(embedded, objectives.values(), RESAMPLES)
        first = np.unique(faces.identities, return_index=True)[1]
        names, counts = np.unique(faces.groups[first], return_counts=True)
        by_split[split] = SplitScores(
            evaluate_faces(embedded, protocol),
            dict(zip(names.tolist(), counts.tolist(), strict=True)),
            {name: (ends[f"{of.column} low"], ends[f"{of.column} high"]) for name, of in objectives.items()},
        )
    return by_split
