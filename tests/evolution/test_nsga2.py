import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dualfair.evolution.archive import Archive
from dualfair.evolution.baselines import exhaustive, random_search
from dualfair.evolution.nsga2 import evolve
from dualfair.evolution.pareto import hypervolume, reference_point
from dualfair.evolution.run import front_of
from dualfair.supernet.space import SPACES, ChoiceBlock, SearchSpace

ROOT = Path(__file__).parents[2]
SHARED, LARGE = SPACES["dpn81-shared"], SPACES["dpn81"]
COLUMNS = ("error", "disparity")


def structured(seed, objectives=2):
    """A score with a price for every choice and for every pair of neighbouring choices, different per objective."""
    rng = np.random.default_rng(seed)
    single, pairs = rng.normal(size=(objectives, 13, 9)), rng.normal(size=(objectives, 13, 9, 9)) / 2

    def score(genotypes):
        codes = np.array([genotype.indices for genotype in genotypes])
        genes = np.arange(codes.shape[1])
        following = np.roll(codes, -1, axis=1)
        return np.stack(
            [
                single[k][genes, codes].sum(axis=1) + pairs[k][genes, codes, following].sum(axis=1)
                for k in range(objectives)
            ],
            axis=1,
        )

    return score


class Counting:
    """A score that keeps what it was asked; it is interrupted instead of scoring more than `limit` genotypes."""

    def __init__(self, score, limit=10**9):
        self.score, self.limit, self.requested, self.calls = score, limit, [], []

    def __call__(self, genotypes):
        if len(self.requested) + len(genotypes) > self.limit:
            raise KeyboardInterrupt
        self.requested += genotypes
        self.calls.append(len(genotypes))
        return self.score(genotypes)


def genotypes(evaluations):
    return [evaluation.genotype for evaluation in evaluations]


def memory(columns=COLUMNS, objectives=2):
    return Archive(measurement="m", columns=columns, objectives=objectives)


def test_nsga2_finds_the_true_front_of_a_shared_space_within_160_of_243_genotypes():
    shares = []
    for seed in range(8):
        score = structured(seed)
        truth = set(genotypes(exhaustive(SHARED, score).front))
        result = evolve(SHARED, score, population=16, generations=10, seed=seed)
        assert result.evaluations == 160 and result.ended == "generations done"
        shares.append(len(truth & set(genotypes(result.front))) / len(truth))
    # Random search with this budget would find 160 / 243 = 66 % of it.
    assert np.mean(shares) >= 0.95


def test_nsga2_dominates_more_than_random_search_at_equally_many_distinct_evaluations():
    score, gains = structured(100), []
    for seed in range(6):
        evolved = evolve(LARGE, score, population=20, generations=15, seed=seed)
        drawn = random_search(LARGE, score, evaluations=300, seed=seed)
        for result in (evolved, drawn):
            assert len(set(genotypes(result.evaluated))) == result.evaluations == result.fresh == 300
        reference = reference_point(np.concatenate([evolved.front_values, drawn.front_values]))
        gains.append(hypervolume(evolved.front_values, reference) / hypervolume(drawn.front_values, reference))
    assert np.mean(gains) > 1.3 and min(gains) > 1


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_one_seed_is_one_run_whatever_the_global_generator_does(objectives):
    runs = []
    for seed, noise in ((3, 0), (3, 1), (4, 0)):
        np.random.seed(noise)
        state = np.random.get_state()[1].copy()
        runs.append(evolve(LARGE, structured(0, objectives), objectives, population=11, generations=6, seed=seed))
        assert (np.random.get_state()[1] == state).all()
    first, again, other = runs
    assert first.evaluated == again.evaluated and first.trace == again.trace and first.front == again.front
    assert first.evaluated != other.evaluated
    assert len(first.reference) == objectives == first.front_values.shape[1]


