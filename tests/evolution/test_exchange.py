"""Evaluations out of archives, into archives, and from one archive to another."""

import json
import math
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualfair.evolution.archive import Archive, ArchivedScores, Evaluation, scores_in
from dualfair.evolution.exchange import from_csv, from_json, join, to_csv, to_json
from dualfair.evolution.storage import Heading
from dualfair.supernet.genotype import Genotype

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
GENOTYPES = st.builds(
    Genotype,
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=3), min_size=1, max_size=3),
    st.sampled_from(["", "cosface", "own_head"]),
)
SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def scores(draw, columns=None):
    columns = columns or draw(st.lists(TEXT, min_size=2, max_size=4, unique=True))
    heading = Heading(draw(TEXT), tuple(columns), draw(st.integers(2, min(len(columns), 4))))
    values = st.tuples(*[st.floats()] * len(columns))
    seconds = st.floats(0, 1e6) | st.just(math.nan)
    reasons = st.none() | TEXT.filter(bool)
    evaluations = draw(
        st.lists(st.builds(Evaluation, GENOTYPES, values, seconds, reasons), max_size=5, unique_by=lambda e: e.genotype)
    )
    return ArchivedScores(heading, tuple(evaluations))


@st.composite
def archives(draw, columns=None):
    return draw(st.lists(scores(columns), min_size=1, max_size=3, unique_by=lambda measured: measured.heading.name))


def equal(scores, others):
    """Equal to the last bit, NaN included."""

    def bits(measurements):
        return [
            (
                measured.heading,
                [(e.genotype, np.array(e.values).tobytes(), repr(e.seconds), e.reason) for e in measured.evaluations],
            )
            for measured in measurements
        ]

    canonical = [
        ArchivedScores(
            measured.heading,
            tuple(
                Evaluation(e.genotype, tuple(math.nan if v != v else v for v in e.values), e.seconds, e.reason)
                for e in measured.evaluations
            ),
        )
        for measured in scores
    ]
    return bits(canonical) == bits(others)


@SETTINGS
@given(archives())
def test_json_gives_back_every_bit_through_an_archive_too(tmp_path, measurements):
    assert equal(measurements, from_json(to_json(measurements)))
    path = tmp_path / "a.sqlite"
    path.unlink(missing_ok=True)
    join(path, from_json(to_json(measurements)))
    again, repaired = scores_in(path)
    assert equal(measurements, again) and repaired == "" and to_json(again) == to_json(measurements)


@SETTINGS
@given(TEXT.flatmap(lambda name: archives((name, name + "2", "x" + name))))
def test_csv_gives_back_every_bit_of_measurements_with_evaluations(measurements):
    filled = [measured for measured in measurements if measured.evaluations]
    assert equal(filled, from_csv(to_csv(measurements)))
    assert not filled or to_csv(from_csv(to_csv(measurements))) == to_csv(measurements)


def test_csv_reads_as_a_spreadsheet_would(tmp_path):
    heading = Heading('{"weights": "a"}', ("error", "of a"), 2)
    evaluations = (
        Evaluation(Genotype.parse("101:cosface"), (0.1, math.inf), 1.5),
        Evaluation(Genotype.parse("000"), (math.nan, math.nan), reason='RuntimeError: "no", really'),
    )
    assert to_csv([ArchivedScores(heading, evaluations)]) == (
        "measurement,objectives,genotype,error,of a,seconds,reason\n"
        '"{""weights"": ""a""}",2,101:cosface,0.1,inf,1.5,\n'
        '"{""weights"": ""a""}",2,000,nan,nan,,"RuntimeError: ""no"", really"\n'
    )


def test_measurements_with_other_columns_do_not_share_a_table():
    measurements = [ArchivedScores(Heading("m", ("a", "b"), 2), ()), ArchivedScores(Heading("n", ("a", "c"), 2), ())]
    with pytest.raises(ValueError) as error:
        to_csv(measurements)
    assert "(1: a, b; 2: a, c); use a .json file, or --measurement with one of these numbers" in str(error.value)
    with pytest.raises(ValueError, match=r"holds no measurement, and a CSV file has to have columns; use a .json"):
        to_csv([])


EXAMPLE = [
    ArchivedScores(
        Heading('{"weights": "w"}', ("error", "disparity"), 2),
        tuple(Evaluation(Genotype(((n, 1),), "cosface"), (n / 3, math.inf), 0.5) for n in range(5)),
    )
]


