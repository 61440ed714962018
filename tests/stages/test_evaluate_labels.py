"""What `dualfair evaluate` makes of labels that are missing or doubtful, and of pairs that have groups of their own."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import recall_score

from tests.support.embeddings import clustered

AGAIN = "stand there before, in this order or the other, and count again"
LEFT_OUT = ("p01", "p02", "p04", "")


@pytest.fixture
def evaluated(dualfair, tmp_path):
    """Evaluate embeddings with a table beside them: the result, and the report where there is one."""

    def run(embeddings, table, *options, name="out"):
        np.save(tmp_path / "e.npy", embeddings)
        with open(tmp_path / "ids.csv", "w", newline="") as file:
            csv.writer(file).writerows([table, *zip(*table.values(), strict=True)])
        words = ("--embeddings", tmp_path / "e.npy", "--identities", tmp_path / "ids.csv", "--resamples", 0)
        result = dualfair("evaluate", *words, "--out", tmp_path / name, *options)
        path = tmp_path / name / "report.json"
        return result, json.loads(path.read_text()) if path.exists() else None

    return run


def unclear(identities, groups):
    """One person without a group, two with as many images of either, one without a name, one of a clear majority."""
    identities, groups = identities.astype(object), groups.astype(object)
    images = {person: np.flatnonzero(identities == person) for person in set(identities)}
    groups[images["p01"]] = "<NA>"
    groups[images["p02"]] = ["a", "b", "a", "b", ""]
    groups[images["p04"]] = ["a", "a", "NaN", "", "a"][::-1]
    groups[images["p04"][:1]], groups[images["p04"][-1:]] = "b", "b"
    groups[images["p06"]] = ["b", *["a"] * 4]
    identities[images["p08"]] = ""
    return identities, groups


def test_unknown_labels_stop_and_are_left_out_where_that_is_asked_for(evaluated):
    embeddings, identities, groups = clustered()
    unclear_identities, unclear_groups = unclear(identities, groups)
    table = {"identity": unclear_identities, "group": unclear_groups}
    metrics = ("--metrics", "identification,disparity,open-set")
    result, report = evaluated(embeddings, table, *metrics)
    assert result.status == 2 and report is None and len(result.err.splitlines()) == 1
    said = (
        "5 images have no identity ('' 5)",
        "1 identities have no group in column 'group' ('<NA>' 1): p01",
        "2 identities have two groups in column 'group' in equal number: p02 (a 2, b 2, no group 1), "
        "p04 (b 2, no group 2, a 1)",
    )
    assert f"{'; '.join(said)}; correct that, or leave them out with --drop-unknown" in result.err
    result, report = evaluated(embeddings, table, *metrics, "--drop-unknown")
    assert result.status == 0, result.err
    majority = "1 identities have images of two groups in column 'group', the majority counts: p06 (a 4, b 1)"
    assert report["notes"] == [*(f"left out: {sentence}" for sentence in said), majority]
    kept = ~np.isin(unclear_identities.astype(str), LEFT_OUT)
    table = {"identity": identities[kept], "group": groups[kept]}
    result, plain = evaluated(embeddings[kept], table, *metrics, name="plain")
    assert result.status == 0 and plain["notes"] == [] and plain["identities"] == 16
    for section in ("images", "identities", "identification", "disparities", "open_set"):
        assert report[section] == plain[section]


@pytest.mark.parametrize("value", ["", "#N/A"])
def test_a_column_that_names_no_group_is_none(evaluated, value):
    embeddings, identities, _ = clustered()
    table = {"identity": identities, "group": [value] * len(identities), "hat": ["x"] * len(identities)}
    metrics = ("--metrics", "identification,disparity")
    result, report = evaluated(embeddings, table, *metrics)
    assert result.status == 0, result.err
    _, without = evaluated(embeddings, {"identity": identities}, *metrics, name="without")
    assert report["identification"] == without["identification"] and report["group_column"] is None
    assert "column 'group' names no group, so that nobody is compared" in report["notes"]
    result, _ = evaluated(embeddings, table, "--group", "group", "--drop-unknown")
    assert result.status == 2 and "nobody is left: 20 identities have no group" in result.err
    assert "name another column: hat" in result.err


@pytest.mark.parametrize("column", ["identity", "group", "hat"])
def test_two_spellings_stop_with_both_in_the_column_that_is_used(evaluated, column):
    embeddings, identities, groups = clustered()
    table = {"identity": identities.astype(object), "group": groups.astype(object), "hat": groups.astype(object)}
    table[column][:2] = table[column][:2] + "\ufeff"
    asked = ("--metrics", "identification", *(("--group", "hat") if column == "hat" else ()))
    result, _ = evaluated(embeddings, table, *asked, "--drop-unknown")
    first = table[column][2]
    assert result.status == 2 and f"in spelling: {first!r} and '{first}\\ufeff'; give each" in result.err
    if column == "hat":
        assert evaluated(embeddings, table, "--metrics", "identification")[0].status == 0


def test_odd_names_of_groups_are_read_back_from_the_tables_and_break_no_line(evaluated, tmp_path):
    names = ['=1+1, "a";b', "x\ny\r\nz", "-@\r|'"]
    embeddings, identities, _ = clustered()
    people = sorted(set(identities.tolist()))
    odd = [names[people.index(identity) % 3] for identity in identities.tolist()]
    result, report = evaluated(embeddings, {"identity": identities, "group": odd}, "--metrics", "identification")
    assert result.status == 0, result.err
    assert sorted(report["identification"]["groups"]) == sorted(names)
    with open(tmp_path / "out/groups.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["measure"] == "error"]
    of_report = {"all": report["identification"]["all"], **report["identification"]["groups"]}
    assert {row["group"]: (float(row["value"]), int(row["n"])) for row in rows} == {
        name: (group["error"]["value"], group["error"]["n"]) for name, group in of_report.items()
    }
    assert [line.split("  ")[0] for line in result.out.splitlines()[1:6]] == [
        "group", "all", "-@\\r|'", '=1+1, "a";b', r"x\ny\r\nz",
    ]  # fmt: skip


def listed_pairs(identities, number=240):
    """Pairs of images in two folds; the list has its own groups, which are not those of the people."""
    rng = np.random.default_rng(3)
    left = rng.integers(0, len(identities), number)
    right = (left + np.where(np.arange(number) % 2, 1, rng.integers(20, 60, number))) % len(identities)
    same = identities[left] == identities[right]
    return left, right, same, np.arange(number) // (number // 2), np.where(rng.random(number) < 0.3, "x", "y")


def repeats(left, right):
    """How many pairs of images there are beyond the different ones."""
    return len(left) - len({frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)})


def write_pairs(path, left, right, same, fold, group):
    rows = zip(left.tolist(), right.tolist(), same.astype(int), fold.tolist(), group.tolist(), strict=True)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("left", "right", "same", "fold", "group"), *rows])


def test_pairs_are_judged_by_the_groups_of_their_list(evaluated, tmp_path):
    """Rates of groups against scikit-learn's, which knows nothing of people."""
    embeddings, identities, groups = clustered()
    left, right, same, fold, of_list = listed_pairs(identities)
    write_pairs(tmp_path / "pairs.csv", left, right, same, fold, of_list)
    asked = ("--pairs", tmp_path / "pairs.csv", "--metrics", "verification")
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    scores = (unit[left] * unit[right]).sum(axis=1)
    plain, grouped = {"identity": identities}, {"identity": identities, "group": groups}
    for name, table in (("plain", plain), ("grouped", grouped)):
        result, report = evaluated(embeddings, table, *asked, name=name)
        assert result.status == 0, result.err
        counts = Counter(of_list.tolist())
        note, again = report["notes"]
        assert again == f"{repeats(left, right)} pairs of the list {AGAIN}"
        assert note == f"pairs are judged by the groups of their list: 'y' {counts['y']}, 'x' {counts['x']}"
        accuracies = report["verification"]["accuracy_by_group"]["shared_threshold"]["groups"]
        assert {group: row["n"] for group, row in accuracies.items()} == counts
        for point in report["verification"]["at_far"]:
            accepted = scores >= point["threshold"]
            for group, rates in point["groups"].items():
                members = of_list == group
                tpr = recall_score(same[members], accepted[members])
                fmr = 1 - recall_score(~same[members], ~accepted[members])
                assert rates["tpr"]["value"] == pytest.approx(tpr) and rates["fmr"]["value"] == pytest.approx(fmr)
    result, report = evaluated(embeddings, {**plain, "hat": groups}, *asked, "--group", "hat", name="hat")
    assert result.status == 0, result.err
    note = "pairs are judged by column 'hat' of their people, not by the groups of their list"
    assert report["notes"] == [note, again]
    assert set(report["verification"]["at_far"][0]["groups"]) == {"a", "b"}


