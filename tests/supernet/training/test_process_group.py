import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dualfair.supernet.training.process_group import ALONE, ProcessGroup

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What ranks_at_work.py reports, started as a user starts ranks."""
    path = tmp_path_factory.mktemp("ranks") / "report.json"
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*words, HERE / "ranks_at_work.py", path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    ("ranks", "how"),
    [
        ("2", "training"),
        ("3", "training"),
        ("2", "training_by_paths"),
        ("3", "training_by_paths"),
        ("4", "training_by_paths"),
    ],
)
def test_ranks_train_the_network_that_one_process_trains(report, ranks, how):
    """Sharing images, sharing paths, and two teams of two that share both."""
    training = report[ranks][how]
    assert training["weights"] < 1e-4 and max(training["losses"]) < 1e-4 and max(training["norms"]) < 1e-4
    assert training["updates"] == [3] and training["ranks alike"]


@pytest.mark.parametrize("ranks", ["2", "3"])
def test_statistics_are_those_of_the_whole_batch(report, ranks):
    assert report[ranks]["normalising"] < 1e-12


@pytest.mark.parametrize("ranks", ["2", "3"])
def test_a_step_that_is_not_finite_on_one_rank_is_skipped_by_all(report, ranks):
    skipping = report[ranks]["skipping"]
    assert skipping["skipped"] == 1 and skipping["moved"] == 0
    assert "2 steps in a row had a non-finite loss" in skipping["stopped"]


@pytest.mark.parametrize("ranks", ["2", "3"])
def test_ranks_that_were_dealt_different_paths_are_stopped(report, ranks):
    assert report[ranks]["other_paths"].startswith("the ranks do not agree on the paths of step 2; ")


@pytest.mark.parametrize("ranks", ["2", "3"])
def test_text_reaches_all_ranks_and_disagreement_is_noticed(report, ranks):
    assert report[ranks]["talking"]["texts"] == ["", "101:cosface é"]
    assert report[ranks]["talking"]["said"].startswith("the ranks do not agree on the rank; ")


def test_every_job_is_taken_by_one_rank(report):
    # Every rank adds a 0 to its list, so that none is empty.
    assert report["tickets"] == [5, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("items", [0, 1, 2, 6, 20])
def test_shares_are_consecutive_complete_and_even(size, items):
    shares = [list(ProcessGroup(rank, size).share(range(items))) for rank in range(size)]
    assert [item for share in shares for item in share] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_is_sent():
    values = torch.arange(3.0)
    assert ALONE.add(values) is values and ALONE.collect(values).shape == (1, 3) and ALONE.broadcast("x") == "x"
    ALONE.agree("anything", 1)
    assert list(ALONE.tickets("jobs", 3)) == [0, 1, 2] and ALONE.leads
