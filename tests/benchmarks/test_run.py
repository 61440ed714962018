"""`dualfair bench`: timing in turn, peaks in fresh processes, what is printed and what is written."""

import importlib
import json
import subprocess

import pytest
import torch

from dualfair.benchmarks import growth, memory, ranks, roofline, safety, scoring
from dualfair.benchmarks.report import Growth, rounded
from dualfair.benchmarks.roofline import count_flops
from dualfair.benchmarks.setting import Setting, training_faces
from dualfair.benchmarks.table import BENCHMARKS
from dualfair.planning.stopwatch import Comparison, Spread


def test_growth_has_the_exponent_of_its_power():
    seconds = tuple(Spread.of([3e-6 * size**1.5]) for size in (10, 100, 1000))
    assert Growth(title="", sizes=(10, 100, 1000), seconds=seconds).exponent == pytest.approx(1.5)


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
        faces = training_faces(Setting(batch=batch, size=32))
        assert len(faces.labels) >= 4 * batch and len(set(faces.labels)) == 64


def test_a_peak_is_measured_in_a_process_of_its_own():
    images = 2000
    found = memory.peak(Setting(embeddings=(images,)), "ranks", "plain", calls=1)
    assert 12 * images**2 < found.bytes < 60 * images**2
    assert found.seconds > 0


def test_a_process_that_dies_is_reported_in_one_line(monkeypatch):
    def died(*arguments, **named):
        return subprocess.CompletedProcess([], 1, "", "Traceback ...\nMemoryError: no more\n")

    monkeypatch.setattr(subprocess, "run", died)
    said = r"^ranks, plain, in a process of its own: MemoryError: no more; measure something smaller$"
    with pytest.raises(ValueError, match=said):
        memory.peaks(Setting(), "ranks")
    assert memory.peaks(Setting(memory=False), "ranks") is None


def test_every_benchmark_of_the_table_can_be_run():
    for name in BENCHMARKS:
        assert callable(importlib.import_module(f"dualfair.benchmarks.{name}").run)


def test_json_holds_what_is_printed(dualfair, tmp_path):
    ran = dualfair("bench", "--only", "ranks", "--repeats", 2, "--embeddings", "200,300", "--no-memory",
                   "--device", "cpu", "--json", tmp_path / "r.json")  # fmt: skip
    assert ran.status == 0, ran.err

    def refuse(name):
        raise AssertionError(f"{name} is not strict JSON")

    report = json.loads((tmp_path / "r.json").read_text(), parse_constant=refuse)
    assert report["setting"]["repeats"] == 2
    assert report["environment"]["torch"] == torch.__version__
    assert f"threads {torch.get_num_threads()}" in ran.out
    first, second = report["benchmarks"]["ranks"]
    assert (first["work"], second["work"]) == (200, 300)
    for contest in (first, second):
        assert contest["title"] in ran.out and contest["peak bytes"] is None
        plain, ours = (contest["seconds"][name] for name in ("plain", "ours"))
        pairs = [a / b for a, b in zip(plain["all"], ours["all"], strict=True)]
        assert contest["ratio"]["n"] == 2 and contest["ratio"]["median"] == pytest.approx(sum(pairs) / 2)
        assert f"ratio {rounded(contest['ratio']['median'])} [" in ran.out
        assert contest["units per second"]["ours"] == pytest.approx(contest["work"] / ours["median"])


def test_a_sort_that_does_not_fit_is_skipped_and_says_so(dualfair, monkeypatch):
    monkeypatch.setattr(ranks, "available_ram", lambda: 2**20)
    ran = dualfair("bench", "--only", "ranks", "--embeddings", 2000, "--no-memory", "--device", "cpu")
    assert ran.status == 0 and "skipped: the full sort needs about 0.1 GiB, 0.0 GiB are available" in ran.out


def test_large_sets_are_compared_once_in_processes_of_their_own(monkeypatch):
    monkeypatch.setattr(ranks, "LARGE", 100)
    asked = []

    def peak(setting, benchmark, contestant, calls):
        asked.append((setting.embeddings, contestant, calls))
        return memory.Peak(10, {"plain": 6.0, "ours": 2.0}[contestant])

    monkeypatch.setattr(ranks, "peak", peak)
    (found,) = ranks.run(Setting(embeddings=(100,), memory=False))
    assert asked == [((100,), "plain", 1), ((100,), "ours", 1)]
    assert found.comparison == Comparison((6.0,), (2.0,)) and "  ratio 3.00 over 1 pair" in found.lines()


