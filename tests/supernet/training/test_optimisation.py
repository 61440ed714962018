import numpy as np
import pytest
import torch

from dualfair.supernet.network import Supernet
from dualfair.supernet.training.optimisation import classification_loss, make_optimizer
from dualfair.supernet.training.recipe import Recipe


def test_focal_loss_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([0, 1])
    p = torch.tensor([1 / (1 + np.exp(-2.0)), 0.5])
    focal = classification_loss(logits, labels, Recipe(loss="focal", focal_gamma=2.0))
    assert focal.item() == pytest.approx(((1 - p) ** 2 * -p.log()).mean().item(), rel=1e-5)
    plain = classification_loss(logits, labels, Recipe())
    assert plain.item() == pytest.approx((-p.log()).mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "fused"), [("sgd", True), ("adamw", True), ("adam", True), ("adagrad", False), ("rmsprop", False)]
)
def test_only_optimizers_with_a_kernel_on_every_device_are_fused(tiny, name, fused):
    network = Supernet(tiny, 4)
    optimizer = make_optimizer(network, Recipe(optimizer=name))
    assert {bool(group.get("fused")) for group in optimizer.param_groups} == {fused}
    sum(weight.sum() for weight in network.parameters()).backward()
    optimizer.step()
