"""What costs nothing to beat: raw pixels and an untrained network on the same faces.

Shape legend: N images, S side of the images in pixels.
"""

import numpy as np

from dualfair.evaluation.scoring.embedding import Faces


def pixel_embeddings(faces: Faces) -> np.ndarray:
    """Every image as its own embedding, float32 (N, S * S * 3): pixels less their mean over the image.

    Their cosines compare pictures as they are. Faces that raw pixels already tell apart say little about a network.
    """
    pixels = faces.read(np.arange(len(faces.identities))).numpy()
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)
    return flat - flat.mean(axis=1, keepdims=True)
