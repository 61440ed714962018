"""Masks: the formulas, what the regulariser bounds, and that a planted bias is found."""

import copy
import math

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

from dualfair.supernet.masking import (
    FILTER,
    KEPT,
    REMOVED,
    WEIGHT,
    MaskOptions,
    MaskScores,
    find_masks,
    maskable,
    masked,
    penalty,
    shares,
)
from dualfair.supernet.network import build


def layers(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 2)).eval()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_weights_of_two_dimensions_are_masked_and_no_others(tiny):
    assert list(maskable(layers())) == ["0.weight", "3.weight"]
    network = build("101-680-353:softmax", tiny, 5)
    named = dict(network.named_parameters())
    convolutions = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    assert convolutions < set(maskable(network)) and "heads.softmax.weight" in maskable(network)
    assert all(named[name].ndim == 1 for name in set(named) - set(maskable(network)))
    with pytest.raises(ValueError, match="has no weights of convolutions or linear layers to mask"):
        maskable(nn.BatchNorm1d(3))


@pytest.mark.parametrize("each", [WEIGHT, FILTER])
def test_scores_far_above_0_leave_the_network_bit_for_bit(each):
    network, inputs = layers(), torch.randn(9, 6, generator=generator())
    masks = MaskScores(network, start=50.0, each=each).sampled(generator())
    assert torch.equal(masked(network, masks, inputs), network(inputs))
    assert shares(masks) == {KEPT: 1.0, REMOVED: 0.0}


@pytest.mark.parametrize(("start", "share"), [(3.0, 0.00135), (1.0, 0.0786), (0.0, 0.5), (-0.04, 0.571)])
def test_noise_takes_out_as_much_as_its_variance_says(start, share):
    """P(e < -m), e ~ N(0, v): v is 1 at 3, 0.5 at 1 and 0.05 at 0 and below."""
    network = nn.Linear(300, 300)
    removed = shares(MaskScores(network, start=start).sampled(generator()))[REMOVED]
    assert removed == pytest.approx(share, abs=0.004)


def test_gradients_are_those_of_the_sigmoid_times_what_reaches_the_mask():
    network, inputs = layers(), torch.randn(9, 6, generator=generator())
    scores = MaskScores(network, start=0.2)
    masks = scores.sampled(generator())
    for mask in masks.values():
        mask.retain_grad()
    given = {name: mask.detach() for name, mask in masks.items()}
    masked(network, masks, inputs).square().sum().backward()
    for name, score in zip(scores.names, scores.scores, strict=True):
        sigmoid = torch.tensor(0.2).sigmoid()
        assert torch.allclose(score.grad, masks[name].grad * sigmoid * (1 - sigmoid))
        assert score.grad.abs().sum() > 0
    # What reaches a mask, by the formula of the network.
    mask = given["3.weight"].clone().requires_grad_()
    first = functional.linear(inputs, network[0].weight * given["0.weight"], network[0].bias)
    last = functional.linear(network[2](network[1](first)), network[3].weight * mask, network[3].bias)
    last.square().sum().backward()
    assert torch.allclose(masks["3.weight"].grad, mask.grad)


def test_a_filter_goes_as_a_whole():
    masks = MaskScores(nn.Conv2d(3, 40, 3), start=0.0, each=FILTER).sampled(generator())
    values = masks["weight"].flatten(1)
    assert masks["weight"].shape == (40, 3, 3, 3)
    assert (values.amin(1) == values.amax(1)).all() and 0 < values.mean() < 1


def test_the_regulariser_is_that_of_equation_7_and_flat_below_its_bound():
    masks = {"a": torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0]), "b": torch.ones(15)}
    assert penalty(masks, KEPT, 0.1).item() == pytest.approx(math.log(0.8 / 0.1))
    assert penalty(masks, REMOVED, 0.1).item() == pytest.approx(math.log(0.2 / 0.1))
    assert penalty(masks, REMOVED, 0.3).item() == 0
    for share, sign in ((KEPT, 1), (REMOVED, -1)):
        leaf = torch.full((20,), 0.8, requires_grad=True)
        penalty({"a": leaf}, share, 0.1).backward()
        kept = 0.8 if share == KEPT else 0.2
        assert torch.allclose(leaf.grad, torch.full((20,), sign / (20 * kept)))


