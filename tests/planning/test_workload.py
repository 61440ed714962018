"""What a run is going to do, against what the trainer takes and what the stages do."""

import pytest

from dualfair.planning.counts import FaceCounts
from dualfair.supernet.network import Supernet
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.sampling import SAMPLERS
from dualfair.supernet.training.trainer import Trainer
from tests.support.workloads import small_space, workload_of


@pytest.mark.parametrize("sampler", ["strict", "sequential", "uniform"])
@pytest.mark.parametrize(("epochs", "batch"), [(1.0, 8), (2.5, 7), (0.01, 96), (3.0, 50)])
def test_steps_and_paths_are_those_that_the_trainer_takes(faces, tiny, sampler, epochs, batch):
    space, recipe = dpn_space("dpn81", 3), Recipe(epochs=epochs, batch=batch)
    trainer = Trainer(Supernet(tiny, 12), faces, recipe, seed=0, space=space, sampler=SAMPLERS[sampler])
    planned = workload_of(space, tiny, train=recipe, sampler=sampler)
    assert (planned.supernet_steps, planned.paths) == (trainer.steps, trainer.paths_per_step)


def test_a_batch_above_all_images_is_refused_as_in_training(tiny):
    with pytest.raises(ValueError, match="a batch of 97 needs at least as many training images; there are 96"):
        workload_of(dpn_space("dpn81", 3), tiny, train=Recipe(batch=97))


def test_a_search_asks_for_distinct_genotypes_until_the_space_is_used_up(tiny):
    space = small_space()
    assert workload_of(space, tiny, population=5, generations=3).generations == (5, 5, 5)
    assert workload_of(space, tiny, population=5, generations=9).generations == (5, 5, 5, 1)
    assert workload_of(space, tiny, population=99, generations=9).generations == (16,)
    assert workload_of(space, tiny, exhaustive=True).generations == (16,)


def test_networks_retrained_are_controls_knee_and_extremes(tiny):
    space = small_space()
    planned = workload_of(
        space, tiny, population=8, generations=2, controls=6, seeds=3, objectives="error,rank_disparity,macs"
    )
    assert (planned.networks, planned.trainings) == (10, 30)
    assert workload_of(space, tiny, population=4, generations=1).networks == 4


def test_random_networks_are_retrained_beside_the_others(tiny):
    space = small_space()
    planned = workload_of(space, tiny, population=4, generations=1, random=5)
    assert (planned.networks, planned.trainings) == (4 + 5, 18)
    assert workload_of(space, tiny, random=16).networks == space.size
    with pytest.raises(ValueError, match="random must be at most 16, all networks of space small; got 17"):
        workload_of(space, tiny, random=17)


def test_candidates_and_random_subnets_are_confirmed_where_people_are_kept(tiny):
    space = small_space()
    kept = FaceCounts(training=96, classes=12, validation=20, test=30, confirmation=20)
    search = {"population": 4, "generations": 3}
    assert workload_of(space, tiny, **search).confirmations == 0
    assert workload_of(space, tiny, **search, faces=kept, confirm_candidates=0).confirmations == 0
    assert workload_of(space, tiny, **search, faces=kept, confirm_candidates=3).confirmations == 3 + 4
    assert workload_of(space, tiny, **search, faces=kept).confirmations == 12
    assert workload_of(space, tiny, exhaustive=True, faces=kept, confirm_candidates=1).confirmations == 16
    large = workload_of(dpn_space("dpn81", 3), tiny, population=64, faces=kept)
    assert large.confirmations == 16 + 32
    assert large.confirmation_calibrate(512) == 96
    assert workload_of(space, tiny, faces=kept, calibrate=10).confirmation_calibrate(10) == 40
    with pytest.raises(ValueError, match="confirm_candidates must be 0 or more, got -1"):
        workload_of(space, tiny, confirm_candidates=-1)
