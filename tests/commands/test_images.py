"""`dualfair images import` and `dualfair images check` as a user types them."""

import numpy as np
import pytest
from PIL import Image

from dualfair.supernet.images.importers.labelled import LABELLED_IMPORTERS
from dualfair.supernet.images.splits import open_splits
from dualfair.supernet.images.store import open_store


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *path.as_posix().encode()])
    Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)


def save_classes(root, images=10):
    for name in ("cat", "dog"):
        for number in range(images):
            save(root / name / ("deep" if number % 2 else "") / f"{number}.png")
    return root


def save_arrays(path, images=40):
    pixels = np.random.default_rng(0).integers(0, 256, (images, 12, 12, 3), dtype=np.uint8)
    np.savez(path, images=pixels, labels=np.arange(images) % 2, groups=np.array(list("ab"))[np.arange(images) // 2 % 2])
    return path


def test_a_folder_a_class_is_imported_and_checked_without_a_fault(dualfair, tmp_path):
    made = dualfair(
        "images", "import", "folder", save_classes(tmp_path / "in"), "--out", tmp_path / "out", "--size", 16
    )
    assert made.status == 0, made.err
    folder = tmp_path / "out"
    assert made.out.splitlines()[-5:] == [
        f"{folder}: 20 images of 2 classes at 16 px",
        "images by class: cat 10, dog 10",
        "There are no groups: all images are one group",
        "Note: Training mirrors images at random; digits, letters and all that a mirror changes need --no-flip",
        f"Next: dualfair images check {folder}, then dualfair train --images {folder} --out run",
    ]
    checked = dualfair("images", "check", folder)
    assert checked.status == 0 and "No faults" in checked.out, checked.out
    assert ["cat", "all", "6", "2", "2"] in [line.split() for line in checked.out.splitlines()]
    assert open_store(folder).origin["task"] == "classification"


def test_folders_called_as_splits_become_the_column_split(dualfair, tmp_path):
    for split in ("train", "Val", "test"):
        save_classes(tmp_path / "in" / split, images=3)
    assert dualfair("images", "import", "folder", tmp_path / "in", "--out", tmp_path / "out", "--size", 8).status == 0
    columns = open_store(tmp_path / "out").manifest.columns
    assert set(zip(columns["split"], columns["label"], strict=True)) == {
        (split, label) for split in ("train", "validation", "test") for label in ("cat", "dog")
    }
    save_classes(tmp_path / "in" / "eel", images=3)
    assert dualfair("images", "import", "folder", tmp_path / "in", "--out", tmp_path / "four", "--size", 8).status == 0
    assert set(open_store(tmp_path / "four").manifest.columns["label"]) == {"Val", "eel", "test", "train"}


def test_a_table_needs_labels_and_keeps_groups(dualfair, tmp_path):
    save_classes(tmp_path)
    rows = [f"{name}/{2 * number}.png,{name},{'ab'[number % 2]}" for name in ("cat", "dog") for number in range(5)]
    (tmp_path / "m.csv").write_text("\n".join(["path,label,group", *rows]))
    made = dualfair("images", "import", "csv", tmp_path / "m.csv", "--out", tmp_path / "out")
    assert made.status == 0 and "10 images of 2 classes at 112 px" in made.out
    assert "images by group: a 6, b 4" in made.out
    (tmp_path / "m.csv").write_text("\n".join(["path,identity", *(row.rpartition(",")[0] for row in rows)]))
    wrong = dualfair("images", "import", "csv", tmp_path / "m.csv", "--out", tmp_path / "other")
    assert wrong.status == 2 and "m.csv: the manifest has no column 'label'; it has: path, identity" in wrong.err
    (tmp_path / "m.csv").write_text("path,label\ncat/0.png,cat\n,dog\n")
    wrong = dualfair("images", "import", "csv", tmp_path / "m.csv", "--out", tmp_path / "other")
    assert wrong.status == 2 and "row 2 below the header has no path (label 'dog')" in wrong.err
    (tmp_path / "m.csv").write_text("path,label\ncat/0.png,cat\n")
    assert "no column 'identity'" in dualfair("faces", "import", "csv", tmp_path / "m.csv", "--out", "x").err


def test_arrays_keep_their_size_and_come_with_groups(dualfair, tmp_path):
    made = dualfair("images", "import", "npz", save_arrays(tmp_path / "a.npz"), "--out", tmp_path / "out")
    assert made.status == 0 and "40 images of 2 classes at 12 px" in made.out, made.err
    checked = dualfair("images", "check", tmp_path / "out", "--group-column", "group")
    assert ["0", "a", "6", "2", "2"] in [line.split() for line in checked.out.splitlines()]
    wrong = dualfair("images", "check", tmp_path / "out", "--split", "0.5,0.5")
    assert wrong.status == 2 and "split fractions must be three positive numbers" in wrong.err
    splits = open_splits(open_store(tmp_path / "out"), group_column="group", fractions=(0.6, 0.2, 0.2), seed=0, size=12)
    assert len(splits["train"]) == 24


def test_an_import_that_is_interrupted_goes_on(dualfair, tmp_path, monkeypatch):
    from dualfair.supernet.images.importers import importing

    words = ("images", "import", "npz", save_arrays(tmp_path / "a.npz"))
    assert dualfair(*words, "--out", tmp_path / "whole").status == 0
    read, stopped = importing.read_image, []

    def stopping(listing, row, *how):
        if row == 25 and not stopped:
            stopped.append(row)
            raise KeyboardInterrupt
        return read(listing, row, *how)

    monkeypatch.setattr(importing, "JOURNAL_SECONDS", -1.0)
    monkeypatch.setattr(importing, "read_image", stopping)
    assert dualfair(*words, "--out", tmp_path / "out").status == 130
    again = dualfair(*words, "--out", tmp_path / "out")
    assert again.status == 0 and "Continuing with image 26 of 40" in again.out
    for name in ("manifest.csv", "pixels.npy", "faces.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    repeated = dualfair(*words, "--out", tmp_path / "out")
    assert repeated.status == 2 and "out holds images already (manifest.csv is there)" in repeated.err


def test_faults_of_a_labelled_set_end_in_status_one(dualfair, tmp_path):
    save_classes(tmp_path / "in")
    (tmp_path / "in/dog/0.png").write_bytes((tmp_path / "in/cat/0.png").read_bytes())
    (tmp_path / "in/cat/2.png").write_bytes((tmp_path / "in/cat/0.png").read_bytes())
    save(tmp_path / "in/rare/0.png")
    (tmp_path / "in/none").mkdir()
    made = dualfair("images", "import", "folder", tmp_path / "in", "--out", tmp_path / "out", "--size", 16)
    assert "Note: skipped 1: a folder of a class without an image that is read; the first is none" in made.out
    checked = dualfair("images", "check", tmp_path / "out")
    assert checked.status == 1
    for text in (
        "FAULT class 'rare' has no image in the validation split; every split needs every class",
        "FAULT 3 images of different classes have equal pixels, in 1 sets",
        "note  there are no groups",
        "3 faults",
    ):
        assert text in checked.out


def test_a_class_without_images_of_a_group_in_a_split_is_a_note(dualfair, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
    groups = np.array(["b"] * 2 + ["a"] * 38)
    np.savez(tmp_path / "a.npz", images=pixels, labels=np.arange(40) % 2, groups=groups)
    assert dualfair("images", "import", "npz", tmp_path / "a.npz", "--out", tmp_path / "out").status == 0
    checked = dualfair("images", "check", tmp_path / "out")
    assert checked.status == 0 and "note  class '0' has no image of group 'b' in the test split" in checked.out


def test_unknown_splits_and_labels_are_faults(dualfair, tmp_path):
    save_classes(tmp_path)
    rows = [f"{name}/{2 * number}.png,{name},dev" for name in ("cat", "dog") for number in range(5)]
    (tmp_path / "m.csv").write_text("\n".join(["path,label,split", *rows]))
    assert dualfair("images", "import", "csv", tmp_path / "m.csv", "--out", tmp_path / "out").status == 0
    checked = dualfair("images", "check", tmp_path / "out")
    assert checked.status == 1 and "FAULT unknown split 'dev'; expected train, validation, test" in checked.out
    rows[0] = "cat/0.png,?,train"
    (tmp_path / "m.csv").write_text("\n".join(["path,label,split", *rows]))
    made = dualfair("images", "import", "csv", tmp_path / "m.csv", "--out", tmp_path / "unknown")
    assert "Note: 1 images have no label ('?' 1)" in made.out
    assert "FAULT 1 images have no label" in dualfair("images", "check", tmp_path / "unknown").out


def test_each_check_names_the_other_one_for_a_folder_of_the_other_kind(dualfair, tmp_path):
    faces, images = tmp_path / "faces", tmp_path / "images"
    assert dualfair("faces", "synth", "--out", faces, "--identities", 4, "--images", 2, "--size", 32).status == 0
    assert dualfair("images", "import", "npz", save_arrays(tmp_path / "a.npz"), "--out", images).status == 0
    wrong = dualfair("images", "check", faces)
    assert wrong.status == 2
    assert wrong.err == f"Error: {faces} holds faces, for identification; use 'dualfair faces check'\n"
    wrong = dualfair("faces", "check", images)
    assert wrong.status == 2
    assert wrong.err == f"Error: {images} holds images, for classification; use 'dualfair images check'\n"


@pytest.mark.parametrize("name", LABELLED_IMPORTERS)
def test_help_speaks_to_users(dualfair, name):
    shown = dualfair("images", "import", name, "--help")
    assert shown.status == 0 and f"images import {name} [OPTIONS] SRC" in shown.out
    assert "`" not in shown.out and "ValueError" not in shown.out and "Listing" not in shown.out
    assert {"--out", "--size", "--max-unreadable", "--validation", "--seed"} <= set(shown.out.split())


def test_an_importer_that_lists_no_labels_is_refused(dualfair, tmp_path, monkeypatch):
    monkeypatch.chdir(save_classes(tmp_path))
    name = "dualfair.supernet.images.importers.datasets:folder"
    wrong = dualfair("images", "import", name, tmp_path, "--out", tmp_path / "out")
    assert wrong.status == 2 and "lists no column 'label'; it has: path, identity" in wrong.err
