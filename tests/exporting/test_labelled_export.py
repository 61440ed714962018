import dataclasses
import json
import shutil

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

import dualfair as door
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import population_answers
from dualfair.runs.layout import RunLayout
from dualfair.runs.records.training import TrainConfig
from dualfair.runs.standalone import build_network, describe_network, open_standalone
from dualfair.runs.trained_run import recorded_setting
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.files import write_json
from dualfair.supernet.production import onnx_model
from dualfair.supernet.production.exported import open_export
from dualfair.supernet.skeleton import SKELETONS
from dualfair.supernet.training.checkpoint import save_checkpoint
from tests.support import records
from tests.support.faces import labelled_manifest_of, labelled_store_of, manifest_of, store_of

CLASSES = ("cat", "dog", "eel")
SOFTMAX, MARGIN, BACKBONE, BACKBONE_MARGIN = (
    "101-606-343-080:softmax",
    "000-000-000-000:arcface",
    "timm.test_resnet:softmax",
    "timm.test_resnet:cosface",
)
# The searched network with a softmax is exported as ONNX once for several tests.
ONNX_OR_TIMM = {MARGIN: "timm", BACKBONE: "timm", BACKBONE_MARGIN: "onnx"}
MACRO = "1-2-0-2-1-0-2-2:softmax"
NANO = dataclasses.replace(SKELETONS["nano"], heads=("softmax",))


def run_of(folder, images, skeleton, labels, classes=CLASSES):
    """A run directory as commands leave it: networks that were trained by no step at all."""
    fingerprint = json.loads((images / "faces.json").read_text())["fingerprint"]
    config = records.train_config(
        f"../{images.name}", fingerprint, skeleton=skeleton.name, confirm=0.0, split="0.4,0.3,0.3"
    )
    config = dataclasses.replace(config, options=dataclasses.replace(config.options, size=skeleton.image_size))
    layout = RunLayout(folder)
    for stage, record in ((layout.train, config), (layout.retrain, records.retrain_config(lr=0.05))):
        stage.folder.mkdir(parents=True)
        record.write(stage.config)
    for label in labels:
        training = TrainingSpec.of_label(label, 0)
        place = layout.retrain.training(training)
        place.folder.mkdir(parents=True)
        torch.manual_seed(0)
        network = build_network(training.network, skeleton, len(CLASSES))
        describe_network(training, skeleton, len(CLASSES), config.trained_on, classes).write(place.description)
        machine = {"seconds": 1.0, "loss": None, "configuration": "", "device": "cpu", "threads": 1, "ranks": 1}
        save_checkpoint(place.folder, {"network": network.state_dict()}, step=4, steps=4, **machine)
        scores = records.scores(0.2, 0.1, groups=(), probes=36)
        records.result_of(label, 0, params=9, macs=9, validation=scores, test=scores).write(place.result)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    labelled_store_of(folder / "animals", labelled_manifest_of(), size=48)
    return run_of(folder / "run", folder / "animals", NANO, (SOFTMAX, MARGIN, BACKBONE, BACKBONE_MARGIN))


@pytest.fixture(scope="module")
def macro(tmp_path_factory):
    folder = tmp_path_factory.mktemp("macro")
    labelled_store_of(folder / "animals", labelled_manifest_of(), size=32)
    return run_of(folder / "run", folder / "animals", SKELETONS["nas-bench-macro"], (MACRO,))


def training(run, label):
    return run / "retrain" / TrainingSpec.of_label(label, 0).folder


def scores_of_stage(run, label):
    """Test images (B, 3, S, S), and their class scores (B, K) as the stages judge networks by them."""
    faces = recorded_setting(run, TrainConfig.read(RunLayout(run).train.config)).splits["test"]
    network = open_standalone(training(run, label), torch.device("cpu"), print).network
    scores = population_answers(network, [network.spec], faces, None)[network.spec]
    images = network_input(faces, np.arange(len(faces)), "cpu")
    return images, torch.from_numpy(scores)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """A training exported as ONNX."""
    folder = tmp_path_factory.mktemp("exported") / "out"
    door.export(training(run, SOFTMAX), folder, format="onnx")
    return folder


