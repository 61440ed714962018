from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training import trainer as training
from dualfair.supernet.training.precision import LossScale, float32_products, half_type
from dualfair.supernet.training.recipe import PRECISIONS, Recipe
from dualfair.supernet.training.trainer import NonFinite, Trainer

CUDA = SimpleNamespace(type="cuda")


def trainer_of(tiny, faces, step="paths", **recipe):
    torch.manual_seed(0)
    space = dpn_space("dpn81", 3, operations=("pre3", "pre1", "raw5"))
    network = Supernet(tiny, faces.identity_count, space.heads)
    recipe = Recipe(**{"epochs": 2, "batch": 16, "lr": 1e-2, **recipe})
    return Trainer(network, faces, recipe, seed=0, space=space, step=step)


def weights(trainer):
    return torch.cat([weight.detach().flatten().clone() for weight in trainer.network.parameters()])


def test_the_scale_is_that_of_torch():
    """Its GradScaler sees one weight whose gradient overflows in some steps."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=3)
    weight = torch.zeros(1, requires_grad=True)
    optimizer, scale = torch.optim.SGD([weight]), LossScale(interval=3)
    for overflow in np.random.default_rng(0).random(60) < 0.25:
        scaler.scale(weight.sum()).backward()
        if overflow:
            weight.grad.fill_(float("inf"))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        scale.shrink() if overflow else scale.keep()
        assert scale.value == scaler.get_scale()


def test_half_precision_is_for_cuda():
    kinds = [half_type(Recipe(train_precision=name), CUDA) for name in PRECISIONS]
    assert kinds == [torch.bfloat16, torch.float16, None, None]
    assert {half_type(Recipe(train_precision=name), torch.device("cpu")) for name in PRECISIONS} == {None}


def test_tf32_is_switched_within_and_put_back_even_after_an_error():
    matmul, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn.conv

    def switches():
        return matmul.fp32_precision, convolutions.fp32_precision

    before = switches()
    within = {"tf32": ("tf32", "tf32"), "float32": ("ieee", "ieee"), "bf16": before, "fp16": before}
    for name, expected in within.items():
        with pytest.raises(KeyError), float32_products(Recipe(train_precision=name), CUDA):
            assert switches() == expected
            raise KeyError
        assert switches() == before
        with float32_products(Recipe(train_precision=name), torch.device("cpu")):
            assert switches() == before


def test_a_step_runs_with_its_switches(tiny, faces, monkeypatch):
    trainer, seen = trainer_of(tiny, faces, train_precision="float32"), []
    monkeypatch.setattr(training, "float32_products", lambda recipe, device: seen.append((recipe, device)) or _nothing)
    next(trainer.run())
    assert seen == [(trainer.recipe, trainer.device)]


class _Nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None


_nothing = _Nothing()


@pytest.mark.parametrize("step", ["paths", "graph"])
def test_a_scaled_loss_gives_the_same_training_to_the_bit(tiny, faces, step):
    """Powers of two do not round; the scale doubles on the way."""
    plain, scaled = (trainer_of(tiny, faces, step) for _ in range(2))
    scaled.loss_scale = LossScale(interval=2)
    for expected, progress in zip(plain.run(until=4), scaled.run(until=4), strict=True):
        assert progress == expected
    assert torch.equal(weights(plain), weights(scaled)) and scaled.loss_scale == LossScale(2.0**18, 0, 2)


@pytest.mark.parametrize("step", ["paths", "graph"])
def test_float16_trains_about_as_float32(tiny, faces, monkeypatch, step):
    full = trainer_of(tiny, faces, step)
    monkeypatch.setattr(training, "half_type", lambda recipe, device: torch.float16)
    half = trainer_of(tiny, faces, step, train_precision="fp16")
    half.loss_scale.value = 2.0**8
    losses = [[progress.loss for progress in each.run(until=3)] for each in (full, half)]
    assert half.loss_scale.steps == 3 and half.skipped == 0
    assert losses[1] != losses[0] and np.allclose(*losses, rtol=0.02)


@pytest.mark.parametrize("step", ["paths", "graph"])
def test_a_step_whose_scale_was_too_large_is_left_out_and_counts_as_none_that_was_skipped(tiny, faces, step):
    trainer = trainer_of(tiny, faces, step, non_finite_limit=2)
    trainer.loss_scale, before = LossScale(2.0**131), weights(trainer)
    buffers = {name: buffer.clone() for name, buffer in trainer.network.named_buffers()}
    for _ in trainer.run(until=3):
        assert torch.equal(weights(trainer), before)
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in trainer.network.named_buffers())
    assert trainer.loss_scale == LossScale(2.0**128) and not trainer.operation_updates.any()
    list(trainer.run(until=20))
    assert trainer.skipped == 0 and not torch.equal(weights(trainer), before)


def test_a_loss_that_is_not_finite_is_not_the_scales_fault(tiny, faces):
    trainer = trainer_of(tiny, faces, non_finite_limit=2)
    trainer.loss_scale = LossScale()
    with torch.no_grad():
        trainer.network.trunk.blocks[0].positions[0]["pre3"].conv.weight.fill_(float("nan"))
    with pytest.raises(NonFinite, match="2 steps in a row had a non-finite loss"):
        list(trainer.run())
    assert trainer.loss_scale.value == 2.0**16


def test_gradients_that_overflow_without_a_scale_are_skipped_steps(tiny, faces):
    trainer = trainer_of(tiny, faces, non_finite_limit=2)
    trainer.loss_scale = LossScale(1.0)
    next(trainer.network.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(NonFinite, match="2 steps in a row had a non-finite gradient"):
        list(trainer.run())


def test_the_scale_is_in_the_state_and_other_states_are_read(tiny, faces):
    first, second, plain = (trainer_of(tiny, faces) for _ in range(3))
    first.loss_scale, second.loss_scale = LossScale(8.0, 5), LossScale()
    second.load_state_dict(first.state_dict())
    assert second.loss_scale == LossScale(8.0, 5)
    plain.load_state_dict(first.state_dict())
    assert plain.loss_scale is None and "loss_scale" not in plain.state_dict()["dealt"]
    second.load_state_dict(plain.state_dict())
    assert second.loss_scale == LossScale(8.0, 5)
