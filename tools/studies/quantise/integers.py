"""Networks of 8 bits as ONNX files of integers, which onnxruntime computes with: made, and held beside the others.

Shape legend: N images, B batch, S side of the images in pixels, D embedding.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from dualfair.evaluation.scoring.embedding import embed, network_input
from dualfair.runs.records.codec import Record
from dualfair.runs.trained_run import weights_digest
from dualfair.studies.quantise.tuning import Tuning
from dualfair.supernet.files import write_bytes
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.network import Network
from dualfair.supernet.production import onnx_model
from dualfair.supernet.production.foreign_network import OnnxEmbedder
from dualfair.supernet.production.integers import made_of_what, to_integers

CALIBRATED = 512
"""Images of those that a network was tuned on, drawn by its seed, that say the ranges of what is between quantisers."""
_BATCH = 64
_TIMES = 30


@dataclass(frozen=True, kw_only=True)
class IntegerNetwork(Record):
    """A network as it was tuned, as an ONNX file of integers: cosines of its embeddings to those of the simulation over
    `images`; its size, and the milliseconds that an image takes on one thread, each beside the network's in 32 bits."""

    network: str
    data: str
    seed: int
    images: int
    cosine: float
    smallest_cosine: float
    bytes: int
    bytes_float32: int
    milliseconds: float
    milliseconds_float32: float


def write_integers(tuning: Tuning, network: Network, path: Path) -> None:
    """Write a tuned network as an ONNX file of integers, unless the file is there and made of its weights. Raises
    ValueError where it cannot be translated."""
    digest = weights_digest(network.state_dict())
    if path.is_file() and made_of_what(path.read_bytes()) == digest:
        return
    images = tuning.data.images(tuning.source.standalone)
    some = np.random.default_rng(tuning.seed).permutation(len(images))[:CALIBRATED]
    write_bytes(path, to_integers(network, _batches(images, np.sort(some)), digest))


def integer_embeddings(path: Path, images: FaceSet) -> np.ndarray:
    """Embeddings (N, D) of images by an ONNX file."""
    return embed(OnnxEmbedder(path, images.size).eval(), images)


def integer_network(tuning: Tuning, path: Path, embeddings: np.ndarray, simulated: np.ndarray) -> IntegerNetwork:
    """What an ONNX file of integers is beside the network in 32 bits, as ONNX, and beside the simulation; embeddings
    (N, D) are of the same images."""
    integers, float32 = path.read_bytes(), tuning.source.onnx
    cosines = (embeddings * simulated).sum(axis=1)
    taken, taken_float32 = _milliseconds([integers, float32], tuning.source.standalone.network.skeleton.image_size)
    return IntegerNetwork(
        network=tuning.source.name,
        data=tuning.data.name,
        seed=tuning.seed,
        images=len(cosines),
        cosine=float(cosines.mean()),
        smallest_cosine=float(cosines.min()),
        bytes=len(integers),
        bytes_float32=len(float32),
        milliseconds=taken,
        milliseconds_float32=taken_float32,
    )


def _batches(images: FaceSet, numbers: np.ndarray) -> Iterator[Tensor]:
    """Some of the images as network input, (B, 3, S, S)."""
    return (network_input(images, numbers[start : start + _BATCH], "cpu") for start in range(0, len(numbers), _BATCH))


def _milliseconds(models: Sequence[bytes], size: int) -> list[float]:
    """What an image takes each ONNX model on one thread: medians, the models in turn."""
    sessions, image = (
        [onnx_model.open_session(model, threads=1) for model in models],
        np.zeros((1, 3, size, size), "f4"),
    )
    taken: list[list[float]] = [[] for _ in models]
    for _ in range(_TIMES):
        for session, times in zip(sessions, taken, strict=True):
            begun = time.perf_counter()
            session.run(None, {onnx_model.INPUT: image})
            times.append(time.perf_counter() - begun)
    return [1000 * float(np.median(times)) for times in taken]
