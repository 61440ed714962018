"""Networks of one face set on others, and by other attributes."""

import csv
import json
import shutil

import numpy as np
import pytest

from dualfair.evaluation.protocol import EvaluationProtocol
from dualfair.evolution.pareto import non_dominated
from dualfair.runs.layout import RunLayout
from dualfair.studies.transfer.measure import TransferRow, carried_over, measure, with_front
from dualfair.studies.transfer.study import TransferStudy
from dualfair.supernet.training.process_group import ALONE
from tests.support.faces import labelled_manifest_of, labelled_store_of


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("transfer")


@pytest.fixture
def run(dualfair, place):
    """Three networks, one of them with two seeds."""
    path = place / "run"
    if not path.exists():
        faces = ("faces", "synth", "--identities", 24, "--images", 4, "--size", 32)
        for words in (
            (*faces, "--out", place / "faces"),
            (*faces, "--out", place / "other", "--seed", 1, "--groups", 3),
            ("train", "--faces", place / "faces", "--out", path, "--size", 32, "--epochs", 0.3),
            ("search", "--run", path, "--population", 2, "--generations", 1, "--calibrate", 16),
            ("retrain", "--run", path, "--genotype", "101:cosface", "--epochs", 1, "--seeds", 2),
            ("retrain", "--run", path, "--genotype", "000:cosface", "--genotype", "010:arcface", "--epochs", 1,
             "--seeds", 1),
        ):  # fmt: skip
            result = dualfair(*words)
            assert result.status == 0, result.err
        add_column(place / "other", "hat", lambda number: "yes" if number % 2 else "no")
    return path


def add_column(faces, name, value_of):
    rows = list(csv.DictReader((faces / "manifest.csv").open()))
    people = sorted({row["identity"] for row in rows})
    with (faces / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], name], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, name: value_of(people.index(row["identity"]))})


@pytest.fixture
def found(dualfair, run, place):
    if not (place / "out").exists():
        words = ("--run", run, "--to", place / "other", "--group", "group", "--group", "hat", "--out", place / "out")
        result = dualfair("transfer", *words)
        assert result.status == 0, result.err
        (place / "said.txt").write_text(result.out)
    return json.loads((place / "out/transfer.json").read_text())


def test_the_study_reads_back_as_it_was_written(found):
    assert json.loads(json.dumps(TransferStudy.from_json(found).to_json())) == found


def test_every_network_is_measured_at_home_and_by_every_attribute_elsewhere(found):
    keys = [(row["network"].split("-")[0], row["faces"], row["group column"]) for row in found["networks"]]
    populations = [("faces", "group"), ("other", "group"), ("other", "hat")]
    assert sorted(keys) == sorted((code, *where) for where in populations for code in ("000", "010", "101"))
    groups = {(row["faces"], row["group column"]): row["groups"] for row in found["networks"]}
    assert groups["other", "group"] == "a 8, b 8, c 8" and groups["other", "hat"] == "no 12, yes 12"
    assert {row["people"] for row in found["networks"] if row["faces"] == "other"} == {24}
    home = [row for row in found["networks"] if row["home"]]
    assert {row["measured on"] for row in home} == {"test people"} and home[0]["people"] < 24


def test_the_numbers_are_those_that_evaluate_gives(dualfair, found, run, place):
    """The same network by the other command: same error, same disparity."""
    folder = run / "retrain/000-000-000-000_cosface/seed-0"
    words = ("--network", folder, "--faces", place / "other", "--group", "hat", "--metrics", "identification,disparity")
    assert dualfair("evaluate", *words, "--resamples", 0, "--out", place / "evaluated").status == 0
    report = json.loads((place / "evaluated/report.json").read_text())
    [row] = [row for row in found["networks"] if row["network"].startswith("000") and row["group column"] == "hat"]
    rank_disparity = next(each for each in report["disparities"] if each["name"] == "rank_disparity")
    assert row["disparity"] == pytest.approx(rank_disparity["value"], abs=1e-12)
    assert f"{row['error']:.12g}" in json.dumps(report) or row["error"] == pytest.approx(_error(report), abs=1e-12)


def _error(report):
    """The error of all probes, wherever the report keeps it."""
    everyone = next(row for row in report["identification"]["groups"] if row["group"] == "all")
    return everyone["error"]["estimate"]


def test_seeds_are_averaged_with_their_standard_error(found, run):
    from pathlib import Path

    [row] = [row for row in found["networks"] if row["network"].startswith("101") and row["home"]]
    assert row["seeds"] == 2 and row["standard error of error"] is not None
    assert all(row["standard error of error"] is None for row in found["networks"] if row["seeds"] == 1)
    assert sorted(Path(run / "retrain").glob("101*/seed-*"))[1].name == "seed-1"


def test_what_is_printed_says_who_was_measured_and_what_carries_over(found, place):
    said = (place / "said.txt").read_text()
    assert "run on other, groups by hat: all 24 people (no 12, yes 12), 96 images" in said
    assert "run on faces (at home), groups by group:" in said and "test people" in said
    assert "run -> other by hat: " in said and "n = 3 networks" in said
    assert "/" not in json.dumps(found["networks"])
    assert "\n".join(TransferStudy.from_json(found).lines()) in said
    small = [line for line in said.splitlines() if "attention" in line]
    assert small == [
        "  attention: 2 groups have fewer than 5 people; a disparity between groups so small is mostly chance"
    ]


