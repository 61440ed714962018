import dataclasses
import json

import pytest

from dualfair.supernet.families.inverted_residual import Identity, InvertedResidual
from dualfair.supernet.production.skeleton_data import numbers_of, skeleton_from
from dualfair.supernet.skeleton import SKELETONS

MACRO = SKELETONS["nas-bench-macro"]


@pytest.mark.parametrize("name", SKELETONS)
def test_every_built_in_skeleton_is_data(name):
    skeleton = SKELETONS[name].resized(64)
    data = json.loads(json.dumps(numbers_of(skeleton)))
    assert skeleton_from(data) == dataclasses.replace(skeleton, heads=())


def test_other_sizes_of_operations_are_data_too():
    operations = (InvertedResidual(7, 4, "relu6"), Identity(), InvertedResidual(3, 1, "relu6"))
    skeleton = dataclasses.replace(MACRO, operations=operations, activation="relu6", heads=())
    data = numbers_of(skeleton)
    assert data["operations"] == ["k7e4", "identity", "k3e1"]
    assert skeleton_from(data) == skeleton


def test_operations_that_names_do_not_tell_are_no_data():
    other = (Identity(), InvertedResidual(3, 3, "relu6"))
    assert numbers_of(dataclasses.replace(MACRO, operations=other)) is None
    assert numbers_of(dataclasses.replace(MACRO, operations=SKELETONS["nano"].operations)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "odd"}, "family must be one of dual_path, inverted_residual, mix, residual, got 'odd'"),
        ({"family": ["odd"]}, "family must be one of"),
        ({"family": "dual_path"}, "unknown or missing"),
        ({"operations": ["identity", "k3"]}, "operations must be like 'identity' or 'k3e6', got 'k3'"),
        ({"operations": [1]}, "operations must be like"),
        ({"activation": "gelu"}, "activation must be relu or relu6, got 'gelu'"),
        ({"stem_out": -1}, "stem_out must be like 0, got '-1'"),
        ({"widths": [0, 1, 1]}, "widths must be like"),
    ],
)
def test_wrong_data_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        skeleton_from({**numbers_of(MACRO), **change})
