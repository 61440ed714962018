"""BN statistics of one path: measured anew on a fixed sample, on copies, never in the supernet itself."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def calibrate_stage(stage: nn.Module, *inputs: object) -> Tensor:
    """Set the BN statistics of `stage` to those of one batch, leave it in evaluation mode, return its output.

    The output is computed with the batch's own statistics, so that the next stage sees what this one saw: calling
    this stage after stage equals calibrating the whole network on the same batch. `stage` is changed; hand over a
    copy that owns its statistics (`network.with_own_statistics`).
    """
    norms = [module for module in stage.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    # Only norms: layers that drop something at random would give statistics of what no face ever meets.
    stage.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        output = stage(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    stage.eval()
    return output
