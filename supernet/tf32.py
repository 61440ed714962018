"""TensorFloat-32, the shorter float32 of CUDA's tensor cores, switched in one place."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tensor_float32(*, products: bool, convolutions: bool) -> Iterator[None]:
    """Within, matrix products and convolutions of float32 on CUDA may be in TensorFloat-32, or not; then both are as
    they were before."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if products else "highest")
    torch.backends.cudnn.allow_tf32 = convolutions
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
