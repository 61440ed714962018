"""Training images on the device before the network asks for them.

Shape legend: N images, B batch, S side of the images in pixels.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dualfair.supernet.memory import free_memory

_SHARE_OF_FREE_MEMORY = 0.5
_CHUNK = 4096
_READERS = 4
"""Threads that read a batch: a disk serves several requests at once, and images may have to be resized."""


class ReadableFaces(Protocol):
    """Faces whose images are read by number as uint8 (B, S, S, 3)."""

    labels: np.ndarray

    def read(self, images: np.ndarray) -> Tensor: ...


class ResidentLoader:
    """All images on the device: a batch is picked there, and nothing is read or sent."""

    def __init__(self, faces: ReadableFaces, device: torch.device) -> None:
        total = len(faces.labels)
        first = faces.read(np.arange(1))
        self.pixels = torch.empty((total, *first.shape[1:]), dtype=torch.uint8, device=device)
        for start in range(0, total, _CHUNK):
            stop = min(start + _CHUNK, total)
            self.pixels[start:stop] = faces.read(np.arange(start, stop)).to(device)

    def take(self, images: np.ndarray, upcoming: np.ndarray) -> Tensor:
        """Pixels of the images with these numbers, uint8 (B, S, S, 3) on the device."""
        return self.pixels[torch.from_numpy(images).to(self.pixels.device)]


class PrefetchingLoader:
    """Images too many for the device: while it works on a batch, threads read the next one and send it.

    Each thread reads a part of the batch. To CUDA it travels on a stream of its own, beside what is computed.
    """

    def __init__(self, faces: ReadableFaces, device: torch.device) -> None:
        self.faces, self.device = faces, device
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="faces")
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._requested: np.ndarray | None = None
        self._pending: Future | None = None

    def take(self, images: np.ndarray, upcoming: np.ndarray) -> Tensor:
        """Pixels of the images with these numbers, uint8 (B, S, S, 3) on the device; `upcoming` are asked for next."""
        if self._requested is None or not np.array_equal(self._requested, images):
            self._request(images)
        pixels = self._pending.result()
        if self._stream:
            computing = torch.cuda.current_stream(self.device)
            # Before the next batch is asked for: there is nothing to wait for on the stream but this one.
            computing.wait_stream(self._stream)
            # The batch's memory is not given to a later one before it was computed with.
            pixels.record_stream(computing)
        self._request(upcoming)
        return pixels

    def _request(self, images: np.ndarray) -> None:
        self._requested = images.copy()
        self._pending = self._sender.submit(self._send, self._requested)

    def _send(self, images: np.ndarray) -> Tensor:
        parts = np.array_split(images, min(_READERS, len(images)))
        pixels = torch.cat(list(self._readers.map(self.faces.read, parts)))
        if not self._stream:
            return pixels
        with torch.cuda.stream(self._stream):
            # Pinned memory is sent while the device computes.
            return pixels.pin_memory().to(self.device, non_blocking=True)


def open_loader(faces: ReadableFaces, device: torch.device, sharers: int = 1) -> ResidentLoader | PrefetchingLoader:
    """The loader that fits: resident where the images take at most half of the device's free memory.

    `sharers` processes do the same on this device.
    """
    size = faces.read(np.arange(1)).nbytes * len(faces.labels)
    fits = size * sharers <= _SHARE_OF_FREE_MEMORY * free_memory(device)
    return ResidentLoader(faces, device) if fits else PrefetchingLoader(faces, device)
