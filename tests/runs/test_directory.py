"""A run directory: what a stage was made with is kept, compared and read back."""

import pytest

from dualfair.runs.directory import RunDirectory
from dualfair.runs.trainings import read_result
from dualfair.supernet.space import dpn_space


def test_a_stage_keeps_its_configuration_and_another_one_is_refused_with_the_difference(tmp_path):
    directory = RunDirectory(tmp_path)
    digest = directory.claim("train", {"lr": 0.1, "blocks": (1, 2)})
    assert directory.claim("train", {"blocks": [1, 2], "lr": 0.1}) == digest
    assert directory.config("train") == {"lr": 0.1, "blocks": [1, 2]}
    with pytest.raises(ValueError, match=r"another configuration: lr = 0.1 there, 0.2 here; new = None there, 3 here"):
        directory.claim("train", {"lr": 0.2, "blocks": [1, 2], "new": 3})


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\x00"])
def test_a_damaged_configuration_is_named(tmp_path, text):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/config.json").write_text(text)
    with pytest.raises(ValueError, match=r"train/config.json is damaged .*; restore it, or use another directory"):
        RunDirectory(tmp_path).config("train")


def test_a_missing_stage_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no stage 'search' yet; run 'dualfair search' first"):
        RunDirectory(tmp_path).config("search")


def test_the_one_who_locks_finds_no_temporary_files_of_the_dead(tmp_path):
    folders = ["compare", "search", "short"]
    for folder in folders:
        (tmp_path / folder).mkdir()
    for name in ("log.txt.tmp", "search/front.csv.tmp", "short/config.json.tmp", "compare/hypervolume.csv.tmp"):
        (tmp_path / name).write_text("half")
    with RunDirectory(tmp_path).locked():
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["compare", "lock.json", "search", "short"]
    assert sorted(path.name for path in tmp_path.iterdir()) == folders


@pytest.mark.parametrize(("stage", "command"), [("retrain", "dualfair retrain"), ("short", "dualfair retrain --short")])
def test_a_damaged_result_names_the_command_that_makes_it_again(tmp_path, stage, command):
    path = tmp_path / stage / "101-101_cosface/seed-0/result.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(ValueError, match=f"'genotype' is missing in it; delete it and run '{command}' again$"):
        read_result(path, dpn_space("dpn81", 2))
