import json

import numpy as np
import pytest
import torch
from PIL import Image

from dualfair.supernet.images.augmentation import augment, draw, mirror, resize, to_input
from dualfair.supernet.images.face_set import FaceSet, TooFewPeople, divide_people, open_splits
from dualfair.supernet.images.importers.importing import import_images, list_csv, list_folder
from dualfair.supernet.images.manifest import Manifest, identity_groups, read_manifest, split_identities, write_manifest
from dualfair.supernet.images.store import StoreWriter, open_store, square

FRACTIONS = (0.6, 0.2, 0.2)


def manifest_of(people=20, images=4, **further):
    identities = [f"p{person:02d}" for person in range(people) for _ in range(images)]
    groups = ["a" if int(identity[1:]) % 2 else "b" for identity in identities]
    paths = [f"{identity}/{number}.png" for number, identity in enumerate(identities)]
    return Manifest({"path": tuple(paths), "identity": tuple(identities), "group": tuple(groups), **further})


def save_people(root, people=6, images=3):
    rng = np.random.default_rng(0)
    for person in range(people):
        (root / f"p{person}").mkdir(parents=True)
        for number in range(images):
            Image.fromarray(rng.integers(0, 256, (30, 20, 3), dtype=np.uint8)).save(
                root / f"p{person}" / f"{number}.png"
            )


def test_splits_are_disjoint_by_identity_balanced_by_group_and_seeded():
    manifest = manifest_of(40)
    splits = split_identities(manifest, "group", FRACTIONS, seed=0)
    people = {split: {manifest.columns["identity"][row] for row in rows} for split, rows in splits.items()}
    assert {split: len(who) for split, who in people.items()} == {"train": 24, "validation": 8, "test": 8}
    assert not people["train"] & people["validation"] and not people["test"] & (people["train"] | people["validation"])
    groups = identity_groups(manifest, "group")
    for who in people.values():
        assert sum(groups[identity] == "a" for identity in who) * 2 == len(who)
    again = split_identities(manifest, "group", FRACTIONS, seed=0)
    other = split_identities(manifest, "group", FRACTIONS, seed=1)
    assert all(np.array_equal(splits[name], again[name]) for name in splits)
    assert not np.array_equal(splits["test"], other["test"])


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


def test_given_splits_are_kept_and_an_identity_in_two_of_them_is_named():
    split = ["train"] * 40 + ["validation"] * 20 + ["test"] * 20
    splits = split_identities(manifest_of(split=tuple(split)), "group", FRACTIONS, seed=0)
    assert splits["validation"].tolist() == list(range(40, 60))
    split[41], split[79] = "test", "train"
    with pytest.raises(ValueError, match="2 identities stand in two splits: p10, p19; each belongs to one"):
        split_identities(manifest_of(split=tuple(split)), "group", FRACTIONS, seed=0)
    split[0] = "dev"
    with pytest.raises(ValueError, match="identity p00: unknown split 'dev'; expected train, validation, test"):
        split_identities(manifest_of(split=tuple(split)), "group", FRACTIONS, seed=0)


def test_an_identity_belongs_to_the_group_most_of_its_images_name():
    manifest = Manifest({"path": tuple("123456"), "identity": tuple("xxxyyz"), "group": tuple("abbbaa")})
    assert identity_groups(manifest, "group") == {"x": "b", "y": "a", "z": "a"}


@pytest.mark.parametrize("value", ["", "unknown", "Unknown", "nan", "None", "?", "N/A"])
def test_people_without_a_group_stop_with_their_names(tmp_path, value):
    """Most images decide, so that a person some of whose images lack the group has one."""
    columns = dict(manifest_of(20).columns)
    groups = list(columns["group"])
    groups[4 * 3 : 4 * 4] = [value] * 4
    groups[4 * 7 : 4 * 8] = [value, value, value, "a"]
    groups[4 * 9 : 4 * 10] = [value, "a", "a", "a"]
    store = store_of(tmp_path, Manifest({**columns, "group": tuple(groups)}))
    with pytest.raises(ValueError, match=r"2 identities have no group in column 'group', .*: p03, p07; give each one"):
        open_splits(store, group_column="group", fractions=FRACTIONS, seed=0, size=8)
    with pytest.raises(ValueError, match="unknown group column 'sex'; the manifest has: group"):
        open_splits(store, group_column="sex", fractions=FRACTIONS, seed=0, size=8)


