"""`dualfair plan`: what it prints, what it refuses, and that the numbers of its file are those it prints."""

import dataclasses
import json

import pytest
import torch

from dualfair.commands import plan
from dualfair.planning import limits
from dualfair.planning.flops import expected_distinct_macs
from dualfair.planning.forecast import Terms, forecast
from dualfair.planning.limits import largest_that_fits
from dualfair.planning.measurement import Measurement
from dualfair.planning.report import duration
from dualfair.planning.spans import Span
from dualfair.planning.workload import FaceCounts, Workload
from dualfair.runs.options import RetrainOptions, SearchOptions, TrainOptions
from dualfair.runs.protocol import ProtocolOptions
from dualfair.runs.trained_run import open_setting
from dualfair.supernet.space import ChoiceBlock, SearchSpace
from dualfair.supernet.training.recipe import Recipe


@pytest.fixture(scope="module")
def small_faces(tmp_path_factory):
    from dualfair.stages.generate import generate
    from dualfair.supernet.images.synthetic.people import SyntheticFaces

    folder = tmp_path_factory.mktemp("small") / "faces"
    generate(SyntheticFaces(identities=20, images=4, size=32), folder)
    return folder


def measured(step=1.0):
    one = Span(0.5, 1.0, 2.0)
    nothing = Span(0.0, 0.0, 0.0)
    return Measurement(
        train_step=one * step,
        retrain_step=one * 0.1,
        calibration=nothing,
        embedding=one * 1e-12,
        judging_linear=nothing,
        judging_square=one * 1e-6,
        correlation=one,
        repetitions={"steps": 3},
    )


@pytest.fixture
def planned(tiny):
    places = [(block, position) for block in range(3) for position in range(3)]
    choices = [
        ChoiceBlock(f"{block}.{position}", ("pre3", "raw5"), ((block, position),), (0, 5)) for block, position in places
    ]
    return Workload(
        space=SearchSpace([*choices, ChoiceBlock("head", ("arcface", "cosface"))]),
        skeleton=tiny,
        faces=FaceCounts(training=100, identities=12, validation=1000, test=500),
        train=Recipe(epochs=10, batch=10),
        retrain=Recipe(epochs=3, batch=10),
        population=6,
        generations=2,
        controls=1,
        seeds=2,
    )


def test_a_plan_of_faces_prints_what_it_writes(dualfair, small_faces, tmp_path):
    file = tmp_path / "plan.json"
    words = ("--faces", small_faces, "--size", 32, "--epochs", 2, "--batch", 8, "--population", 4, "--generations", 2)
    more = ("--calibrate", 16, "--controls", 0, "--seconds", 1, "--devices", 2, "--json", file)
    shown = dualfair("plan", *words, *more)
    assert shown.status == 0, shown.err
    numbers = json.loads(file.read_text())
    stages = {stage["name"]: stage for stage in numbers["stages"]}
    assert list(stages) == ["train", "search", "retrain", "correlate"]
    assert stages["train"]["counts"] == {"steps": 12, "paths": 9, "batch": 8}
    assert "48 training images of 12 people, 16 of validation, 16 of test" in shown.out
    for name, stage in stages.items():
        assert f"{name:<10} {stage['work']}" in shown.out
        row = next(
            line
            for line in shown.out.splitlines()
            if line.startswith(name + " ") and "range" not in line and stage["work"] not in line
        )
        for seconds in (*stage["seconds"].values(), stage["wall_seconds"]["middle"]):
            assert duration(seconds) in row
        assert not stage["flops"] or f"{stage['flops']:.2g}" in row
    assert f"Energy: {numbers['kwh']['middle']:.2g} (" in shown.out
    assert "2 devices: training data parallel at efficiency 0.9" in shown.out
    assert "Training all 8 networks from scratch" in shown.out


def test_the_trainer_agrees_with_the_plan(dualfair, small_faces, tmp_path):
    options = ("--size", 32, "--epochs", 1.5, "--batch", 10)
    trained = dualfair("train", "--faces", small_faces, "--out", tmp_path / "run", *options)
    given = dict.fromkeys((*TrainOptions.__dataclass_fields__, *Recipe.__dataclass_fields__, "seeds", "controls"))
    given |= dict.fromkeys(RetrainOptions.__dataclass_fields__)
    workload = plan.planned(small_faces, {**given, "size": 32, "epochs": 1.5, "batch": 10}, None, plan.PlanOptions())
    assert f"{workload.supernet_steps:,} steps of {workload.paths} paths x 10 images" in trained.out


@pytest.fixture
def nothing_given():
    configs = (TrainOptions, Recipe, SearchOptions, ProtocolOptions, RetrainOptions)
    return {name: None for config in configs for name in config.__dataclass_fields__}


