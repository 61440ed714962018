"""Planned networks trained once more, together as long as the supernet."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dualfair.runs.directory import RunDirectory
from dualfair.runs.options import RetrainOptions, TrainOptions
from dualfair.runs.run_files import add_to_plan, read_plan
from dualfair.runs.training_spec import TrainingSpec
from dualfair.stages.retrain import HowTrained, retrain_short
from dualfair.supernet.images.noise import random_faces
from dualfair.supernet.skeleton import SKELETONS
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.process_group import ALONE
from dualfair.supernet.training.recipe import Recipe
from tests.support.records import search_config


def test_every_planned_network_is_trained_shortly_and_another_number_of_them_is_refused(monkeypatch, tmp_path):
    trained = []
    monkeypatch.setattr("dualfair.stages.retrain.recorded_search", lambda directory: search_config())
    monkeypatch.setattr("dualfair.stages.retrain.in_words", lambda processes: "cpu")
    monkeypatch.setattr("dualfair.stages.retrain.train_all", lambda run, *asked: trained.append(asked))
    run = SimpleNamespace(
        directory=RunDirectory(tmp_path),
        setting=SimpleNamespace(
            space=dpn_space("dpn81-shared", 2), skeleton=SKELETONS["nano"], splits={"test": random_faces(8, 4, 48)}
        ),
        config=SimpleNamespace(recipe=Recipe(epochs=2.0), options=TrainOptions(), code=None),
        digest="d",
        processes=ALONE,
    )
    how = HowTrained(options=RetrainOptions(), recipe=Recipe(epochs=12.0))
    with pytest.raises(ValueError, match="has no planned networks; run 'dualfair retrain' without --short first"):
        retrain_short(run, how)
    names = [f"{code}1{code}-{code}1{code}:cosface" for code in range(5)]
    planned = run.directory.layout.retrain
    run.directory.make(planned)
    add_to_plan(planned, {TrainingSpec.of_label(name, seed): ("even",) for name in names for seed in (0, 1)})
    for _ in range(2):
        retrain_short(run, how)
        ((stage, trainings),) = trained
        assert [(training.label, training.seed) for training in trainings] == [(name, 0) for name in names]
        assert stage.how.recipe == Recipe(epochs=2.0 * 9 / 5)
        assert (stage.layout, stage.seeds_from) == (run.directory.layout.short, 10**6)
        trained.clear()
    with pytest.raises(ValueError, match=r"trainings of 3\.6 epochs, but 5 networks are planned, which is 1\.5 epochs"):
        retrain_short(run, replace(how, recipe=Recipe(epochs=1.5)))
    add_to_plan(planned, {TrainingSpec.of_label("888-888:cosface"): ("named",)})
    with pytest.raises(ValueError, match=r"trainings of 3\.6 epochs, but 6 networks are planned, which is 3 epochs"):
        retrain_short(run, how)
    assert not trained


@pytest.mark.slow
def test_random_and_short_trainings_by_the_command_line(dualfair, tmp_path):
    run = tmp_path / "run"
    made = dualfair("faces", "synth", "--out", tmp_path / "faces", "--identities", 24, "--images", 4, "--size", 32)
    assert made.status == 0, made.err
    quick = ("--epochs", 0.3, "--batch", 16)
    for words in (
        ("train", "--faces", tmp_path / "faces", "--out", run, "--size", 32, "--space", "dpn81-shared", *quick),
        ("search", "--run", run, "--population", 3, "--generations", 1, "--calibrate", 16),
    ):
        done = dualfair(*words)
        assert done.status == 0, done.err
    early = dualfair("retrain", "--run", run, "--short")
    assert early.status == 2 and "has no planned networks; run 'dualfair retrain' without --short first" in early.err
    done = dualfair("retrain", "--run", run, "--seeds", 1, "--controls", 0, "--random", 3, "--epochs", 1)
    assert done.status == 0, done.err
    planned = read_plan(RunDirectory(run).layout.retrain).samples()
    assert sum("random" in of for of in planned.values()) == 3 and sum("front" in of for of in planned.values()) >= 1
    short = dualfair("retrain", "--run", run, "--short", "--epochs", 1)
    assert short.status == 0, short.err
    share = min(1.0, 0.3 * 9 / len(planned))
    assert f"Short trainings: {len(planned)} networks once more, {share:.3g} epochs each; together " in short.out
    assert json.loads((run / "short/config.json").read_text())["epochs"] == pytest.approx(share)
    again = dualfair("retrain", "--run", run, "--short", "--epochs", 1)
    assert again.status == 0 and "continuing" not in again.out
    first = next(iter(planned))
    about = [
        json.loads((run / stage / first.replace(":", "_") / "seed-0/network.json").read_text())
        for stage in ("retrain", "short")
    ]
    assert [of["seed"] for of in about] == [0, 10**6]
    for words, said in (
        ((1,), "--check-convergence must be 2 or more networks, and no more than the "),
        ((9,), f"no more than the {len(planned)} that are planned"),
        ((3, "--epochs", 2), "goes by the recipe of retraining: leave options of the recipe out"),
        ((3, "--short"), "--short and --check-convergence are two commands"),
        ((3, "--backbone", "test_resnet"), "train planned networks; leave --genotype, --backbone and --survey out"),
    ):
        refused = dualfair("retrain", "--run", run, "--check-convergence", *words)
        assert refused.status == 2 and said in refused.err
    unchecked = dualfair("correlate", "--run", run, "--resamples", 20)
    assert (
        "  not checked: whether trainings are long enough (dualfair retrain --check-convergence NETWORKS)"
        in unchecked.out
    )
    long = dualfair("retrain", "--run", run, "--check-convergence", 3)
    assert long.status == 0 and "Long trainings: 3 networks once more, 2 epochs each" in long.out, long.err
    about = [json.loads(path.read_text()) for path in sorted(run.glob("long/*/seed-0/network.json"))]
    assert {of["seed"] for of in about} == {2 * 10**6} and len(about) == 3
    assert all(
        "random" in planned[path.parents[1].name.replace("_", ":")] for path in run.glob("long/*/seed-0/result.json")
    )
    assert re.search(r"long +finished +3 of 3 trainings", dualfair("status", run).out)
    study = dualfair("correlate", "--run", run, "--resamples", 20)
    assert re.search(r"Convergence of 3 networks: error on test people \S+ after 1 and \S+ after 2 epochs; ", study.out)
    assert "    => nothing can be concluded from 3 networks" in study.out and "not checked" not in study.out
    assert json.loads((run / "correlate/ranking.json").read_text())["convergence"]["epochs"] == 1
    assert study.status in (0, 3) and "random 3: error, validation identities: tau " in study.out
    report = json.loads((run / "correlate/ranking.json").read_text())
    assert set(report["measures"]["error, test identities"]["baselines"]) == {"params", "macs", "short training"}
    assert report["measures"]["error, test identities"]["ceiling"]["from_halves"]
    more = dualfair("retrain", "--run", run, "--genotype", "888:cosface", "--seeds", 1, "--epochs", 1)
    assert more.status == 0, more.err
    refused = dualfair("retrain", "--run", run, "--short", "--epochs", 1)
    assert refused.status == 2 and "delete that folder and run the same command again" in refused.err
