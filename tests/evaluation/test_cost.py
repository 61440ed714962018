import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dualfair.evaluation.cost import block_costs, embedding_length, expected_macs, macs, measured_cost, parameters
from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.network import build
from dualfair.supernet.operations import OPERATIONS, Place
from dualfair.supernet.skeleton import NECKS, SKELETONS
from dualfair.supernet.space import dpn_space


@pytest.mark.parametrize(
    ("skeleton", "blocks", "size"),
    [
        (SKELETONS["nano"], 4, 48),
        (SKELETONS["nano"].resized(45, (1, 2, 1, 3)), 7, 45),
        (SKELETONS["small"], 4, 112),
        (SKELETONS["paper"], 4, 112),
    ],
)
def test_formulas_equal_what_the_network_holds_and_does(skeleton, blocks, size):
    rng = np.random.default_rng(0)
    for genotype in dpn_space("dpn729", blocks).sample_distinct(4, rng):
        with torch.device("meta"):
            network = build(genotype, skeleton).eval()
            images = torch.empty(1, 3, size, size)
        learnt = sum(p.numel() for name, p in network.named_parameters() if p.requires_grad and name[-7:-1] != "weight")
        learnt -= network.heads[genotype.head].weight.numel()
        assert parameters(genotype, skeleton) == learnt
        with FlopCounterMode(display=False) as counter:
            network(images)
        assert macs(genotype, skeleton, size) == counter.get_total_flops() // 2


def test_costs_by_hand():
    # nano's first block: 16 -> 16 -> 16 -> 16 + 4, 8 groups, shortcut 16 -> 16 + 2 * 4, at 12 x 12 pixels.
    shortcut = 16 * 24 + 2 * 16
    first, middle, last = 16 * 16 + 2 * 16, 9 * 16 * 16 // 8 + 2 * 16, 16 * 20 + 2 * 16
    convolved = 16 * 24 + 16 * 16 + 9 * 16 * 16 // 8 + 16 * 20
    assert block_costs("101:cosface", "nano")[0] == (shortcut + first + middle + last, convolved * 144)


def test_the_papers_vanilla_network_has_the_known_size():
    """Without the neck: 11.81 M parameters and 0.749 GMAC at 112 px, as counted with timm's blocks."""
    neck = 2432 * 512
    assert round((parameters("101:cosface", "paper") - neck - 512) / 1e6, 2) == 11.81
    assert round((macs("101:cosface", "paper") - neck) / 1e9, 3) == 0.749


def test_raw_operations_have_no_normalisation_to_pay():
    place = Place(8, 4, 2, 1, 6)
    pre, raw = OPERATIONS["pre5"].parameters(place), OPERATIONS["raw5"].parameters(place)
    assert raw == 25 * 8 * 4 // 2 and pre == raw + 16
    assert OPERATIONS["post5"].parameters(place) == raw + 8


def test_a_genotype_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="has 2 blocks; expected 4"):
        parameters("101-101:cosface", "nano")


@pytest.mark.parametrize("genotype", ["101-680-353:cosface", "047-212-888:arcface", "444-444-444:magface"])
@pytest.mark.parametrize("neck", NECKS)
def test_a_searched_network_costs_what_the_formulas_say(tiny, genotype, neck):
    skeleton = replace(tiny, neck=neck)
    network = build(genotype, skeleton, identities=50).eval()
    assert measured_cost(network, tiny.image_size) == (parameters(genotype, skeleton), macs(genotype, skeleton))
    images = torch.zeros(1, 3, tiny.image_size, tiny.image_size)
    assert network(images).shape[1] == embedding_length(genotype.partition(":")[2], skeleton)


def test_a_backbone_is_counted_with_its_neck_and_without_class_weights(tiny):
    network = build_backbone("timm.test_resnet:cosface", tiny, identities=50).eval()
    learnt, work = measured_cost(network, 24)
    features = network.heads["cosface"].neck
    without = [*network.trunk.parameters(), *features.parameters()]
    assert learnt == sum(weight.numel() for weight in without if weight.requires_grad)
    assert work > 1e5
    assert measured_cost(network, 48)[0] == learnt and measured_cost(network, 48)[1] > 3 * work


def test_a_layer_that_runs_twice_has_its_weights_once_and_its_work_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 3, padding=1, bias=False)
            self.unused = nn.Linear(5, 5)

        def forward(self, images):
            return self.convolution(self.convolution(images))

    assert measured_cost(Twice().eval(), 10) == (81, 2 * 81 * 100)


def test_the_network_is_left_as_it_was(tiny):
    network = build("101-680-353:cosface", tiny, identities=5).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    measured_cost(network, 24)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    with pytest.raises(ValueError, match="needs the network in evaluation mode"):
        measured_cost(network.train(), 24)


@pytest.mark.parametrize("name", ["dpn81-shared", "dpn729-shared"])
@pytest.mark.parametrize("skeleton", ["nano", "paper"])
def test_expected_macs_are_the_mean_of_the_enumerated_space(name, skeleton):
    space, skeleton = dpn_space(name), SKELETONS[skeleton].resized(75)
    # MACs do not depend on the head, which comes last: every third genotype is enough.
    every = itertools.islice(space.enumerate(), 0, None, 3)
    assert expected_macs(space, skeleton) == pytest.approx(np.mean([macs(genotype, skeleton) for genotype in every]))
