"""FAULTS of the archive's file, injected for real: cut, flipped, full, read-only."""

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from dualfair.evolution.archive import Archive
from dualfair.evolution.storage import glance
from dualfair.supernet.genotype import Genotype

ROOT = Path(__file__).parents[2]
NAME = "scores.sqlite"
COLUMNS = ("error", "disparity", "error of a")


def copied(folder, tmp_path, name="copy"):
    shutil.rmtree(tmp_path / name, ignore_errors=True)
    shutil.copytree(folder, tmp_path / name)
    return tmp_path / name / NAME


def parts(path):
    return [part for part in (path, Path(f"{path}-wal")) if part.is_file()]


def damage(path, rng):
    """Cut a file off, flip a bit, or overwrite some bytes; half of the time near its beginning."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data) if rng.random() < 0.5 else min(200, len(data)))
    kind = rng.choice(["cut", "flip", "flip", "zero", "noise"])
    if kind == "cut":
        del data[at:]
    elif kind == "flip":
        data[at] ^= 1 << rng.randrange(8)
    else:
        length = len(data[at : at + 300])
        data[at : at + length] = bytes(length) if kind == "zero" else rng.randbytes(length)
    path.write_bytes(data)
    return kind, at


def check_any_damage(written, read_both, tmp_path, seeds):
    for seed in seeds:
        rng = random.Random(seed)
        path = copied(written.killed if rng.random() < 0.5 else written.closed, tmp_path)
        victim = rng.choice(parts(path))
        kind, at = damage(victim, rng)
        before = victim.read_bytes()
        try:
            evaluations, repairs = read_both(path)
        except (OSError, ValueError) as error:
            assert type(error) in (OSError, ValueError) and "\n" not in str(error) and NAME in str(error)
            assert victim.read_bytes() == before, "a file that is not repaired has to stay as it is"
            assert at < 100, "only the first bytes make an archive unrecognisable"
            continue
        # What is left of a log that was damaged is for SQLite to say, and a file without a byte says nothing.
        assert repairs or len(evaluations) == len(written.truth) or victim != path or len(before) <= 1, (seed, kind, at)
        for sentence in repairs:
            assert "scored again" in sentence and "\n" not in sentence
        assert read_both(path) == (evaluations, []), "what is repaired stays repaired"


def test_no_damage_yields_a_value_that_was_not_written_nor_anything_but_one_line(written, read_both, tmp_path):
    check_any_damage(written, read_both, tmp_path, range(60))


@pytest.mark.slow
def test_no_damage_of_hundreds_yields_a_value_that_was_not_written(written, read_both, tmp_path):
    check_any_damage(written, read_both, tmp_path, range(1000, 1500))


def test_a_log_as_a_killed_process_leaves_it_is_no_damage(written, read_both, tmp_path):
    assert read_both(copied(written.killed, tmp_path)) == (written.truth, [])


def test_a_torn_log_loses_nothing_but_what_came_behind_the_tear(written, read_both, tmp_path):
    path = copied(written.killed, tmp_path)
    whole = Path(f"{path}-wal").read_bytes()
    counts = []
    for size in range(0, len(whole), 4099):
        path = copied(written.killed, tmp_path)
        Path(f"{path}-wal").write_bytes(whole[:size])
        evaluations, repairs = read_both(path)
        assert repairs == [] and list(evaluations) == list(written.truth)[: len(evaluations)]
        counts.append(len(evaluations))
    assert counts == sorted(counts) and counts[0] == 25 and counts[-1] > 45


@pytest.mark.parametrize("whole", range(8, 28, 5))
def test_a_file_that_was_cut_off_is_told_and_works_with_what_is_left(written, read_both, tmp_path, whole):
    path = copied(written.closed, tmp_path)
    data = path.read_bytes()
    assert len(data) == 7 * 4096
    path.write_bytes(data[: whole * 1024 + 7])
    evaluations, repairs = read_both(path)
    assert len(repairs) == 1 and f"was damaged: {len(evaluations)} evaluation" in repairs[0]
    assert f"{path}.damaged" in repairs[0]
    # The evaluations fill three pages at the end, in order.
    assert (len(evaluations) > 0) == (whole > 20) and set(evaluations) < set(written.truth)


def spoil_schema(path, old=b"CREATE TABLE evaluations", new=b"CREATE TABLF evaluations"):
    data = path.read_bytes()
    assert old in data
    data = data.replace(old, new)
    path.write_bytes(data)
    return data


def spoil_index(path):
    """Have the index of the evaluations lead to others; returns the file's bytes."""
    data = bytearray(path.read_bytes())
    # A page of an index begins with 10, and the genotypes stand in no other one.
    page = next(at for at in range(0, len(data), 4096) if data[at] == 10 and b":cosface" in data[at : at + 4096])
    place = data.index(b":cosface", page)
    data[place - 1] ^= 1
    path.write_bytes(data)
    return data


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"CREATE TABLE evaluations", b"CREATE TABLF evaluations"),
        (b'"values" TEXT', b'"valuew" TEXT'),
        (b"genotype TEXT", b"genotypf TEXT"),
        (b"seconds REAL,", b"seconds REAL "),
    ],
)
def test_a_schema_that_rots_is_found_and_the_archive_works_on(written, read_both, tmp_path, old, new):
    path = copied(written.closed, tmp_path)
    data = spoil_schema(path, old, new)
    evaluations, repairs = read_both(path)
    assert len(repairs) == 1 and f"was damaged: {len(evaluations)} evaluations could be read" in repairs[0]
    assert Path(f"{path}.damaged").read_bytes() == data
    with Archive(path, measurement=written.names[0], columns=COLUMNS) as archive:
        archive.add([Genotype.parse("7")], [[1, 2, 3]])
        assert archive.repaired == ""


