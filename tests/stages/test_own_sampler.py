"""A sampler of the user's own: the example of the guide trains and continues; a wrong one is refused."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

GUIDE = Path(__file__).parents[2] / "tools/guides/own_sampler.py"
TRAIN = ("train", "--faces", "faces", "--size", 32, "--epochs", 1, "--batch", 16, "--checkpoint-every", 0)


@pytest.fixture
def folder(tmp_path, monkeypatch, dualfair):
    """A current folder with generated faces and the example, which is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(GUIDE, tmp_path)
    made = dualfair("faces", "synth", "--out", "faces", "--identities", 24, "--images", 4, "--size", 32)
    assert made.status == 0, made.err
    yield tmp_path
    for name in ("own_sampler", "wrong_sampler"):
        sys.modules.pop(name, None)


def weights(run):
    return torch.load(max(Path(run, "train").glob("*.pt")), weights_only=True)["network"]


@pytest.mark.slow
def test_the_example_of_the_guide_trains_and_continues(folder, dualfair):
    trained = dualfair(*TRAIN, "--out", "run", "--sampler", "own_sampler:Padded")
    assert trained.status == 0, trained.err
    assert "steps of 9 paths x 16 images (own_sampler:Padded)" in trained.out
    # Nine operations are dealt as strictly as ever, three heads are padded with random repeats.
    assert "Every operation got exactly" in trained.out and "heads: arcface 15, cosface 15" not in trained.out
    assert json.loads(Path("run/train/config.json").read_text())["sampler"] == "own_sampler:Padded"
    steps = sorted(Path("run/train").glob("*.pt"))
    assert len(steps) > 1
    whole = weights("run")
    for newest in (steps[-1], steps[-1].with_suffix(".json")):
        newest.unlink()
    again = dualfair(*TRAIN, "--out", "run", "--sampler", "own_sampler:Padded")
    assert again.status == 0 and "continuing" in again.out
    continued = weights("run")
    assert all(torch.equal(value, continued[name]) for name, value in whole.items())


@pytest.mark.parametrize(
    ("sampler", "refusal"),
    [
        ("fair", "unknown sampler 'fair'; choose from strict, sequential, uniform, or give module:object"),
        ("wrong_sampler:Short", "sampler 'wrong_sampler:Short': deal must give whole numbers of shape (9, 9)"),
        ("wrong_sampler:NUMBER", "sampler 'wrong_sampler:NUMBER': trying it failed: TypeError"),
    ],
)
def test_a_wrong_sampler_is_refused_before_anything_is_made(folder, dualfair, sampler, refusal):
    Path("wrong_sampler.py").write_text(
        "from own_sampler import Padded\nNUMBER = 3\n\n\nclass Short(Padded):\n"
        "    def deal(self):\n        return super().deal()[:-1]\n"
    )
    for words in (
        (*TRAIN, "--out", "run"),
        ("plan", "--image-count", 90, "--identity-count", 9, "--validation-images", 30),
    ):
        refused = dualfair(*words, "--sampler", sampler)
        assert refused.status == 2 and refusal in refused.err and refused.err.count("\n") == 1, refused.err
    assert not Path("run/train").exists()


def test_choices_that_a_sampler_never_deals_are_counted(folder, dualfair):
    Path("wrong_sampler.py").write_text(
        "import numpy as np\nfrom own_sampler import Padded\n\n\nclass First(Padded):\n"
        "    def deal(self):\n        return np.zeros_like(super().deal())\n"
    )
    trained = dualfair(*TRAIN, "--out", "first", "--sampler", "wrong_sampler:First")
    assert trained.status == 0, trained.err
    assert "Every operation got 0 to 27 updates; heads: arcface 27, cosface 0, magface 0" in trained.out
