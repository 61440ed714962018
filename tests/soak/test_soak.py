"""The soak can fail: what differs, is lost or is done twice is found and named. And it kills what it says it kills."""

import dataclasses
import hashlib
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.soak.soak
from dualfair.evolution.archive import Archive
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.training.checkpoint import Record
from tests.soak.killing import START_UP, WRITING, Attempt, Moment, draw, start
from tests.soak.run_comparison import asked_and_known, differences, evaluations, finished_work, lost
from tests.soak.soak import Size, command, dealt, lines, soak

ROOT = Path(__file__).parents[2]
PLACE = "run/retrain/101-101_cosface/seed-0"
RESULT = {"genotype": "101-101:cosface", "seed": 0, "seconds": 8.5, "test": {"error": 0.25}}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_checkpoint(folder, content, sha256=None):
    write(folder / "step-00000432.pt", content)
    record = Record(
        step=432,
        steps=432,
        sha256=sha256 or hashlib.sha256(content.encode()).hexdigest(),
        bytes=len(content),
        seconds=60.0,
        loss=3.2,
        configuration="c",
        device="cpu",
        threads=1,
        ranks=1,
        versions={},
    )
    write(folder / "step-00000432.json", json.dumps(dataclasses.asdict(record)))


def write_scores(folder, values):
    path = folder / "run/search/scores.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with Archive(path, measurement="by hand", columns=("error", "disparity"), objectives=2) as archive:
        for genotype, pair in values.items():
            archive.add([Genotype.parse(genotype)], np.array([pair]), 0.1)


SCORES = {"101-101:cosface": (0.25, 1.5), "202-202:arcface": (0.5, 1.25)}


@pytest.fixture
def folder(tmp_path):
    """What a soak leaves in one folder, by hand."""
    folder = tmp_path / "undisturbed"
    write(folder / "faces/manifest.csv", "path,identity,group\na,b,c\n")
    write_checkpoint(folder / "run/train", "weights")
    write_checkpoint(folder / PLACE, "standalone weights")
    write_scores(folder, SCORES)
    write(folder / "run/search/front.csv", "genotype,error,disparity\n101-101:cosface,0.25,1.5\n")
    write(folder / PLACE / "result.json", json.dumps(RESULT))
    write(folder / "run/correlate/ranking.json", json.dumps({"networks": ["101-101:cosface"], "seeds": 1}))
    write(folder / "run/log.txt", "Searched: 12 genotypes, 3 of them known before; done.\n")
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "disturbed")


def rewritten(content):
    return lambda path: path.write_text(content)


def test_a_copy_differs_in_nothing(folder, copy):
    assert differences(folder, copy) == []


@pytest.mark.parametrize("name", ["faces/manifest.csv", "run/search/front.csv", "run/correlate/ranking.json"])
def test_a_file_with_another_value_or_none_is_named(folder, copy, name):
    path = copy / name
    path.write_text(path.read_text().replace("1", "2").replace("a", "x"))
    (said,) = differences(folder, copy)
    assert said.startswith(f"{name} differs: ")
    path.unlink()
    assert differences(folder, copy) == [f"{name} is missing"]
    assert differences(copy, folder) == [f"{name} is there, but not in the undisturbed run"]


def test_a_result_may_differ_in_its_seconds_and_in_nothing_else(folder, copy):
    write(copy / PLACE / "result.json", json.dumps({**RESULT, "seconds": 99.0}))
    assert differences(folder, copy) == []
    write(copy / PLACE / "result.json", json.dumps({**RESULT, "test": {"error": 0.25000000000000006}}))
    (said,) = differences(folder, copy)
    assert said.startswith(f"result in {PLACE} differs") and "0.25000000000000006" in said


@pytest.mark.parametrize("place", ["run/train", PLACE])
def test_other_weights_and_a_record_that_does_not_fit_are_named(folder, copy, place):
    write_checkpoint(copy / place, "Weights")
    assert any(said.startswith(f"last checkpoint in {place} differs") for said in differences(folder, copy))
    content = (folder / place / "step-00000432.pt").read_text()
    write_checkpoint(copy / place, content, sha256="0" * 64)
    (said,) = differences(folder, copy)
    assert said.startswith(f"last checkpoint in {place} differs") and said.endswith(f"its record says {'0' * 64} here")


def test_an_evaluation_with_another_value_one_too_few_and_one_too_many_are_named(folder, copy):
    write_scores(copy, {**SCORES, "202-202:arcface": (0.5, 1.2500000000000002)})
    (said,) = differences(folder, copy)
    assert said.startswith("evaluation of 202-202:arcface by measurement") and "1.2500000000000002" in said
    write_scores(copy, {"101-101:cosface": (0.25, 1.5)})
    (said,) = differences(folder, copy)
    assert said.startswith("evaluation of 202-202:arcface") and said.endswith("is missing")
    assert differences(copy, folder)[0].endswith("is there, but not in the undisturbed run")


