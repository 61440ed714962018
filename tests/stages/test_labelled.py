"""A run on labelled images: all stages, in words of images and classes."""

import json
import re
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


def test_a_network_is_evaluated_by_class_and_by_group(dualfair, finished):
    network = sorted(Path("run/retrain").glob("*/seed-0"))[0]
    words = ("--network", network, "--faces", "images", "--resamples", 40, "--out")
    judged = dualfair("evaluate", *words, "judged")
    assert judged.status == 0, judged.err
    assert "on the test images of images: 36 images" in judged.out and "n is images" in judged.out
    assert "people" not in judged.out and "bootstrap over images" in judged.out
    report = json.loads(Path("judged/report.json").read_text())
    of_classes = report["classification"]
    assert report["units"] == "images" and not {"identification", "verification", "open_set", "gallery"} & set(report)
    assert of_classes["all"]["error"]["n"] == 36 and "top5_error" not in of_classes["all"]
    assert 0 <= of_classes["all"]["error"]["value"] <= 1 and set(of_classes["groups"]) == {"a", "b"}
    accuracies = [number["value"] for number in of_classes["accuracy_by_class"].values()]
    assert list(of_classes["accuracy_by_class"]) == ["cat", "dog", "eel"]
    assert sum(accuracies) / 3 == pytest.approx(of_classes["all"]["balanced_accuracy"]["value"])
    assert {"accuracy_disparity", "spd", "eod", "aod"} <= {row["name"] for row in report["disparities"]}
    assert "rank_disparity" not in {row["name"] for row in report["disparities"]}
    assert "accuracy of cat" in Path("judged/groups.csv").read_text()
    with_pairs = dualfair("evaluate", *words, "other", "--metrics", "verification")
    assert "note: not measured, as only faces have it: verification" in with_pairs.out
    ungrouped = dualfair("evaluate", "--network", network, "--faces", "one-group", "--resamples", 0, "--out", "third")
    assert ungrouped.status == 0 and "all images of one-group: 180 images" in ungrouped.out
    assert "no disparities: there are not two groups to compare" in ungrouped.out
    labelled_store_of(Path("others"), labelled_manifest_of(60, classes=("ape", "dog", "eel")), size=32)
    refused = dualfair("evaluate", "--network", network, "--faces", "others", "--out", "fourth")
    assert refused.status == 2 and not Path("fourth").exists(), refused.out
    assert "tells the classes cat, dog, eel apart, the classes of others are ape, dog, eel; evaluate it" in refused.err


def test_the_report_claims_nothing_of_people_or_faces(dualfair, finished):
    reported = dualfair("report", "run", "--out", "report/report.html")
    assert reported.status == 0 and "damaged" not in reported.out + reported.err, reported.err
    page = Path("report/report.html").read_text()
    text = " ".join(re.sub(r"<style>.*?</style>|<img[^>]*>|<[^>]+>", " ", page, flags=re.DOTALL).split())
    shown = text.replace("--faces MORE-IMAGES", "")
    assert not re.search(r'alt="[^"]*people', page)
    assert not re.findall(r".{60}(?:people|person|somebody|faces?\b|gallery).{40}", shown)
    assert "classifies images well" in text and "Error is the share of images that are classified wrong." in text
    assert "no image is in two splits" in text and "compare them at equal numbers only" in text
    data = json.loads(Path("report/report.json").read_text())["runs"][0]
    assert data["units"] == "images" and data["people"]["test"] == {"a": 18, "b": 18}


def test_a_run_of_labelled_images_exports_its_network_with_the_names_of_the_classes(dualfair, finished, tmp_path):
    exported = dualfair("export", "run", "--to", tmp_path / "out")
    assert exported.status == 0, exported.err
    assert "on validation images" in exported.out and "people" not in exported.out
    judged = dualfair("evaluate", "--network", tmp_path / "out", "--faces", "images", "--out", "judged")
    assert judged.status == 0, judged.err
    about = json.loads((tmp_path / "out/dualfair.json").read_text())
    assert about["classes"] == ["cat", "dog", "eel"]
    assert "people" not in json.dumps(about["trained"])


def test_studies_compare_networks_of_labelled_images_in_words_of_images(dualfair, finished):
    trained = dualfair("retrain", "--run", "run", "--backbone", "test_resnet", "--seeds", 1, "--epochs", 0.1)
    assert trained.status == 0, trained.err
    assert "timm.test_resnet:softmax" in trained.out
    shelf = dualfair("shelf", "--run", "run", "--resamples", 20)
    assert shelf.status == 0, shelf.err
    assert "on test images the hypervolume of our front" in shelf.out and "people" not in shelf.out
    compared = dualfair("compare", "--run", "run", "--seeds", 2)
    assert compared.status == 0, compared.err
    assert "unseen images of 3 classes" in compared.out and "people" not in compared.out
    tuned = dualfair("tune", "--run", "run", "--trials", 2, "--epochs", 0.2, "--first-rung", 0.1)
    assert tuned.status == 0, tuned.err
    assert ":softmax" in tuned.out and "On the front of the validation images" in tuned.out
    assert "people" not in tuned.out


def test_networks_of_labelled_images_are_not_transferred(dualfair, finished):
    words = ("transfer", "--run", "run", "--to", "images", "--group", "label", "--out", "out")
    refused = dualfair(*words)
    assert (refused.status, Path("out").exists()) == (2, False)
    assert "is of labelled images; 'dualfair transfer' is for faces" in refused.err
    assert refused.err.count("\n") == 1
