import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution.archive import Archive
from evolution.exhaustive import exhaustive
from evolution.pareto import hypervolume, knee, non_dominated, reference_point
from evolution.random_search import random_search
from evolution.search import search
from supernet.genotype import Genotype
from supernet.space import SPACES, ChoiceBlock, SearchSpace

SHARED = SPACES["dpn81-shared"]
COLUMNS = ("error", "disparity", "detail")


def conflict(genotypes):
    """Two objectives in conflict with a reproducible roughness: every choice has its own price in each."""
    rows = []
    for genotype in genotypes:
        codes = np.asarray(genotype.indices, dtype=float)
        good = np.sin(3 * codes + np.arange(len(codes))).sum()
        fair = np.cos(5 * codes + 2 * np.arange(len(codes))).sum() - 0.3 * good
        rows.append([good, fair])
    return np.array(rows)


class CountingScore:
    def __init__(self, fail_after=None):
        self.asked, self.fail_after = [], fail_after

    def __call__(self, genotypes):
        if self.fail_after is not None and len(self.asked) + len(genotypes) > self.fail_after:
            raise KeyboardInterrupt
        self.asked += genotypes
        return conflict(genotypes)


def genotypes_of(evaluations):
    return {evaluation.genotype for evaluation in evaluations}


points = st.integers(1, 25).flatmap(
    lambda n: st.integers(2, 3).flatmap(
        lambda m: st.lists(st.lists(st.integers(0, 4), min_size=m, max_size=m), min_size=n, max_size=n)
    )
)


@given(points)
@settings(deadline=None)
def test_the_front_is_that_of_a_double_loop_with_ties_and_repeats(rows):
    values = np.array(rows, dtype=float)
    expected = [not any((other <= own).all() and (other < own).any() for other in values) for own in values]
    assert non_dominated(values).tolist() == expected


def test_points_that_are_not_finite_are_never_in_the_front():
    values = np.array([[np.nan, 0.0], [1.0, 1.0], [0.0, -np.inf], [2.0, 0.5]])
    assert non_dominated(values).tolist() == [False, True, False, True]
    assert hypervolume(values, np.array([3.0, 2.0])) == pytest.approx(2 * 1 + 1 * 0.5)


def test_knee_and_reference_by_hand():
    front = np.array([[0.0, 10.0], [1.0, 2.0], [10.0, 0.0]])
    assert knee(front) == 1 and knee(front[:1]) == 0 and knee(np.array([[1.0, 1.0], [1.0, 1.0]])) == 0
    assert reference_point(front).tolist() == [11.0, 11.0]
    assert reference_point(np.array([[1.0, 2.0]])).tolist() == [2.0, 3.0]


def test_nsga2_finds_the_true_front_of_a_shared_space_with_half_the_evaluations():
    truth = exhaustive(SHARED, conflict)
    found = search(SHARED, conflict, population=20, generations=6, seed=0)
    assert len(truth.evaluated) == 243 and len(found.evaluated) == 120
    front = np.array([evaluation.values for evaluation in truth.front])
    assert hypervolume([e.values for e in found.front], truth.reference) > 0.97 * hypervolume(front, truth.reference)
    everything = search(SHARED, conflict, population=20, generations=12, seed=0)
    assert genotypes_of(everything.front) >= genotypes_of(truth.front)


def test_nsga2_beats_random_search_at_equal_evaluations():
    space = SPACES["dpn81"]
    gains = []
    for seed in range(5):
        evolved = search(space, conflict, population=20, generations=15, seed=seed)
        drawn = random_search(space, conflict, evaluations=300, seed=seed)
        assert len(genotypes_of(evolved.evaluated)) == len(genotypes_of(drawn.evaluated)) == 300
        values = [[evaluation.values for evaluation in result.front] for result in (evolved, drawn)]
        reference = reference_point(np.concatenate(values))
        gains.append(hypervolume(values[0], reference) - hypervolume(values[1], reference))
    assert min(gains) > 0


