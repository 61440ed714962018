import pytest
from hypothesis import given
from hypothesis import strategies as st

from supernet.genotype import HEAD_NAMES, Genotype

blocks = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=4).map(tuple), min_size=1, max_size=6).map(tuple)


@given(blocks, st.sampled_from(("", *HEAD_NAMES)))
def test_print_and_parse_are_inverse(codes, head):
    genotype = Genotype(codes, head)
    assert Genotype.parse(str(genotype)) == genotype
    assert hash(Genotype.parse(str(genotype))) == hash(genotype)


def test_the_documented_form():
    genotype = Genotype.parse("101-101-000-680:cosface")
    assert genotype.blocks == ((1, 0, 1), (1, 0, 1), (0, 0, 0), (6, 8, 0))
    assert genotype.indices == (1, 0, 1, 1, 0, 1, 0, 0, 0, 6, 8, 0, 1)
    assert str(Genotype(((1, 12, 0), (12,)))) == "1,12,0-12,"


def test_genotypes_sort_by_their_codes():
    assert sorted(map(Genotype.parse, ["101:magface", "000:magface", "101:arcface"])) == [
        Genotype.parse(text) for text in ("000:magface", "101:arcface", "101:magface")
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("101-1x1:cosface", "block 2 is '1x1'"),
        ("", "block 1 is ''"),
        ("101-:cosface", "block 2 is ''"),
        ("101:", "'' after ':' is no head name"),
        ("101:Cos Face", "'Cos Face' after ':' is no head name"),
        ("1٣1:cosface", "block 1 is '1٣1'"),
    ],
)
def test_a_malformed_genotype_names_the_place(text, said):
    with pytest.raises(ValueError, match=r"genotype .*") as error:
        Genotype.parse(text)
    assert said in str(error.value)


def test_one_block_repeats_and_other_counts_do_not_fit():
    assert str(Genotype.parse("101:cosface").repeat(3)) == "101-101-101:cosface"
    with pytest.raises(ValueError, match="has 2 blocks; expected 4"):
        Genotype.parse("101-000:cosface").repeat(4)


def test_a_plugged_in_head_has_no_built_in_number():
    with pytest.raises(ValueError, match=r"SearchSpace.encode"):
        _ = Genotype.parse("101:myhead").indices