def about(folder):
    return json.loads((folder / "dualfair.json").read_text())


@torch.no_grad()
@pytest.mark.parametrize("label", [SOFTMAX, MARGIN, BACKBONE, BACKBONE_MARGIN])
def test_an_export_answers_the_class_scores_of_its_training(run, exported, tmp_path, dualfair, label):
    """Of each kind of network one, and of each kind of head one, also as ONNX."""
    folder, kind = (exported, "onnx") if label == SOFTMAX else (tmp_path / "out", ONNX_OR_TIMM[label])
    if folder != exported:
        result = dualfair("export", training(run, label), "--to", folder, "--format", kind)
        assert result.status == 0, result.err
    images, scores = scores_of_stage(run, label)
    assert scores.shape == (18, 3) and len(scores.unique(dim=0)) == 18
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    torch.testing.assert_close(model(images), scores)
    network = open_export(folder)
    torch.testing.assert_close(network.heads[network.spec.head].class_scores(network(images)), scores)
    if kind == "onnx":
        session = onnx_model.open_session((folder / "model.onnx").read_bytes(), threads=1)
        assert [output.name for output in session.get_outputs()] == ["class_scores"]
        by_onnx = session.run(None, {"images": images.contiguous().numpy()})[0]
        torch.testing.assert_close(torch.from_numpy(by_onnx), scores, rtol=1e-4, atol=1e-5)
    trained = open_standalone(folder, torch.device("cpu"), print)
    assert trained.classes == CLASSES and trained.identities == 3


@torch.no_grad()
@pytest.mark.parametrize("label", [SOFTMAX, MARGIN])
def test_a_folded_export_answers_the_same(run, tmp_path, dualfair, label):
    assert dualfair("export", training(run, label), "--to", tmp_path / "out", "--fold-bn").status == 0
    images, scores = scores_of_stage(run, label)
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    torch.testing.assert_close(model(images), scores, rtol=1e-3, atol=1e-4)
    network = open_export(tmp_path / "out")
    torch.testing.assert_close(network.heads[network.spec.head].class_scores(network(images)), model(images))


@torch.no_grad()
@pytest.mark.parametrize("label", [SOFTMAX, MARGIN])
def test_an_export_is_fine_tuned_on_other_classes(run, tmp_path, dualfair, label):
    assert dualfair("export", training(run, label), "--to", tmp_path / "out").status == 0
    images, _ = scores_of_stage(run, label)
    five, embeddings = (
        timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True, num_classes=number).eval()
        for number in (5, 0)
    )
    assert five(images).shape == (18, 5)
    assert torch.equal(five.forward_head(five.forward_features(images), pre_logits=True), embeddings(images))
    network = open_export(tmp_path / "out", identities=5)
    assert torch.equal(network(images), embeddings(images))
    assert network.heads[network.spec.head].class_scores(network(images)).shape == (18, 5)


