"""Labelled images in arrays are read as they are, and hostile or damaged ones are refused in one line."""

import gzip
import io
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from dualfair.supernet.images.importers import packed_sets
from dualfair.supernet.images.importers.importing import import_listing
from dualfair.supernet.images.importers.labelled import with_validation
from dualfair.supernet.images.importers.packed_sets import cifar, idx, npz

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 10, 10, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (6, 9, 9), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def save_npz(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def jpegs(images):
    files = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return np.frombuffer(b"".join(files), np.uint8), np.cumsum([0, *map(len, files)])


def idx_bytes(array):
    kind = {3: 0x00000803, 1: 0x00000801}[array.ndim]
    return struct.pack(f">{1 + array.ndim}I", kind, *array.shape) + array.astype(np.uint8).tobytes()


def save_idx(folder, names=("train", "t10k"), end="", pack=lambda content: content):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}-images-idx3-ubyte{end}").write_bytes(pack(idx_bytes(GREY)))
        (folder / f"{name}-labels-idx1-ubyte{end}").write_bytes(pack(idx_bytes(LABELS)))
    return folder


def save_cifar(folder, hundred=False, images=2):
    folder.mkdir(exist_ok=True, parents=True)
    pixels = RNG.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    names = ["train.bin", "test.bin"] if hundred else [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]
    for name in names:
        records = [
            bytes([1, number % 2] if hundred else [number % 2]) + image.transpose(2, 0, 1).tobytes()
            for number, image in enumerate(pixels)
        ]
        (folder / name).write_bytes(b"".join(records))
    for name in ("coarse_label_names", "fine_label_names") if hundred else ("batches.meta",):
        (folder / f"{name}.txt").write_text("".join(f"{name[:6]} {number}\n" for number in range(3)) + "\n")
    return pixels


def stored(tmp_path, listing):
    return import_listing(listing, tmp_path / "out", size=listing.size).store


def test_arrays_are_stored_unchanged_at_their_own_size(tmp_path):
    extras = {"groups": np.array(list("abcabc")), "identities": np.arange(6)}
    listing = npz(save_npz(tmp_path / "a.npz", images=PIXELS, labels=LABELS, names=np.array(["x", "y", "z"]), **extras))
    store = stored(tmp_path, listing)
    assert np.array_equal(store.pixels, PIXELS) and store.task == "classification"
    assert store.manifest.columns == {
        "path": tuple("012345"), "label": tuple("xyzxyz"), "group": tuple("abcabc"), "identity": tuple("012345"),
    }  # fmt: skip


@pytest.mark.parametrize("shape", [(6, 9, 9), (6, 9, 9, 1)])
def test_grey_arrays_and_labels_in_words_are_read(tmp_path, shape):
    listing = npz(save_npz(tmp_path / "a.npz", images=GREY.reshape(shape), labels=np.array([b"cat", b"dog"] * 3)))
    assert np.array_equal(stored(tmp_path, listing).pixels, np.repeat(GREY[..., None], 3, axis=-1))
    assert listing.manifest.columns["label"] == ("cat", "dog") * 3


def test_files_in_an_array_are_decoded_and_a_damaged_one_is_named(tmp_path):
    blob, offsets = jpegs(PIXELS)
    blob = blob.copy()
    blob[offsets[2] : offsets[3]] = 0
    listing = npz(save_npz(tmp_path / "a.npz", jpeg=blob, offsets=offsets, labels=LABELS))
    report = import_listing(listing, tmp_path / "out", size=listing.size, max_unreadable=0.5)
    assert [path for path, _ in report.unreadable] == ["2"]
    assert np.array_equal(report.store.pixels, PIXELS[[0, 1, 3, 4, 5]])


