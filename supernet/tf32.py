"""TensorFloat-32, the shorter float32 of CUDA's tensor cores, switched in one place."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tensor_float32(*, products: bool, convolutions: bool) -> Iterator[None]:
    """Within, matrix products and convolutions of float32 on CUDA may be in TensorFloat-32, or not; then both are as
    they were before.

    Torch's older switches cannot be read where programs have used both kinds; these can.
    """
    switches = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch, allowed in zip(switches, (products, convolutions), strict=True):
            switch.fp32_precision = "tf32" if allowed else "ieee"
        yield
    finally:
        for switch, precision in zip(switches, before, strict=True):
            switch.fp32_precision = precision
