"""A run on labelled images: all stages, in words of images and classes."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.faces import labelled_manifest_of, labelled_store_of

SEARCH = ("--population", 8, "--generations", 2, "--calibrate", 16)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("labelled")


@pytest.fixture
def trained(dualfair, place, tmp_path, monkeypatch):
    """A trained run on 180 images of three classes in two groups, and one on the same without groups."""
    if not (place / "run").exists():
        for run, images, groups in (("run", "images", {}), ("groupless", "one-group", {"group": None})):
            labelled_store_of(place / images, labelled_manifest_of(180, **groups), size=32)
            words = ("--space", "dpn81-shared", "--size", 32, "--epochs", 0.2, "--batch", 16)
            made = dualfair("train", "--faces", place / images, "--out", place / run, *words)
            assert made.status == 0, made.err
            assert "108 images of 3 classes" in made.out and ("groups a, b" in made.out) == (run == "run")
    shutil.copytree(place, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return "run"


@pytest.mark.parametrize(
    ("run", "objectives", "line"),
    [
        ("run", "error,tar", "Error: objective tar is of faces; take another one for these images"),
        ("run", "error,eod(positive=yak)", "Error: objective eod(positive=yak): there is no class 'yak'; the classes "),
        ("groupless", "error,rank_disparity", "Error: objective rank_disparity compares groups, and these "),
    ],
)
def test_objectives_that_are_not_to_be_had_are_refused_in_one_line_and_nothing_is_written(
    dualfair, trained, tmp_path, run, objectives, line
):
    before = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    refused = dualfair("search", "--run", run, *SEARCH, "--objectives", objectives)
    assert refused.status == 2 and refused.err.startswith(line) and refused.err.count("\n") == 1, refused.err
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} == before


@pytest.fixture
def finished(dualfair, place, trained):
    """The run with all stages behind it, and what these said."""
    if not (place / "said.txt").exists():
        retrain = ("--seeds", 2, "--controls", 1, "--random", 3, "--epochs", 0.2)
        stages = (
            ("search", *SEARCH, "--objectives", "error,eod"),
            ("retrain", *retrain),
            ("correlate", "--resamples", 20),
        )
        results = [dualfair(stage, "--run", place / "run", *options) for stage, *options in stages]
        assert [result.status for result in results] in ([0, 0, 0], [0, 0, 3]), [result.err for result in results]
        (place / "said.txt").write_text("".join(result.out for result in results))
    shutil.copytree(place / "run", "run", dirs_exist_ok=True)
    return (place / "said.txt").read_text()


def test_all_stages_speak_of_images_and_classes(finished):
    assert "minimise error, eod on 18 unseen images of 3 classes" in finished
    assert "8 random networks, 18 images (a 9, b 9)" in finished and "1 = images do not matter" in finished
    assert "random subnets on 18 images that the search has not seen" in finished
    assert "Confirmed on 18 images that the search has not seen" in finished
    assert "from scratch on 108 images of 3 classes" in finished
    assert "inherited scores on validation images against the mean" in finished and "eod, test images: tau" in finished
    assert "people" not in finished and "identities" not in finished
    config = json.loads(Path("run/train/config.json").read_text())
    assert (config["task"], config["units"]) == ("classification", "images")
    assert json.loads(Path("run/search/front.json").read_text())["confirmation"]["units"] == "images"
    assert json.loads(Path("run/search/reliability.json").read_text())["units"] == "images"
