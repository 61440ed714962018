"""The residual family of faces: published counts, an independent network, its neck, names and files."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from dualfair.evaluation.cost import macs, measured_cost, parameters
from dualfair.runs.architectures import open_skeleton, open_space
from dualfair.supernet.families.residual import RESIDUAL_OPERATIONS, quarters, residual_skeleton
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.production.folding import fold
from dualfair.supernet.production.skeleton_data import numbers_of, skeleton_from
from dualfair.supernet.production.timm_model import dualfair_residual
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.training.step_engine import _built_in

CONV3 = [operation.name for operation in RESIDUAL_OPERATIONS].index("conv3")


@pytest.mark.parametrize(
    ("blocks", "classes", "millions"),
    [((2, 2, 2, 2), 0, 24.02), ((3, 4, 14, 3), 0, 43.59), ((3, 4, 14, 3), 10_572, 49.00), ((2, 4, 8, 2), 10_572, 37.1)],
)
def test_parameters_are_those_published(blocks, classes, millions):
    """IR-18, IR-50 and a network that the study grew; with class weights where its tables count them."""
    skeleton = open_skeleton(f"ir-d{sum(blocks)}-w64", "-".join(map(str, blocks)))
    counted = (parameters(f"{CONV3}:adaface", skeleton) + 512 * classes) / 1e6
    assert counted == pytest.approx(millions, abs=0.015)


class Reference(nn.Module):
    """A residual block written out, with plain convolutions."""

    def __init__(self, before, after, stride, kernel):
        super().__init__()

        def conv(channels, step):
            return nn.Conv2d(channels, after, kernel, step, kernel // 2, bias=False)

        self.layers = nn.Sequential(
            *(nn.BatchNorm2d(before), conv(before, 1), nn.BatchNorm2d(after), nn.PReLU(after)),
            *(conv(after, stride), nn.BatchNorm2d(after)),
        )
        self.project = None
        if before != after:
            self.project = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.stride = stride

    def forward(self, x):
        shortcut = x[:, :, :: self.stride, :: self.stride] if self.project is None else self.project(x)
        return shortcut + self.layers(x)


def reference(blocks, width, kernels, size, embedding):
    kernels, before = iter(kernels), width
    layers = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width)]
    for stage, number in enumerate(blocks):
        for block in range(number):
            after = width * 2**stage
            layers.append(Reference(before, after, 1 if block else 2, next(kernels)))
            before, size = after, size if block else -(-size // 2)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(before * size**2, embedding), nn.BatchNorm1d(embedding, affine=False))
    return nn.Sequential(*layers, nn.BatchNorm2d(before), *flat)


def disturbed(network):
    """With statistics and PReLU as a training leaves them."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, 0, 0.5)
    return network.eval()


@pytest.mark.parametrize(("blocks", "size"), [((1, 1, 1, 1), 32), ((1, 2, 1, 2), 50)])
def test_a_network_is_its_reference_block_by_block(blocks, size):
    skeleton = replace(open_skeleton(f"ir-d{sum(blocks)}-w4", "-".join(map(str, blocks)), size), embedding=6)
    codes = [(CONV3, 3)[number % 2] for number in range(sum(blocks))]
    genotype = skeleton.fit("-".join(map(str, codes)) + ":adaface")
    assert [RESIDUAL_OPERATIONS[code].name for code in codes[:2]] == ["conv3", "conv5"]
    network = disturbed(build(genotype, skeleton))
    other = reference(blocks, 4, [RESIDUAL_OPERATIONS[code].kernel for code in codes], size, 6).eval()
    # The reference's projection stands behind its layers, ours is filed in front of them.
    ours = [*network.trunk.stem.modules()]
    for block in network.trunk.blocks:
        ours += [*block.positions.modules(), *(block.shortcut.modules())]
    ours += [*network.heads["adaface"].neck.modules()]
    kinds = (nn.Conv2d, nn.modules.batchnorm._BatchNorm, nn.PReLU, nn.Linear)
    pairs = zip(*([m for m in modules if isinstance(m, kinds)] for modules in (ours, other.modules())), strict=True)
    for mine, theirs in pairs:
        theirs.load_state_dict(mine.state_dict())
    images = torch.randn(3, 3, size, size)
    embeddings = network(images)
    assert embeddings.shape == (3, 6) and torch.allclose(embeddings, other(images), atol=1e-5)
    assert measured_cost(network, size) == (parameters(genotype, skeleton), macs(genotype, skeleton))
    learnt = sum(weight.numel() for weight in network.parameters())
    assert learnt == sum(weight.numel() for weight in other.parameters()) == parameters(genotype, skeleton)


def test_separable_layers_cost_what_they_say_and_folding_keeps_embeddings():
    skeleton = replace(residual_skeleton(4, 6, 32), embedding=8)
    genotype = skeleton.fit("0-1-2-3:cosface")
    network = disturbed(build(genotype, skeleton))
    assert measured_cost(network, 32) == (parameters(genotype, skeleton), macs(genotype, skeleton))
    images = torch.randn(2, 3, 32, 32)
    before = network(images)
    folded = fold(network)
    assert torch.allclose(network(images), before, atol=1e-5)
    assert "heads.cosface.neck.bn" in folded.folded and len(folded.kept) == 4 + 1


def test_a_subnet_is_its_standalone_network_and_all_is_data():
    skeleton = skeleton_of("ir-d5-w4").resized(32)
    space = open_space("", skeleton, "cosface,adaface")
    assert space.size == 4**5 * 2 and (skeleton.blocks, skeleton.width) == ((1, 1, 1, 2), 4)
    supernet = Supernet(skeleton, 3, space.heads).eval()
    path = skeleton.fit("0-1-2-3-1:adaface")
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(supernet(images, path), supernet.extract(path)(images))
    assert skeleton_from(numbers_of(skeleton)) == skeleton and _built_in(skeleton)
    model = dualfair_residual(genotype="0-1-2-3-1:adaface", skeleton="ir-d5-w4", img_size=32)
    assert model(images).shape == (2, 512)
    assert [level["reduction"] for level in model.feature_info] == [2, 4, 8, 16]


def test_depth_and_width_are_part_of_the_name():
    assert [quarters(depth) for depth in (4, 8, 10, 23)] == [(1, 1, 1, 1), (2, 2, 2, 2), (2, 3, 2, 3), (5, 6, 6, 6)]
    opened = open_skeleton("ir-d24-w64", "3-4-14-3", 64)
    assert (opened.name, opened.image_size, opened.width, opened.blocks) == ("ir-d24-w64", 64, 64, (3, 4, 14, 3))
    with pytest.raises(ValueError, match="skeleton ir-d24-w64: its name says 24 blocks of width 64, got 25 of 64"):
        open_skeleton("ir-d24-w64", "4-4-14-3")
    with pytest.raises(ValueError, match=r"skeleton ir-d6-w64: expected blocks of 4 stages, got \(2, 2, 2\)"):
        open_skeleton("ir-d6-w64", "2-2-2")
    with pytest.raises(ValueError, match="a network of this family has 4 blocks or more, got 3"):
        skeleton_of("ir-d3-w64")
