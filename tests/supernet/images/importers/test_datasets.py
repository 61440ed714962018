"""Every data set in a tiny copy of its published layout, compared with a manifest written by hand."""

import io
import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dualfair.supernet.images.importers.alignment import align
from dualfair.supernet.images.importers.datasets import IMPORTERS
from dualfair.supernet.images.importers.importing import import_listing
from dualfair.supernet.images.importers.listing import balance
from dualfair.supernet.images.labels import labels_of
from dualfair.supernet.images.manifest import Manifest, split_identities
from dualfair.supernet.images.pairs import read_pairs
from dualfair.supernet.images.store import square


def save(path, seed=0, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *path.as_posix().rpartition("/")[2].encode()])
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)


def encoded(seed, kind="JPEG"):
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind, quality=95)
    return file.getvalue()


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def rows(listing, *names):
    return list(zip(*(listing.manifest.columns[name] for name in names), strict=True))


def pixels_of(listing, row):
    with Image.open(listing.open_image(row)) as image:
        return np.asarray(image.convert("RGB"))


def test_the_table_lists_every_data_set():
    names = ["folder", "csv", "celeba", "vggface2", "rfw", "lfw", "bupt", "casia", "tinyface", "rec", "bin"]
    names += ["unlabelled"]
    assert list(IMPORTERS) == names and all(importer.__doc__ for importer in IMPORTERS.values())


def test_a_missing_source_is_named_by_every_importer(tmp_path):
    for name, importer in IMPORTERS.items():
        with pytest.raises(ValueError, match="nowhere"):
            importer(tmp_path / "nowhere")
        assert not (tmp_path / "nowhere").exists(), name


def test_images_of_nobody_in_particular_are_listed_whatever_their_depth(tmp_path):
    for number, path in enumerate(("b.png", "deep/er/a.png", "a/1.jpg")):
        save(tmp_path / path, seed=number)
    write(tmp_path / "notes.txt", "no image")
    listing = IMPORTERS["unlabelled"](tmp_path)
    assert rows(listing, "path", "identity") == [(path, path) for path in ("a/1.jpg", "b.png", "deep/er/a.png")]
    assert not listing.linked and sum(map(len, listing.skipped.values())) == 1
    with pytest.raises(ValueError, match="holds no images"):
        (tmp_path / "none").mkdir()
        IMPORTERS["unlabelled"](tmp_path / "none")


# CelebA: 40 attributes, here shortened to four names in the real order; blanks are doubled before positive values.

CELEBA_NAMES = "5_o_Clock_Shadow Male Smiling Young"
CELEBA = {
    # file: identity, partition, attributes
    "000001.jpg": ("2880", 0, (-1, -1, 1, 1)),
    "000002.jpg": ("2937", 0, (-1, 1, 1, 1)),
    "000003.jpg": ("2880", 0, (-1, 1, -1, 1)),
    "000004.jpg": ("2880", 0, (-1, -1, -1, 1)),
    "000005.jpg": ("17", 1, (1, 1, -1, -1)),
    "000006.jpg": ("17", 1, (1, -1, -1, -1)),
    "000007.jpg": ("9", 2, (1, 1, -1, -1)),
}


def celeba_tree(root, anno="", evaluation="", images=""):
    for number, file in enumerate(CELEBA):
        save(root / images / "img_align_celeba" / file, seed=number, size=(178, 218))
    write(root / anno / "identity_CelebA.txt", "".join(f"{file} {who}\n" for file, (who, _, _) in CELEBA.items()))
    write(
        root / evaluation / "list_eval_partition.txt",
        "".join(f"{file} {part}\n" for file, (_, part, _) in CELEBA.items()),
    )
    attributes = "".join(f"{file} {' '.join(f'{v:2d}' for v in values)}\n" for file, (_, _, values) in CELEBA.items())
    write(root / anno / "list_attr_celeba.txt", f"{len(CELEBA)}\n{CELEBA_NAMES} \n{attributes}")
    names = " ".join(
        f"{point}_{axis}" for point in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"
    )
    points = "".join(f"{file} 69  109  106  113   77  142   73  152  108  15{n}\n" for n, file in enumerate(CELEBA))
    write(root / anno / "list_landmarks_align_celeba.txt", f"{len(CELEBA)}\n{names}\n{points}")
    return root


