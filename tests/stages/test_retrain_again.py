"""Planned networks trained once more from the supernet's weights, against those from scratch."""

import json

import pytest
import torch

from dualfair.runs.trained_run import open_trained
from dualfair.stages.retrain_again import against_scratch, sentences
from dualfair.supernet.training.checkpoint import load_checkpoint, newest_intact
from dualfair.supernet.training.process_group import ALONE


def result(genotype, seed, error, disparity):
    return {"genotype": genotype, "seed": seed, "test": {"error": error, "disparity": disparity}}


def test_differences_are_paired_by_network_over_the_seeds_that_both_have():
    inherited = [result("a", 0, 0.5, 1.0), result("a", 1, 0.3, 1.0), result("b", 0, 0.2, 4.0), result("c", 0, 0.9, 0.0)]
    scratch = {
        ("a", 0): result("a", 0, 0.4, 2.0),
        ("a", 1): result("a", 1, 0.2, 2.0),
        ("b", 0): result("b", 0, 0.6, 3.0),
    }
    found = against_scratch(inherited, scratch)
    assert (found["networks"], found["seeds"]) == (2, [1, 2])
    # a: 0.4 against 0.3, b: 0.2 against 0.6.
    assert found["error"] == pytest.approx(
        {"inherited": 0.3, "scratch": 0.45, "difference": -0.15, "standard error": 0.25}
    )
    assert found["disparity"]["difference"] == pytest.approx(0.0)


def test_nothing_to_compare_with_is_said():
    assert sentences(against_scratch([result("a", 0, 0.5, 1.0)], {})) == [
        "Nothing to compare with: none of these trainings was made from scratch too"
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("again")


@pytest.fixture
def run(dualfair, made):
    if not (made / "run").exists():
        for words in (
            ("faces", "synth", "--out", made / "faces", "--identities", 24, "--images", 4, "--size", 32),
            ("train", "--faces", made / "faces", "--out", made / "run", "--size", 32, "--epochs", 0.5),
            ("search", "--run", made / "run", "--population", 4, "--generations", 1, "--calibrate", 16),
        ):
            assert dualfair(*words).status == 0
        refused = dualfair("retrain", "--run", made / "run", "--inherit")
        assert refused.status == 2 and "no planned networks; run 'dualfair retrain' without --inherit" in refused.err
        words = ("--genotype", "101:cosface", "--genotype", "010:magface", "--epochs", 1, "--seeds", 1)
        assert dualfair("retrain", "--run", made / "run", *words).status == 0
    return made / "run"


def test_training_begins_with_the_supernets_weights(dualfair, run):
    tiny = ("--epochs", 0.05, "--lr", 1e-9, "--weight-decay", 0, "--seeds", 1)
    told = dualfair("retrain", "--run", run, "--inherit", *tiny)
    assert told.status == 0, told.err
    assert "From the supernet's weights: 2 networks x 1 seeds, 0.05 epochs each" in told.out
    assert "error on test people:" in told.out and "(mean ± standard error over 2 networks)" in told.out
    folder = run / "inherit/101-101-101-101_cosface/seed-0"
    trained = load_checkpoint(newest_intact(folder, print)[0])["network"]
    inherited = open_trained(run, ALONE).supernet.extract("101-101-101-101:cosface").state_dict()
    weights = [name for name, value in inherited.items() if value.is_floating_point() and "running" not in name]
    assert len(weights) > 20
    assert all(torch.allclose(trained[name], inherited[name], atol=1e-6) for name in weights)
    found = json.loads((run / "inherit/inherit.json").read_text())
    assert found["networks"] == 2 and found["epochs from scratch"] == 1
    there = json.loads((folder / "result.json").read_text())["test"]["error"]
    other = json.loads((run / "inherit/010-010-010-010_magface/seed-0/result.json").read_text())["test"]["error"]
    assert found["error"]["inherited"] == pytest.approx((there + other) / 2)
    assert "inherit    finished     2 of 2 trainings" in dualfair("status", run).out
    (run / "inherit/inherit.json").rename(run / "inherit/aside")
    told = dualfair("status", run).out
    assert "inherit    interrupted  2 trainings, of how many is not known; left: unknown" in told
    (run / "inherit/aside").rename(run / "inherit/inherit.json")
    refused = dualfair("retrain", "--run", run, "--inherit", "--epochs", 0.5)
    assert refused.status == 2 and "was made with another configuration: epochs = 0.05 there, 0.5 here" in refused.err


@pytest.mark.parametrize(
    "more, text",
    [
        (("--short",), "--short and --inherit are two commands; give one of them"),
        (("--genotype", "101:cosface"), "--inherit trains every planned network; leave --genotype, --backbone and"),
    ],
)
def test_what_does_not_go_together_is_refused(dualfair, run, more, text):
    told = dualfair("retrain", "--run", run, "--inherit", *more)
    assert told.status == 2 and text in told.err
