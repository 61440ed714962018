import numpy as np
import pytest
import torch

from dualfair.supernet.network import Supernet
from dualfair.supernet.training.optimisation import classification_loss, make_optimizer, make_scheduler
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


@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_the_multistep_schedule_takes_a_tenth_behind_every_milestone(warmup):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    recipe = Recipe(schedule="multistep", milestones="0.5,0.8", lr=1.0, warmup=warmup)
    scheduler, rates = make_scheduler(optimizer, recipe, 20), []
    for update in range(20):
        scheduler.step_update(update + 1)
        rates.append(optimizer.param_groups[0]["lr"])
    risen = [0.5, 1.0] if warmup else [1.0, 1.0]
    assert rates == pytest.approx([*risen, *[1.0] * 8, *[0.1] * 6, *[0.01] * 4])
