import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualfair.supernet.training import sampling
from dualfair.supernet.training.sampling import SAMPLERS, StrictFairSampler, UniformSampler, check_sampler

sizes_of_blocks = st.lists(st.integers(1, 11), min_size=1, max_size=8)


@given(sizes_of_blocks, st.integers(0, 2**32), st.integers(1, 12))
@settings(deadline=None)
def test_counts_never_differ_by_more_than_one_and_are_equal_at_common_multiples(sizes, seed, steps):
    sampler = StrictFairSampler(sizes, seed)
    counts = [np.zeros(size, int) for size in sizes]
    dealt = 0
    for _ in range(steps):
        paths = sampler.deal()
        assert paths.shape == (max(sizes), len(sizes))
        for path in paths:
            dealt += 1
            for count, choice in zip(counts, path, strict=True):
                count[choice] += 1
                assert count.max() - count.min() <= 1
                if dealt % len(count) == 0:
                    assert count.max() == count.min()


def test_a_step_of_the_dpn_spaces_uses_every_operation_once_and_every_head_three_times():
    sampler = StrictFairSampler([9] * 8 + [3], seed=1)
    for _ in range(20):
        paths = sampler.deal()
        for block in range(8):
            assert sorted(paths[:, block]) == list(range(9))
        assert np.bincount(paths[:, 8]).tolist() == [3, 3, 3]


def test_the_sequential_sampler_deals_the_very_paths_of_the_strict_one_an_update_each():
    strict, sequential = (SAMPLERS[name]([9] * 8 + [3], seed=4) for name in ("strict", "sequential"))
    for _ in range(3):
        one_by_one = [sequential.deal() for _ in range(9)]
        assert {paths.shape for paths in one_by_one} == {(1, 9)}
        assert np.array_equal(np.concatenate(one_by_one), strict.deal())


def test_choice_blocks_are_shuffled_independently():
    sampler = StrictFairSampler([9, 9], seed=0)
    pairs = {tuple(path) for _ in range(200) for path in sampler.deal().tolist()}
    assert len(pairs) == 81


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_same_seed_same_paths_and_state_continues_exactly(sampler):
    first, second = sampler([9, 3, 4], seed=5), sampler([9, 3, 4], seed=5)
    for _ in range(3):
        assert np.array_equal(first.deal(), second.deal())
    state = first.state_dict()
    ahead = [first.deal() for _ in range(4)]
    other = sampler([9, 3, 4], seed=99)
    other.load_state_dict(state)
    assert all(np.array_equal(other.deal(), paths) for paths in ahead)


def test_uniform_paths_are_fair_in_expectation_only():
    sampler = UniformSampler([9], seed=0)
    counts = np.bincount([sampler.deal()[0, 0] for _ in range(900)], minlength=9)
    assert counts.max() > counts.min() + 1 and counts.min() > 60 and counts.max() < 140


def test_bad_sizes_and_foreign_states_are_refused():
    with pytest.raises(ValueError, match="one positive number a choice block, got \\[9, 0\\]"):
        StrictFairSampler([9, 0])
    with pytest.raises(ValueError, match="sizes \\(9, 3\\), this space has \\(9, 4\\)"):
        StrictFairSampler([9, 4]).load_state_dict(StrictFairSampler([9, 3]).state_dict())


@pytest.mark.parametrize(("name", "paths", "updates"), [("strict", 9, 1), ("sequential", 1, 9), ("uniform", 1, 9)])
def test_built_in_samplers_pass_as_many_paths_an_epoch(name, paths, updates):
    sampler = SAMPLERS[name]([9, 3], 0)
    assert (sampler.paths_per_step, sampler.updates_per_batch) == (paths, updates)
    check_sampler(SAMPLERS[name], [9, 3])


class Own(UniformSampler):
    """A sampler of a user's, of which each fault below breaks one thing."""


def faulty(**broken):
    return type("Faulty", (Own,), broken)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (7, "trying it failed: TypeError: 'int' object is not callable"),
        (faulty(__init__=lambda self: None), "trying it failed: TypeError"),
        (faulty(paths_per_step=2), r"whole numbers of shape \(2, 2\) .* got int64 of shape \(1, 2\)"),
        (faulty(paths_per_step=1.0), "paths_per_step must be a whole number, 1 or more, got 1.0"),
        (faulty(updates_per_batch=property(lambda self: 0, lambda self, value: None)), "updates_per_batch .* got 0"),
        (faulty(deal=lambda self: np.array([[9, 0]])), r"choices from 0 to below \[9, 3\], got \[\[9, 0\]\]"),
        (faulty(deal=lambda self: np.array([[-1, 0]])), "choices from 0 to below"),
        (faulty(deal=lambda self: np.array([[0.0, 0.0]])), "whole numbers of shape .* got float64"),
        (faulty(deal=lambda self: np.random.default_rng().integers(0, 3, (1, 2))), "one seed deals different paths"),
        (faulty(load_state_dict=lambda self, state: None), "goes on with other paths behind load_state_dict"),
        (faulty(state_dict=lambda self: {"rng": self._rng}), "trying it failed: TypeError: .* not JSON serializable"),
        (faulty(state_dict=None), "trying it failed: TypeError"),
    ],
)
def test_an_own_sampler_that_training_would_stumble_over_is_refused_with_the_reason(make, fault):
    with pytest.raises(ValueError, match=fault):
        check_sampler(make, [9, 3])


def test_the_docstring_shows_a_step_that_uses_every_choice_equally():
    assert doctest.testmod(sampling).failed == 0
    assert doctest.testmod(sampling).attempted > 0
