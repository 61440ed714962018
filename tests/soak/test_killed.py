"""SIGKILL at file events of every stage: the same command ends as if nothing had happened."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dualfair.evolution.storage import glance
from dualfair.supernet.training.checkpoint import checkpoints, verified

SCRIPT = Path(__file__).with_name("killed_at_file_events.py")
ROOT = SCRIPT.parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
QUICK = ("--epochs", "1", "--batch", "16", "--checkpoint-every", "0")
STAGES = {
    "train": ("--size", "32", "--space", "dpn81-shared", "--split", "0.4,0.4,0.2", *QUICK),
    "search": ("--population", "4", "--generations", "2", "--calibrate", "16"),
    "retrain": ("--seeds", "1", "--controls", "1", *QUICK),
    "correlate": ("--resamples", "20",),
}  # fmt: skip


STRIDES = {"train": 149, "search": 13, "retrain": 149, "correlate": 11}
"""Every which file event a run is killed at: a training has hundreds, and a start takes seconds."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with generated faces and, stage by stage, copies of an undisturbed run."""
    from dualfair.stages.faces import generate
    from dualfair.supernet.images.synthetic.people import SyntheticFaces

    folder = tmp_path_factory.mktemp("killed")
    generate(SyntheticFaces(identities=20, images=4, size=32), folder / "faces")
    for stage in STAGES:
        command = [sys.executable, "-c", "from dualfair.__main__ import main; main()", *words(stage, folder / "run")]
        ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, cwd=folder)
        assert ran.returncode in (0, 3), ran.stderr
        shutil.copytree(folder / "run", folder / f"after-{stage}")
    return folder


def words(stage, run):
    where = ("--faces", run.parent / "faces", "--out", run) if stage == "train" else ("--run", run)
    return [str(word) for word in (stage, "--device", "cpu", *where, *STAGES[stage])]


def outcome(run):
    """What has to be equal: hashes of checkpoints, all scores, results but for their timing."""
    found = {}
    for folder in sorted({path.parent for path in run.rglob("step-*.pt")}):
        found[str(folder.relative_to(run))] = verified(checkpoints(folder)[-1]).sha256
    for path in sorted(run.rglob("result.json")):
        found[str(path.relative_to(run))] = {**json.loads(path.read_text()), "seconds": None}
    for name in ("search/front.csv", "search/scores.csv", "search/hypervolume.csv"):
        if (run / name).is_file():
            found[name] = list(csv.reader((run / name).open()))
    for name in ("retrain/plan.json", "correlate/ranking.json"):
        if (run / name).is_file():
            found[name] = json.loads((run / name).read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_its_file_events_a_stage_ends_as_if_nothing_had_happened(place, tmp_path, stage):
    before = list(STAGES).index(stage) - 1
    run = tmp_path / "run"
    shutil.copytree(place / "faces", tmp_path / "faces")
    if before >= 0:
        shutil.copytree(place / f"after-{list(STAGES)[before]}", run)
    command = [sys.executable, str(SCRIPT), run, str(STRIDES[stage]), *words(stage, run)]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert ran.returncode == 0, ran.stderr
    kills, status = map(int, ran.stdout.split())
    assert kills > 1 and status in (0, 3), ran.stderr
    assert outcome(run) == outcome(place / f"after-{stage}")
    left = [path.name for path in run.rglob("*") if path.suffix in (".tmp", ".damaged") or path.name == "lock.json"]
    assert left == []
    scores = run / "search/scores.sqlite"
    if scores.is_file():
        # Of the search, and of its confirmation on other people.
        assert [evaluations for _, evaluations, _ in glance(scores)] == [8, 8]
