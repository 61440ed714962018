"""Activations that are computed again: the same training in less memory."""

import pytest
import torch

from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer

HEADS = ("arcface", "cosface", "magface")


def trained(tiny, faces, recompute, steps=3, **recipe):
    torch.manual_seed(0)
    space = dpn_space("dpn81", 3)
    network = Supernet(tiny, faces.class_count, HEADS)
    options = {"batch": 8, "epochs": 1.0, "recompute": recompute, **recipe}
    trainer = Trainer(network, faces, Recipe(**options), seed=0, space=space)
    losses = [progress.loss for progress in trainer.run(until=steps)]
    return losses, network.state_dict()


@pytest.mark.parametrize("recipe", [{}, {"accumulate": 2}, {"ema": 0.9}], ids=str)
def test_weights_and_running_statistics_are_those_without_it_to_the_bit(tiny, faces, recipe):
    (losses, kept), (again, computed) = (trained(tiny, faces, recompute, **recipe) for recompute in (False, True))
    assert losses == again
    assert all(torch.equal(kept[name], computed[name]) for name in kept)


def test_less_is_kept_for_the_backward_pass(tiny, faces):
    def kept(recompute):
        sizes = []

        def pack(tensor):
            sizes.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            trained(tiny, faces, recompute, steps=1)
        return sum(sizes)

    assert kept(True) < 0.5 * kept(False)


def test_the_momenta_of_norms_are_put_back(tiny, faces):
    torch.manual_seed(0)
    network = build("101:cosface", tiny, faces.class_count)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    list(Trainer(network, faces, Recipe(batch=8, epochs=1.0, recompute=True), seed=0).run(until=2))
    assert [norm.momentum for norm in norms] == before and len(norms) > 3


def test_a_step_goes_path_by_path(tiny, faces):
    network = build("101:cosface", tiny, faces.class_count)
    with pytest.raises(ValueError, match="--step graph cannot be: blocks are computed again"):
        Trainer(network, faces, Recipe(batch=8, recompute=True), seed=0, step="graph")


def test_a_backbone_has_no_blocks_to_compute_again(tiny, faces):
    network = build_backbone("timm.test_resnet:cosface", tiny, faces.class_count)
    with pytest.raises(ValueError, match=r"recompute is of searched blocks, and timm\.test_resnet:cosface has none"):
        Trainer(network, faces, Recipe(batch=8, recompute=True), seed=0)
