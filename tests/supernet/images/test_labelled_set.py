from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dualfair.supernet.images.class_labels import strata
from dualfair.supernet.images.image_set import TooFewPeople
from dualfair.supernet.images.labelled_set import LabelledSet
from dualfair.supernet.images.manifest import Manifest
from dualfair.supernet.images.splits import decided, divide_people, open_splits, some_people
from dualfair.supernet.images.store import open_store
from tests.support.faces import labelled_manifest_of, labelled_store_of, manifest_of, store_of

HOW = {"group_column": "group", "fractions": (0.6, 0.2, 0.2), "seed": 0, "size": 8}


def opened(tmp_path, manifest, **how):
    return open_splits(labelled_store_of(tmp_path, manifest), **{**HOW, **how})


def strata_of(images):
    return Counter(zip(images.classes.tolist(), images.groups.tolist(), strict=True))


def test_splits_are_by_image_and_hold_their_share_of_every_class_in_every_group(tmp_path):
    splits = opened(tmp_path, labelled_manifest_of())
    for split, each in (("train", 6), ("validation", 2), ("test", 2)):
        assert strata_of(splits[split]) == {(name, group): each for name in ("cat", "dog", "eel") for group in "ab"}
        assert (np.diff(splits[split].rows) > 0).all()
    assert sorted(np.concatenate([images.rows for images in splits.values()]).tolist()) == list(range(60))
    again, other = (open_splits(open_store(tmp_path), **{**HOW, "seed": seed})["test"] for seed in (0, 1))
    assert again.rows.tolist() == splits["test"].rows.tolist() != other.rows.tolist()


def test_classes_have_one_number_in_all_splits_and_parts(tmp_path):
    images = opened(tmp_path, labelled_manifest_of())["train"]
    assert images.class_names == ("cat", "dog", "eel") and images.class_count == 3
    assert images.labels.dtype == np.int64
    assert [images.class_names[label] for label in images.labels] == images.classes.tolist()
    dogs = images.take(np.flatnonzero(images.classes == "dog")[::-1])
    assert set(dogs.labels.tolist()) == {1} and dogs.class_count == 3
    assert dogs.identities.tolist() == [str(row) for row in dogs.rows]


def test_networks_are_judged_by_class_scores_and_without_the_mirror_image(tmp_path):
    images = opened(tmp_path / "labelled", labelled_manifest_of())["test"]
    faces = open_splits(store_of(tmp_path / "faces", manifest_of()), **HOW)["test"]
    head, embedding = SimpleNamespace(class_scores=lambda embedding: embedding[:, :3]), torch.ones(2, 5)
    assert images.answer(head, embedding).shape == (2, 3) and not images.mirrored
    assert faces.answer(head, embedding) is embedding and faces.mirrored
    assert (images.task, images.units) == ("classification", "images")
    assert (faces.task, faces.units) == ("identification", "people")


def test_images_of_a_person_are_in_one_split_where_people_are_known(tmp_path):
    people = tuple(f"p{image // 6}" for image in range(120))
    splits = opened(tmp_path, labelled_manifest_of(120, identity=people))
    whose = [set(images.identities.tolist()) for images in splits.values()]
    assert sum(map(len, whose)) == len(set.union(*whose)) == 20
    assert {images.units for images in splits.values()} == {"people"}


def test_a_split_that_is_given_is_kept(tmp_path):
    split = ("train",) * 30 + ("test",) * 15 + ("validation",) * 15
    splits = opened(tmp_path / "a", labelled_manifest_of(split=split))
    assert splits["test"].rows.tolist() == list(range(30, 45))
    with pytest.raises(ValueError, match="unknown split 'dev'; expected train, validation, test"):
        opened(tmp_path / "b", labelled_manifest_of(split=("dev", *split[1:])))
    torn = tuple(f"p{image // 20}" for image in range(60))
    with pytest.raises(ValueError, match="2 identities stand in two splits: p1, p2"):
        opened(tmp_path / "c", labelled_manifest_of(split=split, identity=torn))


def test_a_class_that_is_not_in_every_split_is_named(tmp_path):
    labels = ("rare",) * 2 + ("cat", "dog") * 29
    with pytest.raises(
        ValueError, match=r"class 'rare' has no image in the (validation|test) split; every split needs"
    ):
        opened(tmp_path / "a", labelled_manifest_of(label=labels))
    with pytest.raises(ValueError, match="all images have the label 'cat'; classification needs two classes or more"):
        opened(tmp_path / "b", labelled_manifest_of(label=("cat",) * 60))


