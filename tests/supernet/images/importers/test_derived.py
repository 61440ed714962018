"""Sets made of imported ones: an attribute as the label, and classes that go with a group."""

import numpy as np
import pytest
from PIL import Image

from dualfair.supernet.images.importers.derived import skewed
from dualfair.supernet.images.store import open_store


@pytest.fixture
def stored(tmp_path, dualfair):
    """Forty images of each of three classes with an attribute, of which 20 are for training."""
    rng = np.random.default_rng(0)
    names, rows = ["cat", "dog", "ship"], []
    (tmp_path / "src").mkdir()
    for number in range(120):
        split = ("train", "train", "validation", "test")[number // 3 % 4]
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"src/{number}.png")
        rows.append(f"{number}.png,{names[number % 3]},{split},{'yes' if number % 2 else 'no'}")
    (tmp_path / "src/table.csv").write_text("\n".join(["path,label,split,hat", *rows]) + "\n")
    words = ("images", "import", "csv", tmp_path / "src/table.csv", "--out", tmp_path / "set", "--size", 16)
    assert dualfair(*words).status == 0
    return tmp_path / "set"


def test_classes_go_with_colour_for_training_and_come_twice_for_judging(stored, tmp_path, dualfair):
    words = ("images", "import", "skewed", stored, "--classes", "cat,ship", "--share", 0.8, "--out", tmp_path / "out")
    result = dualfair(*words)
    assert result.status == 0, result.err
    before, store = open_store(stored), open_store(tmp_path / "out")
    of = {name: store.manifest.column(name) for name in ("label", "split", "group", "path", "hat")}
    for label, colour in (("cat", 16), ("ship", 16), ("dog", 4)):
        training = (of["label"] == label) & (of["split"] == "train")
        assert np.count_nonzero(training) == 20 and np.count_nonzero(training & (of["group"] == "colour")) == colour
    place = {path: row for row, path in enumerate(before.manifest.column("path").tolist())}
    seen = {}
    for row, path in enumerate(of["path"].tolist()):
        name, _, group = path.rpartition("-")
        assert store.manifest.column("identity")[row] == name
        original = np.asarray(before.pixels[place[name]])
        grey = np.rint(original @ [0.299, 0.587, 0.114]).astype(np.uint8)
        expected = original if group == "colour" else np.stack([grey] * 3, axis=2)
        assert group == of["group"][row] and np.array_equal(store.pixels[row], expected)
        seen.setdefault(of["split"][row], []).append(name)
    assert len(seen["train"]) == len({*seen["train"]}) == 60
    for split in ("validation", "test"):
        assert len(seen[split]) == 60 and len({*seen[split]}) == 30
    assert "0.8 of the training images are in colour" in " ".join(store.origin["notes"])


def test_an_attribute_becomes_the_label_and_all_else_stays(stored, tmp_path, dualfair):
    result = dualfair("images", "import", "attribute", stored, "--label", "hat", "--out", tmp_path / "out")
    assert result.status == 0, result.err
    before, store = open_store(stored), open_store(tmp_path / "out")
    assert store.manifest.columns["label"] == before.manifest.columns["hat"] == store.manifest.columns["hat"]
    assert store.manifest.columns["split"] == before.manifest.columns["split"]
    assert np.array_equal(store.pixels, before.pixels) and store.task == "classification"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("skewed", "--classes", "cow"), "has no class 'cow'; it has cat, dog, ship"),
        (("skewed", "--classes", "cat,dog,ship"), "classes must name some of cat, dog, ship, not all and not none"),
        (("skewed", "--classes", ""), "not all and not none"),
        (("skewed", "--classes", "cat", "--share", 0.5), "share must be above 0.5 and below 1, got 0.5"),
        (("attribute", "--label", "tie"), "has no column 'tie'; it has: path, label, split, hat"),
    ],
)
def test_what_makes_no_set_is_refused_in_a_line(stored, tmp_path, dualfair, words, line):
    name, *options = words
    result = dualfair("images", "import", name, stored, *options, "--out", tmp_path / "out")
    assert result.status == 2 and line in result.err, result.err


def test_images_without_splits_are_not_skewed(tmp_path, dualfair):
    assert (
        dualfair("faces", "synth", "--identities", 4, "--images", 2, "--size", 16, "--out", tmp_path / "f").status == 0
    )
    with pytest.raises(ValueError, match="must hold labelled images with the column split"):
        skewed(tmp_path / "f", classes="a")
