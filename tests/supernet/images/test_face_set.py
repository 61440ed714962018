import numpy as np
import pytest
import torch

from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.image_set import TooFewPeople
from dualfair.supernet.images.manifest import Manifest
from dualfair.supernet.images.splits import divide_people, open_splits, some_people
from tests.support.faces import manifest_of, store_of

FRACTIONS = (0.6, 0.2, 0.2)


def validation_faces(**people):
    """A face set with so many people of every group, two to four images each, in no order."""
    rng = np.random.default_rng(1)
    owners = [(f"{group}{person:02d}", group) for group, number in people.items() for person in range(number)]
    rows = [owner for place, owner in enumerate(owners) for _ in range(2 + place % 3)]
    identities, groups = np.array(rows)[rng.permutation(len(rows))].T
    return FaceSet(np.zeros((len(rows), 4, 4, 3), np.uint8), np.arange(len(rows)), identities, groups, 4)


def people_of(faces, group):
    return set(faces.identities[faces.groups == group].tolist())


@pytest.mark.parametrize(("share", "apart"), [(0.5, {"a": 10, "b": 4}), (0.3, {"a": 6, "b": 2})])
def test_people_set_apart_are_disjoint_whole_balanced_by_group_and_seeded(share, apart):
    faces = validation_faces(a=20, b=8)
    rest, kept = divide_people(faces, share, seed=0)
    for group, number in apart.items():
        assert len(people_of(kept, group)) == number
        assert people_of(kept, group) | people_of(rest, group) == people_of(faces, group)
        assert not people_of(kept, group) & people_of(rest, group)
    assert sorted([*rest.rows, *kept.rows]) == faces.rows.tolist() and (np.diff(kept.rows) > 0).all()
    again, other = (divide_people(faces, share, seed=seed)[1] for seed in (0, 1))
    assert again.rows.tolist() == kept.rows.tolist() != other.rows.tolist()


@pytest.mark.parametrize(("people", "share", "needed"), [(3, 0.5, 4), (2, 0.5, 4), (7, 0.2, 8), (5, 0.7, 6)])
def test_a_group_too_small_to_be_divided_is_named_with_the_people_it_needs(people, share, needed):
    with pytest.raises(TooFewPeople, match=f"group 'a' has {people} validation people; {needed} are needed"):
        divide_people(validation_faces(a=people, b=20), share, seed=0)
    rest, kept = divide_people(validation_faces(a=needed, b=20), share, seed=0)
    assert min(len(people_of(rest, "a")), len(people_of(kept, "a"))) == 2


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_a_share_of_people_that_leaves_one_side_empty_is_refused(share):
    with pytest.raises(ValueError, match="above 0 and below 1, got"):
        divide_people(validation_faces(a=9, b=9), share, seed=0)


def test_fewer_people_keep_the_shares_of_the_groups_and_all_their_images():
    faces = validation_faces(a=8, b=16)
    fewer = some_people(faces, 12, seed=0)
    assert [len(people_of(fewer, group)) for group in "ab"] == [4, 8]
    assert len(fewer) == np.isin(faces.identities, fewer.identities).sum()
    again, other = (some_people(faces, 12, seed=seed) for seed in (0, 1))
    assert again.rows.tolist() == fewer.rows.tolist() != other.rows.tolist()
    assert some_people(faces, 24, seed=0) is faces


@pytest.mark.parametrize("people", [-1, 25])
def test_more_people_than_there_are_are_refused(people):
    with pytest.raises(ValueError, match=rf"people must be 0 \(all\) to 24, the people of these faces; got {people}"):
        some_people(validation_faces(a=8, b=16), people, seed=0)


@pytest.mark.parametrize("value", ["", "Unknown", "NA", "<NA>", "#N/A"])
def test_people_without_a_group_stop_with_their_names(tmp_path, value):
    """Most images decide, so that a person some of whose images lack the group has one."""
    columns = dict(manifest_of(40).columns)
    groups = list(columns["group"])
    groups[4 * 3 : 4 * 4] = [value] * 4
    groups[4 * 7 : 4 * 8] = [value, value, value, "a"]
    groups[4 * 9 : 4 * 10] = [value, "a", "a", "a"]
    store = store_of(tmp_path, Manifest({**columns, "group": tuple(groups)}))
    how = {"fractions": FRACTIONS, "seed": 0, "size": 8}
    with pytest.raises(ValueError) as error:
        open_splits(store, group_column="group", **how)
    assert str(error.value) == (
        f"2 identities have no group in column 'group' ({value!r} 2): p03, p07; correct that, or leave them out with "
        "--drop-unknown"
    )
    splits = open_splits(store, group_column="group", drop_unknown=True, **how)
    people = set().union(*(faces.identities.tolist() for faces in splits.values()))
    assert people == {f"p{person:02d}" for person in range(40)} - {"p03", "p07"}
    assert {name for faces in splits.values() for name in faces.group_names} == {"a", "b"}
    with pytest.raises(ValueError, match="unknown group column 'sex'; the manifest has: group"):
        open_splits(store, group_column="sex", fractions=FRACTIONS, seed=0, size=8)


