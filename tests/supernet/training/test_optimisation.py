import numpy as np
import pytest
import torch

from dualfair.supernet.training.optimisation import classification_loss
from dualfair.supernet.training.recipe import Recipe


def test_focal_loss_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([0, 1])
    p = torch.tensor([1 / (1 + np.exp(-2.0)), 0.5])
    focal = classification_loss(logits, labels, Recipe(loss="focal", focal_gamma=2.0))
    assert focal.item() == pytest.approx(((1 - p) ** 2 * -p.log()).mean().item(), rel=1e-5)
    plain = classification_loss(logits, labels, Recipe())
    assert plain.item() == pytest.approx((-p.log()).mean().item(), rel=1e-5)
