import dataclasses
import hashlib
import json
import re
import shutil
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

import dualfair
import dualfair.supernet.production.timm_model  # It makes the networks known to timm.
from dualfair.exporting.card import card, licence_on_hub
from dualfair.exporting.export import Terms, export
from dualfair.exporting.source import Source, metrics_of
from dualfair.runs.layout import RunLayout, TrainingLayout
from dualfair.runs.records.training import TrainConfig, TrainedOn
from dualfair.runs.standalone import Standalone, build_network, describe_network, open_standalone
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.files import write_json
from dualfair.supernet.network import build
from dualfair.supernet.operations import OPERATIONS, Convolution
from dualfair.supernet.production import onnx_model
from dualfair.supernet.production.exported import open_export
from dualfair.supernet.skeleton import SKELETONS
from dualfair.supernet.training.checkpoint import save_checkpoint
from tests.support import records

GUIDE = Path(__file__).parents[2] / "tools/guides/production.md"
BEST, OTHER = "101-606-343-080:cosface", "000-000-000-000:arcface"
BACKBONE = "timm.test_resnet:cosface"
NANO = SKELETONS["nano"]


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Generated faces at 48 px: 30 people of two groups, four images each, and how a run splits them."""
    from click.testing import CliRunner

    from dualfair.commands.faces import command

    folder = tmp_path_factory.mktemp("faces") / "generated"
    words = ["synth", "--out", str(folder), "--identities", "30", "--images", "4", "--size", "48"]
    assert CliRunner().invoke(command, words).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, faces):
    """A run directory as commands leave it: two networks and a backbone, trained with two seeds by no step at all."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    fingerprint = json.loads((faces / "faces.json").read_text())["fingerprint"]
    config = records.train_config(
        f"../../{faces.parent.name}/generated", fingerprint, skeleton="nano", confirm=0.0, split="0.4,0.3,0.3"
    )
    layout = RunLayout(folder)
    for stage, record in ((layout.train, config), (layout.retrain, records.retrain_config(lr=0.05))):
        stage.folder.mkdir(parents=True)
        record.write(stage.config)
    errors = {BEST: (0.2, 0.1), OTHER: (0.5, 0.6), BACKBONE: (0.4, 0.4)}
    for label, by_seed in errors.items():
        for seed, error in enumerate(by_seed):
            training = TrainingSpec.of_label(label, seed)
            make_training(layout.retrain.training(training), training, config.trained_on, error)
    return folder


def make_training(place, training, trained_on, error, skeleton=NANO):
    torch.manual_seed(training.seed)
    network = build_network(training.network, skeleton, 12)
    place.folder.mkdir(parents=True)
    describe_network(training, skeleton, 12, trained_on).write(place.description)
    machine = {"seconds": 1.0, "loss": None, "configuration": "", "device": "cpu", "threads": 1, "ranks": 1}
    save_checkpoint(place.folder, {"network": network.state_dict()}, step=4, steps=4, **machine)
    scores = records.scores(error, error / 2, groups=(), probes=36)
    result = records.result_of(training.label, training.seed, params=9, macs=9, validation=scores, test=scores)
    result.write(place.result)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """A training exported as ONNX, with everything that timm needs."""
    from click.testing import CliRunner

    from dualfair.commands.stages import export

    folder = tmp_path_factory.mktemp("out") / "exported"
    words = [str(training(run)), "--to", str(folder), "--format", "onnx", "--licence", "MIT"]
    found = CliRunner().invoke(export, words, catch_exceptions=False)
    assert "smallest cosine 1.0000" in found.output
    return folder


def training(run, label=BEST, seed=0):
    return run / "retrain" / TrainingSpec.of_label(label, seed).folder


def trained(run, *of):
    network = open_standalone(training(run, *of), torch.device("cpu"), print).network
    return network.to(memory_format=torch.contiguous_format)


