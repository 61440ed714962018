"""A search whose objectives are predicted by standalone trainings: of a run whose truth follows a rule."""

import csv
import html
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from dualfair.evaluation.cost import macs
from dualfair.evaluation.network_features import network_features, with_inherited
from dualfair.evaluation.objectives import OBJECTIVES
from dualfair.evaluation.ranking_study import PredictedScore
from dualfair.evaluation.statistics.prediction import Regression
from dualfair.evaluation.statistics.ranking import Estimate, correlation
from dualfair.runs.records.prediction import ObjectiveTrainings, Predictor
from dualfair.runs.records.search import Front, SearchConfig
from dualfair.stages.prediction import Predictions
from dualfair.stages.retrain import random_networks
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.space import dpn_space
from tests.support.records import save_result, scores, training_result

NANO, SPACE = skeleton_of("nano").resized(32), dpn_space("dpn81")
SEARCH = ("--population", 8, "--generations", 3, "--calibrate", 32, "--objectives", "error,macs")
SHORT = (
    "--population",
    10,
    "--generations",
    1,
    "--confirm-candidates",
    0,
    "--calibrate",
    32,
    "--objectives",
    "error,macs",
)


def true_error(genotype):
    """Networks with many 5x5 convolutions are good, whatever a supernet of half an epoch says."""
    codes = [code for block in genotype.blocks for code in block]
    return 0.6 * 0.8 ** sum(code in (2, 5, 8) for code in codes)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("predicted")


@pytest.fixture
def run(dualfair, place):
    """A supernet that was hardly trained, and 16 random networks that were trained twice."""
    run = place / "run"
    if not run.exists():
        faces = dualfair("faces", "synth", "--out", place / "faces", "--identities", 40, "--images", 4, "--size", 32)
        assert faces.status == 0, faces.err
        quick = ("--epochs", 0.5, "--batch", 16, "--size", 32)
        assert dualfair("train", "--faces", place / "faces", "--out", run, *quick).status == 0
        for genotype in random_networks(SPACE, 16, 0):
            for seed in (0, 1):
                error = true_error(genotype) + 0.002 * seed
                save_result(run, training_result(str(genotype), seed, on_both=scores(error)))
    return run


def copied(place, name, **changed):
    """A run directory with the same supernet, whose configuration says something else."""
    other = place / name
    shutil.copytree(place / "run/train", other / "train")
    config = other / "train/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changed))
    return other


