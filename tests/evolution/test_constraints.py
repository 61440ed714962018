"""Searches within limits and from given networks: what is asked for, what is never scored, and what is said."""

import itertools

import numpy as np
import pytest

from dualfair.evolution.archive import Archive
from dualfair.evolution.baselines import exhaustive, random_search
from dualfair.evolution.constraints import Constraints, NothingFeasible
from dualfair.evolution.nsga2 import evolve
from dualfair.evolution.operators import (
    WORST,
    CategoricalMutation,
    DistinctMating,
    GenotypeProblem,
    NotProposedBefore,
    UniformCrossover,
)
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SPACES, ChoiceBlock, SearchSpace

SMALL = SearchSpace([ChoiceBlock(f"b{n}", "pqrs") for n in range(4)], "small")
LARGE = SPACES["dpn81"]
WEIGHTS = np.random.default_rng(5).normal(size=(2, 16))


def codes(genotypes):
    return np.array([[code for block in genotype.blocks for code in block] for genotype in genotypes])


def score(genotypes):
    X = codes(genotypes)
    return np.cos(X[:, None, :] * 7 + WEIGHTS[:, : X.shape[1]] * 9).sum(axis=2)


def sum_at_most(space, most, calls=None):
    """At most so large a sum of all codes."""

    def costs(genotypes):
        if calls is not None:
            calls.extend(genotypes)
        return codes(genotypes).sum(axis=1, keepdims=True) / most - 1

    return Constraints(space, costs)


class Recording:
    def __init__(self):
        self.requested = []

    def __call__(self, genotypes):
        self.requested += genotypes
        return score(genotypes)


def archive():
    return Archive(measurement="m", columns=("error", "disparity"))


# 0.7 % and 16 % of the large space keep these; a random draw of 12 hardly ever holds one of the first.
@pytest.mark.parametrize("most", [20, 36])
@pytest.mark.parametrize("siblings", [1, 2])
def test_the_whole_budget_goes_to_networks_within_the_limits(most, siblings):
    scorer, calls = Recording(), []
    constraints = sum_at_most(LARGE, most, calls)
    result = evolve(LARGE, scorer, population=12, generations=5, seed=1, constraints=constraints, siblings=siblings)
    assert result.evaluations == len(scorer.requested) == len(set(scorer.requested)) == 60
    assert (codes(scorer.requested).sum(axis=1) <= most).all()
    assert result.ended == "generations done" and result.infeasible == 0
    assert len(calls) == len(set(calls))


def test_limits_that_every_network_keeps_change_nothing_behind_the_first_generation():
    first = SMALL.sample_distinct(8, np.random.default_rng(0))
    arguments = {"population": 8, "generations": 4, "seed": 3, "initial_population": first}
    free, limited = (
        evolve(SMALL, score, constraints=constraints, **arguments) for constraints in (None, sum_at_most(SMALL, 10**6))
    )
    assert [evaluation.genotype for evaluation in free.evaluated[:8]] == first
    assert free.evaluations == 32 and free.evaluated == limited.evaluated and free.front == limited.front


def test_a_small_space_is_searched_to_the_last_network_within_the_limits():
    kept = {g for g in SMALL.enumerate() if codes([g]).sum() <= 3}
    result = evolve(SMALL, score, population=10, generations=10, seed=0, constraints=sum_at_most(SMALL, 3))
    assert {e.genotype for e in result.evaluated} == kept and len(kept) == 35
    assert result.ended == "no more networks found within the limits"
    single = evolve(SMALL, score, population=10, generations=3, seed=0, constraints=sum_at_most(SMALL, 0.5))
    assert [str(e.genotype) for e in single.evaluated] == ["0-0-0-0"] and len(single.front) == 1


def test_vectors_within_limits_are_drawn_uniformly_and_none_that_was_asked_for():
    constraints, rng = sum_at_most(SMALL, 3), np.random.default_rng(0)
    kept = [v for v in itertools.product(range(4), repeat=4) if sum(v) <= 3]
    excluded = set(kept[:15])
    counts = dict.fromkeys(kept[15:], 0)
    for _ in range(2000):
        (drawn,) = constraints.draw(1, excluded, rng).tolist()
        counts[tuple(drawn)] += 1
    assert all(abs(count - 100) < 60 for count in counts.values())
    assert sorted(map(tuple, constraints.draw(99, excluded, rng).tolist())) == sorted(kept[15:])
    assert constraints.draw(0, excluded, rng).shape == constraints.draw(3, set(kept), rng).shape == (0, 4)


