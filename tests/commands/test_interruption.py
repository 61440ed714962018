"""SIGTERM and Ctrl-C: the step is finished, a checkpoint written, the exit status that of the signal."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import dualfair as door
from dualfair.commands.console import Interrupted, on_signals
from dualfair.supernet.training.checkpoint import checkpoints, verified

# As many threads as here, where the same training runs without being disturbed.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
SIGNALS = [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_signal_leaves_with_its_status_and_handlers_come_back(number, status):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as leaving, on_signals():
        os.kill(os.getpid(), number)
        time.sleep(5)
    assert leaving.value.exit_status == status
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_the_first_signal_is_a_wish(number, status):
    with on_signals(finishing=True) as received:
        assert not received
        os.kill(os.getpid(), number)
        assert received == [number]


def test_a_second_ctrl_c_leaves_at_once_and_a_second_sigterm_does_not():
    with pytest.raises(Interrupted), on_signals(finishing=True):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    with on_signals(finishing=True) as received:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert received[0] == signal.SIGTERM


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    from dualfair.stages.faces import generate
    from dualfair.supernet.images.synthetic.people import SyntheticFaces

    folder = tmp_path_factory.mktemp("interrupted") / "faces"
    generate(SyntheticFaces(identities=20, images=4, size=32), folder)
    return folder


RECIPE = {"size": 32, "epochs": 5.0, "batch": 16, "device": "cpu"}


def words(faces, out):
    return ["train", "--faces", faces, "--out", out, *(f"--{name}={value}" for name, value in RECIPE.items())]


@pytest.fixture(scope="module")
def whole(faces):
    """The record of the last checkpoint of an undisturbed training."""
    out = faces.parent / "whole"
    door.train(faces, out, **RECIPE)
    return verified(checkpoints(out / "train")[-1])


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_training_stops_after_its_step_and_the_same_command_ends_as_if_nothing_had_been(
    faces, whole, dualfair, tmp_path, number, status
):
    run = tmp_path / "run"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    code = "from dualfair.__main__ import main; main()"
    child = subprocess.Popen([sys.executable, "-c", code, *words(faces, run)], env=ENVIRONMENT, **pipes)
    while not list(run.glob("train/tensorboard/*")):
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)
    time.sleep(0.3)
    child.send_signal(number)
    out, error = child.communicate(timeout=60)
    assert child.returncode == status, error
    assert "Interrupted. The same command continues from what is on disk." in error and "Traceback" not in error
    (stopped,) = checkpoints(run / "train")
    record = verified(stopped)
    assert 0 < record.step < record.steps
    assert f"Stopped at step {record.step} of {record.steps}; the same command continues there" in out
    again = dualfair(*words(faces, run))
    assert again.status == 0 and f"continuing from step {record.step}" in again.out, again.err
    end = verified(checkpoints(run / "train")[-1])
    assert end.sha256 == whole.sha256 and end.seconds > record.seconds
