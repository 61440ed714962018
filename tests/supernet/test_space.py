import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualfair.supernet.genotype import Genotype
from dualfair.supernet.space import SPACES, ChoiceBlock, SearchSpace, dpn_space


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("dpn81", (9 * 9) ** 4 * 3),
        ("dpn729", 9**12 * 3),
        ("dpn81-shared", 9 * 9 * 3),
        ("dpn729-shared", 9**3 * 3),
    ],
)
def test_sizes_follow_from_the_choice_blocks(name, size):
    assert SPACES[name].size == size == math.prod(SPACES[name].sizes)


@pytest.mark.parametrize("name", [*SPACES])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_encode_and_decode_are_inverse(name, data):
    space = SPACES[name]
    vector = data.draw(st.tuples(*(st.integers(0, size - 1) for size in space.sizes)))
    genotype = space.decode(vector)
    assert space.encode(genotype).tolist() == list(vector)
    assert genotype in space
    assert space.parse(str(genotype)) == genotype


@pytest.mark.parametrize("name", ["dpn81-shared", "dpn729-shared"])
def test_enumeration_is_complete_and_without_repeats(name):
    everything = list(SPACES[name].enumerate())
    assert len(set(everything)) == len(everything) == SPACES[name].size


def test_ties_are_what_tells_the_spaces_apart():
    vanilla = Genotype.parse("101:cosface").repeat(4)
    assert all(vanilla in space for space in SPACES.values())
    free = Genotype.parse("680:cosface").repeat(4)
    assert [name for name, space in SPACES.items() if free in space] == ["dpn729", "dpn729-shared"]
    mixed = Genotype.parse("101-000-101-101:cosface")
    assert [name for name, space in SPACES.items() if mixed in space] == ["dpn81", "dpn729"]


def test_depth_is_data():
    space = dpn_space("dpn81", blocks=30)
    assert len(space.sizes) == 61
    assert space.decode([0] * 61).blocks == ((0, 0, 0),) * 30
    assert dpn_space("dpn81-shared", blocks=30).size == 243


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("101:cosface", None),
        ("109-101-101-101:cosface", "must have the same code, got 1, 9"),
        ("959-101-101-101:cosface", "block 1, position 1 has code 9; allowed: 0 (pre3), 1 (pre1)"),
        ("680:cosface", "block 1 position 1 and block 1 position 3 must have the same code, got 6, 0"),
        ("101:normface", "has head 'normface'; allowed: arcface, cosface, magface"),
        ("101", "names no head; allowed: arcface"),
        ("10:cosface", "block 1 has 2 codes, expected 3"),
        ("101-101:cosface", "has 2 blocks; expected 4"),
    ],
)
def test_validation_names_the_position_and_what_is_allowed(text, message):
    if message is None:
        assert SPACES["dpn81"].parse(text)
        return
    with pytest.raises(ValueError) as error:
        SPACES["dpn81"].parse(text)
    # Code 9 is caught at its own position before the tie is looked at.
    expected = "has code 9" if text.startswith("109") else message
    assert expected in str(error.value)


@pytest.mark.parametrize("name", [*SPACES])
@given(text=st.text(st.sampled_from("0123456789,-:acefgmrsti "), max_size=24))
@settings(max_examples=60, deadline=None)
def test_any_text_is_a_genotype_of_the_space_or_one_line(name, text):
    space = SPACES[name]
    try:
        genotype = space.parse(text)
    except ValueError as error:
        assert str(error).startswith("genotype ") and "\n" not in str(error)
    else:
        assert genotype in space and space.parse(str(genotype)) == genotype


def test_a_space_of_ones_own_of_any_sizes():
    space = SearchSpace([ChoiceBlock("kernel", ("3", "5")), ChoiceBlock("width", [str(w) for w in range(12)])])
    assert space.sizes == (2, 12) and space.size == 24 and space.heads == ()
    assert str(space.decode([1, 11])) == "1-11,"
    assert space.parse("1-11,") == space.decode([1, 11])
    assert {str(g) for g in space.enumerate()} == {str(space.decode(v)) for v in itertools.product(range(2), range(12))}


def test_a_restricted_space_keeps_the_codes_of_the_full_one():
    block = ChoiceBlock("all", ("pre3", "post3"), genes=((0, 0), (0, 1), (0, 2)), codes=(0, 6))
    space = SearchSpace([block, ChoiceBlock("head", ("cosface",))])
    assert [str(genotype) for genotype in space.enumerate()] == ["000:cosface", "666:cosface"]
    assert space.encode(Genotype.parse("666:cosface")).tolist() == [1, 0]


def test_samples_are_uniform_and_distinct():
    space = SPACES["dpn81-shared"]
    rng = np.random.default_rng(0)
    counts = np.zeros(9)
    for _ in range(3000):
        counts[space.encode(space.sample(rng))[0]] += 1
    assert counts.min() > 250 and counts.max() < 420
    assert len(set(space.sample_distinct(240, rng))) == 240
    assert len(set(SPACES["dpn81"].sample_distinct(50, rng))) == 50
    with pytest.raises(ValueError, match="holds 243 genotypes, cannot draw 244"):
        space.sample_distinct(244, rng)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SearchSpace([]), "at least one choice block"),
        (lambda: ChoiceBlock("a", ()), "has no choices"),
        (lambda: ChoiceBlock("a", ("x", "x")), "lists a choice twice"),
        (lambda: ChoiceBlock("a", ("x", "y"), codes=(1,)), "give one code a choice"),
        (lambda: SearchSpace([ChoiceBlock("a", ("x",)), ChoiceBlock("a", ("y",))]), "different names"),
        (lambda: SearchSpace([ChoiceBlock("a", "xy", genes=((0, 0),)), ChoiceBlock("b", "xy")]), "has no genes"),
        (lambda: SearchSpace([ChoiceBlock("a", "xy", genes=((0, 1),))]), "gene (0, 0) is set by no choice block"),
        (
            lambda: SearchSpace([ChoiceBlock("a", "xy", genes=((0, 0),)), ChoiceBlock("b", "xy", genes=((0, 0),))]),
            "set by two choice blocks",
        ),
        (lambda: dpn_space("dpn82"), "unknown space 'dpn82'; choose from dpn81, dpn81-shared, dpn729"),
        (lambda: SPACES["dpn81"].decode([0] * 8), "has 9 choice blocks, got 8 numbers"),
        (lambda: SPACES["dpn81-shared"].decode([0, 9, 0]), "'middle' takes 0 to 8, got 9"),
    ],
)
def test_a_wrong_definition_gets_one_clear_line(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert message in str(error.value)
