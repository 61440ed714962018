"""`dualfair evaluate`: embeddings of any system, and retrained networks, measured and written down."""

import csv
import io
import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dualfair.evaluation.metrics.identification import error, gallery_split, ranks
from dualfair.evaluation.options import EvaluateOptions
from dualfair.evaluation.scoring.embedding import embed
from dualfair.runs.layout import TrainingLayout
from dualfair.runs.records.codec import encode
from dualfair.runs.records.training import TrainedOn
from dualfair.runs.standalone import describe_network
from dualfair.runs.training_spec import TrainingSpec
from dualfair.stages.evaluate import read_baseline
from dualfair.stages.faces import generate
from dualfair.supernet.files import write_json
from dualfair.supernet.images.splits import open_splits
from dualfair.supernet.images.store import open_store
from dualfair.supernet.images.synthetic.people import SyntheticFaces
from dualfair.supernet.network import build
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.training.checkpoint import load_checkpoint, save_checkpoint

FAST = ("--resamples", 50)


@pytest.fixture(scope="module")
def people():
    """24 people of three groups with 6 noisy embeddings each, group c the noisiest."""
    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b", "c"], 8)
    centres = rng.normal(size=(24, 16))
    spread = np.repeat([{"a": 0.5, "b": 0.8, "c": 1.2}[group] for group in groups], 6)
    embeddings = np.repeat(centres, 6, axis=0) + rng.normal(size=(144, 16)) * spread[:, None]
    identities = np.repeat([f"p{person:02d}" for person in range(24)], 6)
    return embeddings.astype(np.float32), identities, np.repeat(groups, 6)


@pytest.fixture
def files(people, tmp_path):
    embeddings, identities, groups = people
    np.save(tmp_path / "e.npy", embeddings)
    rows = "".join(f"{identity},{group},x\n" for identity, group in zip(identities, groups, strict=True))
    (tmp_path / "ids.csv").write_text("identity,group,same_for_all\n" + rows)
    return tmp_path


def measured(dualfair, files, *options):
    result = dualfair("evaluate", "--embeddings", files / "e.npy", "--identities", files / "ids.csv",
                      "--out", files / "out", *FAST, *options)  # fmt: skip
    assert result.status == 0, result.err
    return result, json.loads((files / "out/report.json").read_text(), parse_constant=pytest.fail)


def brute_ranks(embeddings, identities):
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = unit @ unit.T
    counts = []
    for probe in range(len(unit)):
        mates = [i for i in range(len(unit)) if i != probe and identities[i] == identities[probe]]
        nearest = max(cosines[probe, i] for i in mates)
        counts.append(sum(cosines[probe, i] >= nearest for i in range(len(unit)) if identities[i] != identities[probe]))
    return np.array(counts)


def test_numbers_in_the_report_are_those_of_a_double_loop(dualfair, files, people):
    embeddings, identities, groups = people
    _, report = measured(dualfair, files)
    ranks = brute_ranks(embeddings.astype(float), identities)
    identification = report["identification"]
    assert identification["all"]["error"]["value"] == pytest.approx(np.mean(ranks > 0))
    assert identification["all"]["error"]["n"] == 144 and report["gallery"]["identities"] == 24
    means = {}
    for group in "abc":
        means[group] = ranks[groups == group].mean()
        row = identification["groups"][group]
        assert row["mean_rank_by_images"]["value"] == pytest.approx(means[group])
        assert (row["identities"], row["probes"]) == (8, 48)
        assert row["cmc_by_identities"][0] == pytest.approx(1 - row["error"]["value"])
    literal = next(row for row in report["disparities"] if row["name"] == "rank_disparity")
    assert literal["value"] == pytest.approx(max(means.values()) - min(means.values()))
    assert literal["variant"] == "ranks by images, all against all"
    assert literal["groups"]["c"]["value"] == pytest.approx(means["c"]) and literal["groups"]["c"]["n"] == 48


def test_every_number_has_its_n_and_an_interval_that_holds_it(dualfair, files):
    _, report = measured(dualfair, files)
    numbers = [report["identification"]["all"]["error"], report["verification"]["eer"]]
    numbers += [row["error"] for row in report["identification"]["groups"].values()]
    numbers += [rate["all"]["dir"] for rate in report["open_set"]["rates"]]
    for number in numbers:
        assert number["n"] > 0
        interval = number["interval"]
        if interval["low"] is not None:
            assert interval["low"] <= number["value"] <= interval["high"]
    assert "95% bootstrap over people" in report["intervals"]
    verification = report["verification"]
    for row in verification["at_far"]:
        assert row["tar_interval"]["estimate"] == pytest.approx(row["tar"])
        assert row["far_interval"]["estimate"] == pytest.approx(row["far"])
        numbers = [number for rates in row["groups"].values() for number in rates.values()]
        assert len(numbers) == 3 * 4
        for number in (*numbers, *row["disparities"]):
            if number["value"] not in (None, "inf"):
                assert number["interval"]["estimate"] == pytest.approx(number["value"])


