"""NSGA-II against random search: the numbers, recomputed by brute force, and the command."""

import csv
import itertools
import json
import math
import shutil
import statistics
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.evolution.archive import Archive
from dualfair.evolution.baselines import random_search
from dualfair.evolution.nsga2 import evolve
from dualfair.studies.compare.records import NSGA, RANDOM, Comparison, Reached, SearchComparison
from dualfair.studies.compare.searches import contest
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
    assert f"true front, with 24 of 60 evaluations; random search needs {np.mean(needed):,.0f} on" in found.sentence


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
    assert f"of the best front known, of {found.scored} networks scored, with 24 of 60 evaluations" in found.sentence


@pytest.mark.parametrize("limit", [60, 59])
def test_no_genotype_is_scored_twice_and_known_scores_are_used(limit):
    score, archive = Score(), memory()
    evolve(SPACE, score, **BUDGET, archive=archive)
    first = contest(SPACE, score, archive, **BUDGET, seeds=range(4), limit=limit)
    assert set(score.asked.values()) == {1} and (len(score.asked) == 60 or limit == 59)
    before = sum(score.asked.values())
    again = contest(SPACE, score, archive, **BUDGET, seeds=range(4), limit=limit)
    assert sum(score.asked.values()) == before and again.sentence == first.sentence


def test_undefined_scores_add_nothing():
    found = contest(SPACE, Score(undefined=range(30)), memory(), **BUDGET, seeds=range(3))
    assert all(0 <= share <= 1 for reached in found.methods.values() for row in reached.shares for share in row)
    with pytest.raises(ValueError, match="none of the 60 networks scored has finite objectives"):
        contest(SPACE, Score(undefined=range(60)), memory(), **BUDGET, seeds=range(2))


def of_shares(ours, theirs):
    methods = {name: Reached(tuple((share,) for share in ends)) for name, ends in ((NSGA, ours), (RANDOM, theirs))}
    n = len(ours)
    about = {"exhaustive": True, "scored": 60, "reference": (1.0, 1.0), "hypervolume": 1.0, "front": 3}
    about |= {"space": "small", "networks": 60, "seeds": tuple(range(n)), "evaluations": (24,), "needed": (40,) * n}
    return Comparison(methods=methods, **about)


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        (
            [0.9] * 9 + [0.1],
            "NSGA-II beats random search in 9 of 10 seeds (paired by seed; sign test p = 0.021): 82.0%",
        ),
        ([0.9] * 8 + [0.1] * 2, "no difference shown: NSGA-II is ahead of random search in 8 of 10 seeds (paired by"),
        ([0.1] * 9 + [0.9], "NSGA-II is WORSE than random search: ahead in 1 of 10 seeds (paired by seed; sign test p"),
        ([0.5] * 10, "in 0 of 10 seeds (paired by seed, 10 ties; sign test p = 1): 50.0% ± 0.0% against 50.0% ± 0.0%"),
        ([0.9] * 20, "NSGA-II beats random search in 20 of 20 seeds (paired by seed; sign test p < 0.001)"),
    ],
)
def test_a_difference_is_claimed_only_where_the_sign_test_shows_one(ours, said):
    sentence = of_shares(ours, [0.5] * len(ours)).sentence
    assert said in sentence and "24 of 60 evaluations; random search needs 40 on average to get as far" in sentence


def test_a_budget_of_the_whole_space_and_a_single_seed_are_refused():
    with pytest.raises(ValueError, match=r"population 6 x generations 10 is all of space small \(60\).*--generations"):
        contest(SPACE, Score(), memory(), population=6, generations=10, seeds=range(2))
    with pytest.raises(ValueError, match="seeds must be a whole number of at least 2, got 1"):
        contest(SPACE, Score(), memory(), **BUDGET, seeds=[0])


MODULE = """
from dualfair.supernet.space import ChoiceBlock, SearchSpace
def block(b):
    return ChoiceBlock(f"b{b}", ("pre1", "post1"), genes=tuple((b, p) for p in range(3)), codes=(1, 7))
blocks = [block(b) for b in range(4)]
space = SearchSpace([*blocks, ChoiceBlock("head", ("arcface", "cosface"))], name="of 32")
"""


