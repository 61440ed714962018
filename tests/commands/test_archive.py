"""`dualfair archive` as a user types it."""

import json
import sqlite3

import pytest

from dualfair.evolution.archive import Archive
from dualfair.supernet.genotype import Genotype

WEIGHTS = tuple(json.dumps({"disparity": "rank_disparity", "objectives": ["error", "x"], "weights": w}) for w in "ab")


def fill(path, pairs, measurement=WEIGHTS[0], columns=("error", "x")):
    path.parent.mkdir(parents=True, exist_ok=True)
    with Archive(path, measurement=measurement, columns=columns) as archive:
        for genotype, value in pairs:
            archive.add([Genotype.parse(genotype)], [[value] + [float("inf")] * (len(columns) - 1)], seconds=0.25)
    return path


@pytest.fixture
def run(tmp_path):
    """A run directory with scores of two measurements."""
    scores = fill(tmp_path / "run" / "search" / "scores.sqlite", [("101:cosface", 0.1), ("000:cosface", 1 / 3)])
    with Archive(scores, measurement=WEIGHTS[1], columns=("error", "x")) as archive:
        archive.add([Genotype.parse("101:cosface")], [[float("nan")] * 2], reason="RuntimeError: no")
    return tmp_path / "run"


def lines(shown):
    assert shown.status == 0, shown.err
    return shown.out.splitlines()


def refused(shown):
    assert shown.status == 2 and shown.out == "" and shown.err.count("\n") == 1
    return shown.err


def test_show_lists_measurements_with_their_numbers_and_settings_in_words(dualfair, run):
    scores = run / "search" / "scores.sqlite"
    assert lines(dualfair("archive", "show", run)) == [
        f"{scores}: 2 measurements",
        "1: 2 evaluations",
        "   disparity rank_disparity; objectives error, x; weights a",
        "   columns error, x; the first 2 minimised",
        "2: 1 evaluation, 1 of them could not be scored",
        "   disparity rank_disparity; objectives error, x; weights b",
        "   columns error, x; the first 2 minimised",
    ]
    assert dualfair("archive", "show", scores).out == dualfair("archive", "show", run).out


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_export_import_export_gives_the_same_bytes(dualfair, run, tmp_path, kind):
    first, again, copy = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}", tmp_path / "copy.sqlite"
    assert lines(dualfair("archive", "export", run, "--to", first)) == [f"{first}: 3 evaluations of 2 measurements"]
    assert lines(dualfair("archive", "import", first, "--to", copy))[-1] == f"{copy}: 3 evaluations added"
    lines(dualfair("archive", "export", copy, "--to", again))
    assert first.read_bytes() == again.read_bytes()
    assert lines(dualfair("archive", "import", first, "--to", run)) == [
        "0 added, 2 known: disparity rank_disparity; objectives error, x; weights a",
        "0 added, 1 known: disparity rank_disparity; objectives error, x; weights b",
        f"{run / 'search' / 'scores.sqlite'}: 0 evaluations added",
    ]


def test_one_measurement_can_be_exported(dualfair, run, tmp_path):
    fill(run / "search" / "scores.sqlite", [("111", 5.0)], "plain", ("error", "x", "y"))
    table = tmp_path / "a.csv"
    said = refused(dualfair("archive", "export", run, "--to", table))
    assert "1: error, x; 2: error, x; 3: error, x, y" in said and "use a .json file, or --measurement" in said
    assert not table.exists()
    lines(dualfair("archive", "export", run, "--to", table, "--measurement", 3))
    assert (
        table.read_text() == "measurement,objectives,genotype,error,x,y,seconds,reason\nplain,2,111,5.0,inf,inf,0.25,\n"
    )
    for number in (0, 4):
        said = refused(dualfair("archive", "export", run, "--to", table, "--measurement", number))
        assert f"--measurement is a number from 1 to 3, got {number}" in said


def test_a_run_directory_without_a_search_takes_scores_in(dualfair, run, tmp_path):
    lines(dualfair("archive", "export", run, "--to", tmp_path / "a.json"))
    (tmp_path / "fresh").mkdir()
    lines(dualfair("archive", "import", tmp_path / "a.json", "--to", tmp_path / "fresh"))
    assert dualfair("archive", "show", tmp_path / "fresh").out.count("evaluation") == 2


