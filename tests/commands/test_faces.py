"""`dualfair faces import` and `dualfair faces check` as a user types them."""

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualfair.stages.faces import next_steps
from dualfair.supernet.images.importers.datasets import IMPORTERS
from dualfair.supernet.images.manifest import Manifest
from dualfair.supernet.images.store import FaceStore, open_store

SHARED = ("--out", "--size", "--max-unreadable")
BALANCE = ("--balance", "--within-splits", "--group-column", "--seed")
OWN = {
    "folder": ("--groups",),
    "csv": (),
    "celeba": ("--group", "--official-split", "--no-official-split", "--align"),
    "vggface2": ("--official-split", "--align"),
    "rfw": (),
    "lfw": ("--pairs", "--groups"),
    "bupt": (),
    "casia": ("--groups",),
    "tinyface": (),
    "rec": ("--groups",),
    "bin": (),
    "unlabelled": (),
}


def save(path, seed=0, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *path.as_posix().encode()])
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)


def groups_tree(root, people=10, images=3):
    """BUPT-Balancedface in small: the second group has twice the images."""
    for group, factor in (("African", 1), ("Asian", 2)):
        for person in range(people):
            for number in range(images * factor):
                save(root / "race_per_7000" / group / f"m.{group[1]}{person:02d}" / f"{number}.png")
    return root


def options_of(command):
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} - {"source"}


def test_every_importer_is_a_command_with_the_options_that_mean_something():
    from dualfair.commands.faces import import_group as command

    context = None
    assert command.list_commands(context) == list(IMPORTERS) == list(OWN)
    for name, own in OWN.items():
        expected = {*own, *SHARED, *(() if name in ("bin", "unlabelled") else BALANCE)}
        assert options_of(command.get_command(context, name)) == expected, name


def test_the_list_of_data_sets_has_one_line_each(dualfair):
    shown = dualfair("faces", "import", "--help")
    assert shown.status == 0
    for text in (
        "celeba      CelebA: SRC holds img_align_celeba",
        "bin         Verification set of pairs",
        "module:object",
    ):
        assert text in shown.out


@pytest.mark.parametrize("name", IMPORTERS)
def test_help_speaks_to_users(dualfair, name):
    shown = dualfair("faces", "import", name, "--help")
    assert shown.status == 0 and f"faces import {name} [OPTIONS] SRC" in shown.out
    assert "`" not in shown.out and "ValueError" not in shown.out and "Listing" not in shown.out


def test_the_commands_are_known_without_loading_images_or_tensors():
    heavy = {"PIL", "torch", "numpy", "dualfair.supernet.images.importers.datasets"}
    code = f"import sys, dualfair.commands.faces; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_balanced_import_is_checked_without_a_fault(dualfair, tmp_path):
    made = dualfair(
        "faces", "import", "bupt", groups_tree(tmp_path), "--out", tmp_path / "faces", "--size", 16, "--balance"
    )
    assert made.status == 0, made.err
    assert "Note: balanced by group: 60 of 90 images, of 20 people" in made.out
    assert "60 images of 20 people at 16 px" in made.out and "people by group: African 10, Asian 10" in made.out
    assert f"Next: dualfair faces check {tmp_path / 'faces'}" in made.out
    checked = dualfair("faces", "check", tmp_path / "faces")
    assert checked.status == 0 and "No faults" in checked.out
    lines = [line.split() for line in checked.out.splitlines()]
    assert "images a person: 3 to 3, median 3" in checked.out
    assert ["train", "African", "6", "18", "6"] in lines
    assert open_store(tmp_path / "faces").origin["made by"] == "import bupt"


