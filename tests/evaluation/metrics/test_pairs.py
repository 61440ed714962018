from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualfair.evaluation.metrics import pairs as module
from dualfair.evaluation.metrics.pairs import checked_pairs, groups_of_pairs, make_pairs, pair_scores


def people(sizes, groups=2):
    """Images of people with these numbers of images, shuffled; groups are dealt in turn."""
    identities = np.repeat(np.arange(len(sizes)), sizes)
    identities = np.random.default_rng(1).permutation(identities)
    return identities, np.array(["a", "b", "c"])[identities % groups]


def test_scores_are_cosines_in_float64_whatever_the_chunk(monkeypatch):
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(30, 7)).astype(np.float32) * 10.0 ** rng.integers(-30, 30, (30, 1))
    left, right = rng.integers(0, 30, (2, 200))
    wide = embeddings.astype(np.float64)
    unit = wide / np.linalg.norm(wide, axis=1)[:, None]
    expected = [unit[i] @ unit[j] for i, j in zip(left, right, strict=True)]
    scores = pair_scores(embeddings, left, right)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-14)
    assert scores.dtype == np.float64
    monkeypatch.setattr(module, "CHUNK_BYTES", 16 * 7 * 3)
    assert np.array_equal(pair_scores(embeddings, right, left), scores)


def test_scores_of_zero_tiny_and_huge_vectors():
    embeddings = np.array([[0, 0], [1e-300, 0], [1e300, 1e300], [-3e-310, 0]])
    scores = pair_scores(embeddings, np.array([0, 0, 1, 1, 2]), np.array([0, 1, 2, 3, 2]))
    np.testing.assert_allclose(scores, [0, 0, 0.5**0.5, -1, 1], atol=1e-15)
    assert np.abs(scores).max() <= 1


def test_equal_embeddings_have_exactly_equal_scores():
    embeddings = np.tile(np.random.default_rng(0).normal(size=513).astype(np.float32), (40, 1))
    left, right = np.random.default_rng(1).integers(0, 40, (2, 300))
    assert len(set(pair_scores(embeddings, left, right))) == 1


@pytest.mark.parametrize(
    ("embeddings", "left", "right", "message"),
    [
        (np.ones(3), [0], [0], "embeddings must be real numbers of shape (images, D), got float64 (3,)"),
        (np.ones((3, 2)), [0, 1], [0], "one image each a pair, got shapes (2,) and (1,)"),
        (np.ones((3, 2)), [0], [3], "right must be numbers of images from 0 to 2, got int64 numbers from 3 to 3"),
        (np.ones((3, 2)), [-1], [0], "left must be numbers of images from 0 to 2"),
        (np.ones((3, 2)), [True], [0], "left must be numbers of images from 0 to 2, got bool"),
        (np.array([[1, np.nan], [1, 1]]), [0, 1], [1, 1], "1 of 2 pairs have an image with nan or inf"),
        (np.array([[1, np.inf], [1, 1]]), [0, 1], [1, 1], "1 of 2 pairs have an image with nan or inf"),
    ],
)
def test_what_cannot_be_scored_is_said(embeddings, left, right, message):
    with pytest.raises(ValueError) as caught:
        pair_scores(embeddings, np.array(left), np.array(right))
    assert message in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=8, max_size=30),
    groups=st.integers(1, 3),
    folds=st.integers(2, 3),
    share=st.integers(1, 12),
    within=st.booleans(),
    seed=st.integers(0, 9),
)
def test_drawn_pairs_keep_what_they_promise_or_say_why_not(sizes, groups, folds, share, within, seed):
    identities, labels = people(sizes, groups)
    cells = folds * (groups if within else 1)
    arguments = {"pairs": 2 * share * cells, "folds": folds, "seed": seed, "within_group": within}
    try:
        drawn = make_pairs(identities, labels, **arguments)
    except ValueError as error:
        assert f"pairs and needs {share}" in str(error)
        return
    left, right = identities[drawn.left], identities[drawn.right]
    assert np.array_equal(left == right, drawn.same)
    assert (drawn.left != drawn.right).all()
    assert len({frozenset(pair) for pair in zip(drawn.left, drawn.right, strict=True)}) == len(drawn.left)
    people_of = [set(left[drawn.fold == fold]) | set(right[drawn.fold == fold]) for fold in range(folds)]
    assert sum(map(len, people_of)) == len(set.union(*people_of))
    assert np.array_equal(drawn.groups, np.stack([labels[drawn.left], labels[drawn.right]], axis=1))
    inside = drawn.groups[:, 0] == drawn.groups[:, 1]
    counts = Counter(zip(drawn.fold, drawn.same, drawn.groups[:, 0] if within else inside * 0, strict=True))
    assert set(counts.values()) == {share}
    assert len(counts) == 2 * cells
    assert inside.all() or not within
    again = make_pairs(identities, labels, **arguments)
    assert np.array_equal(drawn.left, again.left) and np.array_equal(drawn.right, again.right)


def test_all_pairs_there_are_can_be_drawn():
    identities, labels = np.repeat(np.arange(4), 3), np.repeat("a", 12)
    # Two folds of two people with three images: 2 x 3 genuine pairs and 3 x 3 impostors each.
    drawn = make_pairs(identities, labels, pairs=24, folds=2, seed=0)
    assert np.bincount(drawn.fold[drawn.same]).tolist() == [6, 6]
    with pytest.raises(ValueError, match=r"fold 0 has 6 genuine pairs and needs 7: take fewer pairs or folds, or more"):
        make_pairs(identities, labels, pairs=28, folds=2, seed=0)
    alone = np.array([0, 0, 0, 0, 1, 2, 2, 2, 2, 3])
    with pytest.raises(ValueError, match=r"fold . has 4 impostor pairs and needs 6"):
        make_pairs(alone, np.repeat("a", 10), pairs=24, folds=2, seed=0)


