"""All four stages by the command line, on faces small enough for a test."""

import csv
import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from dualfair.evaluation.scoring.sharing import work
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import skeleton_of

RECIPE = ("--epochs", 4, "--batch", 16, "--lr", 0.1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture
def faces(dualfair, place):
    if not (place / "faces").exists():
        made = dualfair("faces", "synth", "--out", place / "faces", "--identities", 30, "--images", 6, "--size", 32)
        assert made.status == 0 and "180 images of 30 people at 32 px" in made.out
    return place / "faces"


@pytest.fixture
def trained(dualfair, place, faces):
    if not (place / "run").exists():
        result = dualfair("train", "--faces", faces, "--out", place / "run", "--size", 32, *RECIPE)
        assert result.status == 0, result.err
        assert "Every operation got exactly 24 updates; heads: arcface 72, cosface 72, magface 72" in result.out
        assert f"Next: dualfair search --run {place / 'run'}" in result.out
    return place / "run"


@pytest.fixture
def searched(dualfair, trained):
    if not (trained / "search").exists():
        result = dualfair("search", "--run", trained, "--population", 6, "--generations", 2, "--calibrate", 64)
        assert result.status == 0, result.err
        assert "12 genotypes, 0 of them known before; generations done" in result.out
        with open(trained / "search/scores.csv") as file:
            asked = [Genotype.parse(row["genotype"]) for row in csv.DictReader(file)]
        skeleton = skeleton_of("nano").resized(32)
        saving = (work(asked[:6], skeleton) + work(asked[6:], skeleton)).saving
        assert f"Common beginnings were run once: {saving:.2f} times less work" in result.out
    return trained


@pytest.fixture
def retrained(dualfair, searched):
    if not (searched / "retrain").exists():
        result = dualfair("retrain", "--run", searched, "--seeds", 2, "--controls", 2, "--epochs", 1)
        assert result.status == 0, result.err
        assert "n = training seeds; mean ± standard error over them" in result.out
    return searched


def test_the_front_is_on_disk_as_table_numbers_and_picture(searched):
    folder = searched / "search"
    rows = list(csv.DictReader((folder / "front.csv").open()))
    front = json.loads((folder / "front.json").read_text())
    assert front["objectives"] == ["error", "rank_disparity"]
    assert [row["genotype"] for row in rows] == [row["genotype"] for row in front["front"]]
    assert {"params", "macs", "error of a", "mean rank of b"} <= set(rows[0])
    assert 0 < front["errors to beat"]["raw pixels"] <= 1
    everything = list(csv.DictReader((folder / "scores.csv").open()))
    assert len(everything) == 12
    best = min(float(row["error"]) for row in everything)
    assert float(rows[0]["error"]) == best
    assert front["confirmation"] is None and "confirmed" not in front["front"][0]
    said = (searched / "log.txt").read_text()
    assert "Not confirmed on fresh people: too few people to confirm: group 'a' has 3 validation people; 4 are" in said
    with Image.open(folder / "front.png") as picture:
        assert picture.width > 300
    volumes = [float(row[1]) for row in list(csv.reader((folder / "hypervolume.csv").open()))[1:]]
    assert volumes == sorted(volumes) and len(volumes) == 2


def test_a_search_run_again_scores_nothing_and_finds_the_same(dualfair, searched):
    before = (searched / "search/front.csv").read_bytes()
    again = dualfair("search", "--run", searched, "--population", 6, "--generations", 2, "--calibrate", 64)
    assert "12 genotypes, 12 of them known before" in again.out and "Common beginnings" not in again.out
    assert (searched / "search/front.csv").read_bytes() == before


def test_training_run_again_has_nothing_to_do(dualfair, trained, faces):
    before = sorted((trained / "train").glob("step-*.pt"))[-1].read_bytes()
    again = dualfair("train", "--faces", faces, "--out", trained, "--size", 32, *RECIPE)
    assert again.status == 0 and "continuing from step 24" in again.out
    assert sorted((trained / "train").glob("step-*.pt"))[-1].read_bytes() == before


def test_another_configuration_is_refused_with_the_difference(dualfair, trained, faces):
    other = dualfair("train", "--faces", faces, "--out", trained, "--size", 32, "--epochs", 5, "--batch", 16)
    assert other.status == 2
    assert "epochs = 4.0 there, 5.0 here" in other.err and "\n" not in other.err.strip()


def test_the_run_directory_explains_itself(trained):
    config = json.loads((trained / "train/config.json").read_text())
    assert config["space"] == "dpn81" and config["lr"] == 0.1 and config["faces"] == "../faces"
    command = json.loads((trained / "train/commands.jsonl").read_text().splitlines()[0])
    assert command["command"].startswith("dualfair train") and {"torch", "timm", "device"} <= set(command)
    assert "Train: space dpn81 of 129,140,163 networks" in (trained / "log.txt").read_text()
    assert list((trained / "train/tensorboard").iterdir())


def test_a_run_may_be_moved_with_its_faces(dualfair, searched, tmp_path):
    shutil.copytree(searched.parent, tmp_path / "moved")
    moved = dualfair(
        "search", "--run", tmp_path / "moved/run", "--population", 6, "--generations", 2, "--calibrate", 64
    )
    assert moved.status == 0 and "12 of them known before" in moved.out


def test_faces_in_another_folder_are_found_again_by_the_command_that_is_told(dualfair, searched, tmp_path, monkeypatch):
    for name in ("run", "faces"):
        shutil.copytree(searched.parent / name, tmp_path / ("my runs/" if name == "run" else "new place/") / name)
    monkeypatch.chdir(tmp_path / "my runs")
    words = ("--run", "run", "--population", 6, "--generations", 2, "--calibrate", 64)
    for command, *more in (("search", *words), ("transfer", "--run", "run", "--group", "hat", "--out", "out")):
        lost = dualfair(command, *more)
        assert lost.status == 2 and len(lost.err.splitlines()) == 1
        assert "the run's faces are not in faces; put them there again" in lost.err
    link = lost.err.strip().rpartition("link it: ")[2]
    typed = link.replace("/FULL/PATH/OF/FACES", f"'{tmp_path}/new place/faces'")
    subprocess.run(typed, shell=True, check=True)
    found = dualfair("search", *words)
    assert found.status == 0 and "12 of them known before" in found.out
    typed = typed.replace("new place/faces", "other")
    dualfair("faces", "synth", "--out", "../other", "--identities", 30, "--images", 6, "--size", 32, "--seed", 1)
    subprocess.run(typed, shell=True, check=True)
    assert "the faces in faces are not those that run was trained on" in dualfair("search", *words).err


def test_faces_that_changed_are_noticed(dualfair, searched, tmp_path):
    shutil.copytree(searched.parent, tmp_path / "moved")
    dualfair("faces", "synth", "--out", tmp_path / "moved/faces", "--identities", 30, "--images", 6, "--size", 32,
             "--seed", 1)  # fmt: skip
    other = dualfair("search", "--run", tmp_path / "moved/run")
    assert other.status == 2 and "are not those that" in other.err


def test_retraining_keeps_what_is_done(dualfair, retrained):
    results = sorted((retrained / "retrain").glob("*/seed-*/result.json"))
    before = [path.read_bytes() for path in results]
    result = json.loads(before[0])
    assert {"error", "disparity", "groups", "probes"} <= set(result["test"])
    again = dualfair("retrain", "--run", retrained, "--seeds", 2, "--controls", 2, "--epochs", 1)
    assert again.status == 0 and [path.read_bytes() for path in results] == before
    other = dualfair("retrain", "--run", retrained, "--seeds", 2, "--epochs", 2)
    assert other.status == 2 and "epochs = 1.0 there, 2.0 here" in other.err


def test_a_training_that_was_copied_from_elsewhere_is_not_taken_for_one_of_this_run(dualfair, retrained, tmp_path):
    shutil.copytree(retrained.parent, tmp_path / "copy")
    run = tmp_path / "copy/run"
    copied, other = sorted((run / "retrain").glob("*/seed-0"))[:2]
    shutil.rmtree(other)
    description = json.loads((copied / "network.json").read_text())
    description["trained_on"]["split_seed"] = 7
    (copied / "network.json").write_text(json.dumps(description))
    again = dualfair("retrain", "--run", run, "--seeds", 2, "--controls", 2, "--epochs", 1)
    (line,) = again.err.splitlines()
    assert again.status == 2 and not other.exists(), "refused before anything is trained"
    assert line.endswith(
        f"{copied}/result.json: it was trained on other faces, or other people of them, than those of this run; delete "
        "its folder"
    )
    studied = dualfair("correlate", "--run", run, "--resamples", 20)
    label = description["training"]
    assert studied.status == 3 and f"{label} seed 0" in studied.out
    shutil.rmtree(copied)
    assert dualfair("retrain", "--run", run, "--seeds", 2, "--controls", 2, "--epochs", 1).status == 0


def test_another_disparity_is_not_searched_on_beside_trainings_judged_by_the_first(dualfair, retrained, tmp_path):
    shutil.copytree(retrained.parent, tmp_path / "copy")
    run = tmp_path / "copy/run"
    search = ("--population", 6, "--generations", 2, "--calibrate", 64, "--objectives", "error,std")
    refused = dualfair("search", "--run", run, *search)
    assert refused.status == 2
    assert (
        "judged with objectives = 'error,rank_disparity', this search has 'error,std': copy its folder train"
        in refused.err
    )
    (tmp_path / "copy/other").mkdir()
    shutil.copytree(run / "train", tmp_path / "copy/other/train")
    assert dualfair("search", "--run", tmp_path / "copy/other", *search).status == 0
    # What was trained stays with what it was judged by.
    assert dualfair("report", run, "--out", tmp_path / "r.html").status == 0


def test_a_report_of_an_unfinished_retraining_says_so(dualfair, retrained, tmp_path):
    shutil.copytree(retrained.parent, tmp_path / "copy")
    results = sorted((tmp_path / "copy/run/retrain").glob("*/seed-*/result.json"))
    whole = dualfair("report", tmp_path / "copy/run", "--out", tmp_path / "r.html")
    assert "retraining is not finished" not in whole.out + whole.err + (tmp_path / "r.html").read_text()
    results[0].unlink()
    found = dualfair("report", tmp_path / "copy/run", "--out", tmp_path / "r.html")
    said = f"retraining is not finished: {len(results) - 1} of {len(results)} trainings are done"
    assert said in found.out + found.err and said in (tmp_path / "r.html").read_text()


def test_named_genotypes_are_retrained(dualfair, retrained, tmp_path):
    shutil.copytree(retrained.parent, tmp_path / "copy")
    run = tmp_path / "copy/run"
    named = dualfair("retrain", "--run", run, "--genotype", "101:cosface", "--seeds", 1, "--epochs", 1)
    assert named.status == 0 and "1 networks x 1 seeds" in named.out and "101-101-101-101:cosface" in named.out
    bad = dualfair("retrain", "--run", run, "--genotype", "680:cosface", "--epochs", 1)
    assert bad.status == 2 and "block 1 position 1 and block 1 position 3 must have the same code, got 6, 0" in bad.err
    study = dualfair("correlate", "--run", run, "--resamples", 100)
    assert "left out, seeds missing: 101-101-101-101:cosface" in study.out
    more = dualfair("retrain", "--run", run, "--genotype", "101:cosface", "--seeds", 3, "--epochs", 1)
    assert more.status == 0
    study = dualfair("correlate", "--run", run, "--resamples", 100)
    report = json.loads((run / "correlate/ranking.json").read_text())
    assert report["left_out"] == [] and report["seeds"] == 2 and "101-101-101-101:cosface" in report["networks"]


def test_an_infinite_disparity_is_kept_and_said_to_be_undefined(dualfair, retrained, tmp_path):
    shutil.copytree(retrained.parent, tmp_path / "copy")
    run = tmp_path / "copy/run"
    path = sorted((run / "retrain").glob("*/seed-0/result.json"))[0]
    result = json.loads(path.read_text())
    result["test"]["disparity"] = result["test"]["measures"]["rank_disparity"] = "inf"
    path.write_text(json.dumps(result))
    again = dualfair("retrain", "--run", run, "--seeds", 2, "--controls", 2, "--epochs", 1)
    assert again.status == 0 and "inf" in again.out
    study = dualfair("correlate", "--run", run, "--resamples", 100)
    assert study.status == 3
    assert "rank_disparity, test identities: tau undefined: truth has 1 of" in study.out


def test_the_ranking_study_reports_both_objectives_with_n_seeds_and_interval(dualfair, retrained):
    study = dualfair("correlate", "--run", retrained, "--resamples", 200)
    assert study.status in (0, 3)
    report = json.loads((retrained / "correlate/ranking.json").read_text())
    assert report["seeds"] == 2 and len(report["networks"]) >= 3
    assert set(report["measures"]) == {
        f"{measure}, {split} identities" for measure in ("error", "rank_disparity") for split in ("validation", "test")
    }
    for measure in report["measures"].values():
        assert measure["correlation"]["n"] == len(report["networks"])
        assert set(measure["baselines"]) == {"params", "macs"}
        assert "noise_ceiling" in measure
    assert f"Ranking: {len(report['networks'])} networks, 2 seeds each" in study.out
    with Image.open(retrained / "correlate/ranking.png") as picture:
        assert np.asarray(picture).std() > 0


def test_further_objectives_and_a_shared_space_searched_exhaustively(dualfair, faces, tmp_path):
    run = tmp_path / "run"
    quick = ("--epochs", 0.2, "--batch", 16)
    made = dualfair("train", "--faces", faces, "--out", run, "--size", 32, "--space", "dpn81-shared", *quick)
    assert made.status == 0, made.err
    found = dualfair(
        "search", "--run", run, "--population", 4, "--generations", 2, "--objectives", "error,rank_disparity,macs"
    )
    assert found.status == 0
    assert json.loads((run / "search/front.json").read_text())["objectives"] == ["error", "rank_disparity", "macs"]


@pytest.mark.slow
def test_the_true_front_of_a_shared_space_by_exhaustion(dualfair, faces, tmp_path):
    run = tmp_path / "run"
    dualfair("train", "--faces", faces, "--out", run, "--size", 32, "--space", "dpn81-shared", "--epochs", 2,
             "--batch", 16)  # fmt: skip
    found = dualfair("search", "--run", run, "--exhaustive", "--calibrate", 64)
    assert "243 genotypes, 0 of them known before; space exhausted" in found.out
    truth = {row["genotype"] for row in csv.DictReader((run / "search/front.csv").open())}
    evolved = dualfair("search", "--run", run, "--population", 20, "--generations", 12, "--calibrate", 64)
    assert "240 genotypes, 240 of them known before" in evolved.out
    assert {row["genotype"] for row in csv.DictReader((run / "search/front.csv").open())} == truth
