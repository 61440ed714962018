"""NSGA-II against random search: the numbers, recomputed by brute force."""

import itertools
import math
import statistics
from collections import Counter

import numpy as np
import pytest

from dualfair.evolution.archive import Archive
from dualfair.evolution.baselines import random_search
from dualfair.evolution.comparison import NSGA, RANDOM, contest
from dualfair.evolution.nsga2 import evolve
from dualfair.supernet.space import ChoiceBlock, SearchSpace

SPACE = SearchSpace([ChoiceBlock("a", "vwxyz"), ChoiceBlock("b", "klmn"), ChoiceBlock("c", "pqr")], "small")
BUDGET = {"population": 6, "generations": 4}


class Score:
    """Two objectives in conflict, the same for every call; counts how often each genotype was asked for."""

    def __init__(self, undefined=()):
        self.asked, self.undefined = Counter(), set(undefined)
        rng = np.random.default_rng(3)
        self.tables = [rng.normal(size=(size, 2)) for size in SPACE.sizes]
        self.noise = rng.normal(size=(SPACE.size, 2)) * 0.1

    def of(self, genotype):
        vector = SPACE.encode(genotype)
        total = sum(table[choice] for table, choice in zip(self.tables, vector, strict=True))
        place = np.ravel_multi_index(vector, SPACE.sizes)
        return (math.nan, 0.0) if place in self.undefined else tuple((total + self.noise[place]).tolist())

    def __call__(self, genotypes):
        self.asked.update(map(str, genotypes))
        return np.array([self.of(genotype) for genotype in genotypes])


def memory():
    return Archive(measurement="m", columns=("error", "disparity"))


def area(points, reference):
    """Hypervolume of two objectives by cutting the plane at every coordinate."""
    xs = sorted({x for x, _ in points} | {reference[0]})
    total = 0.0
    for left, right in itertools.pairwise(xs):
        heights = [reference[1] - y for x, y in points if x <= left]
        total += (right - left) * max(heights, default=0.0)
    return total


def undominated(points):
    return {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}


def brute(seeds, everything, random_order, known):
    """Every number of a comparison, from the plain definitions and two independent searches a seed."""
    values = Score().of
    points = [values(genotype) for genotype in everything]
    worst, best = ([pick(axis) for axis in zip(*points, strict=True)] for pick in (max, min))
    reference = [w + 0.1 * (w - b) for w, b in zip(worst, best, strict=True)]
    full = area(points, reference)
    rows, needed, whole = {NSGA: [], RANDOM: []}, [], {NSGA: [], RANDOM: []}
    for seed in seeds:
        orders = {NSGA: evolve(SPACE, Score(), **BUDGET, seed=seed), RANDOM: random_order(seed)}
        for name, result in orders.items():
            own = [values(evaluation.genotype) for evaluation in result.evaluated]
            rows[name].append([area(own[:count], reference) / full for count in (6, 12, 18, 24)])
            whole[name].append(undominated(points) <= set(own[:24]))
            order = own
        if known:
            target = rows[NSGA][-1][-1] - 1e-9
            needed.append(next(n for n in range(1, 61) if area(order[:n], reference) / full >= target))
    return rows, needed, whole, full


def test_every_number_of_an_enumerated_space_is_what_its_definition_says():
    score, seeds = Score(), range(5, 13)
    found = contest(SPACE, score, memory(), **BUDGET, seeds=seeds)
    rows, needed, whole, full = brute(
        seeds, SPACE.enumerate(), lambda seed: random_search(SPACE, Score(), evaluations=60, seed=seed), True
    )
    assert found.exhaustive and found.evaluations == (6, 12, 18, 24) and found.seeds == tuple(seeds)
    assert found.hypervolume == pytest.approx(full)
    for name in (NSGA, RANDOM):
        assert np.array(found.methods[name].shares) == pytest.approx(np.array(rows[name]), abs=1e-9)
        assert [*found.methods[name].whole_front] == whole[name]
        ends = [row[-1] for row in rows[name]]
        assert found.methods[name].mean_and_error == pytest.approx(
            (statistics.mean(ends), statistics.stdev(ends) / 8**0.5), abs=1e-9
        )
    assert [*found.needed] == needed
    gains = [ours[-1] - theirs[-1] for ours, theirs in zip(rows[NSGA], rows[RANDOM], strict=True)]
    assert (found.wins, found.losses) == (sum(gain > 1e-9 for gain in gains), sum(gain < -1e-9 for gain in gains))
    assert found.wins and found.losses
    decided, most = found.wins + found.losses, max(found.wins, found.losses)
    assert found.p == pytest.approx(
        min(1, 2 * sum(math.comb(decided, k) for k in range(most, decided + 1)) / 2**decided)
    )


def test_a_space_too_large_is_compared_with_the_best_front_of_everything_scored():
    score, archive, seeds = Score(), memory(), range(3)
    found = contest(SPACE, score, archive, **BUDGET, seeds=seeds, limit=59)
    rows, _, _, full = brute(
        seeds,
        [evaluation.genotype for evaluation in archive],
        lambda seed: random_search(SPACE, Score(), evaluations=24, seed=seed),
        False,
    )
    assert not found.exhaustive and found.scored == len(archive) == len(score.asked) < 60
    assert found.hypervolume == pytest.approx(full)
    for name in (NSGA, RANDOM):
        assert np.array(found.methods[name].shares) == pytest.approx(np.array(rows[name]), abs=1e-9)
        assert found.methods[name].whole_front is None
    assert not found.needed


@pytest.mark.parametrize("limit", [60, 59])
def test_no_genotype_is_scored_twice_and_known_scores_are_used(limit):
    score, archive = Score(), memory()
    evolve(SPACE, score, **BUDGET, archive=archive)
    first = contest(SPACE, score, archive, **BUDGET, seeds=range(4), limit=limit)
    assert set(score.asked.values()) == {1} and (len(score.asked) == 60 or limit == 59)
    before = sum(score.asked.values())
    again = contest(SPACE, score, archive, **BUDGET, seeds=range(4), limit=limit)
    assert sum(score.asked.values()) == before and again == first


def test_undefined_scores_add_nothing():
    found = contest(SPACE, Score(undefined=range(30)), memory(), **BUDGET, seeds=range(3))
    assert all(0 <= share <= 1 for reached in found.methods.values() for row in reached.shares for share in row)
    with pytest.raises(ValueError, match="none of the 60 networks scored has finite objectives"):
        contest(SPACE, Score(undefined=range(60)), memory(), **BUDGET, seeds=range(2))


def test_a_budget_of_the_whole_space_and_a_single_seed_are_refused():
    with pytest.raises(ValueError, match=r"population 6 x generations 10 is all of space small \(60\).*--generations"):
        contest(SPACE, Score(), memory(), population=6, generations=10, seeds=range(2))
    with pytest.raises(ValueError, match="seeds must be a whole number of at least 2, got 1"):
        contest(SPACE, Score(), memory(), **BUDGET, seeds=[0])
