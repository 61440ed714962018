"""FLOPs by formula, against brute-force enumeration and independent sums."""

import itertools

import numpy as np
import pytest

from dualfair.evaluation.cost import macs
from dualfair.evaluation.scoring.sharing import work
from dualfair.planning.flops import expected_macs, population_macs, search_macs, training_flops
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.recipe import Recipe
from tests.support.workloads import small_space, workload_of


@pytest.mark.parametrize("name", ["dpn81-shared", "dpn729-shared"])
@pytest.mark.parametrize("skeleton", ["nano", "paper"])
def test_expected_macs_are_the_mean_of_the_enumerated_space(name, skeleton):
    from dualfair.supernet.skeleton import skeleton_of

    space, skeleton = dpn_space(name), skeleton_of(skeleton).resized(75)
    # MACs do not depend on the head, which comes last: every third genotype is enough.
    every = itertools.islice(space.enumerate(), 0, None, 3)
    assert expected_macs(space, skeleton) == pytest.approx(np.mean([macs(genotype, skeleton) for genotype in every]))


def test_training_flops_are_six_a_mac_of_every_path_image_and_step(tiny):
    space = dpn_space("dpn81-shared", 3)
    planned = workload_of(space, tiny, train=Recipe(epochs=2, batch=10))
    path = np.mean([macs(genotype, tiny) for genotype in space.enumerate()]) + 12 * tiny.embedding
    steps = planned.supernet_steps
    assert steps == 2 * (96 // 10)
    assert training_flops(planned, planned.train, 9 * steps) == pytest.approx(6 * path * 10 * 9 * steps)


def test_populations_are_priced_as_the_mean_over_all_of_them(tiny):
    space = small_space()
    everything = sorted(space.enumerate())
    for size in (1, 2, 3):
        mean = np.mean([work(population, tiny).shared for population in itertools.combinations(everything, size)])
        assert population_macs(workload_of(space, tiny), size) == pytest.approx(mean, rel=0.02)


@pytest.mark.parametrize("search", [{"exhaustive": True}, {"population": 16, "generations": 1}])
def test_a_search_shares_within_its_calls_and_not_between_them(tiny, search):
    space = small_space()
    everything = sorted(space.enumerate())
    alone = work(everything[:8], tiny).shared + work(everything[8:], tiny).shared
    assert search_macs(workload_of(space, tiny, **search)) == pytest.approx(alone)
    assert alone > work(everything, tiny).shared
