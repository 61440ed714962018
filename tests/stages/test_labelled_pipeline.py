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
