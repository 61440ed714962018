import math
from dataclasses import replace

import pytest
import torch
from torch.autograd import gradcheck

from dualfair.supernet.genotype import HEAD_NAMES, MARGIN_HEADS
from dualfair.supernet.heads import HEADS, MARGINS, make_head

ANGLES = torch.linspace(0.01, math.pi - 0.01, 200, dtype=torch.float64)


def test_the_table_has_the_names_of_the_genotype():
    assert (*MARGINS, "softmax", "adaface") == tuple(HEADS) == HEAD_NAMES


def test_margins_by_hand():
    theta = torch.tensor([0.3, 1.2], dtype=torch.float64)
    norm = torch.full_like(theta, 20.0)
    assert torch.allclose(MARGINS["cosface"](theta.cos(), norm, 1.0)[0], theta.cos() - 0.35)
    assert torch.allclose(MARGINS["arcface"](theta.cos(), norm, 1.0)[0], (theta + 0.5).cos())
    # a = 20: m = 0.45 + 0.35 / 100 * 10 = 0.485; penalty 35 * (20 / 12100 + 1 / 20)
    target, penalty = MARGINS["magface"](theta.cos(), norm, 1.0)
    assert torch.allclose(target, (theta + 0.485).cos())
    assert penalty.item() == pytest.approx(35 * (20 / 12100 + 0.05))


@pytest.mark.parametrize("name", MARGIN_HEADS)
def test_a_margin_only_lowers_the_target_and_stays_monotone(name):
    cosine = ANGLES.cos()
    target, _ = MARGINS[name](cosine, torch.full_like(cosine, 30.0), 1.0)
    assert (target < cosine).all()
    assert (target.diff() < 0).all(), "a larger angle must have a smaller logit"


@pytest.mark.parametrize("name", MARGIN_HEADS)
def test_without_strength_there_is_no_margin(name):
    cosine = ANGLES.cos()
    assert torch.allclose(MARGINS[name](cosine, torch.full_like(cosine, 30.0), 0.0)[0], cosine, atol=1e-6)


