import itertools

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dualfair.evaluation.cost import macs
from dualfair.evaluation.scoring.scorer import population_answers
from dualfair.evaluation.scoring.sharing import Work, divide, expected_work, work
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from tests.support.workloads import small_space

SPACE = dpn_space("dpn81", 3)


def population(n, seed=0):
    """Random genotypes, half of which share their first two blocks with others."""
    drawn = SPACE.sample_distinct(n, np.random.default_rng(seed))
    vectors = [SPACE.encode(genotype) for genotype in drawn]
    for vector in vectors[: n // 2]:
        vector[:3] = vectors[0][:3]
    return [SPACE.decode(vector) for vector in vectors]


def test_one_genotype_shares_nothing(tiny):
    genotype = SPACE.parse("101-606-252:cosface")
    assert work([genotype], tiny) == Work(macs(genotype, tiny), macs(genotype, tiny))
    assert work([genotype, genotype], tiny).saving == 1.0
    assert work([], tiny) == Work(0, 0) and Work().saving == 1.0


def test_heads_of_one_backbone_cost_their_necks_only(tiny):
    heads = [SPACE.parse(f"101-606-252:{head}") for head in ("arcface", "cosface", "magface")]
    result = work(heads, tiny)
    assert result.one_by_one == 3 * macs(heads[0], tiny)
    assert result.shared == macs(heads[0], tiny) + 2 * tiny.features * tiny.embedding


def test_shared_work_is_what_scoring_really_computes(tiny):
    """Against counted multiplications of the trie on one image and its mirror, statistics inherited."""
    torch.manual_seed(0)
    supernet = Supernet(tiny).eval()
    faces = FaceSet(np.zeros((1, 24, 24, 3), np.uint8), np.arange(1), np.array(["p"]), np.array(["a"]), 24)
    genotypes = population(12)
    with FlopCounterMode(display=False) as counter:
        population_answers(supernet, genotypes, faces, None)
    assert counter.get_total_flops() == 2 * 2 * work(genotypes, tiny).shared


def test_work_adds_up():
    assert Work(3, 2) + Work(5, 1) == Work(8, 3)


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 12])
def test_parts_are_even_and_hold_neighbours(parts):
    genotypes = population(9, seed=parts)
    result = divide([*genotypes, genotypes[0]], parts)
    ordered = sorted(genotypes, key=lambda genotype: (genotype.blocks, genotype.head))
    assert [genotype for part in result for genotype in part] == ordered and len(result) == parts
    assert max(map(len, result)) - min(map(len, result)) <= 1
    assert divide([], 2) == [[], []]


def test_the_work_of_random_populations_is_the_mean_over_all_of_them(tiny):
    space = small_space()
    everything = sorted(space.enumerate())
    for size in (1, 2, 3):
        mean = np.mean([work(population, tiny).shared for population in itertools.combinations(everything, size)])
        assert expected_work(space, tiny, size, size) == pytest.approx(mean, rel=0.02)


def test_populations_share_what_is_scored_at_once_and_nothing_else(tiny):
    space = small_space()
    everything = sorted(space.enumerate())
    alone = work(everything[:8], tiny).shared + work(everything[8:], tiny).shared
    assert expected_work(space, tiny, 16, 8) == pytest.approx(alone)
    assert alone > work(everything, tiny).shared
