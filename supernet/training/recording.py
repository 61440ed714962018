"""A computation that is recorded once on CUDA and replayed without Python, and calls that run side by side there."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
Outputs = tuple[Tensor, ...]
Record = Callable[[Callable[[], Outputs]], tuple[Outputs, Callable[[], None]]]
"""Records a computation on tensors that stay where they are: its outputs, and what computes them anew."""

_WARM_UP = 3
"""Runs before the recorded one, in which libraries choose their kernels; as many as torch's own graphs take."""


def record_on_cuda(device: torch.device, compute: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
    """`compute` as a CUDA graph: its outputs, which every replay overwrites, and the replay.

    It must not wait for the device, nor depend on values of tensors in Python. What is drawn from torch's generator
    while libraries warm up does not show.
    """
    with torch.cuda.device(device):
        current, stream, graph = torch.cuda.current_stream(), torch.cuda.Stream(), torch.cuda.CUDAGraph()
        stream.wait_stream(current)
        with torch.cuda.stream(stream), torch.random.fork_rng(devices=[torch.cuda.current_device()]):
            for _ in range(_WARM_UP):
                compute()
        current.wait_stream(stream)
        # Other threads send images meanwhile, for which they ask for memory.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = compute()

    def replay() -> None:
        with torch.cuda.device(device):
            graph.replay()

    return outputs, replay


class SideBySide:
    """Runs up to `width` independent calls, on CUDA each on a stream of its own, elsewhere one after the other.

    Tensors must outlive what is done to them, as autograd keeps those of a forward pass.
    """

    def __init__(self, device: torch.device, width: int) -> None:
        on_streams = device.type == "cuda" and width > 1
        self.streams = [torch.cuda.Stream(device) for _ in range(width)] if on_streams else []

    def __call__(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        """The calls' results, in their order."""
        if not self.streams:
            return [call() for call in calls]
        current, results = torch.cuda.current_stream(self.streams[0].device), []
        streams = self.streams[: len(calls)]
        for stream, call in zip(streams, calls, strict=True):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                results.append(call())
        for stream in streams:
            current.wait_stream(stream)
        return results
