"""What `dualfair correlate` says of few networks, ties, constant scores, and trainings that are missing or damaged."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualfair.evolution.archive import Archive
from dualfair.runs.directory import RunDirectory
from dualfair.runs.protocol import ProtocolOptions
from dualfair.runs.trainings import add_to_plan, collect, read_plan, read_samples
from dualfair.stages.retrain import RetrainOptions, random_networks, select
from dualfair.stages.retrain_again import retrain_short, short_epochs
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.process_group import ALONE
from dualfair.supernet.training.recipe import Recipe

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
        monkeypatch.setattr("dualfair.runs.trained_run.open_trained", lambda path, processes: run_of(path))
        monkeypatch.setattr("dualfair.stages.correlate.searched_with", lambda directory: (ProtocolOptions(), ()))
        monkeypatch.setattr("dualfair.stages.search.open_scorer", lambda *given, **options: scorer)
        monkeypatch.setattr("dualfair.stages.search.open_archive", lambda *given, **options: archive)
        # Pictures take most of the time; tests/stages/test_pipeline.py looks at one.
        monkeypatch.setattr("dualfair.presentation.figures.ranking_figure", lambda path, panels: None)
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
    assert "missing:" not in found.out and "  ties in" not in found.out
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
    assert found.out.count("identities: 2 of 10 pairs of networks in the cheap scores, 0 in the truth") == 2


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


def test_the_plan_remembers_why_each_training_was_asked_for(tmp_path):
    folder = tmp_path
    add_to_plan(folder, {(NAMES[0], 0): ("front", "random"), (NAMES[1], 0): ("even",)})
    add_to_plan(folder, {(NAMES[0], 1): ("named",), (NAMES[1], 0): ("random",)})
    jobs = json.loads((folder / "plan.json").read_text())["jobs"]
    assert [(job["genotype"], job["seed"], job["samples"]) for job in jobs] == [
        (NAMES[0], 0, ["front", "random"]),
        (NAMES[1], 0, ["even", "random"]),
        (NAMES[0], 1, ["named"]),
    ]
    assert read_plan(folder) == [(NAMES[0], 0), (NAMES[1], 0), (NAMES[0], 1)]
    assert read_samples(folder) == {NAMES[0]: {"front", "random", "named"}, NAMES[1]: {"even", "random"}}


def test_a_plan_without_samples_was_named_and_trained_networks_carry_theirs(tmp_path):
    save_all(tmp_path, NAMES[:3], seeds=(0,))
    plan(tmp_path, (NAMES[0], 0))
    add_to_plan(tmp_path / "retrain", {(NAMES[1], 0): ("random",)})
    assert collect(run_of(tmp_path)).samples == ({"named"}, {"random"}, {"named"})


@pytest.mark.parametrize("samples", ["[]", '["best"]', "7", "[7]", '"random"'])
def test_samples_that_are_none_are_a_damaged_plan(tmp_path, samples):
    job = f'{{"genotype": "{NAMES[0]}", "seed": 0, "samples": {samples}}}'
    (tmp_path / "plan.json").write_text(f'{{"jobs": [{job}]}}')
    with pytest.raises(ValueError, match=r"plan.json: damaged, expected samples out of front, even, random, named"):
        read_samples(tmp_path)


def test_the_random_sample_is_studied_by_itself_and_comes_first(correlate, tmp_path):
    save_all(tmp_path / "run", seeds=(0,))
    add_to_plan(
        tmp_path / "run/retrain",
        {(name, 0): ("random",) if place < 4 else ("front",) for place, name in enumerate(NAMES)},
    )
    found = correlate()
    samples = found.report["studies"]["test identities"]["samples"]
    assert samples["random"]["networks"] == NAMES[:4] and samples["all"]["networks"] == NAMES
    assert found.out.index("random 4: error, validation identities: tau ") < found.out.index("all 5: error, ")
    assert found.report["measures"]["error, test identities"] == samples["all"]["measures"]["error"]


def test_truth_on_both_halves_of_the_people_enters_the_ceiling(correlate, tmp_path):
    run = tmp_path / "run"
    for place, name in enumerate(NAMES):
        result = result_of(name, 0, error=0.1 * place, disparity=float(place))
        for split in ("validation", "test"):
            halves = [{"error": 0.1 * place + wrong, "rank_disparity": float(place)} for wrong in (0.0, 0.01 * place)]
            result[split] = {**result[split], "halves": halves}
        (folder_of(run, name, 0) / "result.json").write_text(json.dumps(result))
    ceiling = correlate().report["measures"]["error, test identities"]["ceiling"]
    assert ceiling["from_halves"] and ceiling["at_most"] and ceiling["between_halves"] == pytest.approx(1)
    assert 0.9 < ceiling["tau"] <= 1


def test_short_trainings_are_a_baseline_once_every_network_has_one(correlate, tmp_path):
    run = tmp_path / "run"
    save_all(run, seeds=(0,))
    for place, name in enumerate(NAMES):
        folder = run / "short" / name.replace(":", "_") / "seed-0"
        if place:
            folder.mkdir(parents=True)
            (folder / "result.json").write_text(json.dumps(result_of(name, 0, error=-float(place), disparity=place)))
    found = correlate()
    assert "short trainings are left out: not every network has one; run 'dualfair retrain --short'" in found.out
    assert set(found.report["measures"]["error, test identities"]["baselines"]) == {"params", "macs"}
    (run / "short" / NAMES[0].replace(":", "_") / "seed-0").mkdir(parents=True)
    (run / "short" / NAMES[0].replace(":", "_") / "seed-0/result.json").write_text(
        json.dumps(result_of(NAMES[0], 0, error=0.0, disparity=0.0))
    )
    found = correlate()
    assert "left out" not in found.out and "short training -1.00" in found.out
    short = found.report["measures"]["error, test identities"]["baselines"]["short training"]
    assert short["tau"] == pytest.approx(-1) and short["difference"]["value"] == pytest.approx(2)


def select_of(monkeypatch, values, confirmed=None, **options):
    """What is selected after a search that scored these networks: {name: (error, disparity)}."""
    archive = Archive(measurement="test", columns=("error", "gap"), objectives=2)
    archive.add([SPACE.parse(name) for name in values], np.array([*values.values()]), 1.0)
    monkeypatch.setattr("dualfair.stages.retrain.searched_with", lambda directory: (None, ()))
    monkeypatch.setattr("dualfair.stages.search.open_scorer", lambda *given, **options: None)
    monkeypatch.setattr("dualfair.stages.search.open_archive", lambda *given, **options: archive)
    monkeypatch.setattr("dualfair.stages.constraints.limits_of", lambda run: (None, None))
    monkeypatch.setattr("dualfair.stages.confirm.knee_and_extremes", lambda run: confirmed)
    run = SimpleNamespace(directory=None, setting=SimpleNamespace(space=SPACE), config={"seed": 0})
    return {str(genotype): of for genotype, of in select(run, RetrainOptions(**options)).items()}


def test_front_controls_and_random_networks_are_selected_with_their_samples(monkeypatch):
    space = [*SPACE.enumerate()]
    rng = np.random.default_rng(1)
    values = {str(space[place]): tuple(rng.random(2)) for place in rng.permutation(len(space))}
    chosen = select_of(monkeypatch, values, controls=4, random=200)
    front, even, random = (
        [name for name, of in chosen.items() if sample in of] for sample in ("front", "even", "random")
    )
    for objective in (0, 1):
        assert min(values, key=lambda name, of=objective: values[name][of]) in front
    assert len(front) <= 3 and len(even) == 4 and not {*front} & {*even} and len(random) == 200
    assert ("front", "random") in chosen.values() and ("even", "random") in chosen.values()
    fewer = select_of(monkeypatch, {name: values[name] for name in front}, controls=0, random=30)
    assert {name for name, of in fewer.items() if "random" in of} == {
        str(genotype) for genotype in random_networks(SPACE, 30, 0)
    }
    assert random_networks(SPACE, 30, 0) != random_networks(SPACE, 30, 1)
    assert random_networks(SPACE, 50, 0)[:30] == random_networks(SPACE, 30, 0)


def test_the_front_is_the_confirmed_one_where_there_is_one(monkeypatch):
    values = {name: (0.1 * place, 1.0 - 0.1 * place) for place, name in enumerate(NAMES)}
    chosen = select_of(monkeypatch, values, confirmed=[SPACE.parse(NAMES[1])], controls=2)
    assert [name for name, of in chosen.items() if "front" in of] == [NAMES[1]]
    assert [name for name, of in chosen.items() if "even" in of] == [NAMES[0], NAMES[4]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"random": -1}, "controls and random 0 or more, got 2, 6 and -1"),
        ({"random": 244}, "random must be at most 243, all networks of space dpn81-shared; got 244"),
    ],
)
def test_random_networks_that_cannot_be_drawn_are_refused(monkeypatch, options, said):
    with pytest.raises(ValueError, match=said):
        select_of(monkeypatch, {name: (1.0, 2.0) for name in NAMES}, **options)


def test_short_trainings_take_together_the_path_passes_of_the_supernet():
    assert short_epochs(epochs=18.0, paths=9, networks=54, most=12.0) == 3.0
    assert short_epochs(epochs=18.0, paths=9, networks=54, most=2.0) == 2.0


def test_every_planned_network_is_trained_shortly_and_another_number_of_them_is_refused(monkeypatch, tmp_path):
    trained = []
    monkeypatch.setattr("dualfair.stages.retrain_again.searched_with", lambda directory: (ProtocolOptions(), ()))
    monkeypatch.setattr("dualfair.stages.retrain_again.in_words", lambda processes: "cpu")
    monkeypatch.setattr(
        "dualfair.stages.retrain_again.train_all", lambda run, jobs, recipe, *_, **how: trained.append((jobs, recipe))
    )
    run = SimpleNamespace(
        directory=RunDirectory(tmp_path),
        setting=SimpleNamespace(space=SPACE),
        config={"sampler": "strict", "epochs": 2.0},
        digest="d",
        processes=ALONE,
    )
    with pytest.raises(ValueError, match="has no planned networks; run 'dualfair retrain' without --short first"):
        retrain_short(run, RetrainOptions(), Recipe())
    (tmp_path / "retrain").mkdir()
    add_to_plan(tmp_path / "retrain", {(name, seed): ("even",) for name in NAMES for seed in (0, 1)})
    for _ in range(2):
        retrain_short(run, RetrainOptions(), Recipe(epochs=12.0))
        ((jobs, recipe),) = trained
        assert [(job.label, job.seed) for job in jobs] == [(name, 0) for name in NAMES]
        assert recipe == Recipe(epochs=2.0 * 9 / 5)
        trained.clear()
    add_to_plan(tmp_path / "retrain", {("888-888:cosface", 0): ("named",)})
    with pytest.raises(ValueError, match=r"trainings of 3\.6 epochs, but 6 networks are planned, which is 3 epochs"):
        retrain_short(run, RetrainOptions(), Recipe(epochs=12.0))
    assert not trained


@pytest.mark.slow
def test_random_and_short_trainings_by_the_command_line(dualfair, tmp_path):
    run = tmp_path / "run"
    made = dualfair("faces", "synth", "--out", tmp_path / "faces", "--identities", 24, "--images", 4, "--size", 32)
    assert made.status == 0, made.err
    quick = ("--epochs", 0.3, "--batch", 16)
    for words in (
        ("train", "--faces", tmp_path / "faces", "--out", run, "--size", 32, "--space", "dpn81-shared", *quick),
        ("search", "--run", run, "--population", 3, "--generations", 1, "--calibrate", 16),
    ):
        done = dualfair(*words)
        assert done.status == 0, done.err
    early = dualfair("retrain", "--run", run, "--short")
    assert early.status == 2 and "has no planned networks; run 'dualfair retrain' without --short first" in early.err
    done = dualfair("retrain", "--run", run, "--seeds", 1, "--controls", 0, "--random", 3, "--epochs", 1)
    assert done.status == 0, done.err
    planned = read_samples(run / "retrain")
    assert sum("random" in of for of in planned.values()) == 3 and sum("front" in of for of in planned.values()) >= 1
    short = dualfair("retrain", "--run", run, "--short", "--epochs", 1)
    assert short.status == 0, short.err
    share = min(1.0, 0.3 * 9 / len(planned))
    assert f"Short trainings: {len(planned)} networks once more, {share:.3g} epochs each; together " in short.out
    assert json.loads((run / "short/config.json").read_text())["epochs"] == pytest.approx(share)
    again = dualfair("retrain", "--run", run, "--short", "--epochs", 1)
    assert again.status == 0 and "continuing" not in again.out
    one = next(iter(planned))
    about = [
        json.loads((run / stage / one.replace(":", "_") / "seed-0/network.json").read_text())
        for stage in ("retrain", "short")
    ]
    assert [of["seed"] for of in about] == [0, 10**6]
    study = dualfair("correlate", "--run", run, "--resamples", 20)
    assert study.status in (0, 3) and "random 3: error, validation identities: tau " in study.out
    report = json.loads((run / "correlate/ranking.json").read_text())
    assert set(report["measures"]["error, test identities"]["baselines"]) == {"params", "macs", "short training"}
    assert report["measures"]["error, test identities"]["ceiling"]["from_halves"]
    more = dualfair("retrain", "--run", run, "--genotype", "888:cosface", "--seeds", 1, "--epochs", 1)
    assert more.status == 0, more.err
    refused = dualfair("retrain", "--run", run, "--short", "--epochs", 1)
    assert refused.status == 2 and "delete that folder and run the same command again" in refused.err
