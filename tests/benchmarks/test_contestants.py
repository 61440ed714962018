"""Contestants of a benchmark do the same thing: otherwise their times could not be compared."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dualfair.benchmarks import prediction, processes, scoring
from dualfair.benchmarks.embedding import GENOTYPE, TIMM_MODELS, counted_macs, our_network, timm_network, timm_parts
from dualfair.benchmarks.ranks import full_sort_ranks, random_embeddings
from dualfair.benchmarks.scoring import one_by_one
from dualfair.benchmarks.setting import Setting
from dualfair.benchmarks.standalone import PlainTraining
from dualfair.benchmarks.step import PlainStrictTraining
from dualfair.evaluation.cost import macs
from dualfair.evaluation.metrics.identification import ranks
from dualfair.evaluation.scoring.embedding import embed, network_input
from dualfair.evaluation.scoring.scorer import population_embeddings
from dualfair.supernet.images.noise import RandomFaces
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.skeleton import SKELETONS
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.process_group import ALONE
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer

RECIPE = Recipe(batch=16, epochs=1000, warmup=0.0, lr=0.05, margin_warmup=1e-4)


def supernet_of(tiny, faces, space):
    torch.manual_seed(0)
    return Supernet(tiny, faces.identity_count, space.heads)


def learnt(network):
    return {name: value.detach().clone() for name, value in network.named_parameters() if value.requires_grad}


@pytest.mark.parametrize(("clip", "steps"), [(1.0, 2), (1e6, 1)], ids=["clipped", "not clipped"])
def test_the_plain_strict_loop_and_the_trainer_make_the_same_updates(tiny, faces, clip, steps):
    recipe = replace(RECIPE, clip=clip)
    space = dpn_space("dpn81", 3)
    before = learnt(supernet_of(tiny, faces, space))
    # In another layout the same sums are taken in another order.
    layout = {"layout": torch.channels_last}
    plain = PlainStrictTraining(supernet_of(tiny, faces, space), faces, recipe, seed=0, space=space, **layout)
    trainer = Trainer(supernet_of(tiny, faces, space), faces, recipe, seed=0, space=space)
    for progress in trainer.run(until=steps):
        assert np.mean(plain.step()) == pytest.approx(progress.loss, rel=1e-4)
    expected, found = learnt(plain.supernet), learnt(trainer.network)
    for name, value in expected.items():
        update = torch.linalg.vector_norm(value - before[name])
        assert update > 0, f"{name} was not updated"
        # Of the update: a step without clipping is so long that the next one makes much of what rounding differs by.
        assert torch.linalg.vector_norm(value - found[name]) < 1e-3 * update, name


def test_the_plain_timm_loop_and_the_trainer_make_the_same_updates(tiny, faces):
    recipe = Recipe(batch=16, epochs=100_000, warmup=0.0, lr=0.05, clip=1e6)
    torch.manual_seed(0)
    plain = PlainTraining(
        build(GENOTYPE, tiny, faces.identity_count), faces, recipe, seed=0, layout=torch.channels_last
    )
    torch.manual_seed(0)
    trainer = Trainer(build(GENOTYPE, tiny, faces.identity_count), faces, recipe, seed=0)
    before = learnt(trainer.network)
    for progress in trainer.run(until=2):
        assert plain.step() == pytest.approx(progress.loss, rel=1e-4)
    expected, found = learnt(plain.network), learnt(trainer.network)
    for name, value in expected.items():
        assert not torch.equal(value, before[name]), f"{name} was not updated"
        assert torch.allclose(value, found[name], rtol=1e-4, atol=1e-5), name


def test_the_full_sort_and_the_count_find_the_same_ranks():
    embeddings, identities = random_embeddings(400, seed=3)
    exact = embeddings.astype(np.float64)
    expected = full_sort_ranks(exact, identities)
    assert np.array_equal(ranks(exact, identities).values, expected)
    assert 0 < np.mean(expected) < 300
    worse = ranks(embeddings, identities).values - full_sort_ranks(embeddings, identities)
    assert (worse >= 0).all() and worse.mean() < 0.05, "in float32 our ranks count near ties against the probe"


def test_one_by_one_and_the_trie_give_the_same_embeddings(tiny):
    space = dpn_space("dpn81", 3)
    torch.manual_seed(0)
    supernet = Supernet(tiny, 0, space.heads).eval()
    faces = RandomFaces(7, 2, tiny.image_size)
    calibration = network_input(RandomFaces(9, 2, tiny.image_size, 1), np.arange(9), "cpu")
    population = space.sample_distinct(4, np.random.default_rng(0))
    apart = one_by_one(supernet, population, faces, calibration, batch=4)
    together = population_embeddings(supernet, population, faces, calibration, batch=4)
    assert list(apart) == population
    for genotype, expected in apart.items():
        assert np.allclose(together[genotype], expected, atol=1e-6), genotype


def test_the_rival_of_timms_parts_is_our_network_on_the_same_weights(tiny):
    torch.manual_seed(0)
    ours, theirs = build(GENOTYPE, tiny).eval(), timm_network(tiny).eval()
    for kind in (nn.Conv2d, nn.BatchNorm2d):
        mine = [module for module in ours.trunk.modules() if isinstance(module, kind)]
        rivals = [module for module in theirs.modules() if isinstance(module, kind)][: len(mine)]
        for module, rival in zip(mine, rivals, strict=True):
            rival.load_state_dict(module.state_dict())
    neck = ours.heads["cosface"].neck.linear
    theirs[-2].weight.data = neck.weight.data[:, :, None, None]
    nn.init.zeros_(theirs[-2].bias)
    faces = RandomFaces(8, 2, tiny.image_size)
    assert np.allclose(embed(theirs, faces), embed(ours, faces), atol=1e-5)


@pytest.mark.parametrize("name", SKELETONS)
def test_the_rival_has_the_cost_of_our_network(name):
    setting = Setting(skeleton=name, size=SKELETONS[name].image_size)
    expected = macs(GENOTYPE, setting.shape)
    assert counted_macs(our_network, setting) == counted_macs(timm_network, setting) == expected


@pytest.mark.parametrize("name", TIMM_MODELS)
def test_timms_own_model_and_that_of_its_parts_have_the_same_weights(name):
    shape = SKELETONS[name].resized(blocks=(1, 2, 1, 1))
    sizes = [sorted(weight.numel() for weight in make(shape).parameters()) for make in (timm_network, timm_parts)]
    assert sizes[0] == sizes[1]


def test_the_searched_population_is_what_the_middle_generation_asked_for(monkeypatch):
    monkeypatch.setattr(scoring, "EPOCHS", 1)
    setting = Setting(size=32, batch=48, population=6)
    space = dpn_space("dpn81", 4)
    asked = []

    def recorded(space, score, **arguments):
        def listening(genotypes):
            asked.append(list(genotypes))
            return score(genotypes)

        return search(space, listening, **arguments)

    search = scoring.evolve
    monkeypatch.setattr(scoring, "evolve", recorded)
    for number, found in enumerate(scoring.searched_populations(space, setting).values()):
        generations = asked[4 * number : 4 * number + 4]
        assert sorted(found) == generations[3]
        assert len(set(found)) == 6 and all(genotype in space for genotype in found)
        assert not set(found) & set(generations[0])
    assert len(asked) == 8


def test_work_by_processes_is_timed_on_the_leader(monkeypatch):
    for name in ("STEPS", "SCORINGS"):
        monkeypatch.setattr(processes, name, 1)
    found = processes.seconds_of_work(Setting(size=32, batch=8, population=3), ALONE)
    assert set(found) == {"train", "search"} and all(seconds > 0 for seconds in found.values())


def test_one_thread_is_not_shared_between_ranks(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    (skipped,) = processes.run(Setting())
    assert skipped.lines()[1] == "  skipped: there is 1 thread"


def test_all_heads_share_their_backbones():
    space = dpn_space("dpn81", 4)
    found = scoring.all_heads(space, Setting(population=10))
    assert len(set(found)) == 9
    assert len({genotype.blocks for genotype in found}) == 3


def test_a_prediction_stands_beside_every_stage_that_was_timed(monkeypatch):
    monkeypatch.setattr(prediction, "SECONDS", 0.5)
    monkeypatch.setattr(prediction, "STEPS", 2)
    (found,) = prediction.run(Setting(size=32, batch=8))
    assert [name.split(",")[0] for name in found.measured] == ["train", "search", "retrain"]
    assert all(seconds > 0 for seconds in found.measured.values())
    assert all(span.low <= span.middle <= span.high for span in found.predicted.values())
    assert len(found.lines()) == 5 and found.lines()[1].split()[-1] == "measured"
