"""`dualfair compare`: its words, and the command on the scores of a run, within the constraints of its search."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from dualfair.evaluation.cost import macs
from dualfair.evaluation.latency import Latencies
from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.evolution.comparison import NSGA, RANDOM, Comparison, Reached
from dualfair.studies.compare import SearchComparison
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.space import SPACES
from tests.support.records import search_config


def of_shares(ours, theirs, **more):
    methods = {name: Reached(tuple((share,) for share in ends)) for name, ends in ((NSGA, ours), (RANDOM, theirs))}
    n = len(ours)
    about = {"exhaustive": True, "scored": 60, "reference": (1.0, 1.0), "hypervolume": 1.0, "front": 3}
    about |= {"space": "small", "networks": 60, "seeds": tuple(range(n)), "evaluations": (24,), "needed": (40,) * n}
    return SearchComparison(search_config(), Comparison(methods=methods, **about | more))


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


def test_a_front_that_is_not_known_to_be_the_true_one_is_told_so():
    sentence = of_shares([0.9] * 3, [0.5] * 3, exhaustive=False, scored=31, needed=()).sentence
    assert sentence.endswith("hypervolume of the best front known, of 31 networks scored, with 24 of 60 evaluations")


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


@pytest.mark.slow
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
    assert record.sentence in done.out and record.config.protocol.calibrate == 16
    assert json.loads(json.dumps(record.to_json())) == report
    assert {name: np.shape(reached.shares) for name, reached in record.comparison.methods.items()} == {
        NSGA: (3, 3), RANDOM: (3, 3)
    }  # fmt: skip
    ends = record.comparison.methods[NSGA].ends
    row = next(line for line in done.out.splitlines() if line.startswith(NSGA + " ") and "%" in line)
    assert row.split()[1:4] == ["3", "12", f"{np.mean(ends):.1%}"]
    with Image.open("run/studies/compare/hypervolume.png") as picture:
        assert picture.width > 300 and np.asarray(picture).std() > 0

    again = dualfair("compare", "--run", "run", "--seeds", 3)
    assert record.sentence in again.out and set(scored.values()) == {1}
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


NANO = skeleton_of("nano").resized(32)


def test_only_networks_within_the_constraints_are_compared(dualfair, tmp_path, monkeypatch):
    faces, run = tmp_path / "faces", tmp_path / "run"
    dualfair("faces", "synth", "--out", faces, "--identities", 24, "--images", 4, "--size", 32)
    quick = ("--size", 32, "--epochs", 0.5, "--batch", 8, "--space", "dpn81-shared")
    assert dualfair("train", "--faces", faces, "--out", run, *quick).status == 0
    monkeypatch.setattr(Latencies, "_time", lambda self, genotype: macs(genotype, NANO) / 1e6)
    small = ("--population", 5, "--generations", 2, "--calibrate", 16, "--confirm-candidates", 2)
    limits = ("--max-macs", 1_000_000, "--max-latency", 0.5)
    searched = dualfair("search", "--run", run, *small, *limits)
    assert searched.status == 0, searched.err

    scored, score = [], InheritedScorer.__call__
    monkeypatch.setattr(InheritedScorer, "__call__", lambda self, asked: scored.extend(asked) or score(self, asked))
    compared = dualfair("compare", "--run", run, "--seeds", 2, "--population", 3, "--generations", 2)
    assert compared.status == 0, compared.err
    assert "within limits: at most 1,000,000" in compared.out
    assert scored and all(macs(genotype, NANO) <= 500_000 for genotype in scored)
    within = sum(macs(genotype, NANO) <= 500_000 for genotype in SPACES["dpn81-shared"].enumerate())
    assert f"6 of {within} evaluations" in compared.out
    assert json.loads((run / "studies/compare/comparison.json").read_text())["networks"] == within
