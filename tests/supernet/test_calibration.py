import torch

from dualfair.supernet.network import Supernet, calibrate_stage, with_own_statistics


def test_statistics_are_those_of_the_sample(tiny, images):
    stem = Supernet(tiny).trunk.stem
    copy = with_own_statistics(stem)
    output = calibrate_stage(copy, images)
    convolved = copy.conv.conv(images)
    assert torch.allclose(copy.conv.bn.running_mean, convolved.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(copy.conv.bn.running_var, convolved.var((0, 2, 3)), atol=1e-6)
    assert not copy.training and copy.conv.bn.momentum == 0.1
    # In evaluation mode the unbiased variance is used; the sample's own output had the biased one.
    assert torch.allclose(copy(images), output, atol=1e-2)


def test_the_original_is_untouched(tiny, images):
    block = Supernet(tiny).trunk.blocks[0]
    before = {name: value.clone() for name, value in block.state_dict().items()}
    calibrate_stage(with_own_statistics(block), torch.randn(4, 6, 12, 12), (1, 0, 1))
    assert all(torch.equal(value, before[name]) for name, value in block.state_dict().items())


def test_stage_by_stage_equals_the_whole_network_at_once(tiny, images):
    torch.manual_seed(0)
    supernet = Supernet(tiny)
    path = tiny.fit("101:cosface")
    whole = supernet.extract(path)
    calibrate_stage(whole, images)
    staged = supernet.extract(path)
    x = calibrate_stage(staged.trunk.stem, images)
    for block, codes in zip(staged.trunk.blocks, path.blocks, strict=True):
        x = calibrate_stage(block, x, codes)
    calibrate_stage(staged.heads["cosface"].neck, calibrate_stage(staged.trunk.tail, x))
    for (name, ours), theirs in zip(staged.state_dict().items(), whole.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name
