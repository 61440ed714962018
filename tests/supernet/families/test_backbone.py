"""Backbones of timm as values and as networks: what they need to be trained and judged as a searched network is."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dualfair.evaluation.scoring.scorer import population_answers
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.genotype import HEAD_NAMES
from dualfair.supernet.images.augmentation import to_input
from dualfair.supernet.skeleton import OwnHead
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer

SMALL = "test_resnet"


@given(st.from_regex(r"[a-z0-9_]{1,20}", fullmatch=True), st.sampled_from(HEAD_NAMES))
def test_a_backbone_parses_back_from_what_it_prints(name, head):
    backbone = Backbone(name, head)
    assert Backbone.parse(str(backbone)) == backbone and hash(Backbone.parse(str(backbone))) == hash(backbone)
    assert str(backbone) == f"timm.{name}:{head}" and backbone.blocks == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet18:cosface", "a backbone is written as timm.NAME:HEAD, got 'resnet18:cosface'"),
        (
            "timm.resnet18:Soft",
            "backbone resnet18: 'Soft' is no head name; choose from arcface, cosface, magface, softmax, adaface, or",
        ),
        ("timm.resnet18", "backbone resnet18: '' is no head name"),
        ("timm.resnet18.a1_in1k:cosface", "without the tag of pretrained weights"),
        ("timm.../weights:cosface", "must be a name of timm's"),
    ],
)
def test_what_is_no_backbone_is_refused(text, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        Backbone.parse(text)


def test_the_value_needs_no_torch():
    modules = "dualfair.supernet.families.backbone, dualfair.runs.training_spec, dualfair.stages.selection"
    code = f"import sys, {modules}; sys.exit(bool({{'torch', 'timm'}} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unknown_name_is_refused_with_the_closest_ones(tiny):
    with pytest.raises(ValueError, match="has no backbone 'resnet10'; close to it: resnet10t"):
        build_backbone("timm.resnet10:cosface", tiny)


def test_a_head_is_built_in_or_one_of_the_skeletons_own(tiny):
    with pytest.raises(ValueError, match="unknown head 'normface'; choose from arcface, cosface, magface"):
        build_backbone("timm.test_resnet:normface", tiny)
    own = replace(tiny, own_heads=(OwnHead("normface", lambda cosine, norm, strength: (cosine, cosine.new_zeros(()))),))
    network = build_backbone("timm.test_resnet:normface", own, 5)
    assert [*network.heads] == ["normface"] and network.heads["normface"].margin is own.own_heads[0].margin


def test_a_backbone_that_cannot_take_the_images_is_refused_in_one_line(tiny):
    with pytest.raises(ValueError, match=r"'dla46x_c' cannot be built for images of 24 px \(RuntimeError: ") as caught:
        build_backbone("timm.dla46x_c:cosface", tiny)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [SMALL, "test_vit", "test_efficientnet"])
def test_every_kind_embeds_the_runs_images_with_the_neck_and_head_of_ours(name, tiny, images):
    """The vision transformer has positions to learn and has to be told the size."""
    torch.manual_seed(0)
    size = 32 if name == "test_vit" else 24
    network = build_backbone(f"timm.{name}:arcface", tiny.resized(size), 5).eval()
    assert network(nn.functional.interpolate(images, size)).shape == (8, tiny.embedding)
    head = network.heads["arcface"]
    assert list(network.heads) == ["arcface"] and head.weight.shape == (5, tiny.embedding)
    assert head.neck.linear.weight.shape[0] == tiny.embedding and not head.neck.bn.weight.requires_grad


def test_the_same_seed_gives_the_same_weights_whether_or_not_it_takes_the_size(tiny):
    def weights(name):
        torch.manual_seed(3)
        return torch.cat([p.flatten() for p in build_backbone(f"timm.{name}:cosface", tiny, 5).parameters()])

    torch.manual_seed(3)
    import timm

    plain = timm.create_model(SMALL, num_classes=0)
    drawn = torch.cat([p.flatten() for p in plain.parameters()])
    assert torch.equal(weights(SMALL)[: len(drawn)], drawn) and torch.equal(weights(SMALL), weights(SMALL))


def trainer_of(faces, tiny, name=SMALL, **recipe):
    torch.manual_seed(0)
    network = build_backbone(f"timm.{name}:cosface", tiny, 12)
    settings = {"epochs": 8, "batch": 16, "lr": 0.05, **recipe}
    return network, Trainer(network, faces, Recipe(**settings), seed=0)


def test_a_backbone_learns_by_the_loop_of_ours(faces, tiny):
    network, trainer = trainer_of(faces, tiny, margin_warmup=0.0)
    losses = [progress.loss for progress in trainer.run()]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert trainer.head_updates == {"cosface": trainer.steps} and trainer.operation_updates.sum() == 0
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(int(norm.num_batches_tracked) == trainer.steps for norm in norms)


def test_running_statistics_move_as_in_a_plain_loop(faces, tiny):
    """One step at rate zero: every norm moved by its momentum to the statistics of the batch."""
    network, trainer = trainer_of(faces, tiny, flip=False, shift=0.0, brightness=0.0, batch=96)
    twin = build_backbone("timm.test_resnet:cosface", tiny, 12)
    twin.load_state_dict(network.state_dict())
    next(iter(trainer.run()))
    twin.train()
    twin(to_input(faces.read(np.arange(96))))
    trained, plain = network.state_dict(), twin.state_dict()
    for name in trained:
        if "running" in name and "heads" not in name:
            torch.testing.assert_close(trained[name], plain[name], rtol=1e-3, atol=1e-4)


def test_training_stopped_in_the_middle_ends_alike_although_paths_are_dropped_at_random(faces, tiny):
    def with_drops():
        network, trainer = trainer_of(faces, tiny, epochs=1)
        stem = network.trunk.stem.model
        stem.global_pool = nn.Sequential(stem.global_pool, nn.Dropout(0.5))
        return network, trainer

    whole, trainer = with_drops()
    for _ in trainer.run():
        pass
    _, first = with_drops()
    for _ in first.run(until=3):
        pass
    state = first.state_dict()
    torch.rand(7)
    again, second = with_drops()
    second.load_state_dict(state)
    for _ in second.run():
        pass
    assert second.step == second.steps > 3
    for value, other in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(value, other)


def test_judging_measures_statistics_anew_on_a_copy_with_nothing_dropped(faces, tiny):
    torch.manual_seed(0)
    network = build_backbone(f"timm.{SMALL}:cosface", tiny).eval()
    stem = network.trunk.stem.model
    stem.global_pool = nn.Sequential(stem.global_pool, nn.Dropout(0.9))
    network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    calibration = to_input(faces.read(np.arange(64)))
    result = population_answers(network, [network.spec], faces, calibration)[network.spec]
    again = population_answers(network, [network.spec], faces, calibration)[network.spec]
    assert result.shape == (96, tiny.embedding) and np.array_equal(result, again)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    for norm in (module for module in network.modules() if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm1d))):
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        network(calibration)
    by_hand = population_answers(network.eval(), [network.spec], faces, None)[network.spec]
    np.testing.assert_allclose(result, by_hand, atol=1e-5)