def test_the_people_kept_to_confirm_are_not_those_of_the_search(small_faces, nothing_given):
    given = {**nothing_given, "size": 32, "split": "0.4,0.4,0.2", "batch": 8}
    setting = open_setting(dataclasses.asdict(TrainOptions(size=32, split="0.4,0.4,0.2")), small_faces)
    kept = plan.planned(small_faces, given, None, plan.PlanOptions())
    images = [len(setting.splits[name]) for name in ("validation", "confirmation")]
    assert [kept.faces.validation, kept.faces.confirmation] == images == [16, 16]
    assert kept.searched == 16 and kept.confirming.searched == 16 and kept.confirmations == 48
    everybody = plan.planned(small_faces, {**given, "confirm": 0.0}, None, plan.PlanOptions())
    assert (everybody.searched, everybody.confirmations) == (32, 0)
    few = plan.planned(small_faces, {**given, "confirm": 0.0, "people": 4}, None, plan.PlanOptions())
    assert (few.searched, few.faces.validation) == (16, 32)


def test_images_not_imported_yet_are_divided_by_the_same_shares(nothing_given):
    options = plan.PlanOptions(images=900, identities=90, validation_images=400)
    half = plan.planned(None, nothing_given, None, options)
    assert (half.searched, half.faces.confirmation, half.faces.test) == (200, 200, 400)
    quarter = plan.planned(None, {**nothing_given, "confirm": 0.25, "people": 6, "random": 9}, None, options)
    assert (quarter.faces.validation, quarter.faces.confirmation, quarter.searched) == (300, 100, 60)
    assert quarter.networks == half.networks + 9


def test_stages_follow_their_tables_of_the_preset_and_retraining_else_follows_training():
    fields = (TrainOptions, Recipe, SearchOptions, ProtocolOptions, RetrainOptions)
    given = {name: None for config in fields for name in config.__dataclass_fields__}
    options = plan.PlanOptions(images=90_000, identities=5_000)
    by_preset = plan.planned(None, given, "celeba", options)
    assert (by_preset.train.epochs, by_preset.retrain.epochs, by_preset.retrain.batch) == (60, 100, 64)
    assert (by_preset.population, by_preset.generations, by_preset.calibrate, by_preset.seeds) == (64, 30, 512, 4)
    typed = plan.planned(None, {**given, "epochs": 7.0, "lr": 0.5}, None, options)
    assert (typed.train.epochs, typed.retrain.epochs, typed.retrain.lr) == (7, 7, 0.5)
    own = plan.planned(None, {**given, "epochs": 7.0}, None, dataclasses.replace(options, retrain_epochs=3.0))
    assert (own.train.epochs, own.retrain.epochs) == (7, 3)


def test_every_option_of_the_stages_is_one_of_the_plan(dualfair):
    shown = " ".join(dualfair("plan", "--help").out.split())
    for config in (plan.PlanOptions, TrainOptions, Recipe, SearchOptions, ProtocolOptions, RetrainOptions):
        for name in config.__dataclass_fields__:
            assert f"--{name.replace('_', '-')}" in shown, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give either --faces FOLDER, or --images N and --identities K"),
        (("--faces", "{faces}", "--images", "9", "--identities", "3"), "give either --faces FOLDER"),
        (("--faces", "{faces}"), "stored at 32 px, the network takes 48 px"),
        (("--faces", "{tmp}/none"), "is no faces folder"),
        (("--images", "900"), "faces need 1 or more of identities, got 0; see --identities"),
        (("--images", "9", "--identities", "30"), "30 people need at least as many training images; there are 9"),
        (("--images", "90", "--identities", "9", "--space", "dpn9"), "unknown space 'dpn9'; choose from dpn81"),
        (("--images", "90", "--identities", "9", "--sampler", "fair"), "unknown sampler 'fair'"),
        (("--images", "90", "--identities", "9", "--exhaustive"), "leave out --exhaustive, or choose a -shared"),
        (("--images", "90", "--identities", "9", "--devices", "0"), "devices must be 1 or more, got 0"),
        (("--images", "90", "--identities", "9", "--efficiency", "2"), "efficiency must be above 0 and at most 1"),
        (("--images", "90", "--identities", "9", "--seconds", "0"), "seconds must be above 0, got 0"),
        (("--images", "90", "--identities", "9", "--device", "tpu"), "unknown device 'tpu'"),
        (("--images", "90", "--identities", "9", "--batch", "99"), "a batch of 99 needs at least as many training"),
        (("--images", "90", "--identities", "9", "--confirm", "1"), "confirm must be a share of the validation people"),
        (("--images", "90", "--identities", "9", "--people", "3"), "people must be 0 (all) to 2, the people of 15"),
        (("--images", "90", "--identities", "9", "--validation-images", "1", "--confirm", "0.9"), "1 or more of valid"),
        (("--images", "90", "--identities", "9", "--random", "-1"), "random must be 0 or more, got -1"),
        (("--faces", "{faces}", "--size", "32", "--people", "5"), "people must be 0 (all) to 4, the people of these"),
        (("--images", "90", "--identities", "9", "--ranks-per-job", "2"), "ranks_per_job must divide the 1 devices"),
    ],
)
def test_a_users_mistake_gets_one_clear_line(dualfair, small_faces, tmp_path, words, said):
    result = dualfair("plan", *(word.format(tmp=tmp_path, faces=small_faces) for word in words))
    assert result.status == 2 and said in result.err
    assert result.err.startswith("Error: ") and result.err.count("\n") == 1