def test_what_is_kept_of_a_damaged_file_keeps_its_order_seconds_and_reason(written, tmp_path):
    path = copied(written.closed, tmp_path)

    def contents():
        with Archive(path, measurement=written.names[1], columns=COLUMNS) as archive:
            return [(repr(evaluation), evaluation.seconds) for evaluation in archive], archive.repaired

    with Archive(path, measurement=written.names[1], columns=COLUMNS) as archive:
        archive.add([Genotype.parse("7")], [[float("nan")] * 3], reason="RuntimeError: no")
    before, _ = contents()
    spoil_index(path)
    after, repaired = contents()
    assert after == before and len(before) == 26 and "reason='RuntimeError: no'" in before[-1][0]
    assert "51 evaluations could be read" in repaired and glance(path)[0][1:] == (26, 0.5)


def test_a_page_that_rots_takes_no_evaluations_of_other_pages_with_it(written, read_both, tmp_path):
    path = copied(written.closed, tmp_path)
    data = bytearray(path.read_bytes())
    page = data.index(b"[0.") // 4096 * 4096
    gone = data[page : page + 4096].count(b"[0.")
    data[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    evaluations, repairs = read_both(path)
    assert 0 < len(evaluations) == len(written.truth) - gone
    assert repairs == [
        f"scores.sqlite was damaged: {len(evaluations)} evaluations could be read and kept, the rest will be scored "
        f"again; the damaged file lies in {path}.damaged"
    ]
    assert Path(f"{path}.damaged").read_bytes() == data


def test_a_file_of_which_nothing_can_be_read_is_kept_aside_and_a_fresh_one_begun(written, read_both, tmp_path):
    path = copied(written.closed, tmp_path)
    data = path.read_bytes()[:100] + b"\xff" * (6 * 4096)
    path.write_bytes(data)
    evaluations, repairs = read_both(path)
    assert evaluations == {}
    assert repairs[0].startswith("scores.sqlite was damaged: 0 evaluations could be read and kept, the rest will")
    assert Path(f"{path}.damaged").read_bytes() == data
    with Archive(path, measurement="m", columns=COLUMNS) as archive:
        archive.add([Genotype.parse("7")], [[1, 2, 3]])
        assert archive.repaired == "" and len(archive) == 1


@pytest.mark.parametrize(("old", "new"), [(b"weights 0 x", b"weights 0 y"), (b'"disparity"', b'"disparitx"')])
def test_a_measurement_that_rots_loses_its_own_evaluations_only_and_they_are_kept_aside(
    written, read_both, tmp_path, old, new
):
    path = copied(written.closed, tmp_path)
    data = path.read_bytes()
    # The second page holds the measurements, the first of them at its end.
    path.write_bytes(data[:4096] + new.join(data[4096:8192].rsplit(old, 1)) + data[8192:])
    evaluations, repairs = read_both(path)
    assert evaluations == {key: values for key, values in written.truth.items() if key[0] == 1}
    assert len(repairs) == 1 and "25 evaluations could be read" in repairs[0] and Path(f"{path}.damaged").exists()


def test_a_rotten_evaluation_is_deleted_told_and_scored_again(written, tmp_path, read_both):
    path = copied(written.closed, tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"[0.") + 3] ^= 1
    path.write_bytes(data)
    evaluations, repairs = read_both(path)
    assert len(evaluations) == len(written.truth) - 1
    assert repairs == ["scores.sqlite: 1 evaluation did not say what was written; to be scored again"]
    (lost,) = set(written.truth) - set(evaluations)
    with Archive(path, measurement=written.names[lost[0]], columns=COLUMNS) as archive:
        assert not archive.get([lost[1]]) and len(archive) == 24
        archive.add([lost[1]], [written.truth[lost]])
        assert archive.get([lost[1]])[lost[1]].values == written.truth[lost] and archive.repaired == ""