def table_of(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_a_search_goes_by_predictions_that_rank_better(dualfair, run):
    result = dualfair("search", "--run", run, "--predictor", run, *SEARCH)
    assert result.status == 0, result.err
    assert "error predicted: 16 networks x 2 seeds, each by the others: tau " in result.out
    predictor = Predictor.read(run / "search/predictor.json")
    assert predictor.used == ("error",) and predictor.objectives["error"].score.better
    assert SearchConfig.read(run / "search/config.json").predictor == predictor.digest
    assert np.allclose(predictor.objectives["error"].standalone, [true_error(g) + 0.001 for g in predictor.networks])
    rows = table_of(run / "search/scores.csv")
    assert len(rows) == 24
    genotypes = [SPACE.parse(row["genotype"]) for row in rows]
    regression = Regression.fit(
        with_inherited(predictor.objectives["error"].inherited, network_features(predictor.networks, SPACE, NANO)),
        predictor.objectives["error"].standalone,
    )
    inherited = np.array([float(row["error, inherited"]) for row in rows])
    expected = regression.predict(with_inherited(inherited, network_features(genotypes, SPACE, NANO)))
    np.testing.assert_allclose([float(row["error"]) for row in rows], expected.value, rtol=1e-9)
    assert [float(row["macs"]) for row in rows] == [macs(genotype, NANO) for genotype in genotypes]
    tau = np.corrcoef([true_error(genotype) for genotype in genotypes], expected.value)[0, 1]
    assert tau > 0.8 > abs(np.corrcoef([true_error(genotype) for genotype in genotypes], inherited)[0, 1])


def test_fresh_people_confirm_predictions_with_what_a_training_would_show(run):
    """Intervals of predictions are of networks, not of people: far wider here than those of a bootstrap."""
    front = Front.read(run / "search/front.json")
    predictor = Predictor.read(run / "search/predictor.json")
    regression = Regression.fit(
        with_inherited(predictor.objectives["error"].inherited, network_features(predictor.networks, SPACE, NANO)),
        predictor.objectives["error"].standalone,
    )
    assert front.confirmation
    for network in front.networks:
        low, value, high = (network.confirmed[name] for name in ("error low", "error", "error high"))
        assert low < value < high and value / low == pytest.approx(high / value)
        features = network_features([network.genotype], SPACE, NANO)
        deviations = [regression.predict(with_inherited([score], features)).value[0] for score in (0.0, 1.0)]
        assert min(deviations) <= value <= max(deviations)


def test_nothing_is_predicted_beyond_the_range_of_an_objective():
    networks = tuple(random_networks(SPACE, 12, 0))
    standalone = tuple(0.9 + 0.008 * number for number in range(12))
    inherited = tuple(0.5 + 0.01 * number for number in range(12))
    ranked = replace(correlation(inherited, standalone, resamples=10), interval=(0.5, 1.0))
    better = PredictedScore(ranked, Estimate(12, 0.1, (0.05, 0.2), "BCa"))
    predictor = Predictor(networks, 1, {"error": ObjectiveTrainings(inherited, standalone, better)})
    predictions = Predictions(predictor, SPACE, NANO, [OBJECTIVES["error"]])
    far = predictions(networks[:2], {"error": np.array([5.0, np.nan])})["error"]
    assert far.value[0] == far.high[0] == 1 and 0 < far.low[0] <= 1 and np.isnan(far.value[1])


def test_the_same_command_again_scores_nothing_and_ends_the_same(dualfair, run):
    before = (run / "search/front.json").read_bytes()
    again = dualfair("search", "--run", run, "--predictor", run, *SEARCH)
    assert again.status == 0 and "24 genotypes, 24 of them known before" in again.out
    assert (run / "search/front.json").read_bytes() == before


def test_what_is_retrained_is_chosen_by_predictions(dualfair, run):
    """Without people to confirm a front the search's own is chosen from; controls are spaced in predictions too."""
    from dualfair.runs.options import RetrainOptions
    from dualfair.runs.trained_run import working_on
    from dualfair.stages.inherited import scored_networks
    from dualfair.stages.retrain import select

    rows = {row["genotype"]: float(row["error"]) for row in table_of(run / "search/scores.csv")}
    with working_on(run) as opened:
        networks, values = scored_networks(opened)
        predicted = {str(each.genotype): value for each, value in zip(networks, values[:, 0], strict=True)}
        assert predicted == pytest.approx(rows, rel=1e-10)
        chosen = select(opened, RetrainOptions(controls=3))
    even = sorted(rows[str(genotype)] for genotype, samples in chosen.items() if "even" in samples)
    assert len(even) == 3 and even[2] - even[0] > 0.5 * (max(rows.values()) - min(rows.values()))


def test_correlate_and_report_tell_of_predictions(dualfair, run, tmp_path):
    result = dualfair("correlate", "--run", run, "--resamples", 100)
    assert f"  error is ranked better by predictions: dualfair search --run {run} --predictor {run}" in result.out
    assert "predicted by the others' trainings 0." in result.out
    assert dualfair("report", run, "--out", tmp_path / "report.html").status == 0
    page = re.sub(r"\s+", " ", (tmp_path / "report.html").read_text())
    assert "by the other networks' trainings, error agrees with 0." in html.unescape(page)
    assert "Of error it was predicted what a training would show." in page
    assert "; error predicted [95 % of trainings]" in page and "tau of predictions" in page
    assert "Search by these predictions" not in page


def test_a_report_says_how_to_search_by_predictions(dualfair, run, tmp_path):
    """Of a search that did not."""
    config = run / "search/config.json"
    before = config.read_text()
    values = json.loads(before)
    front = json.loads((run / "search/front.json").read_text())
    whole = json.dumps(front)
    for each in (values, front["config"]):
        del each["predicted"], each["predictor"]
    config.write_text(json.dumps(values))
    (run / "search/front.json").write_text(json.dumps(front))
    assert dualfair("report", run, "--out", tmp_path / "report.html").status == 0
    config.write_text(before)
    (run / "search/front.json").write_text(whole)
    page = re.sub("<[^>]*>", "", (tmp_path / "report.html").read_text())
    assert "Search by these predictions: dualfair search --run run --predictor run" in page
    assert "it was predicted" not in page


def test_a_predictor_that_was_changed_is_refused(dualfair, run, tmp_path):
    path = run / "search/predictor.json"
    before = path.read_text()
    values = json.loads(before)
    values["seeds"] = 3
    path.write_text(json.dumps(values))
    result = dualfair("retrain", "--run", run, "--epochs", 1)
    path.write_text(before)
    assert result.status == 2 and "is not what the networks of" in result.err
    assert "run the same 'dualfair search' command again" in result.err


def test_objectives_that_are_not_predicted_better_stay_inherited(dualfair, place, run):
    """Trainings that say what the supernet says, and a second run without a predictor: the same scores."""
    other = copied(place, "other")
    plain = dualfair("search", "--run", other, *SHORT)
    assert plain.status == 0
    before = (other / "search/scores.csv").read_bytes()
    for row in table_of(other / "search/scores.csv"):
        save_result(other, training_result(row["genotype"], 0, on_both=scores(float(row["error"]))))
    result = dualfair("search", "--run", other, "--predictor", other, *SHORT)
    assert result.status == 0, result.err
    assert "error by inherited scores, as predictions are not shown to rank better: 10 networks x 1 seeds" in result.out
    assert SearchConfig.read(other / "search/config.json").predictor == ""
    assert (other / "search/scores.csv").read_bytes() == before


def test_trainings_of_another_run_on_the_same_people_may_predict(dualfair, place, run):
    third = copied(place, "third")
    result = dualfair("search", "--run", third, "--predictor", run, *SHORT)
    assert result.status == 0 and "error predicted: 16 networks" in result.out, result.err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"split_seed": 1}, "were trained on other faces, or other people of them, than"),
        ({"blocks": "2-1-1-1"}, "were trained with blocks = '2-1-1-1', "),
        ({"confirm": 0.0}, "were trained with confirm = 0.0, "),
        ({"neck": "none"}, "were trained with neck = 'none', "),
        ({"crop_from": 40}, "were trained with crop_from = 40, "),
    ],
)
def test_trainings_of_other_people_or_another_skeleton_are_refused(dualfair, place, run, changed, message):
    ours, theirs = copied(place, f"ours-{min(changed)}"), copied(place, f"theirs-{min(changed)}", **changed)
    result = dualfair("search", "--run", ours, "--predictor", theirs, *SHORT)
    assert result.status == 2 and message in result.err and not (ours / "search/config.json").exists()