@pytest.mark.parametrize("places", [{}, {"anno": "Anno", "evaluation": "Eval", "images": "Img"}])
def test_celeba_has_words_for_attributes_and_the_official_splits(tmp_path, places):
    listing = IMPORTERS["celeba"](celeba_tree(tmp_path, **places))
    assert rows(listing, "path", "identity", "group", "split") == [
        ("000001.jpg", "2880", "not Male", "train"),
        ("000002.jpg", "2937", "Male", "train"),
        ("000003.jpg", "2880", "Male", "train"),
        ("000004.jpg", "2880", "not Male", "train"),
        ("000005.jpg", "17", "Male", "validation"),
        ("000006.jpg", "17", "not Male", "validation"),
        ("000007.jpg", "9", "Male", "test"),
    ]
    assert list(listing.manifest.columns)[4:] == CELEBA_NAMES.split()
    assert listing.manifest.columns["Young"] == ("yes", "yes", "yes", "yes", "no", "no", "no")
    assert listing.manifest.columns["Male"] == ("no", "yes", "yes", "no", "yes", "no", "yes")
    assert listing.landmarks is None and listing.pairs is None
    assert pixels_of(listing, 6).shape == (218, 178, 3)


def test_celeba_counts_the_majority_and_tells_ties(tmp_path):
    listing = IMPORTERS["celeba"](celeba_tree(tmp_path))
    labels = labels_of(listing.manifest, "group")
    assert labels.group_of == {"2880": "not Male", "2937": "Male", "9": "Male"}
    assert labels.decided == [
        "left out: 1 identities have two groups in column 'group' in equal number: 17 (Male 1, not Male 1)",
        "1 identities have images of two groups in column 'group', the majority counts: 2880 (not Male 2, Male 1)",
    ]
    smiling = IMPORTERS["celeba"](tmp_path, group="Smiling", official_split=False)
    assert smiling.manifest.columns["group"][:3] == ("Smiling", "Smiling", "not Smiling")
    assert "split" not in smiling.manifest.columns
    young = IMPORTERS["celeba"](tmp_path, group="Young")
    assert young.notes == () and young.manifest.columns["group"][-1] == "not Young"


def test_celeba_landmarks_are_read_when_alignment_is_asked_for(tmp_path):
    listing = IMPORTERS["celeba"](celeba_tree(tmp_path), align=True)
    assert listing.landmarks.shape == (7, 5, 2)
    assert listing.landmarks[2].tolist() == [[69, 109], [106, 113], [77, 142], [73, 152], [108, 152]]
    store = import_listing(listing, tmp_path / "faces", size=24, align=True).store
    with Image.open(tmp_path / "img_align_celeba/000003.jpg") as image:
        assert np.array_equal(store.pixels[2], align(image, listing.landmarks[2], 24))
        assert not np.array_equal(store.pixels[2], square(image, 24))
    assert store.origin["aligned"] is True


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("identity_CelebA.txt", "000003.jpg 2880", "000003.jpg", "line 3 has 0 words behind the file name, expected 1"),
        ("identity_CelebA.txt", "000003.jpg", "000001.jpg", "line 3 lists 000001.jpg a second time"),
        ("list_eval_partition.txt", "000007.jpg 2", "000007.jpg 3", "000007.jpg has partition '3'; expected 0, 1 or 2"),
        ("list_eval_partition.txt", "000007.jpg 2\n", "", "has no row for 1 images of identity_CelebA.txt: 000007.jpg"),
        (
            "list_attr_celeba.txt",
            "7\n5_o",
            "5_o",
            "line 1 is '5_o_Clock_Shadow Male Smiling Young'; expected the number",
        ),
        ("list_attr_celeba.txt", "7\n5_o", "8\n5_o", "line 1 announces 8 images, 7 follow; the file is cut"),
        ("list_attr_celeba.txt", " Young", "", "line 3 has 4 words behind the file name, expected 3"),
        ("list_attr_celeba.txt", "000001.jpg -1", "000001.jpg  0", "000001.jpg has the value '0'; expected -1 or 1"),
        ("list_attr_celeba.txt", " Male", " Man", "unknown attribute 'Male'; "),
        ("list_landmarks_align_celeba.txt", " 109 ", " 10.9 ", "has the value '10.9'; expected whole numbers"),
        ("list_landmarks_align_celeba.txt", " nose_x", "", "line 2 has 9 names, expected 10"),
    ],
)
def test_a_damaged_celeba_file_is_named_with_its_line(tmp_path, file, old, new, message):
    path = celeba_tree(tmp_path) / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError) as error:
        IMPORTERS["celeba"](tmp_path, align=True)
    assert message in str(error.value) and file in str(error.value)


