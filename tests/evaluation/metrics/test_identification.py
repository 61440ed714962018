import doctest
import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualfair.evaluation.metrics import identification, similarity
from dualfair.evaluation.metrics.identification import COUNTS, cmc, error, galleries, gallery_split, ranks, split_ranks


def exact_nearness(probe, image):
    """Orders images as their cosine to the probe does, in exact arithmetic on integers."""
    dot, length = sum(a * b for a, b in zip(probe, image, strict=True)), sum(b * b for b in image)
    return Fraction(dot * abs(dot), length) if length else Fraction(0)


def reference(embeddings, identities, count, nearness):
    """Ranks by a double loop, {image: rank}; images without a mate are missing."""
    result = {}
    for probe in range(len(embeddings)):
        others = [image for image in range(len(embeddings)) if image != probe]
        near = {image: nearness(embeddings[probe], embeddings[image]) for image in others}
        mates = [near[image] for image in others if identities[image] == identities[probe]]
        if mates:
            nearer = [identities[i] for i in others if identities[i] != identities[probe] and near[i] >= max(mates)]
            result[probe] = len(nearer) if count == "images" else len(set(nearer))
    return result


def as_dict(result):
    return dict(zip(result.probes.tolist(), result.values.tolist(), strict=True))


def noisy_people(people, images, width, noise=1.5, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, width)).repeat(images, axis=0)
    embeddings = (centres + noise * rng.normal(size=centres.shape)).astype(dtype)
    return embeddings, np.arange(people).repeat(images)


@st.composite
def small_cases(draw):
    """Few small integers: full of ties, duplicates, opposite and zero vectors, and identities with one image."""
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.tuples(st.lists(st.integers(-2, 2), min_size=width, max_size=width), st.integers(0, 3))))
    rows += [([1] * width, 0), ([1] + [0] * (width - 1), 1)]
    return [row for row, _ in rows], [identity for _, identity in rows]


@given(small_cases(), st.sampled_from(COUNTS), st.sampled_from((None, 1, 2, 3, 5)), st.sampled_from(("f4", "f8", "i8")))
def test_ranks_equal_an_exact_double_loop_whatever_ties_there_are(case, count, chunk, dtype):
    rows, identities = case
    result = ranks(np.array(rows, dtype), np.array(identities), count, chunk=chunk)
    expected = reference(rows, identities, count, exact_nearness)
    assert as_dict(result) == expected
    assert (result.excluded, result.gallery_images) == (len(rows) - len(expected), len(rows))
    assert (result.count, result.gallery_identities) == (count, len(set(identities)))


@pytest.mark.parametrize("count", COUNTS)
def test_ranks_order_by_the_distance_between_normalised_embeddings(count):
    embeddings, identities = noisy_people(20, 4, 6, dtype=np.float64)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    expected = reference(unit, identities, count, lambda a, b: -np.linalg.norm(a - b))
    shuffled = np.random.default_rng(1).permutation(len(identities))
    result = ranks(embeddings[shuffled], identities[shuffled].astype(str), count)
    assert {int(shuffled[image]): rank for image, rank in as_dict(result).items()} == expected
    assert max(expected.values()) > 3


@pytest.mark.parametrize("chunk", [1, 7, 64, 400, None])
def test_the_chunk_does_not_change_ranks(chunk):
    embeddings, identities = noisy_people(57, 7, 33)
    for count in COUNTS:
        whole, chunked = (ranks(embeddings, identities, count, chunk=size) for size in (10_000, chunk))
        assert np.array_equal(whole.values, chunked.values)


