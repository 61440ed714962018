"""A forecast is counts times what was measured."""

import dataclasses

import pytest

from dualfair.planning.flops import population_macs
from dualfair.planning.forecast import forecast
from dualfair.planning.measurement import Measurement
from dualfair.planning.options import PlanOptions
from dualfair.planning.spans import Span
from dualfair.runs.options import ProtocolOptions
from tests.support.workloads import small_space


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
    assert stages["search"].counts["confirmations"] == 0
    # 4 networks with two seeds, 30 steps of 0.1 s, judged on 1000 and 500 images.
    assert stages["retrain"].seconds.middle == pytest.approx(8 * (3 + 1.25), rel=0.01)
    assert result.scratch_networks == 12 and result.scratch_seconds.middle == pytest.approx(36)
    assert result.seconds.middle == pytest.approx(sum(stage.seconds.middle for stage in result.stages))
    assert result.kwh.middle == pytest.approx(result.seconds.middle / 3600 * 0.25)


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
    macs = population_macs(again, 8)
    assert kept["search"].flops - alone.flops == pytest.approx(2 * macs * (80 + 2 * 2000))
    # Standalone networks are judged on all faces that a search may see, and on test faces.
    assert kept["retrain"].counts == stages["retrain"].counts
    assert kept["retrain"].seconds.middle == pytest.approx(stages["retrain"].seconds.middle, rel=0.001)


def test_several_devices_finish_sooner_and_work_longer(planned):
    alone = forecast(planned, measured())
    four = forecast(planned, measured(), options=PlanOptions(devices=4, efficiency=0.5))
    one, several = ({stage.name: stage for stage in result.stages} for result in (alone, four))
    assert several["train"].wall_seconds.middle == pytest.approx(one["train"].seconds.middle / 2)
    # Six genotypes on four devices are two rounds, eight trainings too.
    assert several["search"].wall_seconds.middle == pytest.approx(one["search"].seconds.middle * 2 / 6)
    assert several["retrain"].wall_seconds.middle == pytest.approx(one["retrain"].seconds.middle * 2 / 8)
    assert four.kwh.middle == pytest.approx(four.wall_seconds.middle * 4 * 0.25 / 3600)
    assert four.kwh.middle > alone.kwh.middle and four.scratch_seconds == alone.scratch_seconds


def test_devices_share_an_exhaustive_search(planned):
    exhaustive = dataclasses.replace(planned, space=small_space(), exhaustive=True)
    search = next(
        stage
        for stage in forecast(exhaustive, measured(), options=PlanOptions(devices=3)).stages
        if stage.name == "search"
    )
    assert search.wall_seconds.middle == pytest.approx(search.seconds.middle * 6 / 16)