def test_the_next_command_is_quoted_for_a_shell(dualfair, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = dualfair("faces", "synth", "--out", "my 'faces' #1", "--identities", 4, "--images", 2, "--size", 32)
    words = shlex.split(made.out.rpartition("Next: ")[2], comments=True)
    assert words == ["dualfair", "train", "--faces", "my 'faces' #1", "--out", "run"]


@pytest.mark.parametrize(
    ("columns", "following"),
    [
        ({"group": "a"}, "dualfair faces check my/f, then dualfair train --faces my/f --out run"),
        ({"group": "NA", "hat": "a"}, "dualfair faces check my/f --group-column COLUMN, then "
         "dualfair train --faces my/f --group-column COLUMN --out run"),
        ({"group": "?", "split": "test"}, "dualfair faces check my/f, then "
         "dualfair evaluate --network NETWORK --faces my/f --out result"),
    ],
)  # fmt: skip
def test_the_next_command_is_one_that_the_faces_serve(columns, following):
    columns = {name: (value,) for name, value in {"path": "1.png", "identity": "x", **columns}.items()}
    assert next_steps(FaceStore(Path("my/f"), Manifest(columns), np.empty(0), {})) == following


def test_a_folder_with_a_fault_ends_in_status_one(dualfair, tmp_path):
    groups_tree(tmp_path)
    copied = tmp_path / "race_per_7000/Asian/m.s00/0.png"
    copied.write_bytes((tmp_path / "race_per_7000/African/m.f00/0.png").read_bytes())
    assert dualfair("faces", "import", "bupt", tmp_path, "--out", tmp_path / "faces", "--size", 16).status == 0
    checked = dualfair("faces", "check", tmp_path / "faces")
    assert checked.status == 1
    assert "FAULT 2 images of different identities have equal pixels" in checked.out and "1 faults" in checked.out
    few = dualfair("faces", "check", tmp_path / "faces", "--split", "0.8,0.1,0.1")
    assert (
        few.status == 1 and "FAULT group 'Asian' has 1 identities with two or more images in the validation" in few.out
    )
    missing = dualfair("faces", "check", tmp_path / "faces", "--group-column", "sex")
    assert missing.status == 2 and missing.err == "Error: unknown group column 'sex'; the manifest has: group\n"
    for words, said in (
        ((tmp_path / "none",), "is no faces folder"),
        ((tmp_path / "faces", "--split", "0.5,0.5"), "split fractions must be three positive numbers"),
    ):
        wrong = dualfair("faces", "check", *words)
        assert wrong.status == 2 and said in wrong.err and wrong.err.count("\n") == 1


def test_notes_pairs_and_images_left_out_are_told(dualfair, tmp_path):
    for person in range(30):
        for number in (1, 2):
            save(tmp_path / "lfw" / f"P_{person:02d}" / f"P_{person:02d}_{number:04d}.png")
    lines = [f"P_{n:02d}\t1\t2\nP_{n:02d}\t1\tP_{(n + 1) % 30:02d}\t2\n" for n in range(30)]
    (tmp_path / "pairs.txt").write_text("30\t1\n" + "".join(lines))
    for person in range(25):
        (tmp_path / f"lfw/P_{person:02d}/P_{person:02d}_0001.png").write_bytes(b"")
    made = dualfair(
        "faces", "import", "lfw", tmp_path, "--out", tmp_path / "faces", "--size", 16, "--max-unreadable", 0.5
    )
    assert made.status == 0, made.err
    assert made.err.count("Left out: P_") == 20 and "Left out: 5 more; faces.json names all of them" in made.err
    assert "10 verification pairs in " in made.out and "50 are left out, as an image of theirs is" in made.out
    checked = dualfair("faces", "check", tmp_path / "faces")
    assert "note  10 verification pairs, 5 of one person, in 5 folds" in checked.out and checked.status == 0


def test_the_same_command_continues_where_it_stopped(dualfair, tmp_path, monkeypatch):
    groups_tree(tmp_path)
    words = ("faces", "import", "bupt", tmp_path, "--size", 16)
    monkeypatch.setattr("dualfair.supernet.images.importers.importing.JOURNAL_SECONDS", -1.0)
    opened = Image.open

    def interrupt(file, **options):
        if str(file).endswith("Asian/m.s03/2.png"):
            raise KeyboardInterrupt
        return opened(file, **options)

    with monkeypatch.context() as patch:
        patch.setattr("PIL.Image.open", interrupt)
        stopped = dualfair(*words, "--out", tmp_path / "faces")
    assert stopped.status == 130 and "The same command continues from what is on disk" in stopped.err
    made = dualfair(*words, "--out", tmp_path / "faces")
    assert made.status == 0 and "Continuing with image 51 of 90" in made.out
    assert dualfair(*words, "--out", tmp_path / "whole").status == 0
    for name in ("pixels.npy", "manifest.csv", "faces.json"):
        assert (tmp_path / "faces" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    again = dualfair(*words, "--out", tmp_path / "faces")
    assert again.status == 2 and "holds faces already" in again.err
    generated = dualfair("faces", "synth", "--out", tmp_path / "faces", "--identities", 4, "--images", 2)
    assert generated.status == 2 and "holds faces already that were imported; remove the folder" in generated.err
    assert (tmp_path / "faces/pixels.npy").read_bytes() == (tmp_path / "whole/pixels.npy").read_bytes()


def test_an_import_that_had_read_every_image_continues_with_none(dualfair, tmp_path):
    for number in range(7):
        save(tmp_path / f"ph/ann{number}/1.png", seed=number)
    (tmp_path / "ph/ann0/1.png").write_bytes(b"")
    words = ("faces", "import", "folder", tmp_path / "ph", "--size", 16, "--out", tmp_path / "faces")
    assert dualfair(*words).status == 2
    made = dualfair(*words, "--max-unreadable", 0.2)
    assert made.status == 0 and "Continuing where all images are read" in made.out and "image 8" not in made.out


def test_an_import_that_begins_anew_says_so(dualfair, tmp_path):
    save(tmp_path / "ph/ann/1.png")
    (tmp_path / "ph/ann/2.png").write_bytes(b"")
    words = ("faces", "import", "folder", tmp_path / "ph", "--size", 16, "--out", tmp_path / "faces")
    assert dualfair(*words).status == 2
    save(tmp_path / "ph/ann/2.png", seed=1)
    made = dualfair(*words)
    assert (
        made.status == 0 and "Beginning anew: files or options are not those of the import that was inter" in made.out
    )


def test_what_is_skipped_is_told_with_reason_count_and_example_and_stands_in_the_record(dualfair, tmp_path):
    for name in ("ann/1.png", "ann/2.jfif.png", "ben/1.png"):
        save(tmp_path / "ph" / name)
    for name in ("ann/3.heic", "cid/1.heic", "cid/2.heic", ".thumbnails/1.png", "__MACOSX/._1.png"):
        (tmp_path / "ph" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "ph" / name).write_bytes(b"")
    (tmp_path / "ph/ann/caf\udce9.png").write_bytes(b"")
    made = dualfair("faces", "import", "folder", tmp_path / "ph", "--out", tmp_path / "faces", "--size", 16)
    assert made.status == 0, made.err
    lines = [line for line in made.out.splitlines() if line.startswith("Note: ")]
    assert sorted(lines) == [
        "Note: skipped 1: a folder of a person or a group without an image that is read; the first is cid",
        "Note: skipped 1: hidden, as the name begins with a dot; the first is .thumbnails/1.png",
        "Note: skipped 1: made by an operating system or a file server, not by you; the first is __MACOSX/._1.png",
        "Note: skipped 1: named in another encoding than UTF-8, or with control characters; rename it; the first is "
        "ann/caf\\xe9.png",
        "Note: skipped 3: no image format that is read (.heic); the first is ann/3.heic",
    ]
    assert "3 images of 2 people" in made.out
    record = open_store(tmp_path / "faces").origin
    assert record["skipped"]["no image format that is read (.heic)"] == ["ann/3.heic", "cid/1.heic", "cid/2.heic"]
    assert sum(map(len, record["skipped"].values())) == 7
    checked = dualfair("faces", "check", tmp_path / "faces")
    assert "said at import: skipped 3: no image format that is read (.heic); the first is ann/3.heic" in checked.out


def test_a_huge_image_is_refused_by_name_in_one_line(dualfair, tmp_path):
    save(tmp_path / "ph/ann/1.png")
    Image.new("1", (10000, 9500)).save(tmp_path / "ph/ann/big.png")
    made = dualfair("faces", "import", "folder", tmp_path / "ph", "--out", tmp_path / "faces", "--size", 16)
    assert made.status == 2 and made.err.count("\n") == 1
    assert "ann/big.png (more than 89,478,485 pixels; make a smaller copy of it)" in made.err


def test_an_importer_of_ones_own_is_a_command_with_its_options(dualfair, tmp_path, monkeypatch):
    groups_tree(tmp_path, people=2)
    (tmp_path / "myfaces.py").write_text(
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from dualfair.supernet.images.importers.folders import list_folder\n"
        "def mine(source: Path, *, least: int = 1, suffix: str):\n"
        "    '''My faces: SRC holds them.\n\n    `least` is the least number.\n    '''\n"
        "    return replace(list_folder(source), notes=(f'least {least + 1}, suffix {suffix}',))\n"
    )
    monkeypatch.chdir(tmp_path)
    shown = dualfair("faces", "import", "myfaces:mine", "--help")
    assert shown.status == 0 and "--least is the least number." in shown.out and "--suffix TEXT" in shown.out
    source = tmp_path / "race_per_7000/Asian"
    made = dualfair(
        "faces", "import", "myfaces:mine", source, "--out", "faces", "--size", 16, "--least", 4, "--suffix", "x"
    )
    assert made.status == 0 and "Note: least 5, suffix x" in made.out, made.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("celebs", "{tmp}"), "unknown importer 'celebs'; choose from folder, csv, celeba"),
        (("celeba", "{tmp}"), "img_align_celeba is missing: expected {tmp}/img_align_celeba or {tmp}/Img/img_align"),
        (("bupt", "{tmp}", "--size", "4"), "images must be stored at 8 px or more, got 4"),
        (
            ("bupt", "{tmp}", "--balance", "--group-column", "sex"),
            "unknown group column 'sex'; the manifest has: group",
        ),
        (
            ("bin", "{tmp}/race_per_7000"),
            "lfw.bin is missing: expected {tmp}/race_per_7000 to be a .bin file, or a folder",
        ),
        (("rec", "{tmp}/none"), "train.rec is missing: expected {tmp}/none to be a .rec file"),
    ],
)
def test_a_users_mistake_gets_one_clear_line(dualfair, tmp_path, words, said):
    groups_tree(tmp_path, people=1, images=1)
    result = dualfair("faces", "import", *(word.format(tmp=tmp_path) for word in words), "--out", tmp_path / "faces")
    assert result.status == 2 and said.format(tmp=tmp_path) in result.err
    assert result.err.startswith("Error: ") and result.err.count("\n") == 1


@pytest.mark.parametrize("inside", ["", "/faces"])
def test_a_file_in_place_of_the_folder_to_make_is_named(dualfair, tmp_path, inside):
    save(tmp_path / "photos/ann/1.png", seed=0)
    (tmp_path / "notes.txt").write_text("mine")
    for words in (("import", "folder", tmp_path / "photos"), ("synth", "--identities", 4, "--images", 2)):
        result = dualfair("faces", *words, "--out", f"{tmp_path}/notes.txt{inside}")
        assert result.status == 2
        assert result.err.endswith(
            f"Error: {tmp_path}/notes.txt is a file, and a folder is expected there; choose another place\n"
        )
    assert (tmp_path / "notes.txt").read_text() == "mine"
