import json

import numpy as np
import pytest

from dualfair.supernet.images.inspection import Count, inspect
from dualfair.supernet.images.labels import labels_of
from dualfair.supernet.images.manifest import Manifest, split_identities
from dualfair.supernet.images.pairs import Pairs, write_pairs
from dualfair.supernet.images.store import StoreWriter, open_store


def columns_of(people=24, images=4):
    identities = [f"p{person:02d}" for person in range(people) for _ in range(images)]
    return {
        "path": tuple(f"{identity}/{number}.png" for number, identity in enumerate(identities)),
        "identity": tuple(identities),
        "group": tuple("ab"[int(identity[1:]) % 2] for identity in identities),
    }


def store_of(folder, columns=None, origin=None, change=None):
    manifest = Manifest(columns or columns_of())
    pixels = np.random.default_rng(0).integers(0, 256, (len(manifest), 8, 8, 3), dtype=np.uint8)
    if change:
        change(pixels)
    writer = StoreWriter(folder, len(manifest), 8)
    writer.add(pixels)
    return writer.close(manifest, origin or {})


def faults(result):
    return [finding.text for finding in result.findings if finding.fault]


def notes(result):
    return [finding.text for finding in result.findings if not finding.fault]


def test_a_sound_folder_has_counts_and_nothing_to_tell(tmp_path):
    columns = columns_of()
    result = inspect(store_of(tmp_path, columns), seed=5)
    assert result.findings == () and result.faults == 0 and result.images_per_identity == (4, 4.0, 4)
    rows = split_identities(Manifest(columns), labels_of(Manifest(columns), "group").group_of, (0.6, 0.2, 0.2), 5)
    for count in result.counts:
        row_numbers = [row for row in rows[count.split] if columns["group"][row] == count.group]
        people = {columns["identity"][row] for row in row_numbers}
        assert (count.identities, count.images, count.evaluable) == (len(people), len(row_numbers), len(people))
    assert [(count.split, count.group, count.identities) for count in result.counts] == [
        ("train", "a", 7), ("train", "b", 7), ("validation", "a", 3), ("validation", "b", 3), ("test", "a", 2),
        ("test", "b", 2),
    ]  # fmt: skip


def test_images_per_person_and_people_with_one_image_are_counted(tmp_path):
    columns = {
        "path": tuple("abcdefg"),
        "identity": tuple("xxxxyyz"),
        "group": tuple("1111222"),
        "split": ("train",) * 7,
    }
    result = inspect(store_of(tmp_path, columns))
    assert result.images_per_identity == (1, 2.0, 4)
    assert result.counts[:2] == (Count("train", "1", 1, 4, 1), Count("train", "2", 2, 3, 1))


def test_groups_that_cannot_be_evaluated_are_faults(tmp_path):
    columns = columns_of()
    split = ["train"] * 64 + ["validation"] * 16 + ["test"] * 16
    columns["group"] = tuple(
        "c" if identity == "p23" else group
        for identity, group in zip(columns["identity"], columns["group"], strict=True)
    )
    result = inspect(store_of(tmp_path, {**columns, "split": tuple(split)}))
    assert faults(result) == [
        "group 'c' has 0 identities with two or more images in the validation split; it needs at least 2",
        "group 'b' has 1 identities with two or more images in the test split; it needs at least 2",
        "group 'c' has 1 identities with two or more images in the test split; it needs at least 2",
    ]


def test_equal_pixels_across_people_are_a_fault_and_within_a_person_a_note(tmp_path):
    def change(pixels):
        pixels[5] = pixels[6] = pixels[90]
        pixels[41] = pixels[40]

    for name, first_test, told in (("leak", 80, " (1 of them in two splits)"), ("none", 92, "")):
        split = ["train"] * 96
        split[40:56], split[first_test : first_test + 16] = ["validation"] * 16, ["test"] * 16
        result = inspect(store_of(tmp_path / name, {**columns_of(), "split": tuple(split[:96])}, change=change))
        equal = "3 images of different identities have equal pixels, in 1 sets"
        assert [fault for fault in faults(result) if "pixels" in fault] == [
            f"{equal}{told}: p01/5.png = p01/6.png = p22/90.png"
        ]
        assert notes(result) == ["2 images of one identity have equal pixels, in 1 sets: p10/40.png = p10/41.png"]
    unlinked = inspect(store_of(tmp_path / "bin", origin={"linked": False}, change=change))
    assert unlinked.faults == 0 and len(unlinked.findings) == 2


def test_images_of_one_colour_are_a_fault_and_not_called_equal(tmp_path):
    def change(pixels):
        pixels[[3, 50]] = 0
        pixels[60] = (9, 8, 7)
        pixels[61] = 0
        pixels[61, 7, 7, 2] = 1

    assert faults(inspect(store_of(tmp_path, change=change))) == [
        "3 images are of one colour: p00/3.png, p12/50.png, p15/60.png"
    ]


