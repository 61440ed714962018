"""A run directory: what a stage was made with is kept, compared and read back; what is said is kept."""

import json
import shlex
import sys
from dataclasses import replace

import pytest

from dualfair.runs.directory import RecordedCommand, RunDirectory
from dualfair.runs.options import ProtocolOptions
from dualfair.runs.records.search import SearchConfig
from dualfair.runs.records.training import RetrainConfig
from dualfair.supernet.training.recipe import Recipe

CONFIG = RetrainConfig(recipe=Recipe(lr=0.1), protocol=ProtocolOptions(), weights="w")


def test_a_stage_keeps_its_configuration_and_another_one_is_refused_with_the_difference(tmp_path):
    directory = RunDirectory(tmp_path)
    stage = directory.layout.retrain
    digest = directory.claim(stage, CONFIG)
    assert (
        directory.claim(stage, replace(CONFIG))
        == digest
        != directory.claim(directory.layout.short, other := replace(CONFIG, weights="v"))
    )
    assert (
        directory.config(stage, RetrainConfig) == CONFIG
        and directory.config(directory.layout.short, RetrainConfig) == other
    )
    changed = replace(CONFIG, recipe=Recipe(lr=0.2), seeds_from=3)
    with pytest.raises(ValueError) as error:
        directory.claim(stage, changed)
    assert str(error.value) == (
        f"{stage.folder} was made with another configuration: lr = 0.1 there, 0.2 here; seeds from = not given "
        "there, 3 here. Use another directory"
    )
    assert directory.config(stage, RetrainConfig) == CONFIG


def test_a_configuration_is_the_same_whatever_the_order_of_its_keys(tmp_path):
    directory = RunDirectory(tmp_path)
    stage = directory.layout.retrain
    digest = directory.claim(stage, CONFIG)
    kept = json.loads(stage.config.read_text())
    stage.config.write_text(json.dumps(dict(reversed(kept.items()))))
    assert directory.claim(stage, CONFIG) == digest


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\x00"])
def test_a_damaged_configuration_is_named(tmp_path, text):
    directory = RunDirectory(tmp_path)
    stage = directory.layout.retrain
    directory.make(stage)
    stage.config.write_text(text)
    message = r"retrain/config.json is damaged .*; restore it, or use another directory"
    with pytest.raises(ValueError, match=message):
        directory.config(stage, RetrainConfig)
    with pytest.raises(ValueError, match=message):
        directory.claim(stage, CONFIG)


def test_a_missing_stage_is_named(tmp_path):
    directory = RunDirectory(tmp_path)
    with pytest.raises(ValueError, match=r"has no stage 'search' yet; run 'dualfair search' first"):
        directory.config(directory.layout.search, SearchConfig)


def test_the_one_who_locks_finds_no_temporary_files_of_the_dead(tmp_path):
    folders = ["search", "short", "studies"]
    for folder in (*folders, "studies/worth"):
        (tmp_path / folder).mkdir()
    for name in ("log.txt.tmp", "search/front.csv.tmp", "short/config.json.tmp", "studies/worth/hypervolume.csv.tmp"):
        (tmp_path / name).write_text("half")
    with RunDirectory(tmp_path).locked():
        assert sorted(path.name for path in tmp_path.rglob("*")) == [
            "lock.json", "search", "short", "studies", "worth",
        ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == folders


def test_a_directory_that_is_not_there_is_an_error_unless_it_is_to_be_made(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    with (
        pytest.raises(ValueError, match=r"there is no run directory .*run; run 'dualfair train' first"),
        directory.locked(),
    ):
        pass
    with directory.locked(make=True):
        assert directory.layout.lock.is_file()


def test_lines_go_to_the_log_and_to_whoever_listens(tmp_path):
    heard = []
    directory = RunDirectory(tmp_path / "run", show=heard.append)
    directory.say("first")
    directory.say("second")
    assert heard == ["first", "second"] == directory.layout.log.read_text().splitlines()


def test_a_rank_that_does_not_lead_writes_and_says_nothing(tmp_path):
    heard = []
    directory = RunDirectory(tmp_path / "run", leads=False, show=heard.append)
    stage = directory.layout.retrain
    leading = RunDirectory(tmp_path / "other")
    assert directory.claim(stage, CONFIG) == leading.claim(leading.layout.retrain, CONFIG)
    directory.record_command(stage, "cpu")
    directory.say("hello")
    assert not heard and not (tmp_path / "run").exists()


def test_commands_are_kept_as_typed_with_versions_and_device(tmp_path, monkeypatch):
    directory = RunDirectory(tmp_path)
    words = ["retrain", "--run", "a folder", "--seeds", "2"]
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["/usr/bin/dualfair", *words])
        directory.record_command(directory.layout.retrain, "cpu, 2 threads")
    first, _ = map(json.loads, directory.layout.retrain.commands.read_text().splitlines())
    assert shlex.split(first["command"]) == ["dualfair", *words] and first["device"] == "cpu, 2 threads"
    assert {"time", "python", "torch", "timm", "numpy", "pymoo"} <= set(first)
    assert RecordedCommand.from_json(first).to_json() == first
