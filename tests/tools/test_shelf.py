"""Backbones from the shelf through the run's own recipe, changed recipes by name, and the study of both."""

import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from dualfair.commands.status import lines
from dualfair.evaluation.cost import macs, parameters
from dualfair.runs.status import status
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.trainings import collect, read_plan, read_samples, read_trainings
from dualfair.stages.selection import Selection
from dualfair.stages.survey import Survey, read_survey, surveys
from dualfair.studies.baselines.numbers import gather, study
from dualfair.studies.baselines.words import sentences, table
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.recipe import Recipe

BRIEFLY = ("--seeds", 1, "--checkpoint-every", 0)
SHELF = "timm.test_resnet:cosface,optimizer=adamw,lr=0.001"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def run(dualfair, made):
    """A run with one network retrained by its own recipe, one by a changed one, and a backbone of two seeds."""
    path = made / "run"
    if not path.exists():
        for words in (
            ("faces", "synth", "--out", made / "faces", "--identities", 24, "--images", 4, "--size", 32),
            ("train", "--faces", made / "faces", "--out", path, "--size", 32, "--epochs", 0.5,
             "--batch", 16),
            ("search", "--run", path, "--population", 4, "--generations", 1, "--calibrate", 16),
            ("retrain", "--run", path, "--genotype", "101:cosface", "--epochs", 2, "--batch", 24, *BRIEFLY),
            ("retrain", "--run", path, "--genotype", "101:cosface", "--lr", 0.05, *BRIEFLY),
            ("retrain", "--run", path, "--backbone", "test_resnet", "--head", "cosface", "--optimizer", "adamw",
             "--lr", 0.001, "--seeds", 2),
        ):  # fmt: skip
            result = dualfair(*words)
            assert result.status == 0, result.err
        assert f"{SHELF}  2" in result.out and f"Next: dualfair shelf --run {path}" in result.out
    return path


def run_of(path):
    from dualfair.runs.directory import RunDirectory

    return SimpleNamespace(directory=RunDirectory(path), setting=SimpleNamespace(space=dpn_space("dpn81", 4)))


def test_trainings_are_named_after_what_differs_from_the_recorded_recipe(run):
    genotype = "101-101-101-101:cosface"
    assert read_plan(run / "retrain") == [(genotype, 0), (f"{genotype},lr=0.05", 0), (SHELF, 0), (SHELF, 1)]
    samples = {job["genotype"]: job["samples"] for job in json.loads((run / "retrain/plan.json").read_text())["jobs"]}
    assert samples == {genotype: ["named"], f"{genotype},lr=0.05": ["named"], SHELF: ["shelf"]}
    folder = run / "retrain" / SHELF.replace(":", "_")
    result = json.loads((folder / "seed-1/result.json").read_text())
    assert (result["genotype"], result["seed"]) == (SHELF, 1) and 0 <= result["test"]["error"] <= 1
    own = json.loads((run / "retrain/101-101-101-101_cosface/seed-0/result.json").read_text())
    skeleton = skeleton_of("nano").resized(32)
    assert (own["params"], own["macs"]) == (parameters(genotype, skeleton), macs(genotype, skeleton))
    assert result["params"] > 300_000 and result["macs"] > 10**6
    assert json.loads((folder / "seed-1/network.json").read_text())["genotype"] == SHELF


def test_the_ranking_study_sees_only_searched_networks_by_the_recorded_recipe(run):
    trained = collect(run_of(run))
    assert [*map(str, trained.genotypes)] == ["101-101-101-101:cosface"]
    assert (trained.missing, trained.damaged, trained.left_out) == ((), (), ())
    assert [*read_samples(run / "retrain")] == ["101-101-101-101:cosface"]
    everything = read_trainings(run / "retrain", [])
    plain = "101-101-101-101:cosface"
    labels = {plain: 0, f"{plain},lr=0.05": 0, SHELF: 1}
    assert {str(training) for training in everything} == {
        f"{label} seed {seed}" for label, last in labels.items() for seed in range(last + 1)
    }
    assert all(result["genotype"] == training.label for training, result in everything.items())