def samples(seed, n=400):
    """Two classes that the first half of the inputs tells, and a cue, the last input, that says something else."""
    drawn = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=drawn)
    y = (x[:, 0] + x[:, 1] > 0).long()
    x[:, 5] = torch.randint(0, 2, (n,), generator=drawn) * 4.0 - 2
    return x, y


def shares_found(loss, **options):
    network, (x, y) = layers(), samples(0)
    options = MaskOptions(epochs=120, lr=0.1, bound=0.3, **options)
    return shares(find_masks(network, lambda: iter([(x, y)]), loss, options, seed=0))


def test_what_is_removed_is_bounded_where_the_loss_would_have_all_go():
    def nothing(outputs, _):
        return outputs.square().mean()

    assert shares_found(nothing, strength=0.0)[REMOVED] > 0.6
    assert shares_found(nothing, strength=100.0)[REMOVED] < 0.4


def test_what_is_kept_is_brought_down_where_the_loss_would_keep_all():
    assert shares_found(functional.cross_entropy, share=KEPT, strength=0.0)[KEPT] > 0.5
    assert shares_found(functional.cross_entropy, share=KEPT, strength=5.0)[KEPT] < 0.4


def with_a_planted_bias(seed):
    """A network of which hidden units 8 to 11 read the cue alone and shift the answer, and its weights behind these."""
    network = layers(seed)
    x, y = samples(seed, 2000)
    x[:, 5] = 0
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        functional.cross_entropy(network.train()(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        network[0].weight[8:] = 0
        network[0].weight[8:, 5] = torch.tensor([1.0, -1.0, 1.0, -1.0])
        network[0].bias[8:] = 0
        network[1].running_mean[8:], network[1].running_var[8:] = 0, 1
        network[1].weight[8:], network[1].bias[8:] = 1, 0
        network[3].weight[:, 8:] = torch.tensor([[-2.0, 2.0] * 2, [2.0, -2.0] * 2])
    planted = torch.zeros(2, 12, dtype=torch.bool)
    planted[:, 8:] = True
    return network.eval(), planted


def wrong(network, x, y, masks):
    with torch.no_grad():
        return (masked(network, masks, x).argmax(1) != y).float().mean().item()


def test_a_planted_bias_is_found():
    """On samples where the cue means nothing, the weights that carry it are taken out, and most others are not."""
    aucs = []
    for seed in range(3):
        network, planted = with_a_planted_bias(seed)
        (x, y), before = samples(seed, 2000), copy.deepcopy(network.state_dict())
        parts = [(x[start : start + 200], y[start : start + 200]) for start in range(0, len(x), 200)]
        options = MaskOptions(epochs=60, lr=0.05, bound=0.3)
        masks = find_masks(network, lambda parts=parts: iter(parts), functional.cross_entropy, options, seed=seed)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        aucs.append(roc_auc_score(planted.flatten(), ~masks["3.weight"].flatten()))
        other_x, other_y = samples(seed + 100)
        assert wrong(network, other_x, other_y, masks) < wrong(network, other_x, other_y, {}) / 2
    assert min(aucs) > 0.7 and sum(aucs) / len(aucs) > 0.85


def test_the_same_seed_finds_the_same_and_modes_are_kept():
    network, (x, y) = layers().train(), samples(0)
    options, parts = MaskOptions(epochs=80, lr=0.1, bound=0.5), [(x, y)]
    one, other = (
        find_masks(network, lambda: iter(parts), lambda out, _: out.square().mean(), options, seed=0) for _ in range(2)
    )
    assert network.training and shares(one)[REMOVED] > 0
    assert all(torch.equal(one[name], other[name]) for name in one)
    masks = [MaskScores(network, start=1.0).sampled(generator(seed))["0.weight"] for seed in (0, 0, 1)]
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


def test_what_makes_no_mask_is_refused():
    network, (x, y) = layers(), samples(0)
    with pytest.raises(ValueError, match="share must be one of kept, removed, got 'gone'"):
        MaskOptions(share="gone")
    with pytest.raises(ValueError, match="bound must be above 0 and below 1, got 1"):
        MaskOptions(bound=1.0)
    with pytest.raises(ValueError, match="loss of masks is not finite in step 0"):
        find_masks(network, lambda: iter([(x, y)]), lambda out, _: out.sum() * math.inf, MaskOptions(), seed=0)