@pytest.mark.parametrize(
    ("file", "whose"),
    [
        ("identity_CelebA.txt", "'Anno' folder"),
        ("list_attr_celeba.txt", "'Anno' folder"),
        ("list_eval_partition.txt", "'Eval' folder"),
        ("list_landmarks_align_celeba.txt", "'Anno' folder"),
        ("img_align_celeba", "'Img' folder"),
    ],
)
def test_a_missing_celeba_file_is_named_with_its_place_and_what_to_do(tmp_path, file, whose):
    (celeba_tree(tmp_path) / file).rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError) as error:
        IMPORTERS["celeba"](tmp_path, align=True)
    message = str(error.value)
    assert f"{file} is missing: expected {tmp_path / file} or " in message
    assert whose in message and message.endswith("; move or link it there")


def test_files_that_are_not_asked_for_need_not_be_there(tmp_path):
    celeba_tree(tmp_path)
    (tmp_path / "list_eval_partition.txt").unlink()
    (tmp_path / "list_landmarks_align_celeba.txt").unlink()
    assert len(IMPORTERS["celeba"](tmp_path, official_split=False).manifest) == 7


# VGGFace2: the separator is a comma and a blank, and some names hold commas.

VGGFACE2_META = """Class_ID, Name, Sample_Num, Flag, Gender
n000001, "14th_Dalai_Lama", 2, 0, m
n000002, "A_Fine_Frenzy", 2, 1, f
n000003, Smith,_Jr.,_A. J., 1, 1, m
n000004, "Marie, Countess", 1, 1,  f
n000005, "Not_Here", 9, 1, m
"""


def vggface2_tree(root):
    write(root / "identity_meta.csv", VGGFACE2_META)
    for name in ("test/n000001/0001_01", "test/n000001/0012_02", "train/n000002/0001_01", "train/n000002/0020_01",
                 "train/n000003/0003_01", "train/n000004/0001_01"):  # fmt: skip
        save(root / f"{name}.jpg")
    for folder, names in (("train", ("n000002/0001_01", "n000003/0003_01", "n000099/0001_01")), ("test", ())):
        lines = "".join(f'"{name}",10,8.5,25,8,18,14,11,20,24,{n}\n' for n, name in enumerate(names))
        header = "NAME_ID,P1X,P1Y,P2X,P2Y,P3X,P3Y,P4X,P4Y,P5X,P5Y\n"
        write(root / "bb_landmark" / f"loose_landmark_{folder}.csv", header + lines)
    return root


def test_vggface2_takes_the_gender_from_the_right_of_a_line(tmp_path):
    listing = IMPORTERS["vggface2"](vggface2_tree(tmp_path))
    assert list(listing.manifest.columns) == ["path", "identity", "group"]
    assert rows(listing, "path", "identity", "group") == [
        ("train/n000002/0001_01.jpg", "n000002", "f"),
        ("train/n000002/0020_01.jpg", "n000002", "f"),
        ("train/n000003/0003_01.jpg", "n000003", "m"),
        ("train/n000004/0001_01.jpg", "n000004", "f"),
        ("test/n000001/0001_01.jpg", "n000001", "m"),
        ("test/n000001/0012_02.jpg", "n000001", "m"),
    ]
    assert pixels_of(listing, 5).shape == (30, 40, 3)


def test_vggface2_keeps_the_official_test_people_apart_when_asked(tmp_path):
    root = vggface2_tree(tmp_path)
    meta = "".join(f'n1{n:05d}, "x", 1, 1, {"fm"[n % 2]}\n' for n in range(40))
    write(root / "identity_meta.csv", VGGFACE2_META + meta)
    for n in range(40):
        save(root / "train" / f"n1{n:05d}" / "0001_01.jpg")
    listing = IMPORTERS["vggface2"](root, official_split=True)
    split = dict(rows(listing, "identity", "split"))
    assert {who for who, part in split.items() if part == "test"} == {"n000001"}
    # Women in order: n000002, n000004, n100000, n100002, ...; the 10th and 20th. Men: n000003, n100001, ...
    assert sorted(who for who, part in split.items() if part == "validation") == [
        "n100014", "n100017", "n100034", "n100037"
    ]  # fmt: skip
    groups = labels_of(listing.manifest, "group").group_of
    assert set(split_identities(listing.manifest, groups, (0.6, 0.2, 0.2), 0)) == {"train", "validation", "test"}