def test_the_least_violating_lead_to_networks_too_rare_to_be_drawn():
    # 57 of 129 million; the codes of a random network add up to about 48.
    vectors = sum_at_most(LARGE, 2).draw(12, set(), np.random.default_rng(0))
    assert len({tuple(row) for row in vectors.tolist()}) == 12
    assert (codes([LARGE.decode(row) for row in vectors]).sum(axis=1) <= 2).all()


@pytest.mark.parametrize("space", [SMALL, LARGE], ids=lambda space: space.name)
def test_impossible_limits_are_refused_with_the_least_costs_of_the_space(space):
    def costs(genotypes):
        total = codes(genotypes).sum(axis=1)
        return np.stack([(total + 3) / 2, (total + 10) / 4], axis=1) - 1

    for search in (
        lambda constraints: evolve(space, score, population=8, generations=2, seed=0, constraints=constraints),
        lambda constraints: random_search(space, score, evaluations=10, constraints=constraints),
        *([lambda constraints: exhaustive(space, score, constraints=constraints)] if space is SMALL else []),
    ):
        with pytest.raises(NothingFeasible, match=r"keeps the limits: the smallest costs seen are 1\.5, 2\.5 of them"):
            search(Constraints(space, costs))
        with pytest.raises(NothingFeasible, match=r"^\[0\.5, 1\.5\]$"):
            search(Constraints(space, costs, str))


def test_a_cost_that_was_not_looked_at_counts_only_beside_a_broken_limit():
    def costs(genotypes):
        total = codes(genotypes).sum(axis=1)
        return np.stack([total / 3 - 1, np.where(total > 3, np.nan, -0.5)], axis=1)

    constraints = Constraints(SMALL, costs)
    assert constraints.violations(np.array([[0, 0, 0, 3], [3, 3, 0, 0]])).tolist() == [0, 1]
    with pytest.raises(ValueError, match="NaN for genotype '0-0-0-0', which breaks no other limit"):
        Constraints(SMALL, lambda genotypes: np.full((len(genotypes), 1), np.nan)).keeps(SMALL.decode([0, 0, 0, 0]))
    with pytest.raises(ValueError, match=r"shape \(1,\) for 1 genotypes; expected a row a genotype"):
        Constraints(SMALL, lambda genotypes: np.zeros(len(genotypes))).keeps(SMALL.decode([0, 0, 0, 0]))


def test_what_else_the_archive_holds_plays_no_part_in_a_search():
    """A search after an exhaustive one, and after one of another seed, comes to what it comes to alone."""
    kept = archive()
    free = exhaustive(SMALL, score, archive=kept)
    how = {"population": 6, "generations": 2, "constraints": sum_at_most(SMALL, 5)}
    limited, alone = evolve(SMALL, score, archive=kept, **how), evolve(SMALL, score, **how)
    assert len(kept) == SMALL.size == free.evaluations and limited.reused == 12
    assert limited.evaluated == alone.evaluated and limited.front == alone.front and limited.trace == alone.trace
    values = np.array([evaluation.values for evaluation in limited.evaluated])
    dominated = [((values <= point).all(axis=1) & (values < point).any(axis=1)).any() for point in values]
    front = {e.genotype for e, beaten in zip(limited.evaluated, dominated, strict=True) if not beaten}
    assert {e.genotype for e in limited.front} == front and limited.front_values.shape == (len(front), 2)
    assert kept.get([SMALL.decode([3, 3, 3, 3])])


def test_exhaustive_and_random_search_keep_the_limits():
    whole, scorer = exhaustive(SMALL, Recording(), constraints=sum_at_most(SMALL, 4)), Recording()
    assert {e.genotype for e in whole.evaluated} == {g for g in SMALL.enumerate() if codes([g]).sum() <= 4}
    drawn = random_search(SMALL, scorer, evaluations=20, constraints=sum_at_most(SMALL, 4))
    assert len(scorer.requested) == 20 and (codes(scorer.requested).sum(axis=1) <= 4).all() and not drawn.notes
    more = random_search(SMALL, scorer, evaluations=99, constraints=sum_at_most(SMALL, 4))
    assert more.evaluations == whole.evaluations and more.ended == "no more networks found within the limits"
    assert more.notes == (
        f"evaluations=99 is more than space small is known to hold within the limits: all {whole.evaluations} "
        "genotypes were scored",
    )