def test_a_changed_recipe_trains_another_network(run):
    everything = {str(training): result for training, result in read_trainings(run / "retrain", []).items()}
    plain, changed = everything["101-101-101-101:cosface seed 0"], everything["101-101-101-101:cosface,lr=0.05 seed 0"]
    assert plain["validation"] != changed["validation"]


def test_selected_networks_are_still_refused_another_recipe(dualfair, run):
    result = dualfair("retrain", "--run", run, "--lr", 0.05, "--epochs", 2, "--batch", 24)
    assert result.status == 2 and "made with another configuration: lr = 0.1 there, 0.05 here" in result.err


def test_the_status_counts_and_names_trainings_by_their_labels(run, tmp_path):
    shutil.copytree(run.parent, tmp_path / "copy")
    run = tmp_path / "copy/run"
    folder = run / "retrain" / SHELF.replace(":", "_") / "seed-0"
    (folder / "result.json").unlink()
    stage = next(stage for stage in status(run).stages if stage.name == "retrain")
    steps = TrainingSpec.parse(f"{SHELF} seed 0")
    assert stage.half_done == (f"{steps} at step 4 of 4",) and (stage.done, stage.total) == (3, 4)
    (run / "retrain/plan.json").unlink()
    text = "\n".join(lines(status(run)))
    assert f"half done: {SHELF} seed 0 at step 4 of 4" in text


def test_the_same_command_goes_on_and_trains_nothing_twice(dualfair, run, tmp_path):
    shutil.copytree(run.parent, tmp_path / "copy")
    run = tmp_path / "copy/run"
    first, second = (run / "retrain" / SHELF.replace(":", "_") / f"seed-{seed}/result.json" for seed in (0, 1))
    before, stamp = json.loads(first.read_text()), second.stat().st_mtime_ns
    first.unlink()
    words = ("--backbone", "test_resnet", "--head", "cosface", "--optimizer", "adamw", "--lr", 0.001, "--seeds", 2)
    result = dualfair("retrain", "--run", run, *words)
    assert result.status == 0 and "continuing from step 4" in result.out
    after = json.loads(first.read_text())
    assert {**after, "seconds": 0} == {**before, "seconds": 0} and second.stat().st_mtime_ns == stamp


def test_a_shelf_networks_folder_is_evaluated_like_one_of_ours(dualfair, run, tmp_path):
    folder = run / "retrain" / SHELF.replace(":", "_") / "seed-1"
    faces, out = run.parent / "faces", tmp_path / "out"
    result = dualfair("evaluate", "--network", folder, "--faces", faces, "--out", out, "--resamples", 10)
    assert result.status == 0, result.err
    assert f"Evaluate: {SHELF} on the test people" in result.out


