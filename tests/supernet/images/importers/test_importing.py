"""An import that is interrupted goes on, and ends in the same bytes as one that was not."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dualfair.supernet.images.importers.folders import list_folder
from dualfair.supernet.images.importers.importing import import_listing
from dualfair.supernet.images.importers.journal import JOURNAL
from dualfair.supernet.images.importers.listing import list_files
from dualfair.supernet.images.manifest import Manifest, read_manifest
from dualfair.supernet.images.pairs import Pairs
from dualfair.supernet.images.store import open_store, square

PEOPLE, IMAGES = 6, 5
FILES = {"manifest.csv", "pixels.npy", "faces.json"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Thirty images, two of which cannot be read."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for row in range(PEOPLE * IMAGES):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(root / f"{row:02d}.png")
    (root / "04.png").write_bytes(b"")
    (root / "17.png").write_text("no image")
    return root


def listing_of(photos):
    rows = range(PEOPLE * IMAGES)
    manifest = Manifest(
        {"path": tuple(f"{n:02d}.png" for n in rows), "identity": tuple(f"p{n // IMAGES}" for n in rows)}
    )
    return list_files(manifest, photos)


def stopping_at(listing, row, seen=None):
    """The listing whose image `row` ends the import as a power cut would."""

    def open_image(number):
        if seen is not None:
            seen.append(number)
        if number == row:
            raise KeyboardInterrupt
        return listing.open_image(number)

    return replace(listing, open_image=open_image)


def run(listing, out, **options):
    return import_listing(listing, out, **{"size": 16, "max_unreadable": 0.1, "journal_images": 4, **options})


def bytes_of(folder):
    assert {path.name for path in folder.iterdir()} == FILES
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("row", [0, 3, 4, 5, 11, 20, 29])
def test_an_interrupted_import_continues_and_is_byte_equal(photos, tmp_path, row):
    listing = listing_of(photos)
    run(listing, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(stopping_at(listing, row), tmp_path / "faces")
    assert not (tmp_path / "faces/manifest.csv").exists()
    seen = []
    report = run(stopping_at(listing, -1, seen), tmp_path / "faces")
    assert report.continued_from == row // 4 * 4
    # What was done is looked at once, to see that it has not changed, and what could not be read is tried again.
    assert seen == [*range(report.continued_from), *([4] if report.continued_from > 4 else []),
                    *([17] if report.continued_from > 17 else []), *range(report.continued_from, 30)]  # fmt: skip
    assert [name for name, _ in report.unreadable] == ["04.png", "17.png"]
    assert bytes_of(tmp_path / "faces") == bytes_of(tmp_path / "whole")


def test_a_killed_import_continues_and_is_byte_equal(photos, tmp_path):
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(tmp_path)!r})
from dataclasses import replace
from pathlib import Path
from dualfair.supernet.images.importers.importing import import_listing
from dualfair.supernet.images.importers.listing import list_files
from dualfair.supernet.images.manifest import read_manifest
listing = list_files(read_manifest(Path({str(photos)!r}) / "m.csv"), Path({str(photos)!r}))
def open_image(row):
    if row == 22:
        os.kill(os.getpid(), signal.SIGKILL)
    return listing.open_image(row)
import_listing(replace(listing, open_image=open_image), Path({str(tmp_path / "faces")!r}), size=16, journal_images=5)
"""
    rows = "".join(f"{n:02d}.png,p{n // IMAGES}\n" for n in range(PEOPLE * IMAGES))
    (photos / "m.csv").write_text("path,identity\n" + rows)
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    report = run(listing_of(photos), tmp_path / "faces")
    run(listing_of(photos), tmp_path / "whole")
    assert report.continued_from == 20
    assert bytes_of(tmp_path / "faces") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize(
    "change", ["size", "root", "manifest", "pixels cut", "pixels changed", "pixels gone", "journal"]
)
def test_what_does_not_fit_is_begun_anew(photos, tmp_path, change):
    listing, options = listing_of(photos), {}
    out = tmp_path / "faces"
    with pytest.raises(KeyboardInterrupt):
        run(stopping_at(listing, 12), out)
    pixels = out / "pixels.npy.tmp"
    if change == "size":
        options["size"] = 12
    elif change == "root":
        (tmp_path / "copy").mkdir()
        for path in photos.iterdir():
            (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
        listing = listing_of(tmp_path / "copy")
    elif change == "manifest":
        listing = list_files(listing.manifest.take(range(29)), photos)
    elif change == "pixels cut":
        pixels.write_bytes(pixels.read_bytes()[:1000])
    elif change == "pixels changed":
        data = bytearray(pixels.read_bytes())
        data[1000] ^= 1
        pixels.write_bytes(data)
    elif change == "pixels gone":
        pixels.unlink()
    else:
        (out / JOURNAL).write_text('{"listing": ')
    report = run(listing, out, **options)
    run(listing, tmp_path / "whole", **options)
    assert report.continued_from == 0
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_too_many_unreadable_images_lose_nothing(photos, tmp_path):
    with pytest.raises(
        ValueError,
        match=r"2 of 30 images cannot be read, .*: \S*04.png \(empty file\), \S*17.png \(no image .*\). Repair them",
    ):
        run(listing_of(photos), tmp_path / "faces", max_unreadable=0.05)
    seen = []
    report = run(stopping_at(listing_of(photos), -1, seen), tmp_path / "faces")
    assert seen == [*range(30), 4, 17] and report.continued_from == 30 and len(report.store.pixels) == 28


def test_a_repaired_image_is_read_when_the_import_continues(tmp_path, photos):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in photos.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="2 of 30"):
        run(listing_of(copy), tmp_path / "faces", max_unreadable=0.05)
    (copy / "04.png").write_bytes((copy / "05.png").read_bytes())
    report = run(listing_of(copy), tmp_path / "faces", max_unreadable=0.05)
    assert [name for name, _ in report.unreadable] == ["17.png"] and len(report.store.pixels) == 29
    assert np.array_equal(report.store.pixels[4], report.store.pixels[5])


