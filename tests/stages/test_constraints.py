"""Limits and starts of `dualfair search`: parameters, multiply-accumulates, latency; networks to begin with."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dualfair.evaluation import latency as timing
from dualfair.evaluation.cost import macs, parameters
from dualfair.evaluation.latency import REPEATS, WARM_UP, Latencies, median_milliseconds
from dualfair.evaluation.limits import CostLimits
from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.evolution.constraints import Constraints
from dualfair.runs.options import ConstraintOptions
from dualfair.runs.records.search import SearchConfig
from dualfair.stages.search import random_subnets
from dualfair.supernet.published import PUBLISHED, starts_of
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.space import SPACES, ChoiceBlock, SearchSpace
from tests.support.records import search_config

NANO = skeleton_of("nano").resized(32)
SHARED = SPACES["dpn81-shared"]
CPU = torch.device("cpu")


def network_limits(latency=None, **options):
    return CostLimits(SHARED, NANO, latency=latency, **options)


def constraints_of(**options):
    limits = network_limits(**options)
    return Constraints(SHARED, limits, limits.too_tight)


def test_costs_are_over_their_limits_minus_one_and_beyond_another_limit_nothing_is_timed():
    timed = []

    def latency(genotype):
        timed.append(str(genotype))
        return 3.0

    small, large = SHARED.parse("444:cosface"), SHARED.parse("222:cosface")
    limits = network_limits(latency, max_params=100_000, max_macs=2_000_000, max_latency=2.0)
    values = limits([small, large])
    expected = [[parameters(g, NANO) / 1e5 - 1, macs(g, NANO) / 2e6 - 1] for g in (small, large)]
    assert values[:, :2] == pytest.approx(np.array(expected))
    assert values[0, 2] == 0.5 and math.isnan(values[1, 2]) and timed == [str(small)]


def test_a_limit_is_kept_by_the_very_cost_and_not_by_one_more():
    genotype = SHARED.parse("121:arcface")
    exact = parameters(genotype, NANO)
    for most, kept in ((exact, True), (exact - 1, False), (exact + 1, True)):
        assert constraints_of(max_params=most).keeps(genotype) is kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_params": -1}, "max_params must be 0 (no limit) or more, got -1"),
        ({"max_macs": -5}, "max_macs must be 0 (no limit) or more, got -5"),
        ({"max_latency": -0.1}, "max_latency must be 0 (no limit) or more, got -0.1"),
        ({"latency_batch": 0}, "latency_batch must be 1 or more images, got 0"),
    ],
)
def test_limits_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError) as error:
        ConstraintOptions(**options)
    assert str(error.value) == message


def test_limits_are_recorded(tmp_path):
    kept = search_config(max_macs=7).to_json()

    def limits(**keys):
        (tmp_path / "config.json").write_text(json.dumps(keys))
        return SearchConfig.read(tmp_path / "config.json").constraints

    assert limits(**kept) == ConstraintOptions(max_macs=7)
    with pytest.raises(ValueError, match=r"config.json is damaged \(max_macs must be a int, got 'x'\)"):
        limits(**{**kept, "max_macs": "x"})


def test_the_median_is_of_the_passes_after_the_warm_up(monkeypatch):
    events, clock = [], iter(np.cumsum([0, *([5.0, 0] * WARM_UP), *([0.002, 0] * (REPEATS - 1)), 9.0, 0]))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(clock)))
    median = median_milliseconds(lambda: events.append("work"), lambda: events.append("wait"))
    assert median == pytest.approx(2.0)
    assert events == ["wait", "work", "wait"] * (WARM_UP + REPEATS)


def test_a_latency_is_measured_once_and_kept_by_device_threads_and_batch(tmp_path):
    measured = []

    def measure(genotype):
        measured.append(str(genotype))
        return float(len(measured))

    file, first, second = tmp_path / "latency.json", SHARED.parse("101:cosface"), SHARED.parse("000:cosface")
    times = Latencies(file, NANO, CPU, 1, measure)
    assert [times(first), times(second), times(first)] == [1, 2, 1]
    again = Latencies(file, NANO, CPU, 1, measure)
    assert [again(second), again(first)] == [2, 1] and len(measured) == 2
    assert Latencies(file, NANO, CPU, 4, measure)(first) == 3
    kept = json.loads(file.read_text())
    assert [len(of) for of in kept.values()] == [2, 1]
    assert all(f"cpu, {torch.get_num_threads()} threads, batch " in key for key in kept)


def test_a_measured_latency_is_positive_and_moves_no_generator(tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert 0 < Latencies(tmp_path / "latency.json", NANO, CPU, 2)(SHARED.parse("444:magface")) < 10_000
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "text", ["[", "[]", '{"a": 3}', '{"a": {"101:cosface": -1}}', '{"a": {"1x1": 1}}', '{"a": {"101": "2"}}']
)
def test_damaged_latencies_are_named(tmp_path, text):
    (tmp_path / "latency.json").write_text(text)
    with pytest.raises(ValueError, match=r"latency.json is damaged \(.*\); delete it to have latencies measured again"):
        Latencies(tmp_path / "latency.json", NANO, CPU, 1)


def test_starts_are_the_published_networks_of_the_space_and_each_once():
    starts, left_out = starts_of(["010:cosface", "paper", "111:arcface", "010:cosface"], SHARED)
    triples = [str(genotype)[:3] for genotype in starts]
    assert triples == ["010", "000", "101", "111"] and {str(g)[-7:] for g in starts[:3]} == {"cosface"}
    assert left_out == ["Of --start paper, 680:cosface, 301:cosface lie outside of space dpn81-shared: left out"]
    everything, nothing = starts_of(["paper"], SPACES["dpn729"])
    assert len(everything) == len(PUBLISHED["paper"]) and not nothing
    assert starts_of([], SHARED) == ([], [])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("109:cosface", "--start 109:cosface: genotype '109-109-109-109:cosface': block 1, position 3 has code 9"),
        ("680:cosface", "--start 680:cosface: genotype '680-680-680-680:cosface' is not in space dpn81-shared"),
        ("people", "--start people: genotype 'people': block 1 is 'people'"),
    ],
)
def test_a_start_outside_of_the_space_is_named(word, message):
    with pytest.raises(ValueError) as error:
        starts_of([word], SHARED)
    assert str(error.value).startswith(message) and str(error.value).endswith("; or name a study: paper")


def test_a_study_without_a_network_in_the_space_is_no_start():
    other = SearchSpace([ChoiceBlock("a", "pq"), ChoiceBlock("head", ("cosface",))], "mine")
    with pytest.raises(ValueError, match="no network of --start paper lies in space mine"):
        starts_of(["paper"], other)


def test_random_subnets_keep_the_limits_and_are_none_of_the_starts():
    limits = constraints_of(max_macs=2_000_000)
    start = SHARED.parse("444:cosface")
    config = replace(search_config(population=9), start=(start,))
    drawn = random_subnets(SHARED, config, limits)
    assert len(set(drawn)) == 8 and start not in drawn
    sample = random_subnets(SHARED, replace(config, exhaustive=True, start=()), limits)
    assert all(macs(genotype, NANO) <= 2_000_000 for genotype in (*drawn, *sample)) and len(sample) == 32


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("limits")


@pytest.fixture
def run(dualfair, place):
    if not (place / "run").exists():
        dualfair("faces", "synth", "--out", place / "faces", "--identities", 24, "--images", 4, "--size", 32)
        made = dualfair("train", "--faces", place / "faces", "--out", place / "run", "--size", 32, "--epochs", 0.5,
                        "--batch", 8, "--space", "dpn81-shared")  # fmt: skip
        assert made.status == 0, made.err
    return place / "run"


@pytest.fixture
def scored(monkeypatch):
    """The genotypes that were scored, in order."""
    asked, score = [], InheritedScorer.__call__

    def recording(self, genotypes):
        asked.extend(genotypes)
        return score(self, genotypes)

    monkeypatch.setattr(InheritedScorer, "__call__", recording)
    return asked


SMALL_SEARCH = ("--population", 5, "--generations", 2, "--calibrate", 16, "--confirm-candidates", 2)


def test_a_limited_search_scores_confirms_and_reports_only_networks_within_its_limits(
    dualfair, run, scored, monkeypatch
):
    # A search without limits comes first: what it leaves in the archive must not come back.
    free = dualfair("search", "--run", run, *SMALL_SEARCH)
    assert free.status == 0, free.err
    assert any(macs(genotype, NANO) > 1_000_000 for genotype in scored)
    scored.clear()

    timed = []
    monkeypatch.setattr(Latencies, "_time", lambda self, genotype: timed.append(genotype) or macs(genotype, NANO) / 1e6)
    words = ("search", "--run", run, *SMALL_SEARCH, "--max-macs", 1_000_000, "--max-latency", 0.5, "--latency-batch", 3,
             "--start", "444:cosface")  # fmt: skip
    result = dualfair(*words)
    assert result.status == 0, result.err
    assert scored and all(macs(genotype, NANO) <= 500_000 for genotype in scored)
    assert len(timed) == len(set(timed)) and all(macs(genotype, NANO) <= 1_000_000 for genotype in timed)
    assert "within limits: at most 1,000,000 multiply-accumulates and at most 0.500 ms at " in result.out
    assert "batch 3, 32 px; networks beyond are not scored" in result.out
    assert "begins with 444-444-444-444:cosface" in result.out and "10 genotypes" in result.out
    lines = result.out.splitlines()
    heading = next(place for place, line in enumerate(lines) if line.endswith("MACs  latency in ms"))
    cells = lines[heading + 1].split()
    assert cells[-1] == f"{macs(cells[0], NANO) / 1e6:.3f}"
    report = json.loads((run / "search/front.json").read_text())
    assert {name: report["config"][name] for name in ("max_params", "max_macs", "max_latency", "latency_batch")} == {
        "max_params": 0, "max_macs": 1_000_000, "max_latency": 0.5, "latency_batch": 3
    }  # fmt: skip
    assert report["config"]["start"] == ["444-444-444-444:cosface"]
    assert all(entry["latency in ms"] == macs(entry["genotype"], NANO) / 1e6 <= 0.5 for entry in report["front"])
    for name in ("scores.csv", "front.csv"):
        rows = list(csv.DictReader((run / "search" / name).open()))
        assert rows and all(float(row["macs"]) <= 500_000 for row in rows)

    scored.clear()
    seen = len(timed)
    again = dualfair(*words)
    assert "10 genotypes, 10 of them known before" in again.out and not scored and len(timed) == seen
    assert json.loads((run / "search/front.json").read_text()) == report


def test_limits_and_starts_that_cannot_be_get_one_line(dualfair, run):
    params, cheapest = (min(of(genotype, NANO) for genotype in SHARED.enumerate()) for of in (parameters, macs))
    big = macs("222:cosface", NANO)
    for words, message in (
        (
            ("--max-params", 10),
            "no network of space dpn81-shared keeps --max-params 10: the smallest seen has "
            f"{params:,} parameters; raise the limit",
        ),
        (
            ("--max-params", 10, "--max-macs", 7, "--exhaustive"),
            "keeps --max-params 10 and --max-macs 7: the smallest seen (each by itself) has "
            f"{params:,} parameters, {cheapest:,} multiply-accumulates; raise the limit",
        ),
        (
            ("--max-params", 10, "--max-latency", 7),
            f"--max-latency 7.000: the smallest seen (each by itself) has {params:,} parameters; raise the limit",
        ),
        (
            ("--max-macs", 900_000, "--start", "222:cosface"),
            f"--start 222-222-222-222:cosface has {big:,} multiply-accumulates, beyond --max-macs 900,000; leave",
        ),
        (("--exhaustive", "--start", "paper"), "--exhaustive scores every network; leave out --start"),
        (("--population", 2, "--start", "paper"), "3 networks to start from are more than the first generation holds"),
    ):
        result = dualfair("search", "--run", run, *words)
        assert result.status == 2 and message in result.err and result.err.count("\n") == 1, result.err