def test_train_and_test_of_a_folder_are_splits_and_other_files_are_told(tmp_path):
    for name in ("train", "test"):
        save_npz(tmp_path / f"{name}.npz", images=PIXELS, labels=LABELS)
    (tmp_path / "README").write_text("x")
    listing = npz(tmp_path)
    assert listing.manifest.columns["split"] == ("train",) * 6 + ("test",) * 6
    assert listing.manifest.columns["path"][6:8] == ("test/0", "test/1")
    assert list(listing.skipped.values()) == [("README",)]
    save_npz(tmp_path / "test.npz", images=PIXELS[:, :9, :9], labels=LABELS)
    with pytest.raises(ValueError, match="train has label at 10 px, test has label at 9 px; parts of one set have the"):
        npz(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([None] * 6, dtype=object)}, "array labels holds Python objects, which only pickle reads"),
        ({"labels": LABELS[:5]}, "labels are (5,); expected (6,), as there are 6 images"),
        ({"labels": LABELS * 1.0}, "labels are float64; expected integers or strings"),
        ({"labels": np.array([0, 1, 3, 0, 0, 0])}, "image 2 has the label 3; the names are those of 0 to 2"),
        ({"labels": np.array([0, 1, -1, 0, 0, 0])}, "image 2 has the label -1"),
        ({"groups": np.arange(5)}, "groups are (5,); expected (6,)"),
        ({"images": PIXELS / 255}, "images are float64 (6, 10, 10, 3); expected uint8 (N, H, W)"),
        ({"images": PIXELS[..., :2]}, "images are uint8 (6, 10, 10, 2)"),
        ({"images": PIXELS[:, :4]}, "images of 4 x 10 px; expected sides of 8 to 8192"),
        ({"images": np.asfortranarray(PIXELS)}, "array images is stored by columns"),
        ({"images": None}, "expected the arrays labels and images, or labels, jpeg and offsets; it has: labels, names"),
        ({"images": None, "jpeg": LABELS.astype(np.uint8), "offsets": np.array([0, 5])}, "offsets do not rise from 0"),
        ({"images": None, "jpeg": LABELS.astype(np.uint8), "offsets": np.array([0, 6])}, "are (6,); expected (1,)"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(tmp_path, change, message):
    arrays = {"images": PIXELS, "labels": LABELS, "names": np.array(["x", "y", "z"]), **change}
    path = save_npz(tmp_path / "a.npz", **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: .*{re.escape(message)}"):
        npz(path)


def test_damaged_archives_are_refused(tmp_path):
    whole = save_npz(tmp_path / "a.npz", images=PIXELS, labels=LABELS).read_bytes()
    for content in (b"", b"no archive", whole[:-30]):
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"b\.npz: File is not a zip file"):
            npz(tmp_path / "b.npz")
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("labels.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': 'O'}")
    with pytest.raises(ValueError, match=r"c\.npz: "):
        npz(tmp_path / "c.npz")
    with pytest.raises(ValueError, match=r"is no \.npz file, nor a folder with train\.npz"):
        npz(tmp_path)


def test_an_array_that_promises_more_than_the_archive_has_is_refused(tmp_path):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 8, 8)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", head.getvalue() + b"1234")
    with pytest.raises(ValueError, match=r"array images should have 64,000,000,000,128 bytes and has 132"):
        npz(tmp_path / "a.npz")


def test_a_file_and_labels_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    blob, offsets = jpegs(PIXELS)
    path = save_npz(tmp_path / "a.npz", jpeg=blob, offsets=offsets, labels=LABELS)
    listing = npz(path)
    monkeypatch.setattr(packed_sets, "MOST_FILE_BYTES", 99)
    with pytest.raises(ValueError, match=r"\d+ bytes; expected 99 at most"):
        listing.open_image(1)
    monkeypatch.setattr(packed_sets, "MOST_LABEL_BYTES", 47)
    with pytest.raises(ValueError, match=r"are \(7,\) of int64; expected a list of numbers or short texts"):
        npz(path)


@pytest.mark.parametrize(("end", "pack"), [("", bytes), (".gz", gzip.compress)])
def test_idx_files_packed_or_not_are_stored_unchanged(tmp_path, end, pack):
    listing = idx(save_idx(tmp_path / "mnist", end=end, pack=pack))
    assert listing.manifest.columns["split"] == ("train",) * 6 + ("test",) * 6 and not listing.skipped
    assert listing.manifest.columns["label"] == tuple("012012") * 2
    assert np.array_equal(stored(tmp_path, listing).pixels[6:, ..., 1], GREY)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("images-idx3", idx_bytes(GREY)[:-1], "its head promises 6 images of 81 bytes; it is cut off, or longer"),
        ("images-idx3", idx_bytes(GREY) + b"0", "its head promises 6 images of 81 bytes; it is cut off, or longer"),
        ("images-idx3", b"", "no idx file of unsigned bytes in 3 dimensions: it begins with nothing"),
        ("images-idx3", b"\x89PNG" * 9, "it begins with 0x89504e47"),
        ("images-idx3", struct.pack(">4I", 0x803, 2**32 - 1, 2**13, 2**13), "it is cut off, or longer than that"),
        ("images-idx3", struct.pack(">4I", 0x803, 1, 2**31, 2**31), "images of 2147483648 x 2147483648 px"),
        ("labels-idx1", idx_bytes(LABELS[:5]), "5 labels for 6 images in train-images-idx3-ubyte"),
        ("labels-idx1", idx_bytes(LABELS)[:-1], "its head promises 6 labels; it is cut off"),
        ("labels-idx1", None, "train-labels-idx1-ubyte is missing"),
        ("images-idx3", None, "train-images-idx3-ubyte is missing"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, file, content, message):
    save_idx(tmp_path, names=("train",))
    path = tmp_path / f"train-{file}-ubyte"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        idx(tmp_path)