CHANGES = {
    "another image": lambda path: path.write_bytes(path.with_name("05.png").read_bytes()),
    "other pixels of the same length and time": lambda path: keep_time(path, flipped(path.read_bytes())),
    "damaged": lambda path: path.write_bytes(b"x"),
    "gone": lambda path: path.unlink(),
    "another one in its place": lambda path: path.with_name("05.png").rename(path),
}


def flipped(data):
    """A PNG that shows something else and, stored without packing, is as long."""
    pixels = np.asarray(Image.open(io.BytesIO(data))).copy()
    pixels[0, 0] ^= 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


def keep_time(path, data):
    state = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize("change", CHANGES)
def test_an_import_begins_anew_when_a_file_that_was_read_has_changed(photos, tmp_path, change):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in photos.glob("*.png"):
        data = path.read_bytes()
        (copy / path.name).write_bytes(data)
    keep_time(copy / "06.png", flipped(flipped((copy / "06.png").read_bytes())))
    with pytest.raises(KeyboardInterrupt):
        run(stopping_at(listing_of(copy), 12), tmp_path / "faces")
    CHANGES[change](copy / "06.png")
    report = run(listing_of(copy), tmp_path / "faces", max_unreadable=0.2)
    run(listing_of(copy), tmp_path / "whole", max_unreadable=0.2)
    assert report.continued_from == 0
    assert bytes_of(tmp_path / "faces") == bytes_of(tmp_path / "whole")


