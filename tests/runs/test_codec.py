"""Records print as JSON and are read back as they were; what is damaged is told in one line."""

import dataclasses
import importlib
import json
import pkgutil
import types
import typing
from collections.abc import Mapping, Sequence
from typing import get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualfair.evaluation.protocol import Scores
from dualfair.evaluation.statistics.ranking import Estimate
from dualfair.presentation.table import SHOWN, Column, Table
from dualfair.runs import records
from dualfair.runs.options import ConstraintOptions, ProtocolOptions, SearchOptions, TrainOptions
from dualfair.runs.records.codec import Record, decode, encode
from dualfair.runs.records.search import Front, FrontNetwork, SearchConfig
from dualfair.runs.records.study import StudyFigure
from dualfair.runs.records.training import (
    SAMPLES,
    NetworkDescription,
    PlannedTraining,
    RetrainConfig,
    TrainConfig,
    TrainedOn,
    TrainingPlan,
    TrainingResult,
)
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.genotype import HEAD_NAMES, Genotype
from dualfair.supernet.images.manifest import Manifest
from dualfair.supernet.training.recipe import Recipe
from tests.support.faces import manifest_of
from tests.support.json_values import mutated
from tests.support.records import scores, training_result

for module in pkgutil.iter_modules(records.__path__, "dualfair.runs.records."):
    importlib.import_module(module.name)
RECORDS = sorted(
    {kind for kind in Record.__subclasses__() if kind.__module__.startswith(("dualfair.runs", "dualfair.stages"))},
    key=lambda kind: kind.__name__,
)

NAMES = st.sampled_from(["error", "rank_disparity", "log_rank_disparity at gallery 8", "error of a"])
HEADS = st.sampled_from(HEAD_NAMES)
CODES = st.lists(st.tuples(*[st.integers(0, 8)] * 3), min_size=1, max_size=3).map(tuple)
GENOTYPES = st.builds(Genotype, CODES, HEADS)
TRAININGS = st.builds(
    TrainingSpec,
    GENOTYPES | st.builds(Backbone, st.sampled_from(["dpn68b", "resnet18"]), HEADS),
    st.sampled_from([(), (("lr", 0.5),), (("optimizer", "adamw"), ("flip", False))]),
    st.integers(0, 10**9 - 1),
)


def tables(width):
    """Tables of so many columns."""
    names = st.lists(st.text(max_size=3), min_size=width, max_size=width, unique=True)
    columns = names.flatmap(
        lambda drawn: st.tuples(*(st.builds(Column, st.just(n), st.sampled_from([*SHOWN])) for n in drawn))
    )
    cells = (
        st.none()
        | st.booleans()
        | st.integers(-9, 9)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=3)
    )
    return st.builds(Table, columns, st.lists(st.tuples(*[cells] * width), max_size=2).map(tuple), st.text(max_size=9))


PLAIN = {
    float: st.floats(),
    int: st.integers(-(2**63), 2**63 - 1),
    str: st.text(max_size=20),
    bool: st.booleans(),
    type(None): st.none(),
    # What a file holds as numbers that JSON lacks is text where its type is not known.
    object: st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.lists(st.text(max_size=3), max_size=2),
    Genotype: GENOTYPES,
    TrainingSpec: TRAININGS,
    Recipe: st.builds(Recipe, epochs=st.floats(0.01, 1e6), batch=st.integers(2, 64), flip=st.booleans()),
    TrainOptions: st.builds(TrainOptions, space=st.text(max_size=9), confirm=st.floats(0, 1), seed=st.integers(0, 9)),
    ProtocolOptions: st.builds(ProtocolOptions, calibrate=st.integers(0, 512), objectives=st.text(max_size=9)),
    SearchOptions: st.builds(SearchOptions, population=st.integers(1, 99)),
    ConstraintOptions: st.builds(ConstraintOptions, max_latency=st.floats(0, 1e6), max_macs=st.integers(0, 2**62)),
    Table: st.integers(1, 3).flatmap(tables),
    StudyFigure: st.builds(StudyFigure, st.sampled_from(["a.png", "front.png"]), st.text(max_size=9)),
    PlannedTraining: st.builds(PlannedTraining, TRAININGS, st.frozensets(st.sampled_from(SAMPLES), min_size=1)),
}


