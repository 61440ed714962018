"""Planned networks trained once more: from the supernet's weights, against those from scratch, and for a short time."""

import json
from types import SimpleNamespace

import pytest
import torch

from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import RetrainOptions
from dualfair.runs.protocol import ProtocolOptions
from dualfair.runs.trained_run import open_trained
from dualfair.runs.training_results import add_to_plan, read_plan
from dualfair.runs.training_spec import TrainingSpec
from dualfair.stages.retrain import HowTrained
from dualfair.stages.retrain_again import against_scratch, retrain_short, sentences, short_epochs
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.checkpoint import load_checkpoint, newest_intact
from dualfair.supernet.training.process_group import ALONE
from dualfair.supernet.training.recipe import Recipe
from tests.support.records import scores, training_result

A, B, C = "101:cosface", "010:magface", "444:arcface"


def result(label, seed, error, disparity):
    return training_result(label, seed, test=scores(error, disparity), validation=scores(0.9, 9.0))


def test_differences_are_paired_by_network_over_the_seeds_that_both_have():
    inherited = [result(A, 0, 0.5, 1.0), result(A, 1, 0.3, 1.0), result(B, 0, 0.2, 4.0), result(C, 0, 0.9, 0.0)]
    scratch = [result(A, 0, 0.4, 2.0), result(A, 1, 0.2, 2.0), result(B, 0, 0.6, 3.0), result(B, 1, 0.0, 0.0)]
    comparison = against_scratch(inherited, {each.training: each for each in scratch}, 0.5, 3.0)
    assert (comparison.networks, comparison.seeds) == (2, (1, 2))
    # A: 0.4 against 0.3, B: 0.2 against 0.6.
    assert comparison.error.to_json() == pytest.approx(
        {"inherited": 0.3, "scratch": 0.45, "difference": -0.15, "standard error": 0.25}
    )
    assert comparison.disparity.difference == pytest.approx(0.0)
    assert sentences(comparison)[0] == (
        "error on test people: 0.300 from the supernet's weights in 0.5 epochs, 0.450 from scratch in 3; difference "
        "-0.150 ± 0.250 (mean ± standard error over 2 networks)"
    )


