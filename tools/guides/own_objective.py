"""Objectives of your own: a function of embedded faces, or a value that says more about itself.

    dualfair check --objective own_objective:false_rejects --objective own_objective:tar_of_worst_group
    dualfair search --run run --objectives "own_objective:false_rejects(far=0.01),rank_disparity,macs"
    dualfair search --run run --objectives "error,own_objective:tar_of_worst_group(far=0.01)"

A function takes `EmbeddedFaces`: `embeddings` (images, D), `identities` and `groups` (images,), `ranks()` and
`take(rows)`, which are some of the images as faces of their own. It gives one number, less is better; NaN is undefined.
Whatever else it takes needs a default, a number or a text, and is set in brackets. What more of is better is an
`Objective` that says so; its column is then named and minimised as `1 - own_objective:tar_of_worst_group(far=0.01)`.
"""

import numpy as np

from dualfair.evaluation.metrics.verification import tar_of_all_pairs
from dualfair.evaluation.objectives import Objective


def false_rejects(faces, *, far=0.01):
    """Share of genuine pairs that are rejected where `far` of the impostor pairs are accepted: 1 - TAR."""
    return 1 - tar_of_all_pairs(faces.embeddings, faces.identities, far)


def _tar_of_worst_group(faces, *, far=0.01):
    """TAR of the group that fares worst, impostors being people of the same group; each with a threshold of its own."""
    groups = [faces.take(np.flatnonzero(faces.groups == group)) for group in np.unique(faces.groups)]
    return min(tar_of_all_pairs(group.embeddings, group.identities, far) for group in groups)


tar_of_worst_group = Objective(
    name="tar_of_worst_group",
    unit="share of genuine pairs",
    compute=_tar_of_worst_group,
    direction="maximise",
    best=1.0,
    worst=0.0,
)