def test_the_shelf_is_studied_drawn_and_said(dualfair, run):
    result = dualfair("shelf", "--run", run, "--resamples", 50)
    assert result.status == 0, result.err
    assert "Shelf: 2 searched networks and 1 backbones with a head, judged alike" in result.out
    assert "cannot be told with so few seeds" in result.out
    report = json.loads((run / "shelf/shelf.json").read_text())
    assert report["measures"][:2] == ["error", "rank_disparity"] and len(report["measures"]) == 5
    with open(run / "shelf/shelf.csv") as file:
        rows = {row["network"]: row for row in csv.DictReader(file)}
    errors = [
        json.loads(path.read_text())["test"]["error"]
        for path in run.glob(f"retrain/{SHELF.replace(':', '_')}/*/result.json")
    ]
    assert float(rows[SHELF]["test error mean"]) == pytest.approx(np.mean(errors))
    assert float(rows[SHELF]["test error standard error"]) == pytest.approx(abs(errors[0] - errors[1]) / 2)
    with Image.open(run / "shelf/shelf.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--backbone", "resnet10"), "has no backbone 'resnet10'; close to it: resnet10t"),
        (("--backbone", "resnet18.a1_in1k"), "without the tag of pretrained weights"),
        (("--backbone", "dla46x_c", "--head", "softmax"), "unknown head 'softmax'"),
        (("--head", "cosface"), "--head belongs to --backbone and --survey"),
        (("--short", "--backbone", "resnet18"), "leave --genotype, --backbone and --survey out"),
        (("--survey", "nowhere.toml"), "survey nowhere.toml cannot be read"),
        (("--genotype", "101:cosface", "--optimizer", "../x"), "cannot be part of a training's name"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(dualfair, run, words, said):
    before = read_plan(run / "retrain")
    result = dualfair("retrain", "--run", run, *words)
    assert result.status == 2 and said in result.err and result.err.count("\n") == 1
    assert read_plan(run / "retrain") == before


def leader(tmp_path, size=32):
    said = []
    processes = SimpleNamespace(leads=True, broadcast=lambda text: text)
    skeleton, space = skeleton_of("nano").resized(size), dpn_space("dpn81", 4)
    directory = SimpleNamespace(path=tmp_path, say=said.append)
    return SimpleNamespace(
        processes=processes, directory=directory, setting=SimpleNamespace(skeleton=skeleton, space=space)
    ), said


def test_a_survey_is_every_backbone_with_every_head_by_every_recipe(tmp_path):
    run, said = leader(tmp_path, 48)
    recipes = ((("optimizer", "sgd"), ("lr", 0.1)), (("optimizer", "adamw"), ("lr", 0.001)))
    survey = Survey(("test_resnet", "dla46x_c", "nothing_such"), ("arcface", "cosface"), recipes)
    found = Selection(survey=survey).trainings(run, Recipe(epochs=3.0), Recipe())
    assert [training.label for training in found] == [
        "timm.test_resnet:arcface,epochs=3",
        "timm.test_resnet:arcface,epochs=3,optimizer=adamw,lr=0.001",
        "timm.test_resnet:cosface,epochs=3",
        "timm.test_resnet:cosface,epochs=3,optimizer=adamw,lr=0.001",
    ]
    assert [line.split("(")[0] for line in said] == [
        "Left out: backbone 'dla46x_c' cannot be built for images of 48 px ",
        said[1],
    ]
    assert "has no backbone 'nothing_such'" in said[1] and set(found.values()) == {("shelf",)}
    with pytest.raises(ValueError, match="none of the survey's backbones can be built"):
        Selection(survey=Survey(("nothing_such",), ("cosface",))).trainings(run, Recipe(), Recipe())


def test_the_surveys_that_come_along_name_backbones_that_timm_has():
    import timm

    known = set(timm.list_models())
    assert surveys() == ["small", "study"]
    for name, least in (("small", 6), ("study", 28)):
        survey = read_survey(name)
        assert len(survey.backbones) >= least and set(survey.backbones) <= known
        assert [dict(row) for row in survey.recipes] == [
            {"optimizer": "sgd", "lr": 0.1},
            {"optimizer": "adamw", "lr": 0.001},
        ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backbone = ['a']", "unknown name 'backbone'; known: backbones, heads, recipes"),
        ("heads = ['cosface']", "backbones must be a list of names"),
        ("backbones = ['a']\nheads = ['softmax']", "unknown head 'softmax'"),
        ("backbones = ['a']\n[[recipes]]\nrate = 1", "unknown recipe option 'rate'"),
        ("backbones = ['a']\n[[recipes]]\nlr = -1.0", "lr must be above 0, got -1.0"),
        ("backbones = ['a']\nrecipes = 3", "recipes must be tables"),
        ("backbones = [", "is not TOML"),
    ],
)
def test_a_survey_that_makes_no_sense_is_refused(tmp_path, text, said):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ValueError, match=rf"survey .*s\.toml.*{said}"):
        read_survey(str(tmp_path / "s.toml"))


def results_of(values):
    """Results by training; `values[label]` are (error, disparity) of every seed, on validation and on test people."""
    found = {}
    for label, rows in values.items():
        for seed, (validation, test) in enumerate(rows):
            splits = {
                split: {"error": pair[0], "disparity": pair[1], "measures": {"error": pair[0], "own": pair[1]}}
                for split, pair in (("validation", validation), ("test", test))
            }
            found[TrainingSpec.of_label(label, seed)] = splits
    return found


