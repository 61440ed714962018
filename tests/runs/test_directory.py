"""A run directory: what a stage was made with is kept, compared and read back."""

from dataclasses import dataclass, replace

import pytest

from dualfair.runs.directory import RunDirectory
from dualfair.runs.layout import RunLayout
from dualfair.runs.records.codec import Record
from dualfair.runs.training_results import read_result
from dualfair.supernet.space import dpn_space


@dataclass(frozen=True)
class Config(Record):
    lr: float
    blocks: tuple[int, ...]
    new: int | None = None


def test_a_stage_keeps_its_configuration_and_another_one_is_refused_with_the_difference(tmp_path):
    directory = RunDirectory(tmp_path)
    stage, config = directory.layout.train, Config(0.1, (1, 2))
    digest = directory.claim(stage, config)
    assert directory.claim(stage, Config(0.1, (1, 2))) == digest
    assert directory.config(stage, Config) == config
    with pytest.raises(ValueError, match=r"another configuration: lr = 0.1 there, 0.2 here; new = None there, 3 here"):
        directory.claim(stage, replace(config, lr=0.2, new=3))


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\x00"])
def test_a_damaged_configuration_is_named(tmp_path, text):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/config.json").write_text(text)
    directory = RunDirectory(tmp_path)
    for open_it in (directory.config, lambda stage, kind: directory.claim(stage, kind(0.1, ()))):
        with pytest.raises(ValueError, match=r"train/config.json is damaged .*; restore it, or use another directory"):
            open_it(directory.layout.train, Config)


def test_a_missing_stage_is_named(tmp_path):
    directory = RunDirectory(tmp_path)
    with pytest.raises(ValueError, match=r"has no stage 'search' yet; run 'dualfair search' first"):
        directory.config(directory.layout.search, Config)


def test_what_is_said_is_shown_and_kept_by_the_leading_rank_only(tmp_path):
    shown = []
    RunDirectory(tmp_path / "run", True, shown.append).say("a line")
    RunDirectory(tmp_path / "run", False, shown.append).say("not this one")
    assert shown == ["a line"] and (tmp_path / "run/log.txt").read_text() == "a line\n"


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
    path = RunLayout(tmp_path).trainings(stage).of_label("101-101:cosface", 0).result
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(ValueError, match=f"'genotype' is missing in it; delete it and run '{command}' again$"):
        read_result(path, dpn_space("dpn81", 2))