def images(number=5, size=48):
    return torch.rand(number, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def about(folder):
    return json.loads((folder / "dualfair.json").read_text())


@torch.no_grad()
def relative(before, after):
    return ((before - after).norm(dim=1) / before.norm(dim=1)).max().item()


@torch.no_grad()
def test_timm_opens_an_export_with_the_very_embeddings(run, exported):
    model = timm.create_model(f"local-dir:{exported}", pretrained=True).eval()
    assert torch.equal(model(images()), trained(run)(images()))
    found = timm.data.resolve_data_config(model=model)
    assert (found["input_size"], found["crop_pct"]) == ((3, 48, 48), 1.0)
    assert (list(found["mean"]), list(found["std"])) == ([0.5] * 3, [0.5] * 3)
    with_classes = timm.create_model(f"local-dir:{exported}", pretrained=True, num_classes=3).eval()
    assert with_classes(images()).shape == (5, 3)
    assert torch.equal(
        with_classes.forward_head(with_classes.forward_features(images()), pre_logits=True), model(images())
    )


@torch.no_grad()
@pytest.mark.parametrize(
    ("label", "neck", "described"),
    [
        (BEST, "linear1000", {"linear": [176, 1000]}),
        (BEST, "none", {}),
        (BACKBONE, "linear1000", {}),
        (BACKBONE, "none", {}),
    ],
)
def test_a_network_keeps_its_neck_on_disk_and_in_timm(tmp_path, label, neck, described):
    training, place = TrainingSpec.of_label(label), TrainingLayout(tmp_path / "training")
    people = TrainedOn("x", "group", "0.6,0.2,0.2", 0)
    make_training(place, training, people, 0.2, replace(NANO, neck=neck))
    opened = open_standalone(place.folder, torch.device("cpu"), print)
    embeddings = opened.network.to(memory_format=torch.contiguous_format)(images())
    assert embeddings.shape[1] == (1000 if described else 176 if label == BEST else 96)
    export(Source(opened, "named", metrics_of(0)), tmp_path / "out", "timm", Terms())
    assert about(tmp_path / "out")["neck"] == {"pool": "mean over the feature map", **described}
    assert torch.equal(timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()(images()), embeddings)
    assert torch.equal(open_export(tmp_path / "out")(images()), embeddings)


@torch.no_grad()
def test_an_export_opens_without_timms_registry_and_keeps_its_class_weights(run, exported):
    own = trained(run)
    assert torch.equal(open_export(exported)(images()), own(images()))
    assert torch.equal(load_file(exported / "class_weights.safetensors")["weight"], own.heads["cosface"].weight)
    tunable = open_export(exported, identities=5)
    assert tunable.heads["cosface"].weight.shape == (5, 64)
    assert torch.equal(tunable(images()), own(images()))


@torch.no_grad()
def test_onnx_embeds_as_torch_does_in_batches_of_any_size(run, exported):
    session = onnx_model.open_session((exported / "model.onnx").read_bytes(), threads=1)
    assert [one.name for one in session.get_inputs()] == ["images"]
    assert [one.name for one in session.get_outputs()] == ["embeddings"]
    for number in (1, 3, 16):
        found = torch.from_numpy(session.run(None, {"images": images(number).numpy()})[0])
        assert relative(trained(run)(images(number)), found) < 1e-5
    agreement = about(exported)["onnx"]["compared_with_torch"]
    assert agreement["images"] >= 64
    assert agreement["smallest_cosine"] > 0.9999
    assert b"/work" not in (exported / "model.onnx").read_bytes()


@torch.no_grad()
@pytest.mark.parametrize("label", [BEST, BACKBONE])
def test_folded_exports_hold_fewer_norms_and_embed_alike(run, tmp_path, dualfair, label):
    found = dualfair("export", training(run, label), "--to", tmp_path / "out", "--fold-bn")
    assert found.status == 0, found.err
    own = trained(run, label)
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    assert relative(own(images()), model(images())) < 1e-5
    assert torch.equal(open_export(tmp_path / "out")(images()), model(images()))
    folded = about(tmp_path / "out")["folded"]
    assert "neck.bn" in folded["folded"]
    assert f"Folded {len(folded['folded'])} of" in found.out
    assert "neck.bn.running_mean" not in safetensors.torch.load_file(tmp_path / "out/model.safetensors")


def test_an_export_is_judged_as_its_training(run, exported, faces, tmp_path, dualfair):
    reports = []
    for name, network in (("training", training(run)), ("export", exported)):
        words = ("evaluate", "--network", network, "--faces", faces, "--out", tmp_path / name, "--resamples", 0)
        found = dualfair(*words, "--device", "cpu")
        assert found.status == 0, found.err
        reports.append(json.loads((tmp_path / name / "report.json").read_text()))
    assert reports[0] == reports[1]
    groups = {one["group"]: one for one in about(exported)["metrics"]["test"]["groups"]}
    for name, row in reports[1]["identification"]["groups"].items():
        assert groups[name]["error"] == row["error"]["value"]
        assert (groups[name]["people"], groups[name]["images"]) == (row["identities"], row["probes"])


def test_everything_about_a_network_is_data(exported, faces):
    found = about(exported)
    assert found["skeleton"]["bottlenecks"] == [16, 32, 64, 96]
    assert (found["network"], found["head"], found["trained"]["seed"]) == (BEST, "cosface", 0)
    assert (found["trained"]["faces"], found["licence"], found["data_licence"]) == ("generated", "MIT", "not stated")
    assert found["trained"]["recipe"]["lr"] == 0.05
    assert found["metrics"]["test"]["people"] == sum(one["people"] for one in found["metrics"]["test"]["groups"])
    assert [one["seed"] for one in found["metrics"]["seeds"]] == [0, 1]
    for name, digest in found["files"].items():
        assert hashlib.sha256((exported / name).read_bytes()).hexdigest() == digest
    for file in ("dualfair.json", "README.md", "config.json"):
        assert str(faces.parent) not in (exported / file).read_text()


def test_the_card_says_what_was_measured_and_what_not_to_believe(exported):
    text = (exported / "README.md").read_text()
    header = ModelCard(text).data
    assert (header.license, header.library_name) == ("mit", "timm")
    assert {"face-recognition", "onnx"} <= {*header.tags}
    test = about(exported)["metrics"]["test"]
    for group in test["groups"]:
        row = next(line for line in text.splitlines() if line.startswith(f"| test, {group['group']} "))
        assert f"| {group['people']} | {group['images']} | {group['error']:.3f} |" in row
    assert "too few to compare groups by" in text
    assert "95 % percentile interval over people" in text
    assert "biometric data" in text


@pytest.mark.parametrize(
    ("licence", "fields"),
    [
        ("not stated", {"license": "unknown"}),
        ("CC BY-NC 4.0", {"license": "cc-by-nc-4.0"}),
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("our own: ask us", {"license": "other", "license_name": "our-own-ask-us"}),
        ("---\nlicense: mit", {"license": "other", "license_name": "license-mit"}),
    ],
)
def test_a_licence_is_told_as_the_hub_takes_it(licence, fields):
    assert licence_on_hub(licence) == fields


def test_what_a_user_names_stays_one_line_of_the_card(exported):
    told = {**about(exported), "licence": "MIT\n# Free | for all <b>"}
    told["trained"] = {**told["trained"], "faces": "faces`\n---"}
    text = card(told)
    assert "Licence of the weights: MIT # Free \\| for all \\<b\\>. Licence" in text
    assert 'people of the faces "faces\\` ---", seed 0' in text and ModelCard(text).data.license == "other"


def test_a_group_is_in_the_table_of_the_card_by_its_very_name(exported):
    names = ["<30", "a|b", "*x*", "[x](y)", "a_b", "_c_", "&lt;", "a\\b"]
    told = about(exported)
    test = told["metrics"]["test"]
    groups = [{**test["groups"][0], "group": name} for name in names]
    text = card({**told, "metrics": {**told["metrics"], "test": {**test, "groups": groups}}})
    rows = [re.split(r"(?<!\\)\|", line)[1].strip() for line in text.splitlines() if line.startswith("| test, ")]
    assert [re.sub(r"\\([^a-z\s])", r"\1", row) for row in rows[1:]] == [f"test, {name}" for name in names]
    assert (
        rows[1] == r"test, \<30" and rows[3] == r"test, \*x\*" and rows[5] == "test, a_b" and rows[6] == r"test, \_c\_"
    )


def test_a_run_exports_what_its_report_recommends_by_the_best_seed(run, tmp_path, dualfair):
    found = dualfair("export", run, "--to", tmp_path / "out")
    assert found.status == 0, found.err
    assert (
        f"{BEST} seed 1: the network that the run's report recommends of 3 that were trained: best compromise"
        in found.out
    )
    assert "seed 1, the one with the lowest error on validation people (then rank disparity) of 2" in found.out
    assert dualfair("export", run, "--to", tmp_path / "out", "--seed", 0).status == 0
    assert about(tmp_path / "out")["trained"]["seed"] == 0
    assert "no finished training of seed 7" in dualfair("export", run, "--to", tmp_path / "out", "--seed", 7).err


def test_the_door_exports_without_a_word_and_says_what_it_wrote(run, tmp_path, capsys):
    exported = dualfair.export(run, tmp_path / "out", format="state", seed=0, class_weights=False, fold_bn=True)
    assert (exported.training, exported.format) == (TrainingSpec.of_label(BEST, 0), "state")
    assert "the run's report recommends" in exported.why and 0 < exported.folded <= exported.norms
    assert exported.files["model.safetensors"] == (tmp_path / "out/model.safetensors").stat().st_size
    assert "class_weights.safetensors" not in exported.files and exported.agreement is None
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="unknown format 'pickle'; choose from timm, onnx, state"):
        dualfair.export(run, tmp_path / "out", format="pickle")