def test_vggface2_landmarks_are_found_by_name_and_unknown_where_not_listed(tmp_path):
    root = vggface2_tree(tmp_path)
    listing = IMPORTERS["vggface2"](root, align=True)
    assert listing.landmarks[2].tolist() == [[10, 8.5], [25, 8], [18, 14], [11, 20], [24, 1]]
    assert np.isnan(listing.landmarks).all(axis=(1, 2)).tolist() == [False, True, False, True, True, True]
    report = import_listing(listing, tmp_path / "faces", size=16, align=True, max_unreadable=0.7)
    assert report.unreadable[0] == ("train/n000002/0020_01.jpg", "no landmarks") and len(report.store.pixels) == 2


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("identity_meta.csv", "Class_ID,", "id,", "line 1 is 'id, Name, Sample_Num, Flag, Gender'; expected Class_ID"),
        (
            "identity_meta.csv",
            "2, 1, f",
            "2, 1, x",
            "line 3 is 'n000002, \"A_Fine_Frenzy\", 2, 1, x'; expected it to end",
        ),
        ("identity_meta.csv", "1, 1, m", "1, 2, m", "line 4 is "),
        ("identity_meta.csv", "n000003,", "n000033,", "has no row for 1 of the people in"),
        ("bb_landmark/loose_landmark_train.csv", "NAME_ID,", "", "line 1 is 'P1X,P1Y"),
        ("bb_landmark/loose_landmark_train.csv", "8.5", "x", "line 2 is 'n000002/0001_01,10,x"),
    ],
)
def test_a_damaged_vggface2_file_is_named_with_its_line(tmp_path, file, old, new, message):
    path = vggface2_tree(tmp_path) / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError) as error:
        IMPORTERS["vggface2"](tmp_path, align=True)
    assert message in str(error.value) and file in str(error.value)


def test_a_missing_vggface2_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"identity_meta.csv is missing: expected .*/identity_meta.csv or .*meta/"):
        IMPORTERS["vggface2"](tmp_path)
    write(tmp_path / "identity_meta.csv", VGGFACE2_META)
    with pytest.raises(ValueError, match=r"train is missing: expected .*'data' archives, unpacked\); move or link it"):
        IMPORTERS["vggface2"](tmp_path)
    save(tmp_path / "train/n000002/0001_01.jpg")
    assert len(IMPORTERS["vggface2"](tmp_path).manifest) == 1
    with pytest.raises(ValueError, match=r"loose_landmark_train.csv is missing: expected .*bb_landmark/loose_landmark"):
        IMPORTERS["vggface2"](tmp_path, align=True)


# RFW


def rfw_tree(root, inside=""):
    base = root / inside
    for group in ("African", "Indian"):
        lines = []
        for number in range(5):
            names = [f"m.0{group[0].lower()}{number}{image}" for image in "xy"]
            for name in names:
                save(base / "data" / group / name / f"{name}_0001.jpg")
            save(base / "data" / group / names[0] / f"{names[0]}_0002.jpg")
            lines += [f"{names[0]}\t1\t2\n", f"{names[0]}\t2\t{names[1]}\t1\n"]
        write(base / "txts" / group / f"{group}_pairs.txt", "".join(lines))
    return root


@pytest.mark.parametrize("inside", ["", "test"])
def test_rfw_has_groups_and_their_pairs_in_ten_folds(tmp_path, inside):
    listing = IMPORTERS["rfw"](rfw_tree(tmp_path, inside))
    assert rows(listing, "path", "identity", "group")[:3] == [
        ("African/m.0a0x/m.0a0x_0001.jpg", "m.0a0x", "African"),
        ("African/m.0a0x/m.0a0x_0002.jpg", "m.0a0x", "African"),
        ("African/m.0a0y/m.0a0y_0001.jpg", "m.0a0y", "African"),
    ]
    pairs = listing.pairs
    assert pairs.fold.tolist() == 2 * list(range(10)) and pairs.same.tolist() == 10 * [True, False]
    assert pairs.group.tolist() == 10 * ["African"] + 10 * ["Indian"]
    path = listing.manifest.columns["path"]
    assert (path[pairs.left[11]], path[pairs.right[11]]) == (
        "Indian/m.0i0x/m.0i0x_0002.jpg",
        "Indian/m.0i0y/m.0i0y_0001.jpg",
    )
    assert "MS-Celeb-1M" in listing.notes[0] and len(listing.notes) == 1


