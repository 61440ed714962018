"""`dualfair bench`: what is measured, what is printed and what is written."""

import importlib
import json

import pytest
import torch

from dualfair.benchmarks import BENCHMARKS, safety, scoring, training
from dualfair.benchmarks.contest import Setting, rounded, run_benchmarks
from dualfair.benchmarks.timing import Comparison, Peak
from dualfair.benchmarks.training import count_flops


@pytest.fixture
def no_processes(monkeypatch):
    """Contestants that would have a process of their own are built and called once here, and take 6 s or 2 s."""

    def apart(plain, ours, *, repeats, calls, device="cpu"):
        plain()(), ours()()
        return Comparison((6.0,) * repeats, (2.0,) * repeats), (Peak(30, 6.0), Peak(10, 2.0))

    for module in (scoring, training):
        monkeypatch.setattr(module, "compare_apart", apart)


def test_flops_are_two_a_multiply_accumulate_and_those_of_backward_count():
    a, b = torch.randn(3, 5, requires_grad=True), torch.randn(5, 7, requires_grad=True)
    assert count_flops(lambda: a @ b) == 2 * 3 * 5 * 7
    assert count_flops(lambda: (a @ b).sum().backward()) == 3 * 2 * 3 * 5 * 7


@pytest.mark.parametrize(
    ("value", "text"), [(0.0244, "0.0244"), (1.1, "1.10"), (464.2, "464"), (12345.6, "12,346"), (0, "0.00")]
)
def test_numbers_have_three_significant_digits(value, text):
    assert rounded(value) == text


def test_the_training_faces_fill_any_batch():
    for batch in (2, 32, 500):
        faces = Setting(batch=batch, size=32).training_faces
        assert len(faces.labels) >= 4 * batch and len(set(faces.labels)) == 64


def test_every_benchmark_of_the_table_can_be_run():
    for name, (module, _) in BENCHMARKS.items():
        assert callable(getattr(importlib.import_module(f"dualfair.benchmarks.{module}"), name))


def test_json_holds_what_is_printed(dualfair, tmp_path):
    ran = dualfair("bench", "--only", "embedding", "--repeats", 2, "--batch", 2, "--device", "cpu",
                   "--json", tmp_path / "r.json")  # fmt: skip
    assert ran.status == 0, ran.err

    def refuse(name):
        raise AssertionError(f"{name} is not strict JSON")

    report = json.loads((tmp_path / "r.json").read_text(), parse_constant=refuse)
    assert report["setting"]["repeats"] == 2
    assert report["environment"]["torch"] == torch.__version__
    assert f"threads {torch.get_num_threads()}" in ran.out
    (contest,) = report["benchmarks"]["embedding"]
    assert contest["title"] in ran.out and contest["peak bytes"] is None and contest["work"] == 4
    plain, ours = (contest["seconds"][name] for name in ("plain", "ours"))
    pairs = [a / b for a, b in zip(plain["all"], ours["all"], strict=True)]
    assert contest["ratio"]["n"] == 2 and contest["ratio"]["median"] == pytest.approx(sum(pairs) / 2)
    assert f"ratio {rounded(contest['ratio']['median'])} [" in ran.out
    assert contest["units per second"]["ours"] == pytest.approx(contest["work"] / ours["median"])


def test_a_sort_that_does_not_fit_is_skipped_and_says_so(monkeypatch):
    monkeypatch.setattr(scoring, "available_ram", lambda: 2**20)
    (skipped,) = scoring.ranks(Setting(embeddings=(2000,)))
    assert skipped.lines()[1] == "  skipped: the full sort needs about 0.1 GiB, 0.0 GiB are available"


def test_large_sets_are_compared_once_in_processes_of_their_own(monkeypatch, no_processes):
    monkeypatch.setattr(scoring, "LARGE", 100)
    small, large = scoring.ranks(Setting(embeddings=(50, 100)))
    assert small.comparison == Comparison((6.0,) * 5, (2.0,) * 5)
    assert large.comparison == Comparison((6.0,), (2.0,)) and "  ratio 3.00 over 1 pair" in large.lines()


def test_training_and_scoring_report_their_own_numbers(monkeypatch, no_processes):
    monkeypatch.setattr(training, "SIDES", {"cpu": (64, 128)})
    monkeypatch.setattr(scoring, "EPOCHS", 1)
    printed = []
    setting = Setting(size=32, batch=16, population=3, repeats=1)
    report = run_benchmarks(setting, ["step", "standalone", "scoring"], say=printed.append)
    contests = report["benchmarks"]
    assert list(contests) == ["step", "standalone", "scoring"]
    step, scored = contests["step"][0], contests["scoring"]
    assert step["work"] == 9 * 16 and step["peak bytes"] == {"plain": 30, "ours": 10}
    share = step["step FLOPs"] / step["seconds"]["plain"]["median"] / step["matrix product FLOP/s"]
    assert step["share of the matrix product"]["plain"] == pytest.approx(share)
    assert len(scored) == 4 and scored[3]["ideal ratio"] > 2.5
    for contest in scored:
        effort = contest["MACs an image"]
        assert contest["ideal ratio"] == effort["one by one"] / effort["distinct prefixes"]
        assert contest["share of the ideal"] == contest["ratio"]["median"] / contest["ideal ratio"]
    assert "\n".join(printed).count("random pixels") == 8


def test_what_safety_costs_is_measured_and_leaves_operations_free():
    contests = {contest.ours: contest for contest in safety.safety(Setting(size=32, batch=16, repeats=1))}
    assert list(contests) == ["with SHA-256, record, fsync, rename", "an archive on disk", "--deterministic"]
    checkpoint = contests["with SHA-256, record, fsync, rename"]
    assert checkpoint.facts["share"] == checkpoint.comparison.ours.median / 300
    assert checkpoint.facts["bytes"] > 2 * 4 * 3e6 and checkpoint.facts["verification seconds"] > 0
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--only", "steps"],
            "unknown benchmark 'steps'; choose from step, standalone, processes, embedding, scoring, ranks, safety",
        ),
        (["--device", "cuda:7"], "device 'cuda:7' is not available"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--skeleton", "huge"], "unknown skeleton 'huge'; choose from nano, small, paper"),
        (["--repeats", "0"], "repeats must be 1 or more, got 0"),
        (["--json", "nowhere/r.json"], "there is no folder"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_measured(dualfair, words, said):
    ran = dualfair("bench", *words)
    assert ran.status == 2 and said in ran.err
    assert ran.out == "" and len(ran.err.strip().splitlines()) == 1
