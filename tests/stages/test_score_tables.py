"""`dualfair correlate --table`: published tables, and one clear error for each that is malformed.

nas_bench_macro.csv holds 40 of the 6,561 networks of NAS-Bench-Macro (Su et al., "Prioritized Architecture Sampling
with Monto-Carlo Tree Search", CVPR 2021; https://github.com/xiusu/NAS-Bench-Macro, MIT licence): CIFAR-10 test accuracy
in % of three training seeds, parameters, and FLOPs.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from dualfair.evaluation.score_tables import read_score_tables

MACRO = Path(__file__).with_name("nas_bench_macro.csv")


@pytest.fixture
def write(tmp_path):
    def file(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return file


@pytest.fixture
def macro(write):
    """The first seed's accuracy as the cheap score, the other two as the truth; and the rows."""
    with open(MACRO, newline="") as file:
        rows = list(csv.DictReader(file))
    cheap = ["network,accuracy,params,flops"]
    cheap += [f"{row['network']},{row['accuracy_0']},{row['params']},{row['flops']}" for row in rows]
    truth = ["network,seed,accuracy"]
    truth += [f"{row['network']},{seed},{row[f'accuracy_{seed}']}" for row in rows for seed in (1, 2)]
    return write("cheap.csv", "\n".join(cheap)), write("truth.csv", "\n".join(truth)), rows


def test_published_accuracies_give_the_taus_of_scipy(dualfair, macro, tmp_path):
    cheap, truth, rows = macro
    out = tmp_path / "study"
    result = dualfair("correlate", "--table", cheap, truth, "--out", out, "--maximise", "accuracy", "--resamples", 300)
    assert result.status == 0, result.err
    report = json.loads((out / "ranking.json").read_text())
    assert ", one-sided p " in result.out
    number = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    mean = (number["accuracy_1"] + number["accuracy_2"]) / 2
    measure = report["measures"]["accuracy"]
    expected = stats.kendalltau(number["accuracy_0"], mean).statistic
    assert measure["correlation"]["tau"] == pytest.approx(expected) and expected > 0.8
    between = stats.kendalltau(number["accuracy_1"], number["accuracy_2"]).statistic
    assert measure["noise_ceiling"]["mean"] == pytest.approx(between)
    for name in ("params", "flops"):
        tau = stats.kendalltau(number[name], -mean).statistic
        assert measure["baselines"][name]["tau"] == pytest.approx(tau)
        assert measure["baselines"][name]["difference"]["value"] == pytest.approx(expected - abs(tau))
    assert (len(report["networks"]), report["seeds"], report["left_out"]) == (40, 2, [])
    assert list(report["studies"][""]["samples"]) == ["evenly spaced 13", "evenly spaced 30", "all"]
    assert report["studies"][""]["samples"]["all"]["front_agreement"] is None
    assert "more is better of accuracy: studied with the sign changed" in result.out
    assert f"all 40: accuracy: tau {expected:.2f} [" in result.out
    assert "better than params and flops" in result.out
    assert len(result.out.splitlines()) < 10
    with Image.open(out / "ranking.png") as picture:
        assert np.asarray(picture).std() > 0


def test_two_measures_have_a_front_and_error_comes_first(dualfair, write, tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(10, 2))
    cheap = "network,gap,error\n" + "".join(f"n{i},{a},{b}\n" for i, (a, b) in enumerate(values))
    truth = "network,error,gap\n" + "".join(f"n{i},{b + 0.1 * i},{a}\n" for i, (a, b) in enumerate(values))
    out = tmp_path / "out"
    result = dualfair(
        "correlate", "--table", write("c.csv", cheap), write("t.csv", truth), "--out", out, "--resamples", 50
    )
    assert result.status == 0, result.err
    study = json.loads((out / "ranking.json").read_text())["studies"][""]["samples"]["all"]
    assert 0 < study["front_agreement"]["agreement"] <= 1
    assert study["measures"]["error"]["beyond"] is None and study["measures"]["gap"]["beyond"]["measure"] == "error"


def test_networks_of_one_table_are_counted_and_those_that_lack_a_seed_named(dualfair, write, tmp_path):
    cheap = write("c.csv", "network,error\n" + "".join(f"n{i},{i}\n" for i in range(6)))
    rows = [f"n{i},{seed},{i + seed / 10}\n" for i in range(1, 8) for seed in (0, 1) if (i, seed) != (3, 1)]
    truth = write("t.csv", "network,seed,error\n" + "".join(rows))
    read = read_score_tables(cheap, truth)
    assert (read.only_inherited, read.only_standalone, read.left_out) == (1, 2, ("n3",))
    assert read.tables.names == ("n1", "n2", "n4", "n5") and read.tables.seeds == 2
    assert read.tables.standalone["error"].tolist() == [[1, 1.1], [2, 2.1], [4, 4.1], [5, 5.1]]
    result = dualfair("correlate", "--table", cheap, truth, "--out", tmp_path / "out", "--resamples", 20)
    assert result.status == 3, result.err
    assert "in one table only: 1 networks without truth, 2 without a cheap score" in result.out
    assert "left out, seeds missing: n3" in result.out