def test_a_training_that_cannot_be_read_is_told_and_its_network_left_out(dualfair, place, run):
    fifth = copied(place, "fifth")
    networks = random_networks(SPACE, 10, 0)
    for genotype in networks:
        paths = [save_result(fifth, training_result(str(genotype), seed, on_both=scores(0.2))) for seed in (0, 1)]
    paths[1].write_text("{")
    result = dualfair("search", "--run", fifth, "--predictor", fifth, *SHORT)
    assert result.status == 0, result.err
    assert f"Not predicted by: {networks[-1]} has not all seeds" in result.out
    assert "Not predicted by: retrain/" in result.out and "is damaged" in result.out
    assert len(Predictor.read(fifth / "search/predictor.json").networks) == 9
    assert "error by inherited scores: it is undefined, or always the same, for 9 networks" in result.out


def test_few_trainings_and_no_run_are_refused_in_one_line(dualfair, place, run, tmp_path):
    fourth = copied(place, "fourth")
    nothing = dualfair("search", "--run", fourth, "--predictor", fourth, *SHORT)
    assert nothing.status == 2 and "has no retrained networks; run 'dualfair retrain' first" in nothing.err
    save_result(fourth, training_result(str(random_networks(SPACE, 1, 0)[0]), 0, on_both=scores(0.2)))
    few = dualfair("search", "--run", fourth, "--predictor", fourth, *SHORT)
    assert few.status == 2 and "has 1 retrained networks, and 8 or more are needed to predict others" in few.err
    absent = dualfair("search", "--run", fourth, "--predictor", tmp_path, *SHORT)
    assert absent.status == 2 and f"{tmp_path} is no run directory" in absent.err