def test_same_seed_same_search_and_every_proposal_is_new():
    first, second, other = (search(SPACES["dpn81"], conflict, population=10, generations=8, seed=s) for s in (3, 3, 4))
    assert first.evaluated == second.evaluated and first.trace == second.trace
    assert first.evaluated != other.evaluated
    assert len(genotypes_of(first.evaluated)) == 80
    volumes = [volume for _, volume in first.trace]
    assert volumes == sorted(volumes) and [n for n, _ in first.trace] == list(range(10, 81, 10))


def test_an_interrupted_search_goes_on_from_its_archive(tmp_path):
    whole = search(SPACES["dpn81"], conflict, population=10, generations=6, seed=1)
    archive = Archive(tmp_path / "a.sqlite", columns=COLUMNS[:2])
    with pytest.raises(KeyboardInterrupt):
        search(SPACES["dpn81"], CountingScore(fail_after=35), population=10, generations=6, seed=1, archive=archive)
    reopened = Archive(tmp_path / "a.sqlite", columns=COLUMNS[:2])
    assert len(reopened) == 30
    score = CountingScore()
    resumed = search(SPACES["dpn81"], score, population=10, generations=6, seed=1, archive=reopened)
    assert len(score.asked) == 30 and resumed.reused == 30
    assert resumed.front == whole.front and resumed.evaluated == whole.evaluated


def test_half_a_generation_in_the_archive_is_reused_too():
    archive = Archive(columns=COLUMNS[:2])
    first = search(SPACES["dpn81"], conflict, population=10, generations=1, seed=1)
    for evaluation in first.evaluated[:4]:
        archive.add(evaluation.genotype, evaluation.values)
    score = CountingScore()
    search(SPACES["dpn81"], score, population=10, generations=1, seed=1, archive=archive)
    assert genotypes_of(first.evaluated[4:]) == set(score.asked)


def test_further_columns_are_kept_and_not_optimised():
    archive = Archive(columns=COLUMNS, objectives=2)

    def score(genotypes):
        return np.column_stack([conflict(genotypes), [-1e9 * g.indices[0] for g in genotypes]])

    detailed = search(SHARED, score, population=10, generations=3, seed=0, archive=archive)
    plain = search(SHARED, conflict, population=10, generations=3, seed=0)
    assert genotypes_of(detailed.front) == genotypes_of(plain.front)
    assert all(evaluation.values[2] == -1e9 * evaluation.genotype.indices[0] for evaluation in detailed.front)


def test_scores_that_are_not_finite_are_counted_and_never_in_the_front():
    def score(genotypes):
        values = conflict(genotypes)
        for row, genotype in zip(values, genotypes, strict=True):
            if genotype.indices[0] in (3, 4):
                row[:] = [-np.inf, np.nan]
        return values

    result = search(SHARED, score, population=20, generations=5, seed=0)
    bad = [e for e in result.evaluated if e.genotype.indices[0] in (3, 4)]
    assert result.infeasible == len(bad) > 0
    assert not genotypes_of(bad) & genotypes_of(result.front)
    assert np.isfinite([volume for _, volume in result.trace]).all()
    nothing = search(SHARED, lambda gs: np.full((len(gs), 2), np.nan), population=4, generations=2, seed=0)
    assert nothing.front == () and nothing.infeasible == 8 and nothing.trace == ()


def test_a_small_space_is_exhausted_and_a_large_population_cut():
    space = SearchSpace([ChoiceBlock("x", "abc"), ChoiceBlock("y", "ab")])

    def score(genotypes):
        return np.array([[g.blocks[0][0], -g.blocks[1][0]] for g in genotypes], dtype=float)

    result = search(space, score, population=50, generations=9, seed=0)
    assert len(result.evaluated) == 6 and result.ended == "the whole space of 6 genotypes was evaluated"
    assert [str(e.genotype) for e in result.front] == ["0-1"]
    assert len(random_search(space, score, evaluations=99).evaluated) == 6