def test_an_identity_in_two_splits_stops_training_with_its_name(tmp_path):
    split = ["train"] * 40 + ["validation"] * 20 + ["test"] * 20
    split[79] = "train"
    store = store_of(tmp_path, manifest_of(split=tuple(split)))
    with pytest.raises(ValueError, match="1 identities stand in two splits: p19; each belongs to one"):
        open_splits(store, group_column="group", fractions=FRACTIONS, seed=0, size=8)


def with_unlabelled(groups=("a", "b"), unknown_in="train"):
    """Twenty people, four images each, and ten images of nobody knows whom in a group of their own."""
    known = manifest_of().columns
    split = ("train",) * 40 + ("validation",) * 20 + ("test",) * 20
    columns = {
        "path": (*known["path"], *(f"more/{image}.png" for image in range(10))),
        "identity": (*known["identity"], *(f"more-{image}" for image in range(10))),
        "group": (*(groups[int(name[1:]) % len(groups)] for name in known["identity"]), *(("unlabelled",) * 10)),
        "split": (*split, *((unknown_in,) * 10)),
    }
    return Manifest(columns)


def test_a_group_that_a_given_split_has_in_training_alone_is_not_judged(tmp_path):
    how = {"group_column": "group", "fractions": FRACTIONS, "seed": 0, "size": 8}
    splits = open_splits(store_of(tmp_path / "three", with_unlabelled()), **how)
    assert {name: faces.group_names for name, faces in splits.items()} == {
        "train": ("a", "b", "unlabelled"),
        "validation": ("a", "b"),
        "test": ("a", "b"),
    }
    assert len(splits["train"]) == 50
    with pytest.raises(ValueError, match="group 'unlabelled' has 0 identities with two or more images in the valid"):
        open_splits(store_of(tmp_path / "judged", with_unlabelled(unknown_in="test")), **how)
    with pytest.raises(ValueError, match=r"has one value only \('a'\); disparity needs two groups or more"):
        open_splits(store_of(tmp_path / "one", with_unlabelled(groups=("a",))), **how)
    # Dealt splits judge every group.
    dealt = Manifest({name: of for name, of in with_unlabelled().columns.items() if name != "split"})
    with pytest.raises(ValueError, match="group 'unlabelled' has 0 identities with two or more images"):
        open_splits(store_of(tmp_path / "dealt", dealt), **how)


def test_open_splits_reads_the_images_of_its_rows(tmp_path):
    store = store_of(tmp_path, manifest_of())
    splits = open_splits(store, group_column="group", fractions=FRACTIONS, seed=3, size=8)
    assert sum(map(len, splits.values())) == 80
    faces = splits["test"]
    chosen = np.array([5, 0, 3])
    assert np.array_equal(faces.read(chosen).numpy(), store.pixels[faces.rows[chosen]])
    assert faces.labels.max() + 1 == faces.identity_count == 4 and faces.group_names == ("a", "b")
    smaller = open_splits(store, group_column="group", fractions=FRACTIONS, seed=3, size=4)["test"]
    assert smaller.read(chosen).shape == (3, 4, 4, 3)
    with pytest.raises(ValueError, match=r"8 px, the network takes 16 px; import them again with --size 16, or train"):
        open_splits(store, group_column="group", fractions=FRACTIONS, seed=3, size=16)


def test_crops_are_the_centre_and_all_of_it_before(tmp_path):
    store, how = store_of(tmp_path, manifest_of()), {"group_column": "group", "fractions": FRACTIONS, "seed": 3}
    chosen = np.array([5, 0, 3])
    faces = open_splits(store, **how, size=4, crop_from=8)["test"]
    assert np.array_equal(faces.read(chosen).numpy(), store.pixels[faces.rows[chosen], 2:6, 2:6])
    assert np.array_equal(faces.uncropped().read(chosen).numpy(), store.pixels[faces.rows[chosen]])
    resized = open_splits(store, **how, size=6)["test"].read(chosen)
    assert torch.equal(open_splits(store, **how, size=4, crop_from=6)["test"].read(chosen), resized[:, 1:5, 1:5])
    with pytest.raises(ValueError, match=r"8 px, --crop-from takes 9 px; import them again with --size 9$"):
        open_splits(store, **how, size=4, crop_from=9)


def test_people_with_one_image_are_not_evaluated(tmp_path):
    manifest = manifest_of(people=40, images=2)
    rows = [row for row in range(80) if row not in (1, 3, 5, 7, 9)]
    splits = open_splits(
        store_of(tmp_path, manifest.take(rows)), group_column="group", fractions=FRACTIONS, seed=0, size=8
    )
    for split in ("validation", "test"):
        counts = np.unique(splits[split].identities, return_counts=True)[1]
        assert counts.min() == 2


def test_a_group_with_too_few_people_stops_with_its_name(tmp_path):
    groups = tuple("c" if identity == "p03" else "a" for identity in manifest_of().columns["identity"])
    manifest = Manifest({**manifest_of().columns, "group": groups})
    with pytest.raises(
        ValueError, match=r"group 'c' has [01] identities with two or more images in the validation split"
    ):
        open_splits(store_of(tmp_path / "x", manifest), group_column="group", fractions=FRACTIONS, seed=0, size=8)
    alike = Manifest({**manifest_of().columns, "group": ("a",) * 80})
    with pytest.raises(ValueError, match=r"group column 'group' has one value only \('a'\)"):
        open_splits(store_of(tmp_path / "y", alike), group_column="group", fractions=FRACTIONS, seed=0, size=8)
