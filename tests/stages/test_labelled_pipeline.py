"""Labelled images through all four stages and the report, by the command line."""

import json

import numpy as np
import pytest

from dualfair.supernet.images.manifest import Manifest
from dualfair.supernet.images.store import StoreWriter

IMAGES, SIDE = 240, 32
CLASSES = np.array(["bars", "checks", "disc"])[np.arange(IMAGES) % 3]
GROUPS = np.where(np.arange(IMAGES) // 3 % 4 < 2, "clear", "noisy")


def drawn(label, group, rng):
    """A shape in light grey on dark grey; a noisy group is harder to tell."""
    rows, columns = np.indices((SIDE, SIDE)) + rng.integers(0, 8)
    shape = {
        "bars": rows // 4 % 2,
        "checks": (rows // 4 + columns // 4) % 2,
        "disc": (rows - 18) ** 2 + (columns - 18) ** 2 < 80,
    }[label]
    noise = rng.normal(0, 60 if group == "noisy" else 5, (SIDE, SIDE))
    return np.repeat(np.clip(60 + 130 * shape + noise, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    writer = StoreWriter(folder / "shapes", IMAGES, SIDE)
    writer.add(drawn(label, group, rng) for label, group in zip(CLASSES, GROUPS, strict=True))
    columns = {"path": [f"{n}.png" for n in range(IMAGES)], "label": CLASSES.tolist(), "group": GROUPS.tolist()}
    manifest = Manifest({name: tuple(values) for name, values in columns.items()})
    writer.close(manifest, {"made by": "test", "task": "classification"})
    return folder


@pytest.fixture
def run(dualfair, place):
    run = place / "run"
    if not run.exists():
        recipe = ("--size", SIDE, "--epochs", 3, "--no-flip")
        trained = dualfair("train", "--faces", place / "shapes", "--out", run, *recipe)
        assert trained.status == 0, trained.err
        assert "heads: softmax 243" in trained.out
        searched = dualfair("search", "--run", run, "--population", 6, "--generations", 2, "--objectives", "error,eod")
        assert searched.status == 0, searched.err
        retrained = dualfair("retrain", "--run", run, "--seeds", 1, "--controls", 3, "--epochs", 4)
        assert retrained.status == 0, retrained.err
    return run


def result_of(run):
    return json.loads(next(run.glob("retrain/*/seed-0/result.json")).read_text())


def test_a_network_is_judged_by_the_objectives_of_labels_on_images_that_it_has_not_seen(run):
    front = json.loads((run / "search/front.json").read_text())
    assert front["objectives"] == ["error", "eod"]
    test = result_of(run)["test"]
    assert test["probes"] == 48 and test["excluded"] == 0
    assert {"error", "eod", "accuracy_disparity"} <= test["measures"].keys()
    assert [group["group"] for group in test["groups"]] == ["clear", "noisy"]


def test_shapes_that_are_easily_told_apart_are_learnt(run):
    errors = [json.loads(path.read_text())["test"]["error"] for path in run.glob("retrain/*/seed-0/result.json")]
    assert min(errors) < 0.2, errors


def test_inherited_scores_are_ranked_against_trainings_and_reported(run, dualfair):
    correlated = dualfair("correlate", "--run", run)
    # Too few networks to conclude anything.
    assert correlated.status == 3 and "eod, test" in correlated.out, correlated.err
    page = run.parent / "report.html"
    reported = dualfair("report", run, "--out", page)
    assert reported.status == 0 and page.is_file(), reported.out + reported.err


def test_a_run_of_labelled_images_exports_its_network_with_the_names_of_the_classes(dualfair, run, tmp_path):
    exported = dualfair("export", run, "--to", tmp_path / "out")
    assert exported.status == 0, exported.err
    assert "on validation images" in exported.out and "people" not in exported.out
    about = json.loads((tmp_path / "out/dualfair.json").read_text())
    assert about["classes"] == ["bars", "checks", "disc"]
    assert "people" not in json.dumps(about["trained"])


def test_studies_compare_networks_of_labelled_images_in_words_of_images(dualfair, run):
    trained = dualfair("retrain", "--run", run, "--backbone", "test_resnet", "--seeds", 1, "--epochs", 0.1)
    assert trained.status == 0, trained.err
    assert "timm.test_resnet:softmax" in trained.out
    shelf = dualfair("shelf", "--run", run, "--resamples", 20)
    assert shelf.status == 0, shelf.err
    assert "on test images the hypervolume of our front" in shelf.out and "people" not in shelf.out
    compared = dualfair("compare", "--run", run, "--seeds", 2)
    assert compared.status == 0, compared.err
    assert "unseen images of 3 classes" in compared.out and "people" not in compared.out
    tuned = dualfair("tune", "--run", run, "--trials", 2, "--epochs", 0.2, "--first-rung", 0.1)
    assert tuned.status == 0, tuned.err
    assert ":softmax" in tuned.out and "On the front of the validation images" in tuned.out
    assert "people" not in tuned.out


def test_networks_of_labelled_images_are_not_transferred(dualfair, run, place, tmp_path):
    words = ("transfer", "--run", run, "--to", place / "shapes", "--group", "label", "--out", tmp_path / "out")
    refused = dualfair(*words)
    assert (refused.status, (tmp_path / "out").exists()) == (2, False)
    assert "is of labelled images; 'dualfair transfer' is for faces" in refused.err
    assert refused.err.count("\n") == 1