def scattered(labels, seeds=4):
    rng = np.random.default_rng(0)
    return {
        label: [((n + d, n + e), (n + e, 9 - n + d)) for d, e in 0.1 * rng.random((seeds, 2))]
        for n, label in enumerate(labels)
    }


LABELS = ["101:cosface", "101:arcface,lr=0.05", "680:magface", "timm.a:cosface", "timm.b:cosface,lr=0.05"]


def test_the_study_takes_our_front_from_validation_people_and_judges_it_on_test_people():
    """By validation people 101:cosface alone is our front; on test people all networks trade error for disparity."""
    networks, measures = gather(results_of(scattered(LABELS)), "gap")
    report = study(networks, measures, resamples=100)
    assert measures == ("error", "gap", "own")
    assert report["dominance"]["gap"]["our front"] == ["101:cosface"]
    assert report["dominance"]["gap"]["verdict"] == "does not dominate"
    assert [network["network"] for network in report["networks"]] == LABELS
    assert report["fronts"]["test"]["gap"] == LABELS and report["fronts"]["validation"]["gap"] == LABELS[:1]
    said = "\n".join(sentences({**report, "damaged": ["x: damaged"]}))
    assert "does not dominate every backbone (probability 0.00; at least 4 seeds of ours, 4 of the shelf)" in said
    assert said.endswith("x: damaged") and "attention" not in said
    # Two backbones, and two disparities: one by one for the first of these alone.
    assert said.count("by some network of ours") == 2 and "for the other disparities: shelf.json" in said
    report["networks"][0]["network"] += ",epochs=3"
    assert "attention: 1 of them were trained for other numbers of epochs" in "\n".join(
        sentences({**report, "damaged": []})
    )


def test_the_correlation_is_spearmans_and_the_better_half_is_chosen_on_validation_people():
    networks, measures = gather(results_of(scattered(LABELS)), "gap")
    found = study(networks, measures, resamples=50)["correlations"]["test"]["gap"]
    means = [(network.mean("test", "error"), network.mean("test", "gap")) for network in networks]
    assert (
        found["all"]["value"] == pytest.approx(spearmanr(*zip(*means, strict=True)).statistic)
        and found["all"]["n"] == 5
    )
    assert found["better half in error"]["n"] == 3 and found["shelf"]["value"] is None


def test_networks_that_beat_every_backbone_dominate_the_shelf():
    values = {"101:cosface": (0.1, 0.1), "timm.a:cosface": (0.5, 0.4), "timm.b:cosface": (0.3, 0.9)}
    results = {
        label: [((e + s / 100, d), (e + s / 100, d + s / 100)) for s in range(4)] for label, (e, d) in values.items()
    }
    report = study(*gather(results_of(results), "gap"), resamples=100)
    found = report["dominance"]["gap"]
    assert (found["verdict"], found["probability"]) == ("dominates", 1.0)
    assert {one["network"]: one["verdict"] for one in found["each"]} == dict.fromkeys(
        ("timm.a:cosface", "timm.b:cosface"), "dominates"
    )
    assert "dominates every backbone (probability 1.00" in "\n".join(sentences({**report, "damaged": []}))


def test_values_that_are_not_finite_are_undefined_and_left_out():
    values = scattered(LABELS)
    values["timm.a:cosface"][0] = ((0.1, 0.1), (0.1, float("nan")))
    report = study(*gather(results_of(values), "gap"), resamples=20)
    row = next(row for row in report["networks"] if row["network"] == "timm.a:cosface")
    assert row["test"]["gap"] == {"mean": None, "standard error": None}
    assert report["dominance"]["gap"]["left out"] == ["timm.a:cosface"]
    assert "timm.a:cosface" not in report["fronts"]["test"]["gap"]
    said = "\n".join(sentences({**report, "damaged": []}))
    assert "left out, values not finite: timm.a:cosface" in said and "undefined" in said
    assert json.dumps(report, allow_nan=False) and table(report)


def test_a_run_of_ours_alone_has_nothing_to_compare():
    report = study(*gather(results_of(scattered(LABELS[:3])), "gap"), resamples=20)
    assert report["dominance"]["gap"] is None
    assert "gap: nothing to compare" in "\n".join(sentences({**report, "damaged": []}))
