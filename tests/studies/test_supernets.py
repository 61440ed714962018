"""`dualfair study`: the table by brute force, the variants file, and the command on a tiny space."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from dualfair.presentation.format import NOTHING
from dualfair.runs.options import ProtocolOptions, TrainOptions
from dualfair.studies.supernets import StudyOptions
from dualfair.studies.supernets.prediction import predicted_taus
from dualfair.studies.supernets.study import COMPARISON, SupernetStudy, Variant, study_of, variants_of
from dualfair.studies.supernets.truth import read_truth
from dualfair.supernet.training.recipe import Recipe
from tests.support.faces import labelled_manifest_of, labelled_store_of

BASE = Variant("default", TrainOptions(), Recipe(), ProtocolOptions())


def tables(n=24, seeds=3, seed=0, quality=(0.3, 3.0)):
    """Truths of n networks, and the scores of two variants that are nearer to it and farther from it."""
    rng = np.random.default_rng(seed)
    exact = {name: rng.normal(size=n) for name in ("error", "rank_disparity")}
    halves = {name: value[:, None, None] + 0.2 * rng.normal(size=(n, seeds, 2)) for name, value in exact.items()}
    standalone = {name: np.concatenate([of.mean(axis=2, keepdims=True), of], axis=2) for name, of in halves.items()}
    costs = {"params": -exact["error"], "macs": rng.normal(size=n)}
    scores = {
        name: [{m: value + noise * rng.normal(size=n) for m, value in exact.items()} | costs for _ in range(3)]
        for name, noise in zip(("default", "noisy"), quality, strict=True)
    }
    return standalone, scores


def study_by(standalone, scores, resamples):
    networks = tuple(f"net{number}" for number in range(len(standalone["error"])))
    return study_of(networks, standalone, scores, StudyOptions(resamples=resamples))


def test_a_worse_variant_is_told_and_an_equal_one_is_not():
    standalone, scores = tables()
    scores["same"] = scores["default"]
    study = study_by(standalone, scores, 400)
    assert study.variants["same"]["error"].difference_interval == (0.0, 0.0)
    text = "\n".join(study.sentences())
    assert "noisy ranks error worse than default: -" in text and "same ranks" not in text
    assert "of 4 comparisons one in twenty would differ by luck" in text
    of_error, of_disparity = (of.ceiling.reliability for of in study.standalone.values())
    assert text.startswith("Reliability of the truth, the mean of 3 trainings, 1 = noise does not matter: error ")
    assert f"error {of_error:.2f} and rank disparity {of_disparity:.2f}\n" in text


def test_predictions_by_some_trainings_are_of_the_networks_that_were_not_trained():
    """Features that know half of the error, inherited scores that know it well or hardly: with and without these."""
    standalone, scores = tables(n=64, quality=(0.5, 50.0))
    truth = standalone["error"][:, :, 0].mean(axis=1)
    rng = np.random.default_rng(1)
    features = {"some": np.stack([truth + rng.normal(size=64), rng.normal(size=64)], axis=1)}
    networks = tuple(f"net{number}" for number in range(64))
    study = study_of(networks, standalone, scores, StudyOptions(resamples=20), features)
    of_error = {name: of["error"] for name, of in study.predicted.items()}
    assert set(of_error) == {"default", "noisy", "no supernet"} and set(of_error["default"]) == {"16", "32"}
    assert of_error["default"]["32"] > of_error["no supernet"]["32"] + 0.1 > of_error["noisy"]["32"]
    assert of_error["default"]["32"] > study.variants["default"]["error"].mean
    assert 0.3 < of_error["no supernet"]["16"] <= of_error["no supernet"]["32"] + 0.02
    runs = [{"inherited": run["error"][:, None], **features} for run in scores["default"]]
    single = [predicted_taus(known, truth)["16"] for known in runs]
    assert of_error["default"]["16"] == pytest.approx(np.mean(single))
    rows = {row["variant"]: row for row in study.table().records() if row["measure"] == "error"}
    alone = rows["no supernet"]
    assert alone["predicted by 16"] == of_error["no supernet"]["16"] and alone["tau"] is None
    assert rows["params"]["predicted by 16"] is None
    assert SupernetStudy.from_json(json.loads(json.dumps(study.to_json()))) == study


def test_a_network_is_predicted_by_others_alone():
    """Features that name every network say nothing of another one; few networks are not cut in two."""
    truth = np.random.default_rng(0).normal(size=40)
    assert predicted_taus({"name": np.eye(40)}, truth) == {"16": 0.0}
    assert predicted_taus({"name": np.eye(31)}, truth[:31]) == {}
    assert predicted_taus({"name": np.full((40, 1), np.nan)}, truth) == {}


def test_tau_within_heads_stands_beside_tau_where_there_are_several():
    standalone, scores = tables()
    heads = np.arange(24) % 2
    for of in standalone.values():
        of += 9 * heads[:, None, None]
    for supernets in scores.values():
        for run in supernets:
            run["error"] = run["error"] + 9 * heads
    networks = tuple(f"{number}:{'ab'[head]}" for number, head in enumerate(heads))
    study = study_of(networks, standalone, scores, StudyOptions(resamples=50))
    truth = standalone["error"][:, :, 0].mean(axis=1)
    for name, supernets in scores.items():
        single = [kendalltau_within(run["error"], truth, heads) for run in supernets]
        assert study.within_heads[name]["error"].taus == pytest.approx(single)
    assert study.variants["noisy"]["error"].mean > study.within_heads["noisy"]["error"].mean + 0.2
    *_, within, low, high = (column.name for column in study.table().columns)
    assert (within, low, high) == ("within heads", "within heads low", "within heads high")
    assert SupernetStudy.from_json(json.loads(json.dumps(study.to_json()))) == study
    assert not study_by(standalone, scores, 20).within_heads


def kendalltau_within(scores, truth, heads):
    """Tau of pairs within a head, without ties: the mean of the heads' taus, which have as many pairs each."""
    return np.mean([kendalltau(scores[heads == head], truth[heads == head])[0] for head in (0, 1)])