def test_pairs_without_a_group_of_their_own_stop_or_are_left_out(evaluated, tmp_path):
    embeddings, identities, groups = clustered()
    *pairs, of_list = listed_pairs(identities)
    table, of_list = {"identity": identities, "group": groups}, of_list.astype(object)
    of_list[[4, 9, 30]] = ["NA", "", "NA"]
    write_pairs(tmp_path / "pairs.csv", *pairs, of_list)
    asked = ("--pairs", tmp_path / "pairs.csv", "--metrics", "verification")
    result, _ = evaluated(embeddings, table, *asked)
    assert result.status == 2
    assert "pairs.csv: 3 of 240 pairs have no group ('NA' 2, '' 1); correct that, or leave them out" in result.err
    result, report = evaluated(embeddings, table, *asked, "--drop-unknown")
    assert result.status == 0 and report["verification"]["pairs"] == 237
    assert f"3 pairs of {tmp_path / 'pairs.csv'} are left out, first line 6 ('NA' for a group)" in report["notes"]
    of_list[:] = "null"
    write_pairs(tmp_path / "pairs.csv", *pairs, of_list)
    _, report = evaluated(embeddings, table, *asked, name="people")
    assert set(report["verification"]["at_far"][0]["groups"]) == {"a", "b"}
    assert report["notes"] == [f"{repeats(*pairs[:2])} pairs of the list {AGAIN}"]
    of_list[:] = ["X", "x"] * 120
    write_pairs(tmp_path / "pairs.csv", *pairs, of_list)
    result, _ = evaluated(embeddings, table, *asked, "--drop-unknown")
    assert result.status == 2 and "the pairs have groups that differ only in spelling" in result.err