def test_rfw_pairs_survive_the_import_and_those_of_a_broken_image_are_dropped(tmp_path):
    rfw_tree(tmp_path)
    (tmp_path / "data/African/m.0a0x/m.0a0x_0002.jpg").write_bytes(b"")
    report = import_listing(IMPORTERS["rfw"](tmp_path), tmp_path / "faces", size=16, max_unreadable=0.1)
    assert len(report.pairs) == 18 and len(report.pairs.dropped) == 2
    kept = read_pairs(tmp_path / "faces/pairs.csv", report.store.manifest)
    assert kept.fold.tolist() == [*range(2, 10), *range(10)] and kept.group[7:9].tolist() == ["African", "Indian"]
    identity = np.asarray(report.store.manifest.columns["identity"])
    assert ((identity[kept.left] == identity[kept.right]) == kept.same).all()


def test_a_missing_rfw_list_is_named(tmp_path):
    (rfw_tree(tmp_path) / "txts/Indian/Indian_pairs.txt").unlink()
    with pytest.raises(ValueError, match=r"Indian_pairs.txt is missing: expected .*txts/Indian/Indian_pairs.txt"):
        IMPORTERS["rfw"](tmp_path)
    with pytest.raises(ValueError, match=r"data is missing: expected .*/data or .*/test/data"):
        IMPORTERS["rfw"](tmp_path / "txts")


# LFW


def lfw_tree(root, inside=""):
    for name, images in (("Aaron_Peirsol", 2), ("Zico", 1), ("Ann_Veneman", 2)):
        for number in range(1, images + 1):
            save(root / inside / name / f"{name}_{number:04d}.jpg")
    write(
        root / "pairs.txt",
        "2\t1\nAaron_Peirsol\t1\t2\nAaron_Peirsol\t2\tZico\t1\nAnn_Veneman\t1\t2\nAnn_Veneman\t2\tZico\t1\n",
    )
    return root


@pytest.mark.parametrize("inside", ["", "lfw", "lfw_funneled"])
def test_lfw_has_pairs_and_no_groups(tmp_path, inside):
    listing = IMPORTERS["lfw"](lfw_tree(tmp_path, inside))
    assert rows(listing, "path", "identity") == [
        ("Aaron_Peirsol/Aaron_Peirsol_0001.jpg", "Aaron_Peirsol"),
        ("Aaron_Peirsol/Aaron_Peirsol_0002.jpg", "Aaron_Peirsol"),
        ("Ann_Veneman/Ann_Veneman_0001.jpg", "Ann_Veneman"),
        ("Ann_Veneman/Ann_Veneman_0002.jpg", "Ann_Veneman"),
        ("Zico/Zico_0001.jpg", "Zico"),
    ]
    assert list(listing.manifest.columns) == ["path", "identity"] and listing.notes == ()
    pairs = listing.pairs
    assert list(zip(pairs.left, pairs.right, pairs.same, pairs.fold, strict=True)) == [
        (0, 1, True, 0), (1, 4, False, 0), (2, 3, True, 1), (3, 4, False, 1)
    ]  # fmt: skip
    assert pairs.group is None


def test_lfw_without_a_list_is_faces_only_and_a_named_list_must_exist(tmp_path):
    (lfw_tree(tmp_path) / "pairs.txt").rename(tmp_path / "other.txt")
    listing = IMPORTERS["lfw"](tmp_path)
    assert listing.pairs is None and "no verification pairs" in listing.notes[0]
    assert len(IMPORTERS["lfw"](tmp_path, pairs=tmp_path / "other.txt").pairs) == 4
    with pytest.raises(ValueError, match="there is no such file; expected a list of pairs"):
        IMPORTERS["lfw"](tmp_path, pairs=tmp_path / "none.txt")
    (tmp_path / "Zico/Zico_0001.jpg").unlink()
    listing = IMPORTERS["lfw"](tmp_path, pairs=tmp_path / "other.txt")
    assert listing.notes == ("2 of 4 pairs name an image that is not there, first line 3 (Zico 1)",)


# BUPT-Balancedface, CASIA-WebFace, plain folders