def test_what_cannot_fit_is_refused_with_the_largest_batch_that_could(planned, monkeypatch):
    free = limits.checked_memory(planned, torch.device("cpu"))
    there = free["train"].device - 1
    monkeypatch.setattr(limits, "device_memory", lambda device: there)
    with pytest.raises(ValueError, match=r"^train needs .* of RAM, .* are available; the largest --batch") as refused:
        limits.checked_memory(planned, torch.device("cpu"))
    best = int(str(refused.value).split()[-1])
    fits = {batch: limits.MemoryPlan(planned, half=False).train(batch).device <= there for batch in (best, best + 1)}
    assert fits == {best: True, best + 1: False}


def test_a_calibration_sample_too_large_is_named(planned, monkeypatch):
    greedy = dataclasses.replace(planned, calibrate=4000)
    monkeypatch.setattr(limits, "device_memory", lambda device: 60_000_000)
    with pytest.raises(ValueError, match=r"search needs .* the largest --calibrate that could fit is "):
        limits.checked_memory(greedy, torch.device("cpu"))


def test_nothing_fits_into_nothing(planned, monkeypatch):
    monkeypatch.setattr(limits, "device_memory", lambda device: 1000)
    with pytest.raises(ValueError, match="no --batch fits: use a smaller --skeleton, --blocks or --size"):
        limits.checked_memory(planned, torch.device("cpu"))


def test_the_largest_that_fits_is_found():
    for limit in range(2, 64):
        assert largest_that_fits(lambda n, limit=limit: n <= limit, 2, 64) == limit
    assert largest_that_fits(lambda n: True, 2, 64) == 64
    assert largest_that_fits(lambda n: False, 2, 64) is None


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
    again = dataclasses.replace(planned, faces=faces, confirm_candidates=2, calibrate=20)
    kept = {stage.name: stage for stage in forecast(again, measured()).stages}
    # 14 judgings of 300 images; 2 candidates and 6 random subnets on 2000, ranked for values and for intervals.
    assert kept["search"].seconds.middle == pytest.approx(14 * 0.09 + 8 * 2 * 4, rel=0.001)
    assert kept["search"].work.startswith(
        "12 evaluations, each on 20 images for BN statistics and 300 mirrored ones; 8 "
    )
    without = dataclasses.replace(again, confirm_candidates=0)
    alone = next(stage for stage in forecast(without, measured()).stages if stage.name == "search")
    macs = expected_distinct_macs(planned.space, planned.skeleton, 6) * 8 / 6
    assert kept["search"].flops - alone.flops == pytest.approx(2 * macs * (80 + 2 * 2000))
    # Standalone networks are judged on all faces that a search may see, and on test faces.
    assert kept["retrain"].counts == stages["retrain"].counts
    assert kept["retrain"].seconds.middle == pytest.approx(stages["retrain"].seconds.middle)


def test_a_calibration_sample_of_confirming_that_is_too_large_is_named(planned, monkeypatch):
    kept = dataclasses.replace(
        planned, faces=FaceCounts(training=9000, identities=12, validation=50, test=50, confirmation=50), calibrate=600
    )
    need = limits.checked_memory(kept, torch.device("cpu"))["search"]
    monkeypatch.setattr(limits, "device_memory", lambda device: need.device + need.results - 1)
    with pytest.raises(ValueError, match=r"search needs .* the largest --calibrate that could fit is 599"):
        limits.checked_memory(kept, torch.device("cpu"))


def test_several_devices_finish_sooner_and_work_longer(planned):
    alone = forecast(planned, measured())
    four = forecast(planned, measured(), terms=Terms(devices=4, efficiency=0.5))
    one, several = ({stage.name: stage for stage in result.stages} for result in (alone, four))
    assert several["train"].wall_seconds.middle == pytest.approx(one["train"].seconds.middle / 2)
    assert several["train"].device_seconds.middle == pytest.approx(one["train"].seconds.middle * 2)
    # Six genotypes on four devices are two rounds, eight trainings too; correlating is not shared out.
    assert several["search"].wall_seconds.middle == pytest.approx(one["search"].seconds.middle * 2 / 6)
    assert several["retrain"].wall_seconds.middle == pytest.approx(one["retrain"].seconds.middle * 2 / 8)
    assert several["correlate"].wall_seconds == one["correlate"].seconds
    assert four.kwh.middle > alone.kwh.middle and four.scratch_seconds == alone.scratch_seconds