def test_a_baseline_counts_in_its_better_direction():
    standalone, scores = tables(quality=(1.0, 1.0))
    cell = study_by(standalone, scores, 50).baselines["params"]["error"]
    assert cell.mean > 0.8 and len(cell.taus) == 1


def test_constant_scores_are_undefined_and_do_not_end_the_study():
    standalone, scores = tables(n=5)
    for run in scores["noisy"]:
        run["error"] = np.zeros(5)
    study = study_by(standalone, scores, 20)
    cell = study.variants["noisy"]["error"]
    assert cell.mean is None and cell.interval is None and cell.taus == (None,) * 3
    assert any(line.split()[:3] == ["error", "noisy", NOTHING] for line in study.table().lines())


def variants_in(tmp_path, text):
    path = tmp_path / "variants.toml"
    path.write_text(text)
    return variants_of(BASE.train, BASE.recipe, BASE.protocol_options, path)


def test_variants_share_supernets_when_only_their_scoring_differs(tmp_path):
    uniform = 'sampler = "uniform"\nepochs = 270\n'
    variants = variants_in(tmp_path, f"[uniform]\n{uniform}[rough]\ncalibrate = 64\n[plain]\n{uniform}")
    assert [variant.name for variant in variants] == ["default", "uniform", "rough", "plain"]
    default, of_uniform, rough, plain = variants
    assert of_uniform.recipe.epochs == 270.0 and rough.protocol_options.calibrate == 64
    assert rough.training == default.training != of_uniform.training == plain.training


@pytest.mark.parametrize(
    "text, said",
    [
        ("epochs = 3", "epochs = 3 stands in no table; write [name of the variant]"),
        ('[other]\nsampler = "mine:Own"', "[other] cannot name 'mine:Own', which would run code; a file may not"),
        ('[other]\nspace = "dpn729"', "[other] cannot set space; choose from sampler, calibrate, people, epochs"),
        ("[default]\nlr = 0.1", "[default] is the name of what the options say"),
        ('["Wide lr"]\nlr = 0.1\n[wide-lr]\nlr = 0.2', "[wide-lr] is too much like 'Wide lr' for a folder and a row"),
        ("[macs]\nlr = 0.1", "[macs] is too much like 'macs'"),
        ('[fast]\nlr = "high"', "[fast] lr must be a float, got 'high'"),
        ("[bad]\nbatch = 1", "[bad] batch must be 2 or more"),
        ("[bad\n", "is not TOML"),
    ],
)
def test_a_bad_variants_file_is_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(ValueError) as raised:
        variants_in(tmp_path, text)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_the_comparison_that_comes_along_can_be_read():
    by_name = variants_of(BASE.train, BASE.recipe, BASE.protocol_options, Path("comparison"))
    assert by_name == variants_of(BASE.train, BASE.recipe, BASE.protocol_options, COMPARISON)
    assert by_name[0] == BASE and {variant.name for variant in by_name} >= {"uniform", "sequential"}
    assert variants_of(BASE.train, BASE.recipe, BASE.protocol_options) == [BASE]


