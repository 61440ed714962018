"""Embeddings that another system wrote. Needs no torch."""

from pathlib import Path

import numpy as np


def read_embeddings(path: Path) -> np.ndarray:
    """Embeddings (N, D) from an .npy file; nothing in the file is executed."""
    try:
        embeddings = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no .npy array of numbers ({error}); write one with numpy.save") from error
    numbers = isinstance(embeddings, np.ndarray) and embeddings.dtype.kind in "fiu"
    if not numbers or embeddings.ndim != 2 or not embeddings.size:
        shape = f"{embeddings.dtype} {embeddings.shape}" if isinstance(embeddings, np.ndarray) else "several arrays"
        raise ValueError(
            f"{path} must hold real numbers of shape (images, D), one image and one number or more, got {shape}"
        )
    return embeddings
