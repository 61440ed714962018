"""One rule for labels that are missing, torn or spelled in several ways."""

from collections import Counter

import numpy as np
import pytest

from dualfair.supernet.images.labels import doubts, fold, is_missing, known_labels, labels_of, usual_column
from dualfair.supernet.images.manifest import Manifest

PANDAS = (
    " ", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
"""What pandas 2 and 3 read as missing, from their documentation of `na_values`."""
OTHERS = (
    "",
    "?",
    "-",
    "unknown",
    "UNKNOWN",
    " Unknown ",
    "(unknown)",
    "[]",
    "set()",
    "array([], dtype=object)",
    "array([nan])",
    "np.nan",
    "np.float64(nan)",
    "np.str_('nan')",
    "numpy.datetime64('NaT')",
    "pd.NA",
    "float('nan')",
    "1.23457E+11",
    "9.87654321012346E+15",
    "\\N",
    "NaT",
    "#REF!",
    "ＮＡ",
    "n\u200ba",
    "—",
    "...",
    "*",
    "_",
    "N / A",
    "NOT_KNOWN",
    "not-available",
    "Not specified",
    "n.\u00a0a.",
    "unknоwn",
    "None\x00",
    "\u3164",
)
NAMES = (
    *("0", "-1", "99", "1.5", "no", "not Male", "Other", "Nana", "Naan", "N", "E", "M", "inf", "nonesuch"),
    *("unknown to us", "a-b", "女", "Né", "O", "none of these", "♀", "+", "NAM", "Nullarbor", "set", "['a']", "array"),
    *("1.5e+03", "1e+11", "1.23457e11", "1.23456789012E+11", "1.2E+10", "np.float64(1.0)", "np.str_('a')", "pd.DA"),
)


def manifest_of(rows, column="group"):
    """A manifest of (identity, group) rows."""
    identities, groups = zip(*rows, strict=True)
    return Manifest({"path": tuple(map(str, range(len(rows)))), "identity": identities, column: groups})


@pytest.mark.parametrize("value", [*PANDAS, *OTHERS])
def test_what_programs_write_for_nothing_is_neither_a_group_nor_a_person(value):
    labels = labels_of(manifest_of([("x", "a"), ("y", value), (value, "a"), (value, "b"), ("z", "b")]), "group")
    assert labels.group_of == {"x": "a", "z": "b"}
    assert labels.groupless == {"y": value} and labels.nameless == {value: 2}


@pytest.mark.parametrize("value", NAMES)
def test_names_numbers_and_words_that_hold_nothing_spelled_are_groups(value):
    assert not is_missing(value)
    assert labels_of(manifest_of([("x", value), (value, value)]), "group").group_of == {"x": value, value: value}


def test_the_group_is_that_of_most_images_and_equal_numbers_decide_nothing():
    """Against counts by numpy, on random images of few people with few groups, some of them missing."""
    rng = np.random.default_rng(0)
    identities = rng.integers(0, 60, 400).astype(str)
    groups = np.array(["a", "b", "c", ""])[rng.choice(4, 400, p=(0.5, 0.2, 0.1, 0.2))]
    labels = labels_of(manifest_of([*zip(identities.tolist(), groups.tolist(), strict=True)]), "group")
    seen = Counter()
    for person in np.unique(identities).tolist():
        values, counts = np.unique(groups[identities == person], return_counts=True)
        first = values[counts == counts.max()].tolist()
        images = dict(zip(np.where(values == "", "no group", values).tolist(), counts.tolist(), strict=True))
        kind = "torn" if len(first) > 1 else "groupless" if first == [""] else "mixed" if len(values) > 1 else "plain"
        seen[kind] += 1
        assert labels.group_of.get(person) == (first[0] if kind in ("mixed", "plain") else None)
        assert (person in labels.groupless) == (kind == "groupless")
        assert labels.torn.get(person) == (images if kind == "torn" else None)
        assert labels.mixed.get(person) == (images if kind == "mixed" else None)
    assert min(seen[kind] for kind in ("torn", "groupless", "mixed", "plain")) > 0


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ("Male", "male", "'Male' and 'male'"),
        ("not Male", "not  male", "'not  male' and 'not Male'"),
        ("East Asian", "East\u00a0Asian", "'East Asian' and 'East\\xa0Asian'"),
        ("ＭＡＬＥ", "MALE", "'MALE' and 'ＭＡＬＥ'"),
        ("Métis", "Me\u0301tis", "'Me\\u0301tis' and 'M\\xe9tis'"),
        ("straße", "STRASSE", "'STRASSE' and 'straße'"),
        ("b\u200b", "b", "'b' and 'b\\u200b'"),
        ("1", "1.0", "'1' and '1.0'"),
        ("001", "1", "'001' and '1'"),
        ("00", "0.0", "'0.0' and '00'"),
        ("-01.0", "-1", "'-01.0' and '-1'"),
        ("TRUE", "1.0", "'1.0' and 'TRUE'"),
        ("0", "False", "'0' and 'False'"),
        ("'Asian'", "Asian", "\"'Asian'\" and 'Asian'"),
        ('"Asian"', "asian", "'\"Asian\"' and 'asian'"),
        ("East-Asian", "East Asian", "'East Asian' and 'East-Asian'"),
        ("East_Asian", "east\u2013asian", "'East_Asian' and 'east–asian'"),
        ("not - known yet", "Not_Known__yet", "'Not_Known__yet' and 'not - known yet'"),
        ("Mаle", "Male", "'Male' and 'M\\u0430le'"),
        ("ΑΜΗΝ", "AMHN", "'AMHN' and '\\u0391\\u039c\\u0397\\u039d'"),
        ("O’Brien", "O'Brien", "\"O'Brien\" and 'O\\u2019Brien'"),
        ("a\x00", "a", "'a' and 'a\\x00'"),
        ("a\ufe0f", "a", "'a' and 'a\\ufe0f'"),
    ],
)
def test_spellings_of_one_group_or_person_stop_with_both(one, other, named):
    groups = manifest_of([("x", one), ("y", other), ("z", "c")])
    people = manifest_of([(one, "a"), (other, "b"), ("z", "b")])
    said = f"differ only in spelling: {named}; give each one spelling"
    for manifest, what in ((groups, "column 'group' has groups that"), (people, "identities that")):
        with pytest.raises(ValueError) as error:
            known_labels(manifest, "group", drop_unknown=True)
        assert str(error.value) == f"{what} {said}"
    assert labels_of(people, None).alike and not labels_of(groups, None).alike