@pytest.mark.slow
def test_the_command_trains_the_truth_once_and_continues_where_it_was(dualfair, tmp_path):
    dualfair("faces", "synth", "--identities", 24, "--images", 4, "--size", 32, "--out", tmp_path / "faces")
    (tmp_path / "variants.toml").write_text('[uniform]\nsampler = "uniform"\nepochs = 2\n[rough]\ncalibrate = 16\n')
    arguments = ["study", "--faces", tmp_path / "faces", "--out", tmp_path / "study", "--space", "dpn81-shared"]
    arguments += ["--size", 32, "--epochs", 1, "--batch", 16, "--calibrate", 32, "--supernets", 2, "--networks", 3]
    arguments += ["--seeds", 2, "--standalone-epochs", 1, "--resamples", 20, "--confirm", 0]
    alone = dualfair(*arguments)
    assert alone.status == 0, alone.err
    supernets = tmp_path / "study/supernets"
    assert sorted(path.name for path in supernets.iterdir()) == ["default-0", "default-1"]
    whole = dualfair(*arguments, "--variants", tmp_path / "variants.toml")
    assert whole.status == 0, whole.err
    assert sorted(path.name for path in supernets.iterdir()) == ["default-0", "default-1", "uniform-0", "uniform-1"]
    assert len(list(supernets.glob("*/retrain/*/seed-*/result.json"))) == 6
    study = SupernetStudy.read(tmp_path / "study/study.json")
    assert [*study.variants] == ["default", "uniform", "rough"] and len(study.networks) == 3
    rows = (tmp_path / "study/study.csv").read_text().splitlines()
    assert rows[0].startswith("measure,variant,tau,tau low,tau high,less default") and "error,rough," in "\n".join(rows)
    assert (tmp_path / "study/study.png").stat().st_size > 5000
    splits = {json.loads((run / "train/config.json").read_text())["split_seed"] for run in supernets.iterdir()}
    assert splits == {0}, "all supernets see the same people"
    [following] = [line for line in whole.out.splitlines() if line.startswith("Next:")]
    host = supernets / "default-0"
    assert following == f"Next: dualfair correlate --run {host}" and not (host / "search/config.json").exists()
    correlated = dualfair("correlate", "--run", host, "--resamples", 20)
    assert correlated.status in (0, 3), correlated.err
    assert json.loads((host / "correlate/ranking.json").read_text())["networks"] == [*study.networks]
    protocol = json.loads((host / "retrain/config.json").read_text())
    assert protocol["calibrate"] == 32, "the host's trainings are evaluated as the options say"


LAYERED = TrainOptions(skeleton="nas-bench-macro", blocks="1-1-1", heads="cosface", size=16)
ERROR_ONLY = ProtocolOptions(objectives="error,params")


def table_in(tmp_path, header="network,seed,error", change=lambda rows: rows):
    """Errors of all 27 networks by three seeds: the more expensive its operations, the better a network."""
    codes = [f"{a}-{b}-{c}:cosface" for a in range(3) for b in range(3) for c in range(3)]
    rows = [
        f"{code},{seed},{0.9 - 0.1 * sum(map(int, code[:5:2])) + 0.001 * (len(code) * number * seed % 7)}"
        for number, code in enumerate(codes)
        for seed in range(3)
    ]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([header, *change(rows)]) + "\n")
    return path


def test_random_networks_of_a_table_are_ranked_by_all_of_its_seeds(tmp_path):
    path = table_in(tmp_path)
    truth, larger = (read_truth(path, LAYERED, ERROR_ONLY, n) for n in (5, 27))
    assert truth.genotypes == larger.genotypes[:5] and len(set(larger.genotypes)) == 27
    assert truth.scores["error"].shape == (5, 3, 1) and [*truth.scores] == ["error"]
    by_text = dict(zip(map(str, larger.genotypes), larger.scores["error"][:, :, 0], strict=True))
    assert by_text["2-1-0:cosface"] == pytest.approx([0.6 + 0.001 * (13 * 21 * seed % 7) for seed in range(3)])
    other = read_truth(path, replace(LAYERED, seed=1), ERROR_ONLY, 5)
    assert other.genotypes != truth.genotypes


