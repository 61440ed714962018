import gc
import json
import math
import sqlite3
import sys
import threading
from contextlib import closing

import numpy as np
import pytest

from dualfair.evolution.archive import Archive
from dualfair.evolution.storage import glance
from dualfair.supernet.genotype import Genotype

COLUMNS = ("error", "disparity", "error of a")
A, B, C = (Genotype.parse(text) for text in ("101-000:cosface", "1,12-0", "680:arcface"))


def archive_at(path, measurement="weights 1", columns=COLUMNS, objectives=2):
    return Archive(path, measurement=measurement, columns=columns, objectives=objectives)


def test_evaluations_come_back_exactly_and_in_order_of_insertion(tmp_path):
    values = np.array([[0.1 + 0.2, 1 / 3, 5e-324], [1e300, -0.0, 2]])
    with archive_at(tmp_path / "a.sqlite") as archive:
        archive.add([C, A], values, seconds=1.5)
        archive.add([B], [[1, 2, 3]])
    with archive_at(tmp_path / "a.sqlite") as archive:
        assert [evaluation.genotype for evaluation in archive] == [C, A, B]
        assert (
            np.array([evaluation.values for evaluation in archive]).tobytes()
            == np.array([*values.tolist(), [1, 2, 3]], dtype=float).tobytes()
        )
        seconds = [evaluation.seconds for evaluation in archive]
        assert seconds[:2] == [1.5, 1.5] and math.isnan(seconds[2])
        assert len(archive) == 3 and list(archive.get([A, Genotype.parse("000"), C])) == [A, C]


def test_values_that_are_not_finite_are_kept_as_they_are_in_valid_json(tmp_path):
    with archive_at(tmp_path / "a.sqlite") as archive:
        archive.add([A], [[math.nan, math.inf, -math.inf]])
        kept = archive.get([A])[A].values
    assert math.isnan(kept[0]) and kept[1:] == (math.inf, -math.inf)

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    text = sqlite3.connect(tmp_path / "a.sqlite").execute('SELECT "values" FROM evaluations').fetchone()[0]
    assert json.loads(text, parse_constant=refuse) == ["nan", "inf", "-inf"]


def test_the_first_score_of_a_genotype_stays():
    archive = archive_at(None)
    archive.add([A], [[1, 1, 1]])
    archive.add([A, B], [[2, 2, 2], [3, 3, 3]])
    assert [evaluation.values for evaluation in archive] == [(1, 1, 1), (3, 3, 3)]


def test_measurements_are_kept_apart_and_counted(tmp_path):
    path = tmp_path / "a.sqlite"
    with archive_at(path) as archive:
        archive.add([A, B], np.zeros((2, 3)))
        assert archive.others == 0
    with archive_at(path, "weights 2", ("x", "y"), 2) as archive:
        assert (len(archive), archive.others, archive.get([A]), list(archive)) == (0, 2, {}, [])
        archive.add([A], [[7, 8]])
        assert (len(archive), archive.others) == (1, 2)
    with archive_at(path) as archive:
        assert archive.get([A])[A].values == (0, 0, 0) and (len(archive), archive.others) == (2, 1)
    assert [measurement[:2] for measurement in glance(path)] == [("weights 2", 1), ("weights 1", 2)]


def test_a_reader_sees_every_finished_write_while_the_writer_goes_on(tmp_path):
    with archive_at(tmp_path / "a.sqlite") as writer:
        writer.add([A], np.zeros((1, 3)))
        with archive_at(tmp_path / "a.sqlite") as reader:
            assert len(reader) == 1
            writer.add([B], np.zeros((1, 3)))
            assert [evaluation.genotype for evaluation in reader] == [A, B]
            # A reader in the middle of reading does not hold the writer up: that takes a write-ahead log.
            assert reader._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            reader._connection.execute("BEGIN")
            assert len(reader) == 2
            writer.add([C], np.zeros((1, 3)))
            assert len(reader) == 2
            reader._connection.execute("COMMIT")
            assert len(reader) == 3
            # An open transaction of the writer neither blocks the reader nor shows.
            writer._connection.execute("BEGIN IMMEDIATE")
            writer._connection.execute("DELETE FROM evaluations")
            assert len(reader) == 3
            writer._connection.execute("ROLLBACK")
        assert glance(tmp_path / "a.sqlite")[0][1] == 3


def test_two_writers_share_a_file(tmp_path):
    with archive_at(tmp_path / "a.sqlite") as first, archive_at(tmp_path / "a.sqlite") as second:
        first.add([A], np.full((1, 3), 1.0))
        second.add([A, B], np.full((2, 3), 2.0))
        assert [evaluation.values[0] for evaluation in first] == [1.0, 2.0]


