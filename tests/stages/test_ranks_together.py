"""The stages as torchrun starts them, with one, two and three ranks."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dualfair.__main__ import main

pytestmark = pytest.mark.slow

DUALFAIR = Path(sys.executable).with_name("dualfair")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python")


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def start(ranks, *words, restarts=0):
    launcher = (*TORCHRUN, "--nproc-per-node", ranks, "--max-restarts", restarts, "--")
    words = [str(word) for word in (*launcher, DUALFAIR, *words)]
    return subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(ranks, *words):
    """What a command prints; one rank is this process, which has imported torch already."""
    if ranks == 1:
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
            patch.setattr(sys, "argv", ["dualfair", *map(str, words)])
            try:
                main()
            except SystemExit as leaving:
                assert not leaving.code, said.getvalue()
        return said.getvalue()
    process = start(ranks, *words)
    out, err = process.communicate()
    assert process.returncode == 0, err[-3000:]
    return out


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces") / "faces"
    run(1, "faces", "synth", "--out", folder, "--identities", 40, "--images", 6, "--size", 32)
    return folder


TRAIN = ("--size", 32, "--epochs", 0.5, "--lr", 0.01)


@pytest.fixture(scope="module")
def trained(faces, tmp_path_factory):
    """A run directory with a supernet trained by one process."""
    out = tmp_path_factory.mktemp("runs") / "run"
    run(1, "train", "--faces", faces, "--out", out, *TRAIN)
    return out


def weights(run_path):
    state = torch.load(sorted((run_path / "train").glob("step-*.pt"))[-1], weights_only=True)
    return state["network"], json.loads(state["dealt"])["operation_updates"]


@pytest.mark.parametrize("ranks", [3])
def test_training_search_and_evaluation_do_not_depend_on_the_number_of_ranks(ranks, faces, trained, tmp_path):
    alone, together = trained.parent / f"alone-{ranks}", trained.parent / f"together-{ranks}"
    said = run(ranks, "train", "--faces", faces, "--out", together, *TRAIN)
    assert said.count("Trained in") == 1 and f"{ranks} ranks" in said
    (expected, updates), (found, counted) = weights(trained), weights(together)
    assert updates == counted
    # Rounding grows from step to step; that the steps themselves agree is tested beside the trainer.
    for name, value in expected.items():
        assert (found[name].double() - value.double()).norm() <= 0.02 * value.double().norm() + 1e-3, name
    for count, path in ((1, alone), (ranks, together)):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(trained, path)
        run(count, "search", "--run", path, "--population", 6, "--generations", 2, "--calibrate", 64)
        named = ("--genotype", "101:cosface", "--genotype", "444:arcface")
        run(count, "retrain", "--run", path, *named, "--seeds", 2, "--epochs", 0.5)
        networks = [
            word
            for n in ("101_cosface", "444_arcface")
            for word in ("--network", next(path.glob(f"retrain/*{n[:3]}*{n[4:]}/seed-0")))
        ]
        run(count, "evaluate", *networks, "--faces", faces, "--out", path / "result", "--resamples", 20)
    assert (alone / "search/scores.csv").read_text().count("\n") == 13
    for file in ("search/scores.csv", "search/front.csv", "search/hypervolume.csv"):
        assert (alone / file).read_text() == (together / file).read_text(), file
    results = sorted(path.relative_to(alone) for path in alone.glob("retrain/*/*/result.json"))
    reports = sorted(path.relative_to(alone) for path in alone.glob("result/*/report.json"))
    assert len(results) == 4 and len(reports) == 2
    for file in (*results, *reports):
        mine, theirs = (json.loads((path / file).read_text()) for path in (alone, together))
        for report in (mine, theirs):
            report.pop("seconds", None)
        assert mine == theirs, file


def test_ranks_can_train_one_network_together(trained, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(trained, path)
    shutil.copytree(trained.parent / "run", tmp_path / "alone")
    for folder, ranks, more in ((path, 2, ("--ranks-per-job", 2)), (tmp_path / "alone", 1, ())):
        (folder / "search").mkdir(exist_ok=True)
        run(1, "search", "--run", folder, "--population", 4, "--generations", 1, "--calibrate", 64)
        run(ranks, "retrain", "--run", folder, "--genotype", "101:cosface", "--seeds", 1, *TRAIN[2:], *more)
    states = [
        torch.load(next(folder.glob("retrain/*/seed-0/step-*.pt")), weights_only=True)["network"]
        for folder in (path, tmp_path / "alone")
    ]
    for name, value in states[1].items():
        assert (states[0][name].double() - value.double()).norm() <= 0.02 * value.double().norm() + 1e-3, name


def test_ranks_share_out_networks_that_are_quantised(faces, trained, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(trained, path)
    run(1, "search", "--run", path, "--population", 2, "--generations", 1, "--calibrate", 16)
    run(1, "retrain", "--run", path, "--genotype", "010:cosface", "--epochs", 0.5, "--seeds", 1)
    network = next(path.glob("retrain/010*/seed-0"))
    words = ("quantise", network, "--faces", faces, "--bits", 6, "--bits", 4, "--steps", 3, "--least-people", 2)
    for ranks in (1, 2):
        run(ranks, *words, "--batch", 8, "--resamples", 5, "--out", tmp_path / str(ranks))
    by_one, by_two = ((tmp_path / f"{ranks}/quantise.csv").read_text() for ranks in (1, 2))
    assert by_one == by_two


def test_ranks_grow_a_network_together(faces, tmp_path):
    words = ("grow", "--images", faces, "--least-depth", 4, "--most-depth", 5, "--least-width", 4, "--most-width", 4)
    words += ("--first-epochs", 1, "--layer-epochs", 0, "--epochs", 1, "--batch", 16, "--lr", 0.01)
    said = run(2, *words, "--out", tmp_path / "out")
    assert "head cosface" in said and "2 ranks" in said
    grown = json.loads((tmp_path / "out/grow.json").read_text())
    assert [each["stage"] for each in grown["candidates"]] == ["depth", "depth"] and len(grown["finals"]) == 1
    run(1, *words, "--out", tmp_path / "alone")
    alone = json.loads((tmp_path / "alone/grow.json").read_text())
    assert grown["candidates"][0]["network"] == alone["candidates"][0]["network"]
    errors = [each["candidates"][0]["objectives"]["error"] for each in (grown, alone)]
    assert abs(errors[0] - errors[1]) < 0.1


def test_a_dead_rank_is_restarted_from_the_last_checkpoint(faces, tmp_path):
    out = tmp_path / "run"
    words = ("train", "--faces", faces, "--out", out, "--size", 32, "--epochs", 3, "--checkpoint-every", 0)
    process = start(2, *words, restarts=3)
    deadline = time.monotonic() + 120
    while len(list(out.glob("train/step-*.pt"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    out_text, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-3000:]
    assert "continuing from step" in out_text
    assert out_text.count("Trained in") == 1 and "exactly" in out_text


def test_a_training_of_two_ranks_is_continued_by_one_with_equal_counts(faces, trained, tmp_path):
    """SIGTERM to one rank: both finish the same step; then one process takes all of every step."""
    out = tmp_path / "run"
    words = ("train", "--faces", faces, "--out", out, "--size", 32, "--epochs", 3)
    process = start(2, *words)
    deadline = time.monotonic() + 120
    while not list(out.glob("train/tensorboard/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGTERM)
    said, err = process.communicate(timeout=60)
    assert process.returncode != 0 and "the same command continues there" in said, err[-3000:]
    assert "exitcode  : 143" in err and "KeyError" not in err
    (stopped,) = out.glob("train/step-*.pt")
    said = run(1, *words)
    assert f"continuing from step {int(stopped.stem[5:])}" in said
    assert "was written with ranks 2 (here 1)" in said.replace("threads 1 (here 2), ", "")
    assert "Every operation got exactly" in said


def test_other_commands_refuse_several_ranks():
    done = subprocess.run([DUALFAIR, "demo"], env={**environment(), "WORLD_SIZE": "2"}, capture_output=True, text=True)
    assert done.returncode == 2 and "'dualfair demo' runs in one process; start it without torchrun" in done.stderr
