"""Activation checkpointing: a block keeps what it begins with, and computes the rest again in the backward pass.

T. Chen et al., Training deep nets with sublinear memory cost (2016): a third more time, a fraction of
the memory.

Shape legend: B images, C channels, H height, W width.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from dualfair.supernet.trunk import SearchedBlock, Trunk


def finish_recomputing(
    trunk: Trunk,
    begun: tuple[Tensor, Tensor],
    blocks: Sequence[Sequence[int]],
    context: Callable[[], AbstractContextManager],
) -> Tensor:
    """As `Trunk.finish`, to the bit; forward passes run inside `context()`, the second ones too.

    The second pass moves no running statistics.
    """
    x, carried = begun
    for block, codes in zip(trunk.blocks, blocks, strict=True):
        x = checkpoint(
            block,
            x,
            codes,
            carried,
            use_reentrant=False,
            context_fn=lambda block=block: (nullcontext(), _again(block, context)),
        )
        carried = None
    return trunk.tail(x)


@contextmanager
def _again(block: SearchedBlock, context: Callable[[], AbstractContextManager]) -> Iterator[None]:
    """A forward pass of a block that was there before: running statistics stay as they are."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    _set_momenta(norms, [0.0] * len(norms))
    try:
        with context():
            yield
    finally:
        _set_momenta(norms, momenta)


def _set_momenta(norms: Sequence[nn.Module], momenta: Sequence[float | None]) -> None:
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
