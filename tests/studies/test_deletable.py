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
    "grow": "grow",
    "demo.py": "demo",
}
"""The folder or file of every study, and its command."""
WALK = """
import os, pkgutil, sys
# Libraries take nearly all of the time, and are those of every copy.
import importlib, matplotlib.figure, pymoo.algorithms.moo.nsga2, scipy.stats, timm
place, *studies = sys.argv[1:]
for study in studies:
    child = os.fork()
    if not child:
        os.chdir(os.path.join(place, study))
        sys.path.insert(0, os.getcwd())
        for stream, file in ((1, "out.txt"), (2, "err.txt")):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
        import dualfair
        assert dualfair.__path__[0].startswith(os.getcwd())
        for module in pkgutil.walk_packages(dualfair.__path__, "dualfair."):
            importlib.import_module(module.name)
        from dualfair.__main__ import main
        sys.argv = ["dualfair", "--help"]
        sys.exit(main())
    assert os.waitpid(child, 0)[1] == 0, study
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


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with a copy of the package's sources, as it is installed, for every study that is left out."""
    ignore, place = shutil.ignore_patterns("__pycache__"), tmp_path_factory.mktemp("packages")
    for study, command in STUDIES.items():
        package = place / study / "dualfair"
        shutil.copytree(ROOT / "tools", package, ignore=ignore)
        for name in ("supernet", "evaluation", "evolution"):
            shutil.copytree(ROOT / name, package / name, ignore=ignore)
        left_out = package / "studies" / study
        shutil.rmtree(left_out) if left_out.is_dir() else left_out.unlink()
        (package / "commands" / f"{command}.py").unlink()
        main = package / "__main__.py"
        main.write_text(without_row(main.read_text(), command))
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-c", WALK, place, *STUDIES]
    walked = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True)
    assert walked.returncode == 0, walked.stderr + "".join(path.read_text() for path in place.glob("*/err.txt"))
    return place


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_without_a_study_everything_else_is_imported_and_offered(packages, study):
    offered = (packages / study / "out.txt").read_text()
    commands = [line.split()[0] for line in offered.splitlines() if line.startswith("  ") and line.split()]
    assert "train" in commands and STUDIES[study] not in commands
