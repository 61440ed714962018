"""A margin head of the user's own on a backbone of timm's: trained, opened, evaluated, reported and exported."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from dualfair.evaluation.protocol import EvaluationProtocol
from dualfair.evaluation.scoring.distributed import embed_together
from dualfair.evaluation.scoring.embedding import embed
from dualfair.runs.layout import RunLayout
from dualfair.runs.records.training import TrainConfig
from dualfair.runs.run_files import read_plan
from dualfair.runs.standalone import open_standalone
from dualfair.runs.teacher import open_teacher
from dualfair.runs.trained_run import open_setting
from dualfair.stages.subjects import subjects_of_networks
from dualfair.studies.transfer.measure import measure
from dualfair.supernet.images.augmentation import to_input
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.store import open_store
from dualfair.supernet.production.exported import open_export
from dualfair.supernet.training.process_group import ALONE
from dualfair.supernet.training.trainer import Trainer

GUIDE = Path(__file__).parents[2] / "tools/guides/own_head.py"
LABEL = "timm.test_resnet:no_margin"
RETRAIN = ("retrain", "--run", "run", "--backbone", "test_resnet", "--seeds", 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("own_head")


@pytest.fixture
def run(dualfair, made, monkeypatch):
    """The current folder with a searched run, in which a backbone was retrained with a head of its own."""
    monkeypatch.chdir(made)
    if not Path("run").exists():
        shutil.copy(GUIDE, made)
        Path("my_heads.py").write_text("from own_head import normface as no_margin\n")
        Path("other_heads.py").write_text(
            "from own_head import sphereface as no_margin\nfrom own_head import normface\ncosface = normface\n"
        )
        for words in (
            ("faces", "synth", "--out", "faces", "--identities", 24, "--images", 4, "--size", 40),
            ("train", "--faces", "faces", "--out", "run", "--size", 32, "--crop-from", 40, "--epochs", 0.3,
             "--batch", 16, "--heads", "cosface,own_head:normface", "--neck", "linear1000"),
            ("search", "--run", "run", "--population", 3, "--generations", 1, "--calibrate", 16),
            (*RETRAIN, "--head", "my_heads:no_margin", "--head", "normface"),
        ):  # fmt: skip
            done = dualfair(*words)
            assert done.status == 0, done.err
        assert LABEL in done.out and "timm.test_resnet:normface" in done.out, done.out
    yield Path("run")
    for name in ("own_head", "my_heads", "other_heads"):
        sys.modules.pop(name, None)


def test_the_neck_and_the_crop_are_recorded_and_seen(run, dualfair):
    recorded = json.loads((run / "train/config.json").read_text())
    assert (recorded["neck"], recorded["crop_from"]) == ("linear1000", 40)
    described = dualfair("show", run / "retrain/timm.test_resnet.no_margin/seed-0")
    assert "head no_margin, embedding 96\n" in described.out, described.out + described.err


def test_training_sees_random_parts_and_judging_the_centre(run):
    folder, store = run / "retrain/timm.test_resnet_normface/seed-0", open_store(Path("faces"))
    network = open_standalone(folder, torch.device("cpu"), print).network
    rows, names = np.arange(len(store.manifest)), store.manifest.column("identity")
    centre = embed(network, FaceSet(np.ascontiguousarray(store.pixels[:, 4:36, 4:36]), rows, names, names, 32))
    [subject] = subjects_of_networks([folder], Path("faces"), None, None, "all", ALONE, print)
    assert np.array_equal(subject.embeddings, centre)
    config = TrainConfig.read(RunLayout(run).train.config)
    teacher = open_teacher(folder, run, store, config.trained_on, size=32)
    assert np.array_equal(teacher.embeddings, centre)
    faces = open_setting(config.options, store).splits["train"]
    trainer = Trainer(network.train(), faces, replace(config.recipe, flip=False, shift=0.0, brightness=0.0), seed=0)
    assert trainer.loader.take(np.arange(2), np.arange(2)).shape == (2, 40, 40, 3)
    seen, shown = trainer._batch()[0], to_input(faces.read(np.arange(len(faces))))
    assert seen.shape[2:] == shown.shape[2:] == (32, 32)
    assert sum(any(torch.equal(each, one) for one in shown) for each in seen) < len(seen) / 2


def test_transfer_sees_the_centre_too(run, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "dualfair.studies.transfer.measure.embed_together",
        lambda network, images, processes: seen.append(images) or embed_together(network, images, processes),
    )
    layout = RunLayout(run)
    list(measure(layout, Path("faces"), ["group"], EvaluationProtocol(), ALONE))
    assert {(images.size, images.crop_from) for images in seen} == {(32, 40)}


def test_the_training_is_recorded_with_where_its_head_comes_from(run):
    planned = [job.training.label for job in read_plan(RunLayout(run).retrain).jobs]
    assert planned == [LABEL, "timm.test_resnet:normface"]
    described = json.loads((run / "retrain/timm.test_resnet.no_margin/seed-0/network.json").read_text())
    assert (described["training"], described["heads"]) == (LABEL, "my_heads:no_margin")
    described = json.loads((run / "retrain/timm.test_resnet_normface/seed-0/network.json").read_text())
    assert described["heads"] == "own_head:normface"


def test_it_is_told_of_by_status_shelf_and_report_and_not_trained_again(run, dualfair):
    again = dualfair(*RETRAIN, "--head", "my_heads:no_margin")
    assert again.status == 0 and "step" not in again.out, again.out + again.err
    shelf = dualfair("shelf", "--run", run, "--resamples", 10)
    assert LABEL in shelf.out, shelf.err
    report = dualfair("report", run)
    assert report.status == 0 and "damaged" not in report.out + report.err, report.err
    assert "2 of 2 trainings" in dualfair("status", run).out


def test_it_is_evaluated_exported_and_opened_without_its_code(run, dualfair, tmp_path):
    folder = run / "retrain/timm.test_resnet.no_margin/seed-0"
    evaluated = dualfair("evaluate", "--network", folder, "--faces", "faces", "--out", tmp_path / "e", "--resamples", 0)
    assert evaluated.status == 0 and f"Evaluate: {LABEL}" in evaluated.out, evaluated.err
    exported = dualfair("export", LABEL, "--run", run, "--to", tmp_path / "out")
    assert exported.status == 0, exported.err
    for name in ("own_head", "mine"):
        sys.modules.pop(name, None)
    assert json.loads((tmp_path / "out/config.json").read_text())["pretrained_cfg"]["crop_pct"] == 32 / 40
    images = torch.zeros(2, 3, 32, 32)
    network = open_export(tmp_path / "out")
    # As in the published study: a backbone's 96 features are the embedding, a searched network's are 1,000 numbers.
    assert network(images).shape == (2, 96)
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    assert torch.equal(model(images), network(images))
    with pytest.raises(
        ValueError, match=r"a head of its author's own \(my_heads:no_margin\), which a file cannot hold"
    ):
        open_export(tmp_path / "out", identities=5)
    outside = dualfair(
        "evaluate", "--network", tmp_path / "out", "--faces", "faces", "--out", tmp_path / "x", "--resamples", 0
    )
    assert outside.status == 0, outside.err
    first, second = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("e", "x"))
    assert first["identification"] == second["identification"]


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        (
            "other_heads:no_margin",
            "was trained with head 'my_heads:no_margin', not with 'other_heads:no_margin'; rename one of the",
        ),
        (
            "other_heads:normface",
            "head 'other_heads:normface' is called like another one, 'normface'; rename the function",
        ),
        (
            "other_heads:cosface",
            "head 'other_heads:cosface' is called like another one, 'cosface'; rename the function",
        ),
        ("other_heads:nothing", "module other_heads has no 'nothing'"),
        (
            "arcfaze",
            "unknown head 'arcfaze'; choose from arcface, cosface, magface, softmax, adaface, or give module:object",
        ),
    ],
)
def test_a_head_that_is_not_to_be_had_or_not_this_one_is_refused_in_one_line(run, dualfair, head, refusal):
    before = read_plan(RunLayout(run).retrain)
    refused = dualfair(*RETRAIN, "--head", head)
    assert refused.status == 2 and refusal in refused.err and refused.err.count("\n") == 1, refused.err
    assert read_plan(RunLayout(run).retrain) == before


def test_networks_by_edited_code_of_a_head_are_not_mixed_with_those_before(run, dualfair):
    before = {path: path.read_bytes() for path in run.rglob("*.json")}

    def refusal(module, *words):
        code = Path(f"{module}.py").read_text()
        Path(f"{module}.py").write_text(f"{code}\n# edited\n")
        sys.modules.pop(module, None)
        refused = dualfair(*words)
        Path(f"{module}.py").write_text(code)
        sys.modules.pop(module, None)
        assert refused.status == 2 and refused.err.count("\n") == 1, refused.err
        return refused.err

    # Another backbone by the same head, and a network of the space by a head of the supernet.
    other = ("retrain", "--run", "run", "--backbone", "test_vit", "--seeds", 1, "--head", "my_heads:no_margin")
    folder = "run/retrain/timm.test_resnet.no_margin/seed-0"
    assert f"module 'my_heads' was edited since {folder} was trained; put its code back" in refusal("my_heads", *other)
    searched = ("retrain", "--run", "run", "--genotype", "101:normface", "--seeds", 1)
    assert "module 'own_head' was edited since the supernet of run was trained" in refusal("own_head", *searched)
    continued = ("train", "--faces", "faces", "--out", "run", "--size", 32, "--epochs", 0.3, "--batch", 16)
    refused = refusal(
        "own_head", *continued, "--heads", "cosface,own_head:normface", "--neck", "linear1000", "--crop-from", 40
    )
    assert "made with another configuration: code = {'own_head': " in refused
    assert {path: path.read_bytes() for path in run.rglob("*.json")} == before
    assert dualfair(*RETRAIN, "--head", "my_heads:no_margin").status == 0
