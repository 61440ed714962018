"""Bytes that are counted without data, against what a step has alive."""

from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from dualfair.planning.live_memory import live_bytes
from dualfair.planning.memory import MemoryPlan, optimizer_copies, scoring_memory, training_memory
from dualfair.planning.workload import FaceCounts
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.recipe import Recipe
from tests.support.workloads import workload_of


def classified(network, images, labels):
    """What the network's head says of a batch."""
    genotype = network.spec
    return network.heads[genotype.head](network.trunk(images, genotype.blocks), labels)


@pytest.mark.parametrize("batch", [2, 7])
def test_activations_are_at_least_what_autograd_saves(tiny, batch):
    """The count holds every tensor that autograd saves, and never more than twice as much for a forward pass."""
    network = build("080:cosface", tiny, 12).train()
    path, recipe = network.spec, Recipe(batch=batch)
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
        result = classified(network, images, labels)
        loss = torch.nn.functional.cross_entropy(16 * result.cosines, labels, reduction="none").mean() + result.penalty
        loss.backward()

    alive = live_bytes(step).peak
    gradients = sum(parameter.grad.nbytes for parameter in network.parameters() if parameter.grad is not None)
    network.zero_grad(set_to_none=True)
    need = training_memory(network, [network.spec], Recipe(batch=6), half=False)
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
    planned = workload_of(dpn_space("dpn81", 3), tiny, calibrate=32, batch=16)
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
    planned = workload_of(dpn_space("dpn81", 3), tiny, calibrate=100, batch=16, faces=faces)
    kept = replace(planned, faces=replace(faces, confirmation=40))
    alone, confirmed = (MemoryPlan(each, half=False).search(100, 16) for each in (planned, kept))
    assert confirmed.batch == MemoryPlan(planned, half=False).search(400, 16).batch > 3 * alone.batch
    assert confirmed.results == alone.results


@pytest.mark.parametrize(("optimizer", "copies"), [("sgd", 1), ("momentum", 1), ("adamw", 2)])
def test_optimizers_keep_what_they_keep(optimizer, copies):
    assert optimizer_copies(Recipe(optimizer=optimizer)) == copies


def test_an_optimizer_without_momentum_keeps_nothing():
    assert optimizer_copies(Recipe(optimizer="momentum", momentum=0.0)) == 0
