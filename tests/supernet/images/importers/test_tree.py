"""Every file below a folder is taken, or skipped for a reason: the reasons here are all that there are."""

import os

import pytest
from PIL import Image

from dualfair.supernet.images.importers import tree as trees
from dualfair.supernet.images.importers.folders import ASTRAY, EMPTY, list_folder, list_tree
from dualfair.supernet.images.importers.tree import (
    BAD_NAME,
    DEAD_LINK,
    HIDDEN,
    LOOP,
    NOT_PLAIN,
    SYSTEM,
    TAKEN,
    look_below,
    skipped_lines,
    tidy_names,
)

NO_FORMAT = "no image format that is read ({})"


def touch(root, *paths):
    for path in paths:
        place = os.path.join(root, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        Image.new("RGB", (12, 12), (1, 2, 3)).save(place, "PNG")


def test_every_file_is_taken_or_has_its_reason(tmp_path):
    touch(tmp_path, "ann/1.png", "ann/2.JFIF", "ann/3.webp", "ann/deep/er/4.tif", "ben/1.gif", "loose.png")
    touch(tmp_path, "ann/5.heic", "ann/6", "ann/7.png~", "ann/notes.txt", "cat/1.HEIC")
    touch(tmp_path, ".thumbnails/1.png", "ann/.thumbs/a/1.png", "ann/._1.png", ".hidden.png")
    touch(tmp_path, "__MACOSX/ann/._1.png", "ann/@eaDir/1.png/SYNOPHOTO_THUMB.jpg", "ann/THUMBS.DB", "ben/desktop.ini")
    (tmp_path / "dan").mkdir()
    os.mkfifo(tmp_path / "ben/pipe.png")
    listing = list_folder(tmp_path)
    assert listing.manifest.columns == {
        "path": ("ann/1.png", "ann/2.JFIF", "ann/3.webp", "ann/deep/er/4.tif", "ben/1.gif"),
        "identity": ("ann", "ann", "ann", "ann", "ben"),
    }
    assert listing.skipped == {
        HIDDEN: (".hidden.png", ".thumbnails/1.png", "ann/._1.png", "ann/.thumbs/a/1.png"),
        SYSTEM: ("__MACOSX/ann/._1.png", "ann/@eaDir/1.png/SYNOPHOTO_THUMB.jpg", "ann/THUMBS.DB", "ben/desktop.ini"),
        NO_FORMAT.format(".heic"): ("ann/5.heic", "cat/1.HEIC"),
        NO_FORMAT.format("no suffix"): ("ann/6",),
        NO_FORMAT.format(".png~"): ("ann/7.png~",),
        NO_FORMAT.format(".txt"): ("ann/notes.txt",),
        NOT_PLAIN: ("ben/pipe.png",),
        ASTRAY: ("loose.png",),
        EMPTY: ("cat", "dan"),
    }
    files = sum(len(names) for _, _, names in os.walk(tmp_path))
    assert files == len(listing.manifest) + sum(len(names) for names in listing.skipped.values()) - len(("cat", "dan"))
    assert f"skipped 2: {NO_FORMAT.format('.heic')}; the first is ann/5.heic" in skipped_lines(listing.skipped)


def test_images_come_in_the_order_of_their_names_folder_by_folder(tmp_path):
    paths = ["a-b/1.png", "a/1.png", "a/10.png", "a/2.png", "a/b/1.png", "a/c.png", "b/1.png"]
    touch(tmp_path, *reversed(paths))
    # As pathlib sorts: by the parts, so that a comes before a-b.
    assert look_below(tmp_path).images == tuple(
        path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.png"))
    )


def test_links_to_files_and_folders_are_followed(tmp_path):
    touch(tmp_path, "store/1.png", "store/sub/2.png", "ph/ann/0.png")
    (tmp_path / "ph/ann/more").symlink_to(tmp_path / "store")
    (tmp_path / "ph/ben").symlink_to(tmp_path / "store/sub")
    (tmp_path / "ph/ann/x.png").symlink_to("../../store/1.png")
    tree = look_below(tmp_path / "ph")
    # What two links lead to is taken from the first.
    assert tree.images == ("ann/0.png", "ann/more/1.png", "ann/more/sub/2.png")
    assert tree.skipped == {TAKEN: ("ben", "ann/x.png")}
    assert list_folder(tmp_path / "ph").skipped[EMPTY] == ("ben",)


def test_a_file_is_taken_where_it_lies_whatever_links_lead_to_it(tmp_path):
    touch(tmp_path, "b/1.png", "b/2.png")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/first.png").symlink_to("../b/1.png")
    (tmp_path / "c").symlink_to("b")
    tree = look_below(tmp_path)
    assert tree.images == ("b/1.png", "b/2.png")
    assert tree.skipped == {TAKEN: ("a/first.png", "c/1.png", "c/2.png")}


def test_loops_and_dead_links_end(tmp_path):
    touch(tmp_path, "ph/ann/1.png", "ph/ann/.h/1.png")
    for path, target in (
        ("ann/self", "self"),
        ("ann/up", "."),
        ("ann/root", ".."),
        ("ann/above", "../.."),
        ("ann/all", "/"),
        ("ann/.h/loop", "."),
        ("ann/gone.png", "nowhere.png"),
    ):
        (tmp_path / "ph" / path).symlink_to(target)
    tree = look_below(tmp_path / "ph")
    assert tree.images == ("ann/1.png",)
    assert {reason: sorted(names) for reason, names in tree.skipped.items()} == {
        HIDDEN: ["ann/.h/1.png", "ann/.h/loop"],
        LOOP: ["ann/above", "ann/all", "ann/root", "ann/up"],
        DEAD_LINK: ["ann/gone.png", "ann/self"],
    }


def test_folders_that_link_to_each_other_are_not_walked_again_and_again(tmp_path):
    """Sixteen folders outside, each with two links to the next one: 2^16 ways, 16 folders."""
    for level in range(16):
        touch(tmp_path, f"out/{level:02d}/1.png")
        if level:
            for name in "xy":
                (tmp_path / f"out/{level - 1:02d}/{name}").symlink_to(tmp_path / f"out/{level:02d}")
    (tmp_path / "ph").mkdir()
    (tmp_path / "ph/ann").symlink_to(tmp_path / "out/00")
    tree = look_below(tmp_path / "ph")
    assert len(tree.images) == 16 and len(tree.skipped[TAKEN]) == 15


def test_names_that_a_table_cannot_hold_are_skipped_and_shown(tmp_path):
    touch(tmp_path, "ann/1.png", "ann/é.png", "ann/two\nlines.png")
    touch(os.fsencode(tmp_path).decode(), os.fsdecode(b"ann/caf\xe9.png"), os.fsdecode(b"b\xe9n/1.png"))
    listing = list_folder(tmp_path)
    assert listing.manifest.columns["path"] == ("ann/1.png", "ann/é.png")
    assert set(listing.skipped) == {BAD_NAME}
    assert sorted(listing.skipped[BAD_NAME]) == [r"ann/caf\xe9.png", r"ann/two\nlines.png", r"b\xe9n/1.png"]


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "ann/1.png", "ben/1.png")
    scandir = os.scandir

    def refuse(place):
        if place.endswith("ben"):
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr(trees.os, "scandir", refuse)
    listing = list_folder(tmp_path)
    assert listing.skipped == {"a folder that cannot be opened (Permission denied)": ("ben/",), EMPTY: ("ben",)}


