"""A forecast is work by formula times what was measured."""

import dataclasses

import numpy as np
import pytest

from dualfair.evaluation.cost import expected_macs, macs
from dualfair.evaluation.scoring.sharing import expected_work
from dualfair.planning.counts import LabelledCounts
from dualfair.planning.forecast import forecast, training_flops
from dualfair.planning.measurement import Measurement, Span
from dualfair.planning.options import PlanOptions, kilograms, kilowatt_hours
from dualfair.runs.options import ProtocolOptions
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.recipe import Recipe
from tests.support.workloads import small_space, workload_of


def measured(step=1.0):
    one = Span(0.5, 1.0, 2.0)
    return Measurement(
        train_step=one * step,
        retrain_step=one * 0.1,
        scoring=one * 1e-12,
        judging=one * 1e-6,
        repetitions={"steps": 3},
    )


def test_a_forecast_is_counts_times_what_was_measured(planned):
    result = forecast(planned, measured())
    stages = {stage.name: stage for stage in result.stages}
    assert stages["train"].seconds == Span(50, 100, 200)
    # 12 genotypes, and the judging of two errors to beat: 14 x 1000^2 x 1e-6 s, beside the embedding.
    assert 14 < stages["search"].seconds.middle < 14.1
    assert "confirmed" not in stages["search"].work
    # 4 networks with two seeds, 30 steps of 0.1 s, judged on 1000 and 500 images.
    assert stages["retrain"].seconds.middle == pytest.approx(8 * (3 + 1.25), rel=0.01)
    assert result.seconds.middle == pytest.approx(sum(stage.seconds.middle for stage in result.stages))
    assert result.kwh.middle == pytest.approx(result.seconds.middle / 3600 * 0.25)


def test_every_supernet_is_trained_and_scores(planned):
    once, thrice = (
        {stage.name: stage for stage in forecast(dataclasses.replace(planned, supernets=n), measured()).stages}
        for n in (1, 3)
    )
    for name, times in (("train", 3), ("search", 3), ("retrain", 1)):
        assert thrice[name].seconds.middle == pytest.approx(times * once[name].seconds.middle)
        assert thrice[name].flops == pytest.approx(times * once[name].flops)
    assert thrice["train"].work == f"3 supernets, each {once['train'].work}"


def test_confirming_is_forecast_like_scoring_on_the_people_kept_for_it(planned):
    faces = dataclasses.replace(planned.faces, searched=300, confirmation=2000)
    stages = {stage.name: stage for stage in forecast(planned, measured()).stages}
    search, protocol = dataclasses.replace(planned.search, confirm_candidates=2), ProtocolOptions(calibrate=20)
    again = dataclasses.replace(planned, faces=faces, search=search, protocol=protocol)
    kept = {stage.name: stage for stage in forecast(again, measured()).stages}
    # 14 judgings of 300 images; 2 candidates and 6 random subnets on 2000, ranked for values and for intervals.
    assert kept["search"].seconds.middle == pytest.approx(14 * 0.09 + 8 * 2 * 4, rel=0.001)
    assert kept["search"].work.startswith(
        "12 evaluations, each on 20 images for BN statistics and 300 mirrored ones; 8 "
    )
    without = dataclasses.replace(again, search=dataclasses.replace(search, confirm_candidates=0))
    alone = next(stage for stage in forecast(without, measured()).stages if stage.name == "search")
    assert kept["search"].flops - alone.flops == pytest.approx(
        2 * expected_work(again.space, again.skeleton, 8, 8) * (80 + 2 * 2000)
    )
    # Standalone networks are judged on all faces that a search may see, and on test faces.
    assert kept["retrain"].work == stages["retrain"].work
    assert kept["retrain"].seconds.middle == pytest.approx(stages["retrain"].seconds.middle, rel=0.001)


def test_labelled_images_pass_once_and_their_ranks_hardly_cost_time(planned):
    counts = LabelledCounts(training=100, classes=12, validation=1000, test=500)
    labelled = dataclasses.replace(planned, faces=counts, protocol=ProtocolOptions(calibrate=0))
    search = forecast(labelled, measured()).stages[1]
    passed = expected_work(labelled.space, labelled.skeleton, 6, 8) * 2 + expected_macs(
        labelled.space, labelled.skeleton
    )
    assert search.flops == pytest.approx(2 * passed * 1000)
    # 14 judgings of 1000 images, each compared with 12 classes, at 1e-6 s.
    assert search.seconds.middle == pytest.approx(14 * 12e-3 + passed * 1e-9)
    assert search.work == "12 evaluations, each on 0 images for BN statistics and 1,000 others"


def test_several_devices_finish_sooner_and_work_longer(planned):
    alone = forecast(planned, measured())
    four = forecast(planned, measured(), options=PlanOptions(devices=4, efficiency=0.5))
    one, several = ({stage.name: stage for stage in result.stages} for result in (alone, four))
    assert several["train"].wall_seconds.middle == pytest.approx(one["train"].seconds.middle / 2)
    # Six genotypes on four devices are two rounds, eight trainings too.
    assert several["search"].wall_seconds.middle == pytest.approx(one["search"].seconds.middle * 2 / 6)
    assert several["retrain"].wall_seconds.middle == pytest.approx(one["retrain"].seconds.middle * 2 / 8)
    assert four.kwh.middle == pytest.approx(four.wall_seconds.middle * 4 * 0.25 / 3600)
    assert four.kwh.middle > alone.kwh.middle


def test_devices_share_an_exhaustive_search(planned):
    exhaustive = dataclasses.replace(planned, space=small_space(), exhaustive=True)
    search = next(
        stage
        for stage in forecast(exhaustive, measured(), options=PlanOptions(devices=3)).stages
        if stage.name == "search"
    )
    assert search.wall_seconds.middle == pytest.approx(search.seconds.middle * 6 / 16)


def test_training_flops_are_six_a_mac_of_every_path_image_and_step(tiny):
    space = dpn_space("dpn81-shared", 3)
    planned = workload_of(space, tiny, train=Recipe(epochs=2, batch=10))
    path = np.mean([macs(genotype, tiny) for genotype in space.enumerate()]) + 12 * tiny.embedding
    steps = planned.supernet_steps
    assert steps == 2 * (96 // 10)
    assert training_flops(planned, planned.train, 9 * steps) == pytest.approx(6 * path * 10 * 9 * steps)


def test_the_class_weights_of_a_softmax_are_as_long_as_what_it_pools(tiny):
    space, counts = (
        dpn_space("dpn81-shared", 3, heads=("softmax",)),
        LabelledCounts(training=96, classes=50, validation=40, test=30),
    )
    planned = workload_of(space, tiny, faces=counts)
    path = expected_macs(space, tiny) + 50 * tiny.features
    assert tiny.features != tiny.embedding
    assert training_flops(planned, planned.train, 1) == pytest.approx(6 * path * 8)


def test_the_studys_emissions_come_out():
    assert kilograms(88_493 * 3600, 250, 0.373) == pytest.approx(8251.97, abs=0.005)
    assert kilowatt_hours(7200, 500) == 1
