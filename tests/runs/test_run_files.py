"""Files of a run that are read with care; its trainings, collected with equal seeds, missing, damaged; their plan."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualfair.runs.layout import RunLayout
from dualfair.runs.records.training import NetworkDescription, PlannedTraining
from dualfair.runs.run_files import (
    RunFiles,
    add_to_plan,
    collect,
    open_runs,
    read_plan,
    read_result,
    read_short,
    reason,
)
from dualfair.runs.status import status
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.files import write_json
from dualfair.supernet.space import dpn_space
from tests.support.json_values import mutated
from tests.support.records import save_result, scores, train_config, training_result

SPACE = dpn_space("dpn81-shared", 2)
A, B, C = (f"{code}1{code}-{code}1{code}:cosface" for code in range(3))
BACKBONE, CHANGED = "timm.resnet18:cosface", f"{A},lr=0.5"


def save(run, *trainings, stage="retrain"):
    for label, seed in trainings:
        save_result(run, training_result(label, seed, on_both=scores(error=seed / 10)), stage)


def spec(label, seed=0):
    return TrainingSpec.of_label(label, seed)


def plan(run, samples):
    stage = RunLayout(run).retrain
    stage.folder.mkdir(parents=True, exist_ok=True)
    add_to_plan(stage, {spec(*training): of for training, of in samples.items()})
    return stage


def test_names_are_the_shortest_that_differ(tmp_path):
    paths = [tmp_path / one / "run" for one in "ab"]
    for path in paths:
        (path / "train").mkdir(parents=True)
        write_json(path / "train/config.json", {})
    assert [run.name for run in open_runs(paths)] == ["a/run", "b/run"]
    assert [run.name for run in open_runs(paths[:1])] == ["run"]


def test_reasons_name_no_folder_of_the_machine():
    assert reason(ValueError("/home/me/my/faces/x.json is damaged\nat line 1")) == "x.json is damaged at line 1"
    assert reason(KeyError("front")) == "'front' is missing"


def test_networks_are_collected_with_the_seeds_that_most_have(tmp_path):
    save(tmp_path, (A, 0), (A, 1), (A, 5), (B, 0), (B, 1), (C, 1))
    trained = collect(RunLayout(tmp_path), SPACE)
    # (0, 1, 5), (0, 1) and (1,) are there once each: the first one counts.
    assert [str(genotype) for genotype in trained.genotypes] == [A] and trained.seeds == 3
    save(tmp_path, (C, 0))
    trained = collect(RunLayout(tmp_path), SPACE)
    assert [str(genotype) for genotype in trained.genotypes] == [A, B, C] and trained.seeds == 2
    assert [[result.training for result in results] for results in trained.results] == [
        [spec(label, 0), spec(label, 1)] for label in (A, B, C)
    ]
    assert [result.test.error for result in trained.results[0]] == [0.0, 0.1]
    assert (trained.left_out, trained.missing, trained.damaged) == ((), (), ())


def test_networks_that_lack_a_seed_are_left_out_and_what_they_lack_is_missing(tmp_path):
    save(tmp_path, (A, 0), (A, 1), (B, 0), (B, 1), (C, 1))
    trained = collect(RunLayout(tmp_path), SPACE)
    assert [str(genotype) for genotype in trained.genotypes] == [A, B]
    assert (trained.left_out, trained.missing) == ((C,), (f"{C} seed 0",))


def test_what_was_asked_for_or_has_begun_is_missing_until_it_has_a_result(tmp_path):
    save(tmp_path, (A, 0))
    stage = plan(tmp_path, {(B, 0): ("front",), (A, 0): ("even",)})
    stage.of_label(C, 4).folder.mkdir(parents=True)
    trained = collect(RunLayout(tmp_path), SPACE)
    assert trained.missing == (f"{B} seed 0", f"{C} seed 4") and trained.left_out == ()
    assert trained.samples == ({"even"},)


def test_backbones_and_changed_recipes_are_read_but_not_collected(tmp_path):
    save(tmp_path, (A, 0), (BACKBONE, 0), (CHANGED, 0))
    plan(tmp_path, {(BACKBONE, 1): ("shelf",), (CHANGED, 1): ("named",)})
    RunLayout(tmp_path).retrain.of_label(BACKBONE, 2).folder.mkdir()
    trained = collect(RunLayout(tmp_path), SPACE)
    assert [str(genotype) for genotype in trained.genotypes] == [A] and trained.missing == ()
    files = RunFiles(RunLayout(tmp_path))
    results = files.results(files.layout.retrain).values()
    assert [result.training for result in results] == [spec(A), spec(CHANGED), spec(BACKBONE)] and not files.problems


def test_a_damaged_result_is_named_and_missing_and_the_others_are_used(tmp_path):
    save(tmp_path, (A, 0), (B, 0), (BACKBONE, 0))
    stage = RunLayout(tmp_path).retrain
    stage.of_label(B, 0).result.write_text("{")
    trained = collect(RunLayout(tmp_path), SPACE)
    assert [str(genotype) for genotype in trained.genotypes] == [A] and trained.missing == (f"{B} seed 0",)
    (sentence,) = trained.damaged
    assert sentence.startswith(f"{stage.of_label(B, 0).result.relative_to(tmp_path)} is damaged (")
    assert sentence.endswith("; delete it and run 'dualfair retrain' again")
    stage.of_label(BACKBONE, 0).result.write_text("{")
    files = RunFiles(RunLayout(tmp_path))
    assert [*files.results(stage)] == [stage.of_label(A, 0).result] and len(files.problems) == 2
    assert len(collect(RunLayout(tmp_path), SPACE).damaged) == 1, "a backbone is none of the study's"


def test_a_run_without_trainings_is_an_error_and_one_that_only_asked_is_not(tmp_path):
    with pytest.raises(ValueError, match="has no retrained networks; run 'dualfair retrain' first"):
        collect(RunLayout(tmp_path), SPACE)
    plan(tmp_path, {(BACKBONE, 0): ("shelf",)})
    with pytest.raises(ValueError, match="has no retrained networks"):
        collect(RunLayout(tmp_path), SPACE)
    plan(tmp_path, {(A, 0): ("random",)})
    trained = collect(RunLayout(tmp_path), SPACE)
    assert (trained.genotypes, trained.results, trained.seeds, trained.missing) == ((), (), 0, (f"{A} seed 0",))


def test_the_result_of_another_folders_training_is_refused(tmp_path):
    for label, seed in ((A, 1), (B, 0), (CHANGED, 0)):
        path = RunLayout(tmp_path).retrain.of_label(A, 0).result
        path.parent.mkdir(parents=True, exist_ok=True)
        training_result(label, seed).write(path)
        with pytest.raises(
            ValueError, match=f"result.json: it is of {label} seed {seed}, not of this folder's network; delete it$"
        ):
            read_result(path)


def test_a_genotype_outside_of_the_space_is_damage_where_a_space_is_given(tmp_path):
    path = save_result(tmp_path, training_result("680-680:cosface"))
    assert read_result(path).training == spec("680-680:cosface")
    with pytest.raises(
        ValueError, match=r"result.json is damaged \(genotype '680-680:cosface' is not in space dpn81-shared"
    ):
        read_result(path, SPACE)


@pytest.mark.parametrize(("stage", "command"), [("retrain", "dualfair retrain"), ("short", "dualfair retrain --short")])
def test_a_damaged_result_names_the_command_that_makes_it_again(tmp_path, stage, command):
    path = save_result(tmp_path, training_result(A), stage)
    path.write_text("{}")
    with pytest.raises(ValueError, match=rf"'training' is missing in it\); delete it and run '{command}' again$"):
        read_result(path, SPACE)


def test_short_trainings_count_when_every_network_has_one(tmp_path):
    save(tmp_path, (A, 0), (B, 0))
    layout = RunLayout(tmp_path)
    trained = collect(layout, SPACE)
    save(tmp_path, (B, 0), stage="short")
    assert read_short(layout, trained, SPACE) == ()
    save(tmp_path, (A, 0), (C, 0), stage="short")
    assert [result.training for result in read_short(layout, trained, SPACE)] == [spec(A), spec(B)]
    layout.short.of_label(B, 0).result.write_text("")
    with pytest.raises(ValueError, match=r"short/.*/result.json is damaged .* run 'dualfair retrain --short' again"):
        read_short(layout, trained, SPACE)


def test_the_plan_remembers_in_order_why_each_training_was_asked_for(tmp_path):
    stage = plan(tmp_path, {(A, 0): ("front", "random"), (B, 0): ("even",)})
    plan(tmp_path, {(A, 1): ("named",), (B, 0): ("random",), (CHANGED, 0): ("named",)})
    jobs = json.loads(stage.plan.read_text())["jobs"]
    assert [(job["training"], job["seed"], job["samples"]) for job in jobs] == [
        (A, 0, ["front", "random"]),
        (B, 0, ["even", "random"]),
        (A, 1, ["named"]),
        (CHANGED, 0, ["named"]),
    ]
    kept = read_plan(stage)
    assert [job.training for job in kept.jobs] == [spec(A), spec(B), spec(A, 1), spec(CHANGED)]
    assert kept.samples() == {A: {"front", "random", "named"}, B: {"even", "random"}, CHANGED: {"named"}}
    before = stage.plan.read_bytes()
    plan(tmp_path, {(B, 0): ("even",)})
    assert stage.plan.read_bytes() == before


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ("[]", r"expected samples out of front, even, random, named, shelf, got \[\]"),
        ('["best"]', r"expected samples out of front, even, random, named, shelf, got \['best'\]"),
        ("7", "samples must be a list, got 7"),
        ("[7]", "samples must be a str, got 7"),
        ('"random"', "samples must be a list, got 'random'"),
    ],
)
def test_samples_that_are_none_are_a_damaged_plan_which_is_not_written_over(tmp_path, samples, message):
    stage = RunLayout(tmp_path).retrain
    stage.folder.mkdir()
    text = f'{{"jobs": [{{"training": "{A}", "seed": 0, "samples": {samples}}}]}}'
    stage.plan.write_text(text)
    with pytest.raises(ValueError, match=rf"plan.json is damaged \(jobs: {message}\); restore it"):
        read_plan(stage)
    with pytest.raises(ValueError, match=r"plan.json is damaged"):
        plan(tmp_path, {(B, 0): ("random",)})
    assert stage.plan.read_text() == text


def test_a_damaged_plan_is_named_and_what_has_begun_is_used(tmp_path):
    save(tmp_path, (A, 0))
    stage = RunLayout(tmp_path).retrain
    stage.plan.write_text("[]")
    stage.of_label(B, 0).folder.mkdir(parents=True)
    trained = collect(RunLayout(tmp_path), SPACE)
    assert [str(genotype) for genotype in trained.genotypes] == [A] and trained.missing == (f"{B} seed 0",)
    (sentence,) = trained.damaged
    assert sentence == "retrain/plan.json is damaged: it holds no names and values, but []"


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_results_and_plans_are_taken_or_named(tmp_path, data):
    """Any value at any place of a result and of a plan, and any cut."""
    save(tmp_path, (A, 0), (B, 0), (C, 0))
    result, stage = training_result(A, 0, on_both=scores(error=0.0)), RunLayout(tmp_path).retrain
    job = PlannedTraining(spec(A)).to_json()
    for path, value in ((stage.of_label(A, 0).result, result.to_json()), (stage.plan, {"jobs": [job]})):
        text = json.dumps(mutated(value, data))
        path.write_text(text[: data.draw(st.integers(0, len(text)))] if data.draw(st.booleans()) else text)
    trained = collect(RunLayout(tmp_path), SPACE)
    assert all("\n" not in text for text in trained.damaged)
    assert len(trained.genotypes) >= 2 and trained.seeds == 1


def test_a_result_is_of_the_space_also_where_its_file_writes_it_otherwise(tmp_path):
    """A short form of a genotype is that of all its blocks."""
    short = replace(training_result("101:cosface"), training=spec("101:cosface"))
    path = save_result(tmp_path, short)
    with pytest.raises(ValueError, match="it is of 101-101:cosface seed 0, not of this folder's network"):
        read_result(path, SPACE)


@pytest.mark.parametrize("other", [{"faces_fingerprint": "theirs"}, {"split_seed": 1}, {"group_column": "age"}])
def test_a_training_that_was_copied_from_a_run_on_other_people_is_a_problem_and_counts_as_missing(tmp_path, other):
    layout = RunLayout(tmp_path)
    save(tmp_path, (A, 0), (B, 0))
    config = train_config(faces_fingerprint="ours")
    layout.train.folder.mkdir()
    config.write(layout.train.config)
    for label, people in ((A, config.trained_on), (B, replace(config.trained_on, **other))):
        description = NetworkDescription(spec(label), "nano", (1, 1), 32, "cosface", 4, people)
        description.write(layout.retrain.of_label(label, 0).description)
    add_to_plan(layout.retrain, {spec(label): ["named"] for label in (A, B)})
    trained = collect(layout, SPACE)
    assert [str(genotype) for genotype in trained.genotypes] == [A] and trained.missing == (f"{B} seed 0",)
    (problem,) = trained.damaged
    assert problem.endswith("on other faces, or other people of them, than those of this run; delete its folder")
    stands = status(layout)
    (retrain,) = [stage for stage in stands.stages if stage.name == "retrain"]
    assert (retrain.state, retrain.done, retrain.total) == ("interrupted", 1, 2) and problem in stands.problems
