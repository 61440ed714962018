import itertools

import numpy as np
import pytest
import torch

from dualfair.supernet.network import Supernet, build
from dualfair.supernet.space import ChoiceBlock, SearchSpace, dpn_space
from dualfair.supernet.training.optimisation import group_of
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.sampling import SAMPLERS
from dualfair.supernet.training.trainer import NonFinite, Trainer


def few_paths():
    """A space of three paths a step."""
    return dpn_space("dpn81", 3, operations=("pre3", "pre1", "pre5"))


def trainer_of(tiny, faces, *, space=None, seed=0, sampler="strict", **recipe):
    torch.manual_seed(seed)
    space = space or dpn_space("dpn81", 3)
    network = Supernet(tiny, faces.identity_count, space.heads)
    recipe = Recipe(**{"epochs": 2, "batch": 16, "lr": 1e-3, **recipe})
    return Trainer(network, faces, recipe, seed=seed, space=space, sampler=SAMPLERS[sampler])


def weights(trainer):
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_every_operation_and_every_head_gets_the_same_number_of_updates(tiny, faces):
    trainer = trainer_of(tiny, faces)
    steps = list(trainer.run())
    assert len(steps) == trainer.steps == 12
    assert (trainer.operation_updates == 12).all()
    assert trainer.head_updates == {"arcface": 36, "cosface": 36, "magface": 36}


@pytest.mark.parametrize("sampler", ["sequential", "uniform"])
def test_an_epoch_is_as_many_path_passes_whatever_the_sampler(tiny, faces, sampler):
    trainer = trainer_of(tiny, faces, sampler=sampler)
    assert (trainer.steps, trainer.paths_per_step) == (12 * 9, 1)
    list(trainer.run(until=18))
    assert trainer.operation_updates.sum() == 18 * 9
    if sampler == "sequential":
        assert (trainer.operation_updates == 2).all() and set(trainer.head_updates.values()) == {6}


def test_irregular_spaces_are_counted_exactly_too(tiny, faces):
    genes = [((block, position), (block, position)) for block in range(3) for position in range(3)]
    blocks = [ChoiceBlock(f"g{i}", ("pre1", "post1"), (gene[0],), (1, 7)) for i, gene in enumerate(genes[:-1])]
    last = ChoiceBlock("last", ("pre3", "pre1", "pre5"), (genes[-1][0],), (0, 1, 2))
    space = SearchSpace([*blocks, last, ChoiceBlock("head", ("cosface",))])
    trainer = trainer_of(tiny, faces, space=space, epochs=4)
    list(trainer.run(until=8))
    assert trainer.paths_per_step == 3
    assert trainer.operation_updates[0, 0, [1, 7]].tolist() == [12, 12]
    assert trainer.operation_updates[2, 2, :3].tolist() == [8, 8, 8]
    assert trainer.operation_updates.sum() == 8 * 3 * 9


def test_heads_may_have_scales_and_margins_of_their_own(tiny, faces):
    """Losses against the heads called by hand; ArcFace with half of 0.5 is ArcFace with 0.25."""
    own = {"head_scales": "magface=4", "head_margins": "arcface=0.5", "margin_warmup": 0.0}
    trainer = trainer_of(tiny, faces, shift=0.0, flip=False, brightness=0.0, **own)
    twin = trainer_of(tiny, faces)
    paths = [twin.space.decode(row) for row in twin.path_sampler.deal()]
    numbers = twin.batch_sampler.deal()
    images = twin.faces.read(numbers).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    labels = torch.from_numpy(faces.labels[numbers])
    losses = []
    for path in paths:
        head = twin.network.heads[path.head]
        features = twin.network.trunk(images, path.blocks)
        if path.head == "arcface":
            cosines = head(features, labels, 0.0).scores
            true = cosines.gather(1, labels[:, None])
            scores, penalty = cosines.scatter(1, labels[:, None], (true.acos() + 0.25).cos()), 0.0
        else:
            result = head(features, labels)
            scores, penalty = result.scores, result.penalty
        scale = 4 if path.head == "magface" else 16
        losses.append(torch.nn.functional.cross_entropy(scale * scores, labels) + penalty)
    step = next(iter(trainer.run(until=1)))
    assert step.loss == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_a_scale_of_a_head_that_is_not_there_is_refused(tiny, faces):
    with pytest.raises(ValueError, match="head_margins names head 'softmax'; choose from arcface, cosface, magface"):
        trainer_of(tiny, faces, head_margins="softmax=0.5")


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("shared, share", [("mean", {"trunk": 9, "operations": 1, "heads": 3}),
                                           ("sum", {"trunk": 1, "operations": 1, "heads": 1})])  # fmt: skip
