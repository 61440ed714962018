"""What TensorBoard is told, read back by TensorBoard's own reader: every step once, whatever was killed."""

import itertools
import math
import os
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from dualfair.evaluation.protocol import PUBLISHED, GroupScores
from dualfair.evolution.archive import Archive
from dualfair.evolution.nsga2 import evolve
from dualfair.presentation.boards import (
    EVENTS,
    FRONT_TAG,
    IMAGES_TAG,
    TrainingBoard,
    open_board,
    search_board,
    training_board,
    write_training_outcome,
)
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.watching import silent
from dualfair.stages.training import run_training
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.augmentation import augment
from dualfair.supernet.network import build
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.process_group import ProcessGroup
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.resuming import save
from dualfair.supernet.training.trainer import Progress, Trainer
from tests.support.records import scores

LOSS = "loss (nats), mean over the step's paths"
COLUMNS = ("error", "rank_disparity", "error of a", "error of b (other)")


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    return events.Reload()


def curves(folder):
    events = read(folder)
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def steps(folder):
    return {tag: [step for step, _ in points] for tag, points in curves(folder).items()}


def pictures(folder, tag):
    return [(event.step, event.encoded_image_string) for event in read(folder).Images(tag)]


def charts(folder):
    """Regular expressions of the custom charts by title; there is one layout."""
    (layout,) = read(folder).Tensors("custom_scalars__config__")
    parsed = layout_pb2.Layout.FromString(layout.tensor_proto.string_val[0])
    return {chart.title: chart.multiline.tag[0] for category in parsed.category for chart in category.chart}


def trainer_of(tiny, faces, **changed):
    torch.manual_seed(0)
    genotype = Genotype.parse("000-000-000:cosface")
    network = build(genotype, tiny, faces.identity_count)
    recipe = Recipe(epochs=2, batch=16, lr=0.01)
    return Trainer(network, faces, replace(recipe, **changed), seed=3)


def finish(trainer, folder):
    return run_training(trainer, folder, configuration="c", minutes=60, say=silent, images=4)


def killed(trainer, folder, at, saved=None):
    """A training that is gone behind step `at`, in the midst of writing, with a checkpoint of step `saved`."""
    with training_board(trainer, folder / "tensorboard", 4) as board:
        for progress in trainer.run(until=at):
            board.log(progress, 0.1)
            if progress.step == saved:
                save(trainer, folder, configuration="c")
    (events,) = (folder / "tensorboard").iterdir()
    os.truncate(events, events.stat().st_size - 5)


def test_a_training_with_a_board_is_bit_for_bit_that_without(tiny, faces, tmp_path):
    plain, shown = trainer_of(tiny, faces), trainer_of(tiny, faces)
    list(plain.run())
    before = torch.get_rng_state()
    finish(shown, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(plain.augmentation.get_state(), shown.augmentation.get_state())
    weights = shown.network.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in plain.network.state_dict().items())


def test_the_images_shown_are_what_the_network_sees_first(tiny, faces, tmp_path, monkeypatch):
    trainer = trainer_of(tiny, faces)
    seen = []

    def augment_seen(*given, **how):
        seen.append(augment(*given, **how))
        return seen[-1]

    monkeypatch.setattr("dualfair.supernet.training.trainer.augment", augment_seen)
    finish(trainer, tmp_path)
    ((step, png),) = pictures(tmp_path / "tensorboard", IMAGES_TAG)
    (tmp_path / "seen.png").write_bytes(png)
    grid = np.asarray(Image.open(tmp_path / "seen.png"))
    tiles = [grid[2 + 26 * row :, 2 + 26 * column :][:24, :24] for row in range(2) for column in range(2)]
    expected = ((seen[0][:4] * 0.5 + 0.5) * 255).permute(0, 2, 3, 1).numpy()
    assert step == 0 and np.abs(np.stack(tiles) - expected).max() <= 0.51


@pytest.mark.parametrize("saved", [None, 4])
def test_a_training_that_was_killed_has_every_step_once(tiny, faces, tmp_path, saved):
    killed(trainer_of(tiny, faces), tmp_path, at=7, saved=saved)
    finish(trainer_of(tiny, faces), tmp_path)
    finish(trainer_of(tiny, faces), tmp_path)
    board = tmp_path / "tensorboard"
    drawn = steps(board)
    assert {"learning rate", "speed (images per second)", LOSS, "embedding norm/cosface"} <= set(drawn)
    assert all(of_tag == list(range(1, 13)) for of_tag in drawn.values())
    assert len(pictures(board, IMAGES_TAG)) == 1
    assert len(list(board.iterdir())) == (2 if saved else 1)


def test_the_curve_is_that_of_a_training_that_was_never_killed(tiny, faces, tmp_path):
    killed(trainer_of(tiny, faces), tmp_path / "killed", at=7, saved=4)
    finish(trainer_of(tiny, faces), tmp_path / "killed")
    finish(trainer_of(tiny, faces), tmp_path / "whole")
    assert curves(tmp_path / "killed/tensorboard")[LOSS] == curves(tmp_path / "whole/tensorboard")[LOSS]


