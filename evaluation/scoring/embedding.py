"""Faces in, embeddings out: mirrored test-time embeddings as numpy arrays. torch ends here.

Shape legend: N images, B batch, D embedding, S side of the images in pixels.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dualfair.supernet.images.augmentation import mirror, to_input
from dualfair.supernet.images.image_set import ImageSet
from dualfair.supernet.memory import Batch
from dualfair.supernet.tf32 import tensor_float32

MIRRORED = 2
"""Passes of an image through a network that embeds it: itself and its mirror image."""


@contextmanager
def computed_in(precision: str, device: torch.device) -> Iterator[None]:
    """Within, networks on a CUDA device compute in one of `options.PRECISIONS`; then torch's settings are as before.

    Matrix products stay float32 in the first two, as torch has them unless told otherwise. On a CPU nothing changes:
    everything is float32.
    """
    if device.type != "cuda":
        yield
        return
    switched = tensor_float32(products=False, convolutions=precision != "float32")
    with switched, torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        yield


class Faces(Protocol):
    """What networks are judged on: identities and groups (N,) of strings, and images by number as uint8 (B, S, S, 3).

    `task`, `mirrored` and `answer` as `supernet.images.image_set.ImageSet` has them.
    """

    task: str
    mirrored: bool
    identities: np.ndarray
    groups: np.ndarray

    def read(self, images: np.ndarray) -> Tensor: ...

    def answer(self, head: torch.nn.Module, embedding: Tensor) -> Tensor: ...


def over_batches(
    faces: Faces, batch: int | Batch, device: torch.device | str, work: Callable[[slice, Tensor], object]
) -> None:
    """Call `work(place, images)` on all images in order, as network input (B, 3, S, S) with its place among the N.

    Where memory runs out the batch is halved, and `work` is called again for the images that it failed on.
    """
    batch = batch if isinstance(batch, Batch) else Batch(batch)
    batch.over(
        len(faces.identities),
        lambda place: work(place, network_input(faces, np.arange(place.start, place.stop), device)),
    )


def network_input(faces: Faces, numbers: np.ndarray, device: torch.device | str) -> Tensor:
    """Some images as network input, (B, 3, S, S) in [-1, 1], channels last."""
    return to_input(faces.read(numbers).to(device)).contiguous(memory_format=torch.channels_last)


def with_mirror(images: Tensor) -> Tensor:
    """A batch followed by its mirror images: (B, 3, S, S) -> (2B, 3, S, S), channels last."""
    return torch.cat([images, mirror(images)]).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def embed(network: torch.nn.Module, faces: Faces, *, batch: int | Batch = 128) -> np.ndarray:
    """Test-time embeddings f(x) + f(mirror of x), L2-normalised, of all faces: float32 (N, D).

    `network` maps images (B, 3, S, S) to embeddings (B, D); it must be in evaluation mode and is left unchanged. Where
    memory runs out the batch is halved (`memory.Batch`).
    """
    if network.training:
        raise ValueError("embed() needs the network in evaluation mode; call network.eval() first")
    device = next(network.parameters()).device
    embeddings: dict[int, np.ndarray] = {}

    def work(place: slice, images: Tensor) -> None:
        embeddings[place.start] = summed(network(with_mirror(images)))

    over_batches(faces, batch, device, work)
    return np.concatenate(list(embeddings.values()))


def summed(outputs: Tensor) -> np.ndarray:
    """L2-normalised sums of the embeddings of images and of their mirror images, (2B, D) -> float32 (B, D)."""
    plain, mirrored = outputs.float().chunk(2)
    return functional.normalize(plain + mirrored).cpu().numpy()


class PixelMeans:
    """What tells classes apart without a network: the mean of some `training` images of every class."""

    _MOST = 5000

    def __init__(self, training: ImageSet) -> None:
        self.training = training

    def class_scores(self, embedding: Tensor) -> Tensor:
        """Cosines of images, as `pixel_embeddings` (N, S * S * 3), with the means of the classes: (N, K)."""
        places = np.random.default_rng(0).permutation(len(self.training))[: self._MOST]
        some = self.training.take(np.sort(places))
        members = functional.one_hot(torch.from_numpy(some.labels), self.training.class_count).float()
        means = functional.normalize(members.T @ functional.normalize(torch.from_numpy(pixel_embeddings(some))))
        return functional.normalize(embedding) @ means.T


def pixel_embeddings(faces: Faces) -> np.ndarray:
    """Every image as its own embedding, float32 (N, S * S * 3): pixels less their mean over the image.

    Their cosines compare pictures as they are. Faces that raw pixels already tell apart say little about a network.
    """
    pixels = faces.read(np.arange(len(faces.identities))).numpy()
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)
    return flat - flat.mean(axis=1, keepdims=True)
