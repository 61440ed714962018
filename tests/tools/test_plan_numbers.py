"""What a plan counts by formula, against what the trainer takes, brute-force enumeration and independent sums."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from dualfair.evaluation.cost import macs
from dualfair.evaluation.scoring.sharing import work
from dualfair.planning.flops import expected_distinct_macs, expected_macs, search_macs, training_flops
from dualfair.planning.live_memory import live_bytes
from dualfair.planning.measurement import grown, quadratic
from dualfair.planning.memory import MemoryPlan, optimizer_copies, scoring_memory, training_memory
from dualfair.planning.spans import Span, data_parallel, kilograms, kilowatt_hours, whole_jobs
from dualfair.planning.stopwatch import repeated
from dualfair.planning.workload import CONFIRMED_CALIBRATION, CONFIRMED_RANDOM, FaceCounts, Workload
from dualfair.stages import confirm as confirmation
from dualfair.stages import search
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.space import ChoiceBlock, SearchSpace, dpn_space
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer


@pytest.fixture(scope="module")
def small_space():
    """Sixteen genotypes of three blocks: choices that reach over blocks, and two heads."""
    return SearchSpace(
        [
            ChoiceBlock("all first", ("pre3", "raw1"), ((0, 0), (1, 0), (2, 0)), (0, 4)),
            ChoiceBlock("rest", ("pre5", "post1"), ((0, 1), (0, 2), (1, 1), (1, 2)), (2, 7)),
            ChoiceBlock("end", ("raw3", "post3"), ((2, 1), (2, 2)), (3, 6)),
            ChoiceBlock("head", ("arcface", "cosface")),
        ],
        "small",
    )


def workload(space, skeleton, **changed):
    values = {
        "faces": FaceCounts(training=96, identities=12, validation=40, test=30),
        "train": Recipe(batch=8),
        "retrain": Recipe(batch=8),
        **changed,
    }
    return Workload(space=space, skeleton=skeleton, **values)


def classified(network, images, labels):
    """What the network's head says of a batch."""
    genotype = network.genotype
    return network.heads[genotype.head](network.trunk(images, genotype.blocks), labels)


@pytest.mark.parametrize("sampler", ["strict", "sequential", "uniform"])
@pytest.mark.parametrize(("epochs", "batch"), [(1.0, 8), (2.5, 7), (0.01, 96), (3.0, 50)])
def test_steps_and_paths_are_those_that_the_trainer_takes(faces, tiny, sampler, epochs, batch):
    space, recipe = dpn_space("dpn81", 3), Recipe(epochs=epochs, batch=batch)
    trainer = Trainer(Supernet(tiny, 12), faces, recipe, seed=0, space=space, sampler=sampler)
    planned = workload(space, tiny, train=recipe, sampler=sampler)
    assert (planned.supernet_steps, planned.paths) == (trainer.steps, trainer.paths_per_step)


def test_a_batch_above_all_images_is_refused_as_in_training(tiny):
    with pytest.raises(ValueError, match="a batch of 97 needs at least as many training images; there are 96"):
        workload(dpn_space("dpn81", 3), tiny, train=Recipe(batch=97))


@pytest.mark.parametrize("name", ["dpn81-shared", "dpn729-shared"])
@pytest.mark.parametrize("skeleton", ["nano", "paper"])
def test_expected_macs_are_the_mean_of_the_enumerated_space(name, skeleton):
    from dualfair.supernet.skeleton import skeleton_of

    space, skeleton = dpn_space(name), skeleton_of(skeleton).resized(75)
    # MACs do not depend on the head, which comes last: every third genotype is enough.
    every = itertools.islice(space.enumerate(), 0, None, 3)
    assert expected_macs(space, skeleton) == pytest.approx(np.mean([macs(genotype, skeleton) for genotype in every]))


