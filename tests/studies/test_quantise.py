"""Networks in fewer bits: what is tuned and how, what is measured on the same people, and what is refused."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dualfair.evaluation.metrics.disparity import DISPARITIES, GroupValue
from dualfair.evaluation.metrics.identification import ranks
from dualfair.evaluation.metrics.pairs import make_pairs
from dualfair.evaluation.metrics.verification import group_ten_fold
from dualfair.evaluation.scoring.embedding import embed
from dualfair.runs.devices import choose_device
from dualfair.runs.records.study import StudyReport
from dualfair.runs.standalone import open_standalone
from dualfair.studies.quantise import QuantiseOptions
from dualfair.studies.quantise.figure import accuracy_figure
from dualfair.studies.quantise.result import QuantiseStudy
from dualfair.studies.quantise.verdict import (
    COSINE,
    IDENTIFICATION,
    OWN,
    SHARED,
    SPREADS,
    Judged,
    Number,
    accuracies_part,
    compared,
    measured,
)
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.noise import random_faces
from dualfair.supernet.images.store import open_store
from dualfair.supernet.production.foreign_network import OnnxEmbedder
from dualfair.supernet.production.quantisation import quantisers

OPTIONS = QuantiseOptions(resamples=100)


def people(count=40, images=6, spread=1.5, seed=0):
    """Embeddings of people of two groups, of which the second is harder to tell apart, with who they are of."""
    rng = np.random.default_rng(seed)
    identities = np.repeat(np.arange(count), images)
    groups = np.where(identities % 2, "b", "a")
    noise = rng.standard_normal((len(identities), 16)) * np.where(groups == "b", spread, 0.7 * spread)[:, None]
    embeddings = rng.standard_normal((count, 16))[identities] + noise
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    pairs = make_pairs(identities, groups, pairs=400, folds=10, seed=0, within_group=True)
    return embeddings.astype(np.float32), Judged(identities, groups, ("a", "b"), pairs)


def coarser(embeddings, step=0.25):
    return (np.round(embeddings / step) * step).astype(np.float32)


def numbers_of(embeddings, float32, judged, before=None, options=OPTIONS):
    about = {"network": "n", "bits": 4, "integers": False, "data": "own", "seed": 0}
    numbers = compared(measured(embeddings, float32, judged), before, options, **about)
    return {(number.part, number.measure): number for number in numbers}


def test_the_measures_are_those_of_the_metrics():
    embeddings, judged = people()
    found = numbers_of(coarser(embeddings), embeddings, judged)
    ranked = ranks(coarser(embeddings), judged.identities)
    groups = judged.groups[ranked.probes]
    assert found[IDENTIFICATION, "error"].value == pytest.approx((ranked.values > 0).mean())
    disparity = DISPARITIES["rank_disparity"](ranked.values, groups)
    assert found[IDENTIFICATION, "rank_disparity"].value == pytest.approx(disparity)
    pairs, unit = judged.pairs, coarser(embeddings) / np.linalg.norm(coarser(embeddings), axis=1, keepdims=True)
    scores = (unit[pairs.left].astype(np.float64) * unit[pairs.right]).sum(axis=1)
    for part, shared in ((OWN, False), (SHARED, True)):
        folds = group_ten_fold(scores, pairs.same, pairs.fold, pairs.groups, shared=shared)
        values = {name: GroupValue(result.accuracy, result.n) for name, result in folds.items()}
        for name, value in values.items():
            assert found[part, f"accuracy of {name}"].value == pytest.approx(value.value)
        for name in ("std", "ser"):
            assert found[part, name].value == pytest.approx(DISPARITIES[name].reduce(values).value)
    cosine = (coarser(embeddings) * embeddings).sum(axis=1).mean()
    assert found[COSINE, "cosine to float32"].value == pytest.approx(cosine, rel=1e-5)


def test_a_difference_is_that_of_the_same_people_and_surer_than_the_numbers():
    embeddings, judged = people()
    before = measured(embeddings, embeddings, judged)
    plain = numbers_of(embeddings, embeddings, judged)
    found = numbers_of(coarser(embeddings), embeddings, judged, before)
    for (part, measure), number in found.items():
        if part == COSINE:
            assert number.difference is None
            continue
        assert number.difference == pytest.approx(number.value - plain[part, measure].value)
        assert plain[part, measure].difference is None and not plain[part, measure].changed
    error = found[IDENTIFICATION, "error"]
    assert error.difference_high - error.difference_low < 0.7 * (error.high - error.low)
    assert (error.n, error.people) == (240, 40)
    assert found[OWN, "std"].n == 400
    of_a = found[IDENTIFICATION, "accuracy of a"]
    assert (of_a.n, of_a.people) == (120, 20) and found[OWN, "accuracy of b"].n == 200
    mean = np.mean([found[OWN, f"accuracy of {group}"].value for group in "ab"])
    assert found[OWN, "lead of a"].value == pytest.approx(found[OWN, "accuracy of a"].value - mean)


def test_nothing_changes_where_embeddings_are_the_same_and_much_where_they_are_lost():
    embeddings, judged = people(spread=0.8)
    before = measured(embeddings, embeddings, judged)
    same = numbers_of(embeddings, embeddings, judged, before)
    assert not any(number.changed for number in same.values())
    lost = numbers_of(np.random.default_rng(1).permutation(embeddings), embeddings, judged, before)
    assert lost[IDENTIFICATION, "error"].changed and lost[IDENTIFICATION, "error"].difference > 0.5
    assert lost[SHARED, "mean accuracy"].changed and lost[SHARED, "mean accuracy"].difference < 0


def test_no_group_is_said_to_lose_more_where_all_lose_alike():
    """Groups that are alike, nearly without errors, to which the same happens: spreads grow, and no lead is said to."""
    said, grown = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        identities = np.repeat(np.arange(40), 6)
        groups = np.where(identities % 2, "b", "a")
        centres = rng.standard_normal((40, 16))[identities]
        near = (centres + 0.2 * rng.standard_normal(centres.shape)).astype(np.float32)
        far = (centres + 1.3 * rng.standard_normal(centres.shape)).astype(np.float32)
        judged = Judged(identities, groups, ("a", "b"), None)
        found = numbers_of(far, near, judged, measured(near, near, judged))
        assert found[IDENTIFICATION, "error"].changed
        said += [number.measure for number in found.values() if number.changed and "lead" in number.measure]
        grown.append(found[IDENTIFICATION, "std"].difference_low > 0)
        assert not any(found[IDENTIFICATION, measure].changed for measure in ("std", "ser", "rank_disparity"))
    assert len(said) <= 4 and sum(grown) >= 6


def test_a_group_that_does_lose_more_is_said_to():
    embeddings, judged = people(spread=0.5)
    lost = embeddings.copy()
    of_b = judged.groups == "b"
    lost[of_b] = np.random.default_rng(0).permutation(lost[of_b])
    found = numbers_of(lost, embeddings, judged, measured(embeddings, embeddings, judged))
    lead = found[IDENTIFICATION, "lead of b"]
    assert lead.changed and lead.difference < -0.1


def test_steps_are_as_many_whatever_the_data():
    options = QuantiseOptions(steps=37, batch=16)
    for images in (16, 50, 1000):
        recipe = options.recipe(images, 128)
        assert round(recipe.epochs * (images // 16)) == 37
    assert recipe.lr == pytest.approx(0.1 * 16 / 512) and recipe.scale == 2 / 128
    with pytest.raises(ValueError, match="a batch of 16 images needs as many to tune on, there are 15"):
        options.recipe(15, 128)


def a_number(measure="error", difference=0.1, half=0.05, seed=0, **changes):
    about = {"network": "n", "bits": 8, "integers": False, "data": "own", "seed": seed}
    about |= {"part": IDENTIFICATION, "measure": measure}
    ends = {"difference_low": difference - half, "difference_high": difference + half}
    known = {"n": 80, "people": 20, "value": 0.5, "low": 0.4, "high": 0.6}
    return Number(**{**about, **known, "difference": difference, **ends, **changes})


def lines_of(*numbers):
    nothing = {"difference_low": None, "difference_high": None}
    of_full = ("error", "cosine to float32", "rank_disparity", *SPREADS)
    full = [a_number(name, 0.0, bits=32, data="", seed=None, **nothing) for name in of_full]
    full[1] = replace(full[1], part=COSINE)
    cosine = [a_number("cosine to float32", seed=number.seed, part=COSINE, half=1) for number in numbers]
    spreads = [a_number(name, seed=number.seed, half=9) for number in numbers for name in ("rank_disparity", *SPREADS)]
    study = QuantiseStudy(OPTIONS, "f", "group", {}, ("people",), (*full, *cosine, *spreads, *numbers))
    return [line.strip() for line in study.lines() if line.startswith("  ")]


def test_only_what_an_interval_shows_is_said_and_in_how_many_tunings():
    assert lines_of(a_number(half=0.2)) == ["No measure is shown to change: all intervals of differences hold 0"]
    assert lines_of(a_number()) == [
        "8 bits, own: error (identification) +0.1 [0.05, 0.15]: shown to be higher, n = 20 people"
    ]
    three = [a_number(difference=value, seed=seed) for seed, value in enumerate((-0.1, -0.2, -0.01))]
    assert lines_of(*three) == [
        "8 bits, own: error (identification) -0.103 (mean of 3 seeds, -0.2 to -0.01): shown to be lower in 2 of 3, "
        "n = 20 people"
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("quantise")


BACKBONE = "{}/run/retrain/timm.test_resnet_cosface/seed-0"
WORDS = ("--bits", 8, "--bits", 2, "--data", "own", "--steps", 6, "--batch", 8, "--seeds", 2, "--resamples", 20)


@pytest.fixture
def study(dualfair, place):
    """A searched network and a backbone in 8 and 2 bits, by own and by other images, twice each."""
    if not (place / "out").exists():
        faces = ("faces", "synth", "--identities", 60, "--images", 4, "--size", 32)
        for words in (
            (*faces, "--out", place / "faces"),
            (*faces, "--out", place / "other", "--seed", 1),
            (*faces, "--out", place / "named/own", "--seed", 2),
            ("train", "--faces", place / "faces", "--out", place / "run", "--size", 32, "--epochs", 0.3),
            ("search", "--run", place / "run", "--population", 2, "--generations", 1, "--calibrate", 16),
            ("retrain", "--run", place / "run", "--genotype", "101:cosface", "--epochs", 5, "--seeds", 1),
            ("retrain", "--run", place / "run", "--backbone", "test_resnet", "--head", "cosface", "--seeds", 1),
        ):
            result = dualfair(*words)
            assert result.status == 0, result.err
        both = (BACKBONE.format(place), *asked(place), *WORDS)
        result = dualfair("quantise", *both, "--data", place / "other", "--out", place / "out")
        assert result.status == 0, result.err
        (place / "said.txt").write_text(result.out)
    return place


def asked(place):
    return place / "run/retrain/101-101-101-101_cosface/seed-0", "--faces", place / "faces"


def folder_of(study, kind="8-bits-own", seed=0):
    return study / "out/101-101-101-101_cosface-seed-0" / kind / f"seed-{seed}"


def test_every_network_is_measured_before_and_after(study):
    QuantiseStudy.read(study / "out/quantise.json", "").write(study / "again.json")
    assert (study / "again.json").read_bytes() == (study / "out/quantise.json").read_bytes()
    rows = list(csv.DictReader((study / "out/quantise.csv").open()))
    tuned = {(bits, data, seed) for bits in "82" for data in ("own", "other") for seed in "01"}
    for name in ("timm.test_resnet:cosface seed 0", "101-101-101-101:cosface seed 0"):
        there = {(row["bits"], row["data"], row["seed"]) for row in rows if row["network"] == name}
        assert there == {("32", "", ""), *tuned}
    rows = [row for row in rows if row["network"] == "101-101-101-101:cosface seed 0"]
    errors = {
        (row["bits"], row["seed"]): row for row in rows if row["measure"] == "error" and row["data"] in ("", "own")
    }
    difference = float(errors["8", "0"]["value"]) - float(errors["32", ""]["value"])
    assert float(errors["8", "0"]["difference"]) == pytest.approx(difference)
    cosines = {row["bits"]: float(row["value"]) for row in rows if row["measure"] == "cosine to float32"}
    assert cosines["2"] < cosines["8"] < 1 + 1e-6 and cosines["32"] == pytest.approx(1)
    said = (study / "said.txt").read_text()
    report = StudyReport.read(study / "out/study.json", "")
    told = {sentence.removesuffix(".").partition(" seed 0: ")[2] for sentence in report.sentences}
    shown = {line.strip() for line in said.splitlines() if ": shown to be" in line}
    assert shown and shown <= told
    assert [table.caption for table in report.tables] == [f"{name} seed 0" for name in (
        "timm.test_resnet:cosface", "101-101-101-101:cosface")]  # fmt: skip
    assert report.tables[0].lines()[0] in said and report.figures[0].file == "quantise.png"
    assert f"Judged on the test people of {study / 'faces'}" in said
    assert "steps on 144 images" in said and "steps on 240 images" in said


def test_the_figure_has_every_group_by_all_data(study):
    numbers = QuantiseStudy.read(study / "out/quantise.json", "").numbers
    figure = accuracy_figure(numbers)
    _, axes = figure.axes[:2]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["32", "8", "2"]
    lines = {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}
    assert set(lines) == {f"{group}, {data}" for group in "ab" for data in ("own", "other")}
    part = accuracies_part(numbers)
    wanted = "101-101-101-101:cosface seed 0", part, "accuracy of a", 2, "other"
    by_hand = [n.value for n in numbers if (n.network, n.part, n.measure, n.bits, n.data) == wanted]
    assert len(by_hand) == 2 and lines["a, other"][2] == pytest.approx(np.mean(by_hand))
    assert (study / "out/quantise.png").stat().st_size > 1000


def test_what_is_tuned_opens_as_any_training_and_its_ranges_are_kept(study, dualfair):
    opened = open_standalone(folder_of(study), choose_device("cpu"), print)
    source = open_standalone(asked(study)[0], choose_device("cpu"), print)
    assert opened.bits == 8 and source.bits is None and opened.trained_on == source.trained_on
    assert all(quantiser.seen == 6 for quantiser in quantisers(opened.network).values())
    assert all(not quantiser.training for quantiser in quantisers(opened.network).values())
    where = study / "evaluated"
    result = dualfair("evaluate", "--network", folder_of(study), "--faces", study / "faces", "--out", where,
                      "--resamples", 0)  # fmt: skip
    assert result.status == 0, result.err
    report = json.loads((where / "report.json").read_text())
    rows = list(csv.DictReader((study / "out/quantise.csv").open()))
    (error,) = [
        row["value"]
        for row in rows
        if (row["network"][:3], row["bits"], row["data"], row["seed"], row["measure"])
        == ("101", "8", "own", "0", "error")
    ]
    assert report["identification"]["all"]["error"]["value"] == pytest.approx(float(error))
    other = folder_of(study, "8-bits-other")
    for network, faces, said in ((other, "other", True), (folder_of(study), "other", False), (other, "faces", False)):
        result = dualfair("evaluate", "--network", network, "--faces", study / faces, "--out", where, "--resamples", 0)
        assert ("fewer bits were tuned on these images, without labels" in result.out) is said, result.out
    shown = dualfair("show", folder_of(study))
    assert shown.status == 0 and "quantised to 8 bits in simulation" in shown.out


def test_the_same_command_says_the_same_and_trains_nothing(study, dualfair):
    before = (study / "out/quantise.csv").read_bytes()
    weights = sorted(folder_of(study).glob("*.safetensors")) or sorted(folder_of(study).glob("step-*"))
    written = [path.stat().st_mtime_ns for path in weights]
    both = (BACKBONE.format(study), *asked(study), *WORDS)
    result = dualfair("quantise", *both, "--data", study / "other", "--out", study / "out")
    assert result.status == 0 and "continuing from step 6" in result.out
    assert (study / "out/quantise.csv").read_bytes() == before
    assert [path.stat().st_mtime_ns for path in weights] == written and weights


def test_tuning_brings_embeddings_near_those_of_32_bits(study, dualfair):
    """Three bits: 60 steps bring them nearer than 5 do, without a label."""
    words = ("--bits", 3, "--batch", 8, "--resamples", 2, "--lr", 1)
    cosines = {}
    for steps in (5, 60):
        out = study / f"steps-{steps}"
        result = dualfair("quantise", *asked(study), *words, "--steps", steps, "--out", out)
        assert result.status == 0, result.err
        rows = list(csv.DictReader((out / "quantise.csv").open()))
        cosines[steps] = [float(row["value"]) for row in rows if row["measure"] == "cosine to float32"][-1]
    assert cosines[60] > cosines[5] + 0.02


def test_photos_of_nobody_in_particular_serve_as_data_and_are_not_ranked(study, dualfair):
    rng = np.random.default_rng(0)
    (study / "photos").mkdir()
    for number in range(12):
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(study / f"photos/{number}.png")
    imported = dualfair("faces", "import", "unlabelled", study / "photos", "--size", 32, "--out", study / "nobody")
    assert imported.status == 0, imported.err
    assert "12 images of unknown people at 32 px" in imported.out and "evaluate" not in imported.out
    assert f"Next: dualfair quantise TRAINING --faces FACES --data {study / 'nobody'}" in imported.out
    words = ("--data", study / "nobody", "--steps", 3, "--batch", 8, "--resamples", 2, "--out", study / "by-photos")
    result = dualfair("quantise", *asked(study), *words)
    assert result.status == 0 and "3 steps on 12 images" in result.out, result.err
    judged = dualfair("quantise", asked(study)[0], "--faces", study / "nobody", "--out", study / "by-nobody")
    assert judged.status == 2 and "holds images of unknown people, who cannot be trained on or ranked" in judged.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--bits", 1), "bits must be 2 to 31, got 1; 32 are measured anyway"),
        (("--bits", 32), "bits must be 2 to 31, got 32"),
        (("--batch", 500), "a batch of 500 images needs as many to tune on, there are 144"),
        (("--bits", 6, "--onnx"), "--onnx writes networks of 8 bits; add --bits 8"),
        (("--data", "{place}/faces"), "are judged on people of {place}/faces; take --data own"),
        (("--data", "{place}/none"), "{place}/none"),
        (("--group", "hat"), "unknown group column 'hat'"),
        (("--steps", 0), "steps must be 1 or more, got 0"),
        (("--batch", 0), "batch must be 2 or more, got 0"),
        (("--seed", -1), "seed must be 0 or more, got -1"),
        (("--least-people", 7), "no two groups of 7 people or more are among the test people of {place}/faces"),
        (("--data", "{place}/named/own"), "would be taken for the networks' own people; rename the folder"),
        (("{place}/run",), "{place}/run is no training of ours; name one such as RUN/retrain/GENOTYPE/seed-0"),
        (("{place}/run/retrain/101-101-101-101_cosface/seed-0",), "is given twice; give each once"),
        (("{tuned}",), "{tuned} is quantised to 8 bits in simulation; take the training that it was made of"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(study, dualfair, words, line):
    def filled(text):
        return str(text).format(place=study, tuned=folder_of(study))

    result = dualfair("quantise", *asked(study), *map(filled, words), "--out", study / "refused")
    assert result.status == 2 and filled(line) in result.err, result.err
    assert not list((study / "refused").glob("*/*/*/step-*"))


def test_what_is_simulated_starts_no_training(study, dualfair):
    trained = dualfair(
        "train", "--faces", study / "faces", "--out", study / "new", "--size", 32, "--weights-from", folder_of(study)
    )
    assert trained.status == 2 and "is quantised to 8 bits in simulation" in trained.err


@pytest.mark.slow
def test_networks_of_8_bits_become_onnx_files_that_are_judged_and_exported(study, dualfair):
    """On the tunings that are there, which stay as they are."""
    checkpoints = {path: path.read_bytes() for path in sorted((study / "out").glob("101*/*/*/step-*"))}
    out = study / "with-onnx"
    shutil.copytree(study / "out", out)
    result = dualfair("quantise", *asked(study), *WORDS, "--onnx", "--out", out)
    assert result.status == 0, result.err
    assert {study / "out" / path.relative_to(out): path.read_bytes() for path in out.glob("101*/*-own/*/step-*")} == {
        path: data for path, data in checkpoints.items() if "-own" in str(path)
    }
    written = QuantiseStudy.read(out / "quantise.json", "")
    assert [(each.data, each.seed) for each in written.integers] == [("own", 0), ("own", 1)]
    folder = out / folder_of(study).relative_to(study / "out")
    assert sorted(out.glob("*/*/*/model.onnx")) == [folder / "model.onnx", folder.parent / "seed-1/model.onnx"]
    found = written.integers[0]
    assert 0.9 < found.smallest_cosine <= found.cosine < 1 and found.images == 48
    assert found.bytes == (folder / "model.onnx").stat().st_size < found.bytes_float32 / 2
    assert found.milliseconds > 0 and found.milliseconds_float32 > 0
    assert "8 bits, integers" in result.out and "MB in float32" in result.out
    # Its numbers are those of its own embeddings.
    chosen = {(n.integers, n.seed, n.measure): n for n in written.numbers if (n.bits, n.part) == (8, IDENTIFICATION)}
    store = open_store(study / "faces")
    about = open_standalone(folder, choose_device("cpu"), print).seen_of(store.fingerprint)
    rows = about.splits(store.manifest)["test"]
    names = np.array(store.manifest.column("identity"))[rows]
    images = FaceSet(store.pixels, rows, names, np.full(len(rows), ""), 32)
    embeddings = embed(OnnxEmbedder(folder / "model.onnx", 32).eval(), images)
    ranked = ranks(embeddings, names)
    assert chosen[True, 0, "error"].value == pytest.approx(1 - ranked.correct.mean())
    exported = dualfair("export", folder, "--to", study / "exported", "--format", "onnx")
    assert exported.status == 0, exported.err
    assert "onnxruntime agrees with its simulation of 8 bits: smallest cosine 0.9" in exported.out
    assert (study / "exported/model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    result = dualfair("evaluate", "--network", study / "exported", "--faces", study / "faces", "--out", study / "ev")
    assert "its 8 bits are simulated; integers are measured by 'dualfair quantise --onnx'" in result.out
    # A file of other weights, or none at all, is not exported; the study makes it anew.
    whole = (folder / "model.onnx").read_bytes()
    for wrong in (b"", (folder.parent / "seed-1/model.onnx").read_bytes()):
        (folder / "model.onnx").write_bytes(wrong)
        refused = dualfair("export", folder, "--to", study / "refused-file", "--format", "onnx")
        assert refused.status == 2 and "no model.onnx of integers that is made of its weights" in refused.err
    without = dualfair("quantise", *asked(study), *WORDS, "--out", out)
    assert f"Not measured, for want of --onnx: the integers that lie in {out}" in without.out
    assert dualfair("quantise", *asked(study), *WORDS, "--onnx", "--out", out).status == 0
    assert (folder / "model.onnx").read_bytes() == whole
    again = open_standalone(study / "exported", choose_device("cpu"), print)
    opened = open_standalone(folder, choose_device("cpu"), print)
    assert again.bits == 8 and (again.trained_on, again.tuned_on) == (opened.trained_on, opened.tuned_on)
    assert np.array_equal(embed(again.network, images), embed(opened.network, images))
    card = (study / "exported/README.md").read_text()
    assert "rounded to 8 bits: simulated in float32 in `model.safetensors`, computed with integers" in card
    assert not (study / "exported/config.json").exists()


@pytest.mark.parametrize(
    ("kind", "words", "line"),
    [
        ("8-bits-own", (), "is quantised to 8 bits, which timm's config.json cannot hold; take --format onnx or"),
        ("2-bits-own", ("--format", "onnx"), "is quantised to 2 bits and has no model.onnx of integers that is made"),
    ],
)
def test_a_format_that_cannot_hold_fewer_bits_is_refused(study, dualfair, kind, words, line):
    exported = dualfair("export", folder_of(study, kind), "--to", study / "refused-export", *words)
    assert exported.status == 2 and line in exported.err
    assert not (study / "refused-export").exists()


@pytest.mark.parametrize("fold", [(), ("--fold-bn",)])
def test_a_network_of_any_bits_is_exported_as_weights(study, dualfair, fold):
    folder = folder_of(study, "2-bits-own")
    exported = dualfair("export", folder, "--to", study / "state", "--format", "state", *fold)
    assert exported.status == 0, exported.err
    networks = [open_standalone(place, choose_device("cpu"), print).network for place in (folder, study / "state")]
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        before, after = (network(images) for network in networks)
    assert torch.equal(after, before) if not fold else torch.cosine_similarity(after, before).min() > 0.999


def test_another_tuning_in_the_same_folder_is_refused_and_nothing_is_lost(study, dualfair):
    before = {path: path.read_bytes() for path in folder_of(study).iterdir() if path.is_file()}
    words = ("--bits", 8, "--steps", 7, "--batch", 8, "--resamples", 2, "--out", study / "out")
    result = dualfair("quantise", *asked(study), *words)
    assert result.status == 2 and "belongs to a training with another configuration" in result.err
    description = folder_of(study) / "network.json"
    description.write_text(description.read_text().replace('"bits": 8', '"bits": 7'))
    result = dualfair("quantise", *asked(study), *words)
    assert result.status == 2 and "holds another network; choose another directory with --out" in result.err
    description.write_bytes(before[description])
    assert {path: path.read_bytes() for path in folder_of(study).iterdir() if path.is_file()} == before


def test_what_leaves_the_finite_numbers_is_left_out_and_the_rest_is_told(study, dualfair):
    words = ("--bits", 4, "--steps", 40, "--batch", 8, "--resamples", 2, "--lr", 1e30, "--out", study / "lost")
    for _ in range(2):
        result = dualfair("quantise", *asked(study), *words)
        assert result.status == 0, result.err
        assert "Left out: 101-101-101-101:cosface seed 0 in 4 bits, data own, seed 0" in result.out
    rows = list(csv.DictReader((study / "lost/quantise.csv").open()))
    assert {row["bits"] for row in rows} == {"32"}


def test_small_groups_are_not_compared_and_stay_in_the_gallery(study, dualfair):
    rows = list(csv.DictReader((study / "other/manifest.csv").open()))
    people = sorted({row["identity"] for row in rows})
    moved = study / "moved"
    shutil.copytree(study / "other", moved)
    with (moved / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "group": "c" if row["identity"] in people[:2] else row["group"]} for row in rows)
    words = ("--faces", moved, "--data", study / "named/own", "--bits", 4, "--steps", 2, "--batch", 8)
    result = dualfair("quantise", asked(study)[0], *words, "--resamples", 5, "--out", study / "small")
    assert result.status == 2 and "rename the folder" in result.err
    words = ("--faces", moved, "--data", study / "faces", *words[4:])
    result = dualfair("quantise", asked(study)[0], *words, "--resamples", 5, "--out", study / "small")
    assert result.status == 0 and "not compared, fewer than 5 people: c" in result.out, result.err
    measures = {row["measure"]: row for row in csv.DictReader((study / "small/quantise.csv").open())}
    assert "accuracy of c" not in measures and int(measures["error"]["people"]) == 60


def test_the_embedding_that_is_judged_is_that_of_the_rounded_weights(study):
    """Two bits embed otherwise than the source, the same way every time, and leave ranges where they were."""
    opened = open_standalone(folder_of(study, "2-bits-own"), choose_device("cpu"), print)
    ranges = [quantiser.highest.clone() for quantiser in quantisers(opened.network).values()]
    source = open_standalone(asked(study)[0], choose_device("cpu"), print)
    first, second, plain = (embed(each.network, random_faces(8, 4, 32)) for each in (opened, opened, source))
    assert np.array_equal(first, second) and not np.allclose(first, plain, atol=0.01)
    assert all(map(torch.equal, ranges, [quantiser.highest for quantiser in quantisers(opened.network).values()]))