def test_a_write_is_whole_or_not_at_all(tmp_path):
    with archive_at(tmp_path / "a.sqlite") as archive:
        with pytest.raises(
            ValueError, match=r"shape \(2, 3\), one row a genotype .* for error, disparity.*got \(1, 3\)"
        ):
            archive.add([A, B], np.zeros((1, 3)))
        trigger = "CREATE TRIGGER full BEFORE INSERT ON evaluations WHEN NEW.genotype = '680:arcface' "
        archive._connection.execute(trigger + "BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        with pytest.raises(OSError, match=r"a.sqlite could not be written: disk full; what it held before is whole"):
            archive.add([A, C], np.zeros((2, 3)))
        assert len(archive) == 0
        archive.add([A], np.zeros((1, 3)))
        assert len(archive) == 1


@pytest.mark.parametrize("columns", [("error", "other", "error of a"), COLUMNS[:2], COLUMNS[::-1]])
def test_another_meaning_of_the_columns_is_refused(tmp_path, columns):
    archive_at(tmp_path / "a.sqlite").close()
    with pytest.raises(ValueError) as error:
        archive_at(tmp_path / "a.sqlite", columns=columns)
    message = str(error.value)
    assert "holds measurement 'weights 1' with columns error, disparity, error of a (2 objectives)" in message
    assert f"got {', '.join(columns)} (2 objectives); use the same columns" in message and "\n" not in message


def test_another_number_of_objectives_is_refused(tmp_path):
    archive_at(tmp_path / "a.sqlite").close()
    with pytest.raises(ValueError, match=r"\(2 objectives\), got .* \(3 objectives\)"):
        archive_at(tmp_path / "a.sqlite", objectives=3)


def _text(path):
    path.write_text("genotype,error\n" * 100)


def _other_database(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE measurements (id)")


def _other_damaged_database(path):
    _other_database(path)
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREATE TABLX"))


def _other_torn_database(path):
    _other_database(path)
    path.write_bytes(path.read_bytes()[:-4096])


def _rotten_first_byte(path):
    archive_at(path).close()
    path.write_bytes(b"s" + path.read_bytes()[1:])


def _rotten_mark(path, *more):
    archive_at(path).close()
    data = bytearray(path.read_bytes())
    for place in (*range(68, 72), *more):
        data[place] = 0
    path.write_bytes(data)


def _other_format(path, number=9):
    archive_at(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {number}")


FOREIGN = "it is another program's database, or its first bytes are damaged"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_text, "file is not a database"),
        (_rotten_first_byte, "file is not a database"),
        (_rotten_mark, FOREIGN),
        # These bytes count the tables: without them the file looks as if nothing was in it.
        (lambda path: _rotten_mark(path, 103, 104), FOREIGN),
        (_other_database, FOREIGN),
        (_other_damaged_database, FOREIGN),
        (_other_torn_database, FOREIGN),
        (_other_format, "it is archive format 9, and only format 2 is known"),
        (lambda path: _other_format(path, 1), "it is archive format 1, and only format 2 is known"),
        (lambda path: path.mkdir(), "unable to open database file"),
    ],
)
def test_a_file_that_is_no_archive_gets_one_clear_line_and_stays_as_it_is(tmp_path, make, message):
    path = tmp_path / "a.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ValueError) as error:
        archive_at(path)
    assert str(error.value) == (
        f"{path} cannot be used as an archive of evaluations: {message}; give another file in an existing folder, or "
        "move this one away"
    )
    assert before is None or path.read_bytes() == before
    assert not [entry for entry in tmp_path.iterdir() if "damaged" in entry.name or "rebuil" in entry.name]


def test_an_empty_file_is_set_up(tmp_path):
    path = tmp_path / "a.sqlite"
    path.touch()
    with archive_at(path) as archive:
        archive.add([A], np.zeros((1, 3)))
        assert (len(archive), archive.repaired) == (1, "")


def test_a_missing_folder_or_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"missing/a.sqlite cannot be used .* existing folder"):
        archive_at(tmp_path / "missing" / "a.sqlite")
    with pytest.raises(ValueError, match="unable to open database file"):
        glance(tmp_path / "a.sqlite")
    assert not [*tmp_path.iterdir()]


def test_objectives_without_names_are_numbered():
    assert archive_at(None, columns=None, objectives=3).columns == ("objective 1", "objective 2", "objective 3")


@pytest.mark.parametrize(
    ("columns", "objectives", "message"),
    [
        (COLUMNS, 1, "objectives must be 2 to 4, got 1"),
        (list("abcde"), 5, "objectives must be 2 to 4, got 5"),
        (COLUMNS, 2.0, "objectives must be 2 to 4, got 2.0"),
        (("a", "b"), 3, "columns must be different names, 3 objectives first, got a, b"),
        (("a", "b", "a"), 2, "columns must be different names, 2 objectives first, got a, b, a"),
        ((), 2, "columns must be different names, 2 objectives first, got none"),
        ("error", 2, "columns must be a list of names, got 'error'"),
    ],
)
def test_columns_must_be_names_for_every_objective(columns, objectives, message):
    with pytest.raises(ValueError) as error:
        archive_at(None, columns=columns, objectives=objectives)
    assert str(error.value) == message


def test_an_archive_that_nobody_closed_is_closed_from_any_thread(tmp_path, monkeypatch):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    path = tmp_path / "a.sqlite"

    def leave_open():
        cycle = [archive_at(path)]
        cycle.append(cycle)

    thread = threading.Thread(target=leave_open)
    thread.start()
    thread.join()
    gc.collect()
    assert not complaints
    with archive_at(path) as archive:
        assert not archive.repaired
