"""Alignment: a face with five landmarks becomes an upright square with the landmarks at fixed places.

Coordinates are (x, y) in pixels with whole numbers at pixel centres, as OpenCV and the published template have them;
Pillow counts from the pixel's corner, so its numbers are larger by one half.
"""

import numpy as np
from PIL import Image

TEMPLATE_SIZE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""(5, 2) places in the 112 px square: the eye at smaller x, the other eye, nose, mouth corners in the same order."""
TEMPLATE.setflags(write=False)


def similarity(landmarks: np.ndarray) -> np.ndarray:
    """The similarity that brings landmarks (5, 2) closest to `TEMPLATE`, as a matrix (2, 3) float64.

    [[a, -b, u], [b, a, v]]: rotation, one scale and a shift, no reflection, with the least sum of squared distances
    in the template. With the points as complex numbers about their means, z for landmarks and w for the template,
    a + ib = sum(conj(z) w) / sum(|z|^2).

    Raises ValueError when landmarks are not (5, 2) finite numbers, when they coincide, or when no turn and scale
    brings them nearer to the template than a single point is.
    """
    landmarks = np.asarray(landmarks, dtype=np.float64)
    if landmarks.shape != TEMPLATE.shape:
        raise ValueError(f"landmarks must be five points (5, 2), got shape {landmarks.shape}")
    if not np.isfinite(landmarks).all() or np.abs(landmarks).max() > 1e9:
        raise ValueError(f"landmarks must be finite pixel coordinates, got {_shown(landmarks)}")
    points, goals = landmarks @ (1, 1j), TEMPLATE @ (1, 1j)
    z, w = points - points.mean(), goals - goals.mean()
    spread = np.linalg.norm(z)
    if spread <= 1e-9 * max(1.0, np.abs(landmarks).max()):
        raise ValueError(f"landmarks must not coincide, got {_shown(landmarks)}")
    turn = np.vdot(z, w) / spread**2
    if abs(turn) * spread <= 1e-9 * np.linalg.norm(w):
        raise ValueError(f"landmarks must resemble two eyes, a nose and two mouth corners, got {_shown(landmarks)}")
    shift = goals.mean() - turn * points.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def align(image: Image.Image, landmarks: np.ndarray, size: int) -> np.ndarray:
    """The aligned face, (size, size, 3) uint8 RGB, black where the RGB image does not reach.

    `landmarks` (5, 2) are pixels of `image`, upright as `decoded` gives it; they land on `TEMPLATE * size / 112`.
    Sampling is bilinear, fractions of a level are cut off. An image that shrinks to a half or less is first reduced by
    the largest whole factor that leaves it no smaller than the face is to be (the mean of each k x k block), so that
    bilinear sampling then reduces by less than two and fine structure does not alias. Raises ValueError for a size
    below 1 and as `similarity` does.
    """
    if size < 1:
        raise ValueError(f"aligned faces need a size of 1 px or more, got {size}")
    matrix = similarity(landmarks) * (size / TEMPLATE_SIZE)
    scale = np.hypot(matrix[0, 0], matrix[1, 0])
    # A landmark spread far beyond the image cannot ask for more than one pixel to remain.
    factor = int(min(max(1.0, 1 / scale), max(image.size)))
    inverse = np.linalg.inv(matrix[:, :2])
    offset = 0.5 - inverse @ (matrix[:, 2] + 0.5)
    rows = np.column_stack([inverse, offset]) / factor
    if factor > 1:
        image = image.reduce(factor)
    warped = image.transform((size, size), Image.Transform.AFFINE, tuple(rows.ravel()), Image.Resampling.BILINEAR)
    return np.array(warped)


def _shown(landmarks: np.ndarray) -> str:
    return " ".join(f"({x:g},{y:g})" for x, y in landmarks)