def test_bupt_has_its_folders_as_groups(tmp_path):
    for path in ("African/m.01/a.jpg", "African/m.02/b.jpg", "Asian/m.03/c_0.jpg"):
        save(tmp_path / "race_per_7000" / path)
    expected = [
        ("African/m.01/a.jpg", "m.01", "African"),
        ("African/m.02/b.jpg", "m.02", "African"),
        ("Asian/m.03/c_0.jpg", "m.03", "Asian"),
    ]
    assert rows(IMPORTERS["bupt"](tmp_path), "path", "identity", "group") == expected
    assert rows(IMPORTERS["bupt"](tmp_path / "race_per_7000"), "path", "identity", "group") == expected
    with pytest.raises(ValueError, match=r"race_per_7000 is missing: expected "):
        IMPORTERS["bupt"](tmp_path / "race_per_7000/African")
    (tmp_path / "empty/race_per_7000").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds no folders; expected one a group"):
        IMPORTERS["bupt"](tmp_path / "empty")


def test_tinyface_says_what_an_image_is_for(tmp_path):
    for path in ("Probe/7_1.jpg", "Probe/12_3.jpg", "Gallery_Match/7_2.jpg", "Gallery_Distractor/100.jpg"):
        save(tmp_path / "Testing_Set" / path)
    expected = [
        ("Probe/12_3.jpg", "12", "probe"),
        ("Probe/7_1.jpg", "7", "probe"),
        ("Gallery_Match/7_2.jpg", "7", "gallery"),
        ("Gallery_Distractor/100.jpg", "Gallery_Distractor/100.jpg", "distractor"),
    ]
    for place in (tmp_path, tmp_path / "Testing_Set"):
        assert rows(IMPORTERS["tinyface"](place), "path", "identity", "part") == expected
    save(tmp_path / "Testing_Set/Gallery_Match/unknown.jpg")
    with pytest.raises(ValueError, match="does not say whose it is; expected a name such as"):
        IMPORTERS["tinyface"](tmp_path)
    (tmp_path / "Testing_Set/Gallery_Distractor/100.jpg").unlink()
    (tmp_path / "Testing_Set/Gallery_Distractor").rmdir()
    with pytest.raises(ValueError, match="Gallery_Distractor is missing: expected "):
        IMPORTERS["tinyface"](tmp_path)


def test_a_folder_around_the_folders_is_not_taken_for_one_person(tmp_path):
    for path in ("CASIA-WebFace/0000045/001.jpg", "CASIA-WebFace/0000099/001.jpg", "CASIA-WebFace/0000099/._001.jpg"):
        save(tmp_path / path)
    with pytest.raises(ValueError, match=r"holds the one folder CASIA-WebFace, .* Give .*/CASIA-WebFace"):
        IMPORTERS["casia"](tmp_path)
    write(tmp_path / "groups.csv", "identity,group\n0000045,a\n0000099,b\n")
    listing = IMPORTERS["casia"](tmp_path / "CASIA-WebFace", groups=tmp_path / "groups.csv")
    assert rows(listing, "path", "identity", "group") == [
        ("0000045/001.jpg", "0000045", "a"),
        ("0000099/001.jpg", "0000099", "b"),
    ]


def test_own_folders_and_tables_become_listings(tmp_path):
    save(tmp_path / "photos/ann/1.png")
    save(tmp_path / "photos/ben/1.png")
    write(tmp_path / "groups.csv", "identity,group,age\nann,a,31\nben,b,32\n")
    listing = IMPORTERS["folder"](tmp_path / "photos", groups=tmp_path / "groups.csv")
    assert rows(listing, "path", "identity", "group", "age") == [
        ("ann/1.png", "ann", "a", "31"),
        ("ben/1.png", "ben", "b", "32"),
    ]
    write(tmp_path / "meta.csv", "path,identity,group\nphotos/ben/1.png,ben,b\n")
    listing = IMPORTERS["csv"](tmp_path / "meta.csv")
    assert rows(listing, "path", "identity", "group") == [("photos/ben/1.png", "ben", "b")]
    assert pixels_of(listing, 0).shape == (30, 40, 3)
    write(tmp_path / "groups.csv", "path,identity,group\nphotos/ben/1.png,ben,b\n")
    with pytest.raises(ValueError, match="a column 'path' has no place here"):
        IMPORTERS["folder"](tmp_path / "photos", groups=tmp_path / "groups.csv")


# Containers


