"""A run on labelled images: all stages, in words of images and classes."""

import shutil

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