def test_three_and_four_objectives():
    def score(genotypes):
        values = conflict(genotypes)
        return np.column_stack([values, [sum(g.indices) for g in genotypes], [-g.indices[0] for g in genotypes]])

    result = search(SHARED, score, 4, population=16, generations=3, seed=0)
    assert len(result.reference) == 4 and len(result.front) > 3
    for wrong in (1, 5):
        with pytest.raises(ValueError, match=f"objectives must be 2 to 4, got {wrong}"):
            search(SHARED, score, wrong)


def test_scores_of_another_measurement_are_kept_and_never_mixed(tmp_path):
    genotype = Genotype.parse("101:cosface")
    with_a = Archive(tmp_path / "a.sqlite", columns=("e", "d"), measurement="supernet A")
    with_a.add(genotype, (0.1, 0.2))
    with_b = Archive(tmp_path / "a.sqlite", columns=("e", "d"), measurement="supernet B")
    assert genotype not in with_b and with_b.others == 1 and len(with_b) == 0
    with_b.add(genotype, (0.3, 0.4))
    again = Archive(tmp_path / "a.sqlite", columns=("e", "d"), measurement="supernet A")
    assert again[genotype].values == (0.1, 0.2) and again.others == 1


def test_a_reader_may_look_while_the_archive_is_written(tmp_path):
    writer = Archive(tmp_path / "a.sqlite", columns=("e", "d"))
    writer.add(Genotype.parse("101:cosface"), (0.1, float("nan")))
    reader = Archive(tmp_path / "a.sqlite", columns=("e", "d"))
    writer.add(Genotype.parse("000:cosface"), (0.3, 0.4))
    assert len(reader) == 1 and np.isnan(reader[Genotype.parse("101:cosface")].values[1])


def test_misuse_of_an_archive_gets_one_clear_line(tmp_path):
    path = tmp_path / "a.sqlite"
    Archive(path, columns=("e", "d")).add(Genotype.parse("101:cosface"), (1, 2))
    with pytest.raises(ValueError, match="written without the column 'params'"):
        Archive(path, columns=("e", "d", "params"))
    with pytest.raises(ValueError, match="3 values for the 2 columns e, d"):
        Archive(columns=("e", "d")).add(Genotype.parse("101:cosface"), (1, 2, 3))
    with pytest.raises(ValueError, match="returned an array .*3, 1.*; expected .*3, 2.*: a row a genotype"):
        search(SHARED, lambda gs: np.ones((len(gs), 1)), population=3)
    with pytest.raises(ValueError, match="3 objectives of 2 columns"):
        Archive(columns=("e", "d"), objectives=3)
    (tmp_path / "text").write_text("no database, but long enough to look like one. " * 50)
    with pytest.raises(ValueError, match="is not an archive of scores"):
        Archive(tmp_path / "text", columns=("e", "d"))
    with pytest.raises(ValueError, match=r"dpn81 holds 129,140,163 genotypes, too many to score all"):
        exhaustive(SPACES["dpn81"], conflict)
    with pytest.raises(ValueError, match="population of 2 and 1 generation, got 1 and 10"):
        search(SHARED, conflict, population=1)


def test_what_is_on_disk_is_plain_text_in_a_database(tmp_path):
    archive = Archive(tmp_path / "a.sqlite", columns=("e", "d"), measurement="m")
    archive.add(Genotype.parse("101:cosface"), (0.5, 0.25), seconds=2.0)
    row = sqlite3.connect(tmp_path / "a.sqlite").execute("SELECT * FROM evaluations").fetchone()
    assert row == (1, "m", "101:cosface", '{"e": 0.5, "d": 0.25}', 2.0)


def test_progress_is_reported_after_every_generation():
    seen = []
    search(SHARED, conflict, population=5, generations=4, seed=0, report=seen.append)
    assert [(p.generation, p.generations, p.evaluations) for p in seen] == [(i, 4, 5 * i) for i in range(1, 5)]
    assert all(1 <= progress.front <= progress.evaluations for progress in seen)