def test_front_is_not_dominated_by_anything_evaluated_and_sorted_by_the_first_objective():
    result = evolve(LARGE, structured(1), population=12, generations=8, seed=0)
    front, everything = result.front_values, np.array([e.values for e in result.evaluated])
    for point in front:
        assert not ((everything <= point).all(axis=1) & (everything < point).any(axis=1)).any()
    assert (np.diff(front[:, 0]) >= 0).all() and len(front) > 2


@pytest.mark.parametrize("batch", [None, 4])
@pytest.mark.parametrize("limit", [0, 10, 37, 60])
def test_an_interrupted_run_repeated_ends_alike_and_scores_only_what_is_missing(tmp_path, limit, batch):
    arguments = {"population": 10, "generations": 6, "seed": 1, "batch": batch}
    whole = evolve(LARGE, structured(2), **arguments)
    path, size = tmp_path / "a.sqlite", batch or 10
    archive = Archive(path, measurement="m", columns=COLUMNS)
    if limit < 60:
        with pytest.raises(KeyboardInterrupt):
            evolve(LARGE, Counting(structured(2), limit), archive=archive, **arguments)
    else:
        evolve(LARGE, structured(2), archive=archive, **arguments)
    archive.close()
    with Archive(path, measurement="m", columns=COLUMNS) as archive:
        kept = len(archive)
        assert limit - size < kept <= limit
        missing = set(genotypes(whole.evaluated)) - set(genotypes(archive))
        score = Counting(structured(2))
        resumed = evolve(LARGE, score, archive=archive, **arguments)
    assert len(score.requested) == len(set(score.requested)) and set(score.requested) == missing
    assert (resumed.reused, resumed.fresh, resumed.evaluations) == (kept, 60 - kept, 60)
    assert resumed.evaluated == whole.evaluated and resumed.front == whole.front
    assert resumed.trace == whole.trace and resumed.reference == whole.reference


def test_an_archive_with_every_other_evaluation_changes_only_what_is_scored():
    whole = evolve(LARGE, structured(2), population=10, generations=5, seed=1)
    archive = memory()
    for evaluation in whole.evaluated[::2]:
        archive.add([evaluation.genotype], [evaluation.values])
    score = Counting(structured(2))
    result = evolve(LARGE, score, population=10, generations=5, seed=1, archive=archive)
    generations = (genotypes(whole.evaluated[start : start + 10]) for start in range(0, 50, 10))
    assert score.requested == [genotype for generation in generations for genotype in sorted(generation[1::2])]
    assert result.front == whole.front and (result.reused, result.fresh) == (25, 25)


def test_earlier_runs_of_the_same_archive_do_not_change_what_a_run_comes_to():
    archive, score = memory(), structured(2)
    evolve(LARGE, score, population=10, generations=10, seed=1, archive=archive)
    second = evolve(LARGE, score, population=4, generations=1, seed=9, archive=archive)
    separate = evolve(LARGE, score, population=4, generations=1, seed=9)
    assert second.trace == separate.trace and second.evaluated == separate.evaluated and second.evaluations == 4
    assert second.front == separate.front == front_of(second.evaluated, 2) and len(archive) == 104


def test_scores_of_another_measurement_are_not_reused(tmp_path):
    arguments = {"population": 8, "generations": 2, "seed": 0}
    for measurement in ("weights 1", "weights 2"):
        with Archive(tmp_path / "a.sqlite", measurement=measurement, columns=COLUMNS) as archive:
            result = evolve(LARGE, structured(0), archive=archive, **arguments)
            assert (result.fresh, result.reused) == (16, 0)
    with Archive(tmp_path / "a.sqlite", measurement="weights 1", columns=COLUMNS) as archive:
        assert archive.others == 16