@pytest.mark.parametrize(("write", "read"), [(to_json, from_json), (to_csv, from_csv)])
def test_a_mutated_file_is_read_as_scores_or_refused_in_one_line(write, read):
    text = write(EXAMPLE)
    refused = 0
    for seed in range(400):
        rng = random.Random(seed)
        data = list(text)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(data))
            kind = rng.randrange(4)
            if kind == 0:
                del data[place : place + rng.randint(1, 30)]
            elif kind == 1:
                data[place] = rng.choice('",:[]{}\n\\0129eE-+.naif\x00é\ud800')
            elif kind == 2:
                data.insert(place, rng.choice('",:[]{}\n\\0129eE-+.x'))
            else:
                del data[place:]
            data = data or ["x"]
        try:
            for measured in read("".join(data)):
                columns = len(measured.heading.columns)
                assert all(len(evaluation.values) == columns for evaluation in measured.evaluations)
        except ValueError as error:
            refused += 1
            assert not isinstance(error, UnicodeError) and "\n" not in str(error) and len(str(error)) < 600
    assert refused > 130


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_arbitrary_text_is_no_export(text):
    for read in (from_json, from_csv):
        with pytest.raises(ValueError) as error:
            read(text)
        assert "\n" not in str(error.value)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_an_entry_of_another_kind_is_refused_with_its_place(data):
    document = json.loads(to_json(EXAMPLE))
    measured = document["measurements"][0]
    holder, keys = data.draw(
        st.sampled_from(
            [
                (document, ["format", "measurements"]),
                (measured, ["name", "columns", "objectives", "evaluations"]),
                (measured["evaluations"][2], ["genotype", "values", "seconds", "reason"]),
                (measured["evaluations"][1]["values"], [0, 1]),
            ]
        )
    )
    holder[data.draw(st.sampled_from(keys))] = data.draw(JSON_VALUES)
    try:
        read = from_json(json.dumps(document).replace("NaN", '"nan"').replace("Infinity", '"inf"'))
    except ValueError as error:
        assert not isinstance(error, UnicodeError) and "\n" not in str(error)
    else:
        assert from_json(to_json(read)) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "it is nested too deeply to be exported scores"),
        ('{"format": "other"}', 'it does not say "format": "dualfair scores 1", as exported scores do'),
        ('{"format": NaN}', 'NaN is no JSON; write it as text: "nan", "inf" or "-inf"'),
        (
            to_json(EXAMPLE).replace("21:c", "2-x:c"),
            "measurement 1, evaluation 3: genotype '2-x:cosface': block 2 is 'x'",
        ),
        (to_json(EXAMPLE).replace('"inf"', "true", 1), "measurement 1, evaluation 1: True is no number"),
        (to_json(EXAMPLE).replace('"inf"', "1" * 400, 1), "measurement 1, evaluation 1: 1111"),
        (to_json(EXAMPLE).replace('"disparity"', '"\\ud800"'), "measurement 1: '\\ud800' holds half a character"),
    ],
)
def test_what_is_wrong_with_a_json_file_is_named(text, message):
    with pytest.raises(ValueError) as error:
        from_json(text)
    assert str(error.value).startswith(message)


CSV = to_csv(EXAMPLE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 must be measurement, objectives, genotype, the columns, seconds, reason"),
        (CSV.replace("genotype", "Genotype"), "line 1 must be"),
        (CSV.replace(",2,", ",9,", 1), "line 2: objectives must be 2 to 4, got 9"),
        (CSV.replace(",2,", ",two,", 1), "line 2: objectives must be 2 to 4, got 'two'"),
        (CSV.replace(",inf", "", 1), "line 2 has 6 fields, expected 7"),
        (CSV.replace("inf", "1_0", 1), "line 2: '1_0' is no number"),
        (CSV.replace("01:cosface", "0x:cosface", 1), "line 2: genotype '0x:cosface': block 1 is '0x'"),
        (CSV + '"open', "line 7: unexpected end of data"),
    ],
)
def test_what_is_wrong_with_a_csv_file_is_named(text, message):
    with pytest.raises(ValueError) as error:
        from_csv(text)
    assert str(error.value).startswith(message)


def archive_with(path, pairs, measurement="m"):
    with Archive(path, measurement=measurement, columns=("a", "b")) as archive:
        for genotype, value in pairs:
            archive.add([Genotype.parse(genotype)], [[value, 0.5]])
    return path


def test_joining_adds_what_is_missing_keeps_what_is_known_and_counts_what_differs(tmp_path):
    into = archive_with(tmp_path / "into.sqlite", [("1", 1.0), ("2", 2.0), ("3", 3.0)])
    first = archive_with(tmp_path / "one.sqlite", [("2", 2.0), ("3", 7.0), ("4", 4.0)])
    archive_with(first, [("1", 8.0)], "another")
    second = archive_with(tmp_path / "other.sqlite", [("4", 9.0), ("5", math.nan)])
    joined, _ = join(into, [*scores_in(first)[0], *scores_in(second)[0]])
    assert [(j.heading.name, j.added, j.equal, j.differing, str(j.first_differing)) for j in joined] == [
        ("m", 2, 1, 2, "3"),
        ("another", 1, 0, 0, "None"),
    ]
    measurements, _ = scores_in(into)
    assert {str(e.genotype): repr(e.values[0]) for e in measurements[0].evaluations} == dict(
        zip("12345", ["1.0", "2.0", "3.0", "4.0", "nan"], strict=True)
    )
    assert [str(e.genotype) for e in measurements[1].evaluations] == ["1"]
    again, _ = join(into, [*scores_in(first)[0], *scores_in(second)[0]])
    assert [(j.added, j.equal, j.differing) for j in again] == [(0, 3, 2), (0, 1, 0)]


def test_joined_measurements_with_other_columns_are_refused_and_nothing_is_written(tmp_path):
    into = archive_with(tmp_path / "into.sqlite", [("1", 1.0)])
    before = scores_in(into)[0]
    fine = ArchivedScores(Heading("fine", ("a", "b"), 2), (Evaluation(Genotype.parse("1"), (1.0, 2.0)),))
    with pytest.raises(ValueError, match=r"holds measurement 'm' with columns a, b \(2 objectives\), got a, c"):
        join(into, [fine, ArchivedScores(Heading("m", ("a", "c"), 2), ())])
    assert scores_in(into)[0] == before
