from math import inf, isnan, log, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualfair.evaluation.metrics.disparity import (
    DISPARITIES,
    MINIMUM_PROBES,
    WORST_GROUP,
    GroupValue,
    PersonAccuracies,
    measure,
    per_group,
    std_acc,
    values_of,
)
from dualfair.evaluation.metrics.identification import Ranks, gallery_split, ranks, split_ranks

RANKS = np.array([0, 0, 1, 3, 0, 2, 4, 10])
GROUPS = np.array(["a"] * 4 + ["b"] * 4)


def found_ranks(values, images=None):
    """Ranks of the first images of a gallery; images after those have no mate."""
    images = len(values) if images is None else images
    return Ranks(np.array(values), np.arange(len(values)), images - len(values), "images", images, 2)


# Mean ranks are 1 and 4; accuracies 2/4 and 1/4, so 50 % and 25 %; errors 1/2 and 3/4.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rank_disparity", 3),
        ("log_rank_disparity", (log(3) + log(5) + log(11) - log(2) - log(4)) / 4),
        ("capped_rank_disparity", 3),  # none is above 20
        ("rank_ratio", 3),  # |1 - 4/1|; the other order gives |1 - 1/4|
        ("accuracy_disparity", 0.25),
        ("accuracy_ratio", 1),  # |1 - (1/2)/(1/4)|; the other order gives 1/2
        ("error_ratio", 0.5),  # |1 - (3/4)/(1/2)|; the other order gives 1/3
        ("std", 25 / sqrt(2)),  # both are 12.5 from their mean: sqrt(2 * 12.5^2 / 1)
        ("ser", 1.5),  # 75 % / 50 %
    ],
)
def test_every_row_on_numbers_worked_by_hand(name, expected):
    disparity = DISPARITIES[name]
    values = RANKS if disparity.values == "ranks" else RANKS == 0
    assert disparity(values, GROUPS) == pytest.approx(expected, rel=1e-12)
    assert measure(disparity, [(found_ranks(RANKS), GROUPS)]).value == disparity(values, GROUPS)


def test_the_table_holds_every_row_under_its_name():
    assert all(row.name == name for name, row in DISPARITIES.items())
    assert {name for name, row in DISPARITIES.items() if row.values == "ranks"} == {
        "rank_disparity",
        "log_rank_disparity",
        "capped_rank_disparity",
        "rank_ratio",
    }
    assert {name: row.fair for name, row in DISPARITIES.items() if row.fair} == {"ser": 1}


@pytest.mark.parametrize("name", DISPARITIES)
@given(values=st.lists(st.integers(0, 1), min_size=2, max_size=6), groups=st.integers(2, 5))
def test_groups_that_fare_alike_get_the_fair_value(name, values, groups):
    labels = np.arange(groups).repeat(len(values))
    assert DISPARITIES[name](np.tile(values, groups), labels) == DISPARITIES[name].fair


@pytest.mark.parametrize("name", DISPARITIES)
@given(data=st.data())
def test_neither_the_order_of_probes_nor_the_names_of_groups_matter(name, data):
    values = np.array(data.draw(st.lists(st.integers(0, 1), min_size=9, max_size=30)))
    groups = np.arange(len(values)) % 4
    order = np.array(data.draw(st.permutations(range(len(values)))))
    names = np.array(data.draw(st.permutations(["", "Ö", "c d", "x"])))
    assert DISPARITIES[name](values, groups) == pytest.approx(
        DISPARITIES[name](values[order], names[groups][order]), abs=1e-12
    )


@given(st.lists(st.lists(st.integers(0, 20), min_size=2, max_size=5), min_size=2, max_size=5))
def test_more_groups_give_the_maximum_over_pairs(members):
    values, groups = np.concatenate(members), np.repeat(np.arange(len(members)), [len(own) for own in members])
    means = [sum(own) / len(own) for own in members]
    differences = [abs(a - b) for a in means for b in means]
    gaps = [0 if a == b else inf if b == 0 else abs(1 - a / b) for a in means for b in means]
    assert DISPARITIES["rank_disparity"](values, groups) == pytest.approx(max(differences))
    assert DISPARITIES["rank_ratio"](values, groups) == pytest.approx(max(gaps))