def test_pairs_that_contradict_identities_stop_and_repeated_ones_are_told(evaluated, tmp_path):
    embeddings, identities, groups = clustered()
    table = {"identity": identities, "group": groups}
    left, right = np.arange(0, 100, 5), np.arange(1, 101, 5)
    left, right = np.concatenate([left, left]), np.concatenate([right, np.roll(right, 1)])
    same, fold, of_list = identities[left] == identities[right], np.arange(40) % 2, np.full(40, "a")
    asked = ("--pairs", tmp_path / "pairs.csv", "--metrics", "verification")
    write_pairs(tmp_path / "pairs.csv", left, right, same, fold, of_list)
    _, report = evaluated(embeddings, table, *asked)
    assert report["notes"] == ["pairs are judged by the groups of their list: 'a' 40"]
    wrong = same.copy()
    wrong[[7, 30]] ^= True
    write_pairs(tmp_path / "pairs.csv", left, right, wrong, fold, of_list)
    result, report = evaluated(embeddings, table, *asked, name="wrong")
    assert result.status == 2 and report is None and len(result.err.splitlines()) == 1
    said = "2 of 40 pairs contradict the identities of their images, the first is said to be of two people"
    assert f"{said} and has 'p07' and 'p07'; correct the list or the identities" in result.err
    # One pair three times more, once of them the other way round, and one image with itself.
    more = [0, 0, 1, 1]
    left, right = np.append(left, [5, 6, 5, 9]), np.append(right, [6, 5, 6, 9])
    assert same[1] and (identities[left[-4:]] == identities[right[-4:]]).all()
    write_pairs(
        tmp_path / "pairs.csv", left, right, np.append(same, [True] * 4), np.append(fold, more), np.full(44, "a")
    )
    _, report = evaluated(embeddings, table, *asked, name="again")
    assert report["notes"][1:] == [
        "1 pairs of the list are of an image with itself, which any system gets right",
        f"3 pairs of the list {AGAIN}",
    ]


def test_embeddings_that_are_0_throughout_are_counted(evaluated):
    embeddings, identities, groups = clustered()
    table = {"identity": identities, "group": groups}
    assert evaluated(embeddings, table, "--metrics", "identification")[1]["notes"] == []
    embeddings[[3, 44]] = 0
    embeddings[50, 1:] = 0
    _, report = evaluated(embeddings, table, "--metrics", "identification", name="zero")
    said = "embeddings are 0 throughout, as where no face was found: as far from everybody, and judged"
    assert report["notes"] == [f"{(np.abs(embeddings).max(axis=1) == 0).sum()} {said}"]