@pytest.mark.parametrize("name", MARGIN_HEADS)
@pytest.mark.parametrize("angle", [0.4, 1.5, 2.3, 2.9])
def test_derivatives_are_exact(name, angle):
    cosine = torch.tensor([math.cos(angle)], dtype=torch.float64, requires_grad=True)
    norm = torch.tensor([25.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda c, n: MARGINS[name](c, n, 1.0), (cosine, norm))


@pytest.mark.parametrize("name", MARGIN_HEADS)
@pytest.mark.parametrize("cosine", [-1.0, 1.0])
def test_gradients_stay_finite_at_the_ends(name, cosine):
    c = torch.tensor([cosine], requires_grad=True)
    MARGINS[name](c, torch.tensor([20.0]), 1.0)[0].sum().backward()
    assert torch.isfinite(c.grad).all()


def test_cosines_change_at_the_true_identity_only_and_are_float32(tiny):
    torch.manual_seed(0)
    head = make_head("cosface", tiny, classes=6).eval()
    features = torch.randn(4, tiny.features, 3, 3)
    labels = torch.tensor([0, 1, 2, 5])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with_margin = head(features, labels).scores
        without = head(features, labels, 0.0).scores
    assert with_margin.dtype == torch.float32
    difference = (without - with_margin).detach()
    assert torch.allclose(difference[range(4), labels], torch.full((4,), 0.35), atol=1e-5)
    difference[range(4), labels] = 0
    assert not difference.any()


def test_the_neck_normalises_without_a_learnt_scale(tiny):
    head = make_head("magface", tiny, classes=6).train()
    embedding = head(torch.randn(64, tiny.features, 3, 3), torch.zeros(64, dtype=torch.long)).embedding
    assert torch.allclose(embedding.var(0, unbiased=False), torch.ones(10), atol=1e-3)
    assert not head.neck.bn.weight.requires_grad


def test_other_necks_are_a_linear_layer_with_bias_or_nothing(tiny):
    torch.manual_seed(0)
    features = torch.randn(4, tiny.features, 3, 3)
    pooled, labels = features.mean((2, 3)), torch.arange(4)
    linear = make_head("magface", replace(tiny, neck="linear1000"), classes=6)
    embedding = linear(features, labels).embedding
    assert torch.allclose(embedding, pooled @ linear.neck.linear.weight.T + linear.neck.linear.bias, atol=1e-6)
    assert embedding.shape == (4, 1000) and linear.weight.shape == (6, 1000)
    none = make_head("magface", replace(tiny, neck="none"), classes=6)
    assert torch.equal(none(features, labels).embedding, pooled) and [*dict(none.named_parameters())] == ["weight"]


@pytest.mark.parametrize(("neck", "unit"), [("bn", (10 / 512) ** 0.5), ("none", 1.0), ("linear1000", 1.0)])
def test_norms_count_as_for_512_dimensions_only_where_a_neck_normalises(tiny, neck, unit):
    head = make_head("magface", replace(tiny, neck=neck), classes=6)
    norms = []
    head.margin = lambda cosine, norm, strength: norms.append(norm) or (cosine, cosine.new_zeros(()))
    embedding = head(torch.randn(4, tiny.features, 3, 3), torch.arange(4)).embedding
    assert torch.allclose(norms[0], embedding.norm(dim=1) / unit)


def test_a_neck_that_is_not_known_is_named(tiny):
    with pytest.raises(ValueError, match="neck must be one of bn, linear1000, none, flatten, got 'batchnorm'"):
        replace(tiny, neck="batchnorm")


def test_softmax_is_a_linear_layer_with_bias_on_what_is_pooled(tiny):
    torch.manual_seed(0)
    head = make_head("softmax", tiny, classes=6)
    features = torch.randn(4, tiny.features, 3, 3)
    classification = head(features, torch.zeros(4, dtype=torch.long))
    pooled = features.mean((2, 3))
    assert torch.equal(classification.embedding, pooled)
    assert torch.allclose(classification.logits(16.0), pooled @ head.weight.T + head.bias)
    assert sum(weight.numel() for weight in head.parameters()) == 6 * tiny.features + 6


@pytest.mark.parametrize("name", HEAD_NAMES)
def test_class_scores_are_those_of_training_without_a_margin(tiny, name):
    torch.manual_seed(0)
    head = make_head(name, tiny, classes=6).eval()
    features = torch.randn(4, tiny.features, 3, 3)
    classification = head(features, torch.arange(4), 0.0)
    assert torch.allclose(head.class_scores(classification.embedding), classification.scores, atol=1e-6)


def test_adaface_is_that_of_its_study_and_keeps_its_state(tiny):
    """Written as its equations are, with statistics that follow every batch of training."""
    torch.manual_seed(0)
    head = make_head("adaface", tiny, classes=6).train()
    margin, mean, deviation = head.margin, torch.tensor(20.0), torch.tensor(100.0)
    for strength in (1.0, 0.5, *[1.0] * 20):
        cosines, norms = torch.rand(16) * 1.9 - 0.95, torch.rand(16) * 120
        safe = norms.clamp(0.001, 100)
        mean, deviation = 0.01 * safe.mean() + 0.99 * mean, 0.01 * safe.std() + 0.99 * deviation
        z = (0.333 * (safe - mean) / (deviation + 1e-3)).clamp(-1, 1)
        m = 0.4 * strength
        angle = (cosines.acos() - m * z).clamp(1e-3, math.pi - 1e-3)
        target, penalty = margin(cosines, norms, strength)
        assert torch.allclose(target, angle.cos() - (m + m * z), atol=1e-5) and not penalty
    assert {"margin.mean", "margin.deviation"} <= set(head.state_dict())
    assert torch.allclose(margin.mean, mean) and torch.allclose(margin.deviation, deviation)
    again = make_head("adaface", tiny, classes=6)
    again.load_state_dict(head.state_dict())
    features, labels = torch.randn(4, tiny.features, 3, 3), torch.arange(4)
    before = {name: value.clone() for name, value in head.eval().state_dict().items()}
    scores = head(features, labels).scores
    assert torch.equal(scores, again.eval()(features, labels).scores)
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())


def test_adaface_asks_more_of_images_with_a_large_norm_and_norms_get_no_gradient(tiny):
    margin = make_head("adaface", tiny, classes=6).eval().margin
    cosines, norms = torch.full((2,), -0.2), torch.tensor([0.0, 100.0], requires_grad=True)
    target, _ = margin(cosines.requires_grad_(), norms, 1.0)
    # Seen from a wide angle the larger norm is worth the larger margin; both are below the cosine.
    assert target[1] < target[0] < -0.2
    target.sum().backward()
    assert norms.grad is None and cosines.grad.isfinite().all()