def test_tables_and_pictures_lie_beside_the_report(dualfair, files):
    _, report = measured(dualfair, files, "--gallery", 12)
    rows = list(csv.DictReader((files / "out/groups.csv").open()))
    error = next(row for row in rows if row["group"] == "c" and row["measure"] == "error")
    assert float(error["value"]) == report["identification"]["groups"]["c"]["error"]["value"] and error["n"] == "48"
    disparities = list(csv.DictReader((files / "out/disparities.csv").open()))
    assert {"rank_disparity", "ser", "fdr", "garbe", "eod"} <= {row["disparity"] for row in disparities}
    assert any("gallery of 12 identities, mean of 8" in row["variant"] for row in disparities)
    for name in ("cmc.png", "det.png", "groups.png"):
        with Image.open(files / "out" / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5


def test_tables_hold_the_whole_curve_and_what_minimax_and_std_acc_are(dualfair, files, people):
    result, report = measured(dualfair, files)
    rows = list(csv.DictReader((files / "out/groups.csv").open()))
    for name in ("all", "c"):
        curve = report["identification"]["groups"].get(name, report["identification"]["all"])["cmc_by_identities"]
        written = [row for row in rows if row["group"] == name and row["measure"].startswith("cmc_by_identities_at_")]
        assert [row["measure"].rpartition("_")[2] for row in written] == [str(k) for k in range(1, 21)]
        assert [float(row["value"]) for row in written] == curve and {row["n"] for row in written} == {
            "144" if name == "all" else "48"
        }
    curve = report["identification"]["all"]["cmc_by_identities"]
    line = next(line for line in result.out.splitlines() if line.startswith("all "))
    assert line.split()[-2:] == [f"{curve[4]:.3f}", f"{curve[19]:.3f}"]
    by_name = {row["name"]: row for row in report["disparities"]}
    errors = [row["error"]["value"] for row in report["identification"]["groups"].values()]
    assert by_name["worst_group_error"]["value"] == pytest.approx(max(errors))
    embeddings, identities, groups = people
    right = brute_ranks(embeddings.astype(float), identities) == 0
    names = {group: np.unique(identities[groups == group]) for group in "abc"}
    spreads = [np.std([right[identities == name].mean() for name in names[g]], ddof=1) for g in "abc"]
    row = by_name["std_acc"]
    assert row["value"] == pytest.approx(max(spreads) - min(spreads))
    assert row["variant"] == "spread over the people of a group"
    assert [(group["value"], group["n"]) for group in row["groups"].values()] == [
        (pytest.approx(spread), len(names[g])) for g, spread in zip("abc", spreads, strict=True)
    ]
    assert row["interval"]["low"] <= row["value"] <= row["interval"]["high"]


def test_verification_is_judged_at_the_rates_that_were_asked_for(dualfair, files):
    _, report = measured(dualfair, files, "--far", "0.05,0.3", "--metrics", "verification")
    points = report["verification"]["at_far"]
    assert [point["far_asked"] for point in points] == [0.05, 0.3] and points[0]["tar"] <= points[1]["tar"]
    assert all(point["far"] <= point["far_asked"] for point in points)
    rows = list(csv.DictReader((files / "out/disparities.csv").open()))
    assert {row["variant"] for row in rows} == {f"threshold of FAR {far:g} over all pairs" for far in (0.05, 0.3)}


@pytest.mark.parametrize("far", ["0.1,0.1", "0", "1", "", "0.1,x", "nan"])
def test_rates_that_are_none_are_refused(far):
    with pytest.raises(ValueError, match="far must be different numbers above 0 and below 1, joined by ',', got"):
        EvaluateOptions(far=far)


def test_pictures_of_an_earlier_evaluation_do_not_stay_beside_the_report_of_another_one(dualfair, files):
    measured(dualfair, files, "--resamples", 0)
    measured(dualfair, files, "--resamples", 0, "--metrics", "verification")
    assert {path.name for path in (files / "out").glob("*.png")} == {"det.png"}


def test_embeddings_are_judged_without_torch(dualfair, files, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "torch", None)
    measured(dualfair, files, "--metrics", "identification,disparity")


@pytest.mark.parametrize(
    "options", [(), ("--gallery", 12, "--galleries", 1), ("--resamples", 0, "--group", "same_for_all")]
)
def test_a_report_is_read_back_as_it_was_written(dualfair, files, options):
    measured(dualfair, files, *options)
    write_json(files / "again.json", encode(read_baseline(files / "out")))
    assert (files / "again.json").read_text() == (files / "out/report.json").read_text()


def test_only_the_metrics_asked_for_are_measured(dualfair, files):
    _, report = measured(dualfair, files, "--metrics", "open-set")
    assert "open_set" in report and not {"identification", "disparities", "verification"} & set(report)
    bad = dualfair("evaluate", "--embeddings", files / "e.npy", "--identities", files / "ids.csv", "--out", files / "o",
                   "--metrics", "everything")  # fmt: skip
    assert bad.status == 2 and "unknown metrics 'everything'; choose from all, identification" in bad.err


def test_without_two_groups_there_are_no_disparities_and_that_is_said(dualfair, files):
    result, report = measured(dualfair, files, "--group", "same_for_all")
    assert "no disparities: there are not two groups to compare" in result.out
    assert "disparities" not in report and report["identification"]["groups"] == {}
    assert report["verification"]["at_far"][0]["disparities"] == []


def test_enrolled_images_are_the_gallery_and_the_others_probes(dualfair, files, people):
    embeddings, identities, _ = people
    _, report = measured(dualfair, files, "--enrol", 2, "--seed", 3)
    gallery, probes = gallery_split(identities, images_per_identity=2, seed=3)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    wrong = [identities[gallery[np.argmax(unit[gallery] @ unit[probe])]] != identities[probe] for probe in probes]
    everyone = report["identification"]["all"]
    assert (everyone["probes"], report["gallery"]["images"]) == (24 * 4, 24 * 2)
    assert everyone["error"]["value"] == pytest.approx(np.mean(wrong))
    assert report["disparities"][0]["variant"] == "ranks by images, gallery of 48 images"


def test_ratios_to_a_reference_group_say_so_in_their_name(dualfair, files):
    _, report = measured(dualfair, files, "--reference", "c", "--metrics", "disparity")
    row = next(row for row in report["disparities"] if row["name"] == "rank_ratio_to_c")
    ranks_of = {group: number["value"] for group, number in row["groups"].items()}
    assert row["value"] == pytest.approx(max(abs(1 - ranks_of[group] / ranks_of["c"]) for group in "ab"))
    bad = dualfair("evaluate", *("--embeddings", files / "e.npy", "--identities", files / "ids.csv"),
                   "--out", files / "o", "--reference", "z", *FAST)  # fmt: skip
    assert bad.status == 2 and "reference group 'z' is none of a, b, c" in bad.err


def test_an_own_measure_stands_beside_the_built_in_ones(dualfair, files, monkeypatch):
    (files / "mine.py").write_text(
        "def worst(ranks, groups):\n    return max(ranks[groups == g].mean() for g in set(groups))\n"
    )
    monkeypatch.chdir(files)
    _, report = measured(dualfair, files, "--disparity", "mine:worst")
    own = next(row for row in report["disparities"] if row["name"] == "mine:worst")
    assert own["value"] == pytest.approx(max(g["value"] for g in own["groups"].values()))


def test_bpc_compares_with_a_baseline(dualfair, files):
    measured(dualfair, files)
    (files / "out").rename(files / "before")
    result, report = measured(dualfair, files, "--baseline", files / "before")
    assert {row["value"] for row in report["bpc"]} == {0.0, None}, "a system against itself; some ratio is infinite"
    place = f"against e of {files / 'before'}\n"
    assert f"bpc of rank_disparity (ranks by images, all against all) at FAR 0.01: 0.000 {place}" in result.out
    assert {row["baseline"] for row in report["bpc"]} == {f"e of {files / 'before'}"}
    fewer = (files / "before/report.json").read_text().replace('"identities": 24,', '"identities": 23,', 1)
    write_json(files / "fewer.json", json.loads(fewer))
    other = dualfair("evaluate", "--embeddings", files / "e.npy", "--identities", files / "ids.csv",
                     "--out", files / "o", "--baseline", files / "fewer.json", *FAST)  # fmt: skip
    assert other.status == 2 and "the baseline has identities 23, e has 24; evaluate both on the same" in other.err
    missing = dualfair("evaluate", "--embeddings", files / "e.npy", "--identities", files / "ids.csv",
                       "--out", files / "o", "--baseline", files / "nowhere", *FAST)  # fmt: skip
    assert (
        missing.status == 2 and "there is no baseline" in missing.err and "made by 'dualfair evaluate'" in missing.err
    )
    apart = dualfair("evaluate", "--embeddings", files / "e.npy", "--identities", files / "ids.csv",
                     "--out", files / "o", "--baseline", files / "before", "--far", "0.2", *FAST)  # fmt: skip
    assert apart.status == 2
    assert (
        "bpc compares at the same FAR, and the baseline has 0.001, 0.01, 0.1; name one of these by --far" in apart.err
    )
    (files / "before/report.json").write_text('{"name": 3}')
    damaged = dualfair("evaluate", "--embeddings", files / "e.npy", "--identities", files / "ids.csv",
                       "--out", files / "o", "--baseline", files / "before", *FAST)  # fmt: skip
    assert damaged.status == 2 and "report.json is damaged (name must be a str, got 3)" in damaged.err
    assert "worst_group_error" not in {row["disparity"] for row in report["bpc"]}


def test_fewer_folds_give_groups_of_few_people_impostors_of_their_own(dualfair, files):
    options = ("--metrics", "verification", "--within-group")
    refused, without = measured(dualfair, files, *options, "--folds", 8)
    assert "no verification" in refused.out and "take fewer pairs or folds" in refused.out
    assert "verification" not in without
    _, report = measured(dualfair, files, *options, "--folds", 4)
    verification = report["verification"]
    assert verification["folds"] == 4
    assert set(verification["accuracy_by_group"]["own_threshold"]["groups"]) == {"a", "b", "c"}


def test_two_groups_have_a_signed_difference_whose_interval_tells_whether_there_is_one(dualfair, tmp_path):
    rng = np.random.default_rng(2)
    groups = np.repeat(["loud", "quiet"], 120)
    people = np.repeat(rng.normal(size=(40, 8)), 6, axis=0)
    np.save(tmp_path / "e.npy", people + rng.normal(size=(240, 8)) * np.where(groups == "loud", 1.2, 0.6)[:, None])
    halves = np.resize(["odd", "even"], 40).repeat(6)
    rows = "".join(f"p{row // 6},{groups[row]},{halves[row]}\n" for row in range(240))
    (tmp_path / "ids.csv").write_text("identity,group,chance\n" + rows)

    _, report = measured(dualfair, tmp_path, "--metrics", "verification", "--within-group", "--resamples", 60)
    for rule in ("own_threshold", "shared_threshold"):
        rows = report["verification"]["accuracy_by_group"][rule]["groups"]
        assert set(rows) == {"loud", "quiet"}
        for row in rows.values():
            assert row["interval"]["estimate"] == pytest.approx(row["accuracy"])
            assert row["interval"]["low"] < row["accuracy"] < row["interval"]["high"]

    def signed(column):
        result, report = measured(dualfair, tmp_path, "--group", column, "--resamples", 60)
        row = next(row for row in report["disparities"] if row["name"] == "accuracy_disparity")
        assert abs(row["signed"]["value"]) == pytest.approx(row["value"])
        return row["signed"], result

    real, result = signed("group")
    assert real["of"] == "loud minus quiet" and real["interval"]["high"] < 0 and "loud minus quiet" in result.out
    chance, _ = signed("chance")
    assert chance["interval"]["low"] < 0 < chance["interval"]["high"]


@pytest.fixture
def lopsided(tmp_path):
    """Twelve people of group a, eight of b, and one of c."""
    rng = np.random.default_rng(1)
    groups = np.repeat(["a"] * 12 + ["b"] * 8 + ["c"], 6)
    np.save(tmp_path / "e.npy", np.repeat(rng.normal(size=(21, 8)), 6, axis=0) + rng.normal(size=(126, 8)))
    rows = "".join(f"p{row // 6},{group}\n" for row, group in enumerate(groups))
    (tmp_path / "ids.csv").write_text("identity,group\n" + rows)
    return tmp_path


def test_a_group_of_one_person_is_listed_and_not_compared(dualfair, lopsided):
    result, report = measured(dualfair, lopsided)
    assert "not compared, fewer than 5 people (--least-people): c" in result.out
    assert report["identification"]["groups"]["c"]["identities"] == 1
    for row in report["disparities"]:
        assert set(row["groups"]) == {"a", "b"}
        a, b = (row["groups"][group]["value"] for group in "ab")
        if row["name"] in ("rank_disparity", "accuracy_disparity"):
            assert row["value"] == pytest.approx(abs(a - b)) and row["signed"]["value"] == pytest.approx(a - b)
    assert report["gallery"]["identities"] == 21, "everybody stays in the gallery"
    assert set(report["verification"]["at_far"][0]["groups"]) == {"a", "b"}
    _, everyone = measured(dualfair, lopsided, "--least-people", 1, "--metrics", "disparity")
    assert set(everyone["disparities"][0]["groups"]) == {"a", "b", "c"}
    _, one_left = measured(dualfair, lopsided, "--least-people", 9)
    assert "disparities" not in one_left and set(one_left["identification"]["groups"]) == {"a", "b", "c"}


def test_a_group_without_probes_is_insufficient_and_never_zero(dualfair, tmp_path):
    rng = np.random.default_rng(1)
    np.save(tmp_path / "e.npy", rng.normal(size=(13, 4)))
    groups = ["a"] * 12 + ["b"]
    rows = "".join(f"p{row // 2},{group}\n" for row, group in enumerate(groups))
    (tmp_path / "ids.csv").write_text("identity,group\n" + rows)
    result, report = measured(dualfair, tmp_path, "--least-people", 1)
    assert "insufficient (n=0)" in result.out
    assert report["identification"]["groups"]["b"]["error"] == {"value": None, "n": 0, "interval": None}
    assert "undefined (n=0 in group 'b'; a group needs 2 probes)" in result.out
    table = (tmp_path / "out/groups.csv").read_text()
    assert "b,error,insufficient,0,," in table


TABLE = ("--embeddings", "e.npy", "--identities", "ids.csv")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name either --network with --faces, or --embeddings with --identities"),
        (("--embeddings", "e.npy"), "--embeddings needs --identities"),
        (("--network", "x"), "--network needs --faces"),
        (("--embeddings", "gone.npy", "--identities", "ids.csv"), "there is no file"),
        (("--embeddings", "ids.csv", "--identities", "ids.csv"), "is no .npy array of numbers"),
        (("--embeddings", "short.npy", "--identities", "ids.csv"), "has 144 rows for 2 embeddings"),
        (("--embeddings", "flat.npy", "--identities", "ids.csv"), "one number or more, got float64 (144, 0)"),
        (
            ("--embeddings", "e.npy", "--identities", "bare.csv"),
            "bare.csv: no column 'identity' in the first line, which is p0, a; expected a header such as identity,",
        ),
        ((*TABLE, "--group", "sex"), "unknown group column 'sex'; ids.csv has: group, same_for_all"),
        ((*TABLE, "--split", "test"), "has no column 'split'"),
        ((*TABLE, "--gallery", "many"), "gallery must be 'all' or a number"),
        ((*TABLE, "--folds", 1), "folds must be 2 or more, one to judge and one to learn from, got 1"),
        ((*TABLE, "--interval", "wide"), "interval must be one of percentile, bca"),
    ],
)
def test_a_mistake_gets_one_line(dualfair, files, monkeypatch, words, message):
    monkeypatch.chdir(files)
    np.save("short.npy", np.ones((2, 3)))
    np.save("flat.npy", np.ones((144, 0)))
    Path("bare.csv").write_text("p0,a\n" * 145)
    result = dualfair("evaluate", *words, "--out", "out", *FAST)
    assert result.status == 2 and message in result.err and "Traceback" not in result.err


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated") / "faces"
    return generate(SyntheticFaces(identities=40, images=4, size=32), folder)