def test_an_identity_in_two_splits_stops_training_with_its_name(tmp_path):
    split = ["train"] * 40 + ["validation"] * 20 + ["test"] * 20
    split[79] = "train"
    store = store_of(tmp_path, manifest_of(split=tuple(split)))
    with pytest.raises(ValueError, match="1 identities stand in two splits: p19; each belongs to one"):
        open_splits(store, group_column="group", fractions=FRACTIONS, seed=0, size=8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty file"),
        ("path,identity\n", "only a header"),
        ("path,group\nx,a\n", "no column 'identity'; it has: path, group"),
        ("path,identity\nx,1\ny\n", "line 3 has 1 fields, the header has 2"),
        ("path,path\nx,1\n", "a column name stands twice"),
    ],
)
def test_a_bad_manifest_names_the_line_or_the_column(tmp_path, text, said):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(ValueError) as error:
        read_manifest(tmp_path / "m.csv")
    assert said in str(error.value) and "m.csv" in str(error.value)
    with pytest.raises(ValueError, match="unknown group column 'age'; the manifest has: group"):
        manifest_of().column("age")


def test_grey_transparent_and_non_square_images_become_square_rgb():
    grey = Image.fromarray(np.full((30, 50), 77, np.uint8))
    assert square(grey, 16).shape == (16, 16, 3) and (square(grey, 16) == 77).all()
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    assert (square(Image.fromarray(wide), 10) == 255).all(), "the central square is kept"
    assert square(Image.new("RGBA", (9, 9), (10, 20, 30, 0)), 9)[0, 0].tolist() == [10, 20, 30]


def test_a_folder_of_people_becomes_a_store(tmp_path):
    save_people(tmp_path / "photos")
    (tmp_path / "groups.csv").write_text(
        "identity,group,age\n" + "".join(f"p{i},{'ab'[i % 2]},{i}\n" for i in range(6))
    )
    manifest = list_folder(tmp_path / "photos", tmp_path / "groups.csv")
    report = import_images(manifest, tmp_path / "photos", tmp_path / "faces", size=12)
    store = open_store(tmp_path / "faces")
    assert store.pixels.shape == (18, 12, 12, 3) and not report.unreadable
    assert store.manifest.columns["path"][3] == "p1/0.png" and store.manifest.columns["age"][3] == "1"
    with Image.open(tmp_path / "photos/p1/0.png") as image:
        assert np.array_equal(store.pixels[3], square(image, 12))
    again = import_images(manifest, tmp_path / "photos", tmp_path / "again", size=12).store
    assert again.fingerprint == store.fingerprint
    assert import_images(manifest, tmp_path / "photos", tmp_path / "b", size=13).store.fingerprint != store.fingerprint


def test_unreadable_images_are_listed_and_too_many_stop_the_import(tmp_path):
    save_people(tmp_path / "photos")
    (tmp_path / "photos/p2/1.png").write_bytes(b"")
    (tmp_path / "photos/p3/0.png").write_text("no image")
    truncated = tmp_path / "photos/p4/0.png"
    truncated.write_bytes(truncated.read_bytes()[:200])
    manifest = list_folder(tmp_path / "photos")
    report = import_images(manifest, tmp_path / "photos", tmp_path / "faces", size=12, max_unreadable=0.2)
    assert [name for name, _ in report.unreadable] == ["p2/1.png", "p3/0.png", "p4/0.png"]
    assert [reason for _, reason in report.unreadable][:2] == ["empty file", "not an image"]
    store = open_store(tmp_path / "faces")
    assert len(store.manifest) == len(store.pixels) == 15 and "p2/1.png" not in store.manifest.columns["path"]
    with pytest.raises(
        ValueError,
        match=r"3 of 18 images .* 0.1: \S*p2/1.png \(empty file\), \S*p3/0.png \(not an image\), \S*p4/0.png \(",
    ):
        import_images(manifest, tmp_path / "photos", tmp_path / "faces2", size=12, max_unreadable=0.1)
    assert not (tmp_path / "faces2" / "manifest.csv").exists()


