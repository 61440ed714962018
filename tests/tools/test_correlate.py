"""What `dualfair correlate` says of few networks, ties, constant scores, and trainings that are missing or damaged."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolution.archive import Archive
from supernet.space import dpn_space
from tools.run_directory import RunDirectory
from tools.trainings import collect

SPACE = dpn_space("dpn81-shared", 2)
NAMES = [f"{code}1{code}-{code}1{code}:cosface" for code in range(5)]
COLUMNS = ("error", "rank_disparity", "params", "macs")


def folder_of(run, name, seed):
    folder = run / "retrain" / name.replace(":", "_") / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def result_of(name, seed, error=0.5, disparity=1.0):
    verdict = {"error": error, "disparity": disparity}
    return {"genotype": name, "seed": seed, "seconds": 1.0, "validation": verdict, "test": verdict}


def save(run, name, seed, **values):
    folder = folder_of(run, name, seed)
    (folder / "result.json").write_text(json.dumps(result_of(name, seed, **values)))
    return folder / "result.json"


def save_all(run, names=NAMES, seeds=(0, 1)):
    for place, name in enumerate(names):
        for seed in seeds:
            save(run, name, seed, error=0.1 * place + 0.01 * seed, disparity=float((place * 3 + seed) % 5))


def plan(run, *jobs):
    (run / "retrain").mkdir(exist_ok=True, parents=True)
    text = json.dumps({"jobs": [{"genotype": name, "seed": seed} for name, seed in jobs]})
    (run / "retrain/plan.json").write_text(text)


def run_of(path):
    return SimpleNamespace(
        directory=RunDirectory(path), setting=SimpleNamespace(space=SPACE), device=torch.device("cpu")
    )


@pytest.fixture
def correlate(monkeypatch, dualfair, tmp_path):
    """The command on a run directory whose supernet is a table of scores; returns status, lines and the report."""

    def call(values=None):
        values = values or {name: (0.1 * n, float(n), 100.0 + n, 10.0 * n) for n, name in enumerate(NAMES)}

        def scorer(genotypes):
            return np.array([values[str(genotype)] for genotype in genotypes])

        scorer.columns, scorer.protocol = COLUMNS, SimpleNamespace(disparity_name="rank_disparity")
        archive = Archive(measurement="test", columns=COLUMNS, objectives=2)
        directory = RunDirectory(tmp_path / "run")
        directory.stage("search").joinpath("config.json").write_text('{"objectives": ["error", "rank_disparity"]}')
        monkeypatch.setattr("tools.session.open_trained", lambda path, processes: run_of(path))
        monkeypatch.setattr("tools.correlate.searched_with", lambda directory: (None, ()))
        monkeypatch.setattr("tools.search.open_scorer", lambda *given, **options: scorer)
        monkeypatch.setattr("tools.search.open_archive", lambda *given, **options: archive)
        # Pictures take most of the time; tests/tools/test_pipeline.py looks at one.
        monkeypatch.setattr("tools.figures.ranking_figure", lambda path, panels: None)
        result = dualfair("correlate", "--run", tmp_path / "run", "--resamples", 50)
        ranking = tmp_path / "run/correlate/ranking.json"
        result.report = json.loads(ranking.read_text()) if ranking.exists() else None
        return result

    return call


def test_a_whole_study_is_not_partial(correlate, tmp_path):
    save_all(tmp_path / "run")
    plan(tmp_path / "run", *((name, seed) for name in NAMES for seed in (0, 1)))
    found = correlate()
    assert found.status == 0, found.err
    assert "missing:" not in found.out and "  ties:" not in found.out
    assert (found.report["missing"], found.report["damaged"], found.report["seeds"]) == ([], [], 2)


def test_trainings_without_a_result_are_listed_and_the_rest_is_used(correlate, tmp_path):
    """Planned and never begun, begun and not finished, and needed for equal seeds."""
    run = tmp_path / "run"
    save_all(run)
    for name, seed in ((NAMES[3], 0), (NAMES[3], 1), (NAMES[4], 1)):
        (folder_of(run, name, seed) / "result.json").unlink()
    folder_of(run, NAMES[3], 0).rmdir()
    plan(run, (NAMES[3], 0), (NAMES[3], 1))
    folder_of(run, NAMES[0], 7)
    found = correlate()
    assert found.status == 3, found.err
    assert f"  missing: {NAMES[0]} seed 7; {NAMES[3]} seed 0; {NAMES[3]} seed 1; {NAMES[4]} seed 1\n" in found.out
    assert found.report["networks"] == NAMES[:3] and found.report["left_out"] == [NAMES[4]]
    assert "Ranking: 3 networks, 2 seeds each" in found.out and "tau 1.00" in found.out


def test_a_network_that_was_asked_for_and_never_trained_makes_a_sound_study_partial(correlate, tmp_path):
    save_all(tmp_path / "run", NAMES[:4])
    plan(tmp_path / "run", *((name, 0) for name in NAMES))
    found = correlate()
    assert found.status == 3
    assert f"  missing: {NAMES[4]} seed 0\n" in found.out and "undefined;" not in found.out
    assert found.report["left_out"] == [] and len(found.report["networks"]) == 4


def test_fewer_than_three_networks_are_undefined_and_partial(correlate, tmp_path):
    save_all(tmp_path / "run", NAMES[:2])
    found = correlate()
    assert found.status == 3
    assert "error, test identities: tau undefined for 2 networks; at least 3 are needed" in found.out
    assert found.report["measures"]["error, test identities"]["correlation"]["tau"] is None


def test_constant_scores_are_undefined_and_partial(correlate, tmp_path):
    save_all(tmp_path / "run")
    found = correlate({name: (0.25, float(n), 1.0 + n, 2.0) for n, name in enumerate(NAMES)})
    assert found.status == 3
    assert "error, validation identities: tau undefined: cheap is 0.25 for all 5 networks" in found.out
    assert found.report["measures"]["rank_disparity, test identities"]["correlation"]["tau"] is not None


def test_ties_are_flagged_with_their_number_and_make_nothing_undefined(correlate, tmp_path):
    save_all(tmp_path / "run", seeds=(0,))
    found = correlate({name: (float(n // 2), float(n), 1.0 + n, 2.0) for n, name in enumerate(NAMES)})
    assert found.status == 0
    assert found.out.count("ties: 2 of 10 pairs of networks in inherited scores, 0 in standalone ones") == 2


def test_a_score_that_is_not_finite_is_undefined_and_partial(correlate, tmp_path):
    save_all(tmp_path / "run")
    save(tmp_path / "run", NAMES[0], 0, disparity="inf")
    found = correlate()
    assert found.status == 3
    assert "tau undefined: truth has 1 of 5 networks without a finite score" in found.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "damaged, Expecting value: line 1 column 1 (char 0)"),
        (json.dumps(result_of(NAMES[1], 0))[:60], "damaged, "),
        ("[]", "damaged, list indices must be integers"),
        ("{}", "damaged, 'genotype' is missing in it"),
        (json.dumps({**result_of(NAMES[1], 0), "test": {"error": 0.5}}), "damaged, 'disparity' is missing in it"),
        (json.dumps(result_of(NAMES[1], 0, error="high")), "damaged, could not convert string to float: 'high'"),
        (json.dumps(result_of(NAMES[1], 0, error=None)), "damaged, float() argument must be"),
        (json.dumps(result_of(NAMES[1], 0, error=10**400)), "damaged, int too large"),
        (json.dumps({**result_of(NAMES[1], 0), "seed": "0"}), "damaged, expected a seed of 0 or more, got '0'"),
        (json.dumps(result_of(NAMES[1], -1)), "damaged, expected a seed of 0 or more, got '-1'"),
        (json.dumps(result_of("9x9:cosface", 0)), "damaged, genotype '9x9:cosface': block 1 is '9x9'"),
        (json.dumps(result_of("191-101:cosface", 0)), "damaged, genotype '191-101:cosface': block 1, position 2"),
        (json.dumps(result_of(NAMES[2], 0)), f"it is of {NAMES[2]} seed 0, not of this folder's network"),
        ("[" * 200_000, "damaged, nested too deeply"),
        ("\x00\xff", "damaged, "),
    ],
)
def test_a_damaged_result_is_named_in_one_line_and_counts_as_missing(correlate, tmp_path, text, said):
    run = tmp_path / "run"
    save_all(run)
    path = save(run, NAMES[1], 0)
    path.write_bytes(text.encode("latin-1"))
    found = correlate()
    assert found.status == 3 and not found.err, found.err
    (line,) = [line for line in found.out.splitlines() if str(path) in line]
    assert said in line and "delete it" in line
    assert f"  missing: {NAMES[1]} seed 0\n" in found.out
    assert found.report["networks"] == [NAMES[0], *NAMES[2:]]


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
    found = correlate()
    assert found.status == 3 and not found.err
    assert found.out.count("plan.json: damaged, ") == 1 and "tau 1.00" in found.out


def test_nothing_finished_is_partial_and_nothing_asked_for_is_an_error(correlate, tmp_path):
    (tmp_path / "run").mkdir()
    found = correlate()
    assert found.status == 2
    assert found.err.endswith("has no retrained networks; run 'dualfair retrain' first\n")
    plan(tmp_path / "run", (NAMES[0], 0))
    found = correlate()
    assert found.status == 3, found.err
    assert f"missing: {NAMES[0]} seed 0" in found.out and "tau undefined for 0 networks" in found.out
    assert found.report["networks"] == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_results_and_plans_are_taken_or_named(tmp_path, data):
    """Any value at any place of a result and of a plan, and any cut."""
    run = tmp_path / "run"
    save_all(run, NAMES[:3], seeds=(0,))
    for path, value in (
        (folder_of(run, NAMES[0], 0) / "result.json", result_of(NAMES[0], 0)),
        (run / "retrain/plan.json", {"jobs": [{"genotype": NAMES[0], "seed": 0}]}),
    ):
        text = json.dumps(mutated(value, data))
        path.write_text(text[: data.draw(st.integers(0, len(text)))] if data.draw(st.booleans()) else text)
    trained = collect(run_of(run))
    assert all("\n" not in text for text in trained.damaged)
    assert len(trained.genotypes) >= 2 and trained.seeds == 1


def mutated(value, data):
    """The value with one of its parts replaced by any other."""
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(value)))
        if data.draw(st.booleans()):
            return {**value, name: mutated(value[name], data)}
        return {key: inner for key, inner in value.items() if key != name}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        return [mutated(value[0], data), *value[1:]]
    return data.draw(json_values)
