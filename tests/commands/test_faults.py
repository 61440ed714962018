"""What a user sees when the disk is full, when two commands meet, and when a run is continued differently."""

import os
import resource
import shutil
import subprocess
import sys

import pytest
import torch

from dualfair.runs.directory import RunDirectory
from dualfair.supernet.training.checkpoint import checkpoints, verified

TRAIN = ("--size", 32, "--epochs", 4, "--batch", 16, "--device", "cpu")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    from dualfair.stages.faces import generate
    from dualfair.supernet.images.synthetic.people import SyntheticFaces

    folder = tmp_path_factory.mktemp("faults") / "faces"
    generate(SyntheticFaces(identities=20, images=4, size=32), folder)
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 40 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be made here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def command(*words):
    return [sys.executable, "-c", "from dualfair.__main__ import main; main()", *map(str, words)]


def run(*words, **how):
    return subprocess.run(command(*words), env=ENVIRONMENT, capture_output=True, text=True, **how)


def test_memory_that_runs_out_in_training_is_told_in_one_line_and_the_checkpoint_is_whole(
    dualfair, faces, tmp_path, monkeypatch
):
    from dualfair.supernet.training.trainer import Trainer

    train_step, words = Trainer._train_step, ("train", "--faces", faces, "--out", tmp_path, *TRAIN)

    def runs_out(trainer, stop):
        if trainer.step == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return train_step(trainer, stop)

    monkeypatch.setattr(Trainer, "_train_step", runs_out)
    ended = dualfair(*words, "--checkpoint-every", 0)
    assert ended.status == 2
    error = ended.err.strip().splitlines()[-1]
    assert "memory ran out at step 3 of train (CUDA out of memory. Tried to allocate 2.00 GiB)" in error
    assert (
        "a batch of 16 images does not fit: take a smaller --batch, --recompute or a larger --accumulate and another "
        "directory" in error
    )
    assert verified(checkpoints(tmp_path / "train")[-1]).step == 2
    again = dualfair(*words, "--step", "graph")
    assert "does not fit: take --step paths, a smaller --batch" in again.err


@pytest.mark.slow
def test_a_full_disk_ends_training_with_free_and_needed_bytes_and_the_old_checkpoint_whole(faces, small_disk):
    often = ("train", "--faces", faces, "--out", small_disk / "run", *TRAIN, "--checkpoint-every", 0)
    ballast = small_disk / "ballast"
    # Room for one checkpoint of some 31 MB, not for a second one.
    full = run(*often)
    assert full.returncode == 2, full.stderr
    error = full.stderr.strip().splitlines()[-1]
    assert "cannot be written (No space left on device): about 3" in error and " bytes are needed, " in error
    assert "are free in" in error and "make room and run the same command again" in error
    assert "Traceback" not in full.stderr
    (kept,) = checkpoints(small_disk / "run/train")
    assert verified(kept).step == 1
    assert not list(small_disk.rglob("*.tmp"))
    ballast.write_bytes(bytes(100))
    subprocess.run(["mount", "-o", "remount,size=200m", small_disk], check=True)
    again = run(*often)
    assert again.returncode == 0 and "continuing from step 1" in again.stdout, again.stderr


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_is_told_likewise(faces, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, 10_000_000))

    ended = run("train", "--faces", faces, "--out", tmp_path / "run", *TRAIN, preexec_fn=limit)
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    assert "cannot be written (File too large): about 3" in ended.stderr
    assert not list(tmp_path.rglob("*.tmp")) and not checkpoints(tmp_path / "run/train")


def test_a_second_command_on_a_run_directory_refuses_and_names_host_and_process(dualfair, faces, tmp_path):
    import socket

    with RunDirectory(tmp_path / "run").locked(make=True):
        for words in (
            ("train", "--faces", faces, "--out", tmp_path / "run"),
            *((stage, "--run", tmp_path / "run") for stage in ("search", "retrain", "correlate")),
        ):
            second = dualfair(*words)
            assert second.status == 2
            assert f"is in use by process {os.getpid()} on host {socket.gethostname()}" in second.err
            assert "\n" not in second.err.strip()
    missing = dualfair("search", "--run", tmp_path / "mistyped")
    assert missing.status == 2 and "there is no run directory" in missing.err
    assert not (tmp_path / "mistyped").exists()


def test_a_space_of_ones_own_that_changed_is_refused(dualfair, faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (
        "from dualfair.supernet.space import ChoiceBlock, SearchSpace\n"
        "genes = tuple((block, position) for block in range(4) for position in range(3))\n"
        "space = SearchSpace([ChoiceBlock('all', ('one', 'other'), genes, codes=CODES),\n"
        "                     ChoiceBlock('head', ('cosface',))], name='mine')\n"
    )
    words = ("train", "--faces", faces, "--out", tmp_path / "run", "--size", 32, "--epochs", 1, "--batch", 16)
    for number, codes in enumerate(("(0, 6)", "(0, 1)")):
        (tmp_path / f"changing{number}.py").write_text(text.replace("CODES", codes))
    shutil.copy("changing0.py", "changing.py")
    made = dualfair(*words, "--space", "changing:space")
    assert made.status == 0, made.err
    shutil.copy("changing1.py", "changing.py")
    sys.modules.pop("changing")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    changed = dualfair(*words, "--space", "changing:space")
    assert changed.status == 2 and "another configuration: choices_digest = " in changed.err


def test_deterministic_operations_are_asked_for_and_let_go_again(dualfair, faces, tmp_path, monkeypatch):
    from dualfair.supernet.training.trainer import Trainer

    deterministic, run = {"free": set(), "bound": set()}, Trainer.run

    def watched(trainer, *given, **options):
        for step in run(trainer, *given, **options):
            deterministic["bound" if torch.are_deterministic_algorithms_enabled() else "free"].add(step.step)
            yield step

    monkeypatch.setattr(Trainer, "run", watched)
    free = dualfair("train", "--faces", faces, "--out", tmp_path / "free", *TRAIN)
    assert deterministic["free"] and not deterministic["bound"]
    bound = dualfair("train", "--faces", faces, "--out", tmp_path / "bound", *TRAIN, "--deterministic")
    assert deterministic["bound"] == deterministic["free"] and not torch.are_deterministic_algorithms_enabled()
    assert free.status == bound.status == 0, bound.err
    ends = [verified(checkpoints(tmp_path / name / "train")[-1]).sha256 for name in ("free", "bound")]
    assert ends[0] == ends[1], "on a CPU both are the same"