def test_a_table_without_halves_of_the_people_has_a_ceiling_from_its_seeds():
    standalone, scores = tables()
    whole = {name: of[:, :, :1] for name, of in standalone.items()}
    ceiling = study_by(whole, scores, 20).standalone["error"].ceiling
    assert 0.5 < ceiling.tau < 1 and not ceiling.from_halves


@pytest.mark.parametrize(
    ("header", "change", "problem"),
    [
        ("network,seed,accuracy", lambda rows: rows, "has columns accuracy; at least one must be called like an objec"),
        (
            "network,seed,error",
            lambda rows: [rows[0].replace("0-", "3-", 1)],
            "position 1 has code 3; allowed: 0",
        ),
        (
            "network,seed,error",
            lambda rows: [rows[0].replace("cosface", "magface")],
            "has head 'magface'; allowed: ",
        ),
        ("network,seed,error", lambda rows: rows[:12], "networks must be at most 4, all networks of "),
        ("network,seed,error", lambda rows: [*rows, "1:cosface,0,.1", "1:cosface,1,.1", "1:cosface,2,.1"], "same one"),
        ("name,seed,error", lambda rows: rows, "the first column must be 'network', got 'name'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(tmp_path, header, change, problem):
    path = table_in(tmp_path, header, change)
    with pytest.raises(ValueError) as raised:
        read_truth(path, LAYERED, ERROR_ONLY, 5)
    assert problem in str(raised.value) and str(path) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.slow
def test_supernets_are_ranked_by_a_table_and_no_network_is_trained(dualfair, tmp_path):
    dualfair("faces", "synth", "--identities", 24, "--images", 4, "--size", 16, "--out", tmp_path / "faces")
    (tmp_path / "variants.toml").write_text('[uniform]\nsampler = "uniform"\nepochs = 3\n')
    arguments = ["study", "--faces", tmp_path / "faces", "--out", tmp_path / "study", "--confirm", 0, "--size", 16]
    arguments += ["--skeleton", "nas-bench-macro", "--blocks", "1-1-1", "--heads", "cosface", "--epochs", 1]
    arguments += ["--batch", 16, "--calibrate", 32, "--supernets", 2, "--networks", 12, "--resamples", 50]
    arguments += ["--variants", tmp_path / "variants.toml", "--standalone-table"]
    refused = dualfair(*arguments, tmp_path / "nothing.csv")
    assert refused.status == 2 and "nothing.csv" in refused.err and not (tmp_path / "study/supernets").exists()
    result = dualfair(*arguments, table_in(tmp_path))
    assert result.status == 0, result.err
    assert "12 random networks, 3 trainings each" in result.out and f"those in {tmp_path / 'table.csv'}" in result.out
    assert not list(tmp_path.glob("study/supernets/*/retrain")) and "Next:" not in result.out
    study = SupernetStudy.read(tmp_path / "study/study.json")
    assert [*study.standalone] == ["error"] and [*study.variants] == ["default", "uniform"] and study.seeds == 3
    macs = study.baselines["macs"]["error"]
    assert macs.mean > 0.5 and macs.difference_interval is not None
    assert study.standalone["error"].noise_ceiling.mean > 0.8


@pytest.mark.slow
def test_supernets_of_labelled_images_are_ranked_by_their_trainings_or_by_a_table(dualfair, tmp_path):
    labelled_store_of(tmp_path / "images", labelled_manifest_of(120), size=32)
    quick = ["--size", 32, "--space", "dpn81-shared", "--epochs", 0.2, "--batch", 16, "--calibrate", 16, "--confirm", 0]
    arguments = ["study", "--images", tmp_path / "images", *quick, "--supernets", 1, "--networks", 3, "--resamples", 20]
    trained = dualfair(*arguments, "--out", tmp_path / "trained", "--seeds", 2, "--standalone-epochs", 0.2)
    assert trained.status == 0, trained.err
    assert "inherited scores on validation images against the mean of the trainings on test images" in trained.out
    rows = [f"{code}:softmax,{0.2 + number / 10}" for number, code in enumerate(("000", "101", "202"))]
    (tmp_path / "table.csv").write_text("\n".join(["network,error", *rows]) + "\n")
    ranked = dualfair(*arguments, "--out", tmp_path / "ranked", "--standalone-table", tmp_path / "table.csv")
    assert ranked.status == 0, ranked.err
    assert len(SupernetStudy.read(tmp_path / "ranked/study.json").networks) == 3
