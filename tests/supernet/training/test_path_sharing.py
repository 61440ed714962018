import itertools

import numpy as np
import pytest
import torch

from dualfair.evaluation.cost import macs
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.path_sharing import path_cost, path_groups, share_paths
from dualfair.supernet.training.sampling import StrictFairSampler

SPACE = dpn_space("dpn81", 3)


@pytest.mark.parametrize(
    ("ranks", "groups"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 5), (6, 3), (7, 1), (8, 2), (9, 9), (16, 2), (18, 9)]
)
def test_groups_divide_the_ranks_and_leave_few_idle(ranks, groups):
    assert path_groups(ranks, 9) == groups


def test_a_single_path_is_not_shared():
    assert [path_groups(ranks, 1) for ranks in (1, 2, 8)] == [1, 1, 1]


def test_costs_grow_as_multiply_accumulates_do(tiny):
    supernet = Supernet(tiny)
    paths = SPACE.sample_distinct(30, np.random.default_rng(0))
    costs = np.array([path_cost(supernet, path) for path in paths])
    true = np.array([macs(path, tiny) for path in paths])
    # What is not searched costs the same for every path.
    assert np.array_equal(np.diff(costs), np.diff(true))


@pytest.mark.parametrize("groups", [1, 2, 3, 5, 9])
def test_every_path_is_taken_once_and_loads_are_near_even(tiny, groups):
    supernet = Supernet(tiny)
    for seed in range(10):
        paths = [SPACE.decode(row) for row in StrictFairSampler(SPACE.sizes, seed).deal()]
        parts = share_paths(supernet, paths, groups)
        assert sorted(itertools.chain(*parts)) == list(range(9)) and len(parts) == groups
        costs = torch.tensor([path_cost(supernet, path) for path in paths])
        loads = [float(costs[part].sum()) for part in parts]
        # Graham (1969): at most 4/3 - 1/(3m) times the best there is, which is no less than either bound.
        assert max(loads) <= (4 / 3 - 1 / (3 * groups)) * max(sum(loads) / groups, float(costs.max())) * 1.2