@pytest.fixture
def networks(generated, tmp_path, about):
    """Two untrained networks with two seeds each, in folders as retraining leaves them."""
    skeleton = skeleton_of("nano").resized(32)
    trained_on = TrainedOn(generated.fingerprint, "group", "0.4,0.2,0.4", 0)
    folders = []
    for genotype in ("101:cosface", "636:arcface"):
        for seed in (0, 1):
            torch.manual_seed(seed)
            network = build(genotype, skeleton, 5)
            folder = tmp_path / f"{genotype[:3]}-{seed}"
            save_checkpoint(folder, {"network": network.state_dict()}, **about(3, 3))
            training = TrainingSpec(network.genotype, (), seed)
            describe_network(training, skeleton, 5, trained_on).write(TrainingLayout(folder).description)
            folders.append(folder)
    return folders


def test_a_network_is_judged_on_people_that_it_was_not_trained_on(dualfair, generated, networks, tmp_path):
    result = dualfair("evaluate", "--network", networks[0], "--faces", generated.folder, "--out", tmp_path / "o", *FAST)
    assert result.status == 0, result.err
    report = json.loads((tmp_path / "o/report.json").read_text())
    assert report["name"] == "101-101-101-101:cosface" and report["identities"] == 16
    assert "the test people of" in result.out
    splits = open_splits(generated, group_column="group", fractions=(0.4, 0.2, 0.4), seed=0, size=32)
    network = build("101:cosface", skeleton_of("nano").resized(32), 5)
    network.load_state_dict(load_checkpoint(networks[0] / "step-00000003.pt")["network"])
    expected = error(ranks(embed(network.eval(), splits["test"]), splits["test"].identities))
    assert report["identification"]["all"]["error"]["value"] == pytest.approx(expected)
    everyone = dualfair("evaluate", "--network", networks[0], "--faces", generated.folder,
                        "--split", "all", "--metrics", "identification", "--out", tmp_path / "o", *FAST)  # fmt: skip
    assert "160 images of 40 people" in everyone.out and "its numbers are too good" in everyone.out


