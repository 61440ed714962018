"""Networks and hyper-parameters by successive halving: trials, turns shared by several workers, and the command."""

import dataclasses
import json
import math
import shutil
import threading
import time

import numpy as np
import pytest

from dualfair.evolution.halving import Rungs, Turn
from dualfair.runs.records.study import StudyReport
from dualfair.runs.training_spec import TrainingSpec
from dualfair.studies.tune import TuneOptions
from dualfair.studies.tune.choices import Choices, varied
from dualfair.studies.tune.study import Ladder, TuneLayout, as_option
from dualfair.studies.tune.trials import TuneResult
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.trainer import NonFinite
from tests.support.records import scores, training_result

SPACE = dpn_space("dpn81-shared", 4)
POOL = tuple(map(SPACE.parse, ("101:cosface", "343:arcface", "868:cosface")))


RATES = {"sgd": (0.09, 0.8), "adam": (1e-5, 1e-2), "adamw": (1e-5, 1e-2)}


def drawn(choices, count):
    return [choices.training(choices.space.values(row)) for row in choices.space.draw(np.random.default_rng(0), count)]


def test_trials_cover_heads_optimizers_and_rates_as_the_published_study_did():
    trainings = drawn(Choices(SPACE, Recipe(), POOL, ""), 300)
    assert {training.network.head for training in trainings} == {"arcface", "cosface", "magface"}
    assert {training.network.blocks for training in trainings} == {genotype.blocks for genotype in POOL}
    changes = [dict(training.changes) for training in trainings]
    assert {tuple(each) for each in changes} == {("optimizer", "lr")}
    assert {each["optimizer"] for each in changes} == {*RATES}
    for optimizer, (low, high) in RATES.items():
        rates = np.array([each["lr"] for each in changes if each["optimizer"] == optimizer])
        assert low <= rates.min() and rates.max() <= high
        middle = math.exp((math.log(low) + math.log(high)) / 2)
        assert 0.3 < (rates < middle).mean() < 0.7


def test_what_is_varied_is_what_was_asked_for():
    text = "optimizer=sgd|lamb, lamb.lr=0.001..0.01, batch=16|32, sgd.weight_decay=1e-5..1e-3, flip=no, head=cosface"
    trainings = drawn(Choices(SPACE, Recipe(), (), text), 200)
    for training in trainings:
        changes = dict(training.changes)
        low, high = {"sgd": (0.09, 0.8), "lamb": (0.001, 0.01)}[changes["optimizer"]]
        assert low <= changes["lr"] <= high and changes["flip"] is False and training.network.head == "cosface"
        assert ("weight_decay" in changes) is (changes["optimizer"] == "sgd")
        assert 1e-5 <= changes.get("weight_decay", 1e-4) <= 1e-3
    assert {dict(training.changes)["batch"] for training in trainings} == {16, 32}
    assert varied("lr=0.1..0.2") == {"optimizer": ("sgd", "adam", "adamw"), "lr": (0.1, 0.2)}


@pytest.mark.parametrize("pool", [POOL, ()])
def test_a_training_tells_the_configuration_that_it_was(pool):
    choices = Choices(SPACE, Recipe(), pool, "weight_decay=1e-5..1e-3,loss=ce|focal")
    for row in choices.space.draw(np.random.default_rng(1), 40):
        values = choices.space.values(row)
        training = TrainingSpec.of_label(choices.training(values).label)
        assert choices.values(training) == values


