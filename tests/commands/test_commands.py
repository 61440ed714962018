"""Commands and their errors: one clear line, exit status 2, nothing lost."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualfair.__main__ import COMMANDS
from dualfair.runs.architectures import open_skeleton
from dualfair.runs.config import build_configs, presets
from dualfair.runs.options import ProtocolOptions, RetrainOptions, SearchOptions, TrainOptions
from dualfair.supernet.training.recipe import Recipe

EPOCHS = {"celeba": 100, "celeba-published": 100, "vggface2": 20, "vggface2-published": 10}
"""Of standalone trainings by the presets of the published study."""
GUIDES = Path(__file__).parents[2] / "tools/guides"


def save_people(root, people=12, images=4, size=40):
    rng = np.random.default_rng(0)
    for person in range(people):
        (root / f"p{person:02d}").mkdir(parents=True)
        for number in range(images):
            pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"p{person:02d}" / f"{number}.png")
    rows = "".join(f"p{person:02d},{'ab'[person % 2]}\n" for person in range(people))
    (root.parent / "groups.csv").write_text("identity,group\n" + rows)


def test_help_answers_at_once_and_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys; sys.argv = ['dualfair', '--help']\n"
        "from dualfair.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'matplotlib', 'timm', 'pymoo', 'scipy'} & set(sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert all(name in shown.stdout for name in COMMANDS)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_real_bash_completes_commands_and_options_as_the_guide_says(tmp_path):
    start = "import sys; sys.argv[0] = 'dualfair'; from dualfair.__main__ import main; main()"
    program = tmp_path / "dualfair"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{start}" "$@"\n')
    program.chmod(0o755)
    (line,) = re.findall(r"^(eval .*bash_source.*?\S) *#", (GUIDES / "troubleshooting.md").read_text(), re.M)
    asks = [line]
    for words in ("dualfair tr", "dualfair train --sp"):
        asks += [
            f"COMPREPLY=() COMP_WORDS=({words})",
            f"COMP_CWORD={words.count(' ')}",
            "_dualfair_completion dualfair",
        ]
        asks += ['echo "${COMPREPLY[@]}"']
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(["bash", "-c", "\n".join(asks)], env=environment, capture_output=True, text=True)
    assert run.stderr == "" and run.stdout.splitlines() == ["train transfer", "--space --split --split-seed"]


@pytest.mark.parametrize(
    "command", [*COMMANDS, "faces synth", "faces import", "faces import folder", "faces import csv"]
)
def test_every_command_has_help(dualfair, command):
    started = time.perf_counter()
    shown = dualfair(*command.split(), "--help")
    assert shown.status == 0 and "Usage: dualfair" in shown.out
    assert time.perf_counter() - started < 30


@pytest.mark.parametrize("command", ["train", "plan", "study", "evaluate"])
def test_a_set_of_either_kind_goes_by_either_name(dualfair, command):
    shown = " ".join(dualfair(command, "--help").out.split())
    assert "--faces, --images PATH A folder of faces or of labelled images." in shown


def test_images_name_the_same_as_faces(dualfair, tmp_path):
    by_name = [
        dualfair("train", name, tmp_path / "none", "--out", tmp_path / "run") for name in ("--faces", "--images")
    ]
    assert by_name[0] == by_name[1] and f"{tmp_path / 'none'} is no" in by_name[0].err


def test_every_field_of_a_configuration_is_an_option_and_documented(dualfair):
    shown = " ".join(dualfair("train", "--help").out.split())
    for config in (Recipe, TrainOptions):
        for name in config.__dataclass_fields__:
            assert f"--{name.replace('_', '-')}" in shown, name


def test_the_command_line_wins_over_a_preset_and_a_preset_over_defaults(tmp_path):
    preset = tmp_path / "preset.toml"
    preset.write_text('lr = 1\nepochs = 7.5\nspace = "dpn729"\nflip = false\n')
    options, recipe = build_configs(
        {"lr": 0.3, "epochs": None, "seed": 4}, str(preset), TrainOptions, Recipe, stage="train"
    )
    assert (recipe.lr, recipe.epochs, recipe.flip, recipe.batch) == (0.3, 7.5, False, Recipe().batch)
    assert (options.space, options.seed) == ("dpn729", 4)


def test_a_preset_has_a_table_for_every_stage(tmp_path):
    preset = tmp_path / "preset.toml"
    preset.write_text("batch = 8\n[train]\nepochs = 3.0\n[retrain]\nepochs = 5.0\nseeds = 4\n")
    _, recipe = build_configs({}, str(preset), TrainOptions, Recipe, stage="train")
    assert (recipe.epochs, recipe.batch) == (3.0, 8)
    options, recipe = build_configs({}, str(preset), RetrainOptions, Recipe, stage="retrain", defaults={"lr": 0.3})
    assert (recipe.epochs, recipe.batch, recipe.lr, options.seeds) == (5.0, 8, 0.3, 4)


def test_a_preset_may_still_say_amp(tmp_path):
    preset = tmp_path / "preset.toml"
    preset.write_text("amp = true\n[train]\namp = false\n")
    (train,) = build_configs({}, str(preset), Recipe, stage="train")
    (retrain,) = build_configs({}, str(preset), Recipe, stage="retrain")
    assert (train.train_precision, retrain.train_precision) == ("tf32", "bf16")


@pytest.mark.parametrize(
    "name", ["celeba", "celeba-published", "vggface2", "vggface2-published", "fairnas", "faces-demo"]
)
def test_the_presets_that_come_along_fit_all_stages(name):
    options, recipe = build_configs({}, name, TrainOptions, Recipe, stage="train")
    retrain, standalone = build_configs({}, name, RetrainOptions, Recipe, stage="retrain")
    search, protocol_options = build_configs({}, name, SearchOptions, ProtocolOptions, stage="search")
    assert name in presets()
    if name == "faces-demo":
        assert (options.space, options.size, recipe.epochs, standalone.epochs) == ("dpn81-shared", 32, 18.0, 12.0)
        assert (search.population, search.generations, protocol_options.calibrate, retrain.seeds) == (20, 6, 400, 2)
    elif name == "fairnas":
        assert (options.skeleton, recipe.shared_gradients, retrain.controls) == ("fairnas", "sum", 13)
        assert (search.population, search.generations, protocol_options.objectives) == (64, 200, "error,macs,params")
    else:
        assert (options.skeleton, recipe.loss, recipe.scale) == ("paper", "focal", 64.0)
        assert (standalone.epochs, retrain.seeds, search.population) == (EPOCHS[name], 4, 64)
        published = ("linear1000", 256, 224, 20) if name.endswith("published") else ("", 0, 0, 35)
        penalty = round(35 * recipe.penalty_of("magface"), 3)
        assert (options.neck, options.crop_from, options.size, penalty) == published
        # What the head says is typed, its numbers are in it.
        setting = open_skeleton("paper", "", options.size, "", options.neck, options.crop_from)
        assert setting.stored_size == (256 if name.endswith("published") else 112)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[trian]\nlr = 1.0", "unknown option 'trian'"),
        ("[train]\nseeds = 3", "unknown option 'seeds'; known: space, skeleton"),
        ("learning_rate = 1.0", "unknown option 'learning_rate'; known: space, skeleton"),
        ('lr = "fast"', "lr must be a float, got 'fast'"),
        ("batch = 6.5", "batch must be a int, got 6.5"),
        ("amp = 1", "unknown option 'amp'"),
        ("flip = 1", "flip must be a bool, got 1"),
        ("lr = ", "is not TOML"),
    ],
)
def test_a_bad_preset_is_refused(dualfair, tmp_path, text, said):
    (tmp_path / "p.toml").write_text(text)
    result = dualfair("train", "--faces", tmp_path, "--out", tmp_path / "r", "--preset", tmp_path / "p.toml")
    assert result.status == 2 and said in result.err and "Traceback" not in result.err


def test_a_folder_of_photos_is_imported(dualfair, tmp_path):
    save_people(tmp_path / "photos")
    (tmp_path / "photos/p03/1.png").write_bytes(b"")
    made = dualfair("faces", "import", "folder", tmp_path / "photos", "--groups", tmp_path / "groups.csv",
                    "--out", tmp_path / "faces", "--size", 32, "--max-unreadable", 0.05)  # fmt: skip
    assert made.status == 0, made.err
    assert "47 images of 12 people at 32 px" in made.out and "people by group: a 6, b 6" in made.out
    assert "Left out: p03/1.png (empty file)" in made.err


def test_a_csv_beside_the_images_is_imported(dualfair, tmp_path):
    save_people(tmp_path / "photos")
    rows = [f"photos/p{p:02d}/{i}.png,p{p:02d},{'ab'[p % 2]},{20 + p}" for p in range(12) for i in range(4)]
    (tmp_path / "metadata.csv").write_text("\n".join(["path,identity,sex,age", *rows]) + "\n")
    made = dualfair("faces", "import", "csv", tmp_path / "metadata.csv", "--out", tmp_path / "faces", "--size", 32)
    assert made.status == 0 and "use --group-column with one of: sex, age" in made.out
    missing = dualfair("train", "--faces", tmp_path / "faces", "--out", tmp_path / "run", "--size", 32)
    assert missing.status == 2 and "unknown group column 'group'; the manifest has: sex, age" in missing.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "--faces", "{tmp}/none", "--out", "{tmp}/r"), "is no faces folder"),
        (
            ("train", "--faces", "{faces}", "--out", "{tmp}/r", "--space", "dpn9"),
            "unknown space 'dpn9'; choose from dpn81",
        ),
        (("train", "--faces", "{faces}", "--out", "{tmp}/r", "--space", "nomodule:x"), "No module named 'nomodule'"),
        (
            ("train", "--faces", "{faces}", "--out", "{tmp}/r", "--skeleton", "big"),
            "unknown skeleton 'big'; choose from nano",
        ),
        (("train", "--faces", "{faces}", "--out", "{tmp}/r", "--blocks", "1-1"), "blocks has 2 entries; expected 4"),
        (("train", "--faces", "{faces}", "--out", "{tmp}/r", "--blocks", "a"), "blocks must be numbers joined by '-'"),
        (
            ("train", "--faces", "{faces}", "--out", "{tmp}/r", "--size", "64"),
            "stored at 32 px, the network takes 64 px",
        ),
        (
            ("train", "--faces", "{faces}", "--out", "{tmp}/r", "--sampler", "fair", "--size", "32"),
            "unknown sampler 'fair'",
        ),
        (
            ("train", "--faces", "{faces}", "--out", "{tmp}/r", "--split", "0.5,0.5", "--size", "32"),
            "split fractions must be three",
        ),
        (("train", "--faces", "{faces}", "--out", "{tmp}/r", "--lr", "0"), "lr must be above 0, got 0.0"),
        (("train", "--faces", "{faces}", "--out", "{tmp}/r", "--device", "tpu"), "unknown device 'tpu'"),
        (("search", "--run", "{tmp}/none"), "none; run 'dualfair train' first"),
        (("search", "--run", "{tmp}/none", "--objectives", "error,x:y"), "there is no run directory"),
        (("retrain", "--run", "{tmp}/none"), "there is no run directory"),
        (("correlate", "--run", "{tmp}/none"), "there is no run directory"),
        (("show", "1x1:cosface"), "block 1 is '1x1'"),
        (("show", "101"), "needs a head: one of arcface, cosface, magface"),
        (("show", "109:cosface"), "block 1, position 3 has code 9; allowed: 0 to 8"),
        (("faces", "import", "folder", "{tmp}/none", "--out", "{tmp}/f"), "there is no folder"),
        (("faces", "import", "csv", "{tmp}/none.csv", "--out", "{tmp}/f"), "there is no such file"),
        (("faces", "synth", "--out", "{tmp}/f", "--bias", "2"), "bias"),
        (("faces", "synth", "--out", "{tmp}/f", "--identities", "0"), "identities"),
    ],
)
def test_a_users_mistake_gets_one_clear_line(dualfair, small_faces, tmp_path, words, said):
    result = dualfair(*(word.format(tmp=tmp_path, faces=small_faces) for word in words))
    assert result.status == 2
    assert said in result.err
    assert result.err.startswith("Error: ") and result.err.count("\n") == 1


@pytest.fixture(scope="module")
def small_faces(tmp_path_factory):
    from dualfair.stages.faces import generate
    from dualfair.supernet.images.synthetic.people import SyntheticFaces

    folder = tmp_path_factory.mktemp("small") / "faces"
    generate(SyntheticFaces(identities=20, images=4, size=32), folder)
    return folder


def test_an_unfinished_training_is_named(dualfair, small_faces, tmp_path, about):
    from dualfair.supernet.training.checkpoint import checkpoints, load_checkpoint, save_checkpoint

    run = tmp_path / "run"
    made = dualfair("train", "--faces", small_faces, "--out", run, "--size", 32, "--epochs", 1, "--batch", 16)
    assert made.status == 0, made.err
    newest = checkpoints(run / "train")[-1]
    state = load_checkpoint(newest)
    newest.unlink()
    save_checkpoint(run / "train", {**state, "step": 1}, **about(1, 3))
    result = dualfair("search", "--run", run)
    assert result.status == 2 and "is at step 1 of 3; run the same 'dualfair train' command again" in result.err


def test_a_space_of_ones_own_from_a_module(dualfair, small_faces, tmp_path, monkeypatch):
    (tmp_path / "myspace.py").write_text(
        "from dualfair.supernet.space import ChoiceBlock, SearchSpace\n"
        "def genes(block): return tuple((block, position) for position in range(3))\n"
        "space = SearchSpace([*(ChoiceBlock(f'block{b + 1}', ('pre3', 'post3'), genes(b), codes=(0, 6))\n"
        "                       for b in range(4)), ChoiceBlock('head', ('cosface',))], name='mine')\n"
        "wrong = SearchSpace([ChoiceBlock('a', ('x', 'y'))])\n"
        "def gap(ranks, groups): return float(abs(ranks[groups == 'a'].mean() - ranks[groups == 'b'].mean()))\n"
    )
    monkeypatch.chdir(tmp_path)
    made = dualfair("train", "--faces", small_faces, "--out", "run", "--size", 32, "--epochs", 1, "--batch", 16,
                    "--space", "myspace:space")  # fmt: skip
    assert made.status == 0, made.err
    assert "space mine of 16 networks" in made.out and "3 steps of 2 paths" in made.out
    found = dualfair("search", "--run", "run", "--exhaustive", "--objectives", "error,myspace:gap")
    assert "16 genotypes, 0 of them known before" in found.out, found.err
    wrong = dualfair("train", "--faces", small_faces, "--out", "other", "--size", 32, "--space", "myspace:wrong")
    assert wrong.status == 2 and "has 1 blocks and 0 heads; the skeleton has 4 blocks" in wrong.err


def test_show_describes_a_network(dualfair):
    shown = dualfair("show", "101:cosface", "--skeleton", "paper")
    assert shown.status == 0
    assert "101-101-101-101:cosface  on skeleton paper, 112 px, head cosface" in shown.out
    assert "pre1 pre3 pre1" in shown.out and "13,054,288 parameters" in shown.out
    assert "in the spaces: dpn81, dpn81-shared, dpn729, dpn729-shared" in shown.out