@pytest.mark.parametrize(("people", "images", "width"), [(37, 9, 512), (5, 3, 1), (100, 10, 64), (251, 4, 2048)])
@pytest.mark.parametrize("chunk", [13, None])
def test_a_collapsed_network_is_the_worst(people, images, width, chunk):
    one = np.abs(np.random.default_rng(0).normal(size=width)).astype(np.float32)
    identities = np.arange(people).repeat(images)
    by_image = ranks(np.tile(one, (people * images, 1)), identities, chunk=chunk)
    by_identity = ranks(np.tile(one, (people * images, 1)), identities, "identities", chunk=chunk)
    assert (by_image.values == (people - 1) * images).all()
    assert (by_identity.values == people - 1).all()
    assert error(by_image) == 1


def test_collapse_up_to_rounding_noise_is_collapse():
    rng = np.random.default_rng(0)
    embeddings = (np.ones((300, 128)) * (1 + 1e-7 * rng.normal(size=(300, 128)))).astype(np.float32)
    assert (ranks(embeddings, np.arange(300) // 3).values == 297).all()


def test_exact_duplicates_do_not_displace_the_probe():
    embeddings, identities = noisy_people(40, 5, 512)
    twice = np.concatenate([embeddings, embeddings])
    assert (ranks(twice, np.tile(identities, 2), chunk=33).values == 0).all()


def test_a_copy_of_the_mate_under_another_name_counts_as_nearer():
    embeddings, identities = np.eye(4)[[0, 0, 0, 1, 1]], np.array(["a", "a", "b", "b", "b"])
    result = ranks(embeddings, identities)
    # One image of b equals both of a: it is nearer to each of them, and both are nearer to it than its own mates are.
    assert result.values.tolist() == [1, 1, 2, 0, 0]


def test_probe_without_mate_is_excluded_and_counted_but_stays_in_the_gallery():
    embeddings = np.array([[1, 0], [3, 4], [4, 3], [-1, 0]])
    result = ranks(embeddings, np.array(["a", "a", "b", "c"]))
    assert (result.probes.tolist(), result.values.tolist(), result.excluded) == ([0, 1], [1, 1], 2)
    nobody = ranks(embeddings, np.arange(4))
    assert (len(nobody.values), nobody.excluded) == (0, 4)
    assert np.isnan(error(nobody))


def test_error_is_the_share_of_ranks_above_0_under_both_counts():
    embeddings, identities = noisy_people(30, 5, 16)
    by_image, by_identity = (ranks(embeddings, identities, count) for count in COUNTS)
    wrong = sum(rank > 0 for rank in by_image.values.tolist())
    assert error(by_image) == error(by_identity) == wrong / 150
    assert by_image.correct.sum() == 150 - wrong
    assert (by_identity.values <= by_image.values).all()
    assert (by_identity.values < by_image.values).any()


@given(st.permutations(range(30)), st.sampled_from(COUNTS))
def test_the_order_of_images_does_not_matter(order, count):
    embeddings, identities = noisy_people(10, 3, 4)
    straight, shuffled = ranks(embeddings, identities, count), ranks(embeddings[order], identities[order], count)
    assert np.array_equal(straight.values[order], shuffled.values)


@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1e20, 1e37])
def test_the_length_of_embeddings_does_not_matter(scale):
    embeddings, identities = noisy_people(30, 4, 8)
    rows = np.random.default_rng(0).uniform(0.1, 1, size=(120, 1)).astype(np.float32)
    scaled = embeddings * rows * np.float32(scale)
    assert np.array_equal(ranks(embeddings, identities).values, ranks(scaled, identities).values)


def test_distances_that_float32_cannot_tell_apart_are_told_apart_in_float64():
    angles = np.array([0, 2e-4, 5e-4, 7e-4])
    embeddings, identities = np.stack([np.cos(angles), np.sin(angles)], axis=1), np.array(["a", "a", "b", "b"])
    assert ranks(embeddings, identities).values.tolist() == [0, 0, 0, 0]
    assert ranks(embeddings.astype(np.float32), identities).values.tolist() == [2, 2, 2, 2]