@pytest.mark.parametrize(
    "text, message",
    [
        ("epochs=1|2", "vary: 'epochs' cannot be varied; choose from network, head, batch"),
        ("batch", "vary must be different NAME=A|B or NAME=LOW..HIGH joined by ',', got 'batch'"),
        ("batch=16,batch=32", "vary must be different NAME=A|B"),
        ("batch=16|16", "vary: batch has a choice twice in '16|16'"),
        ("batch=16..64", "vary: batch takes choices joined by '|', no range, got '16..64'"),
        ("batch=1|16", "vary: batch must be 2 or more for batch normalisation, got 1"),
        ("batch=few", "vary: batch: batch must be a int in a training's name, got 'few'"),
        ("sgd.lr=0.8..0.1", "vary: sgd.lr: a range goes from a number above 0 to a larger one, got 0.8..0.1"),
        ("sgd.lr=0.1..x", "vary: sgd.lr must be LOW..HIGH, two numbers, got '0.1..x'"),
        ("lamb.lr=0.1..0.2", "vary: lamb.lr is for none of the optimizers sgd, adam, adamw"),
        ("optimizer=lamb", "vary: there is no range of rates for lamb; add lamb.lr=LOW..HIGH"),
        ("lr=0.1..0.2,sgd.lr=0.1..0.2", "vary: sgd.lr and lr are both given; leave out one"),
        ("head=softmax", "vary: head 'softmax' is not one of arcface, cosface, magface"),
        ("momentum=0.5..2", "vary: momentum must be below 1, got 2.0"),
        ("batch=8|64,accumulate=2|8", "vary: accumulate must be 1 to 4, for 2 images or more a part of a batch of 8"),
        ("head_scales=magface=32|magface=64", "vary: head_scales = 'magface=32' cannot be part of a training's name"),
        ("lr=0.1|1e-1", "vary: lr: a choice stands twice in 0.1, 0.1"),
    ],
)
def test_what_cannot_be_varied_is_told_in_a_line(text, message):
    with pytest.raises(ValueError) as error:
        Choices(SPACE, Recipe(), (), text)
    assert message in str(error.value)


def test_options_are_written_as_they_are_typed():
    changes = (("batch", 16), ("lr", 1e-05), ("shared_gradients", "sum"), ("flip", False), ("recompute", True))
    typed = ["--batch 16", "--lr 1e-05", "--shared-gradients sum", "--no-flip", "--recompute"]
    assert [as_option(name, value) for name, value in changes] == typed


def ladder_in(folder, trials, seed=0, **options):
    rungs = Rungs(first=1, last=4, eta=2)
    choices = Choices(SPACE, Recipe(), POOL, "")
    return Ladder(TuneLayout(folder), choices, rungs, TuneOptions(trials=trials, seed=seed, pool=3, **options))


def trials_of(folder):
    return {trial.number: trial.training.label for trial in ladder_in(folder, 1).begun()}


def test_a_trial_depends_on_its_number_and_the_seed_alone(tmp_path):
    for name, count, seed in (("a", 12, 0), ("b", 5, 0), ("c", 12, 1)):
        climb_alone(ladder_in(_made(tmp_path / name), count, seed))
    a, b, c = (trials_of(tmp_path / name) for name in "abc")
    assert len({*a.values()}) == 12 and b == {number: a[number] for number in range(5)}
    assert all(a[number] != c[number] for number in range(12))


def finish(ladder, turn):
    """Write what a training of this turn would have come to."""
    training = ladder.training(turn)
    rng = np.random.default_rng([turn.trial, turn.rung])
    validation, test = (scores(*rng.random(2).tolist()) for _ in range(2))
    place = ladder.layout.training(training)
    place.folder.mkdir(parents=True)
    training_result(training.label, validation=validation, test=test).write(place.result)


def climb_alone(ladder):
    while (turn := ladder.take()) is not None:
        finish(ladder, turn)
    return ladder.taken()


def test_adding_trials_later_takes_the_same_turns_as_asking_for_all_at_once(tmp_path):
    (tmp_path / "at once").mkdir(), (tmp_path / "later").mkdir()
    at_once = climb_alone(ladder_in(tmp_path / "at once", 12))
    climb_alone(ladder_in(tmp_path / "later", 5))
    assert sorted(climb_alone(ladder_in(tmp_path / "later", 12))) == sorted(at_once)


