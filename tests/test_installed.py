"""Tests run on the installed package, and refuse to where that is not this tree's."""

import importlib.machinery
import importlib.util
import shutil

import pytest

from tests.support.installed import FOLDERS, differences, refusal


@pytest.fixture
def tree(tmp_path):
    """A tree in small, and a copy of it as it would be installed."""
    root, package = tmp_path / "tree", tmp_path / "site/dualfair"
    for name, folder in FOLDERS.items():
        (root / folder / "inner").mkdir(parents=True)
        for file in ("__init__.py", "inner/module.py", "inner/data.toml", "notes.txt"):
            (root / folder / file).write_text(f"{folder} {file}")
        shutil.copytree(root / folder, package / name, dirs_exist_ok=True)
    return root, package


def test_an_equal_copy_does(tree):
    assert differences(*tree) == []


@pytest.mark.parametrize("file", ["tools/__init__.py", "supernet/inner/module.py", "evolution/inner/data.toml"])
def test_a_changed_or_missing_file_is_named(tree, file):
    root, package = tree
    (root / file).write_text("changed")
    assert differences(root, package) == [file]
    (root / file).with_name("new.py").write_text("")
    assert len(differences(root, package)) == 2


def test_another_installed_copy_is_refused_with_what_to_do(tree, monkeypatch):
    root, package = tree

    def of(origin):
        spec = importlib.machinery.ModuleSpec("dualfair", None, origin=str(origin))
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)

    of(package / "__init__.py")
    assert refusal(root) == ""
    (root / "evaluation/__init__.py").write_text("changed")
    assert refusal(root) == (
        "the installed dualfair differs from this tree in 1 files (first evaluation/__init__.py): "
        "run python -m pip install . again"
    )
    of(root / "tools/__init__.py")
    assert refusal(root) == "", "an editable installation is the tree"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert refusal(root).startswith("dualfair is not installed")
