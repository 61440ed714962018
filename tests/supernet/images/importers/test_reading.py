"""One decoding for every importer, with and without alignment; and what was done to pictures is counted and told."""

import io
import json
import pickle
import struct

import numpy as np
import pytest
from PIL import Image

from dualfair.supernet.images.decoding import CLEAR, DEEP, FRAMES, TURNED
from dualfair.supernet.images.importers.alignment import TEMPLATE, align
from dualfair.supernet.images.importers.datasets import IMPORTERS
from dualfair.supernet.images.importers.folders import list_folder
from dualfair.supernet.images.importers.importing import import_listing
from dualfair.supernet.images.importers.reading import read_image

STORED = np.random.default_rng(3).integers(0, 256, (112, 112, 3), dtype=np.uint8)
UPRIGHT = STORED.swapaxes(0, 1)[:, ::-1]
"""Tag 6: the first row of the file is the right side."""


def turned():
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(STORED).save(file, "PNG", exif=exif)
    return file.getvalue()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def folder(root):
    write(root / "ann/ann_0001.jpg", turned())
    write(root / "ann/ann_0002.jpg", turned())
    return root


def csv(root):
    folder(root)
    write(root / "m.csv", "path,identity\nann/ann_0001.jpg,ann\n")
    return root / "m.csv"


def celeba(root):
    write(root / "img_align_celeba/000001.jpg", turned())
    write(root / "identity_CelebA.txt", "000001.jpg 1\n")
    write(root / "list_attr_celeba.txt", "1\nMale Young\n000001.jpg -1 1\n")
    write(root / "list_eval_partition.txt", "000001.jpg 0\n")
    points = " ".join(str(round(value)) for value in TEMPLATE.ravel())
    names = "lx ly rx ry nx ny mx my px py"
    write(root / "list_landmarks_align_celeba.txt", f"1\n{names}\n000001.jpg {points}\n")
    return root


def vggface2(root):
    write(root / "train/n000001/0001_01.jpg", turned())
    write(root / "identity_meta.csv", "Class_ID, Name, Sample_Num, Flag, Gender\nn000001, x, 1, 1, f\n")
    points = ",".join(str(round(value)) for value in TEMPLATE.ravel())
    head = "NAME_ID,P1X,P1Y,P2X,P2Y,P3X,P3Y,P4X,P4Y,P5X,P5Y"
    write(root / "loose_landmark_train.csv", f'{head}\n"n000001/0001_01",{points}\n')
    return root


def lfw(root):
    folder(root / "lfw")
    write(root / "pairs.txt", "1\t1\nann\t1\t2\nann\t1\tann\t2\n")
    return root


def rfw(root):
    folder(root / "data/African")
    write(root / "txts/African/African_pairs.txt", "ann\t1\t2\n")
    return root


def bupt(root):
    folder(root / "race_per_7000/African")
    return root


def tinyface(root):
    for part in ("Probe", "Gallery_Match", "Gallery_Distractor"):
        write(root / "Testing_Set" / part / "1_1.jpg", turned())
    return root


def rec(root):
    payload = struct.pack("<IfQQ", 0, 0, 0, 0) + turned()
    write(root / "train.rec", struct.pack("<II", 0xCED7230A, len(payload)) + payload + b"\0" * (-len(payload) % 4))
    return root


def verification_set(root):
    write(root / "lfw.bin", pickle.dumps(([turned()] * 2, [True])))
    return root


TREES = {
    "folder": folder, "csv": csv, "unlabelled": folder, "celeba": celeba, "vggface2": vggface2, "rfw": rfw, "lfw": lfw,
    "bupt": bupt, "casia": folder, "tinyface": tinyface, "rec": rec, "bin": verification_set,
}  # fmt: skip


@pytest.mark.parametrize("name", IMPORTERS)
def test_every_importer_turns_pictures_upright(tmp_path, name):
    listing = IMPORTERS[name](TREES[name](tmp_path))
    reading = read_image(listing, 0, 112)
    assert np.array_equal(reading.pixels, UPRIGHT) and reading.remarks == (TURNED,)


@pytest.mark.parametrize("name", ["celeba", "vggface2"])
def test_landmarks_are_of_the_upright_picture(tmp_path, name):
    listing = IMPORTERS[name](TREES[name](tmp_path), align=True)
    expected = align(Image.fromarray(np.ascontiguousarray(UPRIGHT)), np.rint(TEMPLATE), 112)
    report = import_listing(listing, tmp_path / "faces", size=112, align=True)
    assert np.array_equal(report.store.pixels[0], expected)
    assert report.notes[1] == "landmarks of images that were turned are taken to be of the upright ones"


def test_what_was_done_to_pictures_is_counted_and_told(tmp_path):
    folder(tmp_path / "ph")
    grey = np.full((9, 9), 40000, np.uint16)
    Image.fromarray(grey).save(tmp_path / "ph/ann/deep.png")
    Image.fromarray(np.full((9, 9), 300, np.uint16)).save(tmp_path / "ph/ann/dark.png")
    Image.new("RGBA", (9, 9), (9, 9, 9, 0)).save(tmp_path / "ph/ann/clear.png")
    frames = [Image.new("L", (9, 9), level) for level in (10, 200)]
    frames[0].save(tmp_path / "ph/ann/film.gif", save_all=True, append_images=frames[1:])
    write(tmp_path / "ph/ben/1.png", b"")
    report = import_listing(list_folder(tmp_path / "ph"), tmp_path / "faces", size=8, max_unreadable=0.5)
    dark = "16-bit values that end at 300 of 65535, nearly black; scale them to 16 bits, or save 8 bits"
    assert report.unreadable == (("ann/dark.png", dark), ("ben/1.png", "empty file"))
    assert report.notes == (
        f"2 images {TURNED}; the first is ann/ann_0001.jpg",
        f"1 images {CLEAR}; the first is ann/clear.png",
        f"1 images {DEEP}; the first is ann/deep.png",
        f"1 images {FRAMES}; the first is ann/film.gif",
        "of 1 people no image could be read: ben",
    )
    # The two upright ones, then transparent, 16 bits, the first frame.
    assert report.store.pixels[2:, 0, 0, 0].tolist() == [0, 40000 // 256, 10]
    record = json.loads((tmp_path / "faces/faces.json").read_text())
    assert record["people lost"] == ["ben"] and record["notes"] == list(report.notes)
    assert record["unreadable"] == [f"ann/dark.png ({dark})", "ben/1.png (empty file)"]


def test_images_that_celeba_does_not_list_are_accounted_for(tmp_path):
    celeba(tmp_path)
    write(tmp_path / "img_align_celeba/000002.jpg", turned())
    write(tmp_path / "img_align_celeba/.DS_Store", b"")
    assert IMPORTERS["celeba"](tmp_path).skipped == {
        "hidden, as the name begins with a dot": (".DS_Store",),
        "an image that identity_CelebA.txt does not list": ("000002.jpg",),
    }