def test_genuine_pairs_go_round_the_identities():
    # One person with 100 images among others with 4: the 4,950 pairs of the one do not crowd out the others.
    identities, labels = people([100] + [4] * 19, 1)
    for quota, shares in ((30, {3}), (35, {3, 4}), (60, {6})):
        drawn = make_pairs(identities, labels, pairs=2 * 2 * quota, folds=2, seed=3)
        for fold in range(2):
            times = Counter(identities[drawn.left[drawn.same & (drawn.fold == fold)]])
            assert set(times.values()) == shares and len(times) == 10


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.data())
def test_rounds_share_a_quota_as_dealing_one_by_one_does(most, data):
    quota = data.draw(st.integers(0, sum(most)))
    taken, left = [0] * len(most), quota
    while left >= (open_ones := sum(t < m for t, m in zip(taken, most, strict=True))) > 0:
        taken = [min(t + 1, m) for t, m in zip(taken, most, strict=True)]
        left -= open_ones
    result = module._rounds(np.array(most), quota, np.random.default_rng(0))
    assert result.sum() == quota
    more = result - taken
    assert set(more.tolist()) <= {0, 1} and more.sum() == left and (result <= most).all()


def test_impostors_are_drawn_alike_from_all_pairs_of_two_people():
    identities, labels = np.repeat(np.arange(8), [1, 2, 3, 4, 1, 2, 3, 4]), np.repeat("a", 20)
    times = Counter()
    for seed in range(400):
        drawn = make_pairs(identities, labels, pairs=8, folds=2, seed=seed)
        impostors = ~drawn.same
        times.update(identities[drawn.left[impostors]].tolist() + identities[drawn.right[impostors]].tolist())
    # A person's share of impostor images is not exactly proportional to its images, but ordered by them.
    per_size = [times[person] + times[person + 4] for person in range(4)]
    assert per_size == sorted(per_size) and per_size[3] > 2.5 * per_size[0]


@given(st.integers(2, 2**31), st.sampled_from([-1, 0, 1]))
def test_numbers_of_pairs_are_decoded_exactly(first, aside):
    number = first * (first - 1) // 2 + aside
    result, second = (int(column[0]) for column in module._decoded(np.array([number])))
    assert 0 <= second < result and result * (result - 1) // 2 + second == number


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairs": 10, "folds": 2}, "pairs must be a positive multiple of 4 (2 x 2 folds), got 10"),
        ({"pairs": 4, "folds": 2, "within_group": True}, "multiple of 8 (2 x 2 folds x 2 groups), got 4"),
        ({"pairs": 0, "folds": 2}, "pairs must be a positive multiple of 4"),
        ({"pairs": 8, "folds": 1}, "folds must be 2 or more, one to judge and one to learn from, got 1"),
        ({"pairs": 8, "folds": 0}, "folds must be 2 or more"),
        ({"pairs": 8, "folds": 20}, "must be a positive multiple of 40 (2 x 20 folds), got 8"),
        ({"pairs": 80, "folds": 20}, "fold 0 has 0 impostor pairs and needs 2: take fewer pairs"),
    ],
)
def test_what_cannot_be_drawn_is_said(arguments, message):
    identities, labels = people([4] * 18)
    with pytest.raises(ValueError) as caught:
        make_pairs(identities, labels, seed=0, **arguments)
    assert message in str(caught.value)


def test_a_person_of_two_groups_is_refused():
    with pytest.raises(ValueError, match="every identity must have one group: 0 has 2"):
        make_pairs(np.zeros(4, int), np.array(list("abab")), pairs=4, folds=2, seed=0)


def test_pairs_across_groups_are_told_apart_in_either_order():
    same = np.array([True, False, False, False])
    labels, within = groups_of_pairs(np.array([["b", "b"], ["b", "a"], ["a", "b"], ["a", "a"]]), same)
    assert labels.tolist() == ["b", "a|b", "a|b", "a"] and within.tolist() == [True, False, False, True]
    labels, within = groups_of_pairs(np.array([[2, 2], [1, 2], [2, 2], [1, 1]]), same)
    assert labels.tolist() == [2, "1|2", 2, 1]
    labels, within = groups_of_pairs(np.array([3, 1, 1, 3]), same)
    assert labels.tolist() == [3, 1, 1, 3] and within.all()
    with pytest.raises(ValueError, match=r"a genuine pair must have one group: pair 0 has \['a', 'b'\], and 1 of 4"):
        groups_of_pairs(np.array([["a", "b"]] * 4), same)
    with pytest.raises(ValueError, match=r"one label a pair \(4,\), or two \(4, 2\), got shape \(4, 3\)"):
        groups_of_pairs(np.zeros((4, 3)), same)


@pytest.mark.parametrize(
    ("scores", "same", "both", "message"),
    [
        ([0.1, 0.2], [True], False, "one a pair, got shapes (2,) and (1,)"),
        ([0.1, np.nan], [True, False], False, "scores must be finite: 1 of 2 are nan or inf"),
        ([0.1, 0.2], [1, 2], False, "same must be true for a pair of one person"),
        ([0.1, 0.2], [1, 1], True, "same must hold genuine and impostor pairs, got 2 genuine ones of 2"),
        ([], [], True, "same must hold genuine and impostor pairs, got 0 genuine ones of 0"),
    ],
)
def test_pairs_are_checked(scores, same, both, message):
    with pytest.raises(ValueError) as caught:
        checked_pairs(scores, same, both=both)
    assert message in str(caught.value)
