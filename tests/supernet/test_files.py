import json
import os
import subprocess
import sys
import threading

import pytest

from dualfair.supernet import files as atomic
from dualfair.supernet.files import append_line, remove_temporaries, replacing, write_bytes, write_csv, write_json


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_the_new_content_comes_whole_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "result.json"
    for content in (b"old", b"newer"):
        write_bytes(path, content)
        assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_a_file_knows_its_hash_while_it_is_written(tmp_path):
    import hashlib

    with replacing(tmp_path / "file") as file:
        for part in (b"one", b"", bytearray(b"two"), memoryview(b"three")):
            file.write(part)
        assert file.sha256 == hashlib.sha256(b"onetwothree").hexdigest() and file.written == 11
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_bytes() == b"onetwothree"


@pytest.mark.parametrize("fault", ["write", "fsync", "replace"])
def test_a_failure_at_any_point_keeps_the_old_content(tmp_path, monkeypatch, fault):
    path = tmp_path / "result.json"
    path.write_bytes(b"old")

    def broken(*_):
        raise OSError("disk on fire")

    if fault != "write":
        monkeypatch.setattr(atomic.os, fault, broken)
    with pytest.raises(OSError, match="disk on fire"), replacing(path) as file:
        file.write(b"half of the ne")
        if fault == "write":
            raise OSError("disk on fire")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


LIMITED = """
import resource, sys
from pathlib import Path
from dualfair.supernet.files import NoRoom, append_line, write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
folder = Path(sys.argv[1])
for write in (lambda: write_bytes(folder / "file", bytes(5000)), lambda: append_line(folder / "log", "x" * 5000)):
    try:
        write()
    except NoRoom as error:
        print(error)
"""


def test_without_room_the_old_content_stays_and_the_bytes_are_told(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    child = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=True)
    file, log = child.stdout.splitlines()
    assert f"{tmp_path}/file cannot be written (File too large): about 5,000 bytes are needed, " in file
    assert f" are free in {tmp_path}; make room and run the same command again" in file
    assert "log cannot be written" in log
    assert (tmp_path / "file").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "log"]


def test_a_full_device_is_told(tmp_path):
    with pytest.raises(OSError, match="No space left on device"):
        write_bytes(tmp_path.__class__("/dev/full"), b"something")


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    write_bytes(path, b"through")
    reader.join(timeout=10)
    assert read == [b"through"] and path.is_fifo()


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    for name in ("a.json", "a.json.tmp", "b.pt.tmp", "tmp"):
        (tmp_path / name).write_text("")
    remove_temporaries(tmp_path)
    remove_temporaries(tmp_path / "missing")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "tmp"]


def test_json_is_strict_and_numbers_that_it_lacks_are_written_by_name(tmp_path):
    value = {"disparity": float("inf"), "rows": [(1.5, float("nan")), {"low": -float("inf")}], "n": 3, "none": None}
    write_json(tmp_path / "result.json", value)
    read = json.loads((tmp_path / "result.json").read_text(), parse_constant=refuse)
    assert read == {"disparity": "inf", "rows": [[1.5, "nan"], {"low": "-inf"}], "n": 3, "none": None}
    assert float(read["disparity"]) == float("inf")


def test_a_csv_keeps_commas_quotes_and_line_breaks(tmp_path):
    import csv

    rows = [["name", "value"], ['a, "b"', "1"], ["two\nlines", "é"], ["a\rb\r\n", "=1;|\t"], ["\r\n", "-"]]
    write_csv(tmp_path / "table.csv", rows)
    with open(tmp_path / "table.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == rows


def test_a_line_is_never_glued_to_one_that_was_cut_short(tmp_path):
    path = tmp_path / "log.txt"
    append_line(path, "one")
    path.write_text(path.read_text() + "half a li")
    append_line(path, "two")
    append_line(path, "")
    assert path.read_text() == "one\nhalf a li\ntwo\n\n"
