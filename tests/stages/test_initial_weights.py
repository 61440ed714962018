"""Runs that start from weights of other runs, by the command line."""

import json
import shutil

import pytest
import torch

from dualfair.supernet.training.checkpoint import checkpoints, load_checkpoint
from tests.support.commands import call, refused

SIZE = ("--size", 32, "--batch", 16, "--device", "cpu")
STILL = ("--epochs", 0.1, "--lr", 1e-12)
"""One step that moves nothing but statistics."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("initial_weights")


@pytest.fixture
def source(dualfair, place):
    """A run on one set, and faces of other people."""
    if not (place / "big").exists():
        for name, people, seed in (("faces-big", 24, 0), ("faces-own", 20, 1)):
            synth = ("faces", "synth", "--identities", people, "--images", 5, "--size", 32, "--seed", seed)
            call(dualfair, *synth, "--out", place / name)
        call(dualfair, "train", "--faces", place / "faces-big", "--out", place / "big", "--epochs", 2, *SIZE)
    return place / "big"


@pytest.fixture
def own(dualfair, place, source):
    """A run that starts from it, searched and retrained."""
    if not (place / "own").exists():
        train = ("train", "--faces", place / "faces-own", "--out", place / "own", "--weights-from", source)
        said = call(dualfair, *train, *STILL, *SIZE)
        assert f"All weights but those of classes start from the supernet of {source}" in said
        call(dualfair, "search", "--run", place / "own", "--population", 4, "--generations", 1, "--calibrate", 32)
        said = call(dualfair, "retrain", "--run", place / "own", "--seeds", 1, "--controls", 1)
        assert f"networks x 1 seeds from the weights of {source} on " in said
    return place / "own"


def weights_in(folder):
    return load_checkpoint(checkpoints(folder)[-1])["network"]


def same(ours, theirs):
    """Whether networks have the same weights, but for those of classes and statistics, which move in a step."""
    learnt = [name for name in ours if name.startswith("trunk") and not name.endswith(("mean", "var", "tracked"))]
    return all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in learnt)


def test_supernet_and_networks_start_from_the_weights_and_the_records_say_so(own, source):
    known = weights_in(source / "train")
    assert same(weights_in(own / "train"), known)
    folders = [path.parent for path in own.glob("retrain/*/seed-0/result.json")]
    assert folders and all(same(weights_in(folder), known) for folder in folders)
    config, big = (json.loads((run / "train/config.json").read_text()) for run in (own, source))
    origin = config["weights_from"]
    assert origin["place"] == "../big" and "weights_from" not in big
    assert origin["trained_on"][0]["faces_fingerprint"] == big["faces_fingerprint"] != config["faces_fingerprint"]
    assert json.loads((own / "retrain/config.json").read_text())["weights_from"] == origin
    assert json.loads((folders[0] / "network.json").read_text())["trained_on_before"] == origin["trained_on"]


def test_a_network_is_never_evaluated_on_people_that_its_first_weights_saw(dualfair, own, source, place, tmp_path):
    network = next(own.glob("retrain/*/seed-0"))
    said = call(dualfair, "evaluate", "--network", network, "--faces", place / "faces-big", "--out", tmp_path / "e")
    assert "the test people of" in said and "all images here are evaluated" not in said


def test_weights_of_the_runs_own_supernet_saw_nobody_else(dualfair, source, tmp_path, place):
    for name in ("big", "faces-big"):
        shutil.copytree(place / name, tmp_path / name, ignore=shutil.ignore_patterns("lock.json"))
    run = tmp_path / "big"
    call(dualfair, "search", "--run", run, "--population", 2, "--generations", 1, "--calibrate", 32)
    call(dualfair, "retrain", "--run", run, "--seeds", 1, "--controls", 0, "--weights-from", run, *STILL)
    network = next(run.glob("retrain/*/seed-0"))
    assert same(weights_in(network), weights_in(run / "train"))
    assert "trained_on_before" not in json.loads((network / "network.json").read_text())


@pytest.mark.slow
def test_an_export_starts_the_network_that_it_is_of_and_no_other(dualfair, own, place, tmp_path):
    network, other = sorted(own.glob("retrain/*/seed-0"))[:2]
    name, another = (path.parent.name.replace("_", ":") for path in (network, other))
    call(dualfair, "export", network, "--to", tmp_path / "export", "--format", "state")
    about = json.loads((tmp_path / "export/dualfair.json").read_text())["trained"]
    assert len(about["trained_on_before"]) == 1
    assert "had been trained on 1 other set of images" in (tmp_path / "export/README.md").read_text()
    run = tmp_path / "run"
    shutil.copytree(own, run, ignore=shutil.ignore_patterns("retrain", "lock.json"))
    shutil.copytree(place / "faces-own", tmp_path / "faces-own")
    shutil.copytree(place / "big", tmp_path / "big")
    retrain = ("retrain", "--run", run, "--seeds", 1, "--weights-from", tmp_path / "export", *STILL)
    said = refused(dualfair, *retrain, "--genotype", another)
    assert f"has the weights of {name}, which start no {another}; name that network alone by --genotype" in said
    assert not (run / "retrain/config.json").exists()
    call(dualfair, *retrain, "--genotype", name)
    assert same(weights_in(run / "retrain" / network.parent.name / "seed-0"), weights_in(network))
    said = refused(dualfair, "retrain", "--run", run, "--seeds", 1, "--weights-from", "none", "--genotype", name)
    assert "was made with another configuration: weights_from = {'place': '../export'" in said
    assert "not given here. Use another directory" in said


@pytest.mark.slow
def test_from_scratch_is_asked_for_by_name_and_backbones_always_are(dualfair, own, place, tmp_path):
    run = place / "copy"
    shutil.copytree(own, run, ignore=shutil.ignore_patterns("retrain", "lock.json"))
    timm = ("--backbone", "test_resnet", "--head", "cosface", "--seeds", 1, "--epochs", 0.1)
    said = call(dualfair, "retrain", "--run", run, *timm)
    assert f"Backbones start from scratch: {place / 'big'} has no weights of theirs" in said
    shutil.rmtree(run / "retrain")
    said = call(dualfair, "retrain", "--run", run, "--seeds", 1, "--controls", 0, "--weights-from", "none", *STILL)
    assert " 1 seeds from scratch on " in said
    assert "weights_from" not in json.loads((run / "retrain/config.json").read_text())
    again = call(dualfair, "retrain", "--run", run, "--seeds", 1, "--controls", 0, *STILL)
    assert " 1 seeds from scratch on " in again, "as this stage began"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weights-from", "nowhere"), "nowhere has no weights to start from; name a run directory, RUN/retrain/"),
        (("--weights-from", "NETWORK"), "has one network's weights, and a supernet starts from all of another run's"),
        (("--weights-from", "big", "--blocks", "1-1-1-2"), "do not fit: they have no trunk.blocks.4"),
        (("--weights-from", "big", "--heads", "softmax"), "do not fit: they have no head 'softmax', but arcface"),
    ],
)
def test_weights_that_cannot_be_started_from_are_refused(dualfair, own, place, monkeypatch, tmp_path, options, message):
    monkeypatch.chdir(place)
    network = next(own.glob("retrain/*/seed-0"))
    words = [network if word == "NETWORK" else word for word in options]
    said = refused(dualfair, "train", "--faces", "faces-own", "--out", tmp_path / "run", *words, *STILL, *SIZE)
    assert message in " ".join(said.split())
    assert not (tmp_path / "run/train/config.json").exists()


def test_weights_that_saw_people_to_be_judged_on_are_refused(dualfair, source, place, tmp_path):
    words = ("train", "--faces", place / "faces-big", "--out", tmp_path / "run", "--weights-from", source, *SIZE)
    said = refused(dualfair, *words, *STILL, "--split-seed", 3)
    assert "were trained on these very images, split otherwise: on people that would be judged on here" in said
    call(dualfair, *words, *STILL)


@pytest.mark.slow
def test_weights_that_are_gone_or_others_are_told(dualfair, own, place, tmp_path):
    for name in ("own", "faces-own"):
        shutil.copytree(place / name, tmp_path / name, ignore=shutil.ignore_patterns("retrain", "lock.json"))
    retrain = ("retrain", "--run", tmp_path / "own", "--seeds", 1, "--controls", 0)
    said = refused(dualfair, *retrain)
    assert f"begin with what is in {tmp_path / 'big'}, which is not there; put it there again" in said
    words = ("train", "--faces", place / "faces-big", "--out", tmp_path / "big", "--seed", 5, *STILL, *SIZE)
    call(dualfair, *words)
    assert "is not what trainings of" in refused(dualfair, *retrain)
    assert "begin as retraining did: leave --weights-from and --teacher out" in refused(
        dualfair, "retrain", "--run", tmp_path / "own", "--short", "--weights-from", "none"
    )