def test_ranks_beyond_the_cap_count_as_the_cap():
    values = np.array([0, 1000, 19, 20, 0, 21, 7, 21])
    # Capped at 20: 0, 20, 19, 20 and 0, 20, 7, 20.
    assert DISPARITIES["capped_rank_disparity"](values, GROUPS) == pytest.approx((59 - 47) / 4)


@given(st.lists(st.lists(st.integers(0, 20), min_size=2, max_size=6), min_size=2, max_size=4))
def test_below_the_cap_capped_ranks_are_ranks(members):
    values, groups = np.concatenate(members), np.repeat(np.arange(len(members)), [len(own) for own in members])
    capped, literal = (DISPARITIES[name](values, groups) for name in ("capped_rank_disparity", "rank_disparity"))
    assert capped == pytest.approx(literal)
    errors = [np.mean(np.array(own) > 0) for own in members]
    assert DISPARITIES["accuracy_disparity"](values == 0, groups) == pytest.approx(max(errors) - min(errors))


def test_std_and_ser_take_all_groups():
    # accuracies 0, 1/2 and 1: in percent 0, 50, 100, whose sample variance is (50^2 + 50^2) / 2
    correct, groups = np.array([0, 0, 0, 1, 1, 1]), np.array(list("aabbcc"))
    assert DISPARITIES["std"](correct, groups) == pytest.approx(50)
    assert DISPARITIES["ser"](correct, groups) == inf
    assert DISPARITIES["ser"](correct[:4], groups[:4]) == 2


def test_a_ratio_to_a_reference_group_divides_by_that_group_only():
    ratio = DISPARITIES["rank_ratio"]
    # mean ranks 1, 4 and 2
    values, groups = np.append(RANKS, [2, 2]), np.append(GROUPS, ["c", "c"])
    assert ratio(values, groups) == 3
    assert ratio.relative_to("a")(values, groups) == 3
    assert ratio.relative_to("b")(values, groups) == 0.75
    assert ratio.relative_to("c")(values, groups) == 1
    assert ratio.relative_to("b").name == "rank_ratio_to_b"
    with pytest.raises(ValueError, match=r"rank_ratio_to_d: no group 'd'; there are 'a', 'b', 'c'"):
        ratio.relative_to("d")(values, groups)
    with pytest.raises(ValueError, match=r"std has no reference group; only ratios have: rank_ratio, accuracy_ratio"):
        DISPARITIES["std"].relative_to("a")


def test_zero_divided_by_zero_is_equal_and_anything_else_infinite():
    ratio = DISPARITIES["rank_ratio"]
    groups = np.array(["a", "a", "b", "b"])
    assert ratio(np.zeros(4), groups) == 0
    assert ratio(np.array([0, 0, 0, 1]), groups) == inf
    assert ratio.relative_to("b")(np.array([0, 0, 0, 1]), groups) == 1
    assert DISPARITIES["ser"](np.ones(4), groups) == 1


@pytest.mark.parametrize("name", DISPARITIES)
@pytest.mark.parametrize("probes", [0, 1])
def test_a_group_with_too_few_probes_makes_the_disparity_undefined(name, probes):
    values, groups = np.array([0, 1, 1, 0, 0][: 4 + probes]), np.array(["a", "a", "b", "b", "c"][: 4 + probes])
    result = DISPARITIES[name].evaluate(values, groups, names=["c", "a", "b"])
    assert isnan(result.value)
    assert result.undefined == f"undefined (n={probes} in group 'c'; a group needs 2 probes)"
    assert result.groups["c"] == GroupValue(None, probes)
    assert str(result.groups["c"]) == f"insufficient (n={probes})"
    assert str(result.groups["a"]).endswith("(n=2)")
    assert isnan(DISPARITIES[name](values, groups, names=["c"]))