def test_names_that_are_not_spellings_of_one_thing_are_kept_apart():
    signs = (("-1", "1"), ("level -1", "level 1"), ("(0, -5]", "(0, 5]"), ("a-", "a"), ("+", "-"), ("1_0", "10"))
    words = (
        ("a", "b"),
        ("1", "10"),
        ("1", "1.5"),
        ("010", "01"),
        ("0", "00.1"),
        ("m01", "m1"),
        ("1", "yes"),
        ("Né", "Ne"),
        ("a b", "ab"),
        ("ß", "s"),
        ("м", "н"),
    )
    for one, other in (*words, *signs):
        assert fold(one) != fold(other)
        assert not labels_of(manifest_of([(one, one), (other, other)]), "group").alike


ROWS = [
    *[("p", "a")] * 3, *[("q", "b")] * 2, ("q", "a"), *[("r", "NA")] * 2, ("s", ""), *[("t", "b"), ("t", "a")] * 2,
    ("", "a"), ("nan", "b"), ("", "b"),
]  # fmt: skip


def test_people_of_unknown_labels_stop_with_counts_and_the_option_that_leaves_them_out():
    with pytest.raises(ValueError) as error:
        known_labels(manifest_of(ROWS), "group")
    assert str(error.value) == (
        "3 images have no identity ('' 2, 'nan' 1); "
        "2 identities have no group in column 'group' ('NA' 1, '' 1): r, s; "
        "1 identities have two groups in column 'group' in equal number: t (b 2, a 2); "
        "correct that, or leave them out with --drop-unknown"
    )
    labels = known_labels(manifest_of(ROWS), "group", drop_unknown=True)
    assert labels.group_of == {"p": "a", "q": "b"}
    assert labels.decided == [
        "left out: 3 images have no identity ('' 2, 'nan' 1)",
        "left out: 2 identities have no group in column 'group' ('NA' 1, '' 1): r, s",
        "left out: 1 identities have two groups in column 'group' in equal number: t (b 2, a 2)",
        "1 identities have images of two groups in column 'group', the majority counts: q (b 2, a 1)",
    ]


