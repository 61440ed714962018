"""Memory that is told from two small batches without data, against what training and scoring have alive."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import population_answers
from dualfair.planning import memory
from dualfair.planning.counts import FaceCounts, LabelledCounts
from dualfair.planning.memory import (
    checked_memory,
    covering_paths,
    line,
    optimizer_copies,
    peak_bytes,
    stage_needs,
    supernet_engine,
    training_memory,
)
from dualfair.supernet.images.noise import random_faces
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.space import ChoiceBlock, SearchSpace, dpn_space
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import Trainer
from tests.support.workloads import workload_of

CPU = torch.device("cpu")


def needed(stage, workload, half=False, **images):
    """What a stage of a workload needs, with some numbers of images in place of those that it asks for."""
    return next(each for each in stage_needs(workload, half=half) if each.name == stage).at(**images)


def test_bytes_alive_of_a_worked_example():
    def run():
        a = torch.ones(100)
        b = a + 1
        del a
        c = b * 2
        del b
        return c.view(10, 10)

    assert peak_bytes(run) == 800


def three_paths(*heads):
    """A space of which three paths hold all choices: what a plan is told from is run along each."""
    blocks = [
        ChoiceBlock(f"block {block}", ("pre3", "raw5", "post1"), tuple((block, p) for p in range(3)), (0, 5, 7))
        for block in range(3)
    ]
    return SearchSpace([*blocks, ChoiceBlock("head", heads)])


@pytest.fixture(scope="module")
def space():
    return three_paths("arcface", "cosface", "magface")


@pytest.fixture(scope="module")
def whole_space():
    return dpn_space("dpn81-shared", 3)


@pytest.mark.parametrize(
    "changed",
    [
        {"batch": 16, "ema": 0.9},
        pytest.param({"batch": 64, "whole": True}, marks=pytest.mark.slow),
        pytest.param({"batch": 4, "optimizer": "adamw", "whole": True}, marks=pytest.mark.slow),
        pytest.param({"batch": 64, "accumulate": 4}, marks=pytest.mark.slow),
        pytest.param({"batch": 64, "recompute": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_plan_holds_what_training_has_alive(tiny, space, whole_space, changed):
    space, changed = (whole_space if "whole" in changed else space), {**changed}
    changed.pop("whole", None)
    recipe, faces = Recipe(**changed), random_faces(96, 12, tiny.image_size)
    counts = FaceCounts(training=96, classes=12, validation=4, test=4)
    workload = workload_of(space, tiny, train=recipe, retrain=recipe, faces=counts, calibrate=2)
    pixels = faces.read(np.arange(96))

    def alive(opened, space=None):
        def train():
            trainer = Trainer(opened(), faces, recipe, seed=0, space=space)
            for _ in range(2):
                next(trainer.run())

        # The loader copies the faces.
        return peak_bytes(train) - pixels.nbytes

    supernet = alive(lambda: Supernet(tiny, 12, space.heads), space)
    assert 0.95 < needed("train", workload).device / supernet < 1.05
    standalone = max(alive(lambda path=path: build(path, tiny, 12)) for path in covering_paths(space))
    assert 0.9 < needed("retrain", workload).device / standalone < 1.1


@pytest.mark.parametrize("batch", [4, pytest.param(64, marks=pytest.mark.slow)])
def test_all_paths_at_once_need_what_their_step_has_alive(tiny, space, batch):
    recipe, faces = Recipe(batch=batch), random_faces(96, 12, tiny.image_size)
    supernet = partial(Supernet, tiny, 12, space.heads)

    def train():
        for _ in range(2):
            next(Trainer(supernet(), faces, recipe, seed=0, space=space, step="graph").run())

    alive = peak_bytes(train) - faces.read(np.arange(96)).nbytes
    apart, joint = (
        training_memory(supernet, covering_paths(space), recipe, False, lambda images, at_once=at_once: at_once)
        for at_once in (False, True)
    )
    assert 0.9 < joint(batch).device / alive < 1.1
    assert joint(64).batch > 2 * apart(64).batch


def test_the_engine_that_auto_would_choose_is_the_one_that_is_counted(planned, monkeypatch):
    """A GPU takes all paths at once up to the batch that it has the memory for, several go path by path."""
    device = SimpleNamespace(total_memory=3 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    engine = supernet_engine(planned, torch.device("cuda"))
    assert engine(2).name == "graph" and "would take about" in str(engine(10_000))
    assert supernet_engine(planned, torch.device("cuda"), 2)(2).name == "paths"
    assert "a CPU gains nothing" in str(supernet_engine(planned, CPU)(2))
    monkeypatch.setattr(memory, "device_memory", lambda device: 2**40)
    by_auto = checked_memory(planned, torch.device("cuda"))["train"]
    apart = checked_memory(planned, torch.device("cuda"), devices=2)["train"]
    assert by_auto.batch > apart.batch == needed("train", planned, half=True).batch


@pytest.mark.parametrize("counts", [FaceCounts, LabelledCounts])
@pytest.mark.parametrize(("calibrate", "batch"), [(80, 20), (10, 100), (0, 50)])
def test_a_plan_holds_what_scoring_has_alive(tiny, counts, calibrate, batch):
    space = three_paths("cosface", "softmax")
    counted = counts(training=96, classes=12, validation=100, test=1)
    workload = workload_of(space, tiny, faces=counted, calibrate=calibrate, batch=batch)

    def scoring():
        supernet, images = Supernet(tiny, 12, space.heads).eval(), counted.random(100, tiny.image_size)
        sample = network_input(images, np.arange(calibrate), "cpu") if calibrate else None
        population_answers(supernet, covering_paths(space), images, sample, batch=batch)

    assert 0.9 < needed("search", workload).device / peak_bytes(scoring) < 1.1


def test_class_scores_are_kept_where_embeddings_were(tiny, space):
    """Six more genotypes in a score call hold six more arrays of results."""

    def results(counts, population):
        counted = counts(training=4000, classes=12, validation=400, test=30)
        planned = workload_of(space, tiny, faces=counted, population=population, generations=1, calibrate=2)
        return needed("search", planned).results

    more = {counts: results(counts, 8) - results(counts, 2) for counts in (FaceCounts, LabelledCounts)}
    assert more == {FaceCounts: 6 * 4 * 400 * tiny.embedding, LabelledCounts: 6 * 4 * 400 * 12}


def test_a_line_goes_through_two_small_batches():
    assert line(lambda images: torch.empty(images * 10 + 5))(100) == 4020


def test_bfloat16_needs_less_and_only_where_the_recipe_allows_it(tiny, space):
    allowed, refused = (
        workload_of(space, tiny, train=Recipe(batch=32, train_precision=kind)) for kind in ("bf16", "tf32")
    )
    full = needed("train", allowed)
    assert needed("train", allowed, half=True).batch < full.batch
    assert needed("train", refused, half=True) == full


@pytest.mark.slow
def test_a_score_call_holds_its_own_genotypes_and_confirming_a_larger_sample(tiny, space):
    faces = FaceCounts(training=4000, classes=12, validation=400, test=30)
    few, many = (workload_of(space, tiny, faces=faces, population=n, calibrate=100, batch=16) for n in (8, 64))
    assert needed("search", few) == needed("search", many)
    pair = needed("search", workload_of(space, tiny, faces=faces, population=2, generations=1))
    assert needed("search", few).results - pair.results == 6 * 4 * 400 * tiny.embedding
    kept = needed("search", replace(few, faces=replace(faces, confirmation=40)))
    assert kept.batch == needed("search", few, **{"--calibrate": 400}).batch
    assert kept.batch > 3 * needed("search", few).batch


@pytest.mark.parametrize(("optimizer", "copies"), [("sgd", 1), ("momentum", 1), ("adamw", 2), ("adamax", 2)])
def test_optimizers_keep_what_they_keep(optimizer, copies):
    assert optimizer_copies(Recipe(optimizer=optimizer)) == copies


def test_an_optimizer_without_momentum_keeps_nothing():
    assert optimizer_copies(Recipe(optimizer="momentum", momentum=0.0)) == 0


@pytest.fixture
def there(monkeypatch):
    """Sets what a device has."""
    return lambda size: monkeypatch.setattr(memory, "device_memory", lambda device: size)


def test_what_cannot_fit_is_refused_with_the_largest_batch_that_could(planned, there):
    large = replace(planned, train=replace(planned.train, batch=100))
    size = checked_memory(large, CPU)["train"].device - 1
    there(size)
    with pytest.raises(ValueError, match=r"^train needs .* of RAM, .* are available; the largest --batch") as refused:
        checked_memory(large, CPU)
    best = int(str(refused.value).split()[-1])
    fits = [needed("train", replace(large, train=Recipe(batch=b))).device <= size for b in (best, best + 1)]
    assert fits == [True, False]


@pytest.mark.parametrize("confirmation", [0, 50])
def test_a_calibration_sample_too_large_is_named(planned, there, confirmation):
    faces = FaceCounts(training=9000, classes=12, validation=50, test=50, confirmation=confirmation)
    greedy = replace(planned, faces=faces, protocol=replace(planned.protocol, calibrate=600))
    need = checked_memory(greedy, CPU)["search"]
    there(need.device + need.results - 1)
    with pytest.raises(ValueError, match=r"search needs .* the largest --calibrate that could fit is 599"):
        checked_memory(greedy, CPU)


def test_nothing_fits_into_nothing(planned, there):
    there(1000)
    with pytest.raises(ValueError, match="no --batch fits: use a smaller --skeleton, --blocks or --size"):
        checked_memory(planned, CPU)