def test_the_test_people_are_those_of_training_whatever_the_groups_are(dualfair, generated, networks, tmp_path):
    # Another column divides people otherwise; who was trained on does not depend on it.
    lines = (generated.folder / "manifest.csv").read_text().splitlines()
    people = sorted({line.split(",")[1] for line in lines[1:]})
    halves = {person: "odd" if place % 4 else "even" for place, person in enumerate(people)}
    folder = tmp_path / "faces"
    shutil.copytree(generated.folder, folder)
    rows = [f"{lines[0]},half", *(f"{line},{halves[line.split(',')[1]]}" for line in lines[1:])]
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    fingerprint = open_store(folder).fingerprint
    about = json.loads((networks[0] / "network.json").read_text())
    about["trained_on"]["faces_fingerprint"] = fingerprint
    (networks[0] / "network.json").write_text(json.dumps(about))
    judged = {}
    for column in ("group", "half"):
        words = ("--network", networks[0], "--faces", folder, "--group", column, "--metrics", "identification")
        result = dualfair("evaluate", *words, "--out", tmp_path / column, *FAST)
        assert result.status == 0, result.err
        judged[column] = json.loads((tmp_path / column / "report.json").read_text())["identification"]
    assert judged["group"]["all"]["error"]["value"] == judged["half"]["all"]["error"]["value"]
    test = open_splits(open_store(folder), group_column="group", fractions=(0.4, 0.2, 0.4), seed=0, size=32)["test"]
    tested = {halves[person] for person in test.identities.tolist()}
    assert set(judged["half"]["groups"]) == tested == {"odd", "even"}


