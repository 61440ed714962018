from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from dualfair.supernet.network import Supernet, build
from dualfair.supernet.skeleton import OwnHead, skeleton_of
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.process_group import ALONE, ProcessGroup
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.sampling import SAMPLERS
from dualfair.supernet.training.step_engine import choose_engine, deals_evenly, joint_memory

SIZES = dpn_space("dpn81", 4).sizes
CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    """Of the device that these rules are tried on: an H200's, unless a test says less."""
    device = SimpleNamespace(total_memory=140 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    return device


def supernet(skeleton="nano", **changed):
    with torch.device("meta"):
        return Supernet(replace(skeleton_of(skeleton), **changed), 10)


def chosen(network, asked="auto", sampler="strict", device=CUDA, processes=ALONE, **recipe):
    dealing = sampler and SAMPLERS[sampler](SIZES, 0)
    return str(choose_engine(asked, network, dealing, SIZES, Recipe(**recipe), device, processes))


def test_what_was_measured_to_be_faster_is_chosen():
    assert chosen(supernet()) == "as one graph (a GPU waits for Python otherwise)"
    assert chosen(supernet("small"), batch=128).startswith("as one graph")
    assert chosen(supernet("nas-bench-macro"), batch=256).startswith("as one graph (a GPU waits")
    assert chosen(supernet("paper"), batch=256) == (
        "path by path (a path's 1,536 G multiply-accumulates keep the device busy)"
    )
    assert chosen(supernet(), device=torch.device("cpu")) == ("path by path (a CPU gains nothing by all paths at once)")
    assert chosen(build("101:cosface", "nano", 10), sampler=None).startswith("as one graph")


def test_a_graph_that_may_not_fit_is_not_chosen(memory):
    memory.total_memory = 8 * 2**30
    assert chosen(supernet("small"), batch=128) == "path by path (all paths at once would take about 10 of 8 GiB)"
    assert chosen(supernet("small"), "graph", batch=128) == "as one graph (as asked for)"


@pytest.mark.parametrize(("skeleton", "batch", "measured"), [("small", 128, 8.6e9), ("paper", 256, 30.3e9)])
def test_the_forecast_of_memory_is_near_what_an_h200_showed(skeleton, batch, measured):
    forecast = joint_memory(skeleton_of(skeleton), supernet(skeleton), 9 * batch)
    assert 1 < forecast / measured < 1.4


def test_the_forecast_counts_what_every_layer_of_an_operation_keeps():
    shape, images, kept = skeleton_of("nas-bench-macro"), 4, {}
    network = Supernet(shape, 10, ("softmax",)).train()

    def keep(tensor):
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = [network.trunk(torch.randn(images, 3, 32, 32), ((code,),) * 8) for code in range(3)]
    without = joint_memory(shape, network, 0)
    forecast = joint_memory(shape, network, 3 * images) - without
    assert len(outputs) == 3 and 0.9 < forecast / sum(kept.values()) < 1.4


def test_parts_of_the_users_own_are_recorded_only_when_asked_for():
    own = supernet(own_heads=(OwnHead("mine", lambda cosine, norm, strength: (cosine, cosine.sum())),))
    with torch.device("meta"):
        backbone = SimpleNamespace(trunk=SimpleNamespace(blocks=[]), skeleton=skeleton_of("nano"))
    for network, sampler in ((own, "strict"), (backbone, None)):
        assert chosen(network, sampler=sampler) == (
            "path by path (parts that are not built in may wait for the device; --step graph tries)"
        )
        assert chosen(network, "graph", sampler=sampler) == "as one graph (as asked for)"


@pytest.mark.parametrize("sampler", ["sequential", "uniform"])
def test_steps_that_differ_cannot_be_one_graph(sampler):
    reason = "the sampler does not deal every choice equally often in every step"
    assert chosen(supernet(), sampler=sampler) == f"path by path ({reason})"
    with pytest.raises(ValueError, match=f"--step graph cannot be: {reason}; leave it out"):
        chosen(supernet(), "graph", sampler)
    with pytest.raises(ValueError, match="step must be one of auto, paths, graph, got 'fast'"):
        chosen(supernet(), "fast")


def test_ranks_go_path_by_path():
    ranks = ProcessGroup(0, 2)
    assert chosen(supernet(), processes=ranks) == "path by path (ranks share the paths of a step)"
    with pytest.raises(ValueError, match="ranks share the paths"):
        chosen(supernet(), "graph", processes=ranks)


def test_sizes_that_divide_the_paths_are_dealt_evenly():
    assert deals_evenly(SAMPLERS["strict"]((9, 3, 1), 0), (9, 3, 1))
    assert not deals_evenly(SAMPLERS["strict"]((9, 2), 0), (9, 2))


def test_parts_of_a_batch_go_path_by_path():
    reason = "the batch goes in parts, to save memory that a graph would take"
    assert chosen(supernet(), accumulate=2) == f"path by path ({reason})"
    with pytest.raises(ValueError, match=f"--step graph cannot be: {reason}; leave it out"):
        chosen(supernet(), "graph", accumulate=2)
