"""What the device could do at best: FLOPs of a piece of work, and the peak of a large matrix product."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from dualfair.benchmarks.setting import Setting

SIDES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
"""Sides of the square matrices that are tried."""


@dataclass(frozen=True)
class Roof:
    """The largest FLOP/s of a matrix product, and the side and dtype that reached it."""

    flops: float
    side: int
    dtype: str


def count_flops(work: Callable[[], object]) -> int:
    """Floating point operations of convolutions and matrix products in a call, two a multiply-accumulate."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def matmul_peak(setting: Setting, tries: int = 5) -> Roof:
    """The best of some products of square matrices, in the dtype that training computes in."""
    device = torch.device(setting.device)
    dtype = torch.bfloat16 if setting.bfloat16 else torch.float32
    best = Roof(0.0, 0, "")
    for side in SIDES[device.type]:
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        a @ b
        for _ in range(tries):
            setting.synchronise()
            start = time.perf_counter()
            a @ b
            setting.synchronise()
            flops = 2 * side**3 / (time.perf_counter() - start)
            if flops > best.flops:
                best = Roof(flops, side, str(dtype).removeprefix("torch."))
    return best
