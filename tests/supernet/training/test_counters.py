"""Counters of updates, as a checkpoint keeps them."""

import json

import pytest

from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.counters import UpdateCounters
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer


def test_counters_of_a_checkpoint_are_those_of_the_trainer(tiny, faces):
    trainer = Trainer(Supernet(tiny, 12), faces, Recipe(batch=16, epochs=1.0), space=dpn_space("dpn81", 3), seed=0)
    for _ in trainer.run(until=2):
        pass
    counters = UpdateCounters.of_checkpoint(trainer.state_dict())
    assert (counters.operations == trainer.operation_updates).all() and counters.operations.sum() == 2 * 9 * 3 * 3
    assert counters.heads == trainer.head_updates and counters.skipped == trainer.skipped == 0


@pytest.mark.parametrize("state", [{}, {"dealt": "{"}, {"dealt": "[]"}, {"dealt": '{"operation_updates": [["a"]]}'}])
def test_damaged_counters_are_told(state):
    with pytest.raises(ValueError, match="its counters of updates are damaged"):
        UpdateCounters.of_checkpoint(state)


def test_counters_are_read_back_as_they_were_written():
    state = {"skipped": 3, "operation_updates": [[[1, 2]]], "head_updates": {"cosface": 3}}
    counters = UpdateCounters.of_checkpoint({"dealt": json.dumps({**state, "shuffler": None})})
    assert counters.state_dict() == state
