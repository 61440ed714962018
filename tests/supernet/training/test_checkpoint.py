"""Checkpoints that are truncated, altered, half written, or of another training."""

import hashlib
import json
import subprocess
import sys
from importlib.metadata import version

import pytest
import torch

from dualfair.supernet.training.checkpoint import (
    checkpoints,
    load_checkpoint,
    newest_intact,
    read_record,
    save_checkpoint,
    verified,
)

STATE = {"weights": torch.arange(1000.0), "note": "x"}


@pytest.fixture
def folder(tmp_path, about):
    for step in (1, 2):
        save_checkpoint(tmp_path, {**STATE, "step": step}, **about(step, 3))
    return tmp_path


def newest_of(folder, **how):
    lines = []
    result = newest_intact(folder, lines.append, **how)
    return result and result[0].name, lines


def test_a_record_says_what_the_checkpoint_is(folder):
    record = verified(folder / "step-00000002.pt")
    assert (record.step, record.steps, record.finished, record.seconds) == (2, 3, False, 1.5)
    assert record.sha256 == hashlib.sha256((folder / "step-00000002.pt").read_bytes()).hexdigest()
    assert record.bytes == (folder / "step-00000002.pt").stat().st_size
    assert record.versions["torch"] == version("torch")
    assert torch.equal(load_checkpoint(folder / "step-00000002.pt")["weights"], STATE["weights"])


def test_equal_states_are_equal_files(tmp_path, about):
    records = [
        verified(save_checkpoint(tmp_path / name, {"a": torch.ones(5), "b": [1, "x"]}, **about(1, 1))) for name in "ab"
    ]
    assert records[0].sha256 == records[1].sha256


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda content: content[: len(content) // 2], "bytes instead of"),
        (lambda content: b"", "it has 0 bytes instead of"),
        (lambda content: content[:2000] + bytes([content[2000] ^ 1]) + content[2001:], "SHA-256 is not the one"),
    ],
)
def test_the_newest_checkpoint_damaged_the_one_before_is_used(folder, fault, reason):
    newest = folder / "step-00000002.pt"
    newest.write_bytes(fault(newest.read_bytes()))
    name, lines = newest_of(folder)
    assert name == "step-00000001.pt" and len(lines) == 1
    assert str(newest) in lines[0] and reason in lines[0] and "passed over" in lines[0]
    name, lines = newest_of(folder, set_aside=True)
    assert name == "step-00000001.pt" and "set aside as step-00000002.pt.damaged" in lines[0]
    assert newest_of(folder) == ("step-00000001.pt", [])
    assert (folder / "step-00000002.pt.damaged").exists() and (folder / "step-00000002.json.damaged").exists()


@pytest.mark.parametrize("place", range(0, 5900, 590))
def test_any_flipped_byte_is_found(folder, place):
    newest = folder / "step-00000002.pt"
    content = bytearray(newest.read_bytes())
    content[place % len(content)] ^= 0x10
    newest.write_bytes(content)
    assert newest_of(folder)[0] == "step-00000001.pt"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"step": 2}', "\x00"])
def test_a_damaged_or_missing_record_makes_a_damaged_checkpoint(folder, text):
    (folder / "step-00000002.json").write_text(text)
    name, lines = newest_of(folder)
    assert name == "step-00000001.pt" and "its record step-00000002.json is missing or damaged" in lines[0]
    (folder / "step-00000002.json").unlink()
    assert newest_of(folder)[0] == "step-00000001.pt"


def test_a_record_with_values_of_another_kind_is_damaged(folder):
    path = folder / "step-00000002.json"
    for change in ({"step": "2"}, {"versions": None}, {"bytes": []}):
        path.write_text(json.dumps({**json.loads((folder / "step-00000001.json").read_text()), **change}))
        with pytest.raises(ValueError, match="is damaged"):
            read_record(folder / "step-00000002.pt")


def test_nothing_intact_is_nothing(folder, tmp_path):
    for path in checkpoints(folder):
        path.write_bytes(b"")
    name, lines = newest_of(folder, set_aside=True)
    assert name is None and len(lines) == 2
    assert newest_of(folder / "missing") == (None, [])


def test_leftovers_of_a_killed_writer_are_removed_by_the_writer_only(folder):
    (folder / "step-00000003.pt.tmp").write_bytes(b"half")
    assert newest_of(folder)[0] == "step-00000002.pt" and (folder / "step-00000003.pt.tmp").exists()
    assert newest_of(folder, set_aside=True)[0] == "step-00000002.pt"
    assert not (folder / "step-00000003.pt.tmp").exists()


def test_a_record_whose_checkpoint_never_came_does_no_harm(folder, about):
    (folder / "step-00000003.json").write_text((folder / "step-00000002.json").read_text())
    assert newest_of(folder, set_aside=True) == ("step-00000002.pt", [])
    save_checkpoint(folder, STATE, **about(4, 4))
    assert not (folder / "step-00000003.json").exists()


def test_the_last_two_and_the_one_with_the_least_loss_are_kept(tmp_path, about):
    for step, loss in enumerate((None, 3.0, 2.0, 2.5, 2.0, None), 1):
        save_checkpoint(tmp_path, STATE, **about(step, 6, loss=loss))
    assert [path.name for path in checkpoints(tmp_path)] == [f"step-{step:08d}.pt" for step in (3, 5, 6)]
    assert len(list(tmp_path.iterdir())) == 6


FULL = """
import resource, sys, torch
from pathlib import Path
from dualfair.supernet.files import NoRoom
from dualfair.supernet.training.checkpoint import save_checkpoint
folder, *limits = sys.argv[1:]
about = dict(step=3, steps=3, seconds=0.0, loss=None, configuration="", device="cpu", threads=1, ranks=1)
whole = {path: path.read_bytes() for path in Path(folder).iterdir()}
for limit in map(int, limits):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        save_checkpoint(Path(folder), {"weights": torch.zeros(100000)}, **about)
    except NoRoom as error:
        print(error)
    assert {path: path.read_bytes() for path in Path(folder).iterdir()} == whole, limit
"""


def test_without_room_the_old_checkpoints_are_whole_and_the_bytes_are_told(folder):
    limits = ("0", "100", "5000", "400500")
    child = subprocess.run([sys.executable, "-c", FULL, folder, *limits], capture_output=True, text=True)
    assert (child.returncode, child.stderr) == (0, "")
    lines = child.stdout.splitlines()
    assert len(lines) == len(limits)
    for line in lines:
        assert "step-00000003.pt cannot be written (File too large): about 40" in line and "are free in" in line


def test_a_crafted_checkpoint_runs_no_code(tmp_path, about):
    import os

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"network": Evil()}, tmp_path / "step-00000001.pt")
    with pytest.raises(ValueError, match=r"step-00000001.pt cannot be read \(.*\)"):
        load_checkpoint(tmp_path / "step-00000001.pt")
    assert not (tmp_path / "owned").exists()


def test_records_are_read_without_torch(folder):
    code = (
        "import sys; from pathlib import Path; from dualfair.supernet.training.checkpoint import checkpoints, verified;"
        "print(verified(checkpoints(Path(sys.argv[1]))[-1]).step, 'torch' in sys.modules)"
    )
    child = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert child.stdout.split() == ["2", "False"]