def test_training_and_embedding_and_scoring_report_their_own_numbers(dualfair, tmp_path, monkeypatch):
    monkeypatch.setattr(roofline, "SIDES", {"cpu": (64, 128)})
    monkeypatch.setattr(scoring, "EPOCHS", 1)
    ran = dualfair("bench", "--only", "step", "--only", "standalone", "--only", "embedding", "--only", "scoring",
                   "--size", 32, "--batch", 16, "--population", 3, "--repeats", 1, "--no-memory", "--device", "cpu",
                   "--json", tmp_path / "r.json")  # fmt: skip
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "r.json").read_text())["benchmarks"]
    assert list(found) == ["step", "standalone", "embedding", "scoring"]
    step, scored = found["step"][0], found["scoring"]
    assert step["work"] == 9 * 16 and step["share of the matrix product"]["ours"] > 0
    assert step["matrix product"]["side"] in (64, 128)
    assert step["FLOP/s"]["plain"] == pytest.approx(step["step FLOPs"] / step["seconds"]["plain"]["median"])
    assert len(scored) == 4 and scored[3]["ideal ratio"] > 2.5
    for contest in scored:
        effort = contest["MACs an image"]
        assert contest["ideal ratio"] == effort["one by one"] / effort["distinct prefixes"]
        assert contest["share of the ideal"] == contest["ratio"]["median"] / contest["ideal ratio"]
    assert ran.out.count("random pixels") == 7


def test_what_safety_costs_is_measured_and_leaves_operations_free():
    found = {contest.ours: contest for contest in safety.run(Setting(size=32, batch=16, repeats=1))}
    assert list(found) == ["with SHA-256, record, fsync, rename", "an archive on disk", "--deterministic"]
    checkpoint = found["with SHA-256, record, fsync, rename"]
    assert checkpoint.facts["share"] == checkpoint.comparison.ours.median / 300
    assert checkpoint.facts["bytes"] > 2 * 4 * 3e6 and checkpoint.facts["verification seconds"] > 0
    assert not torch.are_deterministic_algorithms_enabled()


def test_contestants_of_their_own_processes_are_timed_in_turn(monkeypatch):
    asked = []

    def peak(setting, benchmark, contestant, calls):
        asked.append(contestant)
        return memory.Peak(len(asked), float(len(asked)))

    monkeypatch.setattr(memory, "peak", peak)
    comparison, (plain, ours) = memory.in_turn(Setting(repeats=3), "step", 4)
    assert asked == ["plain", "ours", "ours", "plain", "plain", "ours"]
    assert comparison == Comparison((1.0, 4.0, 5.0), (2.0, 3.0, 6.0)) and (plain.bytes, ours.bytes) == (5, 6)


def test_growth_is_measured_over_sizes(monkeypatch):
    monkeypatch.setattr(growth, "IMAGES", (50, 100))
    monkeypatch.setattr(growth, "POPULATIONS", (1, 2))
    monkeypatch.setattr(growth, "GROUPS", (2, 4))
    monkeypatch.setattr(growth, "PROBES", 100)
    found = growth.run(Setting(size=32, repeats=1))
    assert [result.sizes for result in found] == [(50, 100), (1, 2), (2, 4)]
    assert all(len(result.seconds) == 2 and len(result.lines()) == 4 for result in found)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--only", "steps"],
            "unknown benchmark 'steps'; choose from step, standalone, processes, embedding, scoring, ranks, prediction",
        ),
        (["--device", "cuda:7"], "device 'cuda:7' is not available"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--skeleton", "huge"], "unknown skeleton 'huge'; choose from nano, small, paper"),
        (["--size", "8"], "images of 8 px are too small"),
        (["--embeddings", "many"], "embeddings must be numbers joined by ',', such as 5000,20000, got 'many'"),
        (["--embeddings", "5"], "embeddings must be sizes of 10 or more, got (5,)"),
        (["--repeats", "0"], "repeats must be 1 or more, got 0"),
        (["--json", "nowhere/r.json"], "there is no folder"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_measured(dualfair, words, said):
    ran = dualfair("bench", *words)
    assert ran.status == 2 and said in ran.err
    assert ran.out == "" and len(ran.err.strip().splitlines()) == 1