def values_of(hint):
    """Values of a type hint."""
    if hint in PLAIN:
        return PLAIN[hint]
    if dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        fields = {field.name: values_of(hints[field.name]) for field in dataclasses.fields(hint)}
        return st.builds(hint, **fields)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return st.tuples(*map(values_of, arguments))
    if origin in (tuple, Sequence):
        lists = st.lists(values_of(arguments[0]), max_size=2)
        return lists.map(tuple) if origin is tuple else lists
    if origin is frozenset:
        return st.frozensets(values_of(arguments[0]), max_size=3)
    if origin in (dict, Mapping):
        return st.dictionaries(NAMES, values_of(arguments[1]), max_size=1)
    raise TypeError(f"no values of {hint}")


def test_every_record_is_looked_at():
    assert len(RECORDS) >= 17 and {TrainingResult, SearchConfig, Front} <= {*RECORDS}


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_record_is_read_back_from_its_file_as_it_was_written(tmp_path, kind, data):
    record = data.draw(values_of(kind))
    path = tmp_path / "record.json"
    record.write(path)
    # JSON is strict: no NaN, no Infinity.
    json.loads(path.read_text(), parse_constant=pytest.fail)
    again = kind.read(path)
    # repr tells nan from None and 1 from 1.0; nan is not equal to itself.
    assert repr(again) == repr(record) or again == record
    assert repr(again.to_json()) == repr(record.to_json())


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
def test_any_damage_is_taken_or_told_in_one_short_line(kind, data):
    """Any value at any place of a record's JSON."""
    value = json.loads(json.dumps(data.draw(values_of(kind)).to_json()))
    try:
        kind.from_json(mutated(value, data))
    except ValueError as error:
        assert "\n" not in str(error) and 0 < len(str(error)) < 600


def test_names_of_a_file_that_break_lines_do_not_break_the_message():
    value = {"genotype": "101:cosface", "error\nof a": "high"}
    with pytest.raises(ValueError) as error:
        FrontNetwork.from_json(value)
    assert str(error.value) == "error of a must be a float, got 'high'"


@pytest.mark.parametrize("depth", range(900, 1000, 5))
def test_a_value_that_is_nested_as_deep_as_can_be_read_is_damage(tmp_path, depth):
    path = tmp_path / "record.json"
    path.write_text('{"jobs": ' + "[" * depth + "]" * depth + "}")
    with pytest.raises(ValueError, match=r"record.json is damaged \(.*\); restore it, or use another directory"):
        TrainingPlan.read(path)


CONFIG = RetrainConfig(recipe=Recipe(), protocol=ProtocolOptions(), weights="w")
SEARCH = SearchConfig(
    options=SearchOptions(population=9),
    protocol=ProtocolOptions(objectives="error,std"),
    constraints=ConstraintOptions(max_macs=7),
)
RESULT = training_result("101-101:cosface,lr=0.5", 3)
DESCRIPTION = NetworkDescription(
    TrainingSpec.of_label("101-101:cosface", 3), "nano", (1, 1), 32, "cosface", 9, TrainedOn("f", "group", "1,1,1", 0)
)


def test_the_keys_of_files_are_stable():
    """Other programs read them; a training stands beside the other keys, and so do options."""

    def keys(record):
        return ", ".join(record.to_json())

    assert keys(RESULT) == "training, seed, params, macs, seconds, validation, test"
    assert ", ".join(RESULT.to_json()["test"]) == (
        "error, disparity, probes, excluded, groups, measures, halves, undefined"
    )
    assert keys(DESCRIPTION) == "training, seed, skeleton, blocks, size, heads, identities, trained_on"
    assert keys(CONFIG).startswith("epochs, ") and keys(CONFIG).endswith(
        ", objectives, minimised, measured, disparity, weights"
    )
    assert dataclasses.replace(CONFIG, seeds_from=10**6).to_json()["seeds from"] == 10**6
    assert {"population", "calibrate", "max_macs", "objectives", "minimised", "scored on"} <= set(SEARCH.to_json())
    front = Front(SEARCH, ("error", "std"), 96, {"raw pixels": 0.5}, (), None)
    assert keys(front) == "config, objectives, images, errors to beat, front, confirmation"