def test_points_are_brought_to_the_file_before_the_checkpoint_behind_them(tiny, faces, tmp_path, monkeypatch):
    done, flush = [], TrainingBoard.flush
    monkeypatch.setattr(TrainingBoard, "flush", lambda board: (flush(board), done.append("flush")))
    monkeypatch.setattr(
        "dualfair.stages.training.save", lambda *_, **__: done.append(steps(tmp_path / "tensorboard")[LOSS][-1])
    )
    run_training(trainer_of(tiny, faces), tmp_path, configuration="c", minutes=0, say=silent)
    assert done == [what for step in range(1, 13) for what in ("flush", step)]


def test_only_the_leading_rank_has_a_board(tiny, faces, tmp_path):
    trainer = trainer_of(tiny, faces)
    trainer.processes = ProcessGroup(rank=1, size=2)
    with training_board(trainer, tmp_path / "tensorboard", 4) as board:
        assert board is None
    assert not (tmp_path / "tensorboard").exists()


def test_a_long_training_is_thinned_to_what_can_be_shown(tiny, faces, tmp_path):
    trainer = trainer_of(tiny, faces)
    trainer.steps = 4567
    with open_board(tmp_path) as writer:
        board = TrainingBoard(writer, trainer)
        for step in range(1, 4568):
            board.log(Progress(step, 4567, 1.0, 0.1, {}, {}, 0, False), 0.5)
    drawn = steps(tmp_path)
    assert 700 < len(drawn[LOSS]) < 1000 and drawn[LOSS][0] == 1 and drawn[LOSS][-1] == 4567
    assert curves(tmp_path)["speed (images per second)"][0][1] == 32
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 400_000


def drawn_scores(genotypes):
    """Some values for every genotype, the same each time; a few are not finite."""
    drawn = [np.random.default_rng([*str(genotype).encode()]).integers(0, 20, len(COLUMNS)) for genotype in genotypes]
    return np.array([np.where(row[0] < 2, math.nan, row / 20) for row in drawn])


def run_search(folder, archive, generations, population=8, seed=0):
    with search_board(folder / "tensorboard", archive.columns, PUBLISHED) as log:
        return evolve(
            dpn_space("dpn81", 3),
            drawn_scores,
            population=population,
            generations=generations,
            seed=seed,
            archive=archive,
            progress=log,
        )


def archive_of(folder):
    return Archive(folder / "scores.sqlite", measurement="m", columns=COLUMNS)


def test_a_search_that_is_repeated_has_every_generation_once(tmp_path):
    archive = archive_of(tmp_path)
    run_search(tmp_path, archive, 3)
    first = curves(tmp_path / "tensorboard")
    run_search(tmp_path, archive, 5)
    board = tmp_path / "tensorboard"
    again = curves(board)
    assert again["hypervolume, higher is better"][:3] == first["hypervolume, higher is better"]
    assert all(drawn == [8, 16, 24, 32, 40] for drawn in steps(board).values())
    assert [step for step, _ in pictures(board, FRONT_TAG)] == [8, 16, 24, 32, 40]
    assert len(charts(board)) == 2 and len(list(board.iterdir())) == 1


def test_a_search_of_other_steps_leaves_none_of_the_one_before(tmp_path):
    archive = archive_of(tmp_path)
    run_search(tmp_path, archive, 5)
    run_search(tmp_path, archive, 2, population=13, seed=1)
    assert all(drawn == [13, 26] for drawn in steps(tmp_path / "tensorboard").values())


def test_a_repeated_search_draws_what_the_first_one_did_not_what_is_known_by_then(tmp_path):
    archive = archive_of(tmp_path)
    run_search(tmp_path, archive, 4)
    before = pictures(tmp_path / "tensorboard", FRONT_TAG), curves(tmp_path / "tensorboard")
    run_search(tmp_path, archive, 4)
    assert pictures(tmp_path / "tensorboard", FRONT_TAG) == before[0]
    after = curves(tmp_path / "tensorboard")
    assert {tag for tag in after if after[tag] != before[1][tag]} == {"known before (networks)"}


def test_groups_of_the_best_networks_are_in_one_chart_each(tmp_path):
    result = run_search(tmp_path, archive_of(tmp_path), 4)
    drawn = curves(tmp_path / "tensorboard")
    chart = charts(tmp_path / "tensorboard")
    best = {
        "network of least error": lambda row: (row[0], row[1]),
        "network of least rank disparity": lambda row: (row[1], row[0]),
    }
    for generation, (name, key) in itertools.product(range(4), best.items()):
        so_far = [evaluation.values for evaluation in result.evaluated[: 8 * generation + 8]]
        row = min((row for row in so_far if not math.isnan(row[0])), key=key)
        shown = {"all people": row[0], "a": row[2], "b [other]": row[3]}
        tags = {f"{name}/error of {group}, share of probes": value for group, value in shown.items()}
        assert {tag for tag in drawn if re.match(chart[f"error by group: {name}"], tag)} == set(tags)
        for tag, value in {**tags, f"{name}/rank disparity": row[1]}.items():
            # TensorBoard matches tags with round brackets there, but does not draw them.
            assert "(" not in tag and drawn[tag][generation] == (8 * generation + 8, pytest.approx(value))
    assert any(math.isnan(evaluation.values[0]) for evaluation in result.evaluated)


