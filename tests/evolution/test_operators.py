from types import SimpleNamespace

import numpy as np
import pytest
from pymoo.core.population import Population
from pymoo.operators.selection.rnd import RandomSelection

from dualfair.evolution.operators import (
    WORST,
    CategoricalMutation,
    DistinctMating,
    DistinctSampling,
    GenotypeProblem,
    UniformCrossover,
    better_half,
    draw_distinct,
    sibling,
)
from dualfair.supernet.space import SPACES, ChoiceBlock, SearchSpace

PROBLEM = SimpleNamespace(sizes=np.array([9, 2, 1, 4]), n_var=4)


def test_mutation_redraws_each_block_at_its_rate_uniformly_among_the_other_choices():
    X = np.tile([3, 0, 0, 1], (30_000, 1))
    rng = np.random.default_rng(0)
    mutated = CategoricalMutation(0.25)._do(PROBLEM, X, random_state=rng)
    changed = (mutated != X).mean(axis=0)
    assert changed == pytest.approx([0.25, 0.25, 0, 0.25], abs=0.01)
    assert (mutated >= 0).all() and (mutated < PROBLEM.sizes).all()
    shares = np.bincount(mutated[:, 0], minlength=9) / len(X)
    assert shares == pytest.approx([0.25 / 8] * 3 + [0.75] + [0.25 / 8] * 5, abs=0.005)
    assert (CategoricalMutation(1.0)._do(PROBLEM, X, random_state=rng)[:, [0, 1, 3]] != X[:, [0, 1, 3]]).all()


def test_crossover_swaps_whole_blocks_evenly_and_loses_nothing():
    parents = np.array([np.tile([8, 1, 0, 3], (20_000, 1)), np.tile([0, 0, 0, 1], (20_000, 1))])
    children = UniformCrossover(0.9)._do(PROBLEM, parents, random_state=np.random.default_rng(0))
    assert (np.sort(children, axis=0) == np.sort(parents, axis=0)).all()
    swapped = children[0] != parents[0]
    assert swapped.mean(axis=0) == pytest.approx([0.5, 0.5, 0, 0.5], abs=0.02)
    assert np.corrcoef(swapped[:, 0], swapped[:, 1])[0, 1] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("already", [0, 40, 71])
def test_vectors_are_drawn_uniformly_among_those_not_asked_for(already):
    sizes, rng = np.array([9, 2, 1, 4]), np.random.default_rng(1)
    proposed = {tuple(row) for row in draw_distinct(sizes, already, set(), rng).tolist()}
    counts = {}
    for _ in range(3000):
        drawn = [tuple(row) for row in draw_distinct(sizes, 1, proposed, rng).tolist()]
        assert len(drawn) == 1 and not proposed & set(drawn)
        counts[drawn[0]] = counts.get(drawn[0], 0) + 1
    expected = 3000 / (72 - already)
    assert len(counts) == 72 - already
    assert all(abs(count - expected) < 6 * expected**0.5 for count in counts.values())


def test_drawing_gives_what_is_left_when_that_is_less_and_nothing_in_the_end():
    sizes, rng = np.array([2, 3]), np.random.default_rng(0)
    proposed = {(0, 0), (1, 2)}
    drawn = draw_distinct(sizes, 10, proposed, rng)
    assert {tuple(row) for row in drawn.tolist()} == {(0, 1), (0, 2), (1, 0), (1, 1)}
    assert draw_distinct(sizes, 3, proposed | {tuple(row) for row in drawn.tolist()}, rng).shape == (0, 2)


def test_sampling_gives_different_vectors_and_remembers_them():
    proposed = set()
    drawn = DistinctSampling(proposed, np.empty((0, len(PROBLEM.sizes)), dtype=np.int64))._do(
        PROBLEM, 60, random_state=np.random.default_rng(0)
    )
    assert {tuple(row) for row in drawn.tolist()} == proposed and len(proposed) == 60


def test_pymoo_is_told_finite_objectives_and_which_genotypes_are_infeasible():
    space = SPACES["dpn81-shared"]
    scores = np.array([[1.0, 2.0, np.nan], [np.nan, 0.0, 3.0], [-np.inf, 5.0, 3.0], [4.0, np.inf, 3.0]])
    problem = GenotypeProblem(space, 2, lambda genotypes: scores[: len(genotypes)])
    F, G = problem.evaluate(np.array([[0, 0, 0]] * 4), return_values_of=["F", "G"])
    assert F.tolist() == [[1.0, 2.0]] + [[WORST, WORST]] * 3 and np.isfinite(F**2).all()
    assert (G[:, 0] > 0).tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("ranks", "crowding", "parents"),
    [
        ([1, 0, 2, 0], [9.0, 0.1, 9.0, 0.2], {1, 3}),
        ([0, 0, 0, 0, 1], [np.inf, 0.1, 0.3, 0.2, np.inf], {0, 2, 3}),
        ([None, 1, 0, None], [None, 0.0, 0.0, None], {1, 2}),
        ([1, 0], [0.0, 0.0], {0, 1}),
        ([0], [0.0], {0}),
        ([None, None, None], [None, None, None], {0, 1}),
    ],
)
def test_parents_are_the_foremost_fronts_and_of_the_last_one_the_least_crowded(ranks, crowding, parents):
    population = Population.new("X", np.arange(len(ranks))[:, None])
    population.set("rank", ranks)
    population.set("crowding", crowding)
    assert set(better_half(population).get("X")[:, 0].tolist()) == parents


def test_only_the_better_half_of_a_population_has_children():
    problem = GenotypeProblem(SearchSpace([ChoiceBlock(f"b{n}", "pqrs") for n in range(8)]), 2, None)
    rng = np.random.default_rng(0)
    population = Population.new("X", np.concatenate([rng.integers(2, 4, (6, 8)), rng.integers(0, 2, (6, 8))]))
    population.set("rank", [1] * 6 + [0] * 6)
    population.set("crowding", [0.5] * 12)
    mating = DistinctMating(RandomSelection(), UniformCrossover(1.0), CategoricalMutation(0.0), set())
    children = mating.do(problem, population, 12, random_state=rng)
    assert len(children) == 12 and set(children.get("X").ravel().tolist()) == {0, 1}


def test_a_sibling_keeps_the_first_third_and_takes_the_end_of_a_parent_or_one_other_choice():
    rng = np.random.default_rng(0)
    child, parent, sizes = np.zeros(9, int), np.full(9, 2), np.full(9, 5)
    kinds = set()
    for _ in range(400):
        vector = sibling(child, parent, sizes, rng)
        assert not vector[:3].any() and not child.any()
        changed = np.flatnonzero(vector)
        if len(changed) and (vector[changed] == 2).all() and changed[-1] == 8 and (np.diff(changed) == 1).all():
            kinds.add(("end", int(changed[0])))
        else:
            assert len(changed) <= 1
            kinds |= {("one", int(place)) for place in changed}
    assert {("end", place) for place in range(3, 9)} <= kinds
    assert {("one", place) for place in range(3, 9)} <= kinds