def test_details_are_kept_and_never_optimised():
    def score(genotypes):
        details = [[-1e9 * genotype.indices[0], np.nan] for genotype in genotypes]
        return np.hstack([structured(3)(genotypes), details])

    plain = evolve(LARGE, structured(3), population=10, generations=5, seed=0)
    detailed = evolve(LARGE, score, population=10, generations=5, seed=0, columns=("a", "b", "c", "d"))
    assert genotypes(detailed.evaluated) == genotypes(plain.evaluated) and detailed.infeasible == 0
    assert genotypes(detailed.front) == genotypes(plain.front) and detailed.trace == plain.trace
    assert all(e.values[2] == -1e9 * e.genotype.indices[0] for e in detailed.evaluated)
    assert detailed.columns == ("a", "b", "c", "d")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_objectives_that_are_not_finite_make_a_genotype_infeasible_and_are_kept(value):
    def score(genotypes):
        values = structured(4)(genotypes)
        values[[genotype.head == "arcface" for genotype in genotypes], 1] = value
        return values

    result = evolve(LARGE, score, population=12, generations=8, seed=0)
    spoilt = [e for e in result.evaluated if e.genotype.head == "arcface"]
    assert result.infeasible == len(spoilt) > 0
    assert all(np.array_equal(e.values[1], value, equal_nan=True) for e in spoilt)
    assert result.front and not set(genotypes(spoilt)) & set(genotypes(result.front))
    assert np.isfinite(result.reference).all() and np.isfinite([point.hypervolume for point in result.trace]).all()
    # Selection turns away from the head that fails: of 96 random genotypes 32 would have it.
    later = result.evaluated[48:]
    assert sum(e.genotype.head == "arcface" for e in later) < len(later) / 4


def test_nothing_feasible_is_an_empty_front():
    seen = []
    result = evolve(
        LARGE, lambda g: np.full((len(g), 2), np.nan), population=6, generations=4, seed=0, progress=seen.append
    )
    assert (result.front, result.reference, result.infeasible, result.evaluations) == ((), (), 24, 24)
    assert result.trace == tuple((6 * n, 0.0) for n in (1, 2, 3, 4)) and result.front_values.shape == (0, 2)
    assert [(p.front, p.hypervolume) for p in seen] == [(0, 0.0)] * 4


def irregular_space():
    return SearchSpace(
        [ChoiceBlock("width", "abcde"), ChoiceBlock("only", "x"), ChoiceBlock("depth", "kl"), ChoiceBlock("end", "pqr")]
    )


def irregular_score(genotypes):
    codes = np.array([genotype.indices for genotype in genotypes], dtype=float)
    return np.stack([codes @ [3, 1, 1, 2], codes @ [-2, 1, 3, -1]], axis=1)


def test_an_own_irregular_space_is_exhausted_and_then_the_run_ends():
    space, score = irregular_space(), Counting(irregular_score)
    result = evolve(space, score, population=8, generations=50, seed=0)
    assert score.calls == [8, 8, 8, 6] and len(set(score.requested)) == result.evaluations == space.size == 30
    assert result.ended == "space exhausted" and result.notes == ()
    assert result.front == exhaustive(space, irregular_score).front


@pytest.mark.parametrize(("population", "noted"), [(29, 0), (30, 0), (31, 1), (1000, 1)])
def test_a_population_larger_than_the_space_is_shrunk_and_noted(population, noted):
    result = evolve(irregular_space(), irregular_score, population=population, generations=3, seed=0)
    assert result.evaluations == 30 and result.ended == "space exhausted"
    assert result.notes == (
        (f"population={population} is more than space custom holds: shrunk to its 30 genotypes",) if noted else ()
    )


def test_a_space_of_one_genotype_is_searched():
    space = SearchSpace([ChoiceBlock("only", "x")])
    result = evolve(space, lambda g: np.zeros((len(g), 2)), population=4, generations=3)
    assert [str(e.genotype) for e in result.front] == ["0"] and result.ended == "space exhausted"
    assert result.reference == (1.0, 1.0) and result.trace == ((1, 1.0),)


def test_replaying_an_exhausted_space_scores_nothing():
    archive, space = memory(), irregular_space()
    first = evolve(space, irregular_score, population=8, generations=50, seed=0, archive=archive)
    score = Counting(irregular_score)
    again = evolve(space, score, population=8, generations=50, seed=5, archive=archive)
    assert score.calls == [] and (again.fresh, again.reused) == (0, 30) and again.front == first.front