def test_group_values_come_before_any_reduction():
    table = per_group(RANKS, GROUPS, np.max, names=["c", "a"])
    assert list(table) == ["a", "b", "c"]
    assert table == {"a": GroupValue(3.0, 4), "b": GroupValue(10.0, 4), "c": GroupValue(None, 0)}
    assert list(per_group([1, 1, 1, 1], [3, 3, 1, 1])) == [1, 3]
    assert list(per_group([1, 1, 1, 1], np.array(["b", "b", "a", "a"], dtype=object))) == ["a", "b"]
    assert MINIMUM_PROBES == 2


def test_galleries_average_signed_differences_before_the_absolute_value():
    # Mean ranks (a, b): (2, 1) and (1, 2). Their differences +1 and -1 cancel; absolute values would average to 1.
    groups = np.array(["a", "a", "b", "b"])
    parts = [(np.array([2, 2, 1, 1]), groups), (np.array([1, 1, 2, 2]), groups)]
    assert DISPARITIES["rank_disparity"].average(parts).value == 0
    # (2, 1) and (1, 4): differences 1 and -3, average -1; groups average 1.5 and 2.5.
    parts[1] = (np.array([0, 2, 4, 4]), groups)
    result = DISPARITIES["rank_disparity"].average(parts)
    assert result.value == 1
    assert result.groups == {"a": GroupValue(1.5, 4), "b": GroupValue(2.5, 4)}


def test_a_group_without_probes_in_one_gallery_is_not_left_out():
    disparity = DISPARITIES["rank_disparity"]
    parts = [(np.array([2, 2, 1, 1]), np.array(list("aabb"))), (np.array([2, 2]), np.array(list("aa")))]
    assert disparity.average(parts).undefined == "undefined (n=2 in group 'b'; a group needs 2 probes)"


def test_the_disparity_at_a_gallery_is_measured_on_ranks_in_that_gallery():
    rng = np.random.default_rng(0)
    embeddings, identities = rng.normal(size=(80, 3)), np.arange(80) // 4
    groups = np.where(identities < 10, "a", "b")
    parts = [np.flatnonzero(identities % 2 == rest) for rest in (0, 1)]
    galleries = [(ranks(embeddings[images], identities[images]), groups[images]) for images in parts]
    means = np.array(
        [[ranks_here.values[groups_here == name].mean() for name in "ab"] for ranks_here, groups_here in galleries]
    )
    result = measure(DISPARITIES["rank_disparity"], galleries)
    assert result.value == pytest.approx(abs(np.diff(means.mean(axis=0))[0]))
    assert result.groups["a"].n == 40


def largest_gap(values, groups):
    return max(values[groups == "b"]) - max(values[groups == "a"])


def test_a_function_of_ones_own_gets_ranks_or_correctness_by_its_attribute():
    result = measure(largest_gap, [(found_ranks(RANKS), GROUPS)])
    assert (result.name, result.value) == ("largest_gap", 7)
    assert result.groups == {"a": GroupValue(1.0, 4), "b": GroupValue(4.0, 4)}
    assert values_of(largest_gap) == "ranks"

    def share_right(values, groups):
        return values.mean()

    share_right.values = "correct"
    assert measure(share_right, [(found_ranks(RANKS), GROUPS)]).value == 3 / 8
    share_right.values = "embeddings"
    with pytest.raises(ValueError, match=r"share_right.values must be one of ranks, correct, got 'embeddings'"):
        measure(share_right, [(found_ranks(RANKS), GROUPS)])


def test_results_of_a_function_are_averaged_over_galleries():
    mirrored = (found_ranks(RANKS[::-1]), GROUPS)
    assert measure(largest_gap, [(found_ranks(RANKS), GROUPS), mirrored]).value == 0


@pytest.mark.parametrize("disparity", [DISPARITIES["rank_disparity"], largest_gap])
def test_images_without_mates_leave_their_group_insufficient_rather_than_unseen(disparity):
    groups = np.append(GROUPS, ["c", "c"])
    result = measure(disparity, [(found_ranks(RANKS, images=10), groups)])
    assert isnan(result.value)
    assert result.undefined == "undefined (n=0 in group 'c'; a group needs 2 probes)"


