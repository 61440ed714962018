"""Two processes on one run directory, and locks of processes that are gone."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from dualfair.runs.directory import Holder, holder, locked, started

HOLD = """
import sys, time
from pathlib import Path
from dualfair.runs.directory import locked
with locked(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def another(tmp_path):
    """A process that holds the lock `tmp_path / "run/lock.json"`."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "run/lock.json"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.wait()


def test_the_second_process_refuses_and_names_host_process_and_command(tmp_path, another):
    lock = tmp_path / "run/lock.json"
    with pytest.raises(ValueError, match="is in use by process") as refused, locked(lock, print):
        pass
    assert f"process {another.pid} on host {socket.gethostname()} (-c {lock})" in str(refused.value)
    assert "wait for it or choose another directory" in str(refused.value)
    assert holder(lock).pid == another.pid


def test_a_lock_of_a_killed_process_is_taken_over_and_told(tmp_path, another):
    os.kill(another.pid, signal.SIGKILL)
    another.wait()
    lock = tmp_path / "run/lock.json"
    assert lock.exists() and holder(lock) is None
    lines = []
    with locked(lock, lines.append):
        assert holder(lock).pid == os.getpid()
    assert lines == [f"A stale lock was taken over: {lock}, process {another.pid} is gone"]
    assert not lock.exists()


def test_another_process_of_the_same_number_is_not_the_holder(tmp_path, another):
    """After a restart of the machine numbers are dealt again: what counts is when the process was started."""
    mine = Holder(socket.gethostname(), os.getpid(), started(os.getpid()), "x")
    assert mine.alive and mine.here
    assert not Holder(socket.gethostname(), os.getpid(), started(another.pid), "x").alive
    assert not Holder(socket.gethostname(), 2**22 + 1, "", "x").alive


def test_a_lock_of_another_host_counts_and_the_way_out_is_told(tmp_path):
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 7, "started": "b/1", "command": "dualfair"}))
    with pytest.raises(ValueError, match="process 7 on host elsewhere") as refused, locked(lock, print):
        pass
    assert f"if it no longer runs, delete {lock}" in str(refused.value)
    assert holder(lock).host == "elsewhere" and lock.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": 3}', '{"host": "h", "pid": "3", "started": "", "command": ""}']
)
def test_a_lock_that_names_nobody_is_stale(tmp_path, text):
    lock = tmp_path / "lock.json"
    lock.write_text(text)
    assert holder(lock) is None
    with locked(lock, lambda _: None):
        assert holder(lock).pid == os.getpid()


def test_the_same_process_cannot_enter_twice(tmp_path):
    lock = tmp_path / "lock.json"
    with locked(lock, print):
        with pytest.raises(ValueError, match=f"in use by process {os.getpid()}"), locked(lock, print):
            pass
        assert lock.exists()


RACE = """
import sys, time
from pathlib import Path
from dualfair.runs.directory import locked
lock, turns = Path(sys.argv[1]), 0
while turns < 40:
    try:
        with locked(lock, lambda _: None):
            inside = lock.with_name("inside")
            inside.touch(exist_ok=False)
            time.sleep(0.001)
            inside.unlink()
            turns += 1
    except ValueError:
        pass
"""


def test_never_two_at_a_time_in_a_race(tmp_path):
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, tmp_path / "lock.json"], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for racer in racers:
        _, error = racer.communicate(timeout=60)
        assert racer.returncode == 0, error


def test_a_zombie_is_gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 20
    while started(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert started(child.pid) == ""
    child.wait()


def test_a_missing_file_inside_is_told_as_it_is_and_the_lock_is_let_go(tmp_path):
    lock = tmp_path / "lock.json"
    with pytest.raises(FileNotFoundError, match="nowhere"), locked(lock, print):
        (tmp_path / "nowhere").read_text()
    assert not lock.exists()