def test_trace_and_progress_follow_the_distinct_evaluations():
    seen = []
    result = evolve(LARGE, structured(5), population=10, generations=7, seed=0, progress=seen.append)
    assert [point.evaluations for point in result.trace] == [p.evaluations for p in seen] == list(range(10, 71, 10))
    assert [(p.generation, p.generations, p.reused) for p in seen] == [(n, 7, 0) for n in range(1, 8)]
    assert seen[-1].front == len(result.front)
    values = np.array([evaluation.values for evaluation in result.evaluated])
    assert result.reference == reference_point(values)
    for point in result.trace:
        assert point.hypervolume == pytest.approx(hypervolume(values[: point.evaluations], result.reference))
    shown = reference_point(values[:10])
    for p in seen:
        assert p.hypervolume == pytest.approx(hypervolume(values[: p.evaluations], shown))


def cost_and_depth(genotypes):
    codes = np.array([genotype.indices for genotype in genotypes], dtype=float)
    return np.stack([codes @ [3, 0, 1, 2], -codes[:, 2] - codes[:, 0]], axis=1)


def test_a_space_and_a_score_are_enough():
    result = evolve(irregular_space(), cost_and_depth)
    assert result.evaluations == 30 and result.notes == (
        "population=32 is more than space custom holds: shrunk to its 30 genotypes",
    )
    # Every step of width or depth costs something and gains one, and all other choices only cost.
    assert [str(genotype) for genotype in genotypes(result.front)] == [
        "0-0-0-0", "0-0-1-0", "1-0-1-0", "2-0-1-0", "3-0-1-0", "4-0-1-0",
    ]  # fmt: skip
    assert result.front[1].values == (1.0, -1.0) and result.front_values.shape == (6, 2)
    assert result.columns == ("objective 1", "objective 2")


def test_objectives_and_budget_may_be_named_or_in_order():
    named = evolve(LARGE, structured(0, 3), objectives=3, population=4, generations=3, seed=5)
    ordered = evolve(LARGE, structured(0, 3), 3, 4, 3, 5)
    assert named.evaluated == ordered.evaluated and named.evaluations == 12 and len(named.reference) == 3
    default = evolve(LARGE, structured(0))
    assert default.evaluated == evolve(LARGE, structured(0), 2, 32, 10, 0).evaluated and default.evaluations == 320


def test_an_objective_that_is_never_a_number_is_named():
    def score(genotypes):
        return structured(0)(genotypes) * [1, np.nan]

    result = evolve(LARGE, score, population=8, generations=2, columns=("error", "own:gap"))
    assert result.front == () and result.notes == (
        "own:gap is not a finite number for any of the 16 genotypes scored, so none can be in a front",
    )


def test_details_without_names_are_refused():
    with pytest.raises(ValueError, match=r"score returned shape \(8, 3\) for 8 genotypes, .* name every column"):
        evolve(LARGE, structured(0, 3), population=8, generations=2)


def test_a_search_of_a_plain_score_loads_no_torch():
    code = (
        "import sys\n"
        "from dualfair.evolution.nsga2 import evolve\n"
        "from dualfair.supernet.space import ChoiceBlock, SearchSpace\n"
        "space = SearchSpace([ChoiceBlock('width', ('16', '32', '64')), ChoiceBlock('depth', ('1', '2'))])\n"
        "def score(genotypes):\n"
        "    return [[sum(genotype.indices), -genotype.indices[0]] for genotype in genotypes]\n"
        "result = evolve(space, score, objectives=2, population=4, generations=2, seed=0)\n"
        "print(*(evaluation.genotype for evaluation in result.front))\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0-0 1-0 2-0\n", "")


def test_a_batch_caps_the_genotypes_of_a_score_call():
    score = Counting(structured(0))
    evolve(LARGE, score, population=10, generations=2, batch=4)
    assert score.calls == [4, 4, 2, 4, 4, 2]