def test_an_empty_folder_a_missing_person_and_a_missing_folder_are_named(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(ValueError, match=r"photos holds no images; expected one folder a person"):
        list_folder(tmp_path / "photos")
    with pytest.raises(ValueError, match="there is no folder"):
        list_folder(tmp_path / "nowhere")
    save_people(tmp_path / "photos", people=2)
    (tmp_path / "groups.csv").write_text("identity,group\np0,a\n")
    with pytest.raises(ValueError, match=r"no row for 1 of the persons .*: p1"):
        list_folder(tmp_path / "photos", tmp_path / "groups.csv")
    with pytest.raises(ValueError, match="there is no such file"):
        list_csv(tmp_path / "none.csv")


def test_a_damaged_store_gets_one_clear_line(tmp_path):
    with pytest.raises(ValueError, match="is no faces folder"):
        open_store(tmp_path)
    writer = StoreWriter(tmp_path, 2, 8)
    writer.add(np.zeros((2, 8, 8, 3), np.uint8))
    manifest = Manifest({"path": ("a", "b"), "identity": ("x", "y"), "group": ("a", "b")})
    writer.close(manifest, {})
    (tmp_path / "manifest.csv").write_text("path,identity\na,x\n")
    with pytest.raises(ValueError, match="1 manifest rows for 2 images"):
        open_store(tmp_path)
    (tmp_path / "pixels.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"pixels.npy cannot be read"):
        open_store(tmp_path)


def store_of(tmp_path, manifest, size=8):
    writer = StoreWriter(tmp_path, len(manifest), size)
    writer.add(np.random.default_rng(0).integers(0, 256, (len(manifest), size, size, 3), dtype=np.uint8))
    return writer.close(manifest, {"made by": "test"})


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
    with pytest.raises(ValueError, match=r"stored at 8 px, the network takes 16 px; import them again with --size 16"):
        open_splits(store, group_column="group", fractions=FRACTIONS, seed=3, size=16)


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


def test_augmentation_is_per_sample_seeded_and_bounded():
    images = torch.rand(200, 3, 12, 12) * 2 - 1
    first = augment(images, draw(len(images), torch.Generator().manual_seed(0)), flip=True, shift=0.1, brightness=0.2)
    again = augment(images, draw(len(images), torch.Generator().manual_seed(0)), flip=True, shift=0.1, brightness=0.2)
    assert torch.equal(first, again) and first.abs().max() <= 1 and first.shape == images.shape
    flipped = augment(images, draw(len(images), torch.Generator().manual_seed(0)), flip=True, shift=0.0, brightness=0.0)
    mirrored = (flipped == mirror(images)).flatten(1).all(1)
    unchanged = (flipped == images).flatten(1).all(1)
    assert (mirrored ^ unchanged).all() and 70 < mirrored.sum() < 130
    still = augment(images, draw(len(images), torch.Generator().manual_seed(0)), flip=False, shift=0.0, brightness=0.0)
    assert torch.equal(still, images)


def test_shifts_are_whole_pixels_within_the_bound():
    image = torch.arange(144.0).reshape(1, 1, 12, 12).expand(300, 3, 12, 12) / 144
    moved = augment(image, draw(len(image), torch.Generator().manual_seed(1)), flip=False, shift=0.2, brightness=0.0)
    seen = {divmod(round(float(value) * 144), 12) for value in moved[:, 0, 6, 6]}
    assert seen == {(row, column) for row in range(4, 9) for column in range(4, 9)}


def test_pixels_become_input_between_minus_one_and_one():
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).reshape(1, 1, 1, 3)
    assert to_input(pixels).flatten().tolist() == pytest.approx([-1.0, 1.0, -0.6])
    assert resize(torch.full((2, 9, 9, 3), 90, dtype=torch.uint8), 4).unique().tolist() == [90]


def test_faces_json_tells_where_the_faces_came_from(tmp_path):
    store_of(tmp_path, manifest_of())
    origin = json.loads((tmp_path / "faces.json").read_text())
    assert origin["made by"] == "test" and origin["images"] == 80 and origin["size"] == 8


def damaged(data, rng):
    """A copy of some text with a few bytes flipped, cut, doubled, or replaced by quotes, separators and rubbish."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        start = int(rng.integers(0, len(data) + 1))
        end = min(len(data), start + int(rng.integers(1, 12)))
        kind = rng.integers(0, 5)
        if kind == 0 and start < len(data):
            data[start] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            del data[start:end]
        elif kind == 2:
            data[start:start] = data[start:end]
        elif kind == 3:
            data[start:end] = rng.choice(
                [b'"', b",", b"\n", b"\r", b"\x00", b"\xff\xfe", b"../", b'""', b"\xe2\x80\xa8"]
            )
        else:
            data[start:end] = rng.integers(0, 256, int(rng.integers(1, 8)), dtype=np.uint8).tobytes()
    return bytes(data)


def fuzz_manifests(folder, cases):
    rng = np.random.default_rng(7)
    columns = {"path": tuple(f"p{i}/{i}.jpg" for i in range(6)), "identity": tuple("aabbcc"), "group": tuple("xxyyxx")}
    write_manifest(Manifest(columns), folder / "whole.csv")
    data = (folder / "whole.csv").read_bytes()
    refused = 0
    for _ in range(cases):
        (folder / "m.csv").write_bytes(damaged(data, rng))
        try:
            manifest = read_manifest(folder / "m.csv")
            split_identities(manifest, "group", (0.4, 0.3, 0.3), 0)
        except ValueError as error:
            refused += 1
            assert str(error) and "\n" not in str(error)
    assert 0 < refused < cases


def test_a_damaged_manifest_is_read_or_refused_in_one_line(tmp_path):
    fuzz_manifests(tmp_path, 300)


@pytest.mark.slow
def test_ten_thousand_damaged_manifests_are_read_or_refused_in_one_line(tmp_path):
    fuzz_manifests(tmp_path, 10_000)