def test_an_identity_in_two_splits_and_an_unknown_split_are_faults(tmp_path):
    split = (["train"] * 4 + ["validation"] * 4 + ["test"] * 4) * 8
    split[0], split[95] = "test", "dev"
    result = inspect(store_of(tmp_path, {**columns_of(), "split": tuple(split)}))
    assert faults(result) == [
        "unknown split dev; expected train, validation, test",
        "2 identities stand in two splits: p00, p23",
    ]
    assert ("dev", "b", 1) in [(count.split, count.group, count.images) for count in result.counts]


def test_a_group_that_stands_in_training_alone_is_a_note_where_the_set_says_so(tmp_path):
    columns = columns_of()
    groups = [
        "c" if name in ("p00", "p01") else group
        for name, group in zip(columns["identity"], columns["group"], strict=True)
    ]
    of_person = {
        f"p{person:02d}": "train" if person < 8 else "validation" if person < 16 else "test" for person in range(24)
    }
    split = tuple(of_person[name] for name in columns["identity"])
    result = inspect(store_of(tmp_path / "given", {**columns, "group": tuple(groups), "split": split}))
    assert not faults(result)
    assert notes(result) == ["group 'c' stands in training alone: it is trained on, and not judged"]
    dealt = inspect(store_of(tmp_path / "dealt", {**columns, "group": tuple(groups)}))
    assert [fault.partition(" has ")[0] for fault in faults(dealt)] == ["group 'c'"] * 2 and not notes(dealt)


def test_people_of_two_groups_are_a_note_where_most_images_decide_and_a_fault_where_none_do(tmp_path):
    columns = columns_of()
    groups = list(columns["group"])
    groups[0], groups[4], groups[5] = "b", "a", "a"
    result = inspect(store_of(tmp_path, {**columns, "group": tuple(groups)}))
    assert faults(result) == ["1 identities have two groups in column 'group' in equal number: p01 (a 2, b 2)"]
    assert notes(result) == [
        "1 identities have images of two groups in column 'group', the majority counts: p00 (a 3, b 1)"
    ]


def test_another_column_can_be_the_group_and_a_set_without_one_is_noted(tmp_path):
    columns = columns_of()
    age = tuple("old" if identity < "p12" else "young" for identity in columns["identity"])
    store = store_of(tmp_path / "two", {**columns, "age": age})
    assert {count.group for count in inspect(store, group_column="age").counts} == {"old", "young"}
    with pytest.raises(ValueError, match="unknown group column 'sex'; the manifest has: group, age"):
        inspect(store, group_column="sex")
    del columns["group"]
    result = inspect(store_of(tmp_path / "none", columns))
    assert {count.group for count in result.counts} == {"all"} and result.counts[0].identities == 14
    assert result.faults == 0 and notes(result)[0].startswith("there is no column 'group'; training needs one")
    result = inspect(store_of(tmp_path / "age", {**columns, "age": age}))
    assert notes(result)[0] == "there is no column 'group'; choose one with --group-column: age"
    alike = inspect(store_of(tmp_path / "alike", {**columns, "group": ("a",) * 96}))
    assert faults(alike) == ["column 'group' has the one value 'a'; disparity needs two groups or more"]
    blank = inspect(
        store_of(
            tmp_path / "blank", {**columns, "group": tuple("" if who < "p12" else "a" for who in columns["identity"])}
        )
    )
    assert faults(blank)[0].startswith("12 identities have no group in column 'group' ('' 12): p00, ")


def test_pixels_or_a_manifest_that_were_changed_are_a_fault(tmp_path):
    message = "pixels or manifest are not those that were written (SHA-256 differs); import them again"
    store_of(tmp_path / "pixels")
    path = tmp_path / "pixels/pixels.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert faults(inspect(open_store(tmp_path / "pixels"))) == [message]
    store_of(tmp_path / "manifest")
    path = tmp_path / "manifest/manifest.csv"
    path.write_text(path.read_text().replace("p00,a", "p00,b", 1))
    assert message in faults(inspect(open_store(tmp_path / "manifest")))


def test_a_field_with_blanks_around_it_does_not_look_like_a_change(tmp_path):
    columns = columns_of()
    columns["group"] = tuple(f" {group}" for group in columns["group"])
    assert inspect(store_of(tmp_path, columns)).findings == ()


def test_what_was_said_and_left_out_at_import_is_repeated(tmp_path):
    result = inspect(store_of(tmp_path, origin={"unreadable": ["a.png", "b.png"], "notes": ["mind this"]}))
    assert notes(result) == [
        "2 images were unreadable at import and left out: a.png, b.png",
        "said at import: mind this",
    ]


def test_pairs_are_counted_and_checked_against_the_identities(tmp_path):
    store = store_of(tmp_path)
    pairs = Pairs(np.array([0, 1, 2]), np.array([1, 2, 9]), np.array([True, True, False]), np.array([0, 1, 1]))
    write_pairs(tmp_path / "pairs.csv", pairs, store.manifest)
    result = inspect(store)
    assert notes(result) == ["3 verification pairs, 2 of one person, in 2 folds"] and result.faults == 0
    wrong = Pairs(pairs.left, pairs.right, np.array([True, False, False]), pairs.fold)
    write_pairs(tmp_path / "pairs.csv", wrong, store.manifest)
    assert faults(inspect(store)) == ["1 pairs contradict the identities of their images, first that of p00/1.png"]
    (tmp_path / "pairs.csv").write_text("left,right,same,fold\nx,y,1,0\n")
    assert "line 2: 'x' is not in the manifest beside it" in faults(inspect(store))[0]


