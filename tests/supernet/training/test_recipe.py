import pytest
import torch

from dualfair.supernet.network import build
from dualfair.supernet.training.gradients import path_loss
from dualfair.supernet.training.recipe import Recipe


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("lr", 0.0, "lr must be above 0, got 0.0"),
        ("lr", float("nan"), "lr must be above 0, got nan"),
        ("warmup", 1.0, "warmup must be below 1, got 1.0"),
        ("batch", 1, "batch must be 2 or more"),
        ("loss", "hinge", "loss must be ce or focal, got 'hinge'"),
        ("schedule", "poly", "schedule must be cosine, step, multistep or none, got 'poly'"),
        ("shared_gradients", "median", "shared_gradients must be mean or sum, got 'median'"),
        ("train_precision", "half", "train_precision must be one of bf16, fp16, tf32, float32, got 'half'"),
        ("accumulate", 9, "accumulate must be 1 to 8, for 2 images or more a part of a batch of 16, got 9"),
        ("accumulate", 0, "accumulate must be 1 to 8"),
        ("lr_floor", -1e-6, "lr_floor must be 0 or more, got -1e-06"),
        ("ema", 1.0, "ema must be below 1, got 1.0"),
        ("ema", -0.1, "ema must be 0 or more, got -0.1"),
        ("head_scales", "magface", "head_scales must be different heads with numbers above 0, such as magface=32"),
        ("head_scales", "cosface=8,cosface=9", "got 'cosface=8,cosface=9'"),
        ("head_margins", "arcface=0", "head_margins must be different heads with numbers above 0"),
        ("head_margins", "arcface=inf", "got 'arcface=inf'"),
    ],
)
def test_a_bad_recipe_is_refused(field, value, message):
    with pytest.raises(ValueError) as error:
        Recipe(**{field: value})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr_floor": 1e-6, "schedule": "step"}, "lr_floor is where the cosine schedule ends, got 1e-06 for 'step'"),
        ({"schedule": "multistep"}, "milestones are of the multistep schedule, got '' for 'multistep'"),
        ({"milestones": "0.5"}, "milestones are of the multistep schedule, got '0.5' for 'cosine'"),
        *(
            (
                {"schedule": "multistep", "milestones": text},
                f"milestones must rise between 0 and 1 and be joined by ',', such as 0.5,0.8, got {text!r}",
            )
            for text in ("0.5;0.8", "0.8,0.5", "0.5,0.5", "0.5,1", "12,20", "nan")
        ),
        ({"cutout": 1.0}, "cutout must be below 1, got 1.0"),
        ({"warmup_lr": 1e-4, "schedule": "none"}, "warmup_lr is where a warm-up begins, got 0.0001 without a warm-up"),
        ({"warmup_lr": 1e-4, "warmup": 0.0}, "warmup_lr is where a warm-up begins, got 0.0001 without a warm-up"),
    ],
)
def test_rates_that_nothing_would_follow_are_refused(fields, message):
    with pytest.raises(ValueError) as error:
        Recipe(**fields)
    assert str(error.value) == message


def test_scales_margins_and_penalties_of_single_heads():
    scales, penalties = "magface=8, cosface=64", "magface=0.5"
    recipe = Recipe(scale=20, head_scales=scales, head_margins="arcface=0.6", head_penalties=penalties)
    assert [recipe.penalty_of(head) for head in ("arcface", "cosface", "magface")] == [1, 1, 0.5]
    assert [recipe.scale_of(head) for head in ("arcface", "cosface", "magface")] == [20, 64, 8]
    assert [recipe.margin_of(head) for head in ("arcface", "cosface", "own")] == [0.6, 1, 1]
    recipe.check_heads(("arcface", "cosface", "magface"))
    with pytest.raises(ValueError, match="head_scales names head 'magface'; choose from arcface, cosface"):
        recipe.check_heads(("arcface", "cosface"))


def test_a_penalty_has_its_share_in_the_loss(tiny):
    torch.manual_seed(0)
    network = build("101-101-101:magface", tiny, identities=6)
    features, labels = torch.randn(4, tiny.features, 3, 3), torch.arange(4)
    losses = {
        share: path_loss(network, Recipe(head_penalties=f"magface={share}"), "magface", features, [labels], 1.0)[0]
        for share in (0.5, 1.0, 2.0)
    }
    penalty = network.heads["magface"](features, labels, 1.0).penalty
    assert torch.isclose(losses[1.0] - losses[0.5], 0.5 * penalty, rtol=1e-4) and penalty > 0
    assert torch.isclose(losses[2.0] - losses[1.0], penalty, rtol=1e-4)


def test_amp_of_earlier_versions_is_a_precision():
    assert Recipe.upgraded({"lr": 1, "amp": True}) == {"lr": 1, "train_precision": "bf16"}
    assert Recipe.upgraded({"amp": False, "train_precision": "fp16"}) == {"train_precision": "tf32"}
    unclear = {"amp": "yes"}
    assert Recipe.upgraded(unclear) == unclear and Recipe.upgraded(unclear) is not unclear