@pytest.mark.parametrize(
    "name", ["run/train/step-00000433.pt.tmp", "run/lock.json", "run/train/step-00000400.pt.damaged"]
)
def test_what_a_killed_writer_left_is_named(folder, copy, name):
    write(copy / name, "")
    assert differences(folder, copy) == [f"{name} was left behind"]


def test_finished_work_that_is_gone_or_done_again_is_named(folder):
    before = finished_work(folder)
    assert lost(before, finished_work(folder)) == [] == lost({}, before)
    with sqlite3.connect(folder / "run/search/scores.sqlite") as connection:
        connection.execute("UPDATE evaluations SET seconds = 7 WHERE genotype LIKE '101%'")
        connection.execute("DELETE FROM evaluations WHERE genotype LIKE '202%'")
    connection.close()
    write(folder / PLACE / "result.json", json.dumps({**RESULT, "seconds": 9.0}))
    said = lost(before, finished_work(folder))
    assert len(said) == 3
    assert said[0].startswith("evaluation of 202-202:arcface") and said[0].endswith("is gone after a kill")
    assert said[1].startswith("evaluation of 101-101:cosface") and said[1].endswith("was written again")
    assert said[2] == f"{PLACE.removeprefix('./')}/result.json was written again"


def test_the_archive_of_a_killed_writer_is_read_and_left_as_it_is(tmp_path):
    (tmp_path / "run/search").mkdir(parents=True)
    code = (
        "import os, signal, numpy as np\n"
        "from dualfair.evolution.archive import Archive\n"
        "from dualfair.supernet.genotype import Genotype\n"
        f"archive = Archive({str(tmp_path / 'run/search/scores.sqlite')!r}, measurement='m', columns=('a', 'b'))\n"
        "archive.add([Genotype.parse('101:cosface')], np.ones((1, 2)), 0.25)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == -signal.SIGKILL
    before = {path.name: path.read_bytes() for path in (tmp_path / "run/search").iterdir()}
    assert "scores.sqlite-wal" in before
    ((name, (done, values)),) = evaluations(tmp_path).items()
    assert name.startswith("101:cosface") and done == "place 1, 0.25 s" and "[1.0, 1.0]" in values
    assert {path.name: path.read_bytes() for path in (tmp_path / "run/search").iterdir()} == before


def test_an_archive_that_was_killed_before_it_was_set_up_holds_nothing(tmp_path):
    (tmp_path / "run/search").mkdir(parents=True)
    (tmp_path / "run/search/scores.sqlite").write_bytes(b"")
    assert evaluations(tmp_path) == {}


def test_the_figure_of_known_evaluations_is_that_of_the_last_search(folder):
    assert asked_and_known(folder) == (12, 3)
    with open(folder / "run/log.txt", "a") as log:
        log.write("Searched: 1,200 genotypes, 1,100 of them known before; done.\n")
    assert asked_and_known(folder) == (1200, 1100)
    (folder / "run/log.txt").unlink()
    assert asked_and_known(folder) is None


FACES = ["faces", "synth", "--out", "faces", "--identities", "12", "--images", "3", "--size", "32"]


def test_a_process_is_killed_at_its_moment_and_says_what_it_was_doing(tmp_path):
    early = start("faces", FACES, tmp_path / "early", Moment(0.05))
    assert early.killed and early.doing == START_UP and early.work == 0.0
    late = start("faces", FACES, tmp_path / "late", Moment(0.0, working=True, delay=0.0))
    assert late.killed and late.doing == WRITING and late.seconds >= late.start_up > early.seconds
    whole = start("faces", FACES, tmp_path / "late")
    assert whole.exit_status == 0 and not whole.killed and not whole.half_written
    assert 0 < whole.work < whole.seconds - whole.start_up + 0.05
    assert "36 images of 12 people" in (tmp_path / "late/faces.log").read_text()


@given(
    seed=st.integers(0, 2**32),
    start_up=st.floats(0.1, 20),
    pace=st.floats(0, 30),
    allowed=st.floats(0.3, 60),
)
def test_moments_lie_in_start_up_and_in_the_work_that_is_left(seed, start_up, pace, allowed):
    moment = draw(random.Random(seed), start_up, pace, allowed)
    assert 0 <= moment.after <= (max(2 * pace, 0.5) if moment.working else start_up)
    assert moment.delay is None or (moment.working and 0 <= moment.delay <= 0.05)


def test_moments_keep_to_the_time_allowed_and_prefer_changes_when_there_is_enough():
    rng = random.Random(0)

    def last(moment):
        return moment.after + (4.0 if moment.working else 0.0)

    for allowed in (1.0, 3.0, 5.0):
        drawn = [draw(rng, 4.0, 1.0, allowed) for _ in range(4000)]
        assert sum(map(last, drawn)) / len(drawn) < 1.05 * allowed
    drawn = [draw(rng, 4.0, 1.0, 60.0) for _ in range(4000)]
    assert sum(moment.delay is not None for moment in drawn) / len(drawn) == pytest.approx(0.5, abs=0.05)


@given(st.integers(0, 10_000))
def test_kills_are_dealt_to_all_stages_and_add_up(kills):
    shares = dealt(kills)
    assert sum(shares) == kills and min(shares) >= 0 and len(shares) == len(Size().commands())


class Stage:
    """Stands in for real processes: a kill ends a start, otherwise the stage's files appear; `spoil` changes them."""

    def __init__(self, spoil=lambda *_: None, exit_status=lambda *_: 0, killed=lambda *_: None):
        self.spoil, self.exit_status, self.killed = spoil, exit_status, killed

    def __call__(self, stage, words, folder, moment=None):
        if moment:
            self.killed(folder, stage)
        if moment is None:
            if stage == "search":
                write_scores(folder, SCORES)
                write(folder / "run/search/front.csv", "genotype,error\n101-101:cosface,0.25\n")
                write(folder / "run/log.txt", "Searched: 2 genotypes, 0 of them known before; done.\n")
            self.spoil(folder, stage)
        status = -signal.SIGKILL if moment else self.exit_status(folder, moment)
        return Attempt(stage, 2.0, 1.0, 1.0, status, START_UP, False)


def test_a_soak_in_which_all_is_equal_counts_its_kills(monkeypatch, tmp_path):
    monkeypatch.setattr(tests.soak.soak, "start", Stage())
    report = soak(tmp_path, kills=20)
    assert report["nothing_lost"] and report["differences"] == []
    assert report["kills"] == 20 and report["starts"] == 25
    assert sum(sum(counts.values()) for counts in report["killed"].values()) == 20
    assert report["work_seconds_repeated"] == 20
    assert "nothing lost, nothing done twice" in lines(report)[-1]


def spoil_front(folder, stage):
    if folder.name == "disturbed" and stage == "search":
        write(folder / "run/search/front.csv", "genotype,error\n101-101:cosface,0.5\n")


def spoil_log(folder, stage):
    if folder.name == "disturbed" and stage == "search":
        write(folder / "run/log.txt", "Searched: 2 genotypes, 1 of them known before; done.\n")


def score_anew(folder, stage):
    if stage == "search":
        write_scores(folder, dict(reversed(SCORES.items())) if evaluations(folder) else SCORES)


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (Stage(killed=score_anew), "was written again"),
        (Stage(spoil=spoil_front), "run/search/front.csv differs"),
        (Stage(spoil=spoil_log), "search: 0 evaluations were in the archive, its log says (2, 1)"),
        (Stage(exit_status=lambda folder, _: 2 * (folder.name == "disturbed")), "exit status 2 after 1 kills"),
    ],
)
def test_a_soak_that_finds_a_difference_says_so_and_exits_with_1(monkeypatch, tmp_path, capsys, stage, said):
    monkeypatch.setattr(tests.soak.soak, "start", stage)
    with pytest.raises(SystemExit) as leaving:
        command.main(["--kills", "20", "--out", str(tmp_path / "out")])
    assert leaving.value.code == 1
    assert said in capsys.readouterr().out
    report = json.loads((tmp_path / "out/soak.json").read_text())
    assert not report["nothing_lost"] and said in report["differences"][0]


def test_a_stage_that_fails_undisturbed_is_no_verdict_on_kills(monkeypatch, tmp_path):
    monkeypatch.setattr(tests.soak.soak, "start", Stage(exit_status=lambda *_: 2))
    with pytest.raises(ValueError, match="faces failed undisturbed"):
        soak(tmp_path)


def test_a_folder_with_anything_in_it_is_not_soaked(tmp_path, capsys):
    write(tmp_path / "out/run.txt", "")
    with pytest.raises(SystemExit) as leaving:
        command.main(["--out", str(tmp_path / "out")])
    assert leaving.value.code == 2 and "is not empty" in capsys.readouterr().err


@pytest.mark.slow
def test_three_kills_of_real_processes_change_nothing(tmp_path):
    size = Size(people=24, images=6, epochs=2.0, population=4, generations=2, controls=1, retrain_epochs=1.0)
    report = soak(tmp_path, kills=3, minutes=0.8, size=size)
    assert report["differences"] == [] and report["kills"] == 3