@pytest.mark.parametrize(
    "more, text",
    [
        ((), "has nowhere to go: name other faces with --to, or another column with --group"),
        (("--to", "other", "--group", "shoes"), "has none of the columns shoes; it has: path, identity, group, hat"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(dualfair, run, place, more, text):
    more = [place / word if word == "other" else word for word in more]
    result = dualfair("transfer", "--run", run, *more, "--out", place / "nothing")
    assert result.status == 2 and text in result.err and len(result.err.splitlines()) == 1


def test_people_of_unknown_groups_stop_and_are_left_out_where_that_is_asked_for(dualfair, run, place):
    faces = place / "unclear"
    shutil.copytree(place / "other", faces)
    add_column(faces, "shoe", lambda number: "NA" if number < 5 else "ab"[number % 2])
    words = ("transfer", "--run", run, "--to", faces, "--group", "shoe", "--out", place / "shoes")
    stopped = dualfair(*words)
    assert stopped.status == 2 and len(stopped.err.splitlines()) == 1
    assert "5 identities have no group in column 'shoe' ('NA' 5): p000000, p000001," in stopped.err
    left = dualfair(*words, "--drop-unknown")
    assert left.status == 0 and left.out.count("left out: 5 identities have no group in column 'shoe'") == 1
    study = json.loads((place / "shoes/transfer.json").read_text())
    away = [row for row in study["networks"] if not row["home"]]
    assert {(row["groups"], row["people"], row["images"]) for row in away} == {("a 9, b 10", 19, 76)}


def row(network, error, disparity, home=True):
    values = {"error": error, "error_standard_error": None, "disparity": disparity, "disparity_standard_error": None}
    about = {"faces": "faces", "column": "group", "measured_on": "test people", "groups": "a 9", "small_groups": 0}
    about |= {"people": 9, "images": 36, "seeds": 1, "undefined": ""}
    return TransferRow(run="run", network=network, home=home, **values, **about)


def test_the_front_leaves_out_the_undefined():
    points = np.random.default_rng(0).random((12, 2))
    rows = [row(str(number), *point) for number, point in enumerate(points.tolist())]
    assert [network.on_front for network in with_front(rows)] == non_dominated(points).tolist()
    assert [network.on_front for network in with_front([row("x", 0.0, float("nan")), rows[0]])] == [False, True]


def test_rankings_are_compared_over_the_networks_that_both_have():
    home = [row(str(i), i / 10, i / 10) for i in range(6)]
    away = [row(str(i), 1 - i / 10, i / 5, home=False) for i in (5, 3, 1, 0)]
    carried = carried_over(home, away, 200, 0)
    assert (carried["error"].n, carried["error"].tau, carried["disparity"].tau) == (4, -1, 1)
    nothing = carried_over(home, [row("other", 0.5, 0.5, home=False)], 200, 0)["error"]
    assert (nothing.n, nothing.tau) == (0, None)


def test_faces_of_one_name_are_kept_apart_and_home_by_another_path_is_home(dualfair, run, place):
    (place / "elsewhere").mkdir()
    (place / "elsewhere/faces").symlink_to(place / "other")
    (place / "again").symlink_to(place / "faces")
    words = ("--to", place / "elsewhere/faces", "--to", place / "again", "--resamples", 20)
    result = dualfair("transfer", "--run", run, *words, "--out", place / "alike")
    assert result.status == 0, result.err
    networks = json.loads((place / "alike/transfer.json").read_text())["networks"]
    home, away = str(place / "faces"), str(place / "elsewhere/faces")
    assert [network["faces"] for network in networks] == [home] * 3 + [away] * 3
    assert f"run on {home} (at home)" in result.out and f"run on {away}, groups by group" in result.out


def test_faces_that_are_named_twice_are_measured_once_and_a_run_is_named_once(dualfair, run, place, monkeypatch):
    (place / "other as well").symlink_to(place / "other")
    monkeypatch.chdir(run)
    words = ("transfer", "--run", ".", "--to", place / "other", "--to", place / "other as well", "--resamples", 20)
    result = dualfair(*words, "--out", place / "once")
    assert result.status == 0, result.err
    networks = json.loads((place / "once/transfer.json").read_text())["networks"]
    assert [network["faces"] for network in networks] == ["faces"] * 3 + ["other"] * 3
    assert {network["run"] for network in networks} == {"run"}
    twice = dualfair(*words, "--run", run, "--out", place / "twice")
    assert twice.status == 2 and "run directory . is given twice; give each once" in twice.err


def test_faces_that_were_imported_anew_are_told_in_one_line(dualfair, run, place):
    for folder in ("run", "faces"):
        shutil.copytree(place / folder, place / "changed" / folder)
    origin = place / "changed/faces/faces.json"
    origin.write_text(json.dumps({**json.loads(origin.read_text()), "fingerprint": "other"}))
    result = dualfair("transfer", "--run", place / "changed/run", "--to", place / "other", "--out", place / "nothing")
    assert result.status == 2 and "are not those that" in result.err and len(result.err.splitlines()) == 1


def test_nothing_is_fitted_to_the_faces(run, place):
    """Measuring twice, with other networks in between, changes no weight on disk and no number."""
    before = {path: path.read_bytes() for path in run.glob("retrain/*/seed-*/*") if path.is_file()}
    once, again = (
        list(measure(RunLayout(run), place / "other", ["hat"], EvaluationProtocol(), ALONE)) for _ in range(2)
    )
    assert once == again and len(once) == 3
    assert before == {path: path.read_bytes() for path in run.glob("retrain/*/seed-*/*") if path.is_file()}


def test_labelled_images_are_no_faces_to_carry_over_to(dualfair, run, place):
    labelled_store_of(place / "labelled", labelled_manifest_of(), size=48)
    refused = dualfair("transfer", "--run", run, "--to", place / "labelled", "--out", place / "refused")
    assert (refused.status, (place / "refused").exists()) == (2, False)
    assert "labelled is of labelled images; 'dualfair transfer' is for faces: networks on other people" in refused.err
