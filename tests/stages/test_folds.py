"""Runs whose supernets rotate the validation people, by the command line."""

import json
import shutil

import pytest

from dualfair.evolution.storage import glance
from dualfair.planning.options import PlanOptions
from dualfair.planning.workload import planned_workload
from tests.support.commands import call, refused

SIZE = ("--size", 32, "--batch", 16, "--device", "cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("folds")


@pytest.fixture
def run(dualfair, place):
    """Three supernets on 30 people: 6 of test, 8 a fold."""
    if not (place / "run").exists():
        call(dualfair, "faces", "synth", "--identities", 30, "--images", 4, "--size", 32, "--out", place / "faces")
        said = call(
            dualfair, "train", "--faces", place / "faces", "--out", place / "run", "--folds", 3, "--epochs", 0.5, *SIZE
        )
        assert [line for line in said.splitlines() if line.startswith("Fold")] == ["Fold 2 of 3", "Fold 3 of 3"]
    return place / "run"


def config_of(folder):
    return json.loads((folder / "train/config.json").read_text())


def test_every_fold_has_a_supernet_of_its_own_and_the_search_scores_by_all(dualfair, run):
    folds = [run, run / "folds/1", run / "folds/2"]
    assert [config_of(folder).get("fold", 0) for folder in folds] == [0, 1, 2]
    assert [config_of(folder)["seed"] for folder in folds] == [0, 1, 2]
    assert {config_of(folder)["folds"] for folder in folds} == {3}
    assert "train      finished     6 of 6 steps" in call(dualfair, "status", run)
    said = call(dualfair, "search", "--run", run, "--population", 8, "--generations", 1, "--calibrate", 32)
    # Half of the first supernet's people are kept to confirm the front, the others score on all of theirs.
    assert "on 80 images of 20 unseen people by 3 supernets; cpu" in said
    assert "roughly estimated from 8 random networks, 20 people (a 10, b 10)" in said
    assert "on 16 images of 4 people that the search has not seen" in said
    measured = [json.loads(measurement)["weights"].split() for measurement, *_ in glance(run / "search/scores.sqlite")]
    assert sorted(map(len, measured)) == [1, 3], "fronts are confirmed by the first supernet"


def test_networks_are_trained_and_judged_as_the_first_supernet_is(dualfair, run, place):
    if not (run / "search/front.json").exists():
        call(dualfair, "search", "--run", run, "--population", 8, "--generations", 1, "--calibrate", 32)
    call(dualfair, "retrain", "--run", run, "--seeds", 1, "--controls", 0, "--epochs", 0.5)
    network = next(run.glob("retrain/*/seed-0"))
    people = json.loads((network / "network.json").read_text())["trained_on"]
    assert people["folds"] == 3 and "fold" not in people
    said = call(dualfair, "evaluate", "--network", network, "--faces", place / "faces", "--out", place / "evaluated")
    assert "24 images of 6 people" in said


def test_a_fold_that_is_not_trained_is_told_and_the_same_command_goes_on(dualfair, run, place, tmp_path):
    for name in ("run", "faces"):
        shutil.copytree(place / name, tmp_path / name, ignore=shutil.ignore_patterns("search", "retrain", "lock.json"))
    shutil.rmtree(tmp_path / "run/folds/2/train")
    assert "train      interrupted  4 of 6 steps" in call(dualfair, "status", tmp_path / "run")
    assert "folds/2 has no " in refused(dualfair, "search", "--run", tmp_path / "run")
    train = ("train", "--faces", tmp_path / "faces", "--out", tmp_path / "run", "--folds", 3, "--epochs", 0.5, *SIZE)
    call(dualfair, *train)
    assert "train      finished     6 of 6 steps" in call(dualfair, "status", tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--folds", 1), "folds must be 0 (none) or 2 or more, got 1"),
        (("--folds", 20), "in the validation split; it needs at least 2"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(dualfair, run, place, tmp_path, words, message):
    train = ("train", "--faces", place / "faces", "--out", tmp_path / "run", "--epochs", 0.5, *SIZE)
    assert message in refused(dualfair, *train, *words)


def test_a_plan_counts_every_supernet(run, place):
    counted = planned_workload(place / "faces", {"folds": 3, "size": 32}, None, PlanOptions())
    assert counted.supernets == 3 and counted.faces.training == 64
    assert planned_workload(place / "faces", {"size": 32}, None, PlanOptions()).supernets == 1