def test_no_matrix_of_all_pairs_is_held(monkeypatch):
    monkeypatch.setattr(similarity, "CHUNK_BYTES", 2 * 2**20)
    embeddings, identities = noisy_people(1000, 4, 32)
    for labels, count in itertools.product((identities, np.arange(4000)), COUNTS):
        tracemalloc.start()
        ranks(embeddings, labels, count)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2.5 * 2 * 2**20 + 3 * embeddings.nbytes, f"{peak:,} bytes, all pairs are {4 * 4000**2:,}"


def test_ranks_cannot_be_changed_by_mistake():
    with pytest.raises(ValueError, match="read-only"):
        ranks(np.eye(4), np.array([0, 0, 1, 1])).values[0] = 0


@pytest.mark.parametrize(
    ("embeddings", "identities", "options", "message"),
    [
        (
            [[1, 2], [np.nan, 1], [np.inf, 1]],
            [0, 0, 1],
            {},
            "2 of 3 rows hold nan or inf, the first is row 1 (from 0); check",
        ),
        ([[1, 2], [2, 1]], [0, 1, 1], {}, "2 images, identities of shape (3,)"),
        ([1, 2], [0, 1], {}, "shape (images, D), got int64 (2,)"),
        ([["a"], ["b"]], [0, 1], {}, "embeddings must be real numbers"),
        ([[1, 2], [2, 1]], [7, 7], {}, "identities of a gallery must be two or more, got [7]"),
        (np.empty((0, 2)), [], {}, "identities of a gallery must be two or more, got []"),
        ([[1, 2], [2, 1]], [0, 1], {"count": "people"}, "count must be one of images, identities, got 'people'"),
        ([[1, 2], [2, 1]], [0, 1], {"chunk": 0}, "chunk must be 1 or more images, got 0"),
    ],
)
def test_what_cannot_be_ranked_is_said(embeddings, identities, options, message):
    with pytest.raises(ValueError) as caught:
        ranks(np.array(embeddings), np.array(identities), **options)
    assert message in str(caught.value)


def split_reference(embeddings, identities, gallery, probes, count, nearness):
    """Ranks against a gallery by a double loop, {image: rank}; probes without a mate there are missing."""
    result = {}
    for probe in probes:
        near = {image: nearness(embeddings[probe], embeddings[image]) for image in gallery if image != probe}
        mates = [near[image] for image in near if identities[image] == identities[probe]]
        if mates:
            nearer = [identities[i] for i in near if identities[i] != identities[probe] and near[i] >= max(mates)]
            result[probe] = len(nearer) if count == "images" else len(set(nearer))
    return result


@given(small_cases(), st.data(), st.sampled_from(COUNTS), st.sampled_from((None, 1, 2, 3, 5)))
def test_ranks_against_a_gallery_equal_an_exact_double_loop(case, data, count, chunk):
    rows, identities = case
    images = st.lists(st.integers(0, len(rows) - 1), unique=True)
    # The two last rows are of two identities, which a gallery must have.
    gallery = list({*data.draw(images), len(rows) - 2, len(rows) - 1})
    probes = data.draw(images)
    result = split_ranks(np.array(rows), np.array(identities), gallery, probes, count, chunk=chunk)
    expected = split_reference(rows, identities, gallery, probes, count, exact_nearness)
    assert as_dict(result) == expected
    assert result.probes.tolist() == sorted(expected)
    assert result.excluded == len(probes) - len(expected)
    assert (result.gallery_images, result.images) == (len(gallery), len(rows))
    assert result.gallery_identities == len({identities[image] for image in gallery})


@pytest.mark.parametrize("count", COUNTS)
def test_all_against_all_is_the_split_of_all_and_all(count):
    embeddings, identities = noisy_people(30, 4, 8)
    everyone = np.random.default_rng(0).permutation(120)
    whole, split = ranks(embeddings, identities, count), split_ranks(embeddings, identities, everyone, everyone, count)
    assert as_dict(whole) == as_dict(split)
    assert (whole.excluded, whole.gallery_images, whole.images) == (split.excluded, split.gallery_images, split.images)


