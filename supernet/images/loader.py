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
    """Images too many for the device: while it works on a batch, the next one is read and sent by another thread."""

    def __init__(self, faces: ReadableFaces, device: torch.device) -> None:
        self.faces, self.device = faces, device
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="faces")
        self._requested: np.ndarray | None = None
        self._pending: Future | None = None

    def take(self, images: np.ndarray, upcoming: np.ndarray) -> Tensor:
        """Pixels of the images with these numbers, uint8 (B, S, S, 3) on the device; `upcoming` are asked for next."""
        if self._requested is None or not np.array_equal(self._requested, images):
            self._request(images)
        pixels = self._pending.result()
        self._request(upcoming)
        return pixels.to(self.device, non_blocking=True)

    def _request(self, images: np.ndarray) -> None:
        self._requested = images.copy()
        self._pending = self._reader.submit(self._read, self._requested)

    def _read(self, images: np.ndarray) -> Tensor:
        pixels = self.faces.read(images)
        # Pinned memory is sent while the device computes.
        return pixels.pin_memory() if self.device.type == "cuda" else pixels


def open_loader(faces: ReadableFaces, device: torch.device, sharers: int = 1) -> ResidentLoader | PrefetchingLoader:
    """The loader that fits: resident where the images take at most half of the device's free memory.

    `sharers` processes do the same on this device.
    """
    size = faces.read(np.arange(1)).nbytes * len(faces.labels)
    fits = size * sharers <= _SHARE_OF_FREE_MEMORY * free_memory(device)
    return ResidentLoader(faces, device) if fits else PrefetchingLoader(faces, device)