def test_an_evaluation_that_rots_while_the_archive_is_open_is_not_used_either(written, tmp_path):
    path = copied(written.closed, tmp_path)
    with (
        Archive(path, measurement=written.names[0], columns=COLUMNS) as archive,
        closing(sqlite3.connect(path)) as other,
    ):
        before = list(archive)
        other.execute("UPDATE evaluations SET \"values\" = '[0, 0, 0]' WHERE id = 1")
        other.execute("INSERT INTO evaluations VALUES (99, 1, '7:cosface', '[0, 0, 0]', 0.5, NULL, 'no digest')")
        other.commit()
        assert list(archive) == before and len(archive) == 25
        archive.add([Genotype.parse("7:cosface")], [[1, 2, 3]])
        assert [evaluation.values for evaluation in archive][25:] == [(1, 2, 3)]


def test_an_index_that_leads_to_another_evaluation_is_found(written, read_both, tmp_path):
    path = copied(written.closed, tmp_path)
    spoil_index(path)
    evaluations, repairs = read_both(path)
    assert evaluations == written.truth and len(repairs) == 1


def test_damaged_files_are_kept_under_names_of_their_own(written, read_both, tmp_path):
    path = copied(written.closed, tmp_path)
    for number in ("", "-2", "-3"):
        data = spoil_index(path)
        _, repairs = read_both(path)
        assert repairs[0].endswith(f"the damaged file lies in {path}.damaged{number}")
        assert path.with_name(f"{NAME}.damaged{number}").read_bytes() == data
    assert sorted(entry.name for entry in path.parent.iterdir()) == sorted(
        [NAME, *(f"{NAME}.damaged{number}" for number in ("", "-2", "-3"))]
    )


def test_a_repair_killed_before_its_last_step_is_finished_by_the_next_opening(written, read_both, tmp_path):
    path = copied(written.closed, tmp_path)
    spoil_index(path)
    shutil.copy(written.closed / NAME, f"{path}.rebuilt")
    path.rename(f"{path}.damaged")
    assert read_both(path) == (written.truth, [])
    assert {entry.name for entry in path.parent.iterdir()} == {NAME, f"{NAME}.damaged"}