def test_a_network_is_found_by_its_name(run, tmp_path, dualfair):
    assert dualfair("export", "000:arcface", "--run", run, "--to", tmp_path / "out").status == 0
    assert about(tmp_path / "out")["network"] == OTHER
    assert dualfair("export", BACKBONE, "--run", run, "--to", tmp_path / "out", "--seed", 1).status == 0
    assert about(tmp_path / "out")["kind"] == "backbone"
    assert "has no finished training of 111:cosface" in dualfair("export", "111:cosface", "--run", run, "--to", "q").err
    assert "name a training's folder, a run" in dualfair("export", "111:cosface", "--to", "q").err


def test_without_the_run_the_card_says_that_nothing_was_measured(run, tmp_path, dualfair):
    alone = shutil.copytree(training(run), tmp_path / "alone")
    (alone / "result.json").unlink()
    found = dualfair("export", alone, "--to", tmp_path / "out")
    assert found.status == 0, found.err
    assert "nothing is measured on its faces" in found.out
    assert "Nothing: no result lay beside the weights" in (tmp_path / "out/README.md").read_text()


def test_recorded_numbers_stand_in_where_the_faces_are_gone(run, tmp_path, dualfair):
    copy = shutil.copytree(run, tmp_path / "run")
    config = RunLayout(copy).train.config
    replace(TrainConfig.read(config), faces="../gone").write(config)
    found = dualfair("export", training(copy), "--to", tmp_path / "out")
    assert found.status == 0, found.err
    metrics = about(tmp_path / "out")["metrics"]
    assert (metrics["test"]["error"], metrics["test"]["people"]) == (0.2, None)
    assert "recorded when it was trained" in (tmp_path / "out/README.md").read_text()