def test_a_network_that_is_not_there_is_named(dualfair, generated, tmp_path):
    words = ("--network", tmp_path / "exported", "--faces", generated.folder, "--out", tmp_path / "o")
    missing = dualfair("evaluate", *words)
    assert missing.status == 2 and f"there is no folder {tmp_path / 'exported'}; name one" in missing.err


def test_several_networks_stand_in_one_table(dualfair, generated, networks, tmp_path):
    words = [word for folder in networks for word in ("--network", folder)]
    result = dualfair("evaluate", *words, "--faces", generated.folder, "--out", tmp_path / "o",
                      "--gallery", 8, "--galleries", 2, "--metrics", "disparity", "--resamples", 0)  # fmt: skip
    assert result.status == 0, result.err
    rows = list(csv.DictReader((tmp_path / "o/networks.csv").open()))
    assert [(row["network"][:3], row["training_seed"]) for row in rows] == [
        (g, s) for g in ("101", "636") for s in "01"
    ]


def test_one_network_of_several_runs_has_a_report_and_a_row_of_its_own_by_its_place(
    dualfair, generated, networks, tmp_path
):
    # The last two places are one name once their "/" and ":" are gone.
    places = [tmp_path / "a/run/N", tmp_path / "b/run/N", tmp_path / "b:run/N", networks[2]]
    for place in places[:3]:
        shutil.copytree(networks[0], place)
    words = [word for folder in places for word in ("--network", folder)]
    words += ["--faces", generated.folder, "--metrics", "identification", "--resamples", 0]
    result = dualfair("evaluate", *words, "--out", tmp_path / "o")
    assert result.status == 0, result.err
    rows = [row["network"] for row in csv.DictReader((tmp_path / "o/networks.csv").open())]
    reports = [json.loads(path.read_text())["name"] for path in (tmp_path / "o").glob("*/report.json")]
    label = "101-101-101-101:cosface"
    assert len(set(rows)) == 4 and sorted(reports) == sorted(rows)
    assert [row.startswith(f"{label} of ") for row in rows] == [True, True, True, False]
    assert rows[0].endswith("a/run/N") and rows[1].endswith("b/run/N") and rows[2].endswith("b:run/N")
    again = dualfair("evaluate", *words, "--network", tmp_path / "a/../a/run/N", "--out", tmp_path / "o2")
    assert again.status == 2 and "a/run/N is given twice; give each once" in again.err
    assert not (tmp_path / "o2").exists()


