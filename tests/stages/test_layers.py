"""Faces and networks that are searched layer by layer: all four stages by the skeleton's name alone."""

import json

import pytest

from dualfair.evaluation.cost import parameters
from dualfair.supernet.skeleton import SKELETONS

SHAPE = ("--skeleton", "nas-bench-macro", "--blocks", "1-1-1", "--size", 16)


@pytest.mark.slow
def test_a_skeleton_of_layers_goes_through_all_stages_on_faces(dualfair, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faces, run = tmp_path / "faces", tmp_path / "run"
    dualfair("faces", "synth", "--out", faces, "--identities", 30, "--images", 4, "--size", 16)
    train = dualfair(
        "train", "--faces", faces, "--out", run, *SHAPE, "--heads", "cosface", "--epochs", 2, "--batch", 12
    )
    assert "space layers of 27 networks on skeleton nas-bench-macro, 16 px" in train.out, train.err
    assert "steps of 3 paths x 12 images (strict)" in train.out and "Every operation got exactly 12" in train.out
    assert json.loads((run / "train/config.json").read_text())["space"] == "layers"
    plain = ("--epochs", 2, "--batch", 12, "--heads", "cosface", "--space", "layers")
    again = dualfair("train", "--faces", faces, "--out", run, *SHAPE, *plain)
    assert again.status == 0 and "continuing from step 12" in again.out, again.err
    search = dualfair("search", "--run", run, "--population", 4, "--generations", 2, "--calibrate", 24)
    assert "8 genotypes, 0 of them known before" in search.out, search.err
    trained = dualfair("retrain", "--run", run, "--epochs", 1, "--seeds", 1, "--controls", 0, "--random", 3)
    assert "networks x 1 seeds from scratch" in trained.out, trained.err
    ranked = dualfair("correlate", "--run", run, "--resamples", 20)
    assert "tau" in ranked.out, ranked.err
    report = dualfair("report", run)
    assert report.status == 0, report.err


def test_a_network_of_layers_is_told_with_its_costs(dualfair):
    shown = dualfair("show", "1-2-0-2-1-0-2-2:softmax", "--skeleton", "nas-bench-macro")
    assert shown.status == 0, shown.err
    total = parameters("1-2-0-2-1-0-2-2:softmax", SKELETONS["nas-bench-macro"])
    assert f"{total:,} parameters" in shown.out and "neck: 0 parameters, 0 MACs" in shown.out
    assert "identity" in shown.out and "k5e6" in shown.out