def test_nothing_to_compare_with_is_said():
    assert sentences(against_scratch([result(A, 0, 0.5, 1.0)], {}, 0.5, None)) == [
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
    answer = dualfair("retrain", "--run", run, "--inherit", *tiny)
    assert answer.status == 0, answer.err
    assert "From the supernet's weights: 2 networks x 1 seeds, 0.05 epochs each" in answer.out
    assert "error on test people:" in answer.out and "(mean ± standard error over 2 networks)" in answer.out
    folder = run / "inherit/101-101-101-101_cosface/seed-0"
    trained = load_checkpoint(newest_intact(folder, print)[0])["network"]
    inherited = open_trained(RunDirectory(run), ALONE).supernet.extract("101-101-101-101:cosface").state_dict()
    weights = [name for name, value in inherited.items() if value.is_floating_point() and "running" not in name]
    assert len(weights) > 20
    assert all(torch.allclose(trained[name], inherited[name], atol=1e-6) for name in weights)
    comparison = json.loads((run / "inherit/inherit.json").read_text())
    assert comparison["networks"] == 2 and comparison["epochs from scratch"] == 1
    there = json.loads((folder / "result.json").read_text())["test"]["error"]
    other = json.loads((run / "inherit/010-010-010-010_magface/seed-0/result.json").read_text())["test"]["error"]
    assert comparison["error"]["inherited"] == pytest.approx((there + other) / 2)
    assert "inherit    finished     2 of 2 trainings" in dualfair("status", run).out
    (run / "inherit/inherit.json").rename(run / "inherit/aside")
    answer = dualfair("status", run).out
    assert "inherit    interrupted  2 trainings, of how many is not known; left: unknown" in answer
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
    answer = dualfair("retrain", "--run", run, "--inherit", *more)
    assert answer.status == 2 and text in answer.err


def test_short_trainings_take_together_the_path_passes_of_the_supernet():
    assert short_epochs(epochs=18.0, paths=9, networks=54, most=12.0) == 3.0
    assert short_epochs(epochs=18.0, paths=9, networks=54, most=2.0) == 2.0


def test_every_planned_network_is_trained_shortly_and_another_number_of_them_is_refused(monkeypatch, tmp_path):
    trained = []
    monkeypatch.setattr("dualfair.stages.retrain_again.recorded_protocol", lambda directory: (ProtocolOptions(), ()))
    monkeypatch.setattr("dualfair.stages.retrain_again.in_words", lambda processes: "cpu")
    monkeypatch.setattr("dualfair.stages.retrain_again.train_all", lambda run, *asked: trained.append(asked))
    run = SimpleNamespace(
        directory=RunDirectory(tmp_path),
        setting=SimpleNamespace(space=dpn_space("dpn81-shared", 2)),
        config=SimpleNamespace(recipe=Recipe(epochs=2.0)),
        digest="d",
        processes=ALONE,
    )
    how = HowTrained(options=RetrainOptions(), recipe=Recipe(epochs=12.0))
    with pytest.raises(ValueError, match="has no planned networks; run 'dualfair retrain' without --short first"):
        retrain_short(run, how)
    names = [f"{code}1{code}-{code}1{code}:cosface" for code in range(5)]
    planned = run.directory.layout.retrain
    run.directory.make(planned)
    add_to_plan(planned, {TrainingSpec.of_label(name, seed): ("even",) for name in names for seed in (0, 1)})
    for _ in range(2):
        retrain_short(run, how)
        ((stage, trainings, _),) = trained
        assert [(training.label, training.seed) for training in trainings] == [(name, 0) for name in names]
        assert stage.recipe == Recipe(epochs=2.0 * 9 / 5)
        assert (stage.layout, stage.seeds_from) == (run.directory.layout.short, 10**6)
        trained.clear()
    add_to_plan(planned, {TrainingSpec.of_label("888-888:cosface"): ("named",)})
    with pytest.raises(ValueError, match=r"trainings of 3\.6 epochs, but 6 networks are planned, which is 3 epochs"):
        retrain_short(run, how)
    assert not trained


@pytest.mark.slow
def test_random_and_short_trainings_by_the_command_line(dualfair, tmp_path):
    run = tmp_path / "run"
    made = dualfair("faces", "synth", "--out", tmp_path / "faces", "--identities", 24, "--images", 4, "--size", 32)
    assert made.status == 0, made.err
    quick = ("--epochs", 0.3, "--batch", 16)
    for words in (
        ("train", "--faces", tmp_path / "faces", "--out", run, "--size", 32, "--space", "dpn81-shared", *quick),
        ("search", "--run", run, "--population", 3, "--generations", 1, "--calibrate", 16),
    ):
        done = dualfair(*words)
        assert done.status == 0, done.err
    early = dualfair("retrain", "--run", run, "--short")
    assert early.status == 2 and "has no planned networks; run 'dualfair retrain' without --short first" in early.err
    done = dualfair("retrain", "--run", run, "--seeds", 1, "--controls", 0, "--random", 3, "--epochs", 1)
    assert done.status == 0, done.err
    planned = read_plan(RunDirectory(run).layout.retrain).samples()
    assert sum("random" in of for of in planned.values()) == 3 and sum("front" in of for of in planned.values()) >= 1
    short = dualfair("retrain", "--run", run, "--short", "--epochs", 1)
    assert short.status == 0, short.err
    share = min(1.0, 0.3 * 9 / len(planned))
    assert f"Short trainings: {len(planned)} networks once more, {share:.3g} epochs each; together " in short.out
    assert json.loads((run / "short/config.json").read_text())["epochs"] == pytest.approx(share)
    again = dualfair("retrain", "--run", run, "--short", "--epochs", 1)
    assert again.status == 0 and "continuing" not in again.out
    first = next(iter(planned))
    about = [
        json.loads((run / stage / first.replace(":", "_") / "seed-0/network.json").read_text())
        for stage in ("retrain", "short")
    ]
    assert [of["seed"] for of in about] == [0, 10**6]
    study = dualfair("correlate", "--run", run, "--resamples", 20)
    assert study.status in (0, 3) and "random 3: error, validation identities: tau " in study.out
    report = json.loads((run / "correlate/ranking.json").read_text())
    assert set(report["measures"]["error, test identities"]["baselines"]) == {"params", "macs", "short training"}
    assert report["measures"]["error, test identities"]["ceiling"]["from_halves"]
    more = dualfair("retrain", "--run", run, "--genotype", "888:cosface", "--seeds", 1, "--epochs", 1)
    assert more.status == 0, more.err
    refused = dualfair("retrain", "--run", run, "--short", "--epochs", 1)
    assert refused.status == 2 and "delete that folder and run the same command again" in refused.err
