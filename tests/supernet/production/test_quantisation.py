"""Fake quantisation: the equations, what they bound, where quantisers stand, and when ranges move."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional

from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.network import build
from dualfair.supernet.production.folding import fold
from dualfair.supernet.production.quantisation import (
    ActivationQuantiser,
    WeightQuantiser,
    quantised,
    quantised_values,
    quantisers,
)

VALUES = arrays(np.float32, st.integers(2, 40), elements=st.floats(-100, 100, width=32))
BITS = st.integers(2, 12)


def ends(values):
    return values.min(), values.max()


def seeing(network, images):
    """A network whose ranges of activations have seen some images by one training step without a change of weights."""
    network.eval()
    for quantiser in quantisers(network).values():
        quantiser.train()
    with torch.no_grad():
        network(images)
    return network.eval()


@pytest.fixture
def trained(tiny, images):
    """A network with statistics of its own."""
    torch.manual_seed(0)
    network = build("101-680-353:cosface", tiny, 5).train()
    network(images)
    return network.eval()


def test_values_by_hand():
    """Two bits from -1 to 2: a step a unit, z = -1 + 2, codes -2 to 1."""
    lowest, highest = torch.tensor(-1.0), torch.tensor(2.0)
    x = torch.tensor([-3.0, -1.0, -0.6, -0.4, 0.0, 0.4, 0.6, 1.4, 1.6, 2.0, 7.0])
    expected = torch.tensor([-1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    assert torch.equal(quantised_values(x, lowest, highest, 2), expected)
    # From 0.5 to 2 a unit has 3 / 1.5 = 2 steps, and z = round(1.0) + 2.
    values = quantised_values(torch.tensor([0.5, 0.7, 0.8, 2.0]), torch.tensor(0.5), torch.tensor(2.0), 2)
    assert torch.equal(values, torch.tensor([0.5, 0.5, 1.0, 2.0]))


@given(VALUES, BITS)
def test_within_the_range_values_are_near_few_and_in_order(values, bits):
    x = torch.from_numpy(values).sort().values
    lowest, highest = ends(x)
    found = quantised_values(x, lowest, highest, bits)
    step = (highest - lowest) / (2**bits - 1)
    slack = 1e-5 * x.abs().max() + 1e-8
    assert ((found - x).abs() <= step / 2 + slack).all() or step < 1e-7
    assert (found.diff() >= 0).all() and len(found.unique()) <= 2**bits


@given(VALUES, BITS)
def test_quantising_twice_is_quantising_once(values, bits):
    x = torch.from_numpy(values)
    lowest, highest = ends(x)
    once = quantised_values(x, lowest, highest, bits)
    assert torch.allclose(quantised_values(once, lowest, highest, bits), once, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_values_are_those_of_torch_where_a_range_holds_0(bits):
    torch.manual_seed(0)
    weight = torch.randn(6, 5, 3, 3)
    lowest, highest = weight.amin((1, 2, 3)), weight.amax((1, 2, 3))
    scale = (highest - lowest) / (2**bits - 1)
    half = 2 ** (bits - 1)
    zero = -(lowest / scale).round() - half
    theirs = torch.fake_quantize_per_channel_affine(weight, scale, zero.int(), 0, -half, half - 1)
    ours = WeightQuantiser(bits, by_channel=True)(weight)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_gradients_pass_as_if_nothing_was_rounded_also_where_values_are_clamped():
    x = torch.tensor([-5.0, 0.2, 0.9, 5.0], requires_grad=True)
    quantised_values(x, torch.tensor(0.0), torch.tensor(1.0), 2).square().sum().backward()
    assert torch.allclose(x.grad, 2 * torch.tensor([0.0, 1 / 3, 1.0, 1.0]), atol=1e-6)


def test_a_weight_has_a_range_an_output_channel():
    weight = torch.tensor([[0.0, 1.0], [0.0, 100.0], [-3.0, -2.0]])
    assert torch.allclose(WeightQuantiser(2, by_channel=True)(weight), weight, atol=1e-5)
    assert not torch.allclose(WeightQuantiser(2, by_channel=False)(weight), weight, atol=1e-1)


def test_ranges_grow_from_0_for_so_many_training_steps_and_no_longer():
    quantiser = ActivationQuantiser(8, updates=2)
    quantiser(torch.tensor([1.0, 2.0]))
    assert (quantiser.lowest, quantiser.highest) == (0, 2)
    quantiser.eval()(torch.tensor([9.0]))
    assert quantiser.highest == 2 and quantiser.seen == 1
    quantiser.train()(torch.tensor([-1.0, 1.0]))
    outlier = quantiser(torch.tensor([50.0]))
    assert (quantiser.lowest, quantiser.highest, quantiser.seen) == (-1, 2, 2)
    assert outlier == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize("backbone", [None, "timm.test_resnet:cosface", "timm.test_vit:arcface"])
def test_fewer_bits_are_further_from_the_network_and_all_bits_are_it(tiny, trained, images, backbone):
    if backbone:
        torch.manual_seed(0)
        size = 48 if "vit" in backbone else 24
        trained = build_backbone(backbone, tiny.resized(size), 5).eval()
        images = torch.rand(8, 3, size, size) * 2 - 1
    with torch.no_grad():
        expected = trained(images)
        cosines = {
            bits: functional.cosine_similarity(expected, seeing(quantised(trained, bits), images)(images)).mean().item()
            for bits in (16, 8, 5, 3)
        }
        assert torch.equal(seeing(quantised(trained, 32), images)(images), expected)
    assert cosines[16] > 0.9999 and [*cosines.values()] == sorted(cosines.values(), reverse=True)
    assert cosines[3] < 0.99


def test_quantisers_stand_behind_activations_and_blocks_and_nowhere_else(tiny, trained):
    """A 'pre' and a 'post' operation have an activation, a 'raw' one has none; every block has its join."""
    found = quantised(trained, 8)
    places = [name.removesuffix(".quantiser") for name in quantisers(found)]
    operations = trained.spec.blocks
    normalised = sum(tiny.operations[code].norm != "" for codes in operations for code in codes)
    shortcuts = sum(layer is not None for layer in tiny.shortcut_layers())
    # Besides these the stem and the tail.
    assert len(places) == normalised + shortcuts + len(operations) + 2
    joins = [name for name in places if name.startswith("trunk.blocks.") and name.count(".") == 2]
    assert joins == [f"trunk.blocks.{number}" for number in range(len(operations))]
    assert not any(name.startswith("heads") for name in places)
    weighted = [name for name in found.state_dict() if name.endswith("parametrizations.weight.original")]
    layers = [module for module in trained.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(weighted) == len(layers) and "heads.cosface.neck.linear.parametrizations.weight.original" in weighted
    assert "heads.cosface.weight" in found.state_dict()
    assert not quantisers(trained)


def test_slopes_are_quantised_by_one_range():
    network = nn.Module()
    network.trunk = nn.Sequential(nn.PReLU(3))
    with torch.no_grad():
        network.trunk[0].weight.copy_(torch.tensor([0.0, 0.4, 1.0]))
    assert torch.allclose(quantised(network, 2).trunk[0].weight, torch.tensor([0.0, 1 / 3, 1.0]), atol=1e-6)


def test_ranges_and_weights_are_plain_tensors_of_a_file(trained, images, tiny):
    found = seeing(quantised(trained, 4), images)
    again = quantised(build("101-680-353:cosface", tiny, 5), 4)
    again.load_state_dict(load(save({name: value.contiguous() for name, value in found.state_dict().items()})))
    copied = copy.deepcopy(found)
    with torch.no_grad():
        assert torch.equal(again.eval()(images), found(images)) and torch.equal(copied(images), found(images))


def test_a_step_tunes_the_weights_and_sets_the_ranges(trained, images):
    student = quantised(trained, 4).train()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    before = copy.deepcopy(student.state_dict())
    loss = (1 - functional.cosine_similarity(student(images), trained(images).detach())).mean()
    loss.backward()
    optimizer.step()
    after = student.state_dict()
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert all(
        name in moved for name in after if name.endswith(("original", "highest", "seen")) and "heads" not in name
    )
    assert all(int(quantiser.seen) == 1 for quantiser in quantisers(student).values())


def test_folded_networks_are_quantised_likewise(trained, images):
    folded = copy.deepcopy(trained)
    fold(folded)
    with torch.no_grad():
        whole = seeing(quantised(folded, 32), images)(images)
        assert torch.allclose(whole, trained(images), rtol=1e-3, atol=1e-4)
        eight = seeing(quantised(folded, 8), images)(images)
    assert functional.cosine_similarity(eight, whole).min() > 0.95 and not torch.equal(eight, whole)
    with pytest.raises(ValueError, match="bits must be 2 or more, got 1"):
        quantised(trained, 1)


@pytest.mark.parametrize("bits", [8, 32])
def test_folding_a_quantised_network_leaves_its_values_as_they_are(trained, images, bits):
    """A range an output channel: what a norm multiplies a channel by, its range and its steps are multiplied by."""
    network = seeing(quantised(trained, bits), images)
    with torch.no_grad():
        before = network(images)
        assert fold(network).folded
        after = network(images)
    assert torch.allclose(after, before, rtol=1e-3, atol=1e-4 if bits == 32 else 2e-2)
    assert functional.cosine_similarity(after, before).min() > (0.999999 if bits == 32 else 0.9995)
