"""A grouped 1x1 convolution written without groups, as CUDA computes it."""

import pytest
import torch
from torch.nn import functional

from dualfair.supernet.convolution import GroupedPointwiseConv, NormalisedConv
from dualfair.supernet.operations import OPERATIONS, Place


@pytest.mark.parametrize(("groups", "outputs", "stride"), [(2, 6, 1), (3, 12, 2), (6, 6, 1)])
def test_a_convolution_without_groups_is_the_grouped_one_with_its_gradients(groups, outputs, stride):
    torch.manual_seed(0)
    layer = GroupedPointwiseConv(6, outputs, 1, stride, groups=groups, bias=False).double()
    images = torch.randn(4, 6, 5, 5, dtype=torch.float64, requires_grad=True)
    grouped = layer(images)
    whole = functional.conv2d(images, layer.without_groups(), stride=stride)
    assert torch.allclose(whole, grouped, rtol=1e-12)
    slope = torch.randn_like(grouped)
    expected, gradients = (torch.autograd.grad(each, (images, layer.weight), slope) for each in (grouped, whole))
    for gradient, other in zip(gradients, expected, strict=True):
        assert torch.allclose(gradient, other, rtol=1e-12)
    zeros = layer.without_groups() == 0
    assert zeros.sum() == outputs * 6 - layer.weight.numel()


def test_only_grouped_1x1_convolutions_are_written_so():
    made = {
        (name, groups): OPERATIONS[name].build(Place(8, 8, groups, 1, 5)) for name in OPERATIONS for groups in (1, 4)
    }
    assert all(isinstance(layer, NormalisedConv) for layer in made.values())
    written = {key for key, layer in made.items() if isinstance(layer.conv, GroupedPointwiseConv)}
    assert written == {(name, 4) for name in ("pre1", "raw1", "post1")}