def test_an_own_ratio_to_a_reference_group_takes_no_row_of_a_built_in_one(dualfair, files, monkeypatch):
    (files / "ratios.py").write_text(
        "from dataclasses import replace\nfrom dualfair.evaluation.metrics.disparity import DISPARITIES, Disparity\n"
        "row = DISPARITIES['rank_ratio']\nmine = replace(row, statistic=lambda values: values.mean() + 1)\n"
    )
    monkeypatch.chdir(files)
    _, report = measured(dualfair, files, "--disparity", "ratios:mine", "--reference", "c", "--metrics", "disparity")
    rows = {row["name"]: row["value"] for row in report["disparities"]}
    assert rows["ratios:mine_to_c"] != rows["rank_ratio_to_c"]
    assert rows["ratios:mine_to_c"] != rows["ratios:mine"]


def test_a_verification_set_is_read_from_its_own_file(dualfair, generated, networks, tmp_path):
    encoded = []
    for row in (0, 0, 0, 8, 4, 4, 4, 12) * 5:
        buffer = io.BytesIO()
        Image.fromarray(generated.pixels[row]).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    file = tmp_path / "set.bin"
    file.write_bytes(pickle.dumps((encoded, [True, False] * 10)))
    result = dualfair("evaluate", "--network", networks[0], "--faces", generated.folder, "--pairs", file,
                      "--metrics", "verification", "--out", tmp_path / "o", *FAST)  # fmt: skip
    assert result.status == 0, result.err
    verification = json.loads((tmp_path / "o/report.json").read_text())["verification"]
    assert (verification["pairs"], verification["genuine"], verification["folds"]) == (20, 10, 10)
    assert "accuracy_by_group" not in verification, "the file names no groups"
    assert verification["accuracy"]["accuracy"] == 1.0, "the genuine pairs are twice the same picture"