def write_records(path, labels, images=()):
    """A training set as insightface writes it: header at key 0, images from key 1, then the identities' ranges."""
    payloads = [struct.pack("<IfQQ", 2, 0, 0, 0) + struct.pack("<2f", len(labels) + 1, len(labels) + 2)]
    images = images or [encoded(n) for n in range(1, len(labels) + 1)]
    payloads += [struct.pack("<IfQQ", 0, label, 0, 0) + image for label, image in zip(labels, images, strict=True)]
    payloads += [struct.pack("<IfQQ", 2, 0, 0, 0) + struct.pack("<2f", 1, len(labels) + 1)]
    data, index = b"", ""
    for key, payload in enumerate(payloads):
        index += f"{key}\t{len(data)}\n"
        data += struct.pack("<II", 0xCED7230A, len(payload)) + payload + b"\0" * (-len(payload) % 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.with_suffix(".idx").write_text(index)


def test_records_have_their_labels_for_identities(tmp_path):
    write_records(tmp_path / "faces_webface/train.rec", [0, 0, 1, 7])
    for name, source in (("rec", "faces_webface"), ("rec", "faces_webface/train.rec"), ("casia", "faces_webface")):
        listing = IMPORTERS[name](tmp_path / source)
        assert rows(listing, "path", "identity") == [
            ("00000000", "0"), ("00000001", "0"), ("00000002", "1"), ("00000003", "7")
        ]  # fmt: skip
        with Image.open(io.BytesIO(encoded(3))) as image:
            assert np.array_equal(pixels_of(listing, 2), np.asarray(image))
    write(tmp_path / "groups.csv", "identity,group\n0,a\n1,b\n")
    with pytest.raises(ValueError, match=r"groups.csv has no row for 1 of the persons in .*train.rec: 7$"):
        IMPORTERS["rec"](tmp_path / "faces_webface", groups=tmp_path / "groups.csv")
    write(tmp_path / "groups.csv", "identity,group\n0,a\n1,b\n007,a\n")
    with pytest.raises(
        ValueError, match=r"persons in .*train.rec: 7; both have persons that .* in spelling: '007' and '7'$"
    ):
        IMPORTERS["rec"](tmp_path / "faces_webface", groups=tmp_path / "groups.csv")
    write(tmp_path / "groups.csv", "identity,group\n0,a\n1,b\n7,a\n")
    listing = IMPORTERS["rec"](tmp_path / "faces_webface", groups=tmp_path / "groups.csv")
    assert listing.manifest.columns["group"] == ("a", "a", "b", "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"train.rec is missing: expected .*empty to be a .rec file, or a folder with"):
        IMPORTERS["rec"](tmp_path / "empty")


def test_a_verification_set_links_identities_within_a_pair_only(tmp_path):
    images = [encoded(n) for n in range(24)]
    same = [True, False] * 6
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps((images, same), protocol=2))
    listing = IMPORTERS["bin"](tmp_path / "lfw.bin")
    assert rows(listing, "path", "identity")[:4] == [
        ("00000a", "00000"), ("00000b", "00000"), ("00001a", "00001a"), ("00001b", "00001b")
    ]  # fmt: skip
    assert listing.pairs.left.tolist() == list(range(0, 24, 2)) and listing.pairs.same.tolist() == same
    assert listing.pairs.fold.tolist() == [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert not listing.linked and "within a pair only" in listing.notes[0]
    report = import_listing(listing, tmp_path / "faces", size=30)
    assert len(read_pairs(tmp_path / "faces/pairs.csv", report.store.manifest)) == 12
    with Image.open(io.BytesIO(images[5])) as image:
        assert np.array_equal(report.store.pixels[5], np.asarray(image))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF", "JPEG2000"])
def test_sets_in_one_file_hold_images_of_any_format_and_others_are_left_out_by_name(tmp_path, kind):
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(encoded(3))) as image:
        grey = np.asarray(image.convert("L"))
    options = {"WEBP": {"lossless": True}, "JPEG2000": {"irreversible": False}}.get(kind, {})
    Image.fromarray(grey).save(buffer, kind, **options)
    images = [buffer.getvalue(), b"\x93NUMPY", *map(encoded, range(4, 6))]
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps((images, [True, False])))
    write_records(tmp_path / "train.rec", range(4), images)
    for name, file, bad in (("bin", "lfw.bin", "00000b"), ("rec", "train.rec", "00000001")):
        report = import_listing(IMPORTERS[name](tmp_path / file), tmp_path / name, size=len(grey), max_unreadable=0.5)
        assert np.array_equal(report.store.pixels[0], np.repeat(grey[..., None], 3, axis=2))
        assert report.unreadable == ((bad, "no image that Pillow reads; save it as JPEG or PNG"),)
        assert len(report.store.pixels) == 3


