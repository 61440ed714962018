"""`dualfair plan`: what it prints, what it refuses, and that the numbers of its file are those it prints."""

import dataclasses
import json

import pytest

from dualfair import generate_faces
from dualfair.planning.counts import LabelledCounts
from dualfair.planning.options import PlanOptions, duration
from dualfair.planning.workload import planned_workload
from dualfair.runs.options import ProtocolOptions, RetrainOptions, SearchOptions, TrainOptions
from dualfair.runs.trained_run import open_setting
from dualfair.supernet.images.store import open_store
from dualfair.supernet.training.recipe import Recipe
from tests.support.faces import labelled_manifest_of, labelled_store_of

COUNTED = ("--image-count", "90", "--identity-count", "9")
CONFIGS = (TrainOptions, Recipe, SearchOptions, ProtocolOptions, RetrainOptions)


@pytest.fixture(scope="module")
def small_faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "faces"
    generate_faces(folder, identities=20, images=4, size=32)
    return folder


@pytest.mark.slow
def test_a_plan_of_faces_prints_what_it_writes(dualfair, small_faces, tmp_path):
    file = tmp_path / "plan.json"
    words = ("--faces", small_faces, "--size", 32, "--epochs", 2, "--batch", 8, "--population", 4, "--generations", 2)
    more = ("--calibrate", 16, "--controls", 0, "--seconds", 0.2, "--devices", 2, "--json", file)
    shown = dualfair("plan", *words, *more)
    assert shown.status == 0, shown.err
    numbers = json.loads(file.read_text())
    stages = {stage["name"]: stage for stage in numbers["stages"]}
    assert list(stages) == ["train", "search", "retrain"]
    assert stages["train"]["work"] == "12 steps of 9 paths x 8 images (strict)"
    assert "48 training images of 12 people, 16 of validation, 16 of test" in shown.out
    for name, stage in stages.items():
        assert f"{name:<10} {stage['work']}" in shown.out
        row = next(
            line
            for line in shown.out.splitlines()
            if line.startswith(name + " ") and "range" not in line and stage["work"] not in line
        )
        for seconds in (*stage["seconds"].values(), stage["wall_seconds"]["middle"]):
            assert duration(seconds) in row
        assert not stage["flops"] or f"{stage['flops']:.2g}" in row
    assert "Steps of the supernet go path by path (a CPU gains nothing by all paths at once)" in shown.out
    assert f"Energy: {numbers['kwh']['middle']:.2g} (" in shown.out
    assert "2 devices: training data parallel at efficiency 0.9" in shown.out


def test_the_trainer_agrees_with_the_plan(dualfair, small_faces, tmp_path):
    options = ("--size", 32, "--epochs", 1.5, "--batch", 10)
    trained = dualfair("train", "--faces", small_faces, "--out", tmp_path / "run", *options)
    given = {"size": 32, "epochs": 1.5, "batch": 10}
    workload = planned_workload(small_faces, given, None, PlanOptions())
    assert f"{workload.supernet_steps:,} steps of {workload.paths} paths x 10 images" in trained.out


def test_the_people_kept_to_confirm_are_not_those_of_the_search(small_faces):
    given = {"size": 32, "split": "0.4,0.4,0.2", "batch": 8}
    setting = open_setting(TrainOptions(size=32, split="0.4,0.4,0.2"), open_store(small_faces))
    kept = planned_workload(small_faces, given, None, PlanOptions())
    images = [len(setting.splits[name]) for name in ("validation", "confirmation")]
    assert [kept.faces.validation, kept.faces.confirmation] == images == [16, 16]
    assert kept.searched == 16 and kept.confirmations == 48
    everybody = planned_workload(small_faces, {**given, "confirm": 0.0}, None, PlanOptions())
    assert (everybody.searched, everybody.confirmations) == (32, 0)
    few = planned_workload(small_faces, {**given, "confirm": 0.0, "people": 4}, None, PlanOptions())
    assert (few.searched, few.faces.validation) == (16, 32)


def test_images_not_imported_yet_are_divided_by_the_same_shares():
    options = PlanOptions(image_count=900, identity_count=90, validation_images=400)
    half = planned_workload(None, {}, None, options)
    assert (half.searched, half.faces.confirmation, half.faces.test) == (200, 200, 400)
    quarter = planned_workload(None, {"confirm": 0.25, "people": 6, "random": 9}, None, options)
    assert (quarter.faces.validation, quarter.faces.confirmation, quarter.searched) == (300, 100, 60)
    assert quarter.networks == half.networks + 9


def test_labelled_images_not_imported_yet_have_classes_and_no_people():
    options = PlanOptions(image_count=900, class_count=10, validation_images=400)
    planned = planned_workload(None, {"people": 60}, None, options)
    assert isinstance(planned.faces, LabelledCounts) and planned.space.heads == ("softmax",)
    assert (planned.faces.classes, planned.searched, planned.faces.confirmation) == (10, 60, 200)
    assert (planned.answer_length, planned.embedding_lengths) == (10, (planned.skeleton.features,))