def test_class_weights_are_told_to_be_biometric_and_can_be_left_out(run, tmp_path, dualfair):
    words = ("export", training(run), "--to", tmp_path / "out", "--format", "timm")
    assert dualfair(*words).status == 0
    assert "class_weights.safetensors` holds a vector of every person" in (tmp_path / "out/README.md").read_text()
    assert dualfair(*words, "--no-class-weights").status == 0
    assert not (tmp_path / "out/class_weights.safetensors").exists()
    assert "class_weights" not in (tmp_path / "out/README.md").read_text()
    open_export(tmp_path / "out")


def test_the_same_weights_are_the_same_bytes(run, tmp_path, dualfair):
    for name in ("one", "other"):
        assert dualfair("export", training(run), "--fold-bn", "--to", tmp_path / name).status == 0
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "other" / file.name).read_bytes(), file.name
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    assert onnx_model.to_onnx(layer, 8) == onnx_model.to_onnx(layer, 8)


def test_an_export_replaces_its_own_files_and_nothing_else(run, exported, tmp_path, dualfair):
    folder = shutil.copytree(exported, tmp_path / "out")
    (folder / "LICENSE").write_text("mine")
    assert dualfair("export", training(run, OTHER), "--format", "state", "--to", folder).status == 0
    left = {path.name for path in folder.iterdir()}
    assert left == {"LICENSE", "README.md", "dualfair.json", "model.safetensors", "class_weights.safetensors"}
    assert open_export(folder).genotype.head == "arcface"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text("{}")
    found = dualfair("export", training(run), "--to", foreign)
    assert (found.status, [path.name for path in foreign.iterdir()]) == (2, ["config.json"])
    assert "is not empty and holds no export" in found.err
    assert "is a file; --to takes a folder" in dualfair("export", training(run), "--to", foreign / "config.json").err


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("dualfair.json", lambda data: data[:50], "dualfair.json is damaged"),
        ("dualfair.json", lambda data: b"[1]", "was not written by 'dualfair export'"),
        ("dualfair.json", lambda data: data.replace(b'"version": 1,', b'"version": 9,'), "is of version 9"),
        ("dualfair.json", lambda data: data.replace(b'"groups": 8', b'"groups": 16'), "do not fit together"),
        ("dualfair.json", lambda data: data.replace(b'"kind": "searched"', b'"kind": "odd"'), "unknown kind 'odd'"),
        ("dualfair.json", lambda data: data.replace(b'"kind": "searched",', b""), "kind is missing"),
        ("model.safetensors", lambda data: data[:-9], "is not the file that dualfair.json describes"),
        ("model.safetensors", None, "cannot be read"),
    ],
)
def test_a_damaged_export_is_one_clear_error(exported, tmp_path, file, damage, message):
    folder = shutil.copytree(exported, tmp_path / "out")
    if damage is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(damage((folder / file).read_bytes()))
    with pytest.raises(ValueError, match=re.escape(message)):
        open_export(folder)