def test_a_packed_idx_file_that_is_cut_off_or_unpacks_to_too_much_is_refused_in_little_memory(tmp_path):
    save_idx(tmp_path, names=("train",), end=".gz", pack=gzip.compress)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: Compressed file ended"):
        idx(tmp_path)
    path.write_bytes(gzip.compress(idx_bytes(GREY) + bytes(2**27), 1))
    tracemalloc.start()
    with pytest.raises(ValueError, match="it is cut off, or longer than that"):
        idx(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_two_sets_of_idx_files_in_one_folder_are_refused(tmp_path):
    save_idx(tmp_path, names=("emnist-letters-train", "emnist-digits-train"))
    with pytest.raises(ValueError, match="holds several files of train images, emnist-letters-train-images"):
        idx(tmp_path)


def test_cifar_10_is_read_with_its_names(tmp_path):
    pixels = save_cifar(tmp_path / "in" / "cifar-10-batches-bin")
    listing = cifar(tmp_path / "in")
    assert listing.manifest.columns["label"] == ("batche 0", "batche 1") * 6
    assert listing.manifest.columns["split"] == ("train",) * 10 + ("test",) * 2
    assert np.array_equal(stored(tmp_path, listing).pixels, np.tile(pixels, (6, 1, 1, 1)))


def test_cifar_100_has_fine_classes_and_the_coarse_ones_beside_them(tmp_path):
    pixels = save_cifar(tmp_path / "in", hundred=True)
    listing = cifar(tmp_path / "in")
    assert listing.manifest.columns["label"] == ("fine_l 0", "fine_l 1") * 2
    assert listing.manifest.columns["superclass"] == ("coarse 1",) * 4
    assert np.array_equal(stored(tmp_path, listing).pixels, np.tile(pixels, (2, 1, 1, 1)))


def test_damaged_cifar_files_are_refused(tmp_path):
    save_cifar(tmp_path)
    batch = tmp_path / "data_batch_3.bin"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(
        ValueError, match=r"data_batch_3\.bin: 6,145 bytes are no whole number of images of 3,073 bytes"
    ):
        cifar(tmp_path)
    batch.write_bytes(bytes([7]) * 3073)
    with pytest.raises(ValueError, match=r"data_batch_3\.bin: image 0 has the label 7; the names are those of 0 to 2"):
        cifar(tmp_path)
    batch.unlink()
    with pytest.raises(ValueError, match=r"^data_batch_3\.bin is missing in .*; unpack the archive again"):
        cifar(tmp_path)
    (tmp_path / "py").mkdir()
    (tmp_path / "py" / "data_batch_1").write_bytes(b"")
    with pytest.raises(ValueError, match="this is the one for Python, which is pickled and not read"):
        cifar(tmp_path / "py")


def test_validation_is_a_share_of_every_class_of_the_training_images(tmp_path):
    for name in ("train", "test"):
        save_npz(tmp_path / f"{name}.npz", images=np.tile(PIXELS, (10, 1, 1, 1)), labels=np.tile(LABELS, 10))
    listing = with_validation(npz(tmp_path), 0.25, seed=0)
    split, label = (np.array(listing.manifest.columns[name]) for name in ("split", "label"))
    assert [np.count_nonzero(label[split == "validation"] == name) for name in "012"] == [5, 5, 5]
    assert (split[60:] == "test").all()
    assert listing.notes == (
        "the set has train and test only: 15 of 60 training images are validation, drawn by class with seed 0",
    )
    again, other = (with_validation(npz(tmp_path), 0.25, seed).manifest.columns["split"] for seed in (0, 1))
    assert again == tuple(split) != other
    assert with_validation(listing, 0.25, seed=0) is listing
    with pytest.raises(ValueError, match="share of training images for validation must be above 0 and below 1, got 1"):
        with_validation(listing, 1, seed=0)