@pytest.mark.parametrize(
    ("name", "values", "groups", "message"),
    [
        ("std", [1, 0, 1], ["a", "a", "a"], "std compares groups and needs at least two, got 'a'"),
        ("std", [], [], "std compares groups and needs at least two, got none"),
        ("ser", [1, 17], ["a", "b"], "ser takes correctness, 1 or 0, got values from 1 to 17"),
        ("rank_ratio", [-1, 3], ["a", "b"], "rank_ratio takes ranks, 0 or more, got values from -1 to 3"),
        ("rank_ratio", [nan, 3], ["a", "b"], "values must be finite: 1 of 2 are nan or inf"),
        ("rank_ratio", [1, 3], ["a"], "one a probe, got shapes (2,) and (1,)"),
    ],
)
def test_what_cannot_be_compared_is_said(name, values, groups, message):
    with pytest.raises(ValueError) as caught:
        DISPARITIES[name](values, groups)
    assert message in str(caught.value)


def test_what_cannot_be_measured_is_said():
    with pytest.raises(ValueError, match=r"one for each of 8 images, got shape \(4,\)"):
        measure(largest_gap, [(found_ranks(RANKS), GROUPS[:4])])
    with pytest.raises(ValueError, match="galleries must be one or more, got none"):
        measure(largest_gap, [])
    with pytest.raises(ValueError, match="largest_gap compares groups and needs at least two, got 'a'"):
        measure(largest_gap, [(found_ranks(RANKS[:4]), GROUPS[:4])])
    for wrong in (None, "low", [1.0, 2.0]):
        with pytest.raises(ValueError, match=r"disparity <lambda> must return one number, got "):
            measure(lambda values, groups, wrong=wrong: wrong, [(found_ranks(RANKS), GROUPS)])


# Neto et al., "Compressed models decompress race biases", tables I and II: accuracies on RFW in percent (Caucasian,
# Indian, Asian, African) of four architectures in five precisions, and of two ResNet-34; then STD and SER as printed.
PRINTED = """
95.18 92.00 89.93 90.22 2.41 2.09
95.32 91.60 89.27 90.08 2.68 2.29
94.18 91.83 88.85 89.72 2.38 1.92
90.05 86.52 82.88 83.18 3.36 1.72
89.97 86.95 83.13 84.40 3.02 1.68
97.48 95.38 93.72 94.27 1.66 2.49
97.42 95.33 93.55 94.20 1.70 2.50
96.95 95.07 93.30 93.87 1.61 2.20
96.93 94.65 92.52 93.22 1.95 2.44
96.80 94.78 92.35 93.28 1.94 2.39
99.00 98.15 97.62 98.32 0.57 2.38
99.07 98.07 97.65 98.40 0.60 2.53
99.02 97.72 97.33 97.88 0.73 2.72
98.32 96.27 94.55 95.87 1.56 3.24
97.95 96.63 94.97 96.20 1.23 2.45
99.65 98.88 98.50 99.00 0.48 4.29
99.57 98.87 98.15 98.77 0.58 4.30
99.37 98.72 98.13 98.78 0.51 2.97
95.27 93.15 90.32 91.70 2.12 2.05
95.93 93.40 91.92 92.60 1.75 1.99
96.60 94.50 94.03 93.37 1.40 1.95
94.98 93.60 92.77 90.95 1.68 1.80
96.03 94.40 93.97 92.50 1.45 1.89
89.22 87.87 86.25 82.80 2.77 1.60
94.58 92.88 91.45 91.13 1.58 1.64
97.67 95.52 94.15 93.87 1.74 2.63
95.42 92.75 91.83 89.88 2.30 2.21
94.70 92.15 90.23 88.75 2.57 2.12
97.33 95.15 94.17 93.55 1.66 2.42
"""


