import os
import threading

import pytest

from supernet import atomic
from supernet.atomic import write_atomically


def test_the_new_content_comes_whole_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "result.json"
    for content in (b"old", b"newer"):
        write_atomically(path, lambda file, content=content: file.write(content))
        assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("fault", ["write", "fsync", "replace"])
def test_a_failure_at_any_point_keeps_the_old_content(tmp_path, monkeypatch, fault):
    path = tmp_path / "result.json"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"half of the ne")
        if fault == "write":
            raise OSError("disk full")

    def broken(*_):
        raise OSError("disk full")

    if fault != "write":
        monkeypatch.setattr(atomic.os, fault, broken)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    write_atomically(path, lambda file: file.write(b"through"))
    reader.join(timeout=10)
    assert read == [b"through"] and path.is_fifo()