def changed(record, *keys_and_value):
    """The class of a record, and its JSON with another value at a path of keys; `...` leaves the last key out."""
    *keys, last, value = keys_and_value
    whole = json.loads(json.dumps(record.to_json()))
    inner = whole
    for key in keys:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return type(record), whole


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ((TrainingResult, None), "it holds no names and values, but None"),
        ((TrainingResult, [1]), "it holds no names and values, but [1]"),
        (changed(RESULT, "seconds", ...), "'seconds' is missing in it"),
        (changed(RESULT, "seconds", "1.5"), "seconds must be a float, got '1.5'"),
        (changed(RESULT, "seconds", True), "seconds must be a float, got True"),
        (changed(RESULT, "params", 1.0), "params must be a int, got 1.0"),
        (changed(RESULT, "params", 2**63), "params must be a number of at most 64 bits, got one of 64 bits"),
        (changed(RESULT, "seconds", 10**400), "seconds must be a number of at most 64 bits"),
        (changed(RESULT, "seed", 10**9), "a training's seed must be 0 to 999999999, got '1000000000'"),
        (changed(RESULT, "training", 7), "training must be a str, got 7"),
        (changed(RESULT, "test", 0.5), "test: it holds no names and values, but 0.5"),
        (changed(RESULT, "test", "groups", 0, "error", "low"), "test: groups: error must be a float, got 'low'"),
        (changed(RESULT, "test", "groups", 0, 3), "test: groups: it holds no names and values, but 3"),
        (changed(RESULT, "test", "groups", {}), "test: groups must be a list, got {}"),
        (changed(RESULT, "test", "measures", "error", None), "test: measures: error must be a float, got None"),
        (changed(RESULT, "test", "measures", [1]), "test: measures must be names and values, got [1]"),
        (changed(RESULT, "test", "error", "x" * 999), f"test: error must be a float, got '{'x' * 76}..."),
        (changed(DESCRIPTION, "blocks", 0, "1"), "blocks must be a int, got '1'"),
        (changed(DESCRIPTION, "trained_on", "split", ...), "trained_on: 'split' is missing in it"),
        (changed(CONFIG, "epochs", ...), "'epochs' is missing in it"),
        (changed(CONFIG, "calibrate", ...), "'calibrate' is missing in it"),
        (changed(CONFIG, "epochs", -1), "epochs must be above 0, got -1.0"),
        (changed(CONFIG, "epochs", "inf"), "epochs must be a finite number, got inf"),
        (changed(CONFIG, "lr", "nan"), "lr must be a finite number, got nan"),
        (changed(CONFIG, "lr", float("-inf")), "lr must be a finite number, got -inf"),
        (changed(SEARCH, "max_latency", "inf"), "max_latency must be a finite number, got inf"),
        (changed(SEARCH, "max_macs", -1), "max_macs must be 0 (no limit) or more, got -1"),
        (changed(SEARCH, "calibrate", ...), "'calibrate' is missing in it"),
        (changed(SEARCH, "objectives", ["error", "std"]), "objectives must be a str, got ['error', 'std']"),
        (changed(SEARCH, "start", ["9x9:cosface"]), "start: genotype '9x9:cosface': block 1 is '9x9', position 2"),
        (
            (Front, {"config": {}, "objectives": [], "images": 1, "errors to beat": {}, "front": [3]}),
            "config: 'population' is missing in it",
        ),
    ],
    ids=lambda part: part if isinstance(part, str) else part[0].__name__,
)
def test_damage_is_told_by_its_key_and_its_value(damaged, message):
    kind, value = damaged
    with pytest.raises(ValueError) as error:
        kind.from_json(value)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_intervals_have_two_ends():
    value = {"n": 3, "value": 0.5, "interval": [0.1, 0.9, 1.0], "method": None}
    with pytest.raises(ValueError, match="interval must be 2 values, got 3"):
        decode(Estimate, value)
    assert decode(Estimate, {**value, "interval": [0, 1]}).interval == (0.0, 1.0)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_results_may_be_undefined_or_infinite(tmp_path, text):
    result = training_result(test=scores(float(text), float(text), halves=[{"error": float(text)}]))
    result.write(tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text())["test"]["error"] == text
    read = TrainingResult.read(tmp_path / "result.json").test
    assert list(map(repr, (read.error, read.disparity, read.halves[0]["error"]))) == [text] * 3


