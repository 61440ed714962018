"""Where the files of a run lie: names that other programs may rely on."""

from pathlib import Path

import pytest

from dualfair.runs.layout import STAGES, CorrelateLayout, RunLayout
from dualfair.runs.training_spec import TrainingSpec

RUN = RunLayout(Path("run"))
TRAINING = RUN.retrain.training(TrainingSpec.of_label("timm.resnet18:cosface,lr=0.5", 3))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (RUN.log, "log.txt"),
        (RUN.lock, "lock.json"),
        (RUN.train.config, "train/config.json"),
        (RUN.train.commands, "train/commands.jsonl"),
        (RUN.train.tensorboard, "train/tensorboard"),
        (RUN.search.scores, "search/scores.sqlite"),
        (RUN.search.front, "search/front.json"),
        (RUN.search.front_table, "search/front.csv"),
        (RUN.search.scores_table, "search/scores.csv"),
        (RUN.search.hypervolume_table, "search/hypervolume.csv"),
        (RUN.search.figure, "search/front.png"),
        (RUN.search.reliability, "search/reliability.json"),
        (RUN.search.latencies, "search/latency.json"),
        (RUN.retrain.plan, "retrain/plan.json"),
        (RUN.short.plan, "short/plan.json"),
        (TRAINING.result, "retrain/timm.resnet18_cosface,lr=0.5/seed-3/result.json"),
        (TRAINING.failure, "retrain/timm.resnet18_cosface,lr=0.5/seed-3/failed.json"),
        (TRAINING.description, "retrain/timm.resnet18_cosface,lr=0.5/seed-3/network.json"),
        (TRAINING.tensorboard, "retrain/timm.resnet18_cosface,lr=0.5/seed-3/tensorboard"),
        (RUN.correlate.ranking, "correlate/ranking.json"),
        (RUN.correlate.figure, "correlate/ranking.png"),
        (CorrelateLayout(Path("run/mine")).ranking, "mine/ranking.json"),
    ],
)
def test_every_file_has_its_place(path, expected):
    assert path == Path("run") / expected


def test_the_stages_are_folders_by_their_names():
    assert [stage.folder for stage in RUN.stages()] == [Path("run") / name for name in STAGES]
    assert [stage.name for stage in RUN.stages()] == list(STAGES)


@pytest.mark.parametrize("name", ["config.json", "commands.jsonl"])
def test_a_stage_has_begun_with_its_first_file(tmp_path, name):
    stage = RunLayout(tmp_path).train
    stage.folder.mkdir()
    assert not stage.begun
    (stage.folder / name).touch()
    assert stage.begun


def test_trainings_are_the_folders_that_are_named_so_in_order(tmp_path):
    stage = RunLayout(tmp_path).retrain
    labels = [("101-101:cosface", 10), ("101-101:cosface", 2), ("timm.resnet18:arcface,lr=0.5", 0)]
    for label, seed in labels:
        stage.of_label(label, seed).folder.mkdir(parents=True)
    stage.of_label(*labels[0]).result.touch()
    for foreign in ("seed-0", "101-101_cosface/seed-01", "101-101_cosface/seed--1", "101-101_cosface/seed-x",
                    "101-101_cosface/seed-0.bak", "101-101_cosface/seed-1234567890", "101-101_cosface/notes",
                    "other/deeper/seed-0"):  # fmt: skip
        (stage.folder / foreign).mkdir(parents=True)
    (stage.folder / "101-101_cosface/seed-7").touch()
    # A folder of no training's name, which a damaged name may be, is there to be told of.
    (stage.folder / "9x9_cosface/seed-0").mkdir(parents=True)
    assert stage.begun_trainings() == [labels[0], labels[1], ("9x9:cosface", 0), labels[2]]
    assert stage.folders() == [stage.of_label(label, seed).folder for label, seed in stage.begun_trainings()]
    assert list(stage.results()) == [stage.of_label(*labels[0]).result]


def test_a_stage_that_has_not_begun_has_no_trainings(tmp_path):
    stage = RunLayout(tmp_path).short
    assert stage.folders() == [] == stage.begun_trainings() and not list(stage.results()) and not stage.begun


def test_the_folder_of_a_label_is_that_of_its_training():
    for label in ("101-101:cosface", "timm.swin_base_patch4_window7_224:magface,epochs=3,flip=no"):
        training = TrainingSpec.of_label(label, 12)
        assert RUN.retrain.of_label(training.label, training.seed) == RUN.retrain.training(training)