def test_names_of_people_are_kept_without_blanks_and_composed(tmp_path):
    touch(tmp_path, "Zoe\u0308/1.png", " Ann /1.png")
    assert sorted(list_folder(tmp_path).manifest.columns["identity"]) == ["Ann", "Zo\u00eb"]


@pytest.mark.parametrize(
    ("names", "shown"),
    [(("Ann", "Ann "), "'Ann' and 'Ann '"), (("Zo\u00eb", "Zoe\u0308"), r"'Zo\xeb' and 'Zoe\u0308'")],
)
def test_folders_that_would_become_one_person_or_group_are_refused(tmp_path, names, shown):
    touch(tmp_path, *(f"{name}/x/1.png" for name in names))
    for levels in (("identity",), ("group", "identity")):
        with pytest.raises(ValueError) as error:
            list_tree(tmp_path, levels)
        assert all(part in str(error.value) for part in shown.split(" and ")) and "\n" not in str(error.value)


def test_a_folder_of_files_that_are_all_skipped_says_why(tmp_path):
    touch(tmp_path, "ann/1.heic", "ann/.1.png")
    with pytest.raises(ValueError) as error:
        list_folder(tmp_path)
    assert str(error.value).endswith(
        f"holds no images; expected one folder a person with images in it; skipped 1: {HIDDEN}; the first is "
        f"ann/.1.png; skipped 1: {NO_FORMAT.format('.heic')}; the first is ann/1.heic"
    )


def test_a_blank_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds a folder named ' '; give it a name"):
        tidy_names([" "], tmp_path)


def test_people_of_one_name_in_two_groups_are_two(tmp_path):
    touch(
        tmp_path,
        "A/0001/1.png",
        "A/0002/1.png",
        "B/0001/1.png",
        "B/0003/1.png",
        "B/Zoe\u0308/1.png",
        "A/Zo\u00eb/1.png",
    )
    listing = list_tree(tmp_path, ("group", "identity"))
    assert listing.manifest.columns["identity"] == (
        "A/0001", "0002", "A/Zo\u00eb", "B/0001", "0003", "B/Zo\u00eb"
    )  # fmt: skip
    assert listing.notes == ("4 people have a name that stands in several folders; they are named as A/0001",)


def test_groups_account_for_what_lies_beside_and_above_people(tmp_path):
    touch(tmp_path, "A/p/1.png", "B/q/1.png", "B/loose.png", "top.png", ".x/r/1.png", "__MACOSX/A/p/._1.png")
    for empty in ("B/none", "C/none"):
        (tmp_path / empty).mkdir(parents=True)
    listing = list_tree(tmp_path, ("group", "identity"))
    assert listing.manifest.columns == {"path": ("A/p/1.png", "B/q/1.png"), "group": ("A", "B"), "identity": ("p", "q")}
    assert listing.skipped == {
        HIDDEN: (".x/r/1.png",),
        SYSTEM: ("__MACOSX/A/p/._1.png",),
        ASTRAY: ("B/loose.png", "top.png"),
        EMPTY: ("C", "B/none"),
    }
    only = list_tree(tmp_path, ("group", "identity"), only=("B", "A"))
    assert only.manifest.columns["path"] == ("B/q/1.png", "A/p/1.png")