# Balance


def test_balance_takes_equally_many_of_each_group_and_drops_given_splits_and_lost_pairs(tmp_path):
    rfw_tree(tmp_path)
    for number in range(5):
        for image in (3, 4):
            save(tmp_path / f"data/African/m.0a{number}x/m.0a{number}x_{image:04d}.jpg")
        save(tmp_path / f"data/Indian/m.0i{number}x/m.0i{number}x_0003.jpg")
    listing = IMPORTERS["rfw"](tmp_path)
    balanced = balance(listing, "group", seed=1)
    counts = dict(zip(*np.unique(balanced.manifest.columns["group"], return_counts=True), strict=True))
    assert counts == {"African": 15, "Indian": 15}
    paths = balanced.manifest.columns["path"]
    assert all(name.rpartition("/")[2] == paths[row].rpartition("/")[2] for row, name in enumerate(paths))
    for row in (0, 29):
        with Image.open(tmp_path / "data" / paths[row]) as image:
            assert np.array_equal(pixels_of(balanced, row), np.asarray(image.convert("RGB")))
    # Impostor pairs need the people with one image, who are out.
    assert balanced.pairs.same.all() and len(balanced.pairs) + len(balanced.pairs.dropped) == 20
    assert balanced.notes[-1] == "balanced by group: 30 of 45 images, of 10 people"
    again = balance(listing, "group", seed=1).manifest.columns["path"]
    assert again == paths != balance(listing, "group", seed=2).manifest.columns["path"]


def test_balance_leaves_out_a_given_split(tmp_path):
    write(
        tmp_path / "m.csv",
        "path,identity,group,split\n" + "".join(f"{n},{n // 3},{'ab'[n // 3 % 2]},train\n" for n in range(12)),
    )
    balanced = balance(IMPORTERS["csv"](tmp_path / "m.csv"), "group", seed=0)
    assert "split" not in balanced.manifest.columns and "the given splits are dropped" in balanced.notes[-1]
    with pytest.raises(ValueError, match="unknown group column 'sex'"):
        balance(IMPORTERS["csv"](tmp_path / "m.csv"), "sex", seed=0)


def test_balance_within_given_splits_keeps_them_and_evens_out_each(tmp_path):
    """Train has 4 people of a and 2 of b, test 1 and 3, with 3 or 4 images each."""
    people = [*("a-train",) * 4, *("b-train",) * 2, "a-test", *("b-test",) * 3]
    rows = [
        f"{person}-{n},{person},{place.replace('-', ',')}\n"
        for person, place in enumerate(people)
        for n in range(3 + person % 2)
    ]
    write(tmp_path / "m.csv", "path,identity,group,split\n" + "".join(rows))
    listing = IMPORTERS["csv"](tmp_path / "m.csv")
    balanced = balance(listing, "group", seed=0, within_splits=True)
    columns = balanced.manifest.columns
    both = [*zip(columns["group"], columns["split"], strict=True)]
    images = {place: both.count(place) for place in both}
    assert images["a", "train"] == images["b", "train"] >= 6 and images["a", "test"] == images["b", "test"] >= 3
    who = {place: {p for p, of in zip(columns["identity"], both, strict=True) if of == place} for place in both}
    assert [len(who[place]) for place in (("a", "train"), ("b", "train"), ("a", "test"), ("b", "test"))] == [2, 2, 1, 1]
    totals = [columns["split"].count(name) for name in ("train", "test")]
    assert balanced.notes[-1].endswith(f"of 6 people; train {totals[0]}, test {totals[1]}")
    whole = balance(listing, "group", seed=0)
    assert "split" not in whole.manifest.columns and len(set(whole.manifest.columns["identity"])) == 10
    moved = dict(listing.manifest.columns)
    moved["split"] = ("test", *moved["split"][1:])
    with pytest.raises(ValueError, match="identity '0' is in the splits test and train; it has to be in one"):
        balance(replace(listing, manifest=Manifest(moved)), "group", seed=0, within_splits=True)
    listing = replace(listing, manifest=Manifest({n: v for n, v in listing.manifest.columns.items() if n != "split"}))
    with pytest.raises(ValueError, match="there is no column 'split' to balance within; import the official split"):
        balance(listing, "group", seed=0, within_splits=True)