def test_a_smaller_gallery_has_smaller_ranks():
    embeddings, identities = noisy_people(60, 4, 6)
    everyone = np.arange(240)
    few = split_ranks(embeddings, identities, everyone[identities < 10], everyone)
    assert (few.excluded, few.gallery_identities) == (200, 10)
    assert (few.values <= ranks(embeddings, identities).values[:40]).all()
    assert few.values.mean() < ranks(embeddings, identities).values[:40].mean() / 3


def test_a_collapsed_network_is_the_worst_against_a_gallery_too():
    gallery, probes = gallery_split(np.arange(50).repeat(6), images_per_identity=2, seed=0)
    result = split_ranks(np.full((300, 128), 0.1, np.float32), np.arange(50).repeat(6), gallery, probes, chunk=17)
    assert (result.values == 98).all()


def test_a_split_holds_a_chunk_and_the_normalised_gallery(monkeypatch):
    monkeypatch.setattr(similarity, "CHUNK_BYTES", 2 * 2**20)
    embeddings, identities = noisy_people(1000, 6, 32)
    gallery, probes = gallery_split(identities, seed=0)
    tracemalloc.start()
    split_ranks(embeddings, identities, gallery, probes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * 2 * 2**20 + 3 * embeddings[gallery].nbytes, f"{peak:,} bytes"


@pytest.mark.parametrize(
    ("gallery", "probes", "message"),
    [
        ([0, 1], [2], "identities of a gallery must be two or more, got ['a']; ranks need impostors"),
        ([], [2], "identities of a gallery must be two or more, got []"),
        ([0, 2, 0], [1], "gallery must name every image once, got 0 more than once"),
        ([0, 2], [1, 4], "probes must be numbers of images from 0 to 3, got 1 to 4"),
        ([-1, 2], [1], "gallery must be numbers of images from 0 to 3, got -1 to 2"),
        ([True, False, True, False], [1], "gallery must be the numbers of images (np.flatnonzero of a mask), got bool"),
        ([0, 2], [[1]], "probes must be the numbers of images (np.flatnonzero of a mask), got int64 (1, 1)"),
        ([0, 2], [0.5], "probes must be the numbers of images (np.flatnonzero of a mask), got float64"),
    ],
)
def test_a_split_that_cannot_be_ranked_is_said(gallery, probes, message):
    with pytest.raises(ValueError) as caught:
        split_ranks(np.eye(4), np.array(["a", "a", "b", "b"]), gallery, probes)
    assert message in str(caught.value)


@given(st.lists(st.integers(0, 8), min_size=1), st.integers(1, 10))
def test_the_match_curve_counts_ranks_below_k(values, highest):
    result = cmc(np.array(values), highest)
    assert result.tolist() == [sum(value < k for value in values) / len(values) for k in range(1, highest + 1)]


def test_the_match_curve_starts_at_the_accuracy_and_can_be_one_groups():
    embeddings, identities = noisy_people(40, 4, 6)
    result = ranks(embeddings, identities, "identities")
    curve = cmc(result.values, 40)
    assert (curve[0], curve[-1]) == (pytest.approx(1 - error(result)), 1)
    even = identities[result.probes] % 2 == 0
    assert (cmc(result.values[even], 40) + cmc(result.values[~even], 40)) / 2 == pytest.approx(curve)


def test_a_match_curve_of_nothing_is_undefined_and_of_no_ranks_refused():
    assert np.isnan(cmc(np.empty(0, int), 3)).all()
    for values, highest, message in (
        ([0.5], 1, "values must be ranks"),
        ([0, -1], 1, "values must be ranks"),
        ([[1]], 1, "values must be ranks"),
        ([1], 0, "highest must be 1 or more ranks, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            cmc(np.array(values), highest)


@given(st.lists(st.integers(0, 5)), st.integers(1, 4), st.integers(0, 99))
def test_a_split_enrols_the_stated_images_of_everyone_and_leaves_the_rest(labels, each, seed):
    identities = np.array([f"p{label}" for label in labels], dtype=str)
    gallery, probes = gallery_split(identities, images_per_identity=each, seed=seed)
    assert sorted([*gallery.tolist(), *probes.tolist()]) == list(range(len(labels)))
    assert (np.diff(gallery) > 0).all()
    assert (np.diff(probes) > 0).all()
    for name in set(identities.tolist()):
        assert np.count_nonzero(identities[gallery] == name) == min(each, labels.count(int(name[1:])))


def test_a_split_is_random_by_its_seed_only():
    identities = np.arange(200).repeat(4)
    (first, _), (again, _), (other, _) = (gallery_split(identities, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    # Every image of a person is as likely to be enrolled: 50 of each place, give or take.
    assert np.bincount(first % 4) == pytest.approx([50] * 4, abs=20)


def test_a_split_that_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="images_per_identity must be 1 or more, got 0"):
        gallery_split(np.arange(3), images_per_identity=0, seed=0)
    with pytest.raises(ValueError, match=r"identities must be one label an image, got shape \(1, 2\)"):
        gallery_split(np.array([[1, 2]]), seed=0)


def faces_of_groups(sizes, images=3):
    groups = np.array([name for name, size in sizes.items() for _ in range(size * images)])
    identities = np.array([f"{name}{person}" for name, size in sizes.items() for person in range(size)]).repeat(images)
    order = np.random.default_rng(5).permutation(len(groups))
    return identities[order], groups[order]


def test_galleries_hold_whole_identities_balanced_by_group():
    identities, groups = faces_of_groups({"a": 10, "b": 7, "c": 30})
    for images in galleries(identities, groups, 9, 5, np.random.default_rng(0)):
        assert (np.diff(images) > 0).all()
        names = np.unique(identities[images])
        assert np.isin(identities, names).sum() == len(images)
        assert [sum(name.startswith(group) for name in names) for group in "abc"] == [3, 3, 3]


def test_galleries_are_disjoint_while_identities_last_and_repeatable():
    identities, groups = faces_of_groups({"a": 12, "b": 12})
    drawn, again, other = (galleries(identities, groups, 8, 6, np.random.default_rng(seed)) for seed in (0, 0, 1))
    for first in (drawn[:3], drawn[3:]):
        assert sorted(np.concatenate(first).tolist()) == list(range(len(groups)))
    assert all(np.array_equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(drawn, other, strict=True))


@pytest.mark.parametrize(
    ("size", "repeats", "message"),
    [
        (5, 1, "gallery size must be a positive multiple of the 2 groups to be balanced, got 5; take 4"),
        (0, 1, "positive multiple of the 2 groups to be balanced, got 0; take 2"),
        (8, 1, "a gallery of 8 identities takes 4 of every group; group 'b' has 3"),
        (4, 0, "repeats must be 1 or more galleries, got 0"),
    ],
)
def test_a_gallery_that_cannot_be_drawn_is_refused(size, repeats, message):
    identities, groups = faces_of_groups({"a": 4, "b": 3})
    with pytest.raises(ValueError) as caught:
        galleries(identities, groups, size, repeats, np.random.default_rng(0))
    assert message in str(caught.value)


def test_an_identity_in_two_groups_is_refused_by_name():
    with pytest.raises(ValueError, match="every identity must have one group: p has 2, and 1 of 2"):
        galleries(np.array(["p", "p", "q"]), np.array(["a", "b", "b"]), 2, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"one label an image, got \(2,\) and \(1,\)"):
        galleries(np.array(["p", "q"]), np.array(["a"]), 2, 1, np.random.default_rng(0))


def test_the_worked_example_of_the_documentation():
    assert doctest.testmod(identification).failed == 0
    assert doctest.testmod(identification).attempted > 0