def test_a_step_is_the_sum_of_its_paths_divided_where_shared(tiny, faces, shared, share, parts):
    """FairNAS algorithm 1 against a plain loop with autograd on the mean and the sum, over parts of the batch."""
    plain = {"optimizer": "momentum", "momentum": 0.0, "weight_decay": 0.0, "clip": 0.0, "schedule": "none", "lr": 0.5}
    unmoved = {"shift": 0.0, "flip": False, "brightness": 0.0, "margin_warmup": 0.0}
    trainer = trainer_of(tiny, faces, shared_gradients=shared, accumulate=parts, **plain, **unmoved)
    twin = trainer_of(tiny, faces)
    twin.network.load_state_dict(trainer.network.state_dict())
    paths = [trainer.space.decode(row) for row in twin.path_sampler.deal()]
    numbers = twin.batch_sampler.deal()
    images = twin.faces.read(numbers).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    labels = torch.from_numpy(faces.labels[numbers])
    named = dict(twin.network.named_parameters())
    sums = {name: torch.zeros_like(p) for name, p in named.items()}
    for path, part in itertools.product(paths, np.array_split(np.arange(16), parts)):
        result = twin.network.heads[path.head](twin.network.trunk(images[part], path.blocks), labels[part])
        loss = torch.nn.functional.cross_entropy(result.logits(16.0), labels[part]) + result.penalty
        loss = loss * len(part) / 16
        learnt = {name: p for name, p in named.items() if p.requires_grad}
        for name, grad in zip(learnt, torch.autograd.grad(loss, learnt.values(), allow_unused=True), strict=True):
            sums[name] += 0 if grad is None else grad
    before = weights(trainer)
    next(trainer.run())
    for name, parameter in trainer.network.named_parameters():
        expected = before[name] - 0.5 * sums[name] / share[group_of(name)]
        assert torch.allclose(parameter, expected, rtol=1e-3, atol=2e-5), name


def test_bn_sees_parts_of_a_batch_and_moves_once_to_their_mean(tiny, faces):
    trainer, means, sizes = trainer_of(tiny, faces, accumulate=4), [], []
    norm = next(module for module in trainer.network.trunk.stem.modules() if hasattr(module, "running_mean"))

    def look(_, inputs):
        sizes.append(len(inputs[0]))
        means.append(inputs[0].detach().mean((0, 2, 3)))

    norm.register_forward_pre_hook(look)
    next(trainer.run())
    assert sizes == [4] * 4 and norm.num_batches_tracked == 1
    assert torch.allclose(norm.running_mean, norm.momentum * torch.stack(means).mean(0), atol=1e-6)


def test_a_batch_in_parts_is_shared_by_no_more_ranks_than_a_part_has_images(tiny, faces):
    network = build("101:cosface", tiny, faces.identity_count)
    with pytest.raises(ValueError, match="a batch of 16 images in 5 parts cannot be shared by 4 ranks"):
        Trainer(network, faces, Recipe(batch=16, accumulate=5), seed=0, processes=ProcessGroup(0, 4))