@pytest.mark.parametrize("row", PRINTED.split("\n")[1:-1])
def test_std_and_ser_reproduce_the_published_tables(row):
    # All 29 rows do. The standard deviation is the sample's (n - 1): the population's is off by a factor of 0.87.
    # Both were taken of the accuracies as printed: of the multiples of 1/6000 behind those, 9 rows come out otherwise.
    *accuracies, std, ser = row.split()
    table = {group: GroupValue(float(accuracy) / 100, 6000) for group, accuracy in enumerate(accuracies)}
    assert f"{DISPARITIES['std'].reduce(table).value:.2f}" == std
    assert f"{DISPARITIES['ser'].reduce(table).value:.2f}" == ser


def test_ranks_of_a_gallery_and_probes_are_measured_with_the_groups_of_all_images():
    rng = np.random.default_rng(3)
    embeddings, identities = rng.normal(size=(60, 4)), np.repeat(np.arange(12), 5)
    groups = np.where(identities % 2, "odd", "even")
    gallery, probes = gallery_split(identities, seed=0)
    result = split_ranks(embeddings, identities, gallery, probes)
    own = groups[result.probes]
    expected = abs(result.values[own == "odd"].mean() - result.values[own == "even"].mean())
    assert measure(DISPARITIES["rank_disparity"], [(result, groups)]).value == pytest.approx(expected, abs=1e-12)
    with pytest.raises(ValueError, match="one for each of 60 images, got shape"):
        measure(DISPARITIES["rank_disparity"], [(result, groups[gallery])])


# People a1 to a3 are right in 1/2, 1 and 0 of their probes, b1 and b2 in 1 and 1/2.
CORRECT = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0])
PEOPLE = np.array(["a1", "a1", "a2", "a2", "a3", "a3", "a3", "b1", "b1", "b2", "b2"])


def test_std_acc_is_the_difference_of_spreads_over_people():
    groups = np.array([name[0] for name in PEOPLE])
    spreads = np.std([0.5, 1, 0], ddof=1), np.std([1, 0.5], ddof=1)
    result = std_acc(CORRECT, groups, PEOPLE)
    assert result.value == pytest.approx(abs(spreads[0] - spreads[1]))
    assert [(group.value, group.n) for group in result.groups.values()] == [
        (pytest.approx(spreads[0]), 3),
        (pytest.approx(spreads[1]), 2),
    ]
    order = np.random.default_rng(0).permutation(len(PEOPLE))
    assert std_acc(CORRECT[order], groups[order], PEOPLE[order]).value == pytest.approx(result.value)
    lonely = PEOPLE != "b2"
    undefined = std_acc(CORRECT[lonely], groups[lonely], PEOPLE[lonely]).undefined
    assert undefined == "undefined (1 people in group 'b'; a group needs 2)"
    assert "0 people in group 'c'" in std_acc(CORRECT, groups, PEOPLE, names="abc").undefined
    with pytest.raises(ValueError, match="std_acc compares groups and needs at least two, got 'a'"):
        std_acc(CORRECT, np.full(11, "a"), PEOPLE)


def test_people_of_a_resample_count_as_often_as_they_were_drawn():
    groups = np.array([name[0] for name in PEOPLE])
    by_person = PersonAccuracies.of(CORRECT, groups, PEOPLE)
    drawn = ["a1", "a1", "a3", "b1", "b2", "b2", "b2"]
    rows = np.concatenate([np.flatnonzero(name == PEOPLE) for name in drawn])
    table = by_person.spreads(rows)
    assert table["a"].value == pytest.approx(np.std([0.5, 0.5, 0], ddof=1)) and table["a"].n == 3
    assert table["b"].value == pytest.approx(np.std([1, 0.5, 0.5, 0.5], ddof=1)) and table["b"].n == 4
    assert by_person.spreads(np.flatnonzero(PEOPLE == "b1"))["a"].value is None


def test_the_worst_group_is_the_one_with_the_largest_error():
    assert WORST_GROUP(RANKS == 0, GROUPS) == 0.75
