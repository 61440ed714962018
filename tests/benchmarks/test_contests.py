"""Contestants of a benchmark do the same thing: otherwise their times could not be compared."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dualfair.benchmarks.contest import Setting
from dualfair.benchmarks.contests import (
    chosen_engine,
    embedding,
    full_sort_ranks,
    plain_steps,
    populations,
    random_embeddings,
)
from dualfair.evaluation.metrics.identification import ranks
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer

RECIPE = Recipe(batch=16, epochs=1000, warmup=0.0, lr=0.05, margin_warmup=1e-4)


def learnt(network):
    return {name: value.detach().clone() for name, value in network.named_parameters() if value.requires_grad}


@pytest.mark.parametrize(("clip", "steps"), [(1.0, 2), (1e6, 1)], ids=["clipped", "not clipped"])
def test_the_plain_strict_loop_and_the_trainer_make_the_same_updates(tiny, faces, clip, steps):
    recipe, space = replace(RECIPE, clip=clip), dpn_space("dpn81", 3)

    def supernet():
        torch.manual_seed(0)
        return Supernet(tiny, faces.identity_count, space.heads)

    before, plain = learnt(supernet()), supernet()
    # In another layout the same sums are taken in another order.
    losses = plain_steps(plain, faces, recipe, space, layout=torch.channels_last)
    trainer = Trainer(supernet(), faces, recipe, seed=0, space=space)
    for progress in trainer.run(until=steps):
        assert next(losses) == pytest.approx(progress.loss, rel=1e-4)
    expected, trained = learnt(plain), learnt(trainer.network)
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


def test_one_by_one_and_the_trie_give_the_same_embeddings():
    setting = Setting(batch=5)
    population = setting.space.sample_distinct(3, np.random.default_rng(0))
    (together,) = embedding(setting, [population])()
    for part in embedding(setting, [[genotype] for genotype in population])():
        ((genotype, expected),) = part.items()
        assert np.allclose(together.pop(genotype), expected, atol=1e-6), genotype
    assert not together


def test_all_heads_share_their_backbones():
    all_heads = populations(dpn_space("dpn81", 4), 10)["all heads of random backbones"]
    assert len(set(all_heads)) == 9 and len({genotype.blocks for genotype in all_heads}) == 3


def test_the_trainer_that_is_timed_is_named_by_the_engine_of_its_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=140 * 2**30))
    assert chosen_engine(Setting(device="cuda")).way == "as one graph"
    assert chosen_engine(Setting(device="cuda", skeleton="paper", batch=256)).way == "path by path"
    assert chosen_engine(Setting()).way == "path by path"
