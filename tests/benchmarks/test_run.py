"""`dualfair bench`: what is measured, what is printed and what is written."""

import json

import pytest
import torch

from dualfair.benchmarks import BENCHMARKS, contests
from dualfair.benchmarks.contest import Setting, Way
from dualfair.benchmarks.run import run_benchmarks


@pytest.fixture
def no_processes(monkeypatch):
    """Contestants are built and called once here, and take 6 s and 30 MiB, or 2 s and 10 MiB; memory is short."""

    def compare(ways, *, repeats, calls, warm_up=0, device="cpu"):
        for make in ways.values():
            make()()
        plain, ours = ways
        return Way(plain, (6.0,) * repeats, 30 * 2**20), Way(ours, (2.0,) * repeats, 10 * 2**20)

    monkeypatch.setattr(contests, "compare", compare)
    monkeypatch.setattr(contests, "available_ram", lambda: 2**20)


def test_every_benchmark_of_the_table_can_be_run():
    assert list(contests.CONTESTS) == list(BENCHMARKS)


def test_json_holds_what_is_printed(dualfair, tmp_path, no_processes):
    ran = dualfair("bench", "--only", "step", "--only", "ranks", "--repeats", 2, "--batch", 2, "--device", "cpu",
                   "--json", tmp_path / "r.json")  # fmt: skip
    assert ran.status == 0, ran.err

    def refuse(name):
        raise AssertionError(f"{name} is not strict JSON")

    report = json.loads((tmp_path / "r.json").read_text(), parse_constant=refuse)
    assert report["setting"]["repeats"] == 2
    assert report["environment"]["torch"] == torch.__version__
    assert f"device cpu, {torch.get_num_threads()} threads" in ran.out
    assert list(report["benchmarks"]) == ["step", "ranks"]
    default, alike = report["benchmarks"]["step"]
    assert default["title"] in ran.out and default["title"] == alike["title"]
    assert [way["name"] for way in default["ways"]] == [
        "a pass for every path, PyTorch's defaults",
        "Trainer, path by path",
    ]
    assert default["work"] == 9 * 2 and default["ways"][0] == {**alike["ways"][0], "name": default["ways"][0]["name"]}
    assert default["ways"][1] == {"name": "Trainer, path by path", "seconds": [2.0, 2.0], "peak": 10 * 2**20}
    assert default["ratio"] == [3.0, 3.0, 3.0]
    row = next(line.split() for line in ran.out.splitlines() if line.startswith("  Trainer"))
    assert row[-2:] == ["9", "10"], "9 images x paths a second, 10 MiB"
    assert "  ratio 3.000 [3.000, 3.000] over 2 pairs" in ran.out
    assert "  ratio 3.000 over 1 pair\n" in ran.out, "ranks are timed once"


def test_ranks_are_of_as_many_embeddings_as_the_full_sort_has_memory_for(no_processes):
    (contest,) = contests.ranks(Setting())
    assert contest.work == 204 and "204 random embeddings" in contest.title


def test_scoring_is_held_against_what_sharing_could_give(monkeypatch, no_processes):
    monkeypatch.setattr(contests, "POPULATION", 3)
    printed = []
    report = run_benchmarks(Setting(batch=4, repeats=1), ["scoring"], say=printed.append)
    random, all_heads = report["benchmarks"]["scoring"]
    assert random["work"] == all_heads["work"] == 3 * 4
    assert all_heads["ideal"] > 2.5 and f"; ideal, by MACs, {random['ideal']:.3f}" in "\n".join(printed)
    assert "\n".join(printed).count("random pixels") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "steps"], "unknown benchmark 'steps'; choose from step, scoring, ranks"),
        (["--device", "cuda:7"], "device 'cuda:7' is not available"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--skeleton", "huge"], "unknown skeleton 'huge'; choose from nano, small, paper"),
        (["--repeats", "0"], "repeats must be 1 or more, got 0"),
        (["--json", "nowhere/r.json"], "there is no folder"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_measured(dualfair, words, message):
    ran = dualfair("bench", *words)
    assert ran.status == 2 and message in ran.err
    assert ran.out == "" and len(ran.err.strip().splitlines()) == 1
