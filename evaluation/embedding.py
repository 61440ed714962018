"""Faces in, embeddings out: mirrored test-time embeddings as numpy arrays. torch ends here.

Shape legend: N images, B batch, D embedding, S side of the images in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from supernet.faces.augmentation import mirror, to_input


class Faces(Protocol):
    """What is embedded: identities and groups (N,) of strings, and images by number as uint8 (B, S, S, 3)."""

    identities: np.ndarray
    groups: np.ndarray

    def read(self, images: np.ndarray) -> Tensor: ...


def batches(faces: Faces, batch: int, device: torch.device | str) -> Iterator[tuple[slice, Tensor]]:
    """All images in order as network input (B, 3, S, S), each batch with its place among the N images."""
    for start in range(0, len(faces.identities), batch):
        numbers = np.arange(start, min(start + batch, len(faces.identities)))
        yield slice(numbers[0], numbers[-1] + 1), network_input(faces, numbers, device)


def network_input(faces: Faces, numbers: np.ndarray, device: torch.device | str) -> Tensor:
    """Some images as network input, (B, 3, S, S) in [-1, 1], channels last."""
    return to_input(faces.read(numbers).to(device)).contiguous(memory_format=torch.channels_last)


def with_mirror(images: Tensor) -> Tensor:
    """A batch followed by its mirror images: (B, 3, S, S) -> (2B, 3, S, S), channels last."""
    return torch.cat([images, mirror(images)]).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def embed(network: torch.nn.Module, faces: Faces, *, batch: int = 128) -> np.ndarray:
    """Test-time embeddings f(x) + f(mirror of x), L2-normalised, of all faces: float32 (N, D).

    `network` maps images (B, 3, S, S) to embeddings (B, D); it must be in evaluation mode and is left unchanged.
    """
    if network.training:
        raise ValueError("embed() needs the network in evaluation mode; call network.eval() first")
    device = next(network.parameters()).device
    outputs = (network(with_mirror(images)).float().chunk(2) for _, images in batches(faces, batch, device))
    return np.concatenate([functional.normalize(plain + mirrored).cpu().numpy() for plain, mirrored in outputs])
