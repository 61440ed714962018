from types import SimpleNamespace

import numpy as np
import pytest

from dualfair.evaluation.cost import macs, parameters
from dualfair.evaluation.network_features import network_features, operation_traits, with_inherited
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.space import ChoiceBlock, SearchSpace, dpn_space

NANO = skeleton_of("nano")


def test_features_say_what_a_network_is_made_of():
    space = dpn_space("dpn81", 4)
    genotypes = [space.parse("101-747-555-606:cosface"), space.parse("888-111-242-747:arcface")]
    features = network_features(genotypes, space, NANO)
    assert {name: values.shape for name, values in features.items()} == {
        "operations": (2, 9),
        "choices": (2, 8 * 9),
        "cost": (2, 2),
        "traits": (2, 12 * 6),
        "head": (2, 3),
    }
    assert features["operations"][0].tolist() == [2, 2, 0, 0, 1, 3, 2, 2, 0]
    assert features["choices"].sum(axis=1).tolist() == [8, 8]
    # Of every position the kernel and where the normalisation stands.
    assert features["traits"].sum(axis=1).tolist() == [24, 24]
    assert features["head"].tolist() == [[0, 1, 0], [1, 0, 0]]
    for row, genotype in zip(features["cost"], genotypes, strict=True):
        np.testing.assert_allclose(np.exp(row), [parameters(genotype, NANO), macs(genotype, NANO)])


def test_traits_are_what_operations_are_made_of_and_do_not_share():
    traits = operation_traits(NANO.operations)
    assert len(traits) == 9 and traits.sum(axis=1).tolist() == [2] * 9
    by_value = {tuple(np.flatnonzero(column)) for column in traits.T}
    assert by_value == {(0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 1, 2), (3, 4, 5), (6, 7, 8)}
    # All have the same activation, and identities neither kernel nor expansion.
    assert operation_traits(skeleton_of("nas-bench-macro").operations).tolist()[0] == [0] * 5
    own = SimpleNamespace(name="pooled", kernel=3)
    assert operation_traits([*NANO.operations, own])[9].sum() == 0
    assert operation_traits([own, own]).size == 0


def test_networks_that_differ_in_one_choice_differ_in_two_of_its_numbers():
    space = dpn_space("dpn81", 4, heads=("cosface",))
    first, second = (space.parse(text) for text in ("101-747-555-606:cosface", "101-747-585-606:cosface"))
    features = network_features([first, second], space, NANO)
    assert "head" not in features
    assert np.abs(np.diff(features["choices"], axis=0)).sum() == 2
    assert np.abs(np.diff(features["operations"], axis=0)).sum() == 2


def test_the_head_may_come_first_or_not_at_all():
    """Blocks of a space stand in any order."""
    genes = [((block, position),) for block in range(4) for position in range(3)]
    blocks = [ChoiceBlock(f"g{number}", ("pre1", "post1"), gene, (1, 7)) for number, gene in enumerate(genes)]
    first = SearchSpace([ChoiceBlock("head", ("arcface", "cosface")), *blocks])
    features = network_features([first.decode([1] + [0] * 12)], first, NANO)
    assert features["head"].tolist() == [[0, 1]] and features["choices"].tolist() == [[1, 0] * 12]


def test_a_genotype_outside_the_space_is_refused():
    space = dpn_space("dpn81", 4, heads=("cosface",))
    with pytest.raises(ValueError, match="has head 'arcface'; allowed: cosface"):
        network_features([dpn_space("dpn81", 4).parse("101:arcface")], space, NANO)


def test_inherited_scores_are_a_group_of_their_own():
    features = with_inherited(np.array([0.2, 0.3]), {"cost": np.zeros((2, 2))})
    assert [*features] == ["inherited", "cost"] and features["inherited"].tolist() == [[0.2], [0.3]]
