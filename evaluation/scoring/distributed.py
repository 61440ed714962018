"""The long parts of an evaluation, shared out among the ranks of torchrun; every rank ends with all of the result.

Shape legend: N images, D embedding.
"""

from __future__ import annotations

import numpy as np

from dualfair.evaluation.metrics.identification import Ranks, split_ranks
from dualfair.supernet.training.process_group import ProcessGroup

_BATCH = 128


def embed_together(network, faces, processes: ProcessGroup) -> np.ndarray:
    """The embeddings float32 (N, D) of all faces by `embedding.embed`; each rank embeds whole batches."""
    import torch

    from dualfair.evaluation.scoring.embedding import embed

    if processes.size == 1:
        return embed(network, faces, batch=_BATCH)
    embeddings = torch.zeros(len(faces), network.skeleton.embedding)
    mine = processes.share(range(0, len(faces), _BATCH))
    if mine:
        rows = np.arange(mine[0], min(mine[-1] + _BATCH, len(faces)))
        embeddings[rows] = torch.from_numpy(embed(network, faces.take(rows), batch=_BATCH))
    return processes.add(embeddings.to(processes.device)).cpu().numpy()


def ranks_together(
    embeddings: np.ndarray,
    identities: np.ndarray,
    gallery: np.ndarray,
    probes: np.ndarray,
    count: str,
    processes: ProcessGroup,
) -> Ranks:
    """`evaluation.metrics.identification.split_ranks`; each rank takes some of the probes."""
    if processes.size == 1:
        return split_ranks(embeddings, identities, gallery, probes, count)
    import torch

    mine = split_ranks(embeddings, identities, gallery, processes.share(probes), count)
    # A place for every image: 0 for a probe without a rank, and for what other ranks have.
    places = torch.zeros(len(identities), dtype=torch.int64)
    places[mine.probes] = torch.from_numpy(mine.values.copy()) + 1
    places = processes.add(places.to(processes.device)).cpu().numpy()
    found = np.flatnonzero(places)
    return Ranks(
        places[found] - 1,
        found,
        len(probes) - len(found),
        count,
        mine.gallery_images,
        mine.gallery_identities,
        mine.images,
    )
