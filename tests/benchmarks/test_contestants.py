"""Contestants of a benchmark do the same thing: otherwise their times could not be compared."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dualfair.benchmarks import processes, scoring
from dualfair.benchmarks.contest import Setting
from dualfair.benchmarks.scoring import (
    TIMM_MODELS,
    full_sort_ranks,
    in_one_trie,
    one_by_one,
    random_embeddings,
    timm_network,
    timm_parts,
)
from dualfair.benchmarks.training import GENOTYPE, PlainTraining, count_flops
from dualfair.evaluation.cost import macs
from dualfair.evaluation.metrics.identification import ranks
from dualfair.evaluation.scoring.embedding import embed, network_input
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
    plain = PlainTraining(
        supernet_of(tiny, faces, space), faces, recipe, seed=0, space=space, layout=torch.channels_last
    )
    trainer = Trainer(supernet_of(tiny, faces, space), faces, recipe, seed=0, space=space)
    same_updates(plain, trainer, before, steps)


def test_the_plain_timm_loop_and_the_trainer_make_the_same_updates(tiny, faces):
    recipe = Recipe(batch=16, epochs=100_000, warmup=0.0, lr=0.05, clip=1.0)
    torch.manual_seed(0)
    plain = PlainTraining(
        build(GENOTYPE, tiny, faces.identity_count), faces, recipe, seed=0, layout=torch.channels_last
    )
    torch.manual_seed(0)
    trainer = Trainer(build(GENOTYPE, tiny, faces.identity_count), faces, recipe, seed=0)
    same_updates(plain, trainer, learnt(trainer.network), steps=2)


def same_updates(plain, trainer, before, steps):
    for progress in trainer.run(until=steps):
        assert plain.step() == pytest.approx(progress.loss, rel=1e-4)
    expected, trained = learnt(plain.network), learnt(trainer.network)
    for name, value in expected.items():
        update = torch.linalg.vector_norm(value - before[name])
        assert update > 0, f"{name} was not updated"
        # Of the update: a step without clipping is so long that the next one makes much of what rounding differs by.
        assert torch.linalg.vector_norm(value - trained[name]) < 1e-3 * update, name


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
    apart = one_by_one(supernet, population, faces, calibration, 4)
    together = in_one_trie(supernet, population, faces, calibration, 4)
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
    shape = SKELETONS[name]
    images = torch.zeros(1, 3, shape.image_size, shape.image_size)
    with torch.no_grad():
        flops = [count_flops(lambda made=made: made(images)) for made in (timm_network(shape).eval(),
                                                                         build(GENOTYPE, shape).eval())]  # fmt: skip
    assert flops == [2 * macs(GENOTYPE, shape)] * 2


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
    (skipped,) = processes.processes(Setting())
    assert skipped.lines()[1] == "  skipped: there is 1 thread"


def test_all_heads_share_their_backbones():
    space = dpn_space("dpn81", 4)
    found = scoring.all_heads(space, Setting(population=10))
    assert len(set(found)) == 9
    assert len({genotype.blocks for genotype in found}) == 3