def test_training_flops_are_six_a_mac_of_every_path_image_and_step(tiny):
    space = dpn_space("dpn81-shared", 3)
    planned = workload(space, tiny, train=Recipe(epochs=2, batch=10))
    path = np.mean([macs(genotype, tiny) for genotype in space.enumerate()]) + 12 * tiny.embedding
    steps = planned.supernet_steps
    assert steps == 2 * (96 // 10)
    assert training_flops(planned, planned.train, 9 * steps) == pytest.approx(6 * path * 10 * 9 * steps)


def test_expected_sharing_is_the_mean_over_all_populations(small_space, tiny):
    everything = list(small_space.enumerate())
    for size in (1, 2, 3, 16):
        populations = itertools.combinations(everything, size)
        mean = np.mean([work(population, tiny).shared for population in populations])
        assert expected_distinct_macs(small_space, tiny, size) == pytest.approx(mean)


def test_a_huge_space_shares_nothing_and_stays_finite(tiny):
    deep = tiny.resized(blocks=(20, 20))
    space = dpn_space("dpn729", 40)
    alone = expected_macs(space, deep)
    stem_and_more = 2 * alone - expected_distinct_macs(space, deep, 2)
    assert 0 < stem_and_more < 0.2 * alone


def test_a_search_asks_for_distinct_genotypes_until_the_space_is_used_up(small_space, tiny):
    assert workload(small_space, tiny, population=5, generations=3).calls == (5, 5, 5)
    assert workload(small_space, tiny, population=5, generations=9).calls == (5, 5, 5, 1)
    assert workload(small_space, tiny, population=99, generations=9).calls == (16,)
    whole = workload(small_space, tiny, exhaustive=True)
    assert search_macs(whole) == work(list(small_space.enumerate()), tiny).shared


def test_networks_retrained_are_controls_knee_and_extremes(small_space, tiny):
    planned = workload(small_space, tiny, population=8, generations=2, controls=6, seeds=3, objectives=3)
    assert (planned.networks, planned.trainings) == (10, 30)
    assert workload(small_space, tiny, population=4, generations=1).networks == 4


def test_random_networks_are_retrained_beside_the_others(small_space, tiny):
    planned = workload(small_space, tiny, population=4, generations=1, random=5)
    assert (planned.networks, planned.trainings) == (4 + 5, 18)
    assert workload(small_space, tiny, random=16).networks == small_space.size
    with pytest.raises(ValueError, match="random must be at most 16, all networks of space small; got 17"):
        workload(small_space, tiny, random=17)


def test_candidates_and_random_subnets_are_confirmed_where_people_are_kept(small_space, tiny):
    kept = FaceCounts(training=96, identities=12, validation=20, test=30, confirmation=20)
    search = {"population": 4, "generations": 3}
    assert workload(small_space, tiny, **search).confirmations == 0
    assert workload(small_space, tiny, **search, faces=kept, confirm_candidates=0).confirmations == 0
    assert workload(small_space, tiny, **search, faces=kept, confirm_candidates=3).confirmations == 3 + 4
    assert workload(small_space, tiny, **search, faces=kept).confirmations == 12
    assert workload(small_space, tiny, exhaustive=True, faces=kept, confirm_candidates=1).confirmations == 16
    large = workload(dpn_space("dpn81", 3), tiny, population=64, faces=kept)
    assert large.confirmations == 16 + 32
    assert (large.confirming.searched, large.confirming.calibrate) == (20, 96)
    assert workload(small_space, tiny, faces=kept, calibrate=10).confirming.calibrate == 40
    with pytest.raises(ValueError, match="confirm_candidates must be 0 or more, got -1"):
        workload(small_space, tiny, confirm_candidates=-1)


def test_confirming_is_counted_as_the_search_does_it():
    assert (CONFIRMED_RANDOM, CONFIRMED_CALIBRATION) == (confirmation.RANDOM, confirmation.CALIBRATION)
    assert search.SAMPLE <= CONFIRMED_RANDOM


@pytest.mark.parametrize("batch", [2, 7])
def test_activations_are_at_least_what_autograd_saves(tiny, batch):
    """The count holds every tensor that autograd saves, and never more than twice as much for a forward pass."""
    network = build("080:cosface", tiny, 12).train()
    path, recipe = network.genotype, Recipe(batch=batch)
    own = {tensor.untyped_storage().data_ptr() for tensor in [*network.parameters(), *network.buffers()]}
    saved = {}

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() not in own:
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        classified(network, torch.rand(batch, 3, 24, 24), torch.zeros(batch, dtype=torch.long)).cosines.sum()
        size = sum(storage.nbytes() for storage in saved.values())
    weights = sum(p.numel() * 4 for p in network.parameters() if p.requires_grad)
    buffers = sum(b.numel() * b.element_size() for b in network.buffers())
    need = training_memory(network, [path], recipe, half=False)
    assert size <= need.batch + weights <= 2 * size + weights
    assert need.weights == sum(p.numel() * 4 for p in network.parameters()) + buffers
    assert need.training == 2 * weights + buffers


def test_with_its_gradients_a_batch_needs_what_one_step_has_alive_at_most(tiny):
    network = build("080:cosface", tiny, 12).train()

    def step():
        images, labels = torch.zeros(6, 3, 24, 24), torch.zeros(6, dtype=torch.long)
        said = classified(network, images, labels)
        loss = torch.nn.functional.cross_entropy(16 * said.cosines, labels, reduction="none").mean() + said.penalty
        loss.backward()

    alive = live_bytes(step).peak
    gradients = sum(parameter.grad.nbytes for parameter in network.parameters() if parameter.grad is not None)
    network.zero_grad(set_to_none=True)
    need = training_memory(network, [network.genotype], Recipe(batch=6), half=False)
    assert need.batch + gradients == alive


def test_counting_without_data_equals_counting_with_data(tiny):
    recipe = Recipe(batch=6)
    real = build("636:magface", tiny, 12)
    with FakeTensorMode():
        fake = build("636:magface", tiny, 12)
        counted = training_memory(fake, [fake.genotype], recipe, half=False)
    assert counted == training_memory(real, [real.genotype], recipe, half=False)


def test_live_bytes_of_a_worked_example():
    def run():
        a = torch.ones(100)
        b = a + 1
        del a
        c = b * 2
        del b
        return c.view(10, 10)

    counted = live_bytes(run)
    assert (counted.peak, counted.left) == (800, 400)


def test_memory_grows_with_the_batch_the_calibration_and_the_population(tiny):
    planned = workload(dpn_space("dpn81", 3), tiny, calibrate=32, batch=16)
    with FakeTensorMode():
        network = Supernet(tiny, 12)
        path = planned.space.decode([0] * 7)
        batches = [training_memory(network, [path], Recipe(batch=n), half=False).batch for n in (8, 16, 32)]
        base = scoring_memory(network, path, planned, 4)
        samples = [scoring_memory(network, path, replace(planned, calibrate=n), 4).batch for n in (320, 640)]
        crowd = scoring_memory(network, path, planned, 8)
        half = training_memory(network, [path], Recipe(batch=32), half=True).batch
    assert batches[0] < batches[1] < batches[2] and half < batches[2]
    assert base.batch < samples[0] and 1.95 < samples[1] / samples[0] < 2.05
    assert crowd.results - base.results == 4 * 4 * 40 * tiny.embedding


def test_the_calibration_sample_of_confirming_counts_where_it_is_the_largest_batch(tiny):
    faces = FaceCounts(training=4000, identities=12, validation=40, test=30)
    planned = workload(dpn_space("dpn81", 3), tiny, calibrate=100, batch=16, faces=faces)
    kept = replace(planned, faces=replace(faces, confirmation=40))
    alone, confirmed = (MemoryPlan(each, half=False).search(100, 16) for each in (planned, kept))
    assert confirmed.batch == MemoryPlan(planned, half=False).search(400, 16).batch > 3 * alone.batch
    assert confirmed.results == alone.results


@pytest.mark.parametrize(("optimizer", "copies"), [("sgd", 1), ("momentum", 1), ("adamw", 2)])
def test_optimizers_keep_what_they_keep(optimizer, copies):
    assert optimizer_copies(Recipe(optimizer=optimizer)) == copies


def test_an_optimizer_without_momentum_keeps_nothing():
    assert optimizer_copies(Recipe(optimizer="momentum", momentum=0.0)) == 0


def test_devices_share_a_training_at_their_efficiency_and_trainings_in_rounds():
    assert data_parallel(1, 0.5) == 1
    assert data_parallel(4, 0.5) == 0.5
    assert [whole_jobs(8, n) * 8 for n in (1, 3, 8, 20)] == [8, 3, 1, 1]
    assert whole_jobs(4, 4, each=2, efficiency=0.8) == pytest.approx(2 / 4 / 1.6)


def test_the_studys_emissions_come_out():
    assert kilograms(88_493 * 3600, 250, 0.373) == pytest.approx(8251.97, abs=0.005)
    assert kilowatt_hours(7200, 500) == 1


def test_a_span_is_median_and_quartiles_and_one_value_has_no_spread():
    assert Span.of([5, 1, 3, 2, 4]) == Span(2, 3, 4)
    assert Span.of([7]) == Span(7, 7, 7)
    assert Span(1, 2, 3) + Span(0, 1, 5) * 2 == Span(1, 4, 13)


def ticking(*durations):
    """A clock that advances by one of the durations a run, and the run that moves it."""
    time = [0.0]
    following = iter(durations)

    def run():
        time[0] += next(following)

    return run, lambda: time[0]


def test_the_first_run_warms_up_and_does_not_count():
    run, clock = ticking(2, 1, 1, 1, 1, 1, 1)
    assert repeated(run, 6, clock=clock) == [1, 1, 1, 1]
    run, clock = ticking(4, 1, 1, 1, 1, 1, 1)
    assert repeated(run, 100, most=3, clock=clock) == [1, 1, 1]


def test_a_run_longer_than_the_time_given_is_measured_once():
    run, clock = ticking(50)
    assert repeated(run, 10, clock=clock) == [50]


def test_the_largest_sample_that_fits_grows_by_four():
    assert grown(lambda n: n, 4, 1000, 100.0) == 64
    assert grown(lambda n: n, 4, 30, 100.0) == 30
    assert grown(lambda n: 1e9, 4, 30, 100.0) == 4


def test_a_quadratic_goes_through_both_points():
    assert quadratic((10, 2 * 10 + 3 * 100), (20, 2 * 20 + 3 * 400)) == pytest.approx((2, 3))
    # Fewer seconds an image for more of them: noise, no negative square.
    assert quadratic((10, 100), (20, 150)) == pytest.approx((7.5, 0))
