"""Which disparity can be searched on: reliability of the measures over random networks and two halves of the people."""

import numpy as np
import pytest

from dualfair.evaluation.objective_grammar import parse_objectives
from dualfair.evaluation.scoring.scorer import half_column
from dualfair.evaluation.searchability import searchability
from dualfair.evaluation.statistics.reliability import normal_scores, reliability
from dualfair.runs.records.search import SearchReliability
from dualfair.stages.search_output import reliability_sentences

PEOPLE = {"a": 50, "b": 50}


def lines_of(measures, chosen):
    objectives = parse_objectives("error,macs" if chosen == "error" else f"error,{chosen}")
    return reliability_sentences(SearchReliability(PEOPLE, 0.8, measures), objectives)


def columns(networks=32, seed=0, **noise):
    """Columns of both halves by measure: true values of standard deviation 1, and noise of so much in either half."""
    rng = np.random.default_rng(seed)
    values = {}
    for measure, deviation in noise.items():
        truth = rng.normal(size=networks) if deviation is not None else np.zeros(networks)
        scale = 1.0 if deviation is None else deviation
        for half in (1, 2):
            # That one half is harder for all networks ranks nobody.
            values[half_column(measure, half)] = truth + scale * rng.normal(size=networks) + 10 * half
    return values


def test_without_noise_the_reliability_is_one_and_nothing_is_warned_of():
    measures = searchability(columns(rank_disparity=0.0), ["rank_disparity"], 100)
    (measure,) = measures.values()
    assert measure.reliability == measure.low == measure.high == 1 and measure.people == 50 and measure.networks == 32
    lines = lines_of(measures, "rank_disparity")
    assert len(lines) == 2 and "32 random networks, 100 people (a 50, b 50)" in lines[0]
    assert "1.00 [1.00, 1.00]  0.8 takes about 50 people" in lines[1]


def test_pure_noise_has_no_reliability_and_is_warned_of():
    measures = searchability(columns(networks=400, rank_disparity=None), ["rank_disparity"], 100)
    measure = measures["rank_disparity"]
    assert measure.reliability < 0.2 and measure.low == 0
    *_, warning = lines_of(measures, "rank_disparity")
    assert warning.startswith(f"warning: rank_disparity {measure.reliability:.2f} is too noisy on these people")
    assert "no other disparity can be" in warning


@pytest.mark.parametrize("deviation", [0.3, 1.0, 2.0])
def test_known_components_give_the_reliability_of_the_mean_of_two_halves(deviation):
    """Of networks of variance 1 and halves of variance d^2: 1 / (1 + d^2 / 2); 0.8 takes 4 d^2 halves."""
    measure = searchability(columns(networks=3000, m=deviation), ["m"], 100)["m"]
    assert measure.reliability == pytest.approx(1 / (1 + deviation**2 / 2), abs=0.03)
    assert measure.low < measure.reliability < measure.high
    assert measure.people == pytest.approx(max(1, 4 * deviation**2) * 50, rel=0.15, abs=51)


def test_the_numbers_are_those_of_the_components_of_variance():
    values = columns(networks=12, m=0.7)
    measure = searchability(values, ["m"], 31)["m"]
    halves = np.stack([values[half_column("m", half)] for half in (1, 2)], axis=1)
    components = reliability(normal_scores(halves)[:, None, :])
    assert measure.reliability == components.of_mean(galleries=2)
    assert measure.people == np.ceil(components.galleries_needed(0.8) * 31 / 2)


def test_a_noisy_choice_is_told_the_most_reliable_disparity_and_never_the_error():
    noise = {"error": 0.0, "rank_disparity": 2.0, "log_rank_disparity": 0.2, "accuracy_disparity": 0.5}
    measures = searchability(columns(**noise), list(noise), 100)
    assert list(measures) == list(noise)
    *_, warning = lines_of(measures, "rank_disparity")
    best = measures["log_rank_disparity"].reliability
    assert (
        warning.endswith(f"; log_rank_disparity {best:.2f} can be: --objectives error,log_rank_disparity")
        and best > 0.9
    )
    assert not any("warning" in line for line in lines_of(measures, "log_rank_disparity"))


def test_the_advice_keeps_the_other_objectives_and_can_be_pasted():
    noise = {"1 - tar": 0.1, "rank_disparity(gallery=40)": 3.0, "rank_disparity": 0.1}
    measures = searchability(columns(**noise), list(noise), 100)
    *_, warning = reliability_sentences(
        SearchReliability(PEOPLE, 0.8, measures), parse_objectives("tar,rank_disparity(gallery=40),macs")
    )
    assert warning.endswith("can be: --objectives tar,rank_disparity,macs")
    *_, warning = reliability_sentences(
        SearchReliability(PEOPLE, 0.8, searchability(columns(**{"1 - tar": 3.0}), ["1 - tar"], 100)),
        parse_objectives("tar,macs"),
    )
    assert "warning: 1 - tar" in warning and "disparity" not in warning


def test_where_no_disparity_can_be_searched_on_the_people_that_each_would_take_are_said():
    noise = {"error": 0.1, "rank_disparity": 2.5, "log_rank_disparity": 1.3}
    measures = searchability(columns(networks=300, **noise), list(noise), 100)
    *lines, warning = lines_of(measures, "rank_disparity")
    people = measures["log_rank_disparity"].people
    assert warning.endswith("; no other disparity can be")
    assert f"0.8 takes about {people:,} people" in lines[-1] and people < measures["rank_disparity"].people


def test_networks_without_a_value_do_not_count_and_few_are_not_estimated():
    values = columns(networks=9, error=0.1, rank_disparity=0.1)
    values[half_column("rank_disparity", 2)][:2] = np.nan, np.inf
    measures = searchability(values, ["error", "rank_disparity"], 100)
    error, disparity = measures.values()
    assert error.reliability is not None and (disparity.networks, disparity.reliability) == (7, None)
    lines = lines_of(measures, "rank_disparity")
    assert lines[2].endswith("not estimated: finite for 7 networks, 8 are needed") and len(lines) == 3
    few = searchability(columns(networks=7, error=0.1, rank_disparity=9.0), ["error", "rank_disparity"], 100)
    assert lines_of(few, "rank_disparity") == [
        "Reliability of the measures: not estimated, 7 networks are too few (8 are needed)"
    ]


def test_a_measure_that_does_not_vary_is_said_to_tell_nobody_apart():
    values = {half_column("error", half): np.full(10, 0.5) for half in (1, 2)}
    measures = searchability(values, ["error"], 100)
    assert measures["error"].reliability is None and "networks do not differ" in lines_of(measures, "error")[1]
    kept = SearchReliability(PEOPLE, 0.8, measures).to_json()
    assert kept["measures"]["error"]["reliability"] is None