def test_rows_of_further_seeds_are_counted_and_rows_that_stand_there_twice_are_no_seeds(dualfair, write, tmp_path):
    cheap = write("c.csv", "network,error\na,1\nb,2\nc,3\n")
    rows = "a,1\nb,2\nc,4\n"
    for further in ("a,9\n", "b,2\n"):
        truth = write("t.csv", f"network,error\n{rows}{further}")
        assert read_score_tables(cheap, truth).tables.standalone["error"].tolist() == [[1], [2], [4]]
        result = dualfair("correlate", "--table", cheap, truth, "--out", tmp_path / "out", "--resamples", 20)
        assert "  not used: 1 rows of seeds that most networks do not have" in result.out
    with pytest.raises(ValueError, match=r"t.csv: every row stands there several times, .* in a column 'seed'$"):
        read_score_tables(cheap, write("t.csv", f"network,error\n{rows}{rows}"))
    named = "a,0,1\nb,0,2\nc,0,4\na,1,1\nb,1,2\nc,1,4\n"
    assert read_score_tables(cheap, write("t.csv", f"network,seed,error\n{named}")).tables.seeds == 2


def test_spellings_of_one_network_or_seed_do_not_count_as_two(write):
    cheap = write("cheap.csv", "network,error\na,1\nb,2\nc,3\n")
    tables = read_score_tables(cheap, write("truth.csv", "network,seed,error\na,0,1\nb,0,2\nc,0.0,3\n")).tables
    assert tables.names == ("a", "b", "c") and tables.standalone["error"].tolist() == [[1], [2], [3]]
    twice = write("twice.csv", "network,seed,error\na,1,1\na,1.0,2\n")
    with pytest.raises(ValueError, match="line 3: seed '1' of network 'a' is there already"):
        read_score_tables(cheap, twice)
    blank = write("blank.csv", "network,error\na,1\nA ,2\nb,3\n")
    with pytest.raises(ValueError, match=r"networks that differ only in spelling: 'A' and 'a'; give each"):
        read_score_tables(cheap, blank)


def test_rows_without_a_seed_column_are_seeds_in_their_order_and_a_sign_is_changed_in_both_tables(write):
    cheap = write("c.csv", "\ufeffnetwork, acc ,size\na,1,5\nb,2,6\n\nc,3,7\n")
    truth = write("t.csv", "network,acc\na,10\na,11\nb,20\nb,21\nc,30\nc,31\n")
    tables = read_score_tables(cheap, truth, ["acc"]).tables
    assert tables.inherited["acc"].tolist() == [-1, -2, -3]
    assert tables.standalone["acc"].tolist() == [[-10, -11], [-20, -21], [-30, -31]]
    assert tables.baselines["size"].tolist() == [5, 6, 7]


SOUND = "network,error\na,1\nb,2\nc,3\n"


@pytest.mark.parametrize(
    ("cheap", "truth", "message"),
    [
        ("", SOUND, "empty file; expected a header such as network,error"),
        ("name,error\na,1\n", SOUND, "the first column must be 'network', got 'name'"),
        ("network\na\n", SOUND, "has no column of scores beside 'network'"),
        ("network,error\n", SOUND, "only a header, no rows"),
        ("network,error,error\na,1,2\n", SOUND, "a column name stands twice in the header"),
        ("network,,error\na,1,2\n", SOUND, "every column needs a name, got 'network', '', 'error'"),
        ("network,error\na,1\nb\n", SOUND, "line 3 has 1 fields, the header has 2"),
        ("network,error\na,low\n", SOUND, "line 2: error must be a finite number, got 'low'"),
        ("network,error\na,nan\n", SOUND, "line 2: error must be a finite number, got 'nan'"),
        (SOUND, "network,error\na,1e999\n", "line 2: error must be a finite number, got '1e999'"),
        ("network,error\n,1\n", SOUND, "line 2: the network has no name"),
        ("network,error\na,1\na,2\n", SOUND, "line 3: network 'a' is there already, in line 2"),
        ("network,seed,error\na,0,1\n", SOUND, "seeds belong into the table of the truth"),
        (SOUND, "network,seed,error\na,0,1\na,0,2\n", "line 3: seed '0' of network 'a' is there already"),
        (SOUND, "network,loss\na,1\n", "no measure is in both tables"),
        (SOUND, "network,error\nz,1\n", "no network is in both"),
        (b"\xff\xfe\x00", SOUND, "not UTF-8 text"),
        ("network,error\na," + "1" * 200_000 + "\n", SOUND, "not a CSV text file (field larger than field limit"),
    ],
)
def test_a_malformed_table_is_named_in_one_line(dualfair, write, tmp_path, cheap, truth, message):
    words = ("correlate", "--table", write("cheap.csv", cheap), write("truth.csv", truth))
    result = dualfair(*words, "--out", tmp_path / "out")
    assert result.status == 2 and result.out == ""
    assert message in result.err and len(result.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_options_that_do_not_go_together_are_refused(dualfair, write, tmp_path):
    table = ("--table", write("c.csv", SOUND), write("t.csv", SOUND))
    for words, message in (
        ((), "give either --run RUN, or --table CHEAP.csv TRUTH.csv with --out FOLDER"),
        ((*table, "--run", tmp_path), "give either --run RUN, or --table"),
        (table, "--table needs --out"),
        (("--run", tmp_path, "--out", tmp_path), "--out and --maximise belong to --table"),
        (("--run", tmp_path, "--maximise", "x"), "--out and --maximise belong to --table"),
        ((*table, "--out", tmp_path, "--maximise", "x"), "no column 'x' to maximise; there is 'error'"),
        (
            ("--table", tmp_path / "none.csv", tmp_path, "--out", tmp_path),
            "there is no such file; expected a CSV with a header such as network,error",
        ),
    ):
        result = dualfair("correlate", *words)
        assert result.status == 2 and message in result.err and len(result.err.splitlines()) == 1, result.err
