from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualfair.supernet.images.importers.balance import balanced_rows
from dualfair.supernet.images.importers.listing import balance, list_files
from dualfair.supernet.images.labels import labels_of
from dualfair.supernet.images.manifest import Manifest


def manifest_of(people, shuffle=0):
    """A manifest of (group, images) people, its rows in random order."""
    rows = [(f"p{number:03d}", group) for number, (group, images) in enumerate(people) for _ in range(images)]
    rows = [rows[place] for place in np.random.default_rng(shuffle).permutation(len(rows))]
    identities, groups = zip(*rows, strict=True)
    paths = tuple(f"{row}.jpg" for row in range(len(rows)))
    return Manifest({"path": paths, "identity": identities, "gender": groups})


PEOPLE = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), min_size=1, max_size=30)


@settings(max_examples=200, deadline=None)
@given(PEOPLE, st.integers(1, 4), st.integers(0, 2**32), st.integers(0, 5))
def test_groups_get_equal_identities_and_images_and_every_identity_enough(people, least, seed, shuffle):
    people = [("a", 4), ("b", 6), *people]
    if any(group == "c" for group, _ in people):
        people.append(("c", 5))
    manifest = manifest_of(people, shuffle)
    rows = balanced_rows(manifest, "gender", seed=seed, least_images=least)
    assert rows.dtype == np.int64 and (np.diff(rows) > 0).all() and rows[0] >= 0 and rows[-1] < len(manifest)
    groups = labels_of(manifest, "gender").group_of
    kept = Counter(manifest.columns["identity"][row] for row in rows)
    had = Counter(manifest.columns["identity"])
    assert min(kept.values()) >= least
    names = sorted({group for group, _ in people})
    identities = {name: [identity for identity in kept if groups[identity] == name] for name in names}
    fewest = min(sum(group == name and images >= least for group, images in people) for name in names)
    assert {len(identities[name]) for name in names} == {fewest}
    images = {name: sum(kept[identity] for identity in identities[name]) for name in names}
    assert len(set(images.values())) == 1
    # As many images as the drawn identities allow: one group keeps all of its own.
    assert images["a"] == min(sum(had[identity] for identity in identities[name]) for name in names)
    assert np.array_equal(rows, balanced_rows(manifest, "gender", seed=seed, least_images=least))


def test_seeds_choose_identities_and_images_differently():
    manifest = manifest_of([("m", 3)] * 10 + [("w", 8)] * 20)
    results = {tuple(balanced_rows(manifest, "gender", seed=seed)) for seed in range(10)}
    assert len(results) == 10 and {len(rows) for rows in results} == {60}


def test_every_choice_of_identities_and_of_images_is_about_equally_likely():
    """Two of four people are drawn, and one of their 2 + 2 images is left out beside the one each must keep."""
    manifest = manifest_of([("m", 1), ("m", 2), *[("w", 2)] * 4])
    people, rows = Counter(), Counter()
    for seed in range(3000):
        drawn = balanced_rows(manifest, "gender", seed=seed, least_images=1)
        women = [row for row in drawn if manifest.columns["gender"][row] == "w"]
        people[tuple(sorted({manifest.columns["identity"][row] for row in women}))] += 1
        rows.update(women)
    assert set(people) == set(combinations(["p002", "p003", "p004", "p005"], 2))
    # 500 of each expected, standard deviation 20; a row is there in 3 of 8 draws, standard deviation 27.
    assert all(400 < count < 600 for count in people.values())
    assert len(rows) == 8 and all(1000 < count < 1250 for count in rows.values())


def test_a_balanced_manifest_is_kept_whole_but_for_identities_with_too_few_images():
    manifest = manifest_of([("m", 3), ("w", 3), ("m", 5), ("w", 5), ("w", 2)])
    rows = balanced_rows(manifest, "gender", seed=0)
    assert {manifest.columns["identity"][row] for row in rows} == {"p000", "p001", "p002", "p003"} and len(rows) == 16


def test_an_identity_counts_with_all_images_in_the_group_that_most_of_them_name():
    identities = ("x",) * 4 + ("y",) * 3
    manifest = Manifest({"path": tuple("1234567"), "identity": identities, "gender": tuple("mmmwwww")})
    kept = [manifest.columns["identity"][row] for row in balanced_rows(manifest, "gender", seed=0)]
    assert Counter(kept) == {"x": 3, "y": 3}


@pytest.mark.parametrize(
    ("people", "options", "message"),
    [
        ([("m", 5), ("w", 2)], {}, "group 'w' of column 'gender' has no identity with 3 images or more"),
        ([("m", 5), ("m", 5)], {}, "column 'gender' must tell two groups or more apart, got m"),
        ([("m", 5), ("w", 5)], {"least_images": 0}, "least_images must be 1 or more, got 0"),
    ],
)
def test_a_manifest_that_cannot_be_balanced_is_refused(people, options, message):
    with pytest.raises(ValueError, match=message):
        balanced_rows(manifest_of(people), "gender", seed=0, **options)


def test_an_unknown_column_is_named():
    with pytest.raises(ValueError, match="unknown group column 'age'; the manifest has: gender"):
        balanced_rows(manifest_of([("m", 5), ("w", 5)]), "age", seed=0)


def test_people_of_unknown_groups_are_left_out_and_told_and_majorities_are_settled():
    """Thinning could turn a majority, so that the group of all images is written behind every image that is kept."""
    people = {"p": "aaab", "q": "bbbbb", "r": "bbba", "s": "ab" * 3, "t": ("NA",) * 4, "": "aaa", "u": "aaaa"}
    rows = [(person, group) for person, groups in people.items() for group in groups]
    identities, groups = zip(*rows, strict=True)
    manifest = Manifest({"path": tuple(map(str, range(len(rows)))), "identity": identities, "sex": groups})
    for seed in range(20):
        balanced = balance(list_files(manifest, Path("x")), "sex", seed=seed)
        kept = zip(balanced.manifest.columns["identity"], balanced.manifest.columns["sex"], strict=True)
        assert set(kept) == {("p", "a"), ("q", "b"), ("r", "b"), ("u", "a")}
        assert labels_of(balanced.manifest, "sex").decided == []
    assert balanced.notes[:-1] == (
        "left out: 3 images have no identity ('' 3)",
        "left out: 1 identities have no group in column 'sex' ('NA' 1): t",
        "left out: 1 identities have two groups in column 'sex' in equal number: s (a 3, b 3)",
        "2 identities have images of two groups in column 'sex', the majority counts: p (a 3, b 1), r (b 3, a 1)",
    )
    spelled = Manifest({**manifest.columns, "sex": ("A", *groups[1:])})
    with pytest.raises(ValueError, match=r"column 'sex' has groups that differ only in spelling: 'A' and 'a'"):
        balanced_rows(spelled, "sex", seed=0)