@pytest.mark.slow
@pytest.mark.parametrize("objectives", ["error,rank_disparity", "balanced_error,eod"])
def test_a_plan_of_labelled_images_counts_classes_and_no_mirrored_pass(dualfair, tmp_path, objectives):
    labelled_store_of(tmp_path / "images", labelled_manifest_of(120), size=32)
    words = ("--size", 32, "--batch", 8, "--population", 4, "--generations", 2, "--calibrate", 16, "--seconds", 0.2)
    shown = dualfair("plan", "--images", tmp_path / "images", *words, "--objectives", objectives)
    assert shown.status == 0, shown.err
    assert "72 training images of 3 classes, 12 of validation, 12 to confirm the front, 24 of test" in shown.out
    assert (
        "8 evaluations, each on 16 images for BN statistics and 12 others; 8 confirmed, each on 64 and 12" in shown.out
    )


def test_stages_follow_their_tables_of_the_preset_and_retraining_else_follows_training():
    options = PlanOptions(image_count=90_000, identity_count=5_000)
    by_preset = planned_workload(None, {}, "celeba", options)
    assert (by_preset.train.epochs, by_preset.retrain.epochs, by_preset.retrain.batch) == (60, 100, 64)
    assert (by_preset.search.population, by_preset.search.generations) == (64, 30)
    assert (by_preset.protocol.calibrate, by_preset.retraining.seeds) == (512, 4)
    typed = planned_workload(None, {"epochs": 7.0, "lr": 0.5}, None, options)
    assert (typed.train.epochs, typed.retrain.epochs, typed.retrain.lr) == (7, 7, 0.5)
    shorter = planned_workload(None, {"epochs": 7.0}, None, dataclasses.replace(options, retrain_epochs=3.0))
    assert (shorter.train.epochs, shorter.retrain.epochs) == (7, 3)


def test_every_option_of_the_stages_is_one_of_the_plan(dualfair):
    shown = " ".join(dualfair("plan", "--help").out.split())
    for config in (PlanOptions, *CONFIGS):
        for field in dataclasses.fields(config):
            assert "help" not in field.metadata or f"--{field.name.replace('_', '-')}" in shown, field.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*COUNTED, "--class-count", "3"), "give either --identity-count, or --class-count of labelled images"),
        ((), "give either --faces FOLDER, or of a set not imported yet --image-count N"),
        (("--faces", "{faces}", "--image-count", "9", "--identity-count", "3"), "give either --faces FOLDER"),
        (("--faces", "{faces}"), "stored at 32 px, the network takes 48 px"),
        (("--faces", "{tmp}/none"), "is no faces folder"),
        (("--image-count", "900"), "a set needs 1 or more people, got 0; see --identity-count"),
        (
            ("--image-count", "9", "--identity-count", "30"),
            "30 people need at least as many training images; there are 9",
        ),
        ((*COUNTED, "--space", "dpn9"), "unknown space 'dpn9'; choose from dpn81"),
        ((*COUNTED, "--sampler", "fair"), "unknown sampler 'fair'"),
        ((*COUNTED, "--exhaustive"), "leave out --exhaustive, or choose a -shared"),
        ((*COUNTED, "--devices", "0"), "devices must be 1 or more, got 0"),
        ((*COUNTED, "--efficiency", "2"), "efficiency must be above 0 and at most 1"),
        ((*COUNTED, "--seconds", "0"), "seconds must be above 0, got 0"),
        ((*COUNTED, "--device", "tpu"), "unknown device 'tpu'"),
        ((*COUNTED, "--batch", "99"), "a batch of 99 needs at least as many training"),
        ((*COUNTED, "--confirm", "1"), "confirm must be a share of the validation people"),
        ((*COUNTED, "--people", "3"), "people must be 0 (all) to 2, the people of 15"),
        ((*COUNTED, "--validation-images", "1", "--confirm", "0.9"), "1 or more validation images, got 0"),
        ((*COUNTED, "--random", "-1"), "controls and random 0 or more, got 2, 6 and -1"),
        (("--faces", "{faces}", "--size", "32", "--people", "5"), "people must be 0 (all) to 4, the people of these"),
        ((*COUNTED, "--ranks-per-job", "2"), "ranks_per_job must divide the 1 devices"),
    ],
)
def test_a_users_mistake_gets_one_clear_line(dualfair, small_faces, tmp_path, words, message):
    result = dualfair("plan", *(word.format(tmp=tmp_path, faces=small_faces) for word in words))
    assert result.status == 2 and message in result.err
    assert result.err.startswith("Error: ") and result.err.count("\n") == 1


def test_the_old_names_of_the_counts_lead_to_the_new_ones(dualfair):
    result = dualfair("plan", "--images", 900, "--identities", 90)
    assert result.status == 2 and "--identities" in result.err and "--identity-count" in result.err