def test_a_file_that_changes_before_its_turn_does_not_disturb(photos, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in photos.glob("*.png"):
        (copy / path.name).write_bytes(path.read_bytes())
    with pytest.raises(KeyboardInterrupt):
        run(stopping_at(listing_of(copy), 12), tmp_path / "faces")
    (copy / "20.png").write_bytes((copy / "05.png").read_bytes())
    report = run(listing_of(copy), tmp_path / "faces")
    assert report.continued_from == 12 and np.array_equal(report.store.pixels[5 - 1], report.store.pixels[20 - 2])


def test_bytes_that_changed_in_a_container_are_seen_too(photos, tmp_path):
    def contained(change=0):
        images = [(photos / f"{n:02d}.png").read_bytes() for n in range(PEOPLE * IMAGES)]
        images[7] = images[7 + change]
        return replace(listing_of(photos), open_image=lambda row: io.BytesIO(images[row]))

    for change in (0, 1):
        out = tmp_path / str(change)
        with pytest.raises(KeyboardInterrupt):
            run(stopping_at(contained(), 12), out)
        assert run(contained(change), out).continued_from == (12, 0)[change]


def test_remarks_on_pictures_survive_an_interruption(tmp_path):
    for n in range(PEOPLE * IMAGES):
        Image.new("RGBA" if n % 4 == 1 else "RGB", (9, 9)).save(tmp_path / f"{n:02d}.png")
    listing = listing_of(tmp_path)
    whole = run(listing, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(stopping_at(listing, 17), tmp_path / "faces")
    assert run(listing, tmp_path / "faces").notes == whole.notes
    assert whole.notes == ("8 images have transparent parts, which are black; the first is 01.png",)
    assert bytes_of(tmp_path / "faces") == bytes_of(tmp_path / "whole")


def test_faces_that_are_there_are_not_overwritten(photos, tmp_path):
    run(listing_of(photos), tmp_path / "faces")
    before = bytes_of(tmp_path / "faces")
    with pytest.raises(ValueError, match=r"faces holds faces already .*; remove the folder, or choose another --out"):
        run(listing_of(photos), tmp_path / "faces")
    assert bytes_of(tmp_path / "faces") == before


def test_alignment_without_landmarks_and_tiny_images_are_refused_before_anything_is_written(photos, tmp_path):
    with pytest.raises(ValueError, match="--align needs landmarks, and none are known for"):
        run(listing_of(photos), tmp_path / "faces", align=True)
    with pytest.raises(ValueError, match="images must be stored at 8 px or more, got 7"):
        run(listing_of(photos), tmp_path / "faces", size=7)
    assert not (tmp_path / "faces").exists()


def test_pairs_of_unreadable_images_are_dropped_also_after_an_interruption(photos, tmp_path):
    pairs = Pairs(np.array([0, 4, 16]), np.array([1, 5, 18]), np.array([True, False, False]), np.array([0, 0, 1]))
    listing = replace(listing_of(photos), pairs=pairs)
    with pytest.raises(KeyboardInterrupt):
        run(stopping_at(listing, 29), tmp_path / "faces")
    report = run(listing, tmp_path / "faces")
    assert (tmp_path / "faces/pairs.csv").read_text() == "left,right,same,fold\n00.png,01.png,1,0\n16.png,18.png,0,1\n"
    assert report.pairs.left.tolist() == [0, 15] and report.pairs.dropped == ("04.png, 05.png",)


def test_an_import_says_in_faces_json_what_it_did(photos, tmp_path):
    listing = replace(listing_of(photos), notes=("mind this",))
    run(listing, tmp_path / "faces", made_by="import folder")
    origin = json.loads((tmp_path / "faces/faces.json").read_text())
    store = open_store(tmp_path / "faces")
    assert origin.pop("fingerprint") == store.fingerprint
    columns = {name: list(values) for name, values in store.manifest.columns.items()}
    assert origin.pop("manifest") == hashlib.sha256(json.dumps(columns).encode()).hexdigest()
    assert origin == {
        "made by": "import folder",
        "aligned": False,
        "linked": True,
        "notes": ["mind this"],
        "skipped": {},
        "unreadable": ["04.png (empty file)", "17.png (no image that Pillow reads; save it as JPEG or PNG)"],
        "people lost": [],
        "images": 28,
        "size": 16,
        "channels": "RGB",
    }


def test_memory_does_not_grow_with_the_images(tmp_path):
    import tracemalloc

    Image.new("RGB", (64, 64), (1, 2, 3)).save(tmp_path / "one.png")
    peaks = []
    for images in (60, 600):
        manifest = Manifest({"path": ("one.png",) * images, "identity": ("x",) * images})
        tracemalloc.start()
        import_listing(list_files(manifest, tmp_path), tmp_path / f"faces{images}", size=64)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 540 * 64 * 64 * 3 / 20


FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")


def image_bytes(kind):
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def fuzz_images(folder, cases):
    """Images of every format with bytes flipped, cut out, repeated and overwritten."""
    rng = np.random.default_rng(11)
    files = []
    for case in range(cases):
        data = bytearray(image_bytes(FORMATS[case % len(FORMATS)]))
        for _ in range(int(rng.integers(1, 6))):
            start = int(rng.integers(0, len(data)))
            length = int(rng.integers(1, 9))
            change = rng.integers(0, 3)
            if change == 0:
                data[start : start + length] = rng.bytes(length)
            elif change == 1 and len(data) > length:
                del data[start : start + length]
            else:
                data[start:start] = data[start : start + length]
        files.append(f"{case}.img")
        (folder / files[-1]).write_bytes(data)
    manifest = Manifest({"path": tuple(files), "identity": ("p",) * cases})
    report = import_listing(list_files(manifest, folder), folder / "faces", size=8, max_unreadable=1.0)
    assert 0 < len(report.unreadable) < cases
    assert all(reason and "\n" not in reason for _, reason in report.unreadable)
    assert len(report.store.pixels) == cases - len(report.unreadable)


@pytest.mark.filterwarnings("ignore")
def test_poisoned_images_are_read_or_listed_with_a_reason(tmp_path):
    fuzz_images(tmp_path, 350)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_thousands_of_poisoned_images_are_read_or_listed(tmp_path):
    fuzz_images(tmp_path, 4_000)


def test_what_is_no_plain_file_is_listed_and_never_waited_for(tmp_path):
    """A pipe that nobody writes to, an endless device, a folder, a dead link, a name that cannot be."""
    (tmp_path / "whole.png").write_bytes(image_bytes("PNG"))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    paths = ("whole.png", "pipe.png", "/dev/zero", "folder.png", "link.png", "a\0b.png", "x" * 300 + ".png")
    manifest = Manifest({"path": paths, "identity": ("p",) * len(paths)})
    listing = list_files(manifest, tmp_path)
    report = import_listing(listing, tmp_path / "faces", size=8, max_unreadable=1.0)
    assert [path for path, _ in report.unreadable] == list(paths[1:])
    reasons = dict(report.unreadable)
    assert {reasons[path] for path in paths[1:4]} == {"not a plain file"} and reasons["link.png"] == "no such file"
    with pytest.raises(
        ValueError, match=r"6 of 7 images cannot be read, .*: .*pipe.png \(not a plain file\), "
    ) as error:
        import_listing(listing, tmp_path / "other", size=8)
    assert "\n" not in str(error.value) and not (tmp_path / "other/manifest.csv").exists()


def save_people(root, people=6, images=3):
    rng = np.random.default_rng(0)
    for person in range(people):
        (root / f"p{person}").mkdir(parents=True)
        for number in range(images):
            Image.fromarray(rng.integers(0, 256, (30, 20, 3), dtype=np.uint8)).save(
                root / f"p{person}" / f"{number}.png"
            )


def test_a_folder_of_people_becomes_a_store(tmp_path):
    save_people(tmp_path / "photos")
    (tmp_path / "groups.csv").write_text(
        "identity,group,age\n" + "".join(f"p{i},{'ab'[i % 2]},{i}\n" for i in range(6))
    )
    listing = list_folder(tmp_path / "photos", tmp_path / "groups.csv")
    report = import_listing(listing, tmp_path / "faces", size=12)
    store = open_store(tmp_path / "faces")
    assert store.pixels.shape == (18, 12, 12, 3) and not report.unreadable
    assert store.manifest.columns["path"][3] == "p1/0.png" and store.manifest.columns["age"][3] == "1"
    with Image.open(tmp_path / "photos/p1/0.png") as image:
        assert np.array_equal(store.pixels[3], square(image, 12))
    again = import_listing(listing, tmp_path / "again", size=12).store
    assert again.fingerprint == store.fingerprint
    assert import_listing(listing, tmp_path / "b", size=13).store.fingerprint != store.fingerprint


def test_unreadable_images_are_listed_and_too_many_stop_the_import(tmp_path):
    save_people(tmp_path / "photos")
    (tmp_path / "photos/p2/1.png").write_bytes(b"")
    (tmp_path / "photos/p3/0.png").write_text("no image")
    truncated = tmp_path / "photos/p4/0.png"
    truncated.write_bytes(truncated.read_bytes()[:200])
    listing = list_folder(tmp_path / "photos")
    report = import_listing(listing, tmp_path / "faces", size=12, max_unreadable=0.2)
    assert [name for name, _ in report.unreadable] == ["p2/1.png", "p3/0.png", "p4/0.png"]
    assert [reason for _, reason in report.unreadable][:2] == [
        "empty file",
        "no image that Pillow reads; save it as JPEG or PNG",
    ]
    store = open_store(tmp_path / "faces")
    assert len(store.manifest) == len(store.pixels) == 15 and "p2/1.png" not in store.manifest.columns["path"]
    with pytest.raises(
        ValueError,
        match=r"3 of 18 images .* 0.1: \S*p2/1.png \(empty file\), \S*p3/0.png \(no image that .*\), \S*p4/0.png \(",
    ):
        import_listing(listing, tmp_path / "faces2", size=12, max_unreadable=0.1)
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
        read_manifest(tmp_path / "none.csv")
