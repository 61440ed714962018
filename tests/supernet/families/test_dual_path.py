import pytest
import torch
from timm.models.dpn import DualPathBlock as TimmBlock

from dualfair.supernet.families.dual_path import BlockShape
from dualfair.supernet.families.dual_path_network import DualPathBlock
from dualfair.supernet.network import with_own_statistics
from dualfair.supernet.operations import OPERATION_NAMES, OPERATIONS

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