def test_whole_numbers_are_numbers_with_a_point_where_these_are_asked_for():
    kind, value = changed(RESULT, "seconds", 2)
    seconds = kind.from_json(value).seconds
    assert seconds == 2.0 and type(seconds) is float


def test_what_a_record_lacks_that_was_added_later_has_its_default():
    value = SEARCH.to_json()
    for name in ("start", "scored on", "exhaustive", "evaluations"):
        del value[name]
    assert SearchConfig.from_json(value) == SEARCH
    value = RESULT.to_json()
    del value["test"]["undefined"]
    assert TrainingResult.from_json(value) == RESULT


def test_keys_that_a_record_does_not_know_are_left_alone():
    assert TrainingResult.from_json({**RESULT.to_json(), "later": 1}) == RESULT


def test_a_damaged_file_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "result.json"
    path.write_text('{"training": "101:cosface", "seed": 0}')
    with pytest.raises(ValueError) as error:
        TrainingResult.read(path, "train again")
    assert str(error.value) == f"{path} is damaged ('params' is missing in it); train again"
    with pytest.raises(ValueError, match=r"none.json is damaged \(No such file or directory\); restore it, or use"):
        TrainingResult.read(tmp_path / "none.json")


def test_a_training_configuration_knows_whom_its_networks_are_trained_on():
    config = TrainConfig(
        faces="../faces",
        options=TrainOptions(group_column="age", split="1,1,1", split_seed=4),
        recipe=Recipe(),
        choices_digest="c",
        faces_fingerprint="f",
    )
    assert config.trained_on == TrainedOn("f", "age", "1,1,1", 4)
    assert TrainConfig.from_json(config.to_json()) == config


def test_the_scores_of_a_split_are_taken_by_its_name():
    result = training_result(validation=scores(0.1), test=scores(0.2))
    assert (result.on("validation").error, result.on("test").error) == (0.1, 0.2)
    assert isinstance(result.test, Scores)


def test_an_option_that_is_left_out_at_its_default_changes_no_record_and_comes_back():
    assert (
        "drop_unknown" not in encode(TrainOptions()) and decode(TrainOptions, encode(TrainOptions())) == TrainOptions()
    )
    asked = TrainOptions(drop_unknown=True)
    assert encode(asked)["drop_unknown"] is True and decode(TrainOptions, encode(asked)) == asked


@pytest.mark.parametrize("drop_unknown", [False, True])
def test_later_stages_leave_out_whom_training_left_out(drop_unknown):
    options = TrainOptions(drop_unknown=drop_unknown, split="0.4,0.3,0.3", split_seed=3)
    config = TrainConfig(faces="f", options=options, recipe=Recipe(), choices_digest="", faces_fingerprint="x")
    trained_on = TrainedOn.from_json(TrainConfig.from_json(config.to_json()).trained_on.to_json())
    assert trained_on == TrainedOn("x", "group", "0.4,0.3,0.3", 3, drop_unknown)
    manifest = manifest_of()
    plain = trained_on.splits(manifest)
    assert sum(map(len, plain.values())) == 80
    unknown = Manifest({**manifest.columns, "group": ("NA",) * 8 + manifest.columns["group"][8:]})
    if not drop_unknown:
        with pytest.raises(ValueError, match="2 identities have no group"):
            trained_on.splits(unknown)
        return
    assert sorted(np.concatenate([*trained_on.splits(unknown).values()]).tolist()) == list(range(8, 80))


@pytest.mark.parametrize(("amp", "precision"), [(True, "bf16"), (False, "tf32")])
def test_records_of_the_time_when_precision_was_amp_are_read(amp, precision):
    written = CONFIG.to_json()
    assert written.pop("train_precision") == "bf16"
    assert RetrainConfig.from_json({**written, "amp": amp}).recipe == Recipe(train_precision=precision)
    with pytest.raises(ValueError, match="'train_precision' is missing in it"):
        RetrainConfig.from_json(written)
