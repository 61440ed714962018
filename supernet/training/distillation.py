"""Learning from a teacher: embeddings of another network that a student's own are to agree with.

Shape legend: N images, B batch, T numbers of a teacher's embedding, D of a student's.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def taught_embeddings(teacher: np.ndarray, dimensions: int) -> np.ndarray:
    """A teacher's embeddings (N, T) of some images as unit embeddings that a student can have: float32 (N, D).

    With T > D those are their projections to the D leading singular directions, which keep the cosines between images
    best; with T <= D all cosines stay. A rotation, always the same, spreads them over all D numbers alike, since a neck
    that normalises does so number by number. Numbers that are never negative, such as features of a network without a
    neck behind a ReLU, cannot come nearer to that than a cosine of 0.7. Raises ValueError for numbers that are not
    finite, and where an image has an embedding of length 0.
    """
    if not np.isfinite(teacher).all():
        raise ValueError("the teacher has embeddings with numbers that are not finite")
    if not np.linalg.norm(teacher, axis=1).all():
        raise ValueError("the teacher has embeddings of length 0")
    unit = functional.normalize(torch.from_numpy(np.asarray(teacher, dtype=np.float64)))
    basis = torch.linalg.eigh(unit.T @ unit).eigenvectors.flip(1)[:, :dimensions]
    generator = torch.Generator().manual_seed(0)
    rotation, _ = torch.linalg.qr(torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64))
    return functional.normalize(unit @ basis @ rotation[: basis.shape[1]]).float().numpy()


def disagreement(embedding: Tensor, taught: Tensor, scale: float) -> Tensor:
    """s (1 - cos) of a student's embeddings with those that are taught, (B, D) each, mean over the batch.

    It has the unit of the margin logits, which are s cos.
    """
    vectors = embedding if embedding.dtype == torch.float64 else embedding.float()
    return scale * (1 - functional.cosine_similarity(vectors, taught)).mean()