@pytest.mark.parametrize("groups", [None, ("",) * 60])
def test_without_groups_all_images_are_one_group(tmp_path, groups):
    splits = opened(tmp_path, labelled_manifest_of(group=groups))
    assert splits["test"].group_names == ("all",)
    with pytest.raises(ValueError, match="unknown group column 'hue'; the manifest has:"):
        open_splits(open_store(tmp_path), **{**HOW, "group_column": "hue"})


def test_images_without_a_label_or_a_group_stop_or_are_left_out(tmp_path):
    whole = labelled_manifest_of().columns
    labels, groups = ("", *whole["label"][1:]), ("a", "?", "NA", *whole["group"][3:])
    store = labelled_store_of(tmp_path, Manifest({**whole, "label": labels, "group": groups}))
    sentences = "1 images have no label ('' 1); 2 images have no group in column 'group' ('?' 1, 'NA' 1)"
    with pytest.raises(ValueError) as error:
        open_splits(store, **HOW)
    assert str(error.value) == f"{sentences}; correct that, or leave them out with --drop-unknown"
    splits = open_splits(store, **HOW, drop_unknown=True)
    assert sorted(np.concatenate([images.rows for images in splits.values()]).tolist()) == list(range(3, 60))
    assert decided(store, "group") == [f"left out: {sentence}" for sentence in sentences.split("; ")]


def test_doubtful_spellings_are_refused_but_letters_are_classes_of_their_own(tmp_path):
    with pytest.raises(ValueError, match="column 'label' has values that differ only in spelling: 'Cat' and 'cat'"):
        opened(tmp_path / "a", labelled_manifest_of(classes=("cat", "Cat")))
    assert opened(tmp_path / "b", labelled_manifest_of(classes=("a", "A")))["test"].class_names == ("A", "a")
    with pytest.raises(ValueError, match="column 'group' has values that differ only in spelling"):
        opened(tmp_path / "c", labelled_manifest_of(groups=("b", "B")))
    with pytest.raises(ValueError, match="column 'group' has a group 'all', as everybody together is called"):
        opened(tmp_path / "d", labelled_manifest_of(groups=("b", "all")))


def test_a_part_set_aside_holds_its_share_of_every_class_in_every_group(tmp_path):
    images = opened(tmp_path, labelled_manifest_of())["train"]
    rest, kept = divide_people(images, 0.5, seed=0)
    assert strata_of(rest) == strata_of(kept) == {(name, group): 3 for name in images.class_names for group in "ab"}
    assert sorted([*rest.rows, *kept.rows]) == images.rows.tolist()
    fewer = some_people(images, 12, seed=0)
    assert set(strata_of(fewer).values()) == {2} and some_people(images, 36, seed=0) is images
    with pytest.raises(ValueError, match=r"people must be 0 \(all\) to 36, the images of this set; got 37"):
        some_people(images, 37, seed=0)


def test_a_class_too_small_for_both_parts_is_named():
    classes, groups = np.array(["cat"] + ["dog"] * 9), np.array(["a", "b"] * 5)
    rows = np.arange(10)
    images = LabelledSet(np.zeros((10, 4, 4, 3), np.uint8), rows, rows.astype(str), groups, 4, classes, ("cat", "dog"))
    with pytest.raises(TooFewPeople, match=r"class 'cat' has 1 validation images, too few for a share 0\.5"):
        divide_people(images, 0.5, seed=0)


def test_the_task_is_recorded_and_its_column_must_be_there(tmp_path):
    assert labelled_store_of(tmp_path / "a", labelled_manifest_of()).task == "classification"
    assert store_of(tmp_path / "b", manifest_of()).task == "identification"
    with pytest.raises(ValueError, match="classification needs a column 'label'; it has: path, identity, group"):
        labelled_store_of(tmp_path / "c", manifest_of())
    with pytest.raises(ValueError, match="identification needs a column 'identity'; it has: path, label, group"):
        store_of(tmp_path / "d", labelled_manifest_of())
    for task in ("guessing", ["classification"]):
        with pytest.raises(ValueError, match=r"faces\.json is missing or damaged"):
            store_of(tmp_path / "e", manifest_of(), task=task)


def test_a_person_counts_in_the_class_and_group_of_most_of_their_images():
    people, classes, groups = np.array(["p", "p", "p", "q", "q"]), np.array(list("xyyyx")), np.array(list("abbaa"))
    assert strata(people, classes, groups) == {"p": ("y", "b"), "q": ("x", "a")}