def test_some_rows_are_judged_alone_and_without_a_column_only_names_count():
    manifest = manifest_of(ROWS)
    assert known_labels(manifest, "group", range(6)).group_of == {"p": "a", "q": "b"}
    assert known_labels(manifest, "group", [9, 10, 11]).group_of == {"t": "b"}
    everyone = known_labels(manifest, None, drop_unknown=True)
    assert everyone.group_of == dict.fromkeys("pqrst", "all") and everyone.nameless == {"": 2, "nan": 1}
    with pytest.raises(ValueError, match="3 images have no identity"):
        known_labels(manifest, None)


def test_where_nobody_has_a_group_other_columns_are_named_and_the_option_is_not():
    manifest = manifest_of([("x", ""), ("y", "NA")])
    manifest = Manifest({**manifest.columns, "race": ("a", "b")})
    for drop_unknown in (False, True):
        with pytest.raises(ValueError) as error:
            known_labels(manifest, "group", drop_unknown=drop_unknown)
        assert str(error.value) == (
            "nobody is left: 2 identities have no group in column 'group' ('' 1, 'NA' 1): x, y; name another column: "
            "race"
        )
    nameless = Manifest({**manifest.columns, "identity": ("", "nan")})
    with pytest.raises(ValueError, match=r"nobody is left: 2 images have no identity \('' 1, 'nan' 1\)$"):
        known_labels(nameless, "race", drop_unknown=True)
    assert usual_column(manifest) is None and usual_column(manifest_of(ROWS)) == "group"
    assert usual_column(Manifest({"path": ("1",), "identity": ("x",)})) is None


def test_other_columns_are_looked_at_too():
    manifest = manifest_of([("x", "a"), ("y", "b"), ("z", "b"), ("z", "b")])
    columns = {"race": ("Asian", "asian", "", "NA"), "age": ("1", "2", "3", "3"), "split": ("train", "test", "", "")}
    manifest = Manifest({**manifest.columns, **columns})
    assert [*doubts(manifest, "group")] == [
        "column 'race' has no value for 2 images ('' 1, 'NA' 1)",
        "column 'race' has values that differ only in spelling: 'Asian' and 'asian'",
    ]
    assert [*doubts(manifest, "race")] == []


@pytest.mark.parametrize("name", ["all", "All", "all pairs"])
def test_a_group_called_as_everybody_together_is_refused(name):
    manifest = manifest_of([("x", name), ("y", "b"), ("all", "b")])
    for drop_unknown in (False, True):
        with pytest.raises(ValueError) as error:
            known_labels(manifest, "group", drop_unknown=drop_unknown)
        said = f"column 'group' has a group {name!r}, as everybody together is called; give it another name"
        assert str(error.value) == said
    assert known_labels(manifest, None).group_of == {"x": "all", "y": "all", "all": "all"}
    other = manifest_of([("x", "all of us"), ("y", "overall")])
    assert known_labels(other, "group").group_of == {"x": "all of us", "y": "overall"}


def test_line_breaks_in_labels_break_no_sentence():
    manifest = Manifest({"path": ("1", "2"), "identity": ("p\nq",) * 2, "group": ("x\ny", "z\x1b[31m")})
    with pytest.raises(ValueError, match=r"equal number: p\\nq \(x\\ny 1, z\\x1b\[31m 1\)$"):
        known_labels(manifest, "group")
