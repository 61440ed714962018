"""The long parts of an evaluation, shared out among the ranks of torchrun; every rank ends with all of the result.

Shape legend: N images, D embedding.
"""

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
    embeddings = torch.zeros(len(faces), network.heads[network.spec.head].neck.embedding)
    starts = processes.share(range(0, len(faces), _BATCH))
    if starts:
        rows = np.arange(starts[0], min(starts[-1] + _BATCH, len(faces)))
        embeddings[rows] = torch.from_numpy(embed(network, faces.take(rows), batch=_BATCH))
    return processes.add(embeddings).numpy()


def ranks_together(
    embeddings: np.ndarray,
    identities: np.ndarray,
    gallery: np.ndarray,
    probes: np.ndarray,
    count: str,
    processes: ProcessGroup,
) -> Ranks:
    """`evaluation.metrics.identification.split_ranks`; each rank takes some of the probes, on its device."""
    nearer = None
    if str(processes.device) != "cpu":
        from dualfair.evaluation.scoring.device_ranks import counter_on

        nearer = counter_on(processes.device)
    local = split_ranks(embeddings, identities, gallery, processes.share(probes), count, nearer=nearer)
    if processes.size == 1:
        return local
    import torch

    # A number for every image: 0 for a probe without a rank, and for what other ranks have.
    ranks_from_1 = torch.zeros(len(identities), dtype=torch.int64)
    ranks_from_1[local.probes] = torch.from_numpy(local.values.copy()) + 1
    ranks_from_1 = processes.add(ranks_from_1).numpy()
    ranked = np.flatnonzero(ranks_from_1)
    return Ranks(
        ranks_from_1[ranked] - 1,
        ranked,
        len(probes) - len(ranked),
        count,
        local.gallery_images,
        local.gallery_identities,
        local.images,
    )