def test_seconds_are_shares_of_the_score_call():
    result = evolve(LARGE, structured(0), population=4, generations=1)
    assert all(0 < evaluation.seconds < 1 for evaluation in result.evaluated)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objectives": 1}, "objectives must be 2 to 4, got 1"),
        ({"objectives": 5}, "objectives must be 2 to 4, got 5"),
        ({"population": 1}, "population must be a whole number of at least 2, got 1"),
        ({"generations": 0}, "generations must be a whole number of at least 1, got 0"),
        ({"generations": 2.5}, "generations must be a whole number of at least 1, got 2.5"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"batch": 0}, "batch must be a whole number of at least 1, got 0"),
        (
            {"archive": memory(("a", "b", "c"), 3)},
            "the archive was opened with objectives=3, the search got objectives=2; give both the same number",
        ),
        (
            {"archive": memory(), "columns": ("a", "b")},
            "the archive was opened with columns error, disparity, the search got a, b; leave out columns where an "
            "archive is given",
        ),
    ],
)
def test_arguments_out_of_range_are_named_before_anything_is_scored(arguments, message):
    score = Counting(structured(0))
    with pytest.raises(ValueError) as error:
        evolve(LARGE, score, **arguments)
    assert str(error.value) == message and score.calls == []


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            lambda g: np.zeros((len(g), 3)),
            "score returned shape (4, 3) for 4 genotypes, expected (4, 2): a row a genotype",
        ),
        (lambda g: np.zeros(len(g)), "score returned shape (4,) for 4 genotypes, expected (4, 2)"),
        (lambda g: np.zeros((2, 2)), "a column each for objective 1, objective 2; name every column"),
        (lambda g: None, "score returned shape () for 4 genotypes"),
        (lambda g: [["low", "high"]] * 4, "score must return an array of numbers, got list: could not convert string"),
    ],
)
def test_a_score_of_another_shape_is_refused_and_nothing_is_kept(returned, message):
    archive = None if "objective 1" in message else memory()
    with pytest.raises(ValueError) as error:
        evolve(LARGE, returned, population=4, archive=archive)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert archive is None or len(archive) == 0


def test_a_score_that_spoils_its_argument_harms_nothing():
    def score(genotypes):
        values = structured(0)(genotypes)
        genotypes.clear()
        return values

    arguments = {"population": 6, "generations": 3, "seed": 0}
    assert evolve(LARGE, score, **arguments).front == evolve(LARGE, structured(0), **arguments).front


def test_no_module_of_the_room_loads_torch():
    modules = sorted(f"dualfair.evolution.{path.stem}" for path in (ROOT / "evolution").glob("[!_]*.py"))
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def beginnings(run, siblings):
    """Distinct first thirds of the genotypes of every generation but the first, mean over generations."""
    counting = Counting(structured(run))
    result = evolve(LARGE, counting, population=16, generations=6, seed=run, siblings=siblings)
    requested = np.array([LARGE.encode(genotype) for genotype in counting.requested]).reshape(6, 16, -1)
    assert result.evaluations == len(set(counting.requested)) == 96
    return np.mean([len({tuple(row[:3]) for row in generation.tolist()}) for generation in requested[1:]])


def test_siblings_have_common_beginnings_and_are_distinct():
    plain, pairs, broods = (np.mean([beginnings(run, siblings) for run in range(3)]) for siblings in (1, 2, 8))
    assert plain > 10 and pairs <= 8 and broods <= 2


def test_siblings_are_repeatable_and_end_with_a_small_space():
    first, again = (evolve(LARGE, structured(1), population=8, generations=4, seed=3, siblings=4) for _ in range(2))
    assert genotypes(first.evaluated) == genotypes(again.evaluated)
    small = evolve(SHARED, structured(1), population=81, generations=9, seed=0, siblings=3)
    assert small.ended == "space exhausted" and small.evaluations == SHARED.size


def test_siblings_must_be_a_number_of_children():
    with pytest.raises(ValueError, match="siblings must be a whole number of at least 1, got 0"):
        evolve(LARGE, structured(0), population=8, generations=1, siblings=0)
