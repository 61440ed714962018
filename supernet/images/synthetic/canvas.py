"""The canvas that generated faces are painted on, and the camera that photographs it. numpy only.

Lengths are in half image sides. Shape legend: N images, S side in pixels. Masks are (N, S, S), colours (3, N, S, S).
"""

from collections.abc import Mapping, Sequence

import numpy as np

Views = Mapping[str, np.ndarray]

HEAD_WIDTH, HEAD_HEIGHT = 0.62, 0.84
"""Half axes of the ellipsoid that gives every face its depth, for light and turned heads."""

SENSOR = 64
"""Side of the grid on which sensor noise is drawn; it is resampled, so noise is the same at every image size."""


class Canvas:
    """The coordinates of every pixel, in the picture, in the upright head and on its surface, and the paint so far."""

    def __init__(self, views: Views, size: int) -> None:
        line = ((np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1).astype(np.float32)
        self.pixel = 2.0 / size
        self.x, self.y = line[None, None, :], line[None, :, None]
        across, down = self.x - views["shift_x"], self.y - views["shift_y"]
        cos, sin = np.cos(views["roll"]) / views["scale"], np.sin(views["roll"]) / views["scale"]
        self.u = across * cos + down * sin
        self.v = down * cos - across * sin
        self.depth = np.sqrt(np.maximum(0, 1 - (self.u / HEAD_WIDTH) ** 2 - (self.v / HEAD_HEIGHT) ** 2))
        # Turning the head carries the near surface along and leaves the outline: features are drawn at (s, t).
        self.s = self.u - views["yaw"] * self.depth
        self.t = self.v - views["pitch"] * self.depth
        self.side = np.abs(self.s)
        self.paint = np.zeros((3, *self.u.shape), dtype=np.float32)
        self.figure = np.zeros_like(self.u)

    def inside(self, distance: np.ndarray, softness: float = 0.0) -> np.ndarray:
        """1 where a signed distance is negative, 0 where positive, with a ramp of at least a pixel between."""
        return np.clip(0.5 - distance / max(softness, 1.2 * self.pixel), 0, 1)

    def cover(self, mask: np.ndarray, colour: Sequence) -> None:
        """Lay a colour, three numbers or arrays, over the paint where the mask is 1."""
        for channel, value in zip(self.paint, colour, strict=True):
            channel += mask * (value - channel)

    def outline(self, mask: np.ndarray, colour: Sequence) -> None:
        """Cover, for parts that hide the background; `figure` keeps what they hide of it."""
        self.cover(mask, colour)
        self.figure += mask * (1 - self.figure)

    def darken(self, mask: np.ndarray, strength: float | np.ndarray, tint: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        """Multiply the paint by 1 - strength where the mask is 1; a tint above 1 takes more of that channel."""
        shade = mask * strength
        for channel, part in zip(self.paint, tint, strict=True):
            channel *= 1 - part * shade


def bump(*terms: np.ndarray) -> np.ndarray:
    """exp(-(a^2 + b^2 + ...) / 2): a soft spot or line."""
    return np.exp(-0.5 * sum(term * term for term in terms))


def develop(paint: np.ndarray, views: Views, noise: np.ndarray) -> np.ndarray:
    """Blur, contrast, sensor noise and rounding: (3, N, S, S) in [0, 1] -> uint8 (N, S, S, 3)."""
    size = paint.shape[-1]
    down, across = _blur(views["blur"] * views["blur_ratio"], size), _blur(views["blur"] / views["blur_ratio"], size)
    image = down @ paint @ across.transpose(0, 2, 1)
    image = 0.5 + views["contrast"] * (image - 0.5) + views["brightness"]
    resample = _resample(size, noise.shape[1])
    grain = resample @ np.ascontiguousarray(noise.transpose(3, 0, 1, 2)) @ resample.T
    # Half of the noise is common to the channels, so that it does not turn into mere colour.
    image += views["noise"] * (0.5 * grain + 0.5 * grain.mean(axis=0))
    return np.rint(np.clip(image, 0, 1).transpose(1, 2, 3, 0) * 255).astype(np.uint8)


def _blur(sigma: np.ndarray, size: int) -> np.ndarray:
    """Gaussian blur along one axis as row-normalised matrices (N, S, S); sigma (N, 1, 1) in half image sides."""
    place = np.arange(size, dtype=np.float32) * np.float32(2 / size)
    kernel = bump((place[None, :, None] - place[None, None, :]) / np.maximum(sigma, 0.3 / size))
    return kernel / kernel.sum(axis=2, keepdims=True)


def _resample(size: int, cells: int) -> np.ndarray:
    """The matrix (size, cells) that resamples a line of cells to pixels: linear between cells, mean over pixels."""
    pixels, grid = (np.arange(size) + 0.5) / size, (np.arange(cells) + 0.5) / cells
    kernel = np.maximum(0, 1 - np.abs(pixels[:, None] - grid) * min(size, cells))
    return (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