@pytest.mark.parametrize("proposer", ["random", "parego"])
@pytest.mark.parametrize("schedule", ["asha", "hyperband"])
@pytest.mark.parametrize("finished", [6, 19])
def test_turns_of_dead_workers_are_taken_again_and_the_trials_are_the_same(tmp_path, proposer, schedule, finished):
    options = {"proposer": proposer, "schedule": schedule}
    whole = climb_alone(ladder_in(_made(tmp_path / "whole"), 14, **options))
    killed = ladder_in(_made(tmp_path / "killed"), 14, **options)
    for _ in range(finished):
        turn = killed.take()
        finish(killed, turn)
    lost = killed.take()
    again = ladder_in(tmp_path / "killed", 14, **options)
    again.forget_unfinished()
    assert lost not in again.taken()
    assert climb_alone(again) == whole
    assert ladder_in(tmp_path / "killed", 14).begun() == ladder_in(tmp_path / "whole", 14).begun()


def test_a_model_is_asked_when_ten_were_drawn_and_what_it_saw_is_noted(tmp_path):
    for name in ("random", "parego"):
        climb_alone(ladder_in(_made(tmp_path / name), 20, proposer=name))
    random, parego = (ladder_in(tmp_path / name, 20).begun() for name in ("random", "parego"))
    assert random[:10] == tuple(dataclasses.replace(trial, seen=0) for trial in parego[:10])
    assert not any(trial.model for trial in random) and sum(trial.model for trial in parego[10:]) >= 5
    assert [trial.seen for trial in parego] == sorted({trial.seen for trial in parego})
    tables = [ladder_in(tmp_path / name, 20).summary().table() for name in ("random", "parego")]
    assert ["by model" in [column.name for column in table.columns] for table in tables] == [False, True]


@pytest.mark.parametrize("proposer", ["random", "parego"])
def test_no_configuration_is_tried_twice_and_where_there_is_none_left_the_best_go_on(tmp_path, proposer):
    choices = Choices(SPACE, Recipe(), POOL[:2], "head=cosface,optimizer=sgd,lr=0.1|0.2|0.3|0.4|0.5|0.6")
    options = TuneOptions(trials=20, pool=2, proposer=proposer)
    ladder = Ladder(TuneLayout(tmp_path), choices, Rungs(first=1, last=4, eta=2), options)
    climb_alone(ladder)
    trials = ladder.begun()
    assert len(trials) == len({trial.training for trial in trials}) == 12
    assert [trial.number for trial in trials] == [*range(12)]
    reached = [sum(turn.rung == rung for turn in ladder.taken()) for rung in range(3)]
    assert reached[0] == 12 and reached[1] >= 6 and reached[2] >= 3


def test_hyperband_begins_some_trials_with_more_epochs(tmp_path):
    ladder = ladder_in(tmp_path, 10, schedule="hyperband")
    climb_alone(ladder)
    result = ladder.summary()
    assert [trial.rungs[0].epochs for trial in result.trials] == [1] * 4 + [2] * 3 + [4] * 3
    assert len(result.top) == 5 and any(trial.on_front for trial in result.top)
    assert "Trainings by epochs: 4 of 1, 5 of 2, 5 of 4; together 34 epochs" in result.sentences()[1]


def test_several_workers_never_take_the_same_turn_and_all_end(tmp_path):
    taken, guard = [], threading.Lock()

    def work():
        ladder = ladder_in(tmp_path, 9)
        while (turn := ladder.take()) is not None:
            with guard:
                taken.append(turn)
            time.sleep(0.01)
            finish(ladder, turn)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert not any(worker.is_alive() for worker in workers)
    assert len(set(taken)) == len(taken) and {turn.trial for turn in taken if turn.rung == 0} == set(range(9))
    assert sum(turn.rung == 2 for turn in taken) >= 2


def _made(path):
    path.mkdir()
    return path


