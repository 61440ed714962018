"""What `dualfair correlate` says of few networks, ties, constant scores, and trainings that are missing or damaged."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dualfair.evolution.archive import Archive
from dualfair.runs.layout import RunLayout
from dualfair.runs.run_files import add_to_plan
from dualfair.runs.training_spec import TrainingSpec
from dualfair.stages.inherited import Scoring
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.space import dpn_space
from tests.support.records import save_result, scores, search_config, training_result

SPACE = dpn_space("dpn81-shared", 2)
SKELETON = replace(
    skeleton_of("nano"), residual_widths=(16, 32), bottlenecks=(16, 32), increments=(4, 8), blocks=(1, 1)
)
NAMES = [f"{code}1{code}-{code}1{code}:cosface" for code in range(5)]
COLUMNS = ("error", "rank_disparity", "params", "macs")


def result_of(name, seed, error=0.5, disparity=1.0, halves=()):
    return training_result(name, seed, on_both=scores(error, disparity, halves=halves))


def json_of(name, seed, error=0.5, **changed):
    """A result as its file holds it, with any value as the error on test identities, and other keys `changed`."""
    values = result_of(name, 0).to_json()
    return {**values, "seed": seed, "test": {**values["test"], "error": error}, **changed}


def save(run, name, seed, **values):
    return save_result(run, result_of(name, seed, **values))


def save_all(run, names=NAMES, seeds=(0, 1)):
    for place, name in enumerate(names):
        for seed in seeds:
            save(run, name, seed, error=0.1 * place + 0.01 * seed, disparity=float((place * 3 + seed) % 5))


def folder_of(run, name, seed):
    folder = RunLayout(run).retrain.of_label(name, seed).folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def plan(run, *trainings):
    stage = RunLayout(run).retrain
    stage.folder.mkdir(exist_ok=True, parents=True)
    add_to_plan(stage, {TrainingSpec.of_label(name, seed): ("named",) for name, seed in trainings})


@pytest.fixture
def correlate(monkeypatch, dualfair, tmp_path):
    """The command on a run directory whose supernet is a table of scores; returns status, lines and the report."""

    def call(values=None):
        values = values or {name: (0.1 * n, float(n), 100.0 + n, 10.0 * n) for n, name in enumerate(NAMES)}

        def scorer(genotypes):
            return np.array([values[str(genotype)] for genotype in genotypes])

        def opened(directory, processes):
            people = SimpleNamespace(units="people")
            setting = SimpleNamespace(space=SPACE, skeleton=SKELETON, splits={"validation": people})
            return SimpleNamespace(directory=directory, setting=setting, device=torch.device("cpu"))

        scorer.columns = COLUMNS
        scoring = Scoring(scorer, Archive(measurement="test", columns=COLUMNS, objectives=2))
        (tmp_path / "run").mkdir(exist_ok=True)
        monkeypatch.setattr("dualfair.runs.trained_run.open_trained", opened)
        monkeypatch.setattr("dualfair.stages.correlate.recorded_search", lambda directory: search_config())
        monkeypatch.setattr("dualfair.stages.inherited.open_scoring", lambda *given, **options: scoring)
        # Pictures take most of the time; test_pipeline.py looks at one.
        monkeypatch.setattr("dualfair.stages.correlate.draw", lambda *drawn: None)
        result = dualfair("correlate", "--run", tmp_path / "run", "--resamples", 50)
        ranking = tmp_path / "run/correlate/ranking.json"
        result.report = json.loads(ranking.read_text()) if ranking.exists() else None
        return result

    return call


def test_a_whole_study_is_not_partial(correlate, tmp_path):
    save_all(tmp_path / "run")
    plan(tmp_path / "run", *((name, seed) for name in NAMES for seed in (0, 1)))
    result = correlate()
    assert result.status == 0, result.err
    assert "missing:" not in result.out and "  ties in" not in result.out
    assert (result.report["missing"], result.report["damaged"], result.report["seeds"]) == ([], [], 2)


def test_trainings_without_a_result_are_listed_and_the_rest_is_used(correlate, tmp_path):
    """Planned and never begun, begun and not finished, and needed for equal seeds."""
    run = tmp_path / "run"
    save_all(run)
    for name, seed in ((NAMES[3], 0), (NAMES[3], 1), (NAMES[4], 1)):
        (folder_of(run, name, seed) / "result.json").unlink()
    folder_of(run, NAMES[3], 0).rmdir()
    plan(run, (NAMES[3], 0), (NAMES[3], 1))
    folder_of(run, NAMES[0], 7)
    result = correlate()
    assert result.status == 3, result.err
    assert f"  missing: {NAMES[0]} seed 7; {NAMES[3]} seed 0; {NAMES[3]} seed 1; {NAMES[4]} seed 1\n" in result.out
    assert result.report["networks"] == NAMES[:3] and result.report["left_out"] == [NAMES[4]]
    assert "Ranking: 3 networks, 2 seeds each" in result.out and "tau 1.00" in result.out


def test_a_network_that_was_asked_for_and_never_trained_makes_a_sound_study_partial(correlate, tmp_path):
    save_all(tmp_path / "run", NAMES[:4])
    plan(tmp_path / "run", *((name, 0) for name in NAMES))
    result = correlate()
    assert result.status == 3
    assert f"  missing: {NAMES[4]} seed 0\n" in result.out and "undefined;" not in result.out
    assert result.report["left_out"] == [] and len(result.report["networks"]) == 4


def test_fewer_than_three_networks_are_undefined_and_partial(correlate, tmp_path):
    save_all(tmp_path / "run", NAMES[:2])
    result = correlate()
    assert result.status == 3
    assert "error, test identities: tau undefined for 2 networks; at least 3 are needed" in result.out
    assert result.report["measures"]["error, test identities"]["correlation"]["tau"] is None


def test_constant_scores_are_undefined_and_partial(correlate, tmp_path):
    save_all(tmp_path / "run")
    result = correlate({name: (0.25, float(n), 1.0 + n, 2.0) for n, name in enumerate(NAMES)})
    assert result.status == 3
    assert "error, validation identities: tau undefined: cheap is 0.25 for all 5 networks" in result.out
    assert result.report["measures"]["rank_disparity, test identities"]["correlation"]["tau"] is not None


def test_ties_are_flagged_with_their_number_and_make_nothing_undefined(correlate, tmp_path):
    save_all(tmp_path / "run", seeds=(0,))
    result = correlate({name: (float(n // 2), float(n), 1.0 + n, 2.0) for n, name in enumerate(NAMES)})
    assert result.status == 0
    assert result.out.count("identities: 2 of 10 pairs of networks in the cheap scores, 0 in the truth") == 2


def test_a_score_that_is_not_finite_is_undefined_and_partial(correlate, tmp_path):
    save_all(tmp_path / "run")
    save(tmp_path / "run", NAMES[0], 0, disparity=float("inf"))
    result = correlate()
    assert result.status == 3
    assert "tau undefined: truth has 1 of 5 networks without a finite score" in result.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is damaged (Expecting value: line 1 column 1 (char 0)"),
        (json.dumps(json_of(NAMES[1], 0))[:60], "is damaged ("),
        ("[]", "is damaged (it holds no names and values, but []"),
        ("{}", "is damaged ('training' is missing in it"),
        (json.dumps(json_of(NAMES[1], 0, test={"error": 0.5})), "is damaged (test: 'disparity' is missing in it"),
        (json.dumps(json_of(NAMES[1], 0, error="high")), "is damaged (test: error must be a float, got 'high'"),
        (json.dumps(json_of(NAMES[1], 0, error=None)), "is damaged (test: error must be a float, got None"),
        (
            json.dumps(json_of(NAMES[1], 0, error=10**400)),
            "is damaged (test: error must be a number of at most 64 bits",
        ),
        (json.dumps(json_of(NAMES[1], "0")), "is damaged (seed must be a int, got '0'"),
        (json.dumps(json_of(NAMES[1], -1)), "is damaged (a training's seed must be 0 to 999999999, got '-1'"),
        (json.dumps(json_of(NAMES[1], 0, training="9x9:cosface")), "(genotype '9x9:cosface': block 1 is '9x9'"),
        (
            json.dumps(json_of(NAMES[1], 0, training="191-101:cosface")),
            "is damaged (genotype '191-101:cosface': block 1, position 2",
        ),
        (json.dumps(json_of(NAMES[2], 0)), f"it is of {NAMES[2]} seed 0, not of this folder's network"),
        ("[" * 200_000, "is damaged (nested too deeply"),
        ("\x00\xff", "is damaged ("),
    ],
)
def test_a_damaged_result_is_named_in_one_line_and_counts_as_missing(correlate, tmp_path, text, message):
    run = tmp_path / "run"
    save_all(run)
    path = save(run, NAMES[1], 0)
    path.write_bytes(text.encode("latin-1"))
    result = correlate()
    assert result.status == 3 and not result.err, result.err
    (line,) = [line for line in result.out.splitlines() if str(path.relative_to(run)) in line]
    assert message in line and "delete it" in line
    assert f"  missing: {NAMES[1]} seed 0\n" in result.out
    assert result.report["networks"] == [NAMES[0], *NAMES[2:]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"jobs": 3}',
        '{"jobs": [1]}',
        '{"jobs": [{"seed": 0}]}',
        '{"jobs": [{"genotype": 1, "seed": 0}]}',
    ],
)
def test_a_damaged_plan_is_named_and_what_is_there_is_used(correlate, tmp_path, text):
    save_all(tmp_path / "run")
    (tmp_path / "run/retrain/plan.json").write_text(text)
    result = correlate()
    assert result.status == 3 and not result.err
    assert result.out.count("plan.json is damaged: ") == 1 and "tau 1.00" in result.out


def test_nothing_finished_is_partial_and_nothing_asked_for_is_an_error(correlate, tmp_path):
    (tmp_path / "run").mkdir()
    result = correlate()
    assert result.status == 2
    assert result.err.endswith("has no retrained networks; run 'dualfair retrain' first\n")
    plan(tmp_path / "run", (NAMES[0], 0))
    result = correlate()
    assert result.status == 3, result.err
    assert f"missing: {NAMES[0]} seed 0" in result.out and "tau undefined for 0 networks" in result.out
    assert result.report["networks"] == []


def test_the_random_sample_is_studied_by_itself_and_comes_first(correlate, tmp_path):
    save_all(tmp_path / "run", seeds=(0,))
    samples = {TrainingSpec.of_label(name): ("random",) if name in NAMES[:4] else ("front",) for name in NAMES}
    add_to_plan(RunLayout(tmp_path / "run").retrain, samples)
    result = correlate()
    samples = result.report["studies"]["test identities"]["samples"]
    assert samples["random"]["networks"] == NAMES[:4] and samples["all"]["networks"] == NAMES
    assert result.out.index("random 4: error, validation identities: tau ") < result.out.index("all 5: error, ")
    assert result.report["measures"]["error, test identities"] == samples["all"]["measures"]["error"]


def test_truth_on_both_halves_of_the_people_enters_the_ceiling(correlate, tmp_path):
    run = tmp_path / "run"
    for place, name in enumerate(NAMES):
        halves = [{"error": 0.1 * place + wrong, "rank_disparity": float(place)} for wrong in (0.0, 0.01 * place)]
        save(run, name, 0, error=0.1 * place, disparity=float(place), halves=halves)
    ceiling = correlate().report["measures"]["error, test identities"]["ceiling"]
    assert ceiling["from_halves"] and ceiling["at_most"] and ceiling["between_halves"] == pytest.approx(1)
    assert 0.9 < ceiling["tau"] <= 1


def test_short_trainings_are_a_baseline_once_every_network_has_one(correlate, tmp_path):
    run = tmp_path / "run"
    save_all(run, seeds=(0,))
    for place, name in enumerate(NAMES[1:], start=1):
        save_result(run, result_of(name, 0, error=-float(place), disparity=float(place)), "short")
    result = correlate()
    assert "short trainings are left out: not every network has one; run 'dualfair retrain --short'" in result.out
    assert set(result.report["measures"]["error, test identities"]["baselines"]) == {"params", "macs"}
    save_result(run, result_of(NAMES[0], 0, error=0.0, disparity=0.0), "short")
    result = correlate()
    assert "left out" not in result.out and "short training -1.00" in result.out
    short = result.report["measures"]["error, test identities"]["baselines"]["short training"]
    assert short["tau"] == pytest.approx(-1) and short["difference"]["value"] == pytest.approx(2)
