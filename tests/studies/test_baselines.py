"""Searched networks against backbones: the numbers of the study, its words, and the command."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.stats import pearsonr, spearmanr

from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import ProtocolOptions
from dualfair.runs.records.study import StudyReport
from dualfair.runs.records.training import RetrainConfig
from dualfair.studies.baselines import BaselineStudy, study
from dualfair.supernet.training.recipe import Recipe
from tests.support.records import save_result, scores, training_result

LABELS = ["101:cosface", "101:arcface,lr=0.05", "680:magface", "timm.a:cosface", "timm.b:cosface,lr=0.05"]


def study_of(values, resamples=100):
    """The study of trainings: `values[label]` are (error, disparity) of every seed, on validation and test people."""
    results = []
    for label, rows in values.items():
        for seed, pairs in enumerate(rows):
            validation, test = (scores(error, disparity, own=disparity) for error, disparity in pairs)
            results.append(training_result(label, seed, validation=validation, test=test))
    return study(results, resamples=resamples)


def scattered(labels, seeds=4):
    rng = np.random.default_rng(0)
    return {
        label: [((n + d, n + e), (n + e, 9 - n + d)) for d, e in 0.1 * rng.random((seeds, 2))]
        for n, label in enumerate(labels)
    }


def said_of(report):
    return "\n".join(report.sentences())


def test_the_study_takes_our_front_from_validation_people_and_judges_it_on_test_people():
    """By validation people 101:cosface alone is our front; on test people all networks trade error for disparity."""
    report = study_of(scattered(LABELS))
    assert report.measures == ("error", "rank_disparity", "own")
    assert report.against["rank_disparity"].our_front == ("101:cosface",) and report.against[
        "rank_disparity"
    ].fewest_seeds == (4, 4)
    assert [network.network for network in report.networks] == LABELS
    assert report.fronts["rank_disparity"] == tuple(LABELS)
    said = said_of(replace(report, damaged=("x: damaged",)))
    assert "on test people the hypervolume of our front (101:cosface) is" in said and "at least 4 and 4 seeds" in said
    assert said.endswith("x: damaged") and "attention" not in said


def test_networks_trained_for_other_epochs_are_pointed_out():
    longer = {
        f"{label},epochs=3" if label == "680:magface" else label: rows for label, rows in scattered(LABELS).items()
    }
    said = said_of(study_of(longer))
    assert "attention: 1 of them were trained for other numbers of epochs" in said


def test_the_correlation_is_spearmans_and_the_better_half_is_chosen_on_validation_people():
    report = study_of(scattered(LABELS), resamples=50)
    correlations = report.correlations["rank_disparity"]
    means = [(network.mean("test", "error"), network.mean("test", "rank_disparity")) for network in report.networks]
    assert correlations["all"].value == pytest.approx(spearmanr(*zip(*means, strict=True)).statistic)
    assert correlations["all"].n == 5
    assert correlations["better half in error"].n == 3 and correlations["baselines"].value is None


def test_every_measure_has_both_correlations_and_a_front_also_below_an_error():
    """Networks of error 0.05 to 0.45; the ratio rises with error squared, std_acc falls."""
    rng, results = np.random.default_rng(0), []
    labels = [f"{code}0{code}:cosface" for code in range(7)] + ["timm.a:cosface", "timm.b:cosface"]
    for place, label in enumerate(labels):
        for seed in range(2):
            error = 0.05 * (place + 1) + 0.001 * rng.random()
            further = {split: {"rank_ratio": error**2, "std_acc": 1 - error} for split in ("validation", "test")}
            results.append(training_result(label, seed, on_both=scores(error, rng.random()), further=further))
    report = study(results, resamples=50)
    assert report.measures == ("error", "rank_disparity") and report.further == ("rank_ratio", "std_acc")
    errors = [network.mean("test", "error") for network in report.networks]
    for name in ("rank_disparity", "rank_ratio"):
        values = [network.mean("test", name) for network in report.networks]
        assert report.linear[name]["all"].value == pytest.approx(pearsonr(errors, values).statistic)
        assert report.linear[name]["all"].interval is not None
        below = report.linear[name]["error below 0.3"]
        assert below.n == 5 and below.value == pytest.approx(pearsonr(errors[:5], values[:5]).statistic)
    assert report.correlations["rank_ratio"]["all"].value == 1 > report.linear["rank_ratio"]["all"].value
    assert report.fronts["rank_ratio"] == (labels[0],) and report.fronts["std_acc"] == tuple(labels)
    assert [*report.against] == ["rank_disparity"]
    rows = report.table_by_measure().records()
    assert [row["measure"] for row in rows[::2]] == ["rank disparity", "rank ratio", "std acc"]
    assert [row["networks"] for row in rows[:2]] == ["all", "error below 0.3"]
    assert rows[2]["front"] == labels[0] and rows[3]["front"] is None
    assert "test rank ratio" in report.table(further=True).records()[0]
    assert "test rank ratio" not in report.table().records()[0]
    assert BaselineStudy.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_bpc_is_against_a_named_network_and_has_a_front():
    pairs = {"101:cosface": (0.2, 0.5), "680:magface": (0.6, 0.1), "timm.a:cosface": (0.2, 1.0)}
    results = []
    for label, (error, disparity) in pairs.items():
        for seed, spread in enumerate((-0.1, 0.1)):
            each = scores(error + spread, disparity + spread)
            results.append(training_result(label, seed, on_both=each))
    report = study(results, baseline="timm.a:cosface", resamples=20)
    assert report.further == ("negative_bpc",)
    means = {network.network: network.mean("test", "negative_bpc") for network in report.networks}
    # Half of the disparity went and no accuracy; nine tenths of it went, and half of the accuracy.
    assert means == pytest.approx({"101:cosface": -0.5, "680:magface": 0.5 - 0.9, "timm.a:cosface": 0.0}, abs=1e-9)
    assert report.fronts["negative_bpc"] == ("101:cosface",)
    assert "negative bpc: the share of accuracy that went, less that of rank disparity, against timm" in said_of(report)
    assert BaselineStudy.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert "bpc" not in said_of(study(results, resamples=20))
    with pytest.raises(ValueError, match=r"baseline '101' is none of the trained networks: 101:cosface, 680"):
        study(results, baseline="101", resamples=20)
    with pytest.raises(
        ValueError, match=r"bpc needs a disparity of 0 or more of every network, which own is not; leave"
    ):
        study(results, baseline="timm.a:cosface", disparity="own", resamples=20)
    undefined = [training_result("101:cosface", 0, on_both=scores(0.2, float("inf"))), *results]
    undefined = study(undefined[:1] + results[2:], baseline="timm.a:cosface", resamples=20)
    assert undefined.fronts["negative_bpc"] == ("timm.a:cosface", "680:magface")


def test_trainings_from_before_have_no_further_measures():
    further = {split: {"std_acc": 0.1} for split in ("validation", "test")}
    results = [training_result("101:cosface", further=further), training_result("timm.a:cosface")]
    assert study(results, resamples=10).further == ()


@pytest.mark.parametrize(("ours", "verdict"), [((0.1, 0.1), "larger"), ((0.9, 0.95), "smaller")])
def test_a_front_that_is_apart_is_said_to_be_so(ours, verdict):
    values = {"101:cosface": ours, "timm.a:cosface": (0.5, 0.4), "timm.b:cosface": (0.3, 0.9)}
    report = study_of(
        {label: [((e + s / 100, d), (e + s / 100, d + s / 100)) for s in range(4)] for label, (e, d) in values.items()}
    )
    comparison = report.against["rank_disparity"]
    low, high = comparison.volumes.interval
    assert low < comparison.volumes.difference < high and low * high > 0
    assert comparison.volumes.hypervolume[0] - comparison.volumes.hypervolume[1] == pytest.approx(
        comparison.volumes.difference
    )
    assert f"our front (101:cosface) is {verdict}: " in said_of(report)


def test_a_network_trained_once_gives_no_interval():
    report = study_of({"101:cosface": [((0.1, 0.1), (0.1, 0.1))], "timm.a:cosface": [((0.5, 0.4), (0.5, 0.4))] * 3})
    assert report.against[
        "rank_disparity"
    ].volumes.interval is None and "cannot be told, a network was trained but once" in said_of(report)


def test_values_that_are_not_finite_are_undefined_and_left_out():
    values = scattered(LABELS)
    values["timm.a:cosface"][0] = ((0.1, 0.1), (0.1, float("nan")))
    report = study_of(values, resamples=20)
    row = next(row for row in report.networks if row.network == "timm.a:cosface")
    assert np.isnan(row.mean("test", "rank_disparity")) and row.standard_error("test", "rank_disparity") is None
    assert report.against["rank_disparity"].left_out == ("timm.a:cosface",)
    assert "timm.a:cosface" not in report.fronts["rank_disparity"]
    said = said_of(report)
    assert "left out, values not finite: timm.a:cosface" in said and "undefined" in said
    [cells] = [row for row in report.table().records() if row["network"] == "timm.a:cosface"]
    assert cells["test rank disparity"] is None and cells["validation rank disparity"] is not None


def test_a_run_of_ours_alone_has_nothing_to_compare():
    report = study_of(scattered(LABELS[:3]), resamples=20)
    assert report.against["rank_disparity"] is None
    assert "rank disparity: nothing to compare" in said_of(report)


def test_the_study_reads_back_as_it_was_written():
    report = study_of(scattered(LABELS), resamples=20)
    assert BaselineStudy.from_json(json.loads(json.dumps(report.to_json()))) == report


@pytest.fixture
def run(tmp_path):
    """A run that was never searched, with a network of two recipes and a backbone of two seeds."""
    directory = RunDirectory(tmp_path / "run")
    directory.claim(
        directory.layout.retrain, RetrainConfig(recipe=Recipe(), protocol=ProtocolOptions(), weights="digest")
    )
    rng = np.random.default_rng(1)
    for label, seeds in (("101:cosface", 1), ("101:cosface,lr=0.05", 1), ("timm.a:cosface", 2)):
        for seed in range(seeds):
            validation, test = (scores(*rng.random(2), own=rng.random()) for _ in range(2))
            save_result(directory.path, training_result(label, seed, validation=validation, test=test))
    return directory.path


def test_the_command_studies_draws_and_says(dualfair, run):
    result = dualfair("shelf", "--run", run, "--resamples", 50)
    assert result.status == 0, result.err
    assert "2 searched networks and 1 backbone with a head, judged alike" in result.out
    assert "cannot be told, a network was trained but once" in result.out
    report = BaselineStudy.read(run / "studies/baselines/baselines.json")
    assert report.measures == ("error", "rank_disparity", "own")
    with open(run / "studies/baselines/baselines.csv") as file:
        rows = {row["network"]: row for row in csv.DictReader(file)}
    errors = [
        json.loads(path.read_text())["test"]["error"] for path in run.glob("retrain/timm.a_cosface/*/result.json")
    ]
    assert float(rows["timm.a:cosface"]["test error"]) == pytest.approx(np.mean(errors))
    assert float(rows["timm.a:cosface"]["test error SE"]) == pytest.approx(abs(errors[0] - errors[1]) / 2)
    shown = StudyReport.read(run / "studies/baselines/study.json")
    assert all(line in result.out for line in shown.tables[0].lines()) and shown.figures[0].file == "baselines.png"
    with Image.open(run / "studies/baselines/baselines.png") as picture:
        assert min(picture.size) > 300


def test_a_damaged_result_is_told_and_left_out(dualfair, run):
    (run / "retrain/101_cosface/seed-0/result.json").write_text("{")
    result = dualfair("shelf", "--run", run, "--resamples", 20)
    assert result.status == 0 and "1 searched network and 1 backbone" in result.out
    [damaged] = BaselineStudy.read(run / "studies/baselines/baselines.json").damaged
    assert "101_cosface/seed-0/result.json is damaged" in damaged and damaged in result.out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--resamples", 0), "resamples must be 1 or more, got 0"),
        (("--baseline", "timm.b:cosface"), "baseline 'timm.b:cosface' is none of the trained networks: "),
        ((), "has no retrained networks"),
    ],
)
def test_what_cannot_be_studied_is_refused_in_one_line(dualfair, run, words, text):
    if not words:
        for path in run.glob("retrain/*/*/result.json"):
            path.unlink()
    result = dualfair("shelf", "--run", run, *words)
    assert result.status == 2 and text in result.err and result.err.count("\n") == 1