def test_the_front_is_that_of_the_validation_people_among_the_last_rung_only(tmp_path):
    ladder = ladder_in(tmp_path, 12)
    climb_alone(ladder)
    result = ladder.summary()
    last = [trial for trial in result.trials if trial.rungs[-1].epochs == 4]
    points = [tuple(trial.rungs[-1].validation.values()) for trial in last]
    for trial, mine in zip(last, points, strict=True):
        beaten = any(other != mine and all(a <= b for a, b in zip(other, mine, strict=True)) for other in points)
        assert trial.on_front is not beaten
    assert not any(trial.on_front for trial in result.trials if trial not in last)
    assert result.epochs_spent == sum({0: 1, 1: 2, 2: 4}[turn.rung] for turn in ladder.taken())
    result.write(tmp_path / "tune.json")
    assert TuneResult.read(tmp_path / "tune.json") == result


@pytest.mark.parametrize(
    "changed, text",
    [
        ({"trials": 0}, "trials must be 1 or more, got 0"),
        ({"pool": -1}, "pool must be 0 or more, got -1"),
        ({"epochs": -1.0}, "epochs must be 0 or more, got -1.0"),
        ({"proposer": "smac"}, "proposer must be one of random, parego, got 'smac'"),
        ({"schedule": "sha"}, "schedule must be one of asha, hyperband, got 'sha'"),
    ],
)
def test_options_out_of_range_are_refused(changed, text):
    with pytest.raises(ValueError, match=text):
        TuneOptions(**changed)


def test_a_damaged_list_of_turns_is_named(tmp_path):
    (tmp_path / "turns.json").write_text('{"turns": [{"trial": 1}]}')
    with pytest.raises(ValueError, match=r"turns\.json is damaged .*delete it, the same command takes the turns again"):
        ladder_in(tmp_path, 3).taken()
    (tmp_path / "turns.json").write_text('{"turns": [{"trial": 1, "rung": 0}]}')
    with pytest.raises(
        ValueError, match=r"turns\.json does not say what trial 1 is, as an earlier version left it; delete the"
    ):
        ladder_in(tmp_path, 3).taken()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("tune")


@pytest.fixture
def run(dualfair, made):
    if not (made / "run").exists():
        for words in (
            ("faces", "synth", "--out", made / "faces", "--identities", 24, "--images", 4, "--size", 32),
            ("train", "--faces", made / "faces", "--out", made / "run", "--size", 32, "--epochs", 0.5, "--batch", 16),
        ):
            assert dualfair(*words).status == 0
        refused = dualfair("tune", "--run", made / "run")
        assert refused.status == 2 and "has no stage 'search' yet; run 'dualfair search' first" in refused.err
        searched = dualfair("search", "--run", made / "run", "--population", 4, "--generations", 1, "--calibrate", 16)
        assert searched.status == 0
    return made / "run"


TUNE = ("--trials", 4, "--pool", 2, "--epochs", 1, "--first-rung", 0.5)


def test_what_was_killed_goes_on_to_the_same_result(dualfair, run):
    result = dualfair("tune", "--run", run, *TUNE)
    assert result.status == 0, result.err
    assert "Tune: 4 trials out of 2 networks of the search, proposed by parego, rungs of 0.5, 1 epochs" in result.out
    found = json.loads((run / "studies/tune/tune.json").read_text())
    assert [len(found["rungs"]), len(found["trials"])] == [2, 4]
    top = [trial for trial in found["trials"] if trial["on the front"]]
    network, *changes = top[0]["training"].split(",")
    options = " ".join(f"--{change.replace('=', ' ')}" for change in changes)
    assert f"--genotype {network} --epochs 1 {options} --seeds 4" in result.out or len(top) > 1
    report = StudyReport.read(run / "studies/tune/study.json")
    lines = result.out.splitlines()
    assert f"Everything is in {run / 'studies/tune'}" in lines
    assert all(line in lines for line in report.tables[0].lines()) and len(report.tables[0].rows) == 2
    turns = json.loads((run / "studies/tune/turns.json").read_text())["turns"]
    last = Turn(**turns[-1])
    trial = found["trials"][last.trial]
    label = trial["training"].replace(",optimizer", f",epochs={found['rungs'][last.rung]:g},optimizer")
    shutil.rmtree(run / "studies/tune" / label.replace(":", "_"))
    (run / "studies/tune/tune.json").unlink()
    again = dualfair("tune", "--run", run, *TUNE)
    assert again.status == 0, again.err
    assert json.loads((run / "studies/tune/tune.json").read_text()) == found
    other = dualfair("tune", "--run", run, *TUNE, "--seed", 1)
    assert other.status == 2 and "trials' seed = 0 there, 1 here" in other.err


