import copy

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.production.folding import fold
from dualfair.supernet.production.timm_model import backbone_skeleton


def with_random_norms(network):
    """A network whose norms are far from the identity that fresh ones are."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.normal_(0, 0.5, generator=generator)
            module.running_var.uniform_(0.3, 3, generator=generator)
            module.bias.data.normal_(0, 0.5, generator=generator)
            if module.weight.requires_grad:
                module.weight.data.uniform_(-1.5, 1.5, generator=generator)
    return network.eval()


@pytest.mark.parametrize("genotype", ["101", "000-345-678", "687", "340-041-532", "252-166-404"])
def test_folded_networks_embed_as_before(tiny, images, genotype):
    network = with_random_norms(build(f"{genotype}:cosface", tiny))
    folded = copy.deepcopy(network)
    fold(folded)
    with torch.no_grad():
        before, after = network(images), folded(images)
    assert ((before - after).norm(dim=1) <= 1e-5 * before.norm(dim=1)).all()
    assert not torch.equal(before, after)


def test_norms_behind_a_convolution_are_folded_and_those_of_concatenated_paths_stay(tiny):
    result = fold(build("101-637-480:arcface", tiny).eval())
    assert result.folded == (
        "heads.arcface.neck.bn",
        "trunk.blocks.0.positions.1.pre3.bn",
        "trunk.blocks.0.positions.2.pre1.bn",
        "trunk.blocks.1.positions.0.post3.bn",
        "trunk.blocks.1.positions.2.post1.bn",
        "trunk.blocks.2.positions.1.post5.bn",
        "trunk.stem.conv.bn",
    )
    assert result.kept == (
        "trunk.blocks.0.positions.0.pre1.bn",
        "trunk.blocks.0.shortcut.bn",
        "trunk.blocks.1.shortcut.bn",
        "trunk.blocks.2.positions.2.pre3.bn",
        "trunk.tail",
    )


def test_folding_again_finds_nothing(tiny):
    network = build("606:cosface", tiny).eval()
    first = fold(network)
    assert first.folded
    assert fold(network).folded == ()


def test_an_untrained_network_folds_into_the_structure_of_folded_weights(tiny, images):
    trained = with_random_norms(build("147-306-820:magface", tiny))
    fresh = build("147-306-820:magface", tiny).eval()
    fold(trained), fold(fresh)
    fresh.load_state_dict(trained.state_dict())
    with torch.no_grad():
        assert torch.equal(trained(images), fresh(images))


def test_positions_with_several_candidates_keep_the_norms_that_depend_on_who_is_in_front(tiny):
    assert not any(".pre" in name for name in fold(Supernet(tiny).eval()).folded)


def test_of_a_backbone_the_neck_is_folded(images):
    network = with_random_norms(build_backbone("timm.test_resnet:cosface", backbone_skeleton(32, 10)))
    folded = copy.deepcopy(network)
    result = fold(folded)
    assert result.folded == ("heads.cosface.neck.bn",)
    assert all(name.startswith("trunk.stem.model.") for name in result.kept)
    with torch.no_grad():
        before, after = network(images), folded(images)
    assert ((before - after).norm(dim=1) <= 1e-5 * before.norm(dim=1)).all()
