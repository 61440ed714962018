import numpy as np
import pytest
import torch

from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.network import Network, Supernet, build
from dualfair.supernet.space import dpn_space


@pytest.fixture(scope="module")
def supernet(tiny):
    torch.manual_seed(0)
    network = Supernet(tiny, identities=5)
    space = dpn_space("dpn729", 3)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for _ in range(30):
            network(torch.rand(6, 3, 24, 24) * 2 - 1, space.sample(rng))
    return network.eval()


def test_an_inherited_subnet_equals_the_extracted_network_bit_for_bit(supernet, images):
    space = dpn_space("dpn729", 3)
    rng = np.random.default_rng(1)
    for mode in (False, True):
        supernet.train(mode)
        for _ in range(8):
            path = space.sample(rng)
            extracted = supernet.extract(path)
            assert torch.equal(extracted(images), supernet(images, path)), path
    supernet.eval()


def test_every_candidate_has_its_own_weights(supernet, images):
    space = dpn_space("dpn729", 3)
    base = space.parse("101:cosface")
    outputs = {}
    for position in range(space.blocks * 3):
        for code in range(9):
            vector = space.encode(base)
            vector[position] = code
            genotype = space.decode(vector)
            outputs[genotype] = supernet(images, genotype).detach()
    distinct = {value.numpy().tobytes() for value in outputs.values()}
    assert len(distinct) == len(outputs) == 3 * 3 * 8 + 1


def test_the_head_is_a_gene_that_matters(supernet, images):
    embeddings = [supernet(images, supernet.skeleton.fit(f"101:{head}")) for head in supernet.heads]
    assert not torch.allclose(embeddings[0], embeddings[1])
    assert not torch.allclose(embeddings[1], embeddings[2])


def test_an_extracted_network_is_a_copy(supernet, images):
    path = supernet.skeleton.fit("101:cosface")
    before = supernet(images, path)
    extracted = supernet.extract(path)
    with torch.no_grad():
        for parameter in extracted.parameters():
            parameter.zero_()
    assert torch.equal(supernet(images, path), before)


def test_unused_operations_keep_no_gradient(tiny, images):
    network = Supernet(tiny, identities=5)
    path = network.skeleton.fit("101:cosface")
    network.heads[path.head](network.trunk(images, path.blocks), torch.arange(8) % 5).scores.sum().backward()
    used = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert used == {name for name, p in network.extract(path).named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("network", "spec"), [(build, "101-680-353:cosface"), (build_backbone, "timm.test_resnet:cosface")]
)
def test_searched_networks_and_backbones_are_networks_that_say_which_one_they_are(network, spec, tiny, images):
    standalone = network(spec, tiny).eval()
    assert all(hasattr(standalone, name) for name in Network.__annotations__)
    assert str(standalone.spec) == spec and isinstance(standalone.spec, (Genotype, Backbone))
    head, features = standalone.heads[standalone.spec.head], standalone.trunk(images, standalone.spec.blocks)
    assert torch.equal(head.neck(features), standalone(images))


def test_a_standalone_network_holds_the_chosen_operations_only(tiny):
    network = build("680:arcface", tiny, identities=5)
    held = {tuple(position) for block in network.trunk.blocks for position in block.positions}
    assert held == {("post3",), ("post5",), ("pre3",)}
    assert list(network.heads) == ["arcface"]
    assert network.heads["arcface"].weight.shape == (5, 10)
    assert network(torch.zeros(2, 3, 24, 24)).shape == (2, 10)
