import pytest
import torch
from torch import nn

from dualfair.evaluation.complexity import macs, parameters
from dualfair.evaluation.measured_cost import measured_cost
from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.network import build


@pytest.mark.parametrize("genotype", ["101-680-353:cosface", "047-212-888:arcface", "444-444-444:magface"])
def test_a_searched_network_costs_what_the_formulas_say(tiny, genotype):
    network = build(genotype, tiny, identities=50).eval()
    assert measured_cost(network, tiny.image_size) == (parameters(genotype, tiny), macs(genotype, tiny))


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
