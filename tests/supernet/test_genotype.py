import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dualfair.supernet.genotype import HEAD_NAMES, LARGEST_CODE, Genotype

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
    ("text", "message"),
    [
        ("101-1x1:cosface", "block 2 is '1x1'"),
        ("", "block 1 is ''"),
        ("101-:cosface", "block 2 is ''"),
        ("101:", "'' after ':' is no head name"),
        ("101:Cos Face", "'Cos Face' after ':' is no head name"),
        ("1٣1:cosface", "block 1 is '1٣1', position 2 is '٣'; expected operation codes such as '101'"),
        ("101-1,x,0", "block 2 is '1,x,0', position 2 is 'x'"),
        ("101-1,02,0", "block 2 is '1,02,0', position 2 is '02'"),
        ("1,9999999", "position 2 is '9999999'"),
        (",", "block 1 is ','"),
        ("9" * 9000 + "x", "position 9001 is 'x'"),
    ],
)
def test_a_malformed_genotype_names_the_place(text, message):
    with pytest.raises(ValueError, match=r"genotype .*") as error:
        Genotype.parse(text)
    assert message in str(error.value) and len(str(error.value)) < 400


near_genotypes = st.text(st.sampled_from("0123456789,-: :abcosfrmg_AZ.\n\t٣é\0"), max_size=40)


def check_arbitrary_text(text):
    try:
        genotype = Genotype.parse(text)
    except ValueError as error:
        assert str(error).startswith("genotype ") and "\n" not in str(error) and len(str(error)) < 400
    else:
        assert Genotype.parse(str(genotype)) == genotype


@given(near_genotypes | st.text())
@example("1," + "9" * 5000)
@example("-" * 5000)
@example("101:" + "a" * 5000)
@example("\ud800")
def test_any_text_is_a_genotype_that_parses_back_or_one_line(text):
    check_arbitrary_text(text)


@pytest.mark.slow
@given(near_genotypes | st.text())
@settings(max_examples=4_000, deadline=None)
def test_thousands_of_texts_are_genotypes_or_one_line(text):
    check_arbitrary_text(text)


@pytest.mark.parametrize("value", [None, 101, b"101:cosface", ["101"]])
def test_what_is_no_text_is_not_parsed(value):
    with pytest.raises(ValueError, match=f"parsed from text, got {type(value).__name__}"):
        Genotype.parse(value)


@pytest.mark.parametrize("code", [-1, LARGEST_CODE + 1])
def test_codes_have_bounds(code):
    assert Genotype.parse(str(Genotype(((LARGEST_CODE,),)))).blocks == ((LARGEST_CODE,),)
    with pytest.raises(ValueError, match=f"operation codes must be 0 to 999999, got {code}"):
        Genotype(((0, code),))


def test_one_block_repeats_and_other_counts_do_not_fit():
    assert str(Genotype.parse("101:cosface").repeat(3)) == "101-101-101:cosface"
    with pytest.raises(ValueError, match="has 2 blocks; expected 4"):
        Genotype.parse("101-000:cosface").repeat(4)


def test_a_plugged_in_head_has_no_built_in_number():
    with pytest.raises(ValueError, match=r"SearchSpace.encode"):
        _ = Genotype.parse("101:myhead").indices
