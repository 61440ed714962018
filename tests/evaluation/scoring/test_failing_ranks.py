"""Scoring fails on one rank of two: none waits for ever, and both go on."""

import json

import pytest

from tests.evaluation.scoring import failing_ranks_at_work
from tests.support.ranks import run_ranks


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What the leader of failing_ranks_at_work.py saw."""
    path = tmp_path_factory.mktemp("ranks") / "report.json"
    run_ranks(failing_ranks_at_work.work, 2, path)
    return json.loads(path.read_text())


@pytest.mark.parametrize(("who", "rank"), [("the leader", 0), ("the other", 1)])
def test_a_rank_that_cannot_score_ends_the_call_on_all_with_its_reason(report, who, rank):
    """That both raise the same words is checked where they run."""
    kind, message = report[who]["together"]
    assert kind == "RankFailed"
    assert message.startswith(f"scoring failed on rank {rank} (FloatingPointError: no numbers for ")
    assert report[who]["again"] == [kind, message], "and the same again"


def test_every_rank_that_failed_is_named(report):
    _, message = report["both"]["together"]
    assert (
        message.startswith("scoring failed on rank 0 (FloatingPointError") and "; rank 1 (FloatingPointError" in message
    )
    assert "\n" not in message and len(message) < 1000


@pytest.mark.parametrize("who", ["the leader", "the other", "both"])
def test_ranks_serve_on_after_a_failure(report, who):
    """Asked for one by one, whatever can be scored is, to the bit as one process does."""
    for number, (values, expected) in enumerate(zip(report[who]["alone"], report["expected"], strict=True)):
        if number in report[who]["poisoned"]:
            assert values[0] == "RankFailed"
        else:
            assert values == [expected]
