"""`dualfair study`: the table by brute force, the variants file, and the command on a tiny space."""

import json
from pathlib import Path

import numpy as np
import pytest

from dualfair.presentation.format import NOTHING
from dualfair.runs.options import ProtocolOptions, TrainOptions
from dualfair.studies.supernets import StudyOptions
from dualfair.studies.supernets.study import COMPARISON, SupernetStudy, Variant, study_of, variants_of
from dualfair.supernet.training.recipe import Recipe

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
    assert by_name[0] == BASE and {variant.name for variant in by_name} >= {"uniform", "strict"}
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
