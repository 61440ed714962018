import copy

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.sampling import StrictFairSampler
from dualfair.supernet.training.statistics import StepStatistics


def supernet_and_paths(tiny):
    torch.manual_seed(0)
    space = dpn_space("dpn81", 3)
    network = Supernet(tiny, 5).train()
    for buffer in network.buffers():
        buffer.copy_(torch.rand(buffer.shape) + 0.5 if buffer.is_floating_point() else buffer)
    return network, [space.decode(row) for row in StrictFairSampler(space.sizes, 1).deal()]


def run(network, images, paths, statistics):
    statistics.use(statistics.stages_of(None))
    begun = network.trunk.begin(images)
    for path in paths:
        statistics.use(statistics.stages_of(path))
        network.heads[path.head].neck(network.trunk.finish(begun, path.blocks))


def batch_statistics(network, images, paths):
    """Of every norm, the mean of its batch statistics over the paths, by one plain forward pass each."""
    result = {}
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1.0
    for path in paths:
        before = {name: buffer.clone() for name, buffer in plain.named_buffers()}
        plain(images, path)
        for name, buffer in plain.named_buffers():
            if name.endswith("running_mean") and not torch.equal(buffer, before[name]):
                norm = name.removesuffix(".running_mean")
                result.setdefault(norm, []).append([buffer.clone(), plain.get_buffer(f"{norm}.running_var").clone()])
                for kind in ("running_mean", "running_var"):
                    plain.get_buffer(f"{norm}.{kind}").fill_(-7.0)
    return {
        norm: [torch.stack(values).mean(0) for values in zip(*pairs, strict=True)] for norm, pairs in result.items()
    }


def test_a_step_moves_every_norm_once_to_the_mean_over_its_paths(tiny, images):
    network, paths = supernet_and_paths(tiny)
    before = copy.deepcopy(network.state_dict())
    expected = batch_statistics(network, images, paths)
    statistics = StepStatistics(network)
    statistics.begin(paths)
    run(network, images, paths, statistics)
    statistics.end(statistics.sums(paths), paths)
    for norm in {name.rpartition(".")[0] for name in before if name.endswith("running_mean")}:
        module = network.get_submodule(norm)
        assert module.momentum == 0.1
        for kind, mean in zip(("running_mean", "running_var"), expected[norm], strict=True):
            moved = 0.9 * before[f"{norm}.{kind}"] + 0.1 * mean
            assert torch.allclose(getattr(module, kind), moved, rtol=1e-5, atol=1e-6), (norm, kind)
        assert module.num_batches_tracked == 1


def test_norms_that_no_path_used_stay_as_they_are(tiny, images):
    network, paths = supernet_and_paths(tiny)
    before = copy.deepcopy(network.state_dict())
    statistics = StepStatistics(network)
    statistics.begin(paths[:1])
    run(network, images, paths[:1], statistics)
    statistics.end(statistics.sums(paths[:1]), paths[:1])
    same = {name for name, value in network.state_dict().items() if torch.equal(value, before[name])}
    unused = [name for name in before if ".positions." in name and ".bn." in name and name in same]
    used = [name for name in before if ".positions." in name and "running_mean" in name and name not in same]
    codes = {f"{block}.positions.{place}" for block in range(3) for place in range(3)}
    assert len(unused) > 9 and len(used) == sum(tiny_norm(paths[0], place) for place in codes)


def tiny_norm(path, place):
    """Whether the operation at a place of a path has a norm: three of nine are raw."""
    block, _, position = place.split(".")
    return path.blocks[int(block)][int(position)] not in (3, 4, 5)


def test_an_undone_step_leaves_nothing_behind(tiny, images):
    network, paths = supernet_and_paths(tiny)
    before = copy.deepcopy(network.state_dict())
    statistics = StepStatistics(network)
    statistics.begin(paths)
    run(network, images, paths, statistics)
    statistics.undo()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert {norm.momentum for norm in statistics.norms} == {0.1}


@pytest.mark.parametrize("parts", [2, 3])
def test_parts_of_the_paths_add_up_to_the_whole(tiny, images, parts):
    """As ranks do it that take some of the paths each: only sums travel."""
    network, paths = supernet_and_paths(tiny)
    whole = copy.deepcopy(network)
    statistics = StepStatistics(whole)
    statistics.begin(paths)
    run(whole, images, paths, statistics)
    statistics.end(statistics.sums(paths), paths)
    ranks = [StepStatistics(copy.deepcopy(network)) for _ in range(parts)]
    for rank, statistics_of_rank in enumerate(ranks):
        statistics_of_rank.begin(paths)
        run(statistics_of_rank.network, images, paths[rank::parts], statistics_of_rank)
    sums = sum(of_rank.sums(paths[rank::parts]) for rank, of_rank in enumerate(ranks))
    for statistics_of_rank in ranks:
        statistics_of_rank.end(sums, paths, ranks=parts)
        for name, value in whole.state_dict().items():
            assert torch.allclose(
                statistics_of_rank.network.state_dict()[name].double(), value.double(), rtol=1e-5, atol=1e-6
            ), name
