"""The family of separable and plain convolutions: published counts, an independent network, names and files."""

import pytest
import torch
from torch import nn

from dualfair.evaluation.cost import macs, measured_cost, parameters
from dualfair.runs.architectures import open_skeleton, open_space
from dualfair.supernet.families.mix import MIX_OPERATIONS, mix_skeleton, sections
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.production.skeleton_data import numbers_of, skeleton_from
from dualfair.supernet.production.timm_model import dualfair_mix
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.training.step_engine import _built_in


@pytest.mark.parametrize(
    ("depth", "width", "classes", "published"),
    [(10, 64, 10, 309_450), (11, 64, 10, 327_242), (10, 128, 10, 1_192_330), (10, 64, 100, 332_580)],
)
def test_parameters_are_those_published(depth, width, classes, published):
    skeleton = mix_skeleton(depth, width)
    genotype = skeleton.fit("0:softmax")
    classifier = 4 * width * classes + classes
    assert parameters(genotype, skeleton) + classifier == published
    network = build(genotype, skeleton, classes)
    assert sum(weight.numel() for weight in network.parameters()) == published


def reference(depth, width, names):
    """The trunk, written out: stem, then layers that begin with ReLU and end with BN."""
    layers, before = [nn.Conv2d(3, 2 * width, 3, padding=1, bias=False), nn.BatchNorm2d(2 * width)], 2 * width
    after = width
    for number, name in enumerate(names):
        stride = 2 if number in (depth // 3, 2 * depth // 3) else 1
        after *= stride
        kernel = int(name[-1])
        how = {"kernel_size": kernel, "stride": stride, "padding": kernel // 2, "bias": False}
        layers.append(nn.ReLU())
        if name.startswith("sep"):
            layers += [nn.Conv2d(before, before, groups=before, **how), nn.Conv2d(before, after, 1, bias=False)]
        else:
            layers.append(nn.Conv2d(before, after, **how))
        layers.append(nn.BatchNorm2d(after))
        before = after
    return nn.Sequential(*layers)


@pytest.mark.parametrize("depth", [3, 4, 8])
def test_a_network_is_its_reference_layer_by_layer(depth):
    codes = [number % 4 for number in range(depth)]
    skeleton, genotype = mix_skeleton(depth, 4, 24), Genotype(tuple((code,) for code in codes), "softmax")
    network = build(genotype, skeleton, 5).eval()
    names = [MIX_OPERATIONS[code].name for code in codes]
    assert names[:3] == ["sep3", "conv3", "sep5"]
    other = reference(depth, 4, names).eval()
    own = {key: value for key, value in network.trunk.state_dict().items() if value.ndim}
    theirs = {key: value for key, value in other.state_dict().items() if value.ndim}
    assert [value.shape for value in own.values()] == [value.shape for value in theirs.values()]
    other.load_state_dict(dict(zip(theirs, own.values(), strict=True)), strict=False)
    images = torch.randn(2, 3, 24, 24)
    features = network.trunk(images, genotype.blocks)
    assert features.shape == (2, 16, 6, 6) and torch.allclose(features, other(images), atol=1e-5)
    learnt, multiplied = measured_cost(network, 24)
    assert (learnt, multiplied) == (parameters(genotype, skeleton), macs(genotype, skeleton))


def test_a_subnet_is_its_standalone_network_and_all_is_data():
    skeleton = skeleton_of("mix-d4-w6")
    space = open_space("", skeleton)
    assert space.size == 4**4 and (skeleton.name, skeleton.blocks, skeleton.width) == ("mix-d4-w6", (1, 1, 2), 6)
    supernet = Supernet(skeleton, 3, space.heads).eval()
    path = skeleton.fit("0-1-2-3:softmax")
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(supernet(images, path), supernet.extract(path)(images))
    assert skeleton_from(numbers_of(skeleton)) == skeleton and _built_in(skeleton)
    with pytest.raises(ValueError, match="operations must be out of sep3, conv3, sep5, conv5, got 'sep7'"):
        skeleton_from({**numbers_of(skeleton), "operations": ["sep7"]})
    model = dualfair_mix(genotype="0-1-2-3:softmax", skeleton="mix-d4-w6", num_classes=3)
    assert model(images).shape == (2, 3)


def test_depth_and_width_are_part_of_the_name():
    assert [sections(depth) for depth in (3, 10, 26)] == [(1, 1, 1), (3, 3, 4), (8, 9, 9)]
    opened = open_skeleton("mix-d10-w8", size=48)
    assert (opened.name, opened.image_size, opened.width, opened.blocks) == ("mix-d10-w8", 48, 8, (3, 3, 4))
    assert open_skeleton("mix-d10-w8", "3-3-4") == skeleton_of("mix-d10-w8")
    with pytest.raises(ValueError, match="10 layers are 3-3-4 blocks, got 4-3-3; depth and width are part of the name"):
        open_skeleton("mix-d10-w8", "4-3-3")
    with pytest.raises(ValueError, match="a network of this family has 3 layers or more, got 2"):
        skeleton_of("mix-d2-w8")
    for wrong in ("mix-d0-w8", "mix-d3-w0", "mix-d3", "mix-d03-w8"):
        with pytest.raises(ValueError, match=f"unknown skeleton '{wrong}'.*or such as mix-d21-w56"):
            skeleton_of(wrong)