def test_sets_of_pairs_stand_in_one_table(dualfair, generated, networks, tmp_path):
    rows_of = {"lfw": (0, 0, 0, 8, 4, 4, 4, 12) * 5, "agedb": (0, 1, 0, 8, 4, 5, 4, 12) * 4}
    for name, rows in rows_of.items():
        encoded = []
        for row in rows:
            buffer = io.BytesIO()
            Image.fromarray(generated.pixels[row]).save(buffer, "PNG")
            encoded.append(buffer.getvalue())
        (tmp_path / f"{name}.bin").write_bytes(pickle.dumps((encoded, [True, False] * (len(rows) // 4))))
    sets = [word for name in rows_of for word in ("--pair-set", tmp_path / f"{name}.bin")]
    words = ("evaluate", "--network", networks[0], "--network", networks[1], *sets, "--resamples", 20, "--far", "0.1")
    result = dualfair(*words, "--out", tmp_path / "o")
    assert result.status == 0, result.err
    with open(tmp_path / "o/pair_sets.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["set"] for row in rows] == ["lfw", "agedb", "mean"] * 2
    assert [row["pairs"] for row in rows[:3]] == ["20", "16", ""] and "TAR at FAR 0.1" in rows[0]
    for first, second, mean in (rows[:3], rows[3:]):
        assert float(first["accuracy"]) == 1.0, "the genuine pairs are twice the same picture"
        assert float(mean["accuracy"]) == pytest.approx((1 + float(second["accuracy"])) / 2)
    # One set alone is what the whole report has of it.
    alone = dualfair("evaluate", "--network", networks[0], "--faces", generated.folder, "--pairs",
                     tmp_path / "agedb.bin", "--metrics", "verification", "--out", tmp_path / "r", *FAST)  # fmt: skip
    assert alone.status == 0, alone.err
    verification = json.loads((tmp_path / "r/report.json").read_text())["verification"]
    assert verification["accuracy"]["accuracy"] == pytest.approx(float(rows[1]["accuracy"]))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--faces", "f"), "--pair-set goes without --faces: such sets know pairs only"),
        (("--group", "g"), "--pair-set goes without --group"),
        (("--least-people", "3"), "--pair-set goes without --least-people: such sets know pairs only"),
        (("--pair-set", "{}/a.bin"), "two sets are called 'a'; give each file a name of its own"),
    ],
)
def test_sets_of_pairs_that_cannot_be_are_refused(dualfair, networks, tmp_path, words, line):
    words = [word.format(tmp_path) for word in words]
    given = ("evaluate", "--network", networks[0], "--pair-set", tmp_path / "a.bin", *words)
    result = dualfair(*given, "--out", tmp_path / "o")
    assert result.status == 2 and line in result.err, result.err


def test_pairs_whose_people_are_known_within_a_pair_only_are_verified_and_nothing_else(
    dualfair, generated, networks, tmp_path
):
    encoded = []
    for row in (0, 0, 0, 8, 4, 4, 4, 12) * 5:
        buffer = io.BytesIO()
        Image.fromarray(generated.pixels[row]).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    (tmp_path / "set.bin").write_bytes(pickle.dumps((encoded, [True, False] * 10)))
    faces = tmp_path / "my faces"
    made = dualfair("faces", "import", "bin", tmp_path / "set.bin", "--out", faces, "--size", generated.size)
    assert made.status == 0, made.err
    assert made.out.splitlines()[-1] == (
        f"Next: dualfair faces check '{faces}', then dualfair evaluate --network NETWORK --faces '{faces}' --out result"
    )
    result = dualfair("evaluate", "--network", networks[0], "--faces", faces, "--out", tmp_path / "o", *FAST)
    assert result.status == 0, result.err
    report = json.loads((tmp_path / "o/report.json").read_text())
    assert "identification" not in report and "open_set" not in report and report["verification"]["pairs"] == 20
    assert report["verification"]["accuracy"]["accuracy"] == 1.0
    assert (
        "not measured, as people are known within a pair only: identification, disparity, open-set" in report["notes"]
    )
    refused = f"Error: {faces} holds pairs whose people are known within a pair only"
    assert refused in dualfair("train", "--faces", faces, "--out", tmp_path / "run").err
    (faces / "pairs.csv").unlink()
    assert refused in dualfair("evaluate", "--network", networks[0], "--faces", faces, "--out", tmp_path / "p").err


def test_a_network_that_is_not_there_or_does_not_fit_gets_one_line(dualfair, generated, networks, tmp_path, about):
    def refused(network):
        result = dualfair("evaluate", "--network", network, "--faces", generated.folder, "--out", tmp_path / "o", *FAST)
        assert result.status == 2 and "Traceback" not in result.err
        return result.err

    assert "holds no trained network (network.json is not there)" in refused(tmp_path)
    description = networks[0] / "network.json"
    description.write_text(description.read_text().replace("101-101", "252-252"))
    assert "does not fit the network of its folder: Error(s) in loading state_dict" in refused(networks[0])
    description.write_text("{")
    assert "is damaged" in refused(networks[0])
    (networks[1] / "step-00000003.pt").unlink()
    assert "has no intact checkpoint" in refused(networks[1])
    state = load_checkpoint(networks[2] / "step-00000003.pt")
    save_checkpoint(networks[2], state, **about(3, 9))
    assert "is at step 3 of 9" in refused(networks[2])


def test_probes_of_a_column_are_looked_for_among_all_others(dualfair, tmp_path):
    """As TinyFace has it: a mate of a probe may be any of its images in the gallery, and distractors are nobody's."""
    rng = np.random.default_rng(0)
    part = np.repeat(["probe", "gallery", "distractor"], [30, 40, 60])
    people = np.concatenate([np.arange(30) % 15, np.arange(40) % 20, 1000 + np.arange(60)])
    centres = rng.normal(size=(1100, 8))
    embeddings = centres[people] + rng.normal(0, 0.9, (130, 8))
    np.save(tmp_path / "e.npy", embeddings.astype(np.float32))
    table = "".join(f"{who},{what}\n" for who, what in zip(people, part, strict=True))
    (tmp_path / "i.csv").write_text("identity,part\n" + table)
    words = ("evaluate", "--embeddings", tmp_path / "e.npy", "--identities", tmp_path / "i.csv", "--resamples", 0)
    words += ("--metrics", "identification", "--out", tmp_path / "o")
    result = dualfair(*words, "--probes", "part=probe")
    assert result.status == 0, result.err
    report = json.loads((tmp_path / "o/report.json").read_text())
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = unit[:30] @ unit[30:].T
    order = np.argsort(-cosines, axis=1)
    hits = people[30:][order] == people[:30, None]
    everyone = report["identification"]["all"]
    for k in (1, 5, 20):
        assert everyone["cmc_by_images"][k - 1] == pytest.approx(hits[:, :k].any(axis=1).mean())
    assert everyone["error"]["value"] == pytest.approx(1 - hits[:, 0].mean()) and 0 < hits[:, 0].mean() < 1
    assert (everyone["probes"], report["gallery"]["images"]) == (30, 100)
    assert report["gallery"]["enrolled images of each person"] == "all but part=probe"
    shown = [f"{everyone['cmc_by_images'][k - 1]:.3f}" for k in (5, 20)]
    assert all(value in result.out for value in shown)
    for probes, line in (
        ("part", "probes must be COLUMN=VALUE, without enrol, got 'part' and enrol 0"),
        ("role=probe", "probes: there is no column 'role'; there are identity, part"),
        ("part=probes", "probes: none of the 130 images have 'part=probes'; some have to be looked for"),
    ):
        refused = dualfair(*words, "--probes", probes)
        assert refused.status == 2 and line in refused.err, refused.err
    both = dualfair(*words, "--probes", "part=probe", "--enrol", 1)
    assert both.status == 2 and "without enrol, got 'part=probe' and enrol 1" in both.err
