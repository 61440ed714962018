"""What a user names to be trained: genotypes, backbones of timm's and surveys of these, by recipes told by name."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from dualfair.evaluation.cost import macs, parameters
from dualfair.runs.layout import RunLayout
from dualfair.runs.records.training import BASELINE
from dualfair.runs.run_files import RunFiles, collect, read_plan
from dualfair.runs.standalone import open_standalone
from dualfair.runs.training_spec import TrainingSpec
from dualfair.stages import standalone_training
from dualfair.stages.recommendation import planned_trainings
from dualfair.stages.selection import Selection, Survey, read_survey, surveys
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import NonFinite

BRIEFLY = ("--seeds", 1, "--checkpoint-every", 0)
BACKBONE = "timm.test_resnet:cosface,optimizer=adamw,lr=0.001"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("selection")


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
        assert f"{BACKBONE}  2" in result.out and f"Next: dualfair shelf --run {path}" in result.out
    return path


def test_trainings_are_named_after_what_differs_from_the_recorded_recipe(run):
    genotype = "101-101-101-101:cosface"
    plan = read_plan(RunLayout(run).retrain)
    planned = [(genotype, 0), (f"{genotype},lr=0.05", 0), (BACKBONE, 0), (BACKBONE, 1)]
    assert [(job.training.label, job.training.seed) for job in plan.jobs] == planned
    samples = {genotype: {"named"}, f"{genotype},lr=0.05": {"named"}, BACKBONE: {"shelf"}}
    assert plan.samples() == samples
    folder = run / "retrain" / BACKBONE.replace(":", "_")
    result = json.loads((folder / "seed-1/result.json").read_text())
    assert (result["training"], result["seed"]) == (BACKBONE, 1) and 0 <= result["test"]["error"] <= 1
    own = json.loads((run / "retrain/101-101-101-101_cosface/seed-0/result.json").read_text())
    skeleton = skeleton_of("nano").resized(32)
    assert (own["params"], own["macs"]) == (parameters(genotype, skeleton), macs(genotype, skeleton))
    assert result["params"] > 300_000 and result["macs"] > 10**6
    assert json.loads((folder / "seed-1/network.json").read_text())["training"] == BACKBONE


def test_a_grown_network_is_trained_and_judged_beside_searched_ones(dualfair, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "faces").symlink_to(run.parent / "faces")
    path, grown = tmp_path / "run", "ir-d4-w4/1-1-1-1:cosface"
    result = dualfair("retrain", "--run", path, "--genotype", "ir-d4-w4/1:cosface", *BRIEFLY)
    assert result.status == 0 and f"Next: dualfair shelf --run {path}" in result.out, result.err
    assert read_plan(RunLayout(path).retrain).samples()[grown] == BASELINE
    trained = path / "retrain/ir-d4-w4.1-1-1-1_cosface/seed-0"
    written = json.loads((trained / "result.json").read_text())
    # Embeddings are as long as those of the run's own networks.
    skeleton = replace(skeleton_of("ir-d4-w4").resized(32), embedding=64)
    assert written["training"] == grown and written["params"] == parameters("1:cosface", skeleton)
    assert [*map(str, collect(RunLayout(path), dpn_space("dpn81", 4)).genotypes)] == ["101-101-101-101:cosface"]
    shelf = dualfair("shelf", "--run", path, "--resamples", 20)
    assert shelf.status == 0 and "2 searched networks, 1 grown network and 1 backbone with a head" in shelf.out
    shown = dualfair("show", trained)
    assert shown.status == 0 and f"trained as {grown} with seed 0" in shown.out
    opened = open_standalone(trained, torch.device("cpu"), print).network
    assert (opened.skeleton.name, opened.skeleton.embedding) == ("ir-d4-w4", 64)
    for wrong, line in (
        ("ir-d4-w4/1:nonsense", "unknown head 'nonsense'"),
        ("ir-d4-w4/1", "network 'ir-d4-w4/1' needs a head, as in mix-d21-w56/0:softmax"),
        ("ir-d3-w4/1:cosface", "a network of this family has 4 blocks or more, got 3"),
        ("ir-d4-w4/4:cosface", "has code 4; allowed: 0 to 3"),
    ):
        refused = dualfair("retrain", "--run", path, "--genotype", wrong, *BRIEFLY)
        assert refused.status == 2 and line in refused.err, refused.err


def test_the_ranking_study_sees_only_searched_networks_by_the_recorded_recipe(run):
    trained = collect(RunLayout(run), dpn_space("dpn81", 4))
    assert [*map(str, trained.genotypes)] == ["101-101-101-101:cosface"]
    assert (trained.missing, trained.damaged, trained.left_out) == ((), (), ())
    assert trained.samples == ({"named"},)
    everything = results_of(run)
    plain = "101-101-101-101:cosface"
    labels = {plain: 0, f"{plain},lr=0.05": 0, BACKBONE: 1}
    assert {*everything} == {f"{label} seed {seed}" for label, last in labels.items() for seed in range(last + 1)}


def results_of(run):
    files = RunFiles(RunLayout(run))
    return {str(result.training): result for result in files.results(files.layout.retrain).values()}


def test_a_changed_recipe_trains_another_network(run):
    everything = results_of(run)
    plain, changed = everything["101-101-101-101:cosface seed 0"], everything["101-101-101-101:cosface,lr=0.05 seed 0"]
    assert plain.validation != changed.validation


def test_selected_networks_are_still_refused_another_recipe(dualfair, run):
    result = dualfair("retrain", "--run", run, "--lr", 0.05, "--epochs", 2, "--batch", 24)
    assert result.status == 2 and "made with another configuration: lr = 0.1 there, 0.05 here" in result.err


def test_the_status_counts_trainings_by_their_labels(run, tmp_path):
    from dualfair.commands.looking import lines
    from dualfair.runs.status import status

    shutil.copytree(run.parent, tmp_path / "copy")
    run = tmp_path / "copy/run"
    folder = run / "retrain" / BACKBONE.replace(":", "_") / "seed-0"
    (folder / "result.json").unlink()
    stage = next(stage for stage in status(run).stages if stage.name == "retrain")
    assert stage.notes == ("1 half done",) and (stage.done, stage.total) == (3, 4)
    (run / "retrain/plan.json").unlink()
    text = "\n".join(lines(status(run)))
    assert "retrain    interrupted  3 trainings, of how many is not known; 1 half done" in text


def test_the_same_command_goes_on_and_trains_nothing_twice(dualfair, run, tmp_path):
    shutil.copytree(run.parent, tmp_path / "copy")
    run = tmp_path / "copy/run"
    first, second = (run / "retrain" / BACKBONE.replace(":", "_") / f"seed-{seed}/result.json" for seed in (0, 1))
    before, stamp = json.loads(first.read_text()), second.stat().st_mtime_ns
    first.unlink()
    words = ("--backbone", "test_resnet", "--head", "cosface", "--optimizer", "adamw", "--lr", 0.001, "--seeds", 2)
    result = dualfair("retrain", "--run", run, *words)
    assert result.status == 0 and "continuing from step 4" in result.out
    after = json.loads(first.read_text())
    assert {**after, "seconds": 0} == {**before, "seconds": 0} and second.stat().st_mtime_ns == stamp


def test_a_backbone_that_leaves_the_finite_numbers_is_left_out_and_the_others_are_trained(
    dualfair, run, tmp_path, monkeypatch
):
    shutil.copytree(run.parent, tmp_path / "copy")
    run = tmp_path / "copy/run"
    (tmp_path / "s.toml").write_text(
        "backbones = ['test_resnet', 'test_efficientnet']\nheads = ['cosface']\nrecipes = [{epochs = 0.1}]\n"
        "published_rate_with = ['adamw']\n[published]\ntest_resnet = {optimizer = 'adam', lr = 0.4, epochs = 0.1}\n"
    )
    begun = standalone_training.run_training

    def diverge(trainer, *args, **kwargs):
        if trainer.recipe.optimizer == "adam":
            raise NonFinite("20 steps in a row\nwere skipped")
        return begun(trainer, *args, **kwargs)

    monkeypatch.setattr(standalone_training, "run_training", diverge)
    result = dualfair("retrain", "--run", run, "--survey", tmp_path / "s.toml", "--seeds", 1)
    assert result.status == 0, result.err
    label = "timm.test_resnet:cosface,epochs=0.1,optimizer=adam,lr=0.4"
    failed = run / "retrain" / label.replace(":", "_") / "seed-0/failed.json"
    line = f"Left out: {label} seed 0 has no result, 20 steps in a row were skipped; delete {failed} to try again"
    assert line in result.out.splitlines() and json.loads(failed.read_text()) == {
        "failed": "20 steps in a row were skipped"
    }
    others = [f"timm.{name}:cosface,epochs=0.1" for name in ("test_efficientnet", "test_resnet")]
    others += ["timm.test_resnet:cosface,epochs=0.1,optimizer=adamw,lr=0.4"]
    trained = {str(result.training) for result in RunFiles(RunLayout(run)).results(RunLayout(run).retrain).values()}
    assert {f"{label} seed 0" for label in others} <= trained
    assert "1 failed, without a result" in dualfair("status", run).out
    files = RunFiles(RunLayout(run))
    planned_trainings(files, files.results(RunLayout(run).retrain).values())
    assert not files.problems
    again = dualfair("retrain", "--run", run, "--survey", tmp_path / "s.toml", "--seeds", 1)
    assert again.status == 0 and line in again.out.splitlines()
    alone = ("--backbone", "test_resnet", "--head", "cosface", "--epochs", 0.1, "--optimizer", "adam", "--lr", 0.4)
    refused = dualfair("retrain", "--run", run, *alone, "--seeds", 1)
    assert refused.status == 2 and "none of these trainings has a result; take other recipes" in refused.err


def test_the_survey_of_the_study_has_the_published_recipes():
    survey = read_survey("study")
    assert {*survey.published} == {*survey.backbones}
    by_name = {name: [dict(row) for row in survey.recipes_of(name)] for name in survey.backbones}
    assert by_name["dpn107"] == [
        {"optimizer": "sgd", "lr": 0.1},
        {"optimizer": "adamw", "lr": 0.001},
        {"optimizer": "sgd", "lr": 0.001, "weight_decay": 0.0001},
        {"optimizer": "sgd", "lr": 0.001, "weight_decay": 0.0001},
        {"optimizer": "adamw", "lr": 0.001, "weight_decay": 0.0001},
    ]
    different = [
        len({TrainingSpec(Backbone(name, "cosface"), row) for row in survey.recipes_of(name)}) for name in by_name
    ]
    assert {*different} == {4, 5}


def test_a_shelf_networks_folder_is_evaluated_like_one_of_ours(dualfair, run, tmp_path):
    folder = run / "retrain" / BACKBONE.replace(":", "_") / "seed-1"
    faces, out = run.parent / "faces", tmp_path / "out"
    result = dualfair("evaluate", "--network", folder, "--faces", faces, "--out", out, "--resamples", 10)
    assert result.status == 0, result.err
    assert f"Evaluate: {BACKBONE} on the test people" in result.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--backbone", "resnet10"), "has no backbone 'resnet10'; close to it: resnet10t"),
        (("--backbone", "resnet18.a1_in1k"), "without the tag of pretrained weights"),
        (("--backbone", "dla46x_c", "--head", "normface"), "unknown head 'normface'"),
        (("--head", "cosface"), "--head belongs to --backbone and --survey"),
        (("--short", "--backbone", "resnet18"), "leave --genotype, --backbone and --survey out"),
        (("--survey", "nowhere.toml"), "survey nowhere.toml cannot be read"),
        (("--genotype", "101:cosface", "--optimizer", "../x"), "cannot be part of a training's name"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(dualfair, run, words, said):
    before = read_plan(RunLayout(run).retrain)
    result = dualfair("retrain", "--run", run, *words)
    assert result.status == 2 and said in result.err and result.err.count("\n") == 1
    assert read_plan(RunLayout(run).retrain) == before


def leader(tmp_path, size=32):
    said = []
    processes = SimpleNamespace(leads=True, broadcast=lambda text: text)
    skeleton, space = skeleton_of("nano").resized(size), dpn_space("dpn81", 4)
    directory = SimpleNamespace(layout=RunLayout(tmp_path), say=said.append)
    return SimpleNamespace(
        processes=processes, directory=directory, setting=SimpleNamespace(skeleton=skeleton, space=space)
    ), said


def test_a_survey_is_every_backbone_with_every_head_by_every_recipe(tmp_path):
    run, said = leader(tmp_path, 48)
    recipes = ((("optimizer", "sgd"), ("lr", 0.1)), (("optimizer", "adamw"), ("lr", 0.001)))
    survey = Survey(("test_resnet", "dla46x_c", "nothing_such"), ("arcface", "cosface"), recipes)
    trainings = Selection(survey=survey).trainings(run, Recipe(epochs=3.0), Recipe())
    assert [training.label for training in trainings] == [
        "timm.test_resnet:arcface,epochs=3",
        "timm.test_resnet:arcface,epochs=3,optimizer=adamw,lr=0.001",
        "timm.test_resnet:cosface,epochs=3",
        "timm.test_resnet:cosface,epochs=3,optimizer=adamw,lr=0.001",
    ]
    assert [line.split("(")[0] for line in said] == [
        "Left out: backbone 'dla46x_c' cannot be built for images of 48 px ",
        said[1],
    ]
    assert "has no backbone 'nothing_such'" in said[1] and set(trainings.values()) == {BASELINE}
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
    ("text", "heads"), [("", ["softmax"]), ("heads = ['cosface', 'magface']", ["cosface", "magface"])]
)
def test_a_survey_without_heads_takes_those_of_the_run(tmp_path, monkeypatch, text, heads):
    (tmp_path / "s.toml").write_text(f"backbones = ['test_resnet']\n{text}")
    monkeypatch.setattr("dualfair.stages.selection._buildable", lambda run, named, surveyed: surveyed)
    run = SimpleNamespace(setting=SimpleNamespace(space=dpn_space("dpn81", 4, heads=("softmax",))))
    trainings = Selection(survey=read_survey(str(tmp_path / "s.toml"))).trainings(run, Recipe(), Recipe())
    assert [training.network.head for training in trainings] == heads


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backbone = ['a']", "unknown name 'backbone'; known: backbones, heads, recipes"),
        ("heads = ['cosface']", "backbones must be a list of names"),
        ("backbones = ['a']\nheads = ['normface']", "unknown head 'normface'"),
        ("backbones = ['a']\n[[recipes]]\nrate = 1", "unknown recipe field 'rate'"),
        ("backbones = ['a']\n[[recipes]]\nlr = -1.0", "lr must be above 0, got -1.0"),
        ("backbones = ['a']\nrecipes = 3", "recipes must be tables"),
        ("backbones = [", "is not TOML"),
        ("backbones = ['a']\npublished = 3", "published must be a table of recipe options by backbone"),
        ("backbones = ['a']\n[published]\nb = {lr = 0.1}", "published names 'b', which is none of the backbones"),
        ("backbones = ['a']\n[published]\na = {rate = 0.1}", "unknown recipe field 'rate'"),
        ("backbones = ['a']\npublished_rate_with = 'sgd'", "published_rate_with must be a list of names"),
    ],
)
def test_a_survey_that_makes_no_sense_is_refused(tmp_path, text, said):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ValueError, match=rf"survey .*s\.toml.*{said}"):
        read_survey(str(tmp_path / "s.toml"))
