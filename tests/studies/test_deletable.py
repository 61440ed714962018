"""Any study can be deleted: its folder, its command and its row in the table of commands. The rest still works."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUDIES = {
    "compare.py": "compare",
    "baselines.py": "shelf",
    "tune": "tune",
    "transfer": "transfer",
    "supernets": "study",
    "quantise": "quantise",
    "repair": "repair",
    "demo.py": "demo",
}
"""The folder or file of every study, and its command."""
WALK = """
import importlib, pkgutil, dualfair
for module in pkgutil.walk_packages(dualfair.__path__, "dualfair."):
    importlib.import_module(module.name)
from dualfair.__main__ import main
main()
"""


def test_every_study_is_named_here():
    there = {path.name for path in (ROOT / "tools/studies").iterdir() if not path.name.startswith("__")}
    assert there == set(STUDIES)


def without_row(source, command):
    """The source of `__main__` without a command's row in its table."""
    [table] = [
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "COMMANDS"
    ]
    [row] = [pair for pair in zip(table.keys, table.values, strict=True) if pair[0].value == command]
    lines = source.splitlines(keepends=True)
    return "".join(lines[: row[0].lineno - 1] + lines[row[1].end_lineno :])


@pytest.fixture
def package(tmp_path):
    """A copy of the package's sources, as it is installed."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tools", tmp_path / "dualfair", ignore=ignore)
    for name in ("supernet", "evaluation", "evolution"):
        shutil.copytree(ROOT / name, tmp_path / "dualfair" / name, ignore=ignore)
    return tmp_path / "dualfair"


def python(package, *words):
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *words], cwd=package.parent, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_without_a_study_everything_else_is_imported_and_offered(package, study):
    """By one process, as nearly all of its time goes into libraries."""
    command, place = STUDIES[study], package / "studies" / study
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    (package / "commands" / f"{command}.py").unlink()
    main = package / "__main__.py"
    main.write_text(without_row(main.read_text(), command))
    offered = python(package, "-c", WALK, "--help")
    assert offered.returncode == 0, offered.stderr
    commands = [line.split()[0] for line in offered.stdout.splitlines() if line.startswith("  ") and line.split()]
    assert "train" in commands and command not in commands