def test_the_log_of_a_damaged_file_never_lies_beside_the_rebuilt_one(written, read_both, tmp_path):
    # The damage is in the log, as a process that was killed leaves it.
    source = copied(written.closed, tmp_path, "whole")
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'TABLE evaluations (', 'TABLE evaluations ( ')")
        connection.commit()
        path = copied(source.parent, tmp_path)
    evaluations, repairs = read_both(path)
    assert evaluations == written.truth and "was damaged: 50 evaluations could be read" in repairs[0]
    assert not Path(f"{path}-wal").exists() and Path(f"{path}.damaged").exists()


def test_a_full_disk_is_one_line_that_names_the_file_and_loses_nothing(tmp_path):
    path = tmp_path / NAME
    writing = (
        "import resource, sys\n"
        "from dualfair.evolution.archive import Archive; from dualfair.supernet.genotype import Genotype\n"
        "archive = Archive(sys.argv[1], measurement='m', columns=('a', 'b'))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "for number in range(10**6):\n"
        "    try: archive.add([Genotype(((number,),))], [[number, 2]])\n"
        "    except OSError as caught: error = caught; break\n"
        "    print(number)\n"
        "assert len(archive) == number and len(str(error).splitlines()) == 1\n"
        "print(error, file=sys.stderr)\n"
    )
    child = subprocess.run([sys.executable, "-c", writing, path], cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert child.stderr.startswith(f"archive {path} could not be written: ")
    assert "what it held before is whole" in child.stderr and child.stderr.count("\n") == 1
    with Archive(path, measurement="m", columns=("a", "b")) as archive:
        assert [evaluation.values[0] for evaluation in archive] == list(map(int, child.stdout.split()))
        assert len(archive) > 5 and archive.repaired == ""


def test_a_full_disk_during_a_repair_leaves_the_damaged_file_as_it_was(written, read_both, tmp_path):
    path = copied(written.closed, tmp_path)
    with Archive(path, measurement="large", columns=COLUMNS) as archive:
        archive.add([Genotype(((number,),)) for number in range(300)], [[1 / 3] * 3] * 300)
    data = spoil_index(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (33_000, limits[1]))
        with pytest.raises(
            OSError, match=r"scores.sqlite is damaged and could not be repaired: .*; nothing of it is lost"
        ):
            read_both(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == data
    evaluations, repairs = read_both(path)
    assert len(repairs) == 1 and evaluations == written.truth


@pytest.fixture
def nobodys(written):
    """A copy of the archive, in a folder that everybody can read and nobody but the owner can write."""
    with tempfile.TemporaryDirectory() as folder:
        path = copied(written.closed, Path(folder))
        for entry in (Path(folder), path.parent):
            entry.chmod(0o755)
        yield path


def as_nobody(code, *arguments):
    """Run code as a user without rights, seeing the project; root would be let in everywhere."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, sys, dualfair.evolution.archive; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n" + code,
            *arguments,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user, which only root may")
def test_a_folder_that_cannot_be_written_is_glanced_at_and_otherwise_named(nobodys):
    reading = (
        "from dualfair.evolution.storage import glance; from pathlib import Path\n"
        "print([evaluations for _, evaluations, _ in glance(Path(sys.argv[1]))])"
    )
    read = as_nobody(reading, nobodys)
    assert read.stdout + read.stderr == "[25, 25]\n"
    printed = as_nobody(
        "from dualfair.evolution.archive import Archive\n"
        "try: Archive(sys.argv[1], measurement='m', columns=('a', 'b'))\n"
        "except OSError as error: print(error)",
        nobodys,
    ).stdout
    assert printed == (
        f"archive {nobodys} cannot be opened for writing: Permission denied; make its folder writable, or use another\n"
    )
