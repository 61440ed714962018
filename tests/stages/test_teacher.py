"""Runs that learn from a teacher, by the command line."""

import json

import numpy as np
import pytest
import timm

from dualfair.supernet.images.store import open_store
from dualfair.supernet.training.checkpoint import checkpoints, load_checkpoint
from tests.support.commands import call, refused

SIZE = ("--size", 32, "--batch", 16, "--device", "cpu", "--epochs", 0.5)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("teacher")


@pytest.fixture
def faces(dualfair, place):
    if not (place / "faces").exists():
        made = ("--identities", 24, "--images", 5, "--size", 32)
        call(dualfair, "faces", "synth", *made, "--out", place / "faces")
        store = open_store(place / "faces")
        people = np.unique(store.manifest.column("identity"), return_inverse=True)[1]
        rng = np.random.default_rng(0)
        known = rng.normal(size=(24, 12))[people] + 0.1 * rng.normal(size=(len(people), 12))
        np.save(place / "knows.npy", known.astype(np.float32))
        np.save(place / "few.npy", known[:-1])
    return place / "faces"


@pytest.fixture
def run(dualfair, faces, place):
    """A run that learns from a teacher, searched and retrained, and what that said."""
    if not (place / "run").exists():
        train = ("train", "--faces", faces, "--out", place / "run", "--teacher", place / "knows.npy", *SIZE)
        (place / "said.txt").write_text(call(dualfair, *train))
        call(dualfair, "search", "--run", place / "run", "--population", 4, "--generations", 1, "--calibrate", 32)
        with (place / "said.txt").open("a") as said:
            said.write(call(dualfair, "retrain", "--run", place / "run", "--seeds", 1, "--controls", 0))
    return place / "run"


def test_networks_learn_from_the_supernets_teacher_and_what_it_is_worth_is_told(dualfair, run, place):
    said = (place / "said.txt").read_text()
    assert f"The teacher {place / 'knows.npy'} has error 0.000, rank disparity 0.000 on test people" in said
    assert f"from scratch with the teacher {place / 'knows.npy'} on " in said
    configs = [json.loads((run / stage / "config.json").read_text()) for stage in ("train", "retrain")]
    assert configs[0]["teacher"] == configs[1]["teacher"] and configs[0]["teacher"]["place"] == "../knows.npy"
    assert "teacher_share" not in configs[0]
    results = [json.loads((run / stage / "teacher.json").read_text()) for stage in ("train", "retrain")]
    assert results[0] == results[1] and results[0]["test"]["error"] == 0 and len(results[0]["test"]["groups"]) == 2
    page = call(dualfair, "report", run, "--out", place / "report.html")
    assert "Report:" in page
    told = (place / "report.html").read_text()
    assert "learnt from the teacher ../knows.npy, whose own error on test people is 0.000" in " ".join(told.split())


def test_a_teacher_changes_what_is_learnt_and_none_is_from_labels_alone(dualfair, faces, place):
    weights = {}
    for name, words in {"with": ("--teacher", place / "knows.npy"), "without": ()}.items():
        run = place / name
        call(dualfair, "train", "--faces", faces, "--out", run, *words, *SIZE)
        weights[name] = load_checkpoint(checkpoints(run / "train")[-1])["network"]
    name = "heads.cosface.neck.linear.weight"
    assert not np.allclose(weights["with"][name], weights["without"][name])
    call(dualfair, "search", "--run", place / "with", "--population", 4, "--generations", 1, "--calibrate", 32)
    said = call(dualfair, "retrain", "--run", place / "with", "--seeds", 1, "--controls", 0, "--teacher", "none")
    assert " 1 seeds from scratch on " in said and "The teacher" not in said
    assert not (place / "with/retrain/teacher.json").exists()


@pytest.mark.slow
def test_networks_of_any_maker_teach(dualfair, run, faces, tmp_path):
    pytest.importorskip("onnx")
    trained = next(run.glob("retrain/*/seed-0"))
    call(dualfair, "export", trained, "--to", tmp_path / "ours", "--format", "onnx")
    train = ("train", "--faces", faces, *SIZE)
    said = {
        name: call(dualfair, *train, "--out", tmp_path / name, "--teacher", of)
        for name, of in {"o": tmp_path / "ours/model.onnx", "e": tmp_path / "ours", "t": trained}.items()
    }
    measured = [line.partition(" has ")[2] for of in said.values() for line in of.splitlines() if "The teacher" in line]
    assert len(measured) == 3 and len({*measured}) == 1, "one network, three times"
    model = timm.create_model("test_resnet", num_classes=10)
    timm.models.save_for_hf(model, tmp_path / "timm", safe_serialization=True)
    told = refused(dualfair, *train, "--out", tmp_path / "m", "--teacher", tmp_path / "timm")
    assert "takes 160 px; import them again with --size 160" in told


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("few.npy", "few.npy has 119 embeddings for the 120 images of"),
        ("faces", "holds no embedding network; name a training's folder, an export, an .onnx file, a folder of timm's"),
        ("gone.npy", "there is no file"),
    ],
)
def test_what_teaches_nothing_is_refused(dualfair, faces, place, tmp_path, teacher, message):
    words = ("train", "--faces", faces, "--out", tmp_path / "run", "--teacher", place / teacher, *SIZE)
    assert message in refused(dualfair, *words)
    assert not (tmp_path / "run/train/config.json").exists()


def test_a_share_without_a_teacher_is_refused(dualfair, faces, tmp_path):
    words = ("train", "--faces", faces, "--out", tmp_path / "run", "--teacher-share", 1, *SIZE)
    assert "--teacher-share is of a teacher; name one by --teacher" in refused(dualfair, *words)
