"""Training that starts from another network's weights takes over all but the class weights."""

from dataclasses import replace

import pytest
import torch

from dualfair.supernet.network import Supernet, build
from dualfair.supernet.training.initial_weights import start_from


@pytest.fixture
def known(tiny):
    """A supernet on other people, whose weights and statistics are all its own."""
    torch.manual_seed(7)
    supernet = Supernet(tiny, 9, ("arcface", "cosface"))
    for value in supernet.state_dict().values():
        value.random_(1, 9) if value.is_floating_point() else value.fill_(5)
    return supernet


def kept(network):
    """By name, whether a part of a network's state stays as it was drawn."""
    torch.manual_seed(1)
    return {name: name.startswith("heads.") and name.count(".") == 2 for name in network.state_dict()}


@pytest.mark.parametrize("heads", [("arcface", "cosface"), ("cosface",)])
def test_a_supernet_takes_over_all_but_its_class_weights(tiny, known, heads):
    supernet = Supernet(tiny, 4, heads)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    start_from(supernet, known.state_dict())
    anew = kept(supernet)
    assert [name for name in anew if anew[name]] == [f"heads.{head}.weight" for head in heads]
    for name, value in supernet.state_dict().items():
        assert torch.equal(value, before[name] if anew[name] else known.state_dict()[name]), name


def test_a_network_starts_as_the_supernet_answers(tiny, known, images):
    genotype = "101-235-777:cosface"
    network = build(genotype, tiny, 4)
    start_from(network, known.state_dict())
    assert torch.equal(network.eval()(images), known.eval()(images, network.spec))
    assert network.heads["cosface"].weight.shape == (4, 10)
    again = build(genotype, tiny, 3)
    start_from(again, network.state_dict())
    assert torch.equal(again.eval()(images), network(images))


def test_what_does_not_fit_is_told_and_changes_nothing(tiny, known):
    weights = known.state_dict()
    of_magface = build("101-235-777:magface", tiny, 4)
    with pytest.raises(ValueError, match=r"they have no head 'magface', but arcface, cosface$"):
        start_from(of_magface, weights)
    one, other = build("101-235-777:cosface", tiny, 4), build("101-235-778:cosface", tiny, 4)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(ValueError, match=r"they have no trunk\.blocks\.2\.positions\.2\.\S+$"):
        start_from(other, one.state_dict())
    without = build("101-235-777:cosface", replace(tiny, neck="none"), 4)
    with pytest.raises(
        ValueError, match=r"they have heads\.cosface\.neck\.linear\.weight, for which there is no place"
    ):
        start_from(without, weights)
    name = next(iter(before))
    with pytest.raises(ValueError, match=rf"{name} is of shape \(2, 2\) there, and of \("):
        start_from(other, {**weights, name: torch.zeros(2, 2)})
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