def test_pairs_of_an_image_with_itself_are_a_fault_and_repeated_ones_are_told(tmp_path):
    store = store_of(tmp_path)
    left, right = np.array([0, 1, 0, 2, 5, 9]), np.array([1, 0, 1, 2, 9, 5])
    pairs = Pairs(left, right, np.array([1, 1, 1, 1, 0, 0], bool), np.arange(6) % 2)
    write_pairs(tmp_path / "pairs.csv", pairs, store.manifest)
    result = inspect(store)
    assert faults(result) == ["1 pairs are of an image with itself, first that of p00/2.png"]
    assert notes(result)[1:] == [
        "3 pairs stand in the list before, in this order or the other, first that of p00/1.png"
    ]


def test_faults_come_before_notes_and_chunks_do_not_matter(tmp_path, monkeypatch):
    def change(pixels):
        pixels[0] = pixels[1]
        pixels[7] = pixels[80]

    store = store_of(tmp_path, change=change)
    result = inspect(store)
    assert [finding.fault for finding in result.findings] == [True, False]
    seen = []
    monkeypatch.setattr("dualfair.supernet.images.inspection.CHUNK_BYTES", 8 * 8 * 3 * 7)
    again = inspect(store, progress=lambda chunks: seen.append(len(chunks)) or chunks)
    assert again == result and seen == [14]


def test_the_fingerprint_is_the_one_of_the_stored_bytes(tmp_path):
    import hashlib

    store = store_of(tmp_path)
    columns = {name: list(values) for name, values in store.manifest.columns.items()}
    expected = hashlib.sha256(store.pixels.tobytes() + json.dumps(columns).encode()).hexdigest()
    assert store.fingerprint == expected


def test_images_without_an_identity_are_a_fault_and_nobody_among_the_counts(tmp_path):
    def change(pixels):
        pixels[0] = pixels[7]

    columns = columns_of()
    columns["identity"] = ("",) * 8 + columns["identity"][8:]
    columns["race"] = ("x",) * 20 + ("X",) * 20 + ("n/a",) * 56
    result = inspect(store_of(tmp_path, columns, change=change))
    assert faults(result) == ["8 images have no identity ('' 8)"]
    assert notes(result) == [
        "column 'race' has no value for 56 images ('n/a' 56)",
        "column 'race' has values that differ only in spelling: 'X' and 'x'",
    ]
    assert sum(count.identities for count in result.counts) == 22 and sum(count.images for count in result.counts) == 88
    assert result.images_per_identity == (4, 4, 4)
    nobody = inspect(store_of(tmp_path / "nobody", {**columns, "identity": ("NA",) * 96}))
    assert faults(nobody) == ["96 images have no identity ('NA' 96)"] and nobody.images_per_identity == (0, 0, 0)


@pytest.mark.parametrize("value", ["", "NULL"])
def test_a_column_without_any_group_is_as_good_as_none_unless_it_is_named(tmp_path, value):
    store = store_of(tmp_path, {**columns_of(), "group": (value,) * 96})
    result = inspect(store)
    assert {(count.group, count.split): count.identities for count in result.counts}["all", "train"] == 14
    assert result.faults == 0
    assert notes(result)[-1] == "column 'group' names no group; training needs one to compare people by"
    assert faults(inspect(store, group_column="group"))[0].startswith("24 identities have no group in column 'group'")


def test_groups_of_pairs_are_counted_and_checked(tmp_path):
    store = store_of(tmp_path)
    rows, same = np.arange(4), np.array([True, True, True, False])
    for groups, said in (
        ("a", "4 verification pairs, 3 of one person, in 1 folds, by group: 'a' 3, 'b' 1"),
        (
            "A",
            "groups that differ only in spelling: 'A' and 'a'; give each one spelling",
        ),
        ("NA", "1 of 4 pairs have no group ('NA' 1); correct that, or leave them out with --drop-unknown"),
    ):
        pairs = Pairs(rows, np.array([1, 2, 3, 50]), same, np.zeros(4, int), np.array(["a", groups, "a", "b"]))
        write_pairs(tmp_path / "pairs.csv", pairs, store.manifest)
        told = notes(inspect(store)) if groups == "a" else faults(inspect(store))
        assert len(told) == 1 and said in told[0]


def test_a_group_called_as_everybody_together_is_a_fault(tmp_path):
    columns = columns_of()
    columns["group"] = tuple(group.replace("a", "all") for group in columns["group"])
    assert faults(inspect(store_of(tmp_path, columns))) == [
        "column 'group' has a group 'all', as everybody together is called"
    ]
