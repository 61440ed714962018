"""Which trained network to take: chosen on validation people, placed on test people, every number over its seeds."""

from dataclasses import replace

import pytest

from dualfair.evaluation.over_seeds import SeedMean, TrainedNetwork, over_seeds, standing
from dualfair.evaluation.protocol import PUBLISHED
from dualfair.runs.layout import RunLayout
from dualfair.runs.records.training import PlannedTraining, TrainingPlan
from dualfair.runs.run_files import RunFiles
from dualfair.runs.training_spec import TrainingSpec
from dualfair.stages.recommendation import (
    Recommendation,
    finished_trainings,
    planned_trainings,
    recommend,
    trained_networks,
)
from dualfair.supernet.files import write_json
from dualfair.supernet.skeleton import SKELETONS
from tests.support.records import result_of, search_config

FRONT, RANDOM, SHELF = "101-101-101-101:cosface", "343-282-080-535:cosface", "timm.resnet18:arcface"


def at(*values):
    """Measures that are these values, with one training's lack of a spread."""
    return {name: SeedMean((value,), value, None) for name, value in zip(PUBLISHED.measured, values, strict=True)}


def network(label, error, disparity, macs=1, test=0.5):
    return TrainedNetwork(label, 1, at(error, disparity), at(test, test), 10, (), macs=macs)


def tried(label, errors, disparities=(1.0, 1.0)):
    test = {"error": over_seeds(errors), "rank_disparity": over_seeds(disparities)}
    return replace(network(label, 0.1, 1.0), test=test, seeds=len(errors))


def test_validation_people_choose_and_test_people_do_not():
    networks = [network("a", 0.1, 3.0), network("b", 0.2, 1.0), network("c", 0.5, 0.9), network("d", 0.5, 3.0)]
    first = recommend(networks, PUBLISHED)
    assert [choice.label for choice in first.chosen] == ["b", "a", "c"]
    assert first.chosen[1].because == ("lowest error",) and set(first.front) == {"a", "b", "c"}
    assert (
        recommend([replace(each, test=at(place / 10, 0.0)) for place, each in enumerate(networks)], PUBLISHED) == first
    )


def test_of_equal_networks_the_smallest_is_taken_and_the_others_are_counted():
    networks = [network("a", 0.1, 1.0, macs=9), network("b", 0.1, 1.0, macs=3), network("c", 0.1, 1.0, macs=None)]
    recommendation = recommend(networks, PUBLISHED)
    assert [choice.label for choice in recommendation.chosen] == ["b"] and recommendation.chosen[0].tied == 2
    assert (
        recommend([network("a", 0.1, 3.0), network("b", 0.1, 3.0), network("c", 0.2, 1.0)], PUBLISHED).chosen[-1].tied
        == 0
    )


def test_networks_without_finite_values_are_never_taken():
    assert recommend([network("a", 0.1, float("inf")), network("b", None, 1.0)], PUBLISHED) == Recommendation()
    assert recommend([], PUBLISHED) == Recommendation()


def test_the_choice_is_placed_among_all_trained_networks_and_clear_differences_are_named():
    # Means 0.30, 0.10, 0.31, 0.90; standard errors 0.01, 0.01, 0.05, 0.10.
    networks = [tried("own", [0.29, 0.31]), tried("good", [0.09, 0.11]), tried("near", [0.26, 0.36])]
    networks.append(tried("bad", [0.8, 1.0], [3.0, 5.0]))
    place = standing(networks, "own")
    error, disparity = place.places["error"], place.places["rank_disparity"]
    assert (place.networks, place.fewest, place.most) == (4, 2, 2)
    assert (error.place, error.shared, error.unknown) == (2, 0, 0)
    assert (error.better, error.worse) == (("good",), ("bad",))
    # The disparity of 4 has a standard error of 1: 3 apart, more than 2.
    assert (disparity.place, disparity.shared) == (1, 2)
    assert (disparity.better, disparity.worse) == ((), ("bad",))
    assert standing([tried("own", [0.3]), tried("good", [0.1])], "own").places["error"].unknown == 1
    assert standing([tried("own", [0.0, 4.0]), tried("x", [3.9, 4.1])], "own").places["error"].worse == ()


def test_a_standard_error_needs_two_values():
    assert over_seeds([0.5]) == SeedMean((0.5,), 0.5, None)
    assert over_seeds([None, float("nan")]) == SeedMean((), None, None)
    # Deviation of 1 and 3 is the root of 2, over the root of 2.
    assert over_seeds([1.0, 3.0]) == SeedMean((1.0, 3.0), 2.0, pytest.approx(1.0))


def test_networks_are_summed_up_over_seeds_with_samples_sizes_and_latencies(tmp_path):
    results = [result_of(RANDOM, seed, 0.3 + seed / 10) for seed in range(2)]
    results += [result_of(FRONT, 0, 0.1), result_of(SHELF, 0, 0.9, params=11, macs=None)]
    trainings = [(RANDOM, 0, {"random"}), (RANDOM, 1, {"even"}), (FRONT, 0, {"front"})]
    jobs = [PlannedTraining(TrainingSpec.of_label(label, seed), frozenset(of)) for label, seed, of in trainings]
    files = RunFiles(RunLayout(tmp_path), "run")
    for folder in (files.layout.retrain.folder, files.layout.search.folder):
        folder.mkdir()
    TrainingPlan(tuple(jobs)).write(files.layout.retrain.plan)
    replace(search_config(), timed_on="this").write(files.layout.search.config)
    write_json(files.layout.search.latencies, {"this": {FRONT: 0.5}, "another": {RANDOM: 9.0}})
    networks = trained_networks(files, results, SKELETONS["nano"])
    assert [each.label for each in networks] == [FRONT, RANDOM, SHELF]
    assert [each.samples for each in networks] == [("front",), ("even", "random"), ("named",)]
    assert networks[1].seeds == 2 and networks[1].validation["error"].mean == pytest.approx(0.35)
    assert [group.group for group in networks[1].groups] == ["a", "b"]
    assert [each.latency for each in networks] == [0.5, None, None]
    assert networks[0].macs > 0 and (networks[2].params, networks[2].macs) == (11, None)


def test_damaged_undefined_and_missing_trainings_are_told(tmp_path):
    files = RunFiles(RunLayout(tmp_path), "run")
    stage = files.layout.retrain
    results = [result_of(FRONT, seed, error) for seed, error in enumerate((0.1, float("nan"), 0.2))]
    for result in results:
        place = stage.training(result.training)
        place.folder.mkdir(parents=True)
        result.write(place.result)
    stage.training(results[2].training).result.write_text("{")
    TrainingPlan(tuple(PlannedTraining(result.training) for result in results)).write(stage.plan)
    finished = finished_trainings(files)
    assert [result.training.seed for result in finished] == [0]
    assert len(planned_trainings(files, finished).jobs) == 3
    folder = "retrain/101-101-101-101_cosface"
    assert files.problems[0].startswith(f"{folder}/seed-2/result.json is damaged (")
    assert files.problems[1:] == [
        f"{folder}/seed-1/result.json is damaged: it is not the result of a training",
        "retraining is not finished: 1 of 3 trainings are done, so the network to take may change",
    ]
