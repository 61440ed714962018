"""Batch normalisation over the images of all ranks, so that training does not depend on how many there are.

Shape legend: B images of this rank, C channels, H height, W width.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from dualfair.supernet.training.process_group import ProcessGroup


class SynchronisedNorms(TorchFunctionMode):
    """Inside this context, `functional.batch_norm` in training takes its statistics over the images of all ranks.

    The network keeps its modules, weights and names. Every rank has to run the same layers in the same order.
    """

    def __init__(self, processes: ProcessGroup) -> None:
        super().__init__()
        self.processes = processes

    def __torch_function__(self, function: Callable, types: object, args: tuple = (), kwargs: dict | None = None):
        """Called by torch for every function of its interface."""
        kwargs = kwargs or {}
        if function is not functional.batch_norm:
            return function(*args, **kwargs)
        return self._batch_norm(*args, **kwargs)

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return functional.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
        if weight is None:
            # What is multiplied and added where nothing is learnt.
            weight = torch.ones(x.shape[1], dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
            bias = torch.zeros_like(weight)
        with torch.autocast(x.device.type, enabled=False):
            output, mean, variance, count = _Normalise.apply(x, weight, bias, eps, self.processes)
            if running_mean is not None:
                running_mean.lerp_(mean.to(running_mean), momentum)
                running_var.lerp_((variance * (count / (count - 1))).to(running_var), momentum)
        return output


class _Normalise(torch.autograd.Function):
    """y = w (x - mean) / sqrt(variance + eps) + b, with mean and variance over all ranks."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, eps: float, processes: ProcessGroup):
        """x (B, C) or (B, C, H, W) -> the same; and mean (C,), variance (C,), values a channel over all ranks."""
        kind = torch.promote_types(x.dtype, torch.float32)
        axes = [0, *range(2, x.ndim)]
        local_variance, local_mean = torch.var_mean(x.to(kind), axes, correction=0)
        local_count = local_mean.new_tensor([x.numel() // x.shape[1]])
        # Chan, Golub and LeVeque (1979): moments of the parts give those of the whole without cancellation.
        parts = processes.collect(torch.cat([local_mean, local_variance, local_count]))
        means, variances, counts = parts.split([x.shape[1], x.shape[1], 1], dim=1)
        count = counts.sum()
        mean = (means * counts).sum(0) / count
        variance = ((variances + (means - mean).square()) * counts).sum(0) / count
        scale = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, scale, count)
        ctx.processes = processes
        output = functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        ctx.mark_non_differentiable(mean, variance, count)
        return output, mean, variance, count

    @staticmethod
    def backward(ctx, grad: Tensor, *_: object):
        """Ioffe and Szegedy (2015), section 3, with its two sums over all ranks."""
        x, weight, mean, scale, count = ctx.saved_tensors
        axes = [0, *range(2, x.ndim)]
        wide = [1, -1, *[1] * (x.ndim - 2)]
        grad, centred = grad.to(mean.dtype), (x.to(mean.dtype) - mean.view(wide)) * scale.view(wide)
        sums = torch.stack([grad.sum(axes), (grad * centred).sum(axes)])
        # The weights' own gradients stay this rank's part: all gradients are added up behind the backward pass.
        grad_bias, grad_weight = sums
        over_all = ctx.processes.collect(sums).sum(0) / count
        inner = grad - over_all[0].view(wide) - centred * over_all[1].view(wide)
        grad_x = inner * (weight * scale).view(wide)
        return grad_x.to(x.dtype), grad_weight.to(weight.dtype), grad_bias.to(weight.dtype), None, None