@pytest.fixture
def calls(monkeypatch):
    """How often each genotype was scored, by the people that it was scored on; the search's people come first."""
    asked, score = {}, InheritedScorer.__call__

    def counting(self, genotypes):
        asked.setdefault(frozenset(self.faces.identities), Counter()).update(map(str, genotypes))
        return score(self, genotypes)

    monkeypatch.setattr(InheritedScorer, "__call__", counting)
    return asked


def test_the_command_compares_on_the_scores_of_a_run(dualfair, calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compared_space.py").write_text(MODULE)
    dualfair("faces", "synth", "--out", "faces", "--identities", 24, "--images", 4, "--size", 32)
    made = dualfair("train", "--faces", "faces", "--out", "run", "--size", 32, "--space", "compared_space:space",
                    "--epochs", 0.5, "--batch", 8)  # fmt: skip
    assert made.status == 0, made.err
    early = dualfair("compare", "--run", "run")
    assert early.status == 2 and "run has no stage 'search' yet; run 'dualfair search' first" in early.err
    found = dualfair("search", "--run", "run", "--population", 4, "--generations", 3, "--seed", 7, "--calibrate", 16)
    scored = next(iter(calls.values()))
    assert found.status == 0 and len(scored) == 12
    people = len(calls)
    selected = (tmp_path / "run/search/scores.csv").read_bytes()

    done = dualfair("compare", "--run", "run", "--seeds", 3, "--device", "cpu")
    assert done.status == 0, done.err
    assert "3 seeds each, 4 genotypes x 3 generations of space of 32 (32); minimise error, rank_disparity" in done.out
    assert len(scored) == 32 and set(scored.values()) == {1} and len(calls) == people
    report = json.loads((tmp_path / "run/studies/compare/comparison.json").read_text())
    assert (report["seeds"], report["evaluations"], report["exhaustive"]) == ([7, 8, 9], [4, 8, 12], True)
    record = SearchComparison.from_json(report)
    assert record.comparison.sentence in done.out and record.config.protocol.calibrate == 16
    assert json.loads(json.dumps(record.to_json())) == report
    with open("run/studies/compare/hypervolume.csv") as file:
        rows = list(csv.DictReader(file))
    assert Counter((row["method"], row["evaluations"]) for row in rows) == {
        (method, count): 3 for method in (NSGA, RANDOM) for count in ("4", "8", "12")
    }
    ends = [float(r["hypervolume share"]) for r in rows if (r["method"], r["evaluations"]) == (NSGA, "12")]
    assert ends == record.comparison.methods[NSGA].ends.tolist()
    row = next(line for line in done.out.splitlines() if line.startswith(NSGA + " ") and "%" in line)
    assert row.split()[1:4] == ["3", "12", f"{np.mean(ends):.1%}"]
    with Image.open("run/studies/compare/hypervolume.png") as picture:
        assert picture.width > 300 and np.asarray(picture).std() > 0

    again = dualfair("compare", "--run", "run", "--seeds", 3)
    assert record.comparison.sentence in again.out and set(scored.values()) == {1}
    other = dualfair("compare", "--run", "run", "--seeds", 2, "--population", 5, "--generations", 2)
    assert other.status == 0 and "5 genotypes x 2 generations" in other.out and set(scored.values()) == {1}
    whole = dualfair("compare", "--run", "run", "--population", 8, "--generations", 4)
    assert whole.status == 2 and "is all of space of 32 (32)" in whole.err and "\n" not in whole.err.strip()
    repeated = dualfair("search", "--run", "run", "--population", 4, "--generations", 3, "--seed", 7, "--calibrate", 16)
    assert "12 of them known before" in repeated.out
    assert (tmp_path / "run/search/scores.csv").read_bytes() == selected

    config = tmp_path / "run/search/config.json"
    shutil.copy(config, tmp_path / "sound.json")
    for damage, said in (
        (lambda text: text[:20], "config.json is damaged"),
        (lambda text: text.replace('"population": 4', '"population": "many"'), "population must be a int, got 'many'"),
        (lambda text: text.replace('"calibrate": 16,', ""), "'calibrate' is missing in it"),
    ):
        config.write_text(damage((tmp_path / "sound.json").read_text()))
        refused = dualfair("compare", "--run", "run")
        assert refused.status == 2 and said in refused.err and "\n" not in refused.err.strip()
