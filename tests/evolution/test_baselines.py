import numpy as np
import pytest

from dualfair.evolution.archive import Archive
from dualfair.evolution.baselines import exhaustive, random_search
from dualfair.supernet.space import SPACES, ChoiceBlock, SearchSpace

SMALL = SearchSpace([ChoiceBlock("a", "xyz"), ChoiceBlock("b", "kl"), ChoiceBlock("c", "pqrs")], "small")


class Score:
    def __init__(self):
        self.calls = []

    def __call__(self, genotypes):
        self.calls.append(len(genotypes))
        codes = np.array([genotype.indices for genotype in genotypes], dtype=float)
        return np.stack([codes.sum(axis=1), -codes[:, 0]], axis=1)


def names(evaluations):
    return [str(evaluation.genotype) for evaluation in evaluations]


def test_exhaustive_scores_every_genotype_once_in_batches():
    score, seen = Score(), []
    result = exhaustive(SMALL, score, batch=10, progress=seen.append)
    assert score.calls == [10, 10, 4] and names(result.evaluated) == [str(g) for g in SMALL.enumerate()]
    assert names(result.front) == ["0-0-0", "1-0-0", "2-0-0"] and result.ended == "space exhausted"
    assert [(p.generation, p.generations, p.evaluations) for p in seen] == [(1, 3, 10), (2, 3, 20), (3, 3, 24)]
    assert [point.evaluations for point in result.trace] == [10, 20, 24]


def test_exhaustive_completes_an_archive():
    archive, score = Archive(measurement="m", columns=("sum", "first")), Score()
    random_search(SMALL, score, evaluations=9, archive=archive)
    result = exhaustive(SMALL, score, batch=100, archive=archive)
    assert score.calls == [9, 15] and (result.fresh, result.reused, len(archive)) == (15, 9, 24)
    assert result.front == exhaustive(SMALL, Score()).front


def test_duplicates_of_a_front_point_all_stay():
    result = exhaustive(SMALL, lambda genotypes: np.ones((len(genotypes), 2)))
    assert names(result.front) == [str(g) for g in SMALL.enumerate()]


def test_exhaustive_refuses_above_its_limit_and_scores_at_it():
    assert exhaustive(SMALL, Score(), limit=24).evaluations == 24
    with pytest.raises(ValueError) as error:
        exhaustive(SMALL, Score(), limit=23)
    assert str(error.value) == (
        "space small holds 24 genotypes, more than limit=23 for an exhaustive search; search it with NSGA-II, "
        "or raise the limit"
    )
    with pytest.raises(ValueError, match="space dpn81 holds 129,140,163 genotypes, more than limit=10,000"):
        exhaustive(SPACES["dpn81"], Score())


def test_random_search_draws_different_genotypes_by_its_seed():
    first, repeated, other = (
        random_search(SPACES["dpn81"], Score(), evaluations=50, seed=seed, batch=16) for seed in (1, 1, 2)
    )
    assert names(first.evaluated) == names(repeated.evaluated) != names(other.evaluated)
    assert len(set(names(first.evaluated))) == first.evaluations == 50
    assert first.ended == "evaluations done" and [p.evaluations for p in first.trace] == [16, 32, 48, 50]


@pytest.mark.parametrize(("evaluations", "done", "ended"), [(23, 23, "evaluations done"), (24, 24, "space exhausted")])
def test_random_search_can_take_the_whole_space(evaluations, done, ended):
    result = random_search(SMALL, Score(), evaluations=evaluations)
    assert (len(set(names(result.evaluated))), result.ended, result.notes) == (done, ended, ())


def test_more_evaluations_than_the_space_holds_are_noted():
    result = random_search(SMALL, Score(), evaluations=99)
    assert (result.evaluations, result.ended) == (24, "space exhausted")
    assert result.notes == ("evaluations=99 is more than space small holds: all 24 genotypes were scored",)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: random_search(SMALL, Score(), evaluations=0),
            "evaluations must be a whole number of at least 1, got 0",
        ),
        (lambda: random_search(SMALL, Score(), evaluations=3, batch=0), "batch must be .* at least 1, got 0"),
        (lambda: random_search(SMALL, Score(), evaluations=3, seed=-2), "seed must be .* at least 0, got -2"),
        (lambda: exhaustive(SMALL, Score(), batch=0), "batch must be a whole number of at least 1, got 0"),
        (lambda: exhaustive(SMALL, Score(), 3, columns=("a", "b", "c")), r"score returned shape \(24, 2\)"),
    ],
)
def test_arguments_out_of_range_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
