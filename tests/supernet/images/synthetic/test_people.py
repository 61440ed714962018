import re
from dataclasses import replace

import numpy as np
import pytest

from dualfair.supernet.images.synthetic import people as synthetic
from dualfair.supernet.images.synthetic.people import SyntheticFaces, synthesize


def faces(**options) -> SyntheticFaces:
    return SyntheticFaces(**{"identities": 6, "images": 4, "size": 32, **options})


def pixels(config: SyntheticFaces) -> np.ndarray:
    return np.stack([images for _, _, images in synthesize(config)])


def coarser(images: np.ndarray, factor: int) -> np.ndarray:
    """Images (N, S, S, 3) averaged over squares of factor x factor pixels."""
    n, side = len(images), images.shape[1] // factor
    return images.reshape(n, side, factor, side, factor, 3).mean(axis=(2, 4))


@pytest.mark.parametrize("size", [32, 48, 112])
def test_images_are_uint8_rgb_with_contrast_at_every_size(size):
    for identity, group, images in synthesize(faces(size=size, identities=2)):
        assert isinstance(identity, str) and group in ("a", "b")
        assert images.dtype == np.uint8 and images.shape == (4, size, size, 3)
        assert np.all(images.reshape(4, -1).std(axis=1) > 10)


def test_same_seed_gives_the_same_bytes_and_another_seed_another_person():
    first, again, other = pixels(faces()), pixels(faces()), pixels(faces(seed=1))
    assert first.tobytes() == again.tobytes()
    assert all(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_larger_set_starts_with_the_smaller_one():
    small = list(synthesize(faces()))
    large = list(synthesize(faces(identities=9, images=7)))
    for (identity, group, images), (same, own, more) in zip(small, large, strict=False):
        assert (identity, group) == (same, own)
        np.testing.assert_array_equal(images, more[:4])


def test_people_are_dealt_to_groups_in_turn_under_different_names_in_alphabetical_order():
    people = [(identity, group) for identity, group, _ in synthesize(faces(identities=12, images=1))]
    assert [group for _, group in people] == ["a", "b"] * 6
    names = [identity for identity, _ in people]
    assert names == sorted(set(names))


def test_without_bias_the_group_makes_no_difference():
    unbiased = faces(bias=0.0)
    np.testing.assert_array_equal(pixels(unbiased), pixels(replace(unbiased, groups=("b", "a"))))
    np.testing.assert_array_equal(pixels(unbiased), pixels(replace(unbiased, groups=("x", "y", "z"))))


def test_with_bias_the_group_makes_a_difference():
    biased = faces(bias=0.5)
    two, three = pixels(biased), pixels(replace(biased, groups=3))
    # Persons 0 and 6 would be in the first group of both, person 1 in the last of two and the middle of three.
    np.testing.assert_array_equal(two[0], three[0])
    assert not np.array_equal(two[1], three[1])


def test_names_of_groups_do_not_touch_the_pictures():
    np.testing.assert_array_equal(pixels(faces()), pixels(faces(groups=("b", "a"))))


def test_a_count_of_groups_gives_letters():
    assert faces(groups=3).groups == ("a", "b", "c")
    assert [group for _, group, _ in synthesize(faces(groups=3, images=1))] == ["a", "b", "c"] * 2


def test_larger_size_shows_the_same_pictures_sharper():
    coarse, fine = pixels(faces(size=32)), pixels(faces(size=96))
    for small, large in zip(coarse, fine, strict=True):
        difference = coarser(large, 3) - small.astype(float)
        assert np.abs(difference).mean() < 8
        assert abs(difference.mean()) < 3


def test_two_images_of_a_person_are_closer_than_images_of_two_people():
    # Colours of the middle of the face, freed of the light by dividing by their sum.
    middle = pixels(faces(identities=40, images=8))[:, :, 13:24, 11:21].astype(float).mean(axis=(2, 3))
    colour = middle / middle.sum(axis=2, keepdims=True)
    within = np.abs(colour - colour.mean(axis=1, keepdims=True)).mean()
    expected = np.abs(colour - colour.mean(axis=(0, 1))).mean()
    assert within < 0.9 * expected


@pytest.fixture
def alike(monkeypatch):
    """A function that leaves of all differences between pictures only those in shape or those in skin texture."""

    def leave(cue: str) -> None:
        middle = {name: ((low + high) / 2,) * 2 for name, (low, high) in synthetic.VIEW.items()}
        monkeypatch.setattr(synthetic, "VIEW", middle | {"noise": (0.0, 0.0)})
        for factor in ("LAST_GROUP_BLUR", "LAST_GROUP_CONTRAST", "LAST_GROUP_NOISE"):
            monkeypatch.setattr(synthetic, factor, 1.0)
        fixed = ["APPEARANCE"] if cue == "shape" else ["APPEARANCE", "SHAPE"]
        for table in fixed:
            means = {name: (mean, 0.0) for name, (mean, _) in getattr(synthetic, table).items()}
            monkeypatch.setattr(synthetic, table, means)
        if cue == "shape":
            monkeypatch.setattr(synthetic, "TEXTURE_AMPLITUDE", 0.0)

    return leave


def spread(config: SyntheticFaces) -> list[float]:
    """Mean standard deviation of a pixel over the people of each group."""
    people = pixels(config)[:, 0].astype(float)
    return [people[place :: len(config.groups)].std(axis=0).mean() for place in range(len(config.groups))]


@pytest.mark.parametrize(("cue", "direction"), [("texture", -1), ("shape", 1)])
def test_bias_moves_what_people_differ_in_from_texture_to_shape(alike, cue, direction):
    alike(cue)
    options = {"identities": 60, "images": 1, "groups": 3}
    ratios = []
    for bias in (0.0, 0.5, 1.0):
        first, middle, last = spread(faces(bias=bias, **options))
        ratios.append(direction * np.log(last / first))
        if bias:
            assert min(first, last) < middle < max(first, last)
    assert abs(ratios[0]) < 0.15
    assert ratios[1] > np.log(1.5)
    assert ratios[2] > ratios[1]


def test_last_group_has_duller_images_with_bias_only():
    def detail(bias: float) -> float:
        contrast = pixels(faces(identities=60, bias=bias)).astype(float).std(axis=(2, 3, 4)).mean(axis=1)
        return contrast[1::2].mean() / contrast[0::2].mean()

    assert detail(1.0) < 0.9 * detail(0.0)


@pytest.fixture
def with_views(monkeypatch):
    """A function that makes pictures whose views have the given numbers, without noise."""

    def make(config: SyntheticFaces, **views: float) -> np.ndarray:
        fixed = {name: (value, value) for name, value in ({"noise": 0.0} | views).items()}
        monkeypatch.setattr(synthetic, "VIEW", synthetic.VIEW | fixed)
        return pixels(config).astype(float)

    return make


def steepest(people: np.ndarray) -> float:
    """Mean over the images of the largest step between neighbours in a row."""
    return np.abs(np.diff(people.mean(axis=4), axis=3)).max(axis=(2, 3)).mean()


def test_edges_are_sharp_without_blur_and_soft_with_it(with_views):
    config = faces(size=96, images=2, bias=0.0)
    sharp, soft = steepest(with_views(config, blur=0.0)), steepest(with_views(config, blur=0.06))
    assert sharp > 60
    assert soft < 0.6 * sharp


def test_over_exposed_pictures_turn_white_and_do_not_wrap_around(with_views):
    assert with_views(faces(), brightness=2.0).min() == 255
    assert with_views(faces(), brightness=-2.0).max() == 0


def test_average_face_and_skin_do_not_tell_the_groups_apart():
    people = pixels(faces(identities=120, images=4, bias=0.5)).astype(float)
    face = people[:, :, 13:24, 11:21].mean(axis=(1, 2, 3))
    error = np.sqrt(face[0::2].var(axis=0) / 60 + face[1::2].var(axis=0) / 60)
    assert np.all(np.abs(face[0::2].mean(axis=0) - face[1::2].mean(axis=0)) < 4 * error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 1}, "groups must be 2 to 26 when given as a count, got 1; or give their names"),
        ({"groups": 27}, "groups must be 2 to 26 when given as a count, got 27; or give their names"),
        ({"groups": ("a",)}, "groups must be two or more different names, got 'a'"),
        ({"groups": ("a", "a")}, "groups must be two or more different names, got 'a', 'a'"),
        ({"groups": ("a", "")}, "groups must be two or more different names, got 'a', ''"),
        ({"groups": "ab"}, "groups must be a count or a sequence of names, got 'ab'"),
        ({"identities": 1}, "identities must be at least the number of groups (2), got 1"),
        ({"images": 0}, "images must be 1 or more per identity, got 0"),
        ({"size": 15}, "size must be 16 px or more for a face to be seen, got 15"),
        ({"bias": 1.01}, "bias must lie between 0 (groups exchangeable) and 1, got 1.01"),
        ({"bias": -0.01}, "bias must lie between 0 (groups exchangeable) and 1, got -0.01"),
        ({"bias": float("nan")}, "bias must lie between 0 (groups exchangeable) and 1, got nan"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_impossible_configuration_is_refused_in_words(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SyntheticFaces(**options)


def test_limits_themselves_are_allowed():
    for bias in (0.0, 1.0):
        people = list(synthesize(faces(identities=2, images=1, size=16, bias=bias)))
        assert [images.shape for _, _, images in people] == [(1, 16, 16, 3)] * 2