def test_a_trial_that_leaves_the_finite_numbers_is_an_answer(dualfair, run, monkeypatch):
    def diverge(*args, **kwargs):
        raise NonFinite("20 steps in a row were skipped")

    monkeypatch.setattr("dualfair.studies.tune.study.train_standalone", diverge)
    result = dualfair("tune", "--run", run, "--trials", 5, *TUNE[2:])
    assert result.status == 0, result.err
    assert "failed, 20 steps in a row were skipped" in result.out
    trial = TuneResult.read(run / "studies/tune/tune.json").trials[4]
    assert trial.rungs[0].failed and trial.rungs[0].values == (math.inf,) * 4 and not trial.on_front


def test_trials_of_named_networks_and_hyper_parameters_by_the_model(dualfair, run, tmp_path):
    shutil.copytree(run.parent, tmp_path / "copy")
    copy = tmp_path / "copy/run"
    shutil.rmtree(copy / "studies", ignore_errors=True)
    words = ("tune", "--run", copy, "--trials", 12, "--epochs", 0.2, "--first-rung", 0.1, "--proposer", "parego")
    vary = (
        "network=101-606-343-080|343-343-343-343:magface,head=cosface,optimizer=sgd|lion,lion.lr=1e-4..1e-3,batch=8|12"
    )
    refused = dualfair(*words, "--vary", vary.replace("lion", "lyon"))
    assert refused.status == 2 and "optimizer 'lyon' is not one of timm's" in refused.err
    refused = dualfair(*words, "--vary", vary, "--pool", 2)
    assert refused.status == 2 and "networks are named by --vary; leave out --pool" in refused.err
    assert not (copy / "studies/tune/config.json").exists()
    result = dualfair(*words, "--vary", vary, "--schedule", "hyperband")
    assert result.status == 0, result.err
    assert "Tune: 12 trials out of 2 networks, proposed by parego, rungs of 0.1, 0.2 epochs by hyperband" in result.out
    heading = next(line for line in result.out.splitlines() if line.startswith("trial "))
    assert heading.split()[:5] == ["trial", "genotype", "batch", "optimizer", "lr"]
    trials = TuneResult.read(copy / "studies/tune/tune.json").trials
    assert len(trials) == 12 and {trial.changes["batch"] for trial in trials} == {8, 12}
    assert {str(trial.training.network) for trial in trials} == {"101-606-343-080:cosface", "343-343-343-343:cosface"}


def test_a_damaged_configuration_names_the_folder_to_delete(dualfair, run, tmp_path):
    shutil.copytree(run.parent, tmp_path / "copy")
    config = tmp_path / "copy/run/studies/tune/config.json"
    config.write_text(config.read_text().replace('"pool": [', '"pool": 3, "old": ['))
    refused = dualfair("tune", "--run", tmp_path / "copy/run", *TUNE)
    assert refused.status == 2 and "config.json is damaged (pool must be a list" in refused.err
    assert f"delete the folder {config.parent}" in refused.err and refused.err.count("\n") == 1


def test_status_tells_how_far_tuning_is(dualfair, run):
    assert dualfair("tune", "--run", run, "--trials", 4, *TUNE[2:]).status == 0
    told = dualfair("status", run)
    [line] = [line for line in told.out.splitlines() if line.startswith("tune")]
    trainings = len(list((run / "studies/tune").glob("*/seed-0")))
    assert line.split() == ["tune", "finished", str(trainings), "of", str(trainings), "trainings"]
    (run / "studies/tune/study.json").unlink()
    told = dualfair("status", run)
    assert f"tune       interrupted  {trainings} trainings, of how many is not known; left: unknown" in told.out
