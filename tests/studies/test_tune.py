"""Networks and hyper-parameters by successive halving: trials, turns shared by several workers, and the command."""

import json
import math
import shutil
import threading
import time

import numpy as np
import pytest

from dualfair.evolution.halving import Rungs, Turn
from dualfair.runs.records.study import StudyReport
from dualfair.studies.tune import TuneOptions
from dualfair.studies.tune.study import Ladder, TuneLayout
from dualfair.studies.tune.trials import LEARNING_RATES, TuneResult, draw_trial
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.trainer import NonFinite
from tests.support.records import scores, training_result

SPACE = dpn_space("dpn81-shared", 4)
POOL = tuple(map(SPACE.parse, ("101:cosface", "343:arcface", "868:cosface")))


def test_trials_cover_heads_optimizers_and_rates_as_the_published_study_did():
    trials = [draw_trial(number, 0, SPACE, POOL) for number in range(300)]
    assert {trial.genotype.head for trial in trials} == {"arcface", "cosface", "magface"}
    assert {trial.genotype.blocks for trial in trials} == {genotype.blocks for genotype in POOL}
    assert {trial.optimizer for trial in trials} == {"sgd", "adam", "adamw"}
    for optimizer, (low, high) in LEARNING_RATES.items():
        rates = np.array([trial.lr for trial in trials if trial.optimizer == optimizer])
        assert low <= rates.min() * 1.005 and rates.max() <= high * 1.005
        middle = math.exp((math.log(low) + math.log(high)) / 2)
        assert 0.3 < (rates < middle).mean() < 0.7


def test_a_trial_depends_on_its_number_and_the_seed_alone():
    assert draw_trial(7, 1, SPACE, POOL) == draw_trial(7, 1, SPACE, POOL)
    assert len({draw_trial(number, 1, SPACE, POOL) for number in range(20)}) == 20
    assert draw_trial(7, 1, SPACE, POOL) != draw_trial(7, 2, SPACE, POOL)


def test_without_a_pool_trials_come_from_the_whole_space():
    assert len({draw_trial(number, 0, SPACE, ()).genotype for number in range(60)}) > 40


def ladder_in(folder, trials, seed=0):
    rungs = Rungs(first=1, last=4, eta=2)
    return Ladder(TuneLayout(folder), SPACE, POOL, rungs, TuneOptions(trials=trials, seed=seed, pool=3))


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


def test_turns_of_dead_workers_are_taken_again(tmp_path):
    whole = climb_alone(ladder_in(_made(tmp_path / "whole"), 8))
    killed = ladder_in(_made(tmp_path / "killed"), 8)
    for _ in range(6):
        turn = killed.take()
        finish(killed, turn)
    lost = killed.take()
    again = ladder_in(tmp_path / "killed", 8)
    again.forget_unfinished()
    assert lost not in again.taken()
    assert climb_alone(again) == whole


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
    ],
)
def test_options_out_of_range_are_refused(changed, text):
    with pytest.raises(ValueError, match=text):
        TuneOptions(**changed)


def test_a_damaged_list_of_turns_is_named(tmp_path):
    (tmp_path / "turns.json").write_text('{"turns": [{"trial": 1}]}')
    with pytest.raises(ValueError, match=r"turns\.json is damaged .*delete it, the same command takes the turns again"):
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
    assert "Tune: 4 trials out of 2 networks of the search, rungs of 0.5, 1 epochs, one in 2 goes on" in result.out
    found = json.loads((run / "studies/tune/tune.json").read_text())
    assert [len(found["rungs"]), len(found["trials"])] == [2, 4]
    top = [trial for trial in found["trials"] if trial["on the front"]]
    assert f"--genotype {top[0]['genotype']}" in result.out or len(top) > 1
    report = StudyReport.read(run / "studies/tune/study.json")
    lines = result.out.splitlines()
    assert f"Everything is in {run / 'studies/tune'}" in lines
    assert all(line in lines for line in report.tables[0].lines()) and len(report.tables[0].rows) == 2
    turns = json.loads((run / "studies/tune/turns.json").read_text())["turns"]
    last = Turn(**turns[-1])
    trial = found["trials"][last.trial]
    label = (
        f"{trial['genotype']},epochs={found['rungs'][last.rung]:g},optimizer={trial['optimizer']},lr={trial['lr']:g}"
    )
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