def test_a_search_of_many_batches_has_pictures_of_some(tmp_path, monkeypatch):
    monkeypatch.setattr("dualfair.presentation.boards.PICTURES", 3)
    run_search(tmp_path, archive_of(tmp_path), 7)
    assert [step // 8 for step, _ in pictures(tmp_path / "tensorboard", FRONT_TAG)] == [1, 3, 6, 7]


def scores_of(error):
    return scores(error, 0.5, groups=(GroupScores("a", 8, 0.125, 1.0), GroupScores("b", 1, None, None)))


COSTS = {"parameters": 12, "MACs": 34, "training (s)": 5.6}


def write(folder, label="101-101:cosface,lr=0.5", **changed):
    training = TrainingSpec.of_label(label, 7)
    write_training_outcome(
        folder,
        training.network,
        training.seed,
        replace(Recipe(), **dict(training.changes)),
        {"validation": scores_of(0.25), "test": scores_of(0.75)},
        COSTS | changed,
        measures=("error", "rank_disparity"),
        step=12,
    )


def hparams(folder):
    summaries = read(folder).summary_metadata.items()
    return {tag: HParamsPluginData.FromString(of.plugin_data.content) for tag, of in summaries if "_hparams_" in tag}


def test_a_training_is_one_row_of_hyper_parameters_and_outcome(tmp_path):
    write(tmp_path)
    parts = hparams(tmp_path)
    given = parts["_hparams_/session_start_info"].session_start_info.hparams
    assert (given["network"].string_value, given["head"].string_value) == ("101-101", "cosface")
    assert (given["lr"].number_value, given["seed"].number_value, given["flip"].string_value) == (0.5, 7, "yes")
    experiment = parts["_hparams_/experiment"].experiment
    measured = {info.name.tag for info in experiment.metric_infos}
    drawn = curves(tmp_path)
    assert drawn["validation/error (share of probes)"] == [(12, 0.25)]
    assert drawn["test/error (share of probes)"] == [(12, 0.75)]
    assert drawn["test/error of a (share of probes)"] == [(12, 0.125)]
    assert drawn["cost/MACs"] == [(12, 34)] and drawn["validation/rank disparity"] == [(12, 0.5)]
    assert measured - set(drawn) == {f"{split}/error of b (share of probes)" for split in ("validation", "test")}
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_an_outcome_that_is_written_again_replaces_the_first_and_no_curve(tiny, faces, tmp_path):
    finish(trainer_of(tiny, faces), tmp_path)
    board = tmp_path / "tensorboard"
    write(board)
    write(board, parameters=13)
    assert len(list(board.glob(EVENTS))) == 2
    assert curves(board)["cost/parameters"] == [(12, 13)]
    assert steps(board)[LOSS] == list(range(1, 13)) and len(pictures(board, IMAGES_TAG)) == 1


def test_backbones_have_the_same_columns_as_searched_networks(tmp_path):
    write(tmp_path / "ours")
    write(tmp_path / "shelf", "timm.resnet18:arcface")
    rows = [hparams(tmp_path / of)["_hparams_/session_start_info"].session_start_info for of in ("ours", "shelf")]
    assert set(rows[0].hparams) == set(rows[1].hparams)
    assert rows[1].hparams["network"].string_value == "timm.resnet18"


def test_the_commands_write_all_of_it(dualfair, tmp_path):
    small = ("--identities", 24, "--images", 4, "--size", 32)
    assert dualfair("faces", "synth", "--out", tmp_path / "faces", *small).status == 0
    run = tmp_path / "run"
    how = ("--size", 32, "--epochs", 1, "--batch", 16)
    assert dualfair("train", "--faces", tmp_path / "faces", "--out", run, *how).status == 0
    searched = dualfair("search", "--run", run, "--population", 3, "--generations", 2, "--calibrate", 32)
    assert searched.status == 0, searched.err
    again = ("retrain", "--run", run, "--genotype", "000:cosface", "--seeds", 1)
    assert dualfair(*again).status == 0 and dualfair(*again).status == 0
    assert len(pictures(run / "train/tensorboard", IMAGES_TAG)) == 1
    assert [step for step, _ in pictures(run / "search/tensorboard", FRONT_TAG)] == [3, 6]
    (board,) = run.glob("retrain/*/seed-0/tensorboard")
    assert len(hparams(board)) == 3 and len(list(board.iterdir())) == 2
    assert not read(board).Tags()["images"]
