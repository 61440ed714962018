"""The README is true: its code runs, and its commands and options exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
GUIDES = {path.name: path.read_text() for path in sorted((ROOT / "tools/guides").glob("*.md"))}
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = sorted(
    {line.split("#")[0].split("&&")[-1].strip() for line in re.findall(r"^    (.*dualfair .*)$", README, re.M)}
)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.splitlines()[0][:40])
def test_code_runs(code, tmp_path):
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_the_example_space_and_disparity_are_what_the_text_says():
    names: dict = {}
    for code in BLOCKS:
        if "dualfair.train(" not in code:
            exec(code, names)
    values = __import__("numpy").array([0.0, 4.0, 1.0, 1.0])
    assert names["worst_group"](values, __import__("numpy").array(list("aabb"))) == 2.0
    assert [str(evaluation.genotype) for evaluation in names["result"].front] == ["2-3", "1-3", "0-3"]


def test_the_example_space_fits_four_blocks():
    names: dict = {}
    exec(next(code for code in BLOCKS if "myspace" in code), names)
    assert (names["space"].size, names["space"].blocks, names["space"].heads) == (256, 4, ("cosface",))
    assert str(next(names["space"].enumerate())) == "000-000-000-000:cosface"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_and_its_options_exist(dualfair, command):
    words = shlex.split(command)
    words = words[words.index("dualfair") + 1 :]
    names = [words[0]]
    if words[0] == "faces":
        names = words[: 3 if words[1] == "import" else 2]
    shown = dualfair(*names, "--help")
    assert shown.status == 0, shown.err
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in shown.out, word


def test_every_fault_of_the_table_has_its_tests():
    rows = re.findall(r"^\| (\d+) \|.*\| (`test_.*) \|$", GUIDES["safety.md"], re.M)
    assert [int(number) for number, _ in rows] == list(range(1, 26))
    text = "\n".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))
    for number, cell in rows:
        named = re.findall(r"`(test_\w+)`", cell)
        assert named, number
        for name in named:
            assert f"def {name}(" in text, f"fault {number}: {name}"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", *(f"tools/guides/{name}" for name in GUIDES)])
def test_every_file_that_a_document_links_to_is_there(document):
    path = ROOT / document
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text())]
    missing = [link for link in links if not (path.parent / link).is_file()]
    assert not missing
    if document == "README.md":
        assert {f"tools/guides/{name}" for name in GUIDES} <= set(links), "a guide is not in the README"
