"""A front on people that the search has not seen."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from dualfair.evaluation.protocol import ObjectiveNames
from dualfair.evolution.archive import Evaluation
from dualfair.evolution.layers import front_layers
from dualfair.evolution.nsga2 import evolve
from dualfair.evolution.run import SearchResult
from dualfair.evolution.storage import glance
from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import ProtocolOptions, SearchOptions, measurement, people_in_words
from dualfair.runs.records.search import Front, FrontNetwork
from dualfair.runs.trained_run import open_trained
from dualfair.stages.confirm import confirmed_front, judged
from dualfair.stages.search import random_subnets
from dualfair.stages.search_output import confirmation_sentences, confirmed_table, write_tables
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.process_group import ALONE
from tests.support.records import search_config

NAMES = ("error", "rank_disparity")
FRESH = (*NAMES, "error low", "error high", "rank_disparity low", "rank_disparity high")
SPACE = dpn_space("dpn81", 2)


def genotypes(n, seed=0):
    return SPACE.sample_distinct(n, np.random.default_rng(seed))


def evaluations_of(values):
    return [Evaluation(name, tuple(row)) for name, row in zip(genotypes(len(values)), values.tolist(), strict=True)]


def dominated(values, others):
    return any(all(other <= values) and any(other < values) for other in others)


def brute_front(values):
    return [place for place, each in enumerate(values) if not dominated(each, values)]


def confirmed_front_of(before, after, random, *, leading=None):
    """All networks but those that are random only compete; they lead where nobody dominates them in the search."""
    n = len(before)
    fresh = [(*row, *(row[0] + end for end in (-0.1, 0.1)), *(row[1] + end for end in (-1, 1))) for row in after]
    networks = [
        FrontNetwork(name, dict(zip(NAMES, row, strict=True)), dict(zip(FRESH, held_out, strict=True)))
        for name, row, held_out in zip(genotypes(n), np.asarray(before).tolist(), fresh, strict=True)
    ]
    if leading is None:
        leading = np.isin(np.arange(n), brute_front(np.asarray(before)))
    measured_on = {"people": 300, "images": 3000, "calibrate": 2048}
    front, confirmation = judged(
        networks, leading, np.ones(n, bool), np.asarray(random), ObjectiveNames(NAMES, NAMES, NAMES[1]), measured_on
    )
    return Front(search_config(), NAMES, 96, {"raw pixels": 0.9}, front, confirmation)


@pytest.mark.parametrize("least", [1, 5, 12, 16, 200])
def test_candidates_are_the_first_layers_by_brute_force(least):
    values = np.random.default_rng(1).random((60, 2)).round(1)
    values[7] = np.nan
    layers = front_layers(evaluations_of(values), 2, least)
    layers = [{str(evaluation.genotype) for evaluation in layer} for layer in layers]
    names = np.array([str(name) for name in genotypes(60)])
    left = [place for place in range(60) if place != 7]
    expected = []
    while left and sum(map(len, expected)) < least:
        layer = [left[place] for place in brute_front(values[left])]
        expected.append(set(names[layer]))
        left = [place for place in left if place not in layer]
    assert layers[:-1] == expected[:-1] and len(layers) == len(expected)
    assert layers[-1] <= expected[-1]
    total = sum(map(len, layers))
    assert total >= min(least, 59) and (total <= 2 * least or len(layers) == 1)
    if sum(map(len, expected)) <= 2 * least:
        assert layers == expected


def test_a_large_front_is_whole_and_a_large_layer_behind_it_is_cut_with_its_ends():
    front = np.stack([np.arange(30), 30 - np.arange(30)], axis=1)
    layers = front_layers(evaluations_of(front), 2, 4)
    assert [len(layer) for layer in layers] == [30]
    layers = front_layers(evaluations_of(np.concatenate([[[-1, -1]], front])), 2, 4)
    assert [len(layer) for layer in layers] == [1, 7]
    assert {layers[1][0].values[0], layers[1][-1].values[0]} == {0, 29}


def test_without_a_finite_score_there_are_no_candidates():
    assert front_layers(evaluations_of(np.full((3, 2), np.nan)), 2, 4) == []


def test_the_confirmed_front_is_the_front_of_the_fresh_scores_among_candidates():
    rng = np.random.default_rng(2)
    after = rng.random((20, 2)).round(1)
    after[3] = np.nan, 0
    made = confirmed_front_of(rng.random((20, 2)), after, np.zeros(20, bool))
    finite = [place for place in range(20) if place != 3]
    expected = {genotypes(20)[finite[place]] for place in brute_front(after[finite])}
    assert {network.genotype for network in made.networks} == expected
    errors = [network.confirmed["error"] for network in made.networks]
    assert errors == sorted(errors)


def test_a_front_that_pure_luck_made_does_not_survive_and_a_true_one_does():
    """Noise of the size of all differences between networks: the best of 400 draws; and no noise at all."""
    rng = np.random.default_rng(3)
    before, after = rng.normal([0.3, 3], [0.05, 1], (2, 400, 2))
    leading = np.isin(np.arange(400), brute_front(before))
    kept = np.concatenate([np.flatnonzero(leading), np.flatnonzero(~leading)[:60]])
    n = leading.sum()
    random = np.arange(len(kept)) >= len(kept) - 32
    lucky = confirmed_front_of(before[kept], after[kept], random)
    assert lucky.confirmation.survived <= n / 2
    for name, spread in zip(NAMES, (0.05, 1), strict=True):
        searched, fresh = lucky.confirmation.means[name]["search front"]
        assert fresh - searched > 0.5 * spread
        searched, fresh = lucky.confirmation.means[name]["random subnets"]
        assert abs(fresh - searched) < 0.5 * spread
    text = " ".join(confirmation_sentences(lucky))
    assert "error rose from" in text and text.count("no better than chance") == 2
    true = confirmed_front_of(before[kept], before[kept], random)
    assert {network.genotype for network in true.networks} == {n.genotype for n in true.confirmation.search_front}
    text = " ".join(confirmation_sentences(true))
    assert f"{n} of the search's {n} front networks stay on the front, 0 from" in text
    assert text.count("better than chance") == 2 and "no better" not in text


@pytest.mark.parametrize("seed", range(5))
def test_p_counts_the_random_networks_as_good_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    before, after = rng.random((2, 25, 2)).round(1)
    random = rng.random(25) < 0.6
    made = confirmed_front_of(before, after, random)
    for number, chance in enumerate(made.confirmation.against_random):
        best = genotypes(25).index(chance.genotype)
        assert before[best, number] == min(before[:, number])
        rivals = [after[place, number] for place in range(25) if random[place] and place != best]
        assert chance.random == len(rivals) and chance.value == after[best, number]
        assert chance.p == (1 + sum(rival <= after[best, number] for rival in rivals)) / (1 + len(rivals))


def test_the_sentence_says_n_and_p_and_where_nothing_can_be_told():
    before = np.array([[0.1, 2.0], *([0.5, 3.0] for _ in range(32))])
    random = np.arange(33) > 0
    after = np.array([[0.12, 1.0], *([0.5, 0.5 if place < 11 else 2.0] for place in range(32))])
    made = confirmed_front_of(before, after, random)
    _, _, error, disparity = confirmation_sentences(made)
    assert error == (
        "error: the search's best has 0.120 [0.020, 0.220] on 300 fresh people; 0 of 32 random subnets are as good "
        "(one-sided p = 0.03): better than chance"
    )
    assert disparity.startswith("rank disparity: the search's best has 1.000 [0.000, 2.000] on 300 fresh people; 11 of")
    assert disparity.endswith("as good (one-sided p = 0.36): no better than chance")
    few = confirmation_sentences(confirmed_front_of(before[:11], after[:11], random[:11]))
    assert few[2].endswith("0 of 10 random subnets are as good (one-sided p = 0.09): too few random subnets to tell")
    after[0] = 0.1, np.nan
    made = confirmed_front_of(before, after, random)
    assert confirmation_sentences(made)[3].startswith("rank disparity: undefined for")


def test_both_scores_stand_in_the_table_and_in_the_file(tmp_path):
    before = np.array([[0.1, 2.0], [0.2, 1.0], [0.3, 3.0]])
    after = np.array([[0.5, 2.0], [0.2, 1.0], [0.1, 3.0]])
    made = confirmed_front_of(before, after, [False, False, True])
    rows = confirmed_table(made).records()
    assert [row["on the front of"] for row in rows] == ["fresh", "search and fresh", "search"]
    header, first, *_ = confirmed_table(made).lines()
    assert header.split("  ")[-1].strip() == "rank disparity, fresh"
    assert first.endswith("0.300  0.100 [0.000, 0.200]                   3.000   3.000 [2.000, 4.000]")
    layout = RunDirectory(tmp_path).layout.search
    layout.folder.mkdir()
    write_tables(layout, SearchResult(NAMES, 2, (), (), (), (), (), 0, 0, "done"), made)
    written = list(csv.DictReader(layout.front_table.open()))
    assert [*written[0]][:4] == ["genotype", "error", "rank_disparity", "error, confirmed"] and len(written) == 2
    assert written[0]["rank_disparity high, confirmed"] == "4.0"
    kept = made.confirmation
    assert kept.survived == 1 and [network.values["error"] for network in kept.search_front] == [0.1, 0.2]
    assert kept.search_front[0].confirmed["error"] == 0.5
    assert kept.to_json()["search front"][0] == {
        "genotype": str(genotypes(3)[0]),
        "error": 0.1,
        "rank_disparity": 2.0,
        "confirmed": dict(zip(FRESH, (0.5, 2.0, 0.4, 0.6, 1.0, 3.0), strict=True)),
    }


def test_the_random_subnets_are_the_first_generation_of_the_very_search():
    config = search_config(population=9, generations=2, seed=4)

    def score(asked):
        return np.array([[sum(map(sum, each.blocks)), -sum(map(sum, each.blocks)), 1.0] for each in asked])

    result = evolve(SPACE, score, 3, population=9, generations=2, seed=4)
    drawn = random_subnets(SPACE, config)
    assert drawn == [evaluation.genotype for evaluation in result.evaluated[:9]]
    sampled = random_subnets(SPACE, replace(config, exhaustive=True))
    assert len(set(sampled)) == 32 and sampled == random_subnets(SPACE, replace(config, exhaustive=True))


@pytest.fixture
def fronted(tmp_path):
    """A run whose search has a confirmed front: the run, and what its file holds."""
    directory = RunDirectory(tmp_path)
    config = search_config(population=9)
    made = confirmed_front_of([[0.1, 2.0]], [[0.1, 2.0]], [True])
    networks = tuple(
        FrontNetwork(
            Genotype.parse(name),
            {"error": 0.5, "rank_disparity": 0.5},
            {"error": error, "rank_disparity": disparity},
        )
        for name, error, disparity in (
            ("101-101:cosface", 0.1, 9),
            ("444-101:cosface", 0.2, 1),
            ("000-444:arcface", 0.9, 0),
        )
    )
    front = Front(config, NAMES, 96, {"raw pixels": 0.9}, networks, made.confirmation)
    directory.claim(directory.layout.search, config)
    front.write(directory.layout.search.front)
    return SimpleNamespace(directory=directory, setting=SimpleNamespace(space=SPACE)), front


def test_the_confirmed_front_is_read_back(fronted):
    run, front = fronted
    assert confirmed_front(run) == [*front.networks]


def test_there_is_no_confirmed_front_without_a_finished_confirmation(fronted):
    run, front = fronted
    path = run.directory.layout.search.front
    of_another = replace(front.config, options=SearchOptions(population=8))
    for changed in ({"confirmation": None}, {"config": of_another}):
        replace(front, **changed).write(path)
        assert confirmed_front(run) is None
    replace(front, networks=()).write(path)
    assert confirmed_front(run) == []
    path.unlink()
    assert confirmed_front(run) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"confirmation": 1}'])
def test_a_damaged_front_is_named(fronted, text):
    run, front = fronted
    path = run.directory.layout.search.front
    path.write_text(text)
    with pytest.raises(ValueError, match=r"front.json is damaged .*; run the same 'dualfair search' command again"):
        confirmed_front(run)
    undefined = replace(front.networks[0], confirmed={"error": float("nan"), "rank_disparity": 9.0})
    replace(front, networks=(undefined, *front.networks[1:])).write(path)
    with pytest.raises(ValueError, match="fresh scores that are not finite"):
        confirmed_front(run)
    outside = replace(front.networks[0], genotype=Genotype.parse("680-101:cosface"))
    replace(front, networks=(outside,)).write(path)
    with pytest.raises(ValueError, match=r"front.json is damaged .*must have the same code"):
        confirmed_front(run)


def test_scores_of_other_people_or_with_intervals_are_another_measurement():
    """Also where nothing else differs, as without calibration."""
    people = people_in_words(["x", "y", "x"])
    assert people == people_in_words(["y", "x"]) and people.startswith("2 people ")
    plain = measurement(ProtocolOptions(calibrate=0), "w", "f", people)
    assert plain == measurement(ProtocolOptions(calibrate=0), "w", "f", people)
    assert plain != measurement(ProtocolOptions(calibrate=0), "w", "f", people_in_words(["x", "z"]))
    assert plain != measurement(ProtocolOptions(calibrate=0), "w", "f", people, 400)


SEARCH = ("--population", 8, "--generations", 2, "--calibrate", 40, "--confirm-candidates", 5)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("confirmed")


@pytest.fixture
def searched(dualfair, place):
    """A small run whose search has confirmed its front, and what the search said."""
    run = place / "run"
    if not run.exists():
        faces = ("--identities", 60, "--images", 4, "--size", 32)
        assert dualfair("faces", "synth", "--out", place / "faces", *faces).status == 0
        quick = ("--size", 32, "--epochs", 0.5, "--batch", 16, "--split", "0.4,0.4,0.2")
        made = dualfair("train", "--faces", place / "faces", "--out", run, *quick)
        assert made.status == 0, made.err
        result = dualfair("search", "--run", run, *SEARCH)
        assert result.status == 0, result.err
        (place / "output.txt").write_text(result.out)
    return run, (place / "output.txt").read_text()


def test_a_search_confirms_its_front_on_fresh_people_and_says_what_is_left(searched):
    run, output = searched
    splits = open_trained_splits(run)
    assert len(splits["validation"].identities) == len(splits["confirmation"].identities) == 12 * 4
    assert not {*splits["validation"].identities} & {*splits["confirmation"].identities}
    report = json.loads((run / "search/front.json").read_text())
    fresh = report["confirmation"]
    assert fresh["people"] == 12 and fresh["candidates"] >= 5 and fresh["random subnets"] == 8
    assert fresh["calibrate"] == 96, "4 x 40 images are more than all training images"
    assert f"{fresh['survived']} of the search's {len(fresh['search front'])} front networks stay" in output
    assert output.count("too few random subnets to tell") == 2
    rows = list(csv.DictReader((run / "search/front.csv").open()))
    assert [row["genotype"] for row in rows] == [entry["genotype"] for entry in report["front"]]
    confirmed = np.array([[entry["confirmed"][name] for name in NAMES] for entry in report["front"]])
    assert len(brute_front(confirmed)) == len(confirmed)
    with open(run / "search/scores.csv") as file:
        scores = {row["genotype"]: float(row["error"]) for row in csv.DictReader(file)}
    for entry in report["front"]:
        assert entry["error"] == scores[entry["genotype"]]
        assert entry["confirmed"]["error low"] <= entry["confirmed"]["error"] <= entry["confirmed"]["error high"]
    assert len(scores) == 16 and f"The front has {len(rows)} networks of 16 scored" in output
    with Image.open(run / "search/front.png") as picture:
        colours = {tuple(colour) for colour in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()}
    assert (0x00, 0x72, 0xB2) in colours


def test_the_reliability_of_the_measures_is_said_once_and_kept(searched):
    run, output = searched
    assert output.count("roughly estimated from 8 random networks, 12 people (a 6, b 6):") == 1
    kept = json.loads((run / "search/reliability.json").read_text())
    assert kept["people"] == {"a": 6, "b": 6}
    assert {"error", "rank_disparity", "log_rank_disparity"} <= set(kept["measures"])


def test_a_confirmed_search_run_again_scores_nothing_and_is_finished(dualfair, searched):
    run, _ = searched
    archive, files = run / "search/scores.sqlite", ("front.csv", "front.json", "reliability.json")
    before = [(run / "search" / name).read_bytes() for name in files], glance(archive)
    assert [evaluations >= 8 for _, evaluations, _ in before[1]] == [True, True]
    again = dualfair("search", "--run", run, *SEARCH)
    assert again.status == 0 and "16 genotypes, 16 of them known before" in again.out
    assert ([(run / "search" / name).read_bytes() for name in files], glance(archive)) == before
    assert "search     finished     16 of 16 evaluations" in dualfair("status", run).out
    (run / "search/front.json").rename(run / "front.json")
    assert "search     interrupted  16 of 16 evaluations" in dualfair("status", run).out
    (run / "front.json").rename(run / "search/front.json")


def test_confirmation_can_be_left_out(dualfair, searched):
    run, _ = searched
    plain = dualfair("search", "--run", run, *SEARCH[:-1], 0)
    assert "Not confirmed on fresh people: no candidates are confirmed: --confirm-candidates 0" in plain.out
    assert json.loads((run / "search/front.json").read_text())["confirmation"] is None
    wrong = dualfair("search", "--run", run, *SEARCH[:-1], -1)
    assert wrong.status == 2 and "confirm_candidates must be 0 or more, got -1" in wrong.err


def open_trained_splits(run):
    with RunDirectory(run).locked() as directory:
        return open_trained(directory, ALONE).setting.splits
