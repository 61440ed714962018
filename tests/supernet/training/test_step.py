import copy

import pytest
import torch

from dualfair.supernet.families.dual_path_network import DualPathBlock
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.optimisation import group_of
from dualfair.supernet.training.sampling import StrictFairSampler
from dualfair.supernet.training.statistics import StepStatistics
from dualfair.supernet.training.step import accumulate, average_shared


def gradients(network):
    return {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}


def loss_with(network, labels):
    def loss_along(path, features):
        classification = network.heads[path.head](features, labels)
        loss = torch.nn.functional.cross_entropy(classification.logits(16), labels) + classification.penalty
        return loss, classification.embedding

    return loss_along


def strict_step(tiny, dtype, images):
    """Gradients of one strict step by a plain loop over whole forward passes, and by ours."""
    torch.manual_seed(0)
    space = dpn_space("dpn81", 3)
    plain = Supernet(tiny, 5, space.heads).to(dtype).train()
    network = copy.deepcopy(plain)
    images, labels = images.to(dtype), torch.arange(8) % 5
    paths = [space.decode(row) for row in StrictFairSampler(space.sizes).deal()]
    losses = []
    for path in paths:
        loss, _ = loss_with(plain, labels)(path, plain.trunk(images, path.blocks))
        loss.backward()
        losses.append(loss.detach())
    statistics = StepStatistics(network)
    statistics.begin(paths)
    result, _ = accumulate(network, images, paths, loss_with(network, labels), statistics)
    assert torch.equal(result, torch.stack(losses))
    statistics.end(statistics.sums(paths), paths)
    return gradients(plain), gradients(network), network, paths


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-5), (torch.float64, 1e-12)])
def test_the_shared_beginning_changes_nothing_but_rounding(tiny, images, dtype, tolerance):
    plain, ours, *_ = strict_step(tiny, dtype, images)
    shared = {name for name in plain if name.startswith(("trunk.stem", "trunk.blocks.0.shortcut"))}
    assert plain.keys() == ours.keys() and len(shared) == 6
    for name, expected in plain.items():
        if name in shared:
            assert (ours[name] - expected).norm() <= tolerance * expected.norm(), name
        else:
            assert torch.equal(ours[name], expected), name


def test_only_shared_gradients_are_averaged(tiny, images):
    plain, _, network, paths = strict_step(tiny, torch.float64, images)
    trunk = [p for name, p in network.named_parameters() if group_of(name) == "trunk"]
    average_shared(trunk, {name: list(head.parameters()) for name, head in network.heads.items()}, paths)
    uses = {"trunk": 9, "operations": 1, "heads": 3}
    for name, gradient in gradients(network).items():
        assert torch.allclose(gradient * uses[group_of(name)], plain[name], rtol=1e-9, atol=1e-12), name


def test_a_block_may_leave_out_what_was_carried(tiny, images, monkeypatch):
    """The first shortcut is then on no path: it gets no gradient, and the stem that of the paths."""
    join = DualPathBlock.join
    monkeypatch.setattr(DualPathBlock, "join", lambda block, carried, x: join(block, torch.zeros_like(carried), x))
    plain, ours, *_ = strict_step(tiny, torch.float64, images)
    assert plain.keys() == ours.keys()
    assert not any("shortcut" in name for name in ours) and any("stem" in name for name in ours)
    for name, expected in plain.items():
        assert torch.allclose(ours[name], expected, rtol=1e-9, atol=1e-15), name
