"""Tables as people make them: on Windows, on a Mac, in a spreadsheet."""

import os

import numpy as np
import pytest
from PIL import Image

from dualfair.supernet.images.importers.datasets import IMPORTERS
from dualfair.supernet.images.importers.importing import import_listing
from dualfair.supernet.images.importers.table import REPEATED, list_table

COMPOSED, DECOMPOSED = "Zo\u00eb", "Zoe\u0308"


def save(path, level=9):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 12), (level, level, level)).save(path)


def table_of(tmp_path, text, header="path,identity,group"):
    (tmp_path / "m.csv").write_text(f"{header}\n{text}", encoding="utf-8")
    return list_table(tmp_path / "m.csv")


def levels(listing, out):
    return import_listing(listing, out, size=8).store.pixels[:, 0, 0, 0].tolist()


def test_backslashes_are_folders_where_no_file_is_named_so(tmp_path):
    save(tmp_path / "a/b/1.png", 10)
    save(tmp_path / "c\\2.png", 20)
    listing = table_of(tmp_path, "a\\b\\1.png,x,m\nc\\2.png,y,f\n")
    assert listing.manifest.columns["path"] == ("a/b/1.png", "c\\2.png")
    assert listing.notes == ("1 paths are written as on Windows; \\ is read as /",)
    assert levels(listing, tmp_path / "faces") == [10, 20]


@pytest.mark.parametrize("path", ["C:\\faces\\1.png", "d:/faces/1.png"])
def test_a_path_on_a_drive_is_refused_with_what_to_do(tmp_path, path):
    with pytest.raises(ValueError) as error:
        table_of(tmp_path, f"{path},x,m\n")
    assert str(error.value).endswith(f"m.csv: {path} lies on a drive of Windows; write paths relative to the CSV")


@pytest.mark.parametrize("written", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("stored", [COMPOSED, DECOMPOSED])
def test_accents_may_be_coded_otherwise_than_on_the_disk(tmp_path, written, stored):
    # The file below the folder is coded the other way round.
    other = DECOMPOSED if stored == COMPOSED else COMPOSED
    save(tmp_path / stored / f"{other}.png", 10)
    listing = table_of(tmp_path, f"{written}/{written}.png,{written},m\n")
    assert levels(listing, tmp_path / "faces") == [10]
    assert listing.manifest.columns["identity"] == (COMPOSED,)
    absolute = table_of(tmp_path, f"{tmp_path}/{written}/{written}.png,x,m\n")
    assert levels(absolute, tmp_path / "absolute") == [10]


def test_groups_match_people_whatever_way_accents_are_coded(tmp_path):
    for folder, coded in ((COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)):
        root = tmp_path / ascii(folder)
        save(root / folder / "1.png")
        (tmp_path / "g.csv").write_text(f"identity,group\n{coded},a\n", encoding="utf-8")
        listing = IMPORTERS["folder"](root, groups=tmp_path / "g.csv")
        assert listing.manifest.columns["identity"] == (COMPOSED,) and listing.manifest.columns["group"] == ("a",)


def test_published_pairs_match_images_whatever_way_accents_are_coded(tmp_path):
    for number in (1, 2):
        save(tmp_path / DECOMPOSED / f"{DECOMPOSED}_{number:04d}.jpg", number)
    (tmp_path / "pairs.txt").write_text(f"1\t1\n{COMPOSED}\t1\t2\n{COMPOSED}\t1\t{COMPOSED}\t2\n", encoding="utf-8")
    listing = IMPORTERS["lfw"](tmp_path)
    assert (listing.pairs.left.tolist(), listing.pairs.right.tolist()) == ([0, 0], [1, 1])


def test_an_image_has_one_row(tmp_path):
    rows = "1.png,x,m\n2.png,y,f\n1.png,x,m\n"
    listing = table_of(tmp_path, rows)
    assert listing.manifest.columns == {"path": ("1.png", "2.png"), "identity": ("x", "y"), "group": ("m", "f")}
    assert listing.skipped == {REPEATED: ("1.png",)}
    with pytest.raises(
        ValueError, match=r"m.csv: two different rows for 1.png, x, m and y, m; every image has one row"
    ):
        table_of(tmp_path, rows + "1.png,y,m\n")


def test_two_spellings_of_a_path_are_one_image(tmp_path):
    others = ("./a/1.png", "a/b/../1.png", "a//1.png", f"{tmp_path}/a/1.png")
    listing = table_of(tmp_path, "".join(f"{path},x,m\n" for path in ("a/1.png", *others)))
    assert listing.manifest.columns["path"] == ("a/1.png",)
    assert listing.skipped == {REPEATED: others}


def test_two_codings_of_one_file_are_one_image(tmp_path):
    save(tmp_path / f"{COMPOSED}.png")
    listing = table_of(tmp_path, f"{COMPOSED}.png,x,m\n{DECOMPOSED}.png,x,m\n")
    assert len(listing.manifest) == 1 and listing.skipped == {REPEATED: (f"{COMPOSED}.png",)}


def test_a_row_without_a_path_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"m.csv: row 2 below the header has no path \(identity 'y'\)"):
        table_of(tmp_path, "1.png,x,m\n,y,f\n")


def test_rows_and_columns_that_a_spreadsheet_leaves_empty_are_passed_over(tmp_path):
    text = "1.png,x,m,,\n,,,,\n2.png,y,f,,\n , ,\t,,\n,,,,\n"
    columns = table_of(tmp_path, text, "path,identity,group,,").manifest.columns
    assert columns == {"path": ("1.png", "2.png"), "identity": ("x", "y"), "group": ("m", "f")}
    with pytest.raises(ValueError, match="line 2 has 4 fields, the header has 3"):
        table_of(tmp_path, "1.png,x,m,stray\n")
    with pytest.raises(ValueError, match="only a header, no rows"):
        table_of(tmp_path, ",,\n,,\n")


def test_an_empty_last_value_of_a_row_is_kept(tmp_path):
    assert table_of(tmp_path, "1.png,x,\n2.png,y,f\n").manifest.columns["group"] == ("", "f")


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_table_without_commas_is_refused_with_what_to_do(tmp_path, mark):
    with pytest.raises(ValueError) as error:
        table_of(tmp_path, mark.join(("1.png", "x", "m")), mark.join(("path", "identity", "group")))
    assert f"is separated by {mark!r}; save the table with commas" in str(error.value)


@pytest.mark.parametrize("coding", ["latin-1", "utf-16"])
def test_a_table_in_another_coding_is_refused_with_what_to_do(tmp_path, coding):
    (tmp_path / "m.csv").write_bytes(f"path,identity\n1.png,{COMPOSED}\n".encode(coding))
    with pytest.raises(ValueError, match=r"m.csv: not UTF-8 text \(.*\); save the table as CSV in UTF-8"):
        list_table(tmp_path / "m.csv")


def test_names_that_are_not_utf_8_on_the_disk_do_not_disturb_a_table(tmp_path):
    save(tmp_path / "1.png", 7)
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.png", os.O_CREAT))
    assert np.array_equal(levels(table_of(tmp_path, "1.png,x,m\n"), tmp_path / "faces"), [7])
