"""The check for a machine with a GPU, as far as it goes without one: rows as they come, whatever becomes of a check."""

import json
import subprocess
import sys
from multiprocessing import forkserver

import pytest
from packaging.requirements import Requirement

from tests.cuda import wheels
from tests.cuda.__main__ import main
from tests.cuda.checks import checks_on
from tests.cuda.running import Row, at_least, at_most, run_checks
from tests.support import bad_checks


def rows_of(tmp_path, checks, seconds=120.0):
    passed = run_checks(checks, "cpu", tmp_path / "out", {"device": "a test"}, seconds)
    report = json.loads((tmp_path / "out/cuda.json").read_text())
    assert report["machine"] == {"device": "a test"}
    return passed, [(row["check"], row["what"], row["value"], row["passed"]) for row in report["rows"]]


@pytest.mark.slow
def test_a_crash_and_a_death_are_rows_and_the_rest_is_checked(tmp_path, capfd):
    # One that an earlier test of this process left behind would write to that test's stderr.
    forkserver._forkserver._stop()
    checks = {"a": bad_checks.raises, "b": bad_checks.dies, "c": bad_checks.fine}
    passed, rows = rows_of(tmp_path, checks)
    assert not passed
    assert rows == [
        ("a", "before", 1.0, None),
        ("a", "crashed: ValueError: no such thing", None, False),
        ("b", "before", 2.0, None),
        ("b", "its process ended with status 3", None, False),
        ("c", "on cpu", "yes", True),
    ]
    text = (tmp_path / "out/cuda.txt").read_text()
    assert text.startswith("device: a test\n") and "a: crashed: ValueError: no such thing" in text
    assert "in raises" in capfd.readouterr().err


def test_what_the_time_does_not_suffice_for_is_a_row(tmp_path):
    passed, rows = rows_of(tmp_path, {"c": bad_checks.never_ends, "d": bad_checks.fine}, seconds=0.5)
    assert not passed and rows[-2:] == [
        ("c", "stopped: the time was up", None, False),
        ("d", "not run: the time was up", None, False),
    ]


def test_rows_that_demand_nothing_or_are_met_pass(tmp_path):
    assert rows_of(tmp_path, {"d": bad_checks.fine}) == (True, [("d", "on cpu", "yes", True)])
    assert [at_most("", value, 2).passed for value in (2, 2.1, float("nan"))] == [True, False, False]
    assert [at_least("", value, 2).passed for value in (2, 1.9, float("nan"))] == [True, False, False]
    assert at_most("what", 1.0, 0.5, "s") == Row("what", 1.0, "s", "at most 0.5", False)


def test_wheels_are_all_that_torch_does_not_bring():
    whole = {Requirement(line).name for line in wheels.missing([], "3.12")}
    assert {"pymoo", "moocore", "autograd", "timm", "scipy", "matplotlib", "contourpy"} <= whole
    assert not whole & {"dualfair", "torch", "torchvision", "numpy", "pillow", "jinja2", "sympy", "ruff"}
    assert {Requirement(line).name for line in wheels.missing(["matplotlib"], "3.12")} <= whole - {"contourpy"}


@pytest.mark.slow
def test_all_that_a_cpu_can_do_passes(tmp_path):
    words = [sys.executable, "-m", "tests.cuda", "--device", "cpu", "--out", tmp_path]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads((tmp_path / "cuda.json").read_text())
    assert {"gradients nano", "training own head", "checkpoints", "stages", "generation"} <= report["checks"].keys()
    assert ran.stdout.count("passed") == sum(row["passed"] is True for row in report["rows"]) > 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device", "cpu", "--only", "speed"), "unknown check 'speed'; choose from gradients nano, training"),
        (("--device", "cuda:99"), "device 'cuda:99' is not available"),
    ],
)
def test_what_cannot_be_checked_is_refused_in_a_line(tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.setattr(sys, "argv", ["cuda", "--out", str(tmp_path / "out"), *words])
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_gpu_is_asked_for_every_measure_of_full_size():
    names = {*checks_on("cuda")}
    assert names >= {"gradients small", "step nano x 16", "step small x 128", "step paper x 256"}
    assert names >= {"step nano 101 x 16", "step paper 101 x 64", "scoring", "generation", "ranks", "memory", "stages"}