def test_an_export_names_its_classes_and_what_was_measured(run, exported):
    data, config = about(exported), json.loads((exported / "config.json").read_text())
    assert data["classes"] == config["label_names"] == [*CLASSES]
    assert (config["num_classes"], config["pretrained_cfg"]["num_classes"]) == (3, 3)
    assert (data["output"]["name"], data["output"]["shape"], data["output"]["scores"]) == (
        "class_scores",
        ["batch", 3],
        "logits",
    )
    assert data["neck"] == {"pool": "mean over the feature map"} and data["kind"] == "searched"
    assert not data["class_weights"] and not (exported / "class_weights.safetensors").exists()
    _, scores = scores_of_stage(run, SOFTMAX)
    faces = recorded_setting(run, TrainConfig.read(RunLayout(run).train.config)).splits["test"]
    wrong = scores.argmax(1).numpy() != faces.labels
    test = data["metrics"]["test"]
    assert (test["images"], test["people"], test["error"]) == (18, None, wrong.mean())
    assert {group["group"]: group["error"] for group in test["groups"]} == {
        name: wrong[faces.groups == name].mean() for name in ("a", "b")
    }
    text = (exported / "README.md").read_text()
    header = ModelCard(text).data
    assert header.pipeline_tag == "image-classification" and "face-recognition" not in header.tags
    for sentence in (
        "a score for each of 3 classes, and is of the class with the highest: cat, dog, eel, in this order",
        'on the labelled images "animals", seed 0',
        "float32 (batch, 3), logits",
        "output `class_scores`",
        f"| test, a | 9 | {wrong[faces.groups == 'a'].mean():.3f} |",
        "95 % percentile interval over images",
        "Groups with fewer than 30 test images (a, b)",
    ):
        assert sentence in text
    body = text.split("---\n", 2)[2]
    assert not [word for word in ("face", "Face", "biometric", "embedding", "verification") if word in body]


def test_class_weights_of_labelled_images_cannot_be_left_out(run, tmp_path, dualfair):
    result = dualfair("export", training(run, SOFTMAX), "--to", tmp_path / "out", "--no-class-weights")
    assert (result.status, (tmp_path / "out").exists()) == (2, False)
    assert "--no-class-weights is for faces, leave it out" in result.err


@torch.no_grad()
def test_a_network_of_inverted_residuals_is_data(macro, tmp_path, dualfair):
    result = dualfair("export", training(macro, MACRO), "--to", tmp_path / "out", "--format", "onnx", "--fold-bn")
    assert result.status == 0, result.err
    images, scores = scores_of_stage(macro, MACRO)
    data = about(tmp_path / "out")
    assert (data["kind"], data["timm"]) == ("searched", "dualfair_inverted_residual")
    assert data["skeleton"]["operations"] == ["identity", "k3e3", "k5e6"]
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    torch.testing.assert_close(model(images), scores, rtol=1e-3, atol=1e-4)
    network = open_export(tmp_path / "out")
    torch.testing.assert_close(network.heads["softmax"].class_scores(network(images)), model(images))
    assert not [name for name in load_file(tmp_path / "out/model.safetensors") if "running_mean" in name]


@torch.no_grad()
def test_a_softmax_head_on_faces_exports_the_pooled_features(tmp_path, dualfair):
    store_of(tmp_path / "faces", manifest_of(), size=48)
    run = run_of(tmp_path / "run", tmp_path / "faces", NANO, (SOFTMAX,), classes=())
    result = dualfair("export", training(run, SOFTMAX), "--to", tmp_path / "out")
    assert result.status == 0, result.err
    network = open_standalone(training(run, SOFTMAX), torch.device("cpu"), print).network
    images = torch.rand(3, 3, 48, 48) * 2 - 1
    embeddings = network.trunk(images, network.spec.blocks).mean((2, 3))
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    assert (model.num_features, model.head_hidden_size, model.num_classes) == (embeddings.shape[1],) * 2 + (0,)
    torch.testing.assert_close(model(images), embeddings)
    torch.testing.assert_close(open_export(tmp_path / "out")(images), embeddings)
    assert load_file(tmp_path / "out/class_weights.safetensors").keys() == {"weight", "bias"}
    data = about(tmp_path / "out")
    assert data["output"]["name"] == "embeddings" and "classes" not in data
    assert "A face embedding network" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize("classes", ["cat", {"cat": 1}])
def test_damaged_class_names_are_one_clear_error(exported, tmp_path, classes):
    folder = shutil.copytree(exported, tmp_path / "out")
    write_json(folder / "dualfair.json", {**about(folder), "classes": classes})
    with pytest.raises(ValueError, match="classes is missing or of another kind"):
        open_export(folder)
    write_json(folder / "dualfair.json", {**about(folder), "classes": ["cat"]})
    with pytest.raises(ValueError, match="do not fit together"):
        open_export(folder)
