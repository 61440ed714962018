"""The numbers of the very network that is exported, taken on the faces of its run where these are at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

SPLITS = ("validation", "test")
RESAMPLES = 1000


def measure(network, run: Path, config: Mapping, protocol_options) -> dict[str, dict]:
    """The verdicts on validation and test people of a run, with the people of every group and 95 % intervals.

    Embeddings are those of `dualfair evaluate`; `protocol_options` says how error and disparity are taken. "people"
    counts by group; "intervals" are [low, high] by bootstrap over people as probes, None where undefined. Raises
    ValueError where the faces are not at hand, or not those that the run was trained on.
    """
    import numpy as np

    from dualfair.evaluation.protocol import evaluate
    from dualfair.evaluation.scoring.embedding import embed
    from dualfair.evaluation.scoring.scorer import interval_columns
    from dualfair.runs.trained_run import faces_of, open_setting

    setting = open_setting(config, faces_of(run, config))
    if setting.faces_fingerprint != config["faces_fingerprint"]:
        raise ValueError(f"the faces are not those that {run} was trained on")
    protocol, verdicts = protocol_options.protocol(), {}
    for split in SPLITS:
        faces = setting.splits[split]
        embeddings = embed(network, faces)
        about = embeddings, faces.identities, faces.groups, protocol
        ends = interval_columns(*about, RESAMPLES)
        first = np.unique(faces.identities, return_index=True)[1]
        names, counts = np.unique(faces.groups[first], return_counts=True)
        verdicts[split] = {
            **asdict(evaluate(*about)),
            "people": dict(zip(names.tolist(), counts.tolist(), strict=True)),
            "intervals": {
                name: [ends[f"{column} low"], ends[f"{column} high"]]
                for name, column in (("error", "error"), ("disparity", protocol.disparity_name))
            },
        }
    return verdicts