def test_weights_that_are_no_safetensors_are_refused_though_their_hash_is_right(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "out")
    (folder / "model.safetensors").write_bytes(b"\x80\x04K\x01.")
    found = about(folder)
    found["files"]["model.safetensors"] = hashlib.sha256(b"\x80\x04K\x01.").hexdigest()
    write_json(folder / "dualfair.json", found)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        open_export(folder)


def own_source():
    mine = dataclasses.replace(OPERATIONS["pre3"], name="mine")
    skeleton = dataclasses.replace(NANO, name="my_nets:skeleton", operations=(mine, Convolution("also", 1, "post")))
    network = build("010:cosface", skeleton, 3).eval()
    trained = Standalone(network, TrainingSpec(network.genotype), 3, TrainedOn("x", "group", "", 0))
    return skeleton, Source(trained, "named", metrics_of(0))


@torch.no_grad()
def test_a_skeleton_of_ones_own_is_kept_as_the_text_that_opens_it(tmp_path):
    skeleton, source = own_source()
    with pytest.raises(ValueError, match="take --format onnx or --format state"):
        export(source, tmp_path / "out", "timm", Terms())
    assert not (tmp_path / "out").exists()
    export(source, tmp_path / "out", "state", Terms())
    assert about(tmp_path / "out")["skeleton"]["opened_by"] == "my_nets:skeleton"
    with pytest.raises(ValueError, match=r"of its author's own \(my_nets:skeleton\)"):
        open_export(tmp_path / "out")
    assert torch.equal(open_export(tmp_path / "out", skeleton=skeleton)(images()), source.trained.network(images()))


def test_an_onnx_model_that_does_not_agree_leaves_nothing(run, exported, tmp_path, dualfair, monkeypatch):
    other = (exported / "model.onnx").read_bytes()
    monkeypatch.setattr(onnx_model, "to_onnx", lambda model, size, output: other)
    found = dualfair("export", training(run, OTHER), "--format", "onnx", "--to", tmp_path / "out")
    assert found.status == 2
    assert "onnxruntime and torch do not agree: smallest cosine" in found.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [-1.0, float("nan")])
def test_one_image_that_does_not_agree_is_enough(monkeypatch, wrong):
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    seen = []

    class Session:
        def run(self, names, feeds):
            seen.append(len(feeds["images"]))
            found = layer(torch.from_numpy(feeds["images"])).detach()
            if len(seen) == 3:
                found[3] *= wrong
            return [found.numpy()]

    monkeypatch.setattr(onnx_model, "open_session", lambda data: Session())
    with pytest.raises(ValueError, match="do not agree"):
        onnx_model.compare(layer, b"", 8)
    assert sum(seen) >= 64
    assert {1, 2, 7} == {*seen}


def test_missing_packages_are_named(run, tmp_path, dualfair, monkeypatch):
    monkeypatch.setattr(onnx_model, "find_spec", lambda name: None if name == "onnxscript" else name)
    found = dualfair("export", training(run), "--format", "onnx", "--to", tmp_path / "out")
    assert (found.status, "ONNX needs onnxscript; run: pip install" in found.err) == (2, True)


def test_the_code_of_the_guide_runs(exported, tmp_path, capsys):
    shutil.copytree(exported, tmp_path / "exported")
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(blocks) == 3
    with chdir(tmp_path):
        for block in blocks:
            exec(compile(block, str(GUIDE), "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    cosines = [float(line.split(": ")[1]) for line in lines if line.startswith("cosine")]
    losses = [float(line.split("loss ")[1]) for line in lines if line.startswith("step")]
    assert len(cosines) == 2
    assert np.isfinite([*cosines, *losses]).all()