def test_an_interrupted_search_within_limits_ends_alike():
    kept = archive()
    whole = evolve(LARGE, score, population=10, generations=5, seed=1, constraints=sum_at_most(LARGE, 30))
    for evaluation in whole.evaluated[:23]:
        kept.add([evaluation.genotype], [evaluation.values])
    resumed = evolve(
        LARGE, score, population=10, generations=5, seed=1, constraints=sum_at_most(LARGE, 30), archive=kept
    )
    assert resumed.evaluated == whole.evaluated and resumed.front == whole.front and resumed.reused == 23


def test_pymoo_is_told_of_the_violation_and_nothing_beyond_the_limits_is_scored():
    scorer = Recording()
    problem = GenotypeProblem(SMALL, 2, scorer, sum_at_most(SMALL, 4))
    F, G = problem.evaluate(np.array([[0, 0, 1, 3], [3, 3, 0, 2], [3, 3, 3, 3]]), return_values_of=["F", "G"])
    assert list(map(str, scorer.requested)) == ["0-0-1-3"] and (F[1:] == WORST).all() and (F[0] < WORST).all()
    assert G[:, 1].tolist() == [0, 1, 2] and (G[:, 0] == -1).all()
    nothing = problem.evaluate(np.array([[3, 3, 3, 3]]), return_values_of=["F"])
    assert (nothing == WORST).all() and len(scorer.requested) == 1


def test_mating_turns_away_children_beyond_the_limits():
    from pymoo.core.population import Population
    from pymoo.operators.selection.rnd import RandomSelection

    constraints, rng, proposed = sum_at_most(SMALL, 5), np.random.default_rng(0), set()
    population = Population.new("X", np.array([[3, 2, 0, 0], [0, 0, 2, 3], [1, 1, 1, 1], [0, 3, 0, 2]]))
    population.set("rank", [0] * 4)
    population.set("crowding", [1.0] * 4)
    keeping = NotProposedBefore({(1, 1, 1, 1)}, constraints).do(
        Population.new("X", np.array([[1, 1, 1, 1], [3, 3, 0, 0], [0] * 4]))
    )
    assert keeping.get("X").tolist() == [[0, 0, 0, 0]]
    mating = DistinctMating(
        RandomSelection(), UniformCrossover(1.0), CategoricalMutation(0.5), proposed, 3, constraints
    )
    children = mating.do(GenotypeProblem(SMALL, 2, score, constraints), population, 30, random_state=rng).get("X")
    assert len(children) == 30 and (children.sum(axis=1) <= 5).all()


@pytest.mark.parametrize("constraints", [None, sum_at_most(LARGE, 40)], ids=["free", "limited"])
def test_a_search_begins_with_the_networks_given_each_once_and_counts_them(constraints):
    given = [LARGE.parse("000:arcface"), LARGE.parse("010:cosface"), LARGE.parse("000:arcface")]
    scorer = Recording()
    result = evolve(
        LARGE, scorer, population=5, generations=3, seed=2, initial_population=given, constraints=constraints
    )
    assert [e.genotype for e in result.evaluated[:2]] == given[:2]
    assert result.evaluations == len(set(scorer.requested)) == 15


def test_starts_outside_of_the_space_or_the_limits_or_too_many_are_refused():
    inside = [SMALL.decode([0, 0, 0, n]) for n in range(3)]
    with pytest.raises(ValueError, match="3 networks to start from are more than the first generation holds"):
        evolve(SMALL, score, population=2, generations=1, initial_population=inside)
    with pytest.raises(ValueError, match="genotype '0-0-0-2' to start from breaks a limit; leave it out"):
        evolve(SMALL, score, population=4, generations=1, initial_population=inside, constraints=sum_at_most(SMALL, 1))
    with pytest.raises(ValueError, match="block 4, position 1 has code 7"):
        evolve(SMALL, score, population=4, generations=1, initial_population=[Genotype.parse("0-0-0-7")])