def test_a_moving_average_takes_the_place_of_the_weights_behind_the_last_step(tiny, faces):
    """By the definition, with the decay 1 - (1 + t)^(-2/3) of step t (from 0) until it reaches the one asked for."""
    plain, averaged = (trainer_of(tiny, faces, space=few_paths(), ema=decay) for decay in (0.0, 0.7))
    average = weights(plain)
    for progress, _ in zip(plain.run(), averaged.run(), strict=True):
        t = progress.step - 1
        decay = min(0.7, 1 - (1 + t) ** (-2 / 3)) if t else 0.0
        for name, value in weights(plain).items():
            average[name] = decay * average[name] + (1 - decay) * value if value.is_floating_point() else value
        if progress.step == plain.steps - 1:
            assert same(weights(averaged), weights(plain)), "until then training goes on undisturbed"
    moved = {name for name, value in weights(averaged).items() if not torch.equal(value, weights(plain)[name])}
    assert len(moved) > 50
    for name, value in weights(averaged).items():
        assert torch.allclose(value, average[name], rtol=1e-4, atol=1e-5), name


def test_same_seed_same_weights_and_another_seed_others(tiny, faces):
    first, second, other = (trainer_of(tiny, faces, seed=seed) for seed in (0, 0, 1))
    for trainer in (first, second, other):
        list(trainer.run(until=3))
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(other))


def test_a_training_that_is_asked_to_stop_finishes_its_step(tiny, faces):
    trainer = trainer_of(tiny, faces)
    answers = iter([False, False, True, False])
    steps = [(progress.step, progress.stopped) for progress in trainer.run(stop=lambda: next(answers))]
    assert steps == [(1, False), (2, False), (3, True)]


def test_a_non_finite_path_skips_the_whole_step_and_is_named_in_the_end(tiny, faces):
    trainer = trainer_of(tiny, faces, non_finite_limit=3)
    with torch.no_grad():
        trainer.network.trunk.blocks[1].positions[2]["raw5"].conv.weight.fill_(float("inf"))
    before = weights(trainer)
    with pytest.raises(NonFinite, match=r"3 steps in a row .* first seen in trunk.blocks.1.positions.2.raw5.conv"):
        list(trainer.run())
    assert same(weights(trainer), before), "neither weights nor BN statistics may move"
    assert not trainer.operation_updates.any() and trainer.skipped == 3


def test_groups_of_weights_have_their_own_learning_rate(tiny, faces):
    trainer = trainer_of(
        tiny, faces, optimizer="momentum", momentum=0.0, schedule="none", lr_trunk=1e-9, weight_decay=0.0
    )
    before = weights(trainer)
    next(trainer.run())
    moved = {name: (value - before[name]).abs().max().item() for name, value in trainer.network.named_parameters()}
    assert max(change for name, change in moved.items() if group_of(name) == "trunk") < 1e-7
    assert min(change for name, change in moved.items() if name.endswith("conv.weight") and "positions" in name) > 1e-8


def test_the_learning_rate_warms_up_and_falls(tiny, faces):
    trainer = trainer_of(tiny, faces, space=few_paths(), epochs=10, warmup=0.2)
    rates = [progress.lr for progress in trainer.run()]
    assert rates[0] < rates[5] < rates[11] == max(rates) and 0 < rates[-1] < rates[40] < rates[20]


def test_the_learning_rate_begins_and_ends_where_it_is_told_to(tiny, faces):
    rates = {"warmup": 0.25, "lr": 0.1, "warmup_lr": 0.02, "lr_floor": 0.01}
    trainer = trainer_of(tiny, faces, space=few_paths(), epochs=4, sampler="uniform", **rates)
    rates = [progress.lr for progress in trainer.run()]
    assert rates[0] == pytest.approx(0.02, abs=0.01) and max(rates) == pytest.approx(0.1, abs=0.005)
    assert min(rates[len(rates) // 4 :]) == rates[-1] == pytest.approx(0.01, abs=0.003)


def test_standalone_training_lowers_the_loss_and_updates_once_a_step(tiny, faces):
    torch.manual_seed(0)
    network = build("101:cosface", tiny, faces.identity_count)
    trainer = Trainer(network, faces, Recipe(epochs=12, batch=16, lr=5e-3, margin_warmup=0.0), seed=0)
    losses = [progress.loss for progress in trainer.run()]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert trainer.operation_updates[0, 0].tolist() == [0, trainer.steps, *[0] * 7]


def test_an_unknown_optimizer_is_refused(tiny, faces):
    with pytest.raises(ValueError, match="optimizer 'sdg' is not one of timm's"):
        trainer_of(tiny, faces, optimizer="sdg")
