"""Scoring fails on one rank of two: none waits for ever, and both go on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the leader of failing_ranks_at_work.py saw, started as a user starts ranks."""
    path = tmp_path_factory.mktemp("ranks") / "found.json"
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*words, HERE / "failing_ranks_at_work.py", path], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(path.read_text())


@pytest.mark.parametrize(("who", "rank"), [("the leader", 0), ("the other", 1)])
def test_a_rank_that_cannot_score_ends_the_call_on_all_with_its_reason(found, who, rank):
    """That both raise the same words is checked where they run."""
    kind, said = found[who]["together"]
    assert kind == "RankFailed"
    assert said.startswith(f"scoring failed on rank {rank} (FloatingPointError: no numbers for ")
    assert found[who]["again"] == [kind, said], "and the same again"


def test_every_rank_that_failed_is_named(found):
    _, said = found["both"]["together"]
    assert said.startswith("scoring failed on rank 0 (FloatingPointError") and "; rank 1 (FloatingPointError" in said
    assert "\n" not in said and len(said) < 1000


@pytest.mark.parametrize("who", ["the leader", "the other", "both"])
def test_ranks_serve_on_after_a_failure(found, who):
    """Asked for one by one, whatever can be scored is, to the bit as one process does."""
    for number, (values, expected) in enumerate(zip(found[who]["alone"], found["expected"], strict=True)):
        if number in found[who]["poisoned"]:
            assert values[0] == "RankFailed"
        else:
            assert values == [expected]
