"""Objectives other than error and disparity, through search, confirmation, retraining, correlation and evaluation."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest

from dualfair.evaluation import latency
from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import ProtocolOptions, RetrainOptions, measurement
from dualfair.runs.trained_run import open_trained
from dualfair.stages.inherited import recorded_search, scored_networks
from dualfair.stages.retrain import select
from dualfair.supernet.training.process_group import ALONE

GUIDE = Path(__file__).parents[2] / "tools/guides/own_objective.py"
SEARCH = ("--population", 6, "--generations", 2, "--calibrate", 32, "--confirm-candidates", 4)
QUICK = ("--seeds", 1, "--controls", 2, "--random", 2, "--epochs", 0.3)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("objectives")


@pytest.fixture
def trained(dualfair, place, tmp_path, monkeypatch):
    """A trained run in the current folder, without a search."""
    if not (place / "run").exists():
        faces = ("--identities", 48, "--images", 4, "--size", 32)
        assert dualfair("faces", "synth", "--out", place / "faces", *faces).status == 0
        made = dualfair("train", "--faces", place / "faces", "--out", place / "run", "--size", 32, "--epochs", 0.5,
                        "--batch", 16, "--split", "0.4,0.4,0.2", "--space", "dpn81-shared")  # fmt: skip
        assert made.status == 0, made.err
    shutil.copytree(place, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    yield Path("run")
    sys.modules.pop("own_objective", None)


def test_a_search_without_disparity_and_error_goes_through_all_stages(dualfair, trained):
    shutil.copy(GUIDE, ".")
    text = "own_objective:false_rejects(far=0.1),worst_group_error,macs"
    names = ["own_objective:false_rejects(far=0.1)", "worst_group_error", "macs"]
    searched = dualfair("search", "--run", trained, *SEARCH, "--objectives", text)
    assert searched.status == 0, searched.err
    assert f"minimise {', '.join(names)} on " in searched.out and "The front has " in searched.out
    front = json.loads((trained / "search/front.json").read_text())
    assert front["objectives"] == names and front["config"]["objectives"] == text
    chances = [chance["objective"] for chance in front["confirmation"]["against random"]]
    assert chances == names[:2] == [*front["confirmation"]["means"]]
    for network in front["front"]:
        for name in names[:2]:
            ends = network["confirmed"][f"{name} low"], network["confirmed"][f"{name} high"]
            assert network["confirmed"][name] == pytest.approx(sum(ends) / 2) or ends[0] <= network["confirmed"][name]
        assert network["confirmed"]["macs"] == network["macs"] and {"error", "rank_disparity"} <= set(network)
    with RunDirectory(trained).locked() as directory:
        run = open_trained(directory, ALONE)
        scored, values = scored_networks(run)
        samples = select(run, RetrainOptions(controls=2))
    rejects = {each.genotype: value for each, value in zip(scored, values[:, 0], strict=True)}
    even = [rejects[genotype] for genotype, of in samples.items() if "even" in of]
    rest = [value for genotype, value in rejects.items() if "front" not in samples.get(genotype, ())]
    assert sorted(even) == [min(rest), max(rest)], "evenly spaced in the first objective on images"

    retrained = dualfair("retrain", "--run", trained, *QUICK)
    assert retrained.status == 0, retrained.err
    heading = next(line for line in retrained.out.splitlines() if line.startswith("network "))
    assert "val error" in heading and "test own_objective:false_rejects(far=0.1)" in heading
    studied = dualfair("correlate", "--run", trained, "--resamples", 50)
    assert studied.status in (0, 3), studied.err
    ranking = json.loads((trained / "correlate/ranking.json").read_text())
    splits = ("validation", "test")
    assert set(ranking["measures"]) == {f"{name}, {split} identities" for name in names[:2] for split in splits}
    exported = dualfair("export", trained, "--to", "exported", "--format", "state")
    assert exported.status == 0 and "that the run's report recommends of" in exported.out, exported.err
    reported = dualfair("report", trained, "--out", "report/report.html")
    assert reported.status == 0 and "damaged" not in reported.out + reported.err, reported.err
    first = sorted(trained.glob("retrain/*/seed-0"))[0]
    judged = dualfair("evaluate", "--network", first, "--faces", "faces", "--out", "judged", "--resamples", 20)
    assert judged.status == 0, judged.err
    beside = dualfair("search", "--run", trained, *SEARCH)
    assert beside.status == 2 and "judged with objectives = " in beside.err


@pytest.mark.parametrize(
    "objectives",
    [
        "error,macs,params",
        pytest.param("error,tar(far=0.01)", marks=pytest.mark.slow),
        "rank_disparity(gallery=4),error",
    ],
)
def test_lists_of_objectives_are_searched_and_searched_again(dualfair, trained, objectives):
    searched = dualfair("search", "--run", trained, *SEARCH, "--objectives", objectives)
    assert searched.status == 0, searched.err
    front = (trained / "search/front.json").read_text()
    named = json.loads(front)["objectives"]
    assert named == [name.replace("tar", "1 - tar") for name in objectives.split(",")]
    with open(trained / "search/scores.csv") as file:
        header, *rows = csv.reader(file)
    assert header[1 : 1 + len(named)] == named and len(rows) == 12
    assert ("disparity" in searched.out.split("Confirmed on")[1]) == ("disparity" in objectives)
    again = dualfair("search", "--run", trained, *SEARCH, "--objectives", objectives.replace(",", " , "))
    assert "12 genotypes, 12 of them known before" in again.out
    assert (trained / "search/front.json").read_text() == front


@pytest.mark.slow
def test_scores_by_edited_code_of_ones_own_are_not_mixed_with_those_before(dualfair, trained):
    words = ("search", "--run", trained, *SEARCH, "--objectives", "error,edited:mine")
    values = {}
    for time, (factor, known) in enumerate([(1, 0), (1, 12), (1000, 0), (1, 12)]):
        sys.modules.pop("edited", None)
        Path("edited.py").write_text(f"def mine(faces):\n    return {factor} * float(abs(faces.embeddings).mean())\n")
        result = dualfair(*words)
        assert result.status == 0, result.err
        assert f"12 genotypes, {known} of them known before" in result.out
        # Scores that confirmed the front by the same weights are no others.
        assert ("code of your own are kept, not used" in result.out) == (time > 1)
        best = min(row["edited:mine"] for row in json.loads((trained / "search/front.json").read_text())["front"])
        assert values.setdefault(factor, best) == best
    assert values[1000] == pytest.approx(1000 * values[1])
    sys.modules.pop("edited")


@pytest.mark.slow
def test_networks_judged_by_edited_code_of_ones_own_are_not_mixed_with_those_before(dualfair, trained):
    code = "def mine(faces):\n    return FACTOR * float(abs(faces.embeddings).mean())\n"
    searching = ("search", "--run", trained, *SEARCH, "--objectives", "error,judging:mine")
    retraining = ("retrain", "--run", trained, "--seeds", 1, "--controls", 0, "--random", 1, "--epochs", 0.3)
    commands = (searching, retraining, (*retraining, "--genotype", "101:cosface"), ("correlate", "--run", trained))

    def typed(factor):
        sys.modules.pop("judging", None)
        Path("judging.py").write_text(code.replace("FACTOR", factor))
        return [dualfair(*words) for words in commands]

    assert [each.status for each in typed("1")] == [0, 0, 0, 0]
    before = {path: path.read_bytes() for path in trained.rglob("*.json")}
    for refused in typed("1000"):
        (line,) = refused.err.splitlines()
        assert refused.status == 2 and line.startswith(
            "Error: module 'judging' was edited since networks of run were retrained and judged by it; put its code "
            "back, or use another directory"
        )
    assert {path: path.read_bytes() for path in trained.rglob("*.json")} == before
    assert [each.status for each in typed("1")] == [0, 0, 0, 0]
    sys.modules.pop("judging")


def test_an_objective_that_is_always_undefined_is_named_by_retrain(dualfair, trained):
    Path("nowhere.py").write_text("def mine(faces):\n    return float('nan')\n")
    assert dualfair("search", "--run", trained, *SEARCH, "--objectives", "error,nowhere:mine").status in (0, 2)
    failed = dualfair("retrain", "--run", trained, *QUICK)
    assert failed.status == 2 and not (trained / "retrain").exists()
    assert "objective nowhere:mine is undefined for all 12 networks that the search in run scored" in failed.err
    sys.modules.pop("nowhere")


def test_the_measurement_of_built_in_objectives_is_that_of_earlier_archives():
    own = {
        "calibrate": 512,
        "people": 0,
        "objectives": "error,rank_disparity",
        "precision": "tf32",
        "weights": "w",
        "faces": "f",
    }
    assert json.loads(measurement(ProtocolOptions(), "w", "f", "all")) == {**own, "scored on": "all", "scorer": 4}


@pytest.mark.slow
def test_what_others_had_scored_changes_neither_a_search_nor_what_is_retrained_after_it(dualfair, trained):
    """Whole space, then a search of few: its front, tables and controls are those of a run without anything before."""
    words = ("search", "--run", trained, *SEARCH, "--seed", 3)
    shutil.copytree(trained, "untouched")
    assert dualfair("search", "--run", trained, *SEARCH, "--population", 18, "--seed", 1).status == 0
    results = {}
    for run in (trained, Path("untouched")):
        assert dualfair("search", "--run", run, *words[3:]).status == 0
        with RunDirectory(run).locked() as directory:
            opened = open_trained(directory, ALONE)
            scored = [str(each.genotype) for each in scored_networks(opened)[0]]
            samples = select(opened, RetrainOptions(controls=4))
        tables = [(run / "search" / name).read_text() for name in ("scores.csv", "front.csv", "hypervolume.csv")]
        front = json.loads((run / "search/front.json").read_text())
        results[run] = scored, samples, tables, front["front"], front["confirmation"]
    assert results[trained] == results[Path("untouched")] and len(results[trained][0]) == 12


@pytest.mark.slow
def test_latency_is_an_objective_and_a_search_that_goes_on_has_the_same_values(dualfair, trained, monkeypatch):
    timed = iter(range(1, 10_000))
    monkeypatch.setattr(latency.Latencies, "_time", lambda self, genotype: float(next(timed)))
    words = ("search", "--run", trained, *SEARCH, "--objectives", "error,latency")
    searched = dualfair(*words)
    assert searched.status == 0, searched.err
    front = (trained / "search/front.json").read_text()
    config = json.loads(front)["config"]
    assert config["timed on"].endswith("batch 1, 32 px")
    kept = json.loads((trained / "search/latency.json").read_text())[config["timed on"]]
    for network in json.loads(front)["front"]:
        assert network["latency"] == network["confirmed"]["latency"] == kept[network["genotype"]]
    again = dualfair(*words)
    assert "12 genotypes, 12 of them known before" in again.out
    assert (trained / "search/front.json").read_text() == front
    # Another machine reads what was timed there, and does not mix its own times with it.
    monkeypatch.setattr(latency, "device_in_words", lambda device: "another machine")
    with RunDirectory(trained).locked() as directory:
        scored, values = scored_networks(open_trained(directory, ALONE))
    assert {str(each.genotype): value for each, value in zip(scored, values[:, 1], strict=True)}.items() <= kept.items()
    elsewhere = dualfair(*words)
    assert "12 genotypes, 0 of them known before" in elsewhere.out


def test_a_search_goes_on_with_the_images_at_once_that_it_began_with(dualfair, trained, monkeypatch):
    def at_once():
        with RunDirectory(trained).locked() as directory:
            run = open_trained(directory, ALONE)
            scored, _ = scored_networks(run)
            return recorded_search(directory).protocol.images_at_once, len(scored)

    monkeypatch.setattr("dualfair.stages.inherited.images_at_once", lambda device, side: 48)
    unconfirmed = ("--population", 4, "--generations", 1, "--calibrate", 16, "--confirm-candidates", 0)
    assert dualfair("search", "--run", trained, *unconfirmed).status == 0
    assert at_once() == (48, 4)
    # Another device's rule would say another number.
    monkeypatch.setattr("dualfair.stages.inherited.images_at_once", lambda device, side: 64)
    again = dualfair("search", "--run", trained, *unconfirmed)
    assert "measured with other" not in again.out
    assert at_once() == (48, 4)
    other = dualfair("search", "--run", trained, *unconfirmed, "--batch", 16)
    assert "4 scores measured with other weights, settings" in other.out
    assert at_once() == (16, 4)