def test_archives_of_several_machines_are_merged(dualfair, run, tmp_path):
    one = fill(tmp_path / "one.sqlite", [("000:cosface", 1 / 3), ("222:cosface", 2.0), ("101:cosface", 9.0)])
    two = fill(tmp_path / "two.sqlite", [("222:cosface", 3.0)])
    before = one.read_bytes()
    assert lines(dualfair("archive", "merge", run, one, two)) == [
        "1 added, 1 known, 2 known with other values (first 101:cosface), which were left out: "
        "disparity rank_disparity; objectives error, x; weights a",
        f"{run / 'search' / 'scores.sqlite'}: 1 evaluation added",
    ]
    assert one.read_bytes() == before
    with Archive(run / "search" / "scores.sqlite", measurement=WEIGHTS[0], columns=("error", "x")) as archive:
        assert {str(e.genotype): e.values[0] for e in archive} == {
            "101:cosface": 0.1, "000:cosface": 1 / 3, "222:cosface": 2.0,
        }  # fmt: skip


def test_a_mark_of_a_spreadsheet_does_no_harm(dualfair, run, tmp_path):
    table = tmp_path / "a.csv"
    lines(dualfair("archive", "export", run, "--to", table))
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))
    assert lines(dualfair("archive", "import", table, "--to", run))[-1].endswith("0 evaluations added")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"genotype,error\n1,2\n", "is no export of scores: line 1 must be measurement, objectives, genotype"),
        ("a.csv", b"\xff\xfe", "is no export of scores: 'utf-8' codec can't decode"),
        ("a.json", b"{", "is no export of scores: Expecting property name"),
        ("a.json", b"[" * 200_000, "is no export of scores: it is nested too deeply"),
        ("a.json", None, "cannot be read: No such file or directory"),
        ("a.txt", b"", "must end in .csv or .json, so that its format is known"),
    ],
)
def test_what_cannot_be_imported_gets_one_line_and_nothing_is_written(dualfair, tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert said in refused(dualfair("archive", "import", tmp_path / name, "--to", tmp_path / "into.sqlite"))
    assert not (tmp_path / "into.sqlite").exists()


@pytest.mark.parametrize("words", [("show",), ("export", "--to", "x.csv"), ("merge", "into.sqlite")])
def test_an_archive_that_is_missing_or_something_else_is_named(dualfair, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("text\n" * 100)
    words = ("archive", *words)
    assert "there is no archive none; run a search first" in refused(dualfair(*words, "none"))
    assert "text cannot be used as an archive of evaluations: file is not a database" in refused(
        dualfair(*words, "text")
    )
    assert (tmp_path / "text").read_text() == "text\n" * 100 and not (tmp_path / "x.csv").exists()
    assert not (tmp_path / "into.sqlite").exists()


def test_the_user_is_told_of_a_repair(dualfair, run):
    scores = run / "search" / "scores.sqlite"
    data = bytearray(scores.read_bytes())
    data[data.index(b"CREATE TABLE evaluations")] ^= 1
    scores.write_bytes(data)
    shown = dualfair("archive", "show", run)
    assert shown.err == (
        "Note: scores.sqlite was damaged: 3 evaluations were read back; the rest will be scored again; the damaged "
        "file is kept as scores.sqlite.damaged\n"
    )
    assert "1: 2 evaluations" in lines(shown) and dualfair("archive", "show", run).err == ""


def test_a_rotten_score_is_left_out_of_an_export_and_told(dualfair, run, tmp_path):
    connection = sqlite3.connect(run / "search" / "scores.sqlite")
    connection.execute("UPDATE evaluations SET \"values\" = '[0.7, 1.0]' WHERE genotype = '000:cosface'")
    connection.commit()
    connection.close()
    shown = dualfair("archive", "export", run, "--to", tmp_path / "a.csv")
    assert lines(shown) == [f"{tmp_path / 'a.csv'}: 2 evaluations of 2 measurements"]
    assert shown.err == "Note: scores.sqlite: 1 evaluation did not say what was written; left out\n"
