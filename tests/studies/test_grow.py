"""Growing networks: whole small searches, stopped and continued; published ones gone through; what is refused."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from dualfair.evaluation.cost import macs
from dualfair.evaluation.objectives import OBJECTIVES
from dualfair.evolution.growing import Structure, grow
from dualfair.runs.devices import working
from dualfair.runs.standalone import open_standalone
from dualfair.runs.watching import Stopped
from dualfair.studies.grow import FinalOptions, GrowOptions
from dualfair.studies.grow.candidates import CandidateResult
from dualfair.studies.grow.networks import SizedFamily, SizedNetwork, random_structure
from dualfair.studies.grow.ranking import RankingResult
from dualfair.studies.grow.study import GrowthResult, grow_networks, improvement
from dualfair.studies.grow.traces import replay_traces
from dualfair.studies.grow.training import objectives_of
from dualfair.supernet.training.recipe import Recipe

SMALL = GrowOptions(
    least_depth=3, most_depth=4, least_width=4, most_width=6, first_epochs=1, layer_epochs=1, group_column="group"
)
MIX = SizedFamily("mix", "softmax", 16)
RECIPE = Recipe(batch=32, lr=0.05, flip=False)
FINAL = FinalOptions(epochs=1.0, seeds=2, random=2)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Bright and dark squares in two places, of two groups, as a set of labelled images; and its folder."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("images")
    labels = np.arange(160) % 4
    pixels = rng.integers(0, 60, (160, 16, 16, 3))
    for number, label in enumerate(labels):
        pixels[number, 4 * (label // 2) : 8 + 4 * (label // 2), 8 * (label % 2) : 8 + 8 * (label % 2)] += 120
    groups = np.where(rng.random(160) < 0.5, "a", "b")
    np.savez(folder / "d.npz", images=pixels.astype(np.uint8), labels=labels, groups=groups)
    return folder


@pytest.fixture
def grown(images, dualfair):
    """A search by the command, once."""
    if not (images / "set").is_dir():
        assert dualfair("images", "import", "npz", images / "d.npz", "--out", images / "set").status == 0
    if not (images / "out").is_dir():
        words = ("--least-depth", 3, "--most-depth", 4, "--least-width", 4, "--most-width", 6, "--first-epochs", 1)
        words += ("--layer-epochs", 1, "--epochs", 1, "--seeds", 2, "--random", 2, "--batch", 32, "--lr", 0.05)
        result = dualfair("grow", "--images", images / "set", "--out", images / "out", *words, "--no-flip")
        assert result.status == 0, result.err
        (images / "told").write_text(result.out)
    return images


def in_process(images, out, options=SMALL, final=FINAL, **watched):
    with working(out, make=True) as place:
        return grow_networks(images / "set", options, final, RECIPE, place, **watched)


def test_a_search_follows_its_rules_and_what_it_found_opens_as_a_training(grown, dualfair):
    result = GrowthResult.read(grown / "out/grow.json", "")
    search, stages = grow(SMALL.growth_of("mix"), MIX.parameters), []
    asked = next(search)
    for each in result.candidates:
        network = SizedNetwork.parse(each.network, 16)
        assert (asked.stage, asked.structure, asked.epochs) == (each.stage, network.structure, each.epochs)
        assert each.params == network.parameters and each.test is None
        assert each.score == pytest.approx(100 * (1 - each.objectives["error"])) and 0 <= each.training_score <= 100
        stages.append(each.stage)
        outcome = type("Outcome", (), {"score": each.score, "training_score": each.training_score})
        try:
            asked = search.send(outcome)
        except StopIteration as end:
            assert str(MIX.network(end.value.structure)) == result.found
    depth = SizedNetwork.parse(result.found, 16).structure.depth
    assert (stages.count("depth"), stages.count("operations"), stages.count("kernels")) == (2, depth + 1, depth)
    assert [each.stage for each in result.finals] == ["found", "found", "random", "random"]
    assert len({each.network for each in result.finals[2:]}) == 2 and all(each.test for each in result.finals)
    assert result.epochs_spent == sum(each.epochs for each in result.candidates)
    told = (grown / "told").read_text()
    assert f"Found: {result.found}, its layers at a width of {result.shrunken_width}." in told
    assert "against the mean of 2 random networks" in told
    assert {path.name for path in (grown / "out/candidates").glob("*/*")} == {"result.json", "tensorboard"}
    opened = open_standalone(grown / "out/found/seed-1", torch.device("cpu"), print)
    assert f"{opened.network.skeleton.name}/{opened.network.spec}" == result.found
    report = dualfair("evaluate", "--network", grown / "out/found/seed-1", "--faces", grown / "set", "--out",
                      grown / "evaluated", "--resamples", 0)  # fmt: skip
    assert report.status == 0, report.err
    value = json.loads((grown / "evaluated/report.json").read_text())["classification"]["all"]["error"]["value"]
    assert value == pytest.approx(result.finals[1].test["error"])
    exported = dualfair("export", grown / "out/found/seed-0", "--to", grown / "exported", "--format", "timm")
    assert exported.status == 0, exported.err


def test_a_search_that_was_stopped_anywhere_ends_as_if_it_had_not_been(grown, tmp_path):
    whole, steps = GrowthResult.read(grown / "out/grow.json", ""), iter(range(10**6))

    def some_steps() -> bool:
        return next(steps) % 9 == 8

    for _ in range(200):
        try:
            result = in_process(grown, tmp_path / "out", should_stop=some_steps)
            break
        except Stopped:
            continue

    def timeless(results):
        return [replace(each, seconds=0.0) for each in results]

    assert next(steps) > 40
    assert timeless(result.candidates) == timeless(whole.candidates)
    assert timeless(result.finals) == timeless(whole.finals)
    assert (result.found, result.improvement) == (whole.found, whole.improvement)


def test_more_trainings_go_on_from_what_is_there_and_another_search_is_refused(grown, dualfair):
    more = in_process(grown, grown / "out", final=replace(FINAL, seeds=3))
    known = GrowthResult.read(grown / "out/grow.json", "")
    assert more == known and [each.stage for each in more.finals].count("found") == 3
    with pytest.raises(ValueError, match="was made with another configuration: most_depth = 4 there, 5 here"):
        in_process(grown, grown / "out", replace(SMALL, most_depth=5))
    result = grown / "out/candidates/001/result.json"
    kept = result.read_text()
    result.write_text(kept.replace("mix-d3-w6", "mix-d3-w5"))
    with pytest.raises(ValueError, match="is of mix-d3-w5/0-0-0:softmax, 1 epochs, not of mix-d3-w6"):
        in_process(grown, grown / "out")
    result.write_text(kept)
    in_process(grown, grown / "out")


def test_a_disparity_counts_where_it_is_named(grown, tmp_path):
    options = replace(SMALL, most_depth=3, least_width=6, layer_epochs=0, disparity="accuracy_disparity", weight=0.5)
    result = in_process(grown, tmp_path / "out", options, FinalOptions(epochs=1.0))
    (candidate,) = result.candidates
    error, disparity = candidate.objectives["error"], candidate.objectives["accuracy_disparity"]
    assert candidate.score == pytest.approx(100 * (1 - error - 0.5 * disparity)) and disparity > 0
    assert result.improvement is None and len(result.finals) == 1
    for wrong in ("macs", "error"):
        with pytest.raises(ValueError, match=f"{wrong} is no disparity; name one, such as accuracy_disparity"):
            objectives_of(wrong, OBJECTIVES.__getitem__)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--head", "nonsense"), "unknown head 'nonsense'"),
        (("--batch", 500), "500"),
        (("--size", 2), "images of 2 px are too small"),
        (("--least-depth", 2), "a network of this family has 3 layers or more, got 2"),
        (("--family", "ir"), "a network of this family has 4 blocks or more, got 3"),
        (("--rank", 2), "--rank must be 3 to 1000 networks, got 2"),
        (("--disparity", "accuracy_disparity"), "compares groups, and the validation images have one group only"),
    ],
)
def test_what_cannot_be_trained_spoils_no_directory(grown, tmp_path, dualfair, words, line):
    of = np.load(grown / "d.npz")
    np.savez(tmp_path / "d.npz", images=of["images"], labels=of["labels"])
    assert dualfair("images", "import", "npz", tmp_path / "d.npz", "--out", tmp_path / "set").status == 0
    bounds = ("--least-depth", 3, "--most-depth", 3, "--most-width", 16, "--first-epochs", 1)
    result = dualfair("grow", "--images", tmp_path / "set", "--out", tmp_path / "out", *bounds, *words)
    assert result.status == 2 and line in result.err, result.err
    assert not (tmp_path / "out/config.json").exists()


def test_networks_print_and_parse_back_and_random_ones_stay_in_bounds():
    rng, seen = np.random.default_rng(0), set()
    growth = GrowOptions(least_depth=3, most_depth=7, least_width=4, most_width=9).growth_of("mix")
    for _ in range(200):
        structure = random_structure(growth, rng)
        network = SizedFamily("mix", "softmax", 24).network(structure)
        assert SizedNetwork.parse(str(network), 24) == network and network.structure == structure
        seen.add((structure.depth, structure.width))
    assert {depth for depth, _ in seen} == {3, 4, 5, 6, 7} and {width for _, width in seen} == {5, 7, 9}
    for wrong in ("mix-d3-w4", "nano/101:cosface", "mix-d3-w4x/0:softmax"):
        with pytest.raises(ValueError, match="expected such as mix-d21-w56/0:softmax"):
            SizedNetwork.parse(wrong, 24)


def test_networks_grow_on_faces_too(tmp_path, dualfair):
    faces = ("faces", "synth", "--identities", 30, "--images", 4, "--size", 24, "--out", tmp_path / "faces")
    assert dualfair(*faces).status == 0
    words = ("--least-depth", 4, "--most-depth", 5, "--most-width", 4, "--least-width", 4, "--first-epochs", 1)
    words += ("--layer-epochs", 0, "--epochs", 1, "--disparity", "log_rank_disparity", "--head", "adaface")
    result = dualfair("grow", "--faces", tmp_path / "faces", "--out", tmp_path / "out", *words)
    assert result.status == 0, result.err
    grown = GrowthResult.read(tmp_path / "out/grow.json", "")
    assert [each.network for each in grown.candidates] == ["ir-d4-w4/1-1-1-1:adaface", "ir-d5-w4/1-1-1-1-1:adaface"]
    assert grown.found in {each.network for each in grown.candidates}
    assert {*grown.finals[0].test} == {"error", "log_rank_disparity"}
    report = dualfair("evaluate", "--network", tmp_path / "out/found/seed-0", "--faces", tmp_path / "faces",
                      "--out", tmp_path / "evaluated", "--resamples", 0)  # fmt: skip
    assert report.status == 0, report.err


def test_short_trainings_are_correlated_with_full_ones(grown, tmp_path, dualfair):
    words = ("grow", "--images", grown / "set", "--out", tmp_path / "out", "--rank", 5, "--least-depth", 3)
    words += ("--most-depth", 5, "--least-width", 4, "--most-width", 10, "--first-epochs", 1, "--layer-epochs", 1)
    words += ("--epochs", 2.5, "--seeds", 2, "--batch", 32, "--lr", 0.05, "--no-flip")
    told = dualfair(*words)
    assert told.status == 0, told.err
    result = RankingResult.read(tmp_path / "out/ranking.json", "")
    params = [each.params for each in result.networks]
    assert params == sorted(params) and len(set(params)) > 2
    assert all(SizedNetwork.parse(each.network, 16).parameters == each.params for each in result.networks)
    assert (result.epochs["short"], result.epochs["graded"]) == (5, 0.5 + 1 + 1.5 + 2 + 2.5)
    networks = [SizedNetwork.parse(each.network, 16) for each in result.networks]
    costs = np.array([macs(each.genotype, each.skeleton) for each in networks])
    evenly = costs.sum() * result.epochs["even"] / 5
    assert evenly == pytest.approx(costs @ [0.5, 1, 1.5, 2, 2.5], rel=0.01)
    for number, each in enumerate(result.networks):
        of = [
            CandidateResult.read(tmp_path / f"out/full/seed-{number + 1000 * seed}/result.json", "")
            for seed in range(2)
        ]
        assert {training.network for training in of} == {each.network}
        assert each.truth == pytest.approx(100 - 50 * sum(training.test["error"] for training in of))
        graded = CandidateResult.read(tmp_path / f"out/graded/seed-{number}/result.json", "")
        assert (graded.epochs, graded.score, graded.test) == (0.5 * (number + 1), each.scores["graded"], None)
    truth = [each.truth for each in result.networks]
    for name, (value, *_) in result.rho.items():
        scores = params if name == "parameters" else [each.scores[name] for each in result.networks]
        if len(set(scores)) > 1:
            assert value == pytest.approx(spearmanr(scores, truth).statistic)
    assert "Tau of 7.5 graded epochs less that of " in told.out and "even ones of equal cost: " in told.out
    lost = tmp_path / "out/full/seed-0/result.json"
    lost.write_text(re.sub(r'("test": {\s*"error": )[0-9.]+', r"\1NaN", lost.read_text()))
    told = dualfair(*words)
    assert (
        told.status == 0 and "4 random networks with a truth, by 2 full trainings each, 1 others without." in told.out
    ), told.err
    refused = dualfair(*words, "--random", 3)
    assert refused.status == 2 and "--rank goes without --random: all of its networks are random" in refused.err
    assert not list((tmp_path / "out").glob("*/*/step-*")) and dualfair(*words).out.count("validation") == 0
    # What is ranked leaves room for a search in the same directory.
    assert not (tmp_path / "out/grow.json").exists()


def final(stage, error):
    about = {"network": "n", "epochs": 1.0, "params": 1, "objectives": {}, "score": 0.0, "training_score": 0.0}
    return CandidateResult(stage=stage, test={"error": error}, seconds=1.0, **about)


def test_the_improvement_is_over_random_networks_with_an_interval_over_trainings():
    one = improvement([final("found", 0.1), final("random", 0.25)])
    assert one == (pytest.approx(20.0), None, None)
    assert improvement([final("found", 0.1)]) is None
    many = [final("found", 0.1 + 0.01 * k) for k in range(5)] + [final("random", 0.3 + 0.01 * k) for k in range(10)]
    value, low, high = improvement(many)
    assert value == pytest.approx(100 * (0.88 - 0.655) / 0.655) and 0 < low < value < high
    assert improvement([final("found", 0.1)] * 2 + [final("random", 0.2)] * 2)[1:] == (None, None)
    # Where there is no difference an interval leaves out 0 as seldom as it says.
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        drawn = rng.normal(0.3, 0.02, 5)
        _, low, high = improvement([final(stage, drawn[k]) for k, stage in enumerate(["found"] * 2 + ["random"] * 3)])
        wrong += not low <= 0 <= high
    assert wrong <= 20


def traces(path, score_of, cut=None, classes=3, channels=3, **changed):
    """A file of a search whose candidates come to `score_of` them, as published ones are written."""
    options = GrowOptions(least_depth=4, most_width=16, least_width=16, **changed).growth_of("mix")
    wide = SizedFamily("mix", "softmax", 32)
    rows, search = [], grow(options, wide.parameters)
    candidate, number = next(search), 0
    while True:
        structure = candidate.structure
        network = wide.network(structure)
        params = network.parameters + (network.skeleton.features + 1) * classes
        params -= (3 - channels) * 18 * structure.width
        score, ops = score_of(candidate, number), "".join("01"[op == "conv"] for op in structure.operations)
        kernels = "".join(map(str, structure.kernels))
        rows.append(f"S,16,{candidate.stage},{structure.depth},{structure.width},{ops},{kernels},"
                    f"{candidate.epochs},{params / 1e6},50,{score}")  # fmt: skip
        try:
            candidate = search.send(type("Outcome", (), {"score": score, "training_score": 50.0}))
            number += 1
        except StopIteration as end:
            names = "dataset,max_width,stage,depth,width,ops,kernels,epochs,params_M,train_acc,test_acc"
            path.write_text("\n".join([names, *rows[:cut]]) + "\n")
            return end.value, len(rows)


@pytest.mark.parametrize("channels", [3, 1])
def test_a_published_search_is_gone_through_again(tmp_path, dualfair, channels):
    path = tmp_path / "t.csv"

    def score_of(_, number):
        return number * 37 % 101 / 2 + number / 3

    grown, rows = traces(path, score_of, channels=channels)
    (search,) = replay_traces(path)
    structure = grown.structure
    assert (search.depth, search.width, search.shrunken_width) == (structure.depth, 16, grown.shrunken_width)
    assert search.ops == "".join("01"[op == "conv"] for op in structure.operations)
    assert search.kernels == "".join(map(str, structure.kernels)) and {*search.kernels} == {"3", "5"}
    assert (search.candidates, search.agree, search.same_end) == (rows, rows, True)
    printed = dualfair("grow", "--replay", path, "--json")
    assert printed.status == 0 and json.loads(printed.out) == [search.to_json()]
    assert "S" in dualfair("grow", "--replay", path).out
    # A search that ends too early is not told to an end.
    traces(path, score_of, cut=-1, channels=channels)
    (short,) = replay_traces(path)
    assert (short.depth, short.agree, short.same_end) == (None, rows - 1, False)
    # A number of parameters that is not ours is not overlooked.
    traces(path, score_of, channels=channels)
    lines = path.read_text().splitlines()
    cells = lines[3].split(",")
    lines[3] = ",".join([*cells[:8], f"{float(cells[8]) + 1e-6:.6f}", *cells[9:]])
    path.write_text("\n".join(lines))
    (other,) = replay_traces(path)
    assert (other.agree, other.same_end, other.depth) == (2, False, search.depth)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "give --images and --out, or --replay with or without --json"),
        (("--images", "i", "--out", "o", "--json"), "give --images and --out, or --replay with or without --json"),
        (("--replay", "{}/no.csv"), "no.csv is no CSV of published searches (No such file"),
        (("--replay", "{}/no.csv", "--out", "o"), "--replay goes without --images, --out and --rank"),
        (("--replay", "{}/empty.csv"), "is no CSV of published searches (it has no column 'dataset')"),
        (("--replay", "{}/short.csv"), "ops and kernels must have a digit for each of 3 layers"),
        (("--images", "i", "--out", "o", "--weight", 0), "weight must be above 0, got 0"),
        (("--images", "i", "--out", "o", "--seeds", 0), "seeds must be 1 to 500, got 0"),
        (("--images", "i", "--out", "o", "--seed", 1000), "seed must be 0 to 999, got 1000"),
        (("--images", "i", "--out", "o", "--least-depth", 101), "least_depth must be 1 or more and at most most_dep"),
        (("--images", "i", "--out", "o", "--family", "x"), "family must be one of mix, ir, got 'x'"),
        (("--images", "i", "--out", "o", "--weight", 0.5), "weight is that of a disparity; name one by --disparity"),
    ],
)
def test_what_cannot_be_grown_is_refused_in_a_line(tmp_path, dualfair, words, line):
    names = "dataset,max_width,stage,depth,width,ops,kernels,epochs,params_M,train_acc,test_acc"
    (tmp_path / "empty.csv").write_text("a,b\n1,2\n")
    (tmp_path / "short.csv").write_text(f"{names}\nS,16,depth,3,16,00,333,1,0.1,1,1\n")
    result = dualfair("grow", *(str(word).format(tmp_path) for word in words))
    assert result.status == 2 and line in result.err, result.err


def test_a_structure_is_what_its_network_says():
    network = SizedNetwork.parse("mix-d3-w4/0-1-3:softmax", 16)
    assert network.structure == Structure(4, ("sep", "conv", "conv"), (3, 3, 5))
