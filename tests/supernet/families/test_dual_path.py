import pytest
import torch
from timm.models.dpn import DualPathBlock as TimmBlock

from dualfair.supernet.families.dual_path import DualPathBlock
from dualfair.supernet.network import build, with_own_statistics
from dualfair.supernet.operations import OPERATION_NAMES, OPERATIONS
from dualfair.supernet.skeleton import SKELETONS, BlockShape

VANILLA = (1, 0, 1)
EVERY = [tuple(enumerate(OPERATIONS.values()))] * 3


@pytest.mark.parametrize(
    ("kind", "stride", "in_channels"), [("proj", 1, 20), ("down", 2, 20), ("normal", 1, 16 + 3 * 4)]
)
def test_our_block_with_pre1_pre3_pre1_is_timms_on_the_same_weights(kind, stride, in_channels):
    torch.manual_seed(0)
    shape = BlockShape(in_channels, 8, 16, 4, groups=2, stride=stride, shortcut=kind != "normal", side=9)
    ours = DualPathBlock(16, shape.places, EVERY, shape.shortcut_place)
    timms = TimmBlock(in_channels, 8, 8, 16, 4, groups=2, block_type=kind)
    pairs = list(zip((timms.c1x1_a, timms.c3x3_b, timms.c1x1_c), ours.positions, VANILLA, strict=True))
    layers = [(theirs, position[OPERATION_NAMES[code]]) for theirs, position, code in pairs]
    if shape.shortcut:
        layers.append((timms.c1x1_w_s1 or timms.c1x1_w_s2, ours.shortcut))
    for theirs, mine in layers:
        torch.nn.init.normal_(theirs.bn.weight)
        torch.nn.init.normal_(theirs.bn.bias)
        mine.load_state_dict(theirs.state_dict())
    x = torch.randn(4, in_channels, 9, 9)
    for mode in (True, False):
        ours.train(mode)
        timms.train(mode)
        expected = timms(x)
        assert torch.equal(ours(x, VANILLA), expected)
        assert expected.shape[1] == shape.out_channels


def test_a_copy_with_own_statistics_shares_every_weight(tiny):
    shape = next(tiny.block_shapes())
    block = DualPathBlock(shape.residual, shape.places, EVERY, shape.shortcut_place)
    copy = with_own_statistics(block)
    assert all(mine is theirs for mine, theirs in zip(copy.parameters(), block.parameters(), strict=True))
    before = {name: value.clone() for name, value in block.state_dict().items()}
    copy.train()(torch.randn(4, 6, 12, 12), (6, 8, 0))
    assert all(torch.equal(value, before[name]) for name, value in block.state_dict().items())
    assert any(not torch.equal(value, before[name]) for name, value in copy.state_dict().items())


def test_a_standalone_network_holds_the_chosen_operations_only(tiny):
    network = build("680:arcface", tiny, identities=5)
    held = {tuple(position) for block in network.trunk.blocks for position in block.positions}
    assert held == {("post3",), ("post5",), ("pre3",)}
    assert list(network.heads) == ["arcface"]
    assert network.heads["arcface"].weight.shape == (5, 10)
    assert network(torch.zeros(2, 3, 24, 24)).shape == (2, 10)


@pytest.mark.parametrize(("skeleton", "features"), [("nano", 128 + 3 * 16), ("small", 512 + 3 * 64), ("paper", 2432)])
def test_the_built_in_skeletons_have_the_documented_widths(skeleton, features):
    assert SKELETONS[skeleton].features == features
    size = SKELETONS[skeleton].image_size
    with torch.device("meta"):
        network = build("101:cosface", skeleton, identities=3)
        assert network(torch.empty(2, 3, size, size)).shape == (2, SKELETONS[skeleton].embedding)


def test_the_widths_of_dpn107_itself_follow_from_the_same_skeleton():
    shapes = list(SKELETONS["paper"].resized(blocks=(4, 8, 20, 3)).block_shapes())
    assert len(shapes) == 35
    assert shapes[3].out_channels == 256 + 2 * 20 + 4 * 20
    assert shapes[-1].out_channels == 2048 + 2 * 128 + 3 * 128 == 2688


@pytest.mark.parametrize(
    ("genotype", "said"),
    [
        ("101-101:cosface", "has 2 blocks; expected 4"),
        ("10:cosface", "block 1 has 2 codes; expected 3"),
        ("101-191-101-101:cosface", "block 2, position 2 has code 9; allowed: 0 to 8"),
        ("101:softmax", "unknown head 'softmax'; choose from arcface, cosface, magface"),
        ("101", "no head; choose from arcface"),
    ],
)
def test_a_genotype_that_does_not_fit_gets_one_clear_line(genotype, said):
    with pytest.raises(ValueError) as error:
        build(genotype, "nano")
    assert said in str(error.value)


def test_unknown_skeletons_and_bad_sizes_are_refused(tiny):
    with pytest.raises(ValueError, match="unknown skeleton 'huge'; choose from nano, small, paper"):
        build("101:cosface", "huge")
    with pytest.raises(ValueError, match="images of 2 px are too small; it needs 4 px"):
        tiny.resized(2)
    with pytest.raises(ValueError, match="blocks has 3 entries; expected 2, one a stage"):
        tiny.resized(blocks=(1, 1, 1))


@pytest.mark.parametrize(("skeleton", "sides"), [("nano", [12, 12, 6, 3, 2]), ("paper", [28, 28, 14, 7, 4])])
def test_the_first_stage_keeps_the_resolution_and_later_ones_halve_it(skeleton, sides):
    size = SKELETONS[skeleton].image_size
    with torch.device("meta"):
        trunk = build("101:cosface", skeleton).trunk
        x = trunk.stem(torch.empty(2, 3, size, size))
        seen = [x.shape[-1]]
        for block in trunk.blocks:
            x = block(x, VANILLA)
            seen.append(x.shape[-1])
    assert seen == sides
