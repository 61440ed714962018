"""The gradients of one training step: along every path, with the beginning that all paths share taken once.

Shape legend: B images, P paths, D embedding.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor

from dualfair.supernet.genotype import Genotype
from dualfair.supernet.network import Network, Supernet
from dualfair.supernet.training.optimisation import group_of
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.recomputing import finish_recomputing
from dualfair.supernet.training.statistics import StepStatistics


def accumulate(
    network: Supernet | Network,
    images: Tensor,
    paths: Sequence[Genotype],
    loss_along: Callable[[Genotype, Tensor], tuple[Tensor, Tensor]],
    statistics: StepStatistics,
    context: Callable[[], AbstractContextManager] = nullcontext,
    loss_scale: float = 1.0,
    recompute: bool = False,
) -> tuple[Tensor, Tensor]:
    """Add the gradients of the loss along every path to `.grad`, times `loss_scale`; returns losses and mean embedding
    norms, (P,) each.

    `loss_along(path, features)` gives the loss and the embedding (B, D) behind the trunk's features. Forward passes run
    inside `context()`, and `statistics` hears of them. Stem and first shortcut run forward once, and backward once with
    the paths' gradients added up: exact, because differentiation is linear. With `recompute` blocks run forward again
    in the backward pass (`recomputing`).
    """
    trunk = network.trunk
    finish = partial(finish_recomputing, trunk, context=context) if recompute else trunk.finish
    statistics.use(statistics.stages_of(None))
    with context():
        begun = trunk.begin(images)
    # Several paths part here, and their gradients meet in leaves.
    single_path = len(paths) == 1
    leaves = begun if single_path else tuple(tensor.detach().requires_grad_() for tensor in begun)
    losses, norms = [], []
    for path in paths:
        statistics.use(statistics.stages_of(path))
        with context():
            loss, embedding = loss_along(path, finish(leaves, path.blocks))
        (loss_scale * loss).backward()
        losses.append(loss.detach())
        norms.append(embedding.detach().norm(dim=1).mean())
    if not single_path:
        # No path need use all that it begins with: a block's join may leave out what was carried.
        used = [(tensor, leaf.grad) for tensor, leaf in zip(begun, leaves, strict=True) if leaf.grad is not None]
        if used:
            torch.autograd.backward(*zip(*used, strict=True))
    return torch.stack(losses), torch.stack(norms)


def average_shared(trunk: Sequence[Tensor], heads: Mapping[str, Sequence[Tensor]], paths: Sequence[Genotype]) -> None:
    """Turn the sums of gradients into means over the paths that used a weight: of the trunk, and of every head.

    The weights of the searched operations are not among them: an operation is one path's own.
    """
    uses = Counter(path.head for path in paths)
    for weights, count in ((trunk, len(paths)), *((head_weights, uses[head]) for head, head_weights in heads.items())):
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if gradients and count > 1:
            torch._foreach_div_(gradients, count)


def add_over_ranks(
    network: Supernet | Network, paths: Sequence[Genotype], numbers: Tensor, processes: ProcessGroup
) -> Tensor:
    """Add the gradients of all ranks up, with some `numbers` (n,), in one message; returns the numbers' sums (n,).

    `paths` are those of all ranks. A weight on any of them has a gradient everywhere behind this, any other has none.
    """
    weights = [weight for weight in weights_along(network, paths) if weight.requires_grad]
    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    gradients = [weight.grad for weight in weights]
    sums = processes.add(torch.cat([numbers.to(gradients[0].dtype), *(gradient.flatten() for gradient in gradients)]))
    parts = sums[len(numbers) :].split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [part.view(g.shape) for part, g in zip(parts, gradients, strict=True)])
    return sums[: len(numbers)]


def weights_along(network: Supernet | Network, paths: Sequence[Genotype]) -> list[Tensor]:
    """The weights that some path uses, in the network's order."""
    used = {
        id(weight)
        for path in paths
        for block, codes in zip(network.trunk.blocks, path.blocks, strict=True)
        for position, code in enumerate(codes)
        for weight in block.operation(position, code).parameters()
    }
    used |= {id(weight) for path in paths for weight in network.heads[path.head].parameters()}
    return [weight for name, weight in network.named_parameters() if group_of(name) == "trunk" or id(weight) in used]
